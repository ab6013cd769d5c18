# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the detection stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ivf_ros.detection.anchor_free import AnchorFreeParameters
from ivf_ros.detection.hog import HogParameters
from ivf_ros.detection.onnx import OnnxParameters
from ivf_ros.detection.tracking import TrackingParameters
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.thermal import RadiometryParameters

METHODS = ('default', 'anchor_free', 'onnx', 'hog')
DEFAULT_METHOD = 'anchor_free'


@dataclass(frozen=True)
class DetectionParameters:
    """The detection method and its parameters."""

    method: str = parameter(
        'default', f"The detector; 'default' is the best one, currently '{DEFAULT_METHOD}'.",
        choices=METHODS, live=False)
    network: NetworkParameters = group(NetworkParameters)
    anchor_free: AnchorFreeParameters = group(AnchorFreeParameters)
    onnx: OnnxParameters = group(OnnxParameters)
    hog: HogParameters = group(HogParameters)

    RENAMED: ClassVar = {'anchor_free.weights': 'network.weights',
                         'anchor_free.precision': 'network.precision',
                         'onnx.provider': 'network.device'}

    @property
    def of_method(self) -> Any:
        """The parameters of the selected method."""
        return getattr(self, DEFAULT_METHOD if self.method == 'default' else self.method)


@dataclass(frozen=True)
class DetectionStageParameters:
    """Parameters of detection, tracking and temperatures."""

    detection: DetectionParameters = group(DetectionParameters)
    tracking: TrackingParameters = group(TrackingParameters)
    radiometry: RadiometryParameters = group(RadiometryParameters)
