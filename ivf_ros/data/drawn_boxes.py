# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Boxes that the developers of this package drew on frames of public data sets.

A file holds names and boxes only, no images::

    {"format": "ivf_ros drawn boxes 1",
     "frames": [
      {"dataset": "tno42/train", "sample": "0007", "half": "choosing", "size": [620, 450],
       "boxes": [{"box": [12, 30, 25, 61], "class": "person", "seen_in": "thermal",
                  "sure": "yes"}]}]}

``box`` is left, top, right and bottom in pixels of the RGB image; pixel 0 extends from 0 to 1.
``seen_in`` says in which image one can recognise the object: both, rgb or thermal. ``sure`` is yes
or likely. An object that may or may not count has the class ``ignore``. The half ``choosing`` is
for decisions between variants, the half ``reporting`` for published figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
import json
from pathlib import Path
from typing import Any

from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Annotation, Dataset, Origin, Sample
from ivf_ros.types import Detection

HALVES = 'choosing', 'reporting'
_FORMAT = 'ivf_ros drawn boxes 1'


@dataclass(frozen=True)
class DrawnFrame:
    """The boxes of one frame, and the half that it belongs to; see the module."""

    dataset: str
    sample: str
    half: str
    boxes: tuple[Detection, ...]


def read_frames(path: Path) -> tuple[DrawnFrame, ...]:
    """
    Read a file of drawn boxes.

    Raises
    ------
    SourceError
        It cannot be read, or does not have this format.

    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if content.get('format') != _FORMAT:
            raise SourceError(f"{path}: the format is {content.get('format')!r}, not {_FORMAT!r}")
        frames = tuple(map(_read_frame, content['frames']))
    except OSError as error:
        raise SourceError(f'{path}: {error.strerror}') from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f'{path}: not a file of drawn boxes: {error!r}') from None
    for frame in frames:
        if frame.half not in HALVES:
            raise SourceError(f"{path}: {frame.dataset} {frame.sample}: half is '{frame.half}'; "
                              f"allowed are {', '.join(HALVES)}")
    return frames


def keep_drawn(datasets: Iterable[Dataset], frames: Iterable[DrawnFrame], half: str = ''
               ) -> list[Dataset]:
    """
    Return the data sets with only the samples that have drawn boxes, and with these boxes.

    Parameters
    ----------
    datasets:
        Data sets, as from ``find_datasets``.
    frames:
        The frames of a file.
    half:
        One of ``HALVES``, or empty for both.

    Raises
    ------
    SourceError
        No sample has drawn boxes.

    """
    datasets = list(datasets)
    drawn = {(frame.dataset, frame.sample): frame for frame in frames
             if frame.half == (half or frame.half)}
    kept = []
    for dataset in datasets:
        samples = tuple(_annotate(sample, drawn[dataset.name, sample.name])
                        for sample in dataset.samples if (dataset.name, sample.name) in drawn)
        if samples:
            kept.append(replace(dataset, samples=samples))
    if not kept:
        found = ', '.join(dataset.name for dataset in datasets) or 'none'
        known = ', '.join(sorted({name for name, _ in drawn})) or 'none'
        raise SourceError(f'none of the pairs has drawn boxes; data sets: {found}; drawn in: '
                          f'{known}')
    return kept


def _annotate(sample: Sample, frame: DrawnFrame) -> Sample:
    return replace(sample, detections=Annotation(partial(_boxes_of, frame), Origin.DEVELOPERS))


def _boxes_of(frame: DrawnFrame) -> tuple[Detection, ...]:
    """Return the boxes; in contrast to a lambda, it can be pickled."""
    return frame.boxes


def _read_frame(record: dict[str, Any]) -> DrawnFrame:
    boxes = []
    for box in record['boxes']:
        left, top, right, bottom = map(float, box['box'])
        if not (0 <= left < right <= record['size'][0] and 0 <= top < bottom <= record['size'][1]):
            raise ValueError(f'{record["dataset"]} {record["sample"]}: the box {box["box"]} is '
                             f'not in the image of {record["size"]}')
        boxes.append(Detection((left, top, right, bottom), str(box['class']), 1.0))
    return DrawnFrame(str(record['dataset']), str(record['sample']), str(record['half']),
                      tuple(boxes))
