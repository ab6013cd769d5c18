# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained segmenter: a network with two branches for the classes of MFNet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.nn.network_selector import NetworkSelector
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.parameters import parameter
from ivf_ros.segmentation.inputs import check_images, SegmentationError
from ivf_ros.segmentation.labels import label_pixels
from ivf_ros.types import MFNET_CLASSES, Segmentation
import numpy as np

_FOLDER = Path(__file__).parent / 'weights'
# For one image, and for RGB and thermal together, without suffix; see ``nn.network_selector``.
WEIGHTS = _FOLDER / 'bilateral'
RGBT_WEIGHTS = _FOLDER / 'bilateral_both'
OUTPUT_NAMES = ('logits',)  # see ``network_inference``


@dataclass(frozen=True)
class BilateralParameters:
    """The size at which images are segmented."""

    longer_side_px: int = parameter(
        640, 'Images are resized so that their longer side has this length; small images are '
        'enlarged by no more than 2. The computing time grows with its square.',
        minimum=64, maximum=4096)


class BilateralSegmenter:
    """
    ``SegmentationNetwork`` with trained weights; see ``nn.network_selector`` for their selection.

    ``parameters`` may be replaced between two images.

    Attributes
    ----------
    takes_thermal, networks:
        As in ``NetworkSelector``.

    """

    class_names = MFNET_CLASSES

    def __init__(self, parameters: BilateralParameters = BilateralParameters(),
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
                                         network, SegmentationError)
        self.takes_thermal = self._selector.takes_thermal
        self.networks = self._selector.networks

    def segment(self, image: np.ndarray, thermal: np.ndarray | None = None) -> Segmentation:
        """Label each pixel with a class of ``MFNET_CLASSES``; see ``Segmenter``."""
        check_images(image, thermal)
        (logits,), size = self._selector.run(image, thermal, self.parameters.longer_side_px,
                                             cv2.BORDER_REPLICATE)
        height, width = image.shape[:2]
        return Segmentation(label_pixels(logits, size, (width, height)), self.class_names)


def _load_module(path: Path) -> Any:
    from ivf_ros.segmentation.network_inference import load_module  # imports PyTorch
    return load_module(path)
