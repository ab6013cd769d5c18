# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Selection between a network for one image and a network for RGB and thermal.

A method with trained weights has two networks: one for a single image, which may be fused, RGB or
thermal, and one for RGB and thermal together. Where both images are available, the method uses the
network for both, which is more accurate than a network on a fused image. A weight file of the user
replaces the two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.network_inputs import stack_channels
from ivf_ros.nn.runtime import load_network, Network
from ivf_ros.nn.settings import NetworkParameters
import numpy as np

_MAX_UPSCALE = 2.0
_SIZE_MULTIPLE_PX = 32  # sides of the input of a network are multiples of it


class NetworkSelector:
    """
    A network for one image, and a network for RGB and thermal; both are loaded here.

    Parameters
    ----------
    image_weights, rgbt_weights:
        The files of the package for one image, and for RGB and thermal, without suffix.
    load_module, output_names:
        See ``nn.runtime.load_network``.
    parameters:
        ``weights`` replaces both networks. It may be of either kind; a network for one image then
        ignores thermal.
    error:
        The type of the error to raise for a wrong image.

    Attributes
    ----------
    networks:
        The loaded networks: that for one image, and that for RGB and thermal, or one of the user.
    takes_thermal:
        Whether thermal beside RGB is used; False with custom weights for one image.

    Raises
    ------
    WeightsError
        A weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision is not available.

    """

    def __init__(self, image_weights: Path, rgbt_weights: Path,
                 load_module: Callable[[Path], Any], output_names: tuple[str, ...],
                 parameters: NetworkParameters, error: type[ValueError]) -> None:
        paths = (image_weights,) if parameters.weights else (image_weights, rgbt_weights)
        self.networks = tuple(load_network(path, load_module, output_names, parameters)
                              for path in paths)
        self.takes_thermal = self.networks[-1].channels == 4
        self._error = error

    def run(self, image: np.ndarray, thermal: np.ndarray | None, longer_side_px: int,
            border_type: int) -> tuple[list[np.ndarray], tuple[int, int]]:
        """
        Run the network for one image where thermal is None, else the one for both cameras.

        Parameters
        ----------
        image, thermal:
            See ``network_inputs.stack_channels``.
        longer_side_px:
            The image is resized so that its longer side has this length; it is enlarged by no
            more than 2.
        border_type:
            How OpenCV pads the resized image to multiples of 32 pixels, at the right and at the
            bottom.

        Returns
        -------
        outputs, size
            The outputs of the network, and width and height of the resized image.

        Raises
        ------
        error
            The network needs thermal and it is None, or thermal has a wrong size or dtype.

        """
        network = self._select(thermal)
        stacked = stack_channels(image, thermal, network.channels, self._error)
        resized = resize_longer_side(stacked, longer_side_px)
        height, width = resized.shape[:2]
        bottom, right = -height % _SIZE_MULTIPLE_PX, -width % _SIZE_MULTIPLE_PX
        padded = cv2.copyMakeBorder(resized, 0, bottom, 0, right, border_type) \
            if bottom or right else resized
        return network(padded), (width, height)

    def _select(self, thermal: np.ndarray | None) -> Network:
        return self.networks[0] if thermal is None or not self.takes_thermal else self.networks[-1]


def resize_longer_side(image: np.ndarray, longer_side_px: int) -> np.ndarray:
    """
    Resize an image so that its longer side has this length.

    A small image is enlarged by no more than 2. An image of the right size is returned itself.
    """
    height, width = image.shape[:2]
    scale = min(longer_side_px / max(height, width), _MAX_UPSCALE)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return image if size == (width, height) else cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
