# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The trained segmenter: a network with two branches for the classes of MFNet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ivf_ros.network_inputs import stack_channels
from ivf_ros.nn.network_selector import NetworkSelector, resize_longer_side
from ivf_ros.nn.settings import NetworkParameters
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import parameter
from ivf_ros.segmentation.inputs import check_images, SegmentationError
from ivf_ros.types import MFNET_CLASSES, Segmentation
import numpy as np

_FOLDER = Path(__file__).parent / 'weights'
# For one image, and for RGB and thermal together; see ``nn.network_selector``.
WEIGHTS = _FOLDER / 'bilateral.safetensors'
RGBT_WEIGHTS = _FOLDER / 'bilateral_both.safetensors'


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
    takes_thermal, weight_files:
        As in ``NetworkSelector``.

    """

    class_names = MFNET_CLASSES

    def __init__(self, parameters: BilateralParameters = BilateralParameters(),
                 network: NetworkParameters = NetworkParameters()) -> None:
        """
        Load the network.

        Raises
        ------
        SegmentationError
            PyTorch or safetensors is not installed.
        WeightsError
            The weight file is missing, damaged, or of another network.

        """
        self.parameters = parameters
        with explain_missing('bilateral', SegmentationError):  # imports PyTorch
            from ivf_ros.segmentation.network_learned import LearnedSegmentation
        load = partial(LearnedSegmentation, precision=network.precision)
        self._networks = NetworkSelector(load, network.weights, WEIGHTS, RGBT_WEIGHTS)
        self.takes_thermal = self._networks.takes_thermal
        self.weight_files = self._networks.weight_files

    def segment(self, image: np.ndarray, thermal: np.ndarray | None = None) -> Segmentation:
        """Label each pixel with a class of ``MFNET_CLASSES``; see ``Segmenter``."""
        check_images(image, thermal)
        network = self._networks.select(thermal)
        stacked = stack_channels(image, thermal, network.channels, SegmentationError)
        resized = resize_longer_side(stacked, self.parameters.longer_side_px)
        height, width = image.shape[:2]
        return Segmentation(network(resized, (width, height)), self.class_names)
