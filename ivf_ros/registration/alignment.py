# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether a thermal image already lies on the RGB image: a cheap check, without a network.

The outlines of both images are compared as they lie, and at all shifts and some scales around.
Where they fit far better elsewhere, thermal was not registered. It is a doubt, and no measurement:
docs/commands.md has the rates of hits and of false alarms.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import geometry
from ivf_ros.registration.features import structure
from ivf_ros.registration.inputs import check_pair, normalize_contrast, resize_to
from ivf_ros.registration.search import correlate_similarities
import numpy as np

_WIDTH_PX = 160  # to which both images are reduced
_TOLERANCE_PX = 2  # of this width: registered images fit within this distance
_MAX_SHIFT = 0.2  # of the width
_SCALES = np.exp(np.linspace(-0.4, 0.4, 11))  # the middle one is 1
# Of a doubt; chosen on every second pair of those of docs/commands.md.
_MIN_RATIO, _MIN_CORRELATION = 1.2, 0.2


@dataclass(frozen=True)
class Alignment:
    """
    How well two images fit as they lie, and where they fit best.

    Attributes
    ----------
    correlation, best_correlation:
        Of the outlines, up to 1: within about 1 % of the width, and anywhere in the search range.
    best_shift, best_scale:
        Where they fit best: x and y as fractions of the width, and the scale of thermal.

    """

    correlation: float
    best_correlation: float
    best_shift: tuple[float, float]
    best_scale: float

    @property
    def is_doubtful(self) -> bool:
        """Whether thermal is probably not registered."""
        return self.best_correlation > _MIN_CORRELATION \
            and self.best_correlation > _MIN_RATIO * self.correlation


def check_alignment(thermal: np.ndarray, rgb: np.ndarray) -> Alignment:
    """
    Compare the outlines of two images of one pixel grid.

    Parameters
    ----------
    thermal:
        ``(H, W)`` uint8, uint16 or float.
    rgb:
        ``(H, W, 3)`` BGR or ``(H, W)``, uint8, of the same height and width.

    Raises
    ------
    RegistrationError
        A shape or a type is wrong.

    """
    check_pair(thermal, rgb)
    width, height = geometry.size_of(rgb)
    size = _WIDTH_PX, max(16, round(_WIDTH_PX * height / width))
    features, others = (structure(resize_to(normalize_contrast(image), size))
                        for image in (thermal, rgb))
    reach = round(_MAX_SHIFT * _WIDTH_PX)
    margin = reach + 2
    region = np.pad(others, ((margin, margin), (margin, margin), (0, 0)))
    scores = [score for _, score in correlate_similarities(features, region, margin, _SCALES,
                                                           (0.0,), reach)]
    near = slice(reach - _TOLERANCE_PX, reach + _TOLERANCE_PX + 1)
    index, y, x = np.unravel_index(int(np.argmax(scores)), (len(scores), *scores[0].shape))
    return Alignment(float(scores[len(_SCALES) // 2][near, near].max()),
                     float(scores[index][y, x]),
                     ((int(x) - reach) / _WIDTH_PX, (int(y) - reach) / _WIDTH_PX),
                     float(_SCALES[index]))
