# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a replay was one: a replay of nothing is no success."""

from __future__ import annotations

from collections.abc import Mapping

# A replay or a result of fewer frames than this part is no success.
MIN_PART = 0.2


class ReplayError(RuntimeError):
    """A replay played nothing, or only a small part of its source."""


def check_played(played: Mapping[str, int], skipped: Mapping[str, int]) -> None:
    """
    Check that a replay was a replay of its source.

    Parameters
    ----------
    played:
        Number of published frames by camera.
    skipped:
        Number of frames that could not be read, by reason.

    Raises
    ------
    ReplayError
        A camera has no frame, or less than a fifth of all frames were played.

    """
    reasons = ', '.join(f'{reason} {n}' for reason, n in skipped.items()) or 'nothing'
    missing = [stream for stream in ('thermal', 'rgb') if not played.get(stream)]
    if missing:
        raise ReplayError(f'no frame of {" and ".join(missing)} was played; left out: {reasons}')
    total = sum(played.values()) + sum(skipped.values())
    if sum(played.values()) < MIN_PART * total:
        raise ReplayError(f'only {sum(played.values())} of {total} frames were played; '
                          f'left out: {reasons}')
