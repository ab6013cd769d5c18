# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A soak: faults in random order for hours, while memory, threads and descriptors are watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
import time

from ivf_ros.nodes.faults.campaign import CampaignSettings, FAULTS, open_campaign, Verdict
from ivf_ros.nodes.faults.fault import Fault, repeat_in_thread
import numpy as np

_PERIOD_S = 10.0
WARM_UP_S = 600.0  # caches, arenas and pools have their sizes after it


@dataclass(frozen=True)
class Sample:
    """
    The graph at one moment.

    Attributes
    ----------
    at_s:
        Time since the start of the soak in seconds.
    memory_mb, anonymous_mb:
        Resident memory of all processes of the graph; and what of it they have allocated, without
        libraries and the shared segments of DDS, whose pages count when they are first used.
    threads, descriptors:
        Their number in all processes.
    n_faults:
        Faults injected so far.

    """

    at_s: float
    memory_mb: float
    anonymous_mb: float
    threads: float
    descriptors: float
    n_faults: int


@dataclass(frozen=True)
class Soak:
    """The samples of a soak, and the verdict of each fault."""

    samples: tuple[Sample, ...]
    verdicts: tuple[Verdict, ...]

    def memory_slope_mb_per_min(self, name: str = 'memory_mb') -> float | None:
        """Return the growth of memory after the warm-up; None if the soak was too short."""
        times_s, memory_mb = np.array([
            (sample.at_s, getattr(sample, name)) for sample in self.samples
            if sample.at_s >= WARM_UP_S]).reshape(-1, 2).T
        if times_s.size < 3:
            return None
        return float(np.polyfit(times_s / 60, memory_mb, 1)[0])

    def rows(self) -> list[dict[str, float]]:
        """Return the samples as rows of a table."""
        return [asdict(sample) for sample in self.samples]


def run(seconds: float, settings: CampaignSettings, seed: int = 0,
        on_verdict: Callable[[Verdict], None] = lambda verdict: None,
        on_sample: Callable[[Sample], None] = lambda sample: None) -> Soak:
    """
    Inject faults in random order for a time; those that end the graph are left out.

    Raises
    ------
    CampaignError
        The graph did not start.

    """
    faults = shuffle_rounds([fault for fault in FAULTS if not fault.restarts], seed)
    samples: list[Sample] = []
    verdicts: list[Verdict] = []
    with open_campaign(settings) as campaign:
        start_s = time.monotonic()

        def sample() -> None:
            if campaign.targets.graph.is_alive():
                samples.append(Sample(time.monotonic() - start_s, n_faults=len(verdicts),
                                      **campaign.targets.graph.measure()))
                on_sample(samples[-1])

        with repeat_in_thread(sample, _PERIOD_S):
            while time.monotonic() - start_s < seconds:
                verdicts.append(campaign.judge(next(faults)))
                on_verdict(verdicts[-1])
    return Soak(tuple(samples), tuple(verdicts))


def shuffle_rounds(faults: Sequence[Fault], seed: int) -> Iterator[Fault]:
    """
    Yield all faults in random order, round after round, without an end.

    Buffers grow to what the largest fault needs. With rounds, all of them have done so after the
    first round, and what grows later is a leak.
    """
    rng = np.random.default_rng(seed)
    while True:
        for index in rng.permutation(len(faults)):
            yield faults[index]
