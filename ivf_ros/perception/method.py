# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detections and labels of an image, by one network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from ivf_ros import geometry
from ivf_ros.detection import CLASS_NAMES, select_boxes
from ivf_ros.nn.network_selector import NetworkSelector
from ivf_ros.parameters import build, ParameterError
from ivf_ros.perception.settings import PerceptionParameters
from ivf_ros.segmentation import check_images, label_pixels, SegmentationError
from ivf_ros.types import Detection, MFNET_CLASSES, Segmentation
import numpy as np

_FOLDER = Path(__file__).parent / 'weights'
# For one image, and for RGB and thermal together, without suffix; see ``nn.network_selector``.
WEIGHTS, RGBT_WEIGHTS = _FOLDER / 'joint', _FOLDER / 'joint_both'
OUTPUT_NAMES = ('scores', 'boxes_px', 'logits')  # see ``network_inference``


METHOD = 'joint'


class JointPerception:
    """
    ``PerceptionNetwork`` with trained weights; see ``nn.network_selector`` for their selection.

    It is also a ``Detector`` and a ``Segmenter``, which keep one of the two results.
    ``parameters`` may be replaced between two images.

    Attributes
    ----------
    class_names, label_names:
        Names of the detected classes, and of the labels; label 0 is the background.
    takes_thermal, networks:
        As in ``NetworkSelector``.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision is not available.

    """

    class_names = CLASS_NAMES
    label_names = MFNET_CLASSES

    def __init__(self, parameters: PerceptionParameters = PerceptionParameters()) -> None:
        self.parameters = parameters
        self._selector = NetworkSelector(WEIGHTS, RGBT_WEIGHTS, _load_module, OUTPUT_NAMES,
                                         parameters.network, SegmentationError)
        self.takes_thermal = self._selector.takes_thermal
        self.networks = self._selector.networks

    def perceive(self, image: np.ndarray, thermal: np.ndarray | None = None
                 ) -> tuple[list[Detection], Segmentation]:
        """
        Find people, vehicles and bicycles, and label each pixel.

        Parameters
        ----------
        image:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        thermal:
            ``(H, W)`` uint8 on the same grid; only if ``image`` is RGB, not a fused image.

        Raises
        ------
        SegmentationError
            A shape or dtype is wrong.

        """
        check_images(image, thermal)
        (scores, boxes_px, logits), network_size = self._selector.run(
            image, thermal, self.parameters.longer_side_px, cv2.BORDER_REPLICATE)
        size = geometry.size_of(image)
        return (select_boxes(scores, boxes_px, network_size, size, self.parameters),
                Segmentation(label_pixels(logits, network_size, size), self.label_names))

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """Return the detections only; see ``perceive``."""
        return self.perceive(image, thermal)[0]

    def segment(self, image: np.ndarray, thermal: np.ndarray | None = None) -> Segmentation:
        """Return the labels only; see ``perceive``."""
        return self.perceive(image, thermal)[1]


def create(method: str = METHOD, **parameters: Any) -> JointPerception:
    """
    Create the method; ``parameters`` are those of ``PerceptionParameters`` by dotted name.

    Raises
    ------
    ParameterError
        The method or a parameter is unknown, or a value is out of range.
    WeightsError, DeviceError
        See ``JointPerception``.

    """
    if method != METHOD:
        raise ParameterError(f"the only method of perception is '{METHOD}', got '{method}'")
    return JointPerception(build(PerceptionParameters, parameters))


def _load_module(path: Path) -> Any:
    from ivf_ros.perception.network_inference import load_module  # imports PyTorch
    return load_module(path)
