# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rule by which views are left out."""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros.thermal import SIGMA_PER_MAD
import numpy as np

_DEVIATIONS = 3.0  # above the median, in robust standard deviations
_MIN_RATIO = 1.5  # to the median


def find_outlying(names: Sequence[str], errors: np.ndarray, accepted: float = 0.0
                  ) -> dict[str, float]:
    """
    Return the views whose error lies off, with the limit.

    A view lies off if its error exceeds the median of all views by more than three robust
    standard deviations (1.4826 MAD), and by half. An error up to ``accepted`` never lies off. The
    views are to be fitted again without those of the result, and judged again: a bad view raises
    the errors of good ones. So only errors above half of the largest one are in the result.
    """
    if not len(errors):
        return {}
    median = float(np.median(errors))
    mad = float(np.median(np.abs(errors - median)))
    limit = max(median + _DEVIATIONS * SIGMA_PER_MAD * mad, _MIN_RATIO * median, accepted)
    return {name: limit for name, error in zip(names, errors)
            if error > max(limit, 0.5 * errors.max())}
