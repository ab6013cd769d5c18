# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairs of the frames of a source, by time as in the nodes."""

from __future__ import annotations

from collections.abc import Iterator

from ivf_ros.data.sources import Source
from ivf_ros.pairing import Pair, PairingParameters, PairSynchronizer
from ivf_ros.types import Event


def pair_events(source: Source, parameters: PairingParameters | None = None
                ) -> Iterator[tuple[Event, Event]]:
    """
    Yield thermal and RGB of each pair of a source, in order of time; stamps are the clock.

    Frames without a partner are left out.

    Raises
    ------
    SourceError
        Nothing of the source can be read.

    """
    synchronizer: PairSynchronizer[Event] = PairSynchronizer(parameters, pass_single=False)

    def select_complete(pairs: list[Pair[Event]]) -> Iterator[tuple[Event, Event]]:
        for pair in pairs:
            if pair.thermal is not None and pair.rgb is not None:
                yield pair.thermal, pair.rgb

    now_s = 0.0
    for event in source.events():
        now_s = max(now_s, event.frame.stamp_ns * 1e-9)
        yield from select_complete(
            synchronizer.add(event.stream, event.frame.stamp_ns, event, now_s))
    yield from select_complete(
        synchronizer.poll(now_s + 2 * synchronizer.parameters.timeout_s))
