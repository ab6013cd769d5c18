# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of the frames of a source, by time as in the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ivf_ros.data.sources import Source
from ivf_ros.pairing import Pair, PairingParameters, PairSynchronizer
from ivf_ros.types import Frame


def pair_frames(source: Source, parameters: PairingParameters | None = None
                ) -> Iterator[Pair[Frame]]:
    """
    Yield the pairs of a source that have both frames, in order of time; stamps are the clock.

    Raises
    ------
    SourceError
        Nothing of the source can be read.

    """
    synchronizer: PairSynchronizer[Frame] = PairSynchronizer(parameters, pass_single=False)
    now_s = 0.0
    for event in source.events():
        now_s = max(now_s, event.frame.stamp_ns * 1e-9)
        yield from synchronizer.add(event.stream, event.frame.stamp_ns, event.frame, now_s)
    yield from synchronizer.poll(now_s + 2 * synchronizer.parameters.timeout_s)
