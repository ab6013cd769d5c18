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
    A method: labels the pixels of one image and remembers nothing.

    ``parameters`` are those of the method; they may be replaced between two images.
    """

    parameters: Any

    @property
    def class_names(self) -> tuple[str, ...]:
        """Return the names of the labels; 0 is the background."""
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
            ``(H, W)`` uint8 on the same grid, where ``image`` is RGB and not fused.

        Returns
        -------
        Segmentation
            ``(H, W)`` uint8 labels, indices into ``class_names``.

        Raises
        ------
        SegmentationError
            Shapes or types are not these, or the method needs thermal and there is none.

        """
        ...


def methods() -> tuple[str, ...]:
    """Return the names that ``create`` takes; 'default' stands for the best one there is."""
    return METHODS


def create(method: str = 'default', **parameters: Any) -> Segmenter:
    """
    Make a segmenter; ``parameters`` are those of ``SegmentationParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    SegmentationError
        The method is a network, and PyTorch or safetensors is not installed.
    WeightsError
        A weight file is missing, damaged, or of another network.

    """
    return create_from(build(SegmentationParameters, {**parameters, 'method': method}))


def create_from(parameters: SegmentationParameters) -> Segmenter:
    """Make the segmenter that the parameters choose; see ``create``."""
    if parameters.method == 'thermal_saliency':
        return ThermalSaliency(parameters.thermal_saliency)
    return BilateralSegmenter(parameters.bilateral, parameters.network)
