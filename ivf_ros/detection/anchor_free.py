# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained detector: a small anchor-free one-stage network for people, vehicles, bicycles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ivf_ros import images
from ivf_ros.detection.classes import CLASS_NAMES
from ivf_ros.detection.inputs import DetectionError
from ivf_ros.detection.suppression import non_maximum_suppression
from ivf_ros.network_inputs import stack_channels
from ivf_ros.nn.network_selector import NetworkSelector, resize_longer_side
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.types import Detection
import numpy as np

_FOLDER = Path(__file__).parent / 'weights'
# Of an image alone, be it fused, RGB or thermal, and of RGB and thermal together.
WEIGHTS = _FOLDER / 'anchor_free.safetensors'
RGBT_WEIGHTS = _FOLDER / 'anchor_free_both.safetensors'


@dataclass(frozen=True)
class AnchorFreeParameters:
    """What is searched at which size, and which boxes are reported."""

    min_score: float = parameter(
        0.35, 'Boxes with a lower score are dropped.', minimum=0.01, maximum=1.0)
    nms_iou: float = parameter(
        0.6, 'Of two boxes of one class that overlap by more than this the better one stays.',
        minimum=0.0, maximum=1.0)
    longer_side_px: int = parameter(
        640, 'Images are brought to this size before the search, small ones to no more than twice '
        'their own; time grows with its square.', minimum=64, maximum=4096)


class AnchorFreeDetector:
    """
    ``DetectionNetwork`` with trained weights.

    Where thermal is given beside RGB, a network that was trained on both looks at the two; it is
    better than any that looks at a fused image. ``parameters`` may be replaced between two images;
    weights and precision then stay as they are.

    Attributes
    ----------
    takes_thermal, weight_files:
        Those of ``NetworkSelector``.

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
        with explain_missing('anchor_free', DetectionError):  # PyTorch, only where it is used
            from ivf_ros.detection.network_learned import LearnedDetection
        load = partial(LearnedDetection, precision=network.precision)
        self._networks = NetworkSelector(load, network.weights, WEIGHTS, RGBT_WEIGHTS)
        self.takes_thermal = self._networks.takes_thermal
        self.weight_files = self._networks.weight_files

    def detect(self, image: np.ndarray, thermal: np.ndarray | None = None) -> list[Detection]:
        """
        Find people, vehicles and bicycles, best first.

        The score is how well the network expects the box to fit, from 0 to 1.

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
            Shapes or types are not these, or the weights need thermal and there is none.

        """
        images.check_8bit(image, 'image', DetectionError)
        height, width = image.shape[:2]
        network = self._networks.network(thermal)
        p = self.parameters
        stacked = resize_longer_side(stack_channels(image, thermal, network.channels, DetectionError),
                                     p.longer_side_px)
        scores, boxes_px = network(stacked)
        boxes_px *= np.array([width / stacked.shape[1], height / stacked.shape[0]] * 2, np.float32)
        return non_maximum_suppression(scores, boxes_px, CLASS_NAMES, (width, height), p.min_score,
                                       p.nms_iou)
