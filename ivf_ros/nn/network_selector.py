# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Networks for one image and for both cameras, and how large they see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

_MOST_ENLARGED = 2.0


class OneOrBoth:
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

    def __init__(self, load: Callable[[Path], Any], own: str, of_one: Path, of_both: Path) -> None:
        self._load, self._path_of_both = load, of_both
        self._of_one = load(Path(own) if own else of_one)
        self._of_both = self._of_one if own else None
        self.weight_files = (own,) if own else (str(of_one), str(of_both))
        self.takes_thermal = not own or self._of_one.channels == 4

    def network(self, thermal: np.ndarray | None) -> Any:
        """Return the one that looks at what there is."""
        if thermal is None or not self.takes_thermal:
            return self._of_one
        if self._of_both is None:
            self._of_both = self._load(self._path_of_both)
        return self._of_both


def fitted(image: np.ndarray, longer_side_px: int) -> np.ndarray:
    """Bring an image to this longer side, a small one to no more than twice its own."""
    height, width = image.shape[:2]
    scale = min(longer_side_px / max(height, width), _MOST_ENLARGED)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return image if size == (width, height) else cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
