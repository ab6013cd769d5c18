# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks for one image and for both cameras, and how large they see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_MAX_UPSCALE = 2.0


class NetworkSelector:
    """
    A network for an image alone, and one for RGB and thermal, which is loaded when it is needed.

    Parameters
    ----------
    load:
        Makes a network, with its number of ``channels``, of a weight file.
    own:
        A weight file instead of the two, for whichever of the two it was trained; '' for none.
    of_one, of_both:
        The two weight files.

    Attributes
    ----------
    takes_thermal:
        Whether thermal beside RGB is looked at: not by weights of one's own for an image alone.
    weight_files:
        The files that are used.

    """

    def __init__(self, load: Callable[[Path], Any], own: str, image_weights: Path, rgbt_weights: Path) -> None:
        self._load, self._rgbt_weights = load, rgbt_weights
        self._image_network = load(Path(own) if own else image_weights)
        self._rgbt_network = self._image_network if own else None
        self.weight_files = (own,) if own else (str(image_weights), str(rgbt_weights))
        self.takes_thermal = not own or self._image_network.channels == 4

    def network(self, thermal: np.ndarray | None) -> Any:
        """Return the one that looks at what there is."""
        if thermal is None or not self.takes_thermal:
            return self._image_network
        if self._rgbt_network is None:
            self._rgbt_network = self._load(self._rgbt_weights)
        return self._rgbt_network


def resize_longer_side(image: np.ndarray, longer_side_px: int) -> np.ndarray:
    """Bring an image to this longer side, a small one to no more than twice its own."""
    height, width = image.shape[:2]
    scale = min(longer_side_px / max(height, width), _MAX_UPSCALE)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return image if size == (width, height) else cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
