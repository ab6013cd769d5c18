# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation methods by name."""

from __future__ import annotations

from typing import Any, Protocol

from ivf_ros.parameters import build
from ivf_ros.segmentation.bilateral import BilateralSegmenter
from ivf_ros.segmentation.settings import METHODS, SegmentationParameters
from ivf_ros.segmentation.thermal_saliency import ThermalSaliency
from ivf_ros.types import Segmentation
import numpy as np


class Segmenter(Protocol):
    """
    A segmentation method; it keeps no state from one image to the next.

    ``parameters`` are those of the method. They may be replaced between two images.
    """

    parameters: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the labels; label 0 is the background."""
        ...

    @property
    def takes_thermal(self) -> bool:
        """Return whether it uses thermal beside RGB."""
        ...

    def segment(self, image: np.ndarray, thermal: np.ndarray | None = None) -> Segmentation:
        """
        Label each pixel.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            ``(H, W)`` uint8 on the same grid; only if ``image`` is RGB, not a fused image.

        Returns
        -------
        Segmentation
            ``(H, W)`` uint8 labels, indices into ``class_names``.

        Raises
        ------
        SegmentationError
            A shape or dtype is wrong, or the method needs thermal and it is None.

        """
        ...


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` accepts; 'default' is the best method."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> Segmenter:
    """
    Create a segmenter; ``parameters`` are those of ``SegmentationParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    WeightsError
        A weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision of the network is not available.

    """
    return create_from(build(SegmentationParameters, {**parameters, 'method': method}))


def create_from(parameters: SegmentationParameters) -> Segmenter:
    """Create the segmenter of the given parameters; see ``create``."""
    if parameters.method == 'thermal_saliency':
        return ThermalSaliency(parameters.thermal_saliency)
    return BilateralSegmenter(parameters.bilateral, parameters.network)
