# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector: a small anchor-free network for people, vehicles and bicycles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import geometry, images
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.suppression import non_maximum_suppression
from ivf_ros.nn.network_selector import NetworkSelector
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import parameter, ParameterError
from ivf_ros.types import Detection
import numpy as np

_FOLDER = Path(__file__).parent / 'weights'
# For one image, and for RGB and thermal together, without suffix; see ``nn.network_selector``.
WEIGHTS = _FOLDER / 'anchor_free'
RGBT_WEIGHTS = _FOLDER / 'anchor_free_both'
OUTPUT_NAMES = ('scores', 'boxes_px')  # see ``network_inference``


@dataclass(frozen=True)
class AnchorFreeParameters:
    """The size at which images are searched, and which boxes are reported."""

    min_score: float = parameter(
        0.6, 'Boxes with a lower score are dropped. A score is about the probability that the box '
        'is right.', minimum=0.01, maximum=1.0)
    min_scores: tuple = parameter(
        (), 'Three numbers instead of min_score: for person, vehicle and bicycle. Empty for none.')
    nms_iou: float = parameter(
        0.5, 'If two boxes of one class have a larger IoU than this, the one with the lower score '
        'is dropped.',
        minimum=0.0, maximum=1.0)
    longer_side_px: int = parameter(
        640, 'Images are resized so that their longer side has this length; small images are '
        'enlarged by no more than 2. The computing time grows with its square.',
        minimum=64, maximum=4096)

    def __post_init__(self) -> None:
        if self.min_scores and len(self.min_scores) != len(CLASS_NAMES):
            raise ParameterError(f'min_scores must have {len(CLASS_NAMES)} numbers, for '
                                 f'{", ".join(CLASS_NAMES)}, or none; got {len(self.min_scores)}')
        if not all(0.01 <= score <= 1 for score in self.min_scores):
            raise ParameterError(f'each of min_scores must be from 0.01 to 1, got '
                                 f'{list(self.min_scores)}')

    @property
    def min_score_by_class(self) -> dict[str, float]:
        """The minimum score of the boxes of each class."""
        return dict(zip(CLASS_NAMES, self.min_scores or [self.min_score] * len(CLASS_NAMES)))


class AnchorFreeDetector:
    """
    ``DetectionNetwork`` with trained weights; see ``nn.network_selector`` for their selection.

    ``parameters`` may be replaced between two images.

    Attributes
    ----------
    takes_thermal, networks:
        As in ``NetworkSelector``.

    """

    class_names = CLASS_NAMES

    def __init__(self, parameters: AnchorFreeParameters = AnchorFreeParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        """
        Load the network.

        Raises
        ------
        WeightsError
            The weight file is missing, damaged, or of another network.
        DeviceError
            The engine, the device or the precision is not available.

        """
        self.parameters = parameters
        self._selector = NetworkSelector(WEIGHTS, RGBT_WEIGHTS, _load_module, OUTPUT_NAMES,
                                         network, DetectionError)
        self.takes_thermal = self._selector.takes_thermal
        self.networks = self._selector.networks

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find people, vehicles and bicycles; see ``Detector``.

        The score, from 0 to 1, is about the probability that the box is right.
        """
        images.check_8bit(image, 'image', DetectionError)
        (scores, boxes_px), size = self._selector.run(
            image, thermal, self.parameters.longer_side_px, cv2.BORDER_CONSTANT)
        return select_boxes(scores, boxes_px, size, geometry.size_of(image), self.parameters)


def select_boxes(scores: np.ndarray, boxes_px: np.ndarray, network_size: tuple[int, int],
                 image_size: tuple[int, int], parameters: AnchorFreeParameters
                 ) -> list[Detection]:
    """
    Return the boxes of an image from the outputs of the network, highest score first.

    Parameters
    ----------
    scores, boxes_px:
        ``(cells, classes)`` and ``(cells, 4)``, see ``network_inference``.
    network_size, image_size:
        Width and height of the image at the network input, without padding, and of the original.
    parameters:
        Which boxes are reported.

    """
    scale = np.array(image_size, np.float32) / np.array(network_size, np.float32)
    min_scores = parameters.min_score_by_class
    found = non_maximum_suppression(scores, boxes_px * np.tile(scale, 2), CLASS_NAMES, image_size,
                                    min(min_scores.values()), parameters.nms_iou)
    return [box for box in found if box.score >= min_scores[box.class_name]]


def _load_module(path: Path) -> Any:
    from ivf_ros.detection.network_inference import load_module  # imports PyTorch
    return load_module(path)
