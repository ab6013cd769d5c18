# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Selection between a network for one image and a network for RGB and thermal.

A method with trained weights has two weight files: one for a single image, which may be fused, RGB
or thermal, and one for RGB and thermal together. Where both images are available, the method uses
the network for both, which is more accurate than a network on a fused image. A weight file of the
user replaces the two.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_MAX_UPSCALE = 2.0


class NetworkSelector:
    """
    A network for one image, and a network for RGB and thermal that is loaded at its first use.

    Weights and precision stay those of the construction.

    Parameters
    ----------
    load:
        Loads the network of a weight file; the network has the attribute ``channels``.
    custom_weights:
        A weight file that replaces the other two, or ''. It may be of a network of either kind;
        a network for one image then ignores thermal.
    image_weights, rgbt_weights:
        The weight files for one image, and for RGB and thermal.

    Attributes
    ----------
    takes_thermal:
        Whether thermal beside RGB is used; False with custom weights for one image.
    weight_files:
        The paths of the weight files in use.

    Raises
    ------
    WeightsError
        The weight file is missing, damaged, or of another network.

    """

    def __init__(self, load: Callable[[Path], Any], custom_weights: str, image_weights: Path,
                 rgbt_weights: Path) -> None:
        self._load, self._rgbt_weights = load, rgbt_weights
        self._image_network = load(Path(custom_weights) if custom_weights else image_weights)
        self._rgbt_network = self._image_network if custom_weights else None
        self.weight_files = (custom_weights,) if custom_weights else (
            str(image_weights), str(rgbt_weights))
        self.takes_thermal = not custom_weights or self._image_network.channels == 4

    def select(self, thermal: np.ndarray | None) -> Any:
        """
        Return the network for one image where thermal is None, else the one for both cameras.

        Raises
        ------
        WeightsError
            The weight file for both cameras is read for the first time, and is missing, damaged,
            or of another network.

        """
        if thermal is None or not self.takes_thermal:
            return self._image_network
        if self._rgbt_network is None:
            self._rgbt_network = self._load(self._rgbt_weights)
        return self._rgbt_network


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
