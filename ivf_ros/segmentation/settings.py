# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the segmentation stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.segmentation.bilateral import BilateralParameters
from ivf_ros.segmentation.thermal_saliency import ThermalSaliencyParameters

METHODS = ('default', 'bilateral', 'thermal_saliency')
DEFAULT_METHOD = 'bilateral'


@dataclass(frozen=True)
class SegmentationParameters:
    """The segmentation method and its parameters."""

    method: str = parameter(
        'default', f"The segmenter; 'default' is the best one, currently '{DEFAULT_METHOD}'.",
        choices=METHODS, live=False)
    network: NetworkParameters = group(NetworkParameters)
    bilateral: BilateralParameters = group(BilateralParameters)
    thermal_saliency: ThermalSaliencyParameters = group(ThermalSaliencyParameters)

    RENAMED: ClassVar = {'bilateral.weights': 'network.weights',
                         'bilateral.precision': 'network.precision'}

    @property
    def of_method(self) -> Any:
        """The parameters of the selected method."""
        return getattr(self, DEFAULT_METHOD if self.method == 'default' else self.method)


@dataclass(frozen=True)
class SegmentationStageParameters:
    """Parameters of the segmentation stage."""

    segmentation: SegmentationParameters = group(SegmentationParameters)
