# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector: a small anchor-free network for people, vehicles and bicycles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ivf_ros import images
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.errors import DetectionError
from ivf_ros.detection.suppression import non_maximum_suppression
from ivf_ros.network_inputs import stack_channels
from ivf_ros.nn.network_selector import NetworkSelector, resize_longer_side
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

_FOLDER = Path(__file__).parent / 'weights'
# For one image, and for RGB and thermal together; see ``nn.network_selector``.
WEIGHTS = _FOLDER / 'anchor_free.safetensors'
RGBT_WEIGHTS = _FOLDER / 'anchor_free_both.safetensors'


@dataclass(frozen=True)
class AnchorFreeParameters:
    """The size at which images are searched, and which boxes are reported."""

    min_score: float = parameter(
        0.35, 'Boxes with a lower score are dropped.', minimum=0.01, maximum=1.0)
    nms_iou: float = parameter(
        0.6, 'If two boxes of one class have a larger IoU than this, the one with the lower score '
        'is dropped.',
        minimum=0.0, maximum=1.0)
    longer_side_px: int = parameter(
        640, 'Images are resized so that their longer side has this length; small images are '
        'enlarged by no more than 2. The computing time grows with its square.',
        minimum=64, maximum=4096)


class AnchorFreeDetector:
    """
    ``DetectionNetwork`` with trained weights; see ``nn.network_selector`` for their selection.

    ``parameters`` may be replaced between two images.

    Attributes
    ----------
    takes_thermal, weight_files:
        As in ``NetworkSelector``.

    """

    class_names = CLASS_NAMES

    def __init__(self, parameters: AnchorFreeParameters = AnchorFreeParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        """
        Load the network.

        Raises
        ------
        DetectionError
            PyTorch or safetensors is not installed.
        WeightsError
            The weight file is missing, damaged, or of another network.

        """
        self.parameters = parameters
        with explain_missing('anchor_free', DetectionError):  # imports PyTorch
            from ivf_ros.detection.network_learned import LearnedDetection
        load = partial(LearnedDetection, precision=network.precision)
        self._networks = NetworkSelector(load, network.weights, WEIGHTS, RGBT_WEIGHTS)
        self.takes_thermal = self._networks.takes_thermal
        self.weight_files = self._networks.weight_files

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find people, vehicles and bicycles; see ``Detector``.

        The score, from 0 to 1, says how well the network expects the box to fit the object.
        """
        images.check_8bit(image, 'image', DetectionError)
        height, width = image.shape[:2]
        network = self._networks.select(thermal)
        p = self.parameters
        stacked = stack_channels(image, thermal, network.channels, DetectionError)
        resized = resize_longer_side(stacked, p.longer_side_px)
        scores, boxes_px = network(resized)
        boxes_px *= np.array([width / resized.shape[1], height / resized.shape[0]] * 2, np.float32)
        return non_maximum_suppression(scores, boxes_px, CLASS_NAMES, (width, height), p.min_score,
                                       p.nms_iou)
