# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The pairs of a user for fine-tuning, and those that are held back for the report.

Boxes of people are used where a pair has them, and boxes of machines elsewhere. Of four recordings
or more, whole recordings are held back. Of fewer, blocks of each are held back, since neighbouring
frames resemble each other, and the pair on either side of a block is used for neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ivf_ros.data.aligned import explain_unaligned
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import IGNORED, Origin, Sample
from ivf_ros.thermal_on_rgb import find_coverage
from ivf_ros.training.perception_data import make_labelled_scene, PerceptionScene

MIN_PAIRS, MIN_OBJECTS = 15, 30  # for training
MIN_HELD_PAIRS, MIN_HELD_OBJECTS = 4, 8  # held back
_MAX_BLOCK = 14  # pairs, as of ``Dataset.held_back``
_BLOCKS = 8  # at least, of few pairs
_HELD, _PERIOD = 2, 4  # the third of each four recordings, or blocks, is held back


@dataclass(frozen=True, eq=False)
class FineTuningData:
    """
    The annotated pairs of a user.

    Attributes
    ----------
    training, held_back:
        The pairs, each with its ``detections``.
    held_origin:
        Origin of the boxes of the held-back pairs: HUMAN if people annotated enough pairs.
    held_recordings:
        Whether whole recordings are held back. Otherwise the pairs show places that were trained
        on.

    """

    training: tuple[Sample, ...]
    held_back: tuple[Sample, ...]
    held_origin: Origin
    held_recordings: bool


def find_annotated_pairs(folder: Path) -> FineTuningData:
    """
    Return the aligned pairs with boxes below a folder, split into two parts.

    Raises
    ------
    SourceError
        There is no such pair, or there are too few of them or of objects.

    """
    machine = {(dataset.name, sample.name): sample
               for dataset in find_datasets(folder, machine_labels=True)
               for sample in dataset.samples}
    recordings: list[list[Sample]] = []
    for dataset in find_datasets(folder):
        chosen = [sample if sample.detections is not None
                  else machine[dataset.name, sample.name] for sample in dataset.samples]
        recordings.append([sample for sample in chosen if _is_usable(sample)])
    if not any(recordings):
        raise SourceError(f'{folder}: no aligned pairs with boxes; ivf label makes them of a '
                          'recording')
    human = [[sample for sample in samples if _origin_of(sample) is Origin.HUMAN]
             for samples in recordings]
    splits = [split(recordings, candidates) for candidates in (human, recordings)
              for split in (_hold_back_recordings, _hold_back_blocks)]
    chosen_split = next((data for data in splits if not _explain_lack(data)), None)
    if chosen_split is None:
        raise SourceError(f'{folder}: too little to fine-tune on: {_explain_lack(splits[-1])}')
    return chosen_split


def _is_usable(sample: Sample) -> bool:
    return sample.detections is not None and sample.detections.complete \
        and not explain_unaligned(sample)


def _origin_of(sample: Sample) -> Origin:
    assert sample.detections is not None
    return sample.detections.origin


def _hold_back_recordings(recordings: Sequence[Sequence[Sample]],
                          candidates: Sequence[Sequence[Sample]]) -> FineTuningData:
    """Hold back each fourth recording with candidates, or the last; none of fewer than four."""
    numbers = [number for number, possible in enumerate(candidates) if possible]
    held = numbers[_HELD::_PERIOD] or numbers[-1:] \
        if sum(map(bool, recordings)) >= _PERIOD else []
    return _make_data([sample for number, samples in enumerate(recordings)
                       if number not in held for sample in samples],
                      [sample for number in held for sample in candidates[number]], True)


def _hold_back_blocks(recordings: Sequence[Sequence[Sample]],
                      candidates: Sequence[Sequence[Sample]]) -> FineTuningData:
    """Hold back blocks of the candidates of each recording."""
    training: list[Sample] = []
    held_back: list[Sample] = []
    for samples, possible in zip(recordings, candidates, strict=True):
        size = max(1, min(_MAX_BLOCK, len(possible) // _BLOCKS))
        held = {sample.name for index, sample in enumerate(possible)
                if index // size % _PERIOD == _HELD}
        is_held = [sample.name in held for sample in samples]
        held_back += [sample for sample in samples if sample.name in held]
        training += [sample for index, sample in enumerate(samples)
                     if not any(is_held[max(index - 1, 0):index + 2])]
    return _make_data(training, held_back, False)


def _make_data(training: Sequence[Sample], held_back: Sequence[Sample], held_recordings: bool
               ) -> FineTuningData:
    origins = {_origin_of(sample) for sample in held_back}
    return FineTuningData(tuple(training), tuple(held_back),
                          Origin.HUMAN if origins == {Origin.HUMAN} else Origin.MACHINE,
                          held_recordings)


def _explain_lack(data: FineTuningData) -> str:
    """Return what is missing, or ''."""
    found = [(len(samples), sum(map(_count_objects, samples)))
             for samples in (data.training, data.held_back)]
    needed = (MIN_PAIRS, MIN_OBJECTS), (MIN_HELD_PAIRS, MIN_HELD_OBJECTS)
    if all(number >= minimum for numbers, minima in zip(found, needed, strict=True)
           for number, minimum in zip(numbers, minima, strict=True)):
        return ''
    (pairs, objects), (held_pairs, held_objects) = found
    return (f'{pairs} pairs with {objects} objects for training and {held_pairs} with '
            f'{held_objects} held back for the report; at least {MIN_PAIRS} with {MIN_OBJECTS} '
            f'and {MIN_HELD_PAIRS} with {MIN_HELD_OBJECTS} are needed')


def _count_objects(sample: Sample) -> int:
    assert sample.detections is not None
    return sum(box.class_name != IGNORED for box in sample.detections.read())


def make_scene(sample: Sample) -> PerceptionScene:
    """Return a pair as a training scene; raise SourceError if it cannot be read."""
    scene = make_labelled_scene(sample)
    return replace(scene, coverage=find_coverage(scene.thermal))
