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
    A method: finds objects in one image and remembers nothing.

    ``parameters`` are those of the method; they may be replaced between two images.
    """

    parameters: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of what it can find."""
        ...

    @property
    def takes_thermal(self) -> bool:
        """Return whether it uses thermal beside RGB."""
        ...

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find objects, best first.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            ``(H, W)`` uint8 on the same grid, where ``image`` is RGB and not fused.

        Returns
        -------
        list[Detection]
            Boxes in pixels of ``image``, clipped to it.

        Raises
        ------
        DetectionError
            Shapes or types are not these, or thermal is given to a method that takes none, or
            missing for one that needs it.

        """
        ...


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes; 'default' stands for the best one there is."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> Detector:
    """
    Make a detector; ``parameters`` are those of ``DetectionParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    DetectionError
        A library or the model that the method needs is missing.
    WeightsError
        A weight file is missing, damaged, or of another network.

    """
    return create_from(build(DetectionParameters, {**parameters, 'method': method}))


def create_from(parameters: DetectionParameters) -> Detector:
    """Make the detector that the parameters choose; see ``create``."""
    if parameters.method == 'hog':
        return HogDetector(parameters.hog)
    if parameters.method == 'onnx':
        return OnnxDetector(parameters.onnx)
    return AnchorFreeDetector(parameters.anchor_free, parameters.network)
