# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the detection stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivf_ros.detection.anchor_free import AnchorFreeParameters
from ivf_ros.detection.hog import HogParameters
from ivf_ros.detection.onnx import OnnxParameters
from ivf_ros.parameters import group, parameter

METHODS = ('default', 'anchor_free', 'onnx', 'hog')
DEFAULT_METHOD = 'anchor_free'


@dataclass(frozen=True)
class DetectionParameters:
    """What finds the objects."""

    method: str = parameter(
        'default', f"The detector; 'default' is the best one there is, now '{DEFAULT_METHOD}'.",
        choices=METHODS, live=False)
    anchor_free: AnchorFreeParameters = group(AnchorFreeParameters)
    onnx: OnnxParameters = group(OnnxParameters)
    hog: HogParameters = group(HogParameters)

    @property
    def chosen(self) -> Any:
        """The parameters of the method."""
        return getattr(self, DEFAULT_METHOD if self.method == 'default' else self.method)
