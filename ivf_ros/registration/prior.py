# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A homography that is known before any measurement, and the image sizes for which it holds."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import geometry
import numpy as np

Sizes = tuple[tuple[int, int], tuple[int, int]]  # of thermal and of RGB, (width, height)

_MAX_ASPECT_CHANGE = 0.02  # relative; a larger one is another crop, at an unknown position


@dataclass(frozen=True, eq=False)
class Prior:
    """
    A homography for images of given sizes.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64.
    sizes:
        Sizes of the thermal and the RGB image; None while they are unknown.

    """

    H_thermal_to_rgb: np.ndarray
    sizes: Sizes | None

    def for_sizes(self, sizes: Sizes) -> np.ndarray | None:
        """Return the homography for images of other sizes; None for another aspect ratio."""
        if self.sizes is None:
            return self.H_thermal_to_rgb.copy()
        return rescale_to_sizes(self.H_thermal_to_rgb, self.sizes, sizes)

    def explain_sizes(self, sizes: Sizes) -> str:
        """Return why it does not hold for images of these sizes."""
        texts = ['{}x{} and {}x{}'.format(*thermal, *rgb)
                 for thermal, rgb in (self.sizes or sizes, sizes)]
        return (f'calibrated for thermal and RGB of {texts[0]}, got {texts[1]}, which has another '
                'aspect ratio')


def rescale_to_sizes(H_thermal_to_rgb: np.ndarray, before: Sizes, after: Sizes
                     ) -> np.ndarray | None:
    """
    Return a homography for resized images; None if the aspect ratio of an image changes.

    An image of another aspect ratio is taken for another crop, at an unknown position.
    """
    (tx, ty), (rx, ry) = ((new[0] / old[0], new[1] / old[1])
                          for old, new in zip(before, after))
    if max(abs(tx / ty - 1), abs(rx / ry - 1)) >= _MAX_ASPECT_CHANGE:
        return None
    return geometry.rescale_homography(H_thermal_to_rgb, (tx, ty), (rx, ry))
