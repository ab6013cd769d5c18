# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples to evaluate, out of data sets on disk or out of any source of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
import re
from typing import TypeVar

from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.sample import Annotation, Dataset, Origin, Sample
from ivf_ros.data.sources import BAG_SUFFIXES, open_source, Source
from ivf_ros.pairing import Pair, PairSynchronizer
from ivf_ros.types import Event, Truth

T = TypeVar('T')

_UNSAFE = re.compile(r'[^\w.+-]+')


class SampleList:
    """
    The samples of several sources, in order.

    Attributes
    ----------
    names:
        What the sources are called.
    total:
        How many samples there are; None where a stream among them does not say.

    """

    def __init__(self, specs: Iterable[str], *, every: int = 1, limit: int | None = None,
                 held_back: bool = False, aligned: bool = False,
                 machine_labels: bool = False) -> None:
        """
        Open the sources.

        Parameters
        ----------
        specs:
            Folders that ``find_datasets`` knows, or what ``open_source`` takes: bags, pairs of
            videos, 'simulator:condition=night'.
        every:
            Take every so many pairs of each data set or stream.
        limit:
            Take at most so many of each.
        held_back:
            Take only those that no training of this package has seen; of streams that is all.
        aligned:
            Take all pairs for aligned, also where the data set does not say so.
        machine_labels:
            Take machine-made labels instead of human ones.

        Raises
        ------
        SourceError
            A source does not exist or is of no known kind.

        """
        self._parts: list[Dataset | Source] = []
        for spec in specs:
            if _is_stream(spec):
                self._parts.append(open_source(spec))
            else:
                self._parts.extend(find_datasets(Path(spec).expanduser(),
                                                 machine_labels=machine_labels))
        self._every, self._limit, self._aligned = every, limit, aligned
        self._held_back = held_back
        self.names = tuple(part.name for part in self._parts)

    @property
    def total(self) -> int | None:
        """Return the number of samples, or None where a stream does not say."""
        total = 0
        for part in self._parts:
            if not isinstance(part, Dataset):
                return None
            total += len(list(self._chosen(self._of(part))))
        return total

    def __iter__(self) -> Iterator[Sample]:
        """
        Yield the samples; those of streams hold their images, those of data sets files.

        Their names can be names of files: slashes and blanks have become underscores.
        """
        for part in self._parts:
            samples = self._of(part) if isinstance(part, Dataset) else _samples_of(part)
            for sample in self._chosen(samples):
                yield replace(sample, dataset=_safe(sample.dataset), name=_safe(sample.name),
                              aligned=sample.aligned or self._aligned)

    def _of(self, dataset: Dataset) -> Iterable[Sample]:
        return dataset.held_back if self._held_back else dataset.samples

    def _chosen(self, samples: Iterable[T]) -> Iterator[T]:
        return islice(islice(samples, 0, None, self._every), self._limit)


def _safe(name: str) -> str:
    return _UNSAFE.sub('_', name).strip('._') or '_'


def _is_stream(spec: str) -> bool:
    path = Path(spec).expanduser()
    if not path.is_dir():
        return True
    return (path / 'metadata.yaml').is_file() or any(file.suffix in BAG_SUFFIXES
                                                     for file in path.iterdir())


def _samples_of(source: Source) -> Iterator[Sample]:
    light = 'night' if 'night' in source.name else 'day' if ' day ' in source.name else ''
    complete = ((pair.thermal, pair.rgb) for pair in _pairs_of(source))
    frames = ((thermal, rgb) for thermal, rgb in complete if thermal and rgb)
    for index, (thermal, rgb) in enumerate(frames):
        yield _sample(source.name, index, thermal, rgb, light)


def _pairs_of(source: Source) -> Iterator[Pair[Event]]:
    """Pair the frames of a stream by time, as the nodes do; its stamps are the clock."""
    synchronizer: PairSynchronizer[Event] = PairSynchronizer()
    now_s = 0.0
    for event in source.events():
        now_s = event.frame.stamp_ns / 1e9
        yield from synchronizer.add(event.stream, event.frame.stamp_ns, event, now_s)
    yield from synchronizer.poll(now_s + synchronizer.parameters.timeout_s)


def _sample(dataset: str, index: int, thermal: Event, rgb: Event, light: str) -> Sample:
    truth = rgb.truth or Truth()
    return Sample(
        dataset, f'{index:06d}', thermal.frame.image, rgb.frame.image, scene=dataset, light=light,
        H_thermal_to_rgb=truth.H_thermal_to_rgb,
        detections=None if truth.detections is None else _exact(truth.detections),
        segmentation=None if truth.segmentation is None else _exact(truth.segmentation))


def _exact(value: T) -> Annotation[T]:
    return Annotation(partial(_itself, value), Origin.EXACT)


def _itself(value: T) -> T:
    return value
