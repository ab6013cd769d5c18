# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection methods by name."""

from __future__ import annotations

from typing import Any, Protocol

from ivf_ros.detection.anchor_free import AnchorFreeDetector
from ivf_ros.detection.hog import HogDetector
from ivf_ros.detection.onnx import OnnxDetector
from ivf_ros.detection.settings import DetectionParameters, METHODS
from ivf_ros.parameters import build
from ivf_ros.types import Detection
import numpy as np


class Detector(Protocol):
    """
    A detection method; it keeps no state from one image to the next.

    ``parameters`` are those of the method. They may be replaced between two images.
    """

    parameters: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the classes that it detects."""
        ...

    @property
    def takes_thermal(self) -> bool:
        """Return whether it uses thermal beside RGB."""
        ...

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find objects, highest score first.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            ``(H, W)`` uint8 on the same grid; only if ``image`` is RGB, not a fused image.

        Returns
        -------
        list[Detection]
            Boxes in pixels of ``image``, clipped to it.

        Raises
        ------
        DetectionError
            A shape or dtype is wrong, the method needs thermal and it is None, or the method
            takes one image and thermal is not None.

        """
        ...


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` accepts; 'default' is the best method."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> Detector:
    """
    Create a detector; ``parameters`` are those of ``DetectionParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    DetectionError
        The model that the method needs is missing.
    WeightsError
        A weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision of the network is not available.

    """
    return create_from(build(DetectionParameters, {**parameters, 'method': method}))


def create_from(parameters: DetectionParameters) -> Detector:
    """Create the detector of the given parameters; see ``create``."""
    if parameters.method == 'hog':
        return HogDetector(parameters.hog)
    if parameters.method == 'onnx':
        return OnnxDetector(parameters.onnx, parameters.network)
    return AnchorFreeDetector(parameters.anchor_free, parameters.network)
