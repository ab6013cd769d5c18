# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Folders of pairs, with annotations in folders beside them.

``thermal/`` and ``visible/``, or other words for them, hold images of the same stem. Beside them
may lie ``boxes/`` (YOLO, COCO classes), ``labels/`` (class numbers, of data sets that are known),
what machines said (``boxes_silver/``, ``labels_silver/``, ``labels_silver_conf/``), and points:
``landmarks/`` (matched by hand), ``corners/`` (of a checkerboard), or ``thermal_warped/`` with the
``flow/`` that made it. ``thermal16/`` (raw counts) goes before the images of ``rjpeg/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ivf_ros.data.datasets.boxes import read_yolo
from ivf_ros.data.datasets.facts import Facts, facts_of
from ivf_ros.data.datasets.labels import read_confident_labels, read_labels
from ivf_ros.data.datasets.landmarks import (
    read_corners,
    read_flow,
    read_matched_H_thermal_to_rgb,
    read_matched_points,
)
from ivf_ros.data.datasets.listing import (
    by_key,
    files_by_stem,
    Image,
    images_by_stem,
    Listing,
    name_of,
    UnusableError,
)
from ivf_ros.data.folder import find_pairs, image_files
from ivf_ros.data.recording import RGB_NAMES, SourceError, split_stem, stream_of
from ivf_ros.data.sample import Annotation, Dataset, Origin


class Sidecars:
    """
    The annotation files of a folder of pairs, as fields of a sample.

    Parameters
    ----------
    folders:
        The folders beside the images, by name in lower case.
    facts:
        Of the data set.
    machine_labels:
        Take boxes and labels that a machine made instead of those that people made.

    """

    def __init__(self, folders: Mapping[str, Path], facts: Facts, machine_labels: bool) -> None:
        kind = '_silver' if machine_labels else ''
        self._origin = Origin.MACHINE if machine_labels else Origin.HUMAN
        self._classes = facts.classes
        self._boxes = files_by_stem(folders.get(f'boxes{kind}'), '.txt')
        self._labels = (files_by_stem(folders.get(f'labels{kind}'), '.png')
                        if facts.classes else {})
        self._confidence = (files_by_stem(folders.get('labels_silver_conf'), '.jpg')
                            if machine_labels else None)
        self._landmarks = files_by_stem(folders.get('landmarks'), '.json')
        self._corners = files_by_stem(folders.get('corners'), '.json')
        self._flow = (files_by_stem(folders.get('flow'), '.npz')
                      if 'thermal_warped' in folders else {})

    def __call__(self, key: str, rgb: Image) -> dict[str, Any]:
        """Return the fields of the sample of this key, without those that nobody annotated."""
        fields: dict[str, Any] = {}
        if key in self._boxes:
            fields['detections'] = Annotation(partial(read_yolo, self._boxes[key], rgb),
                                              self._origin)
        if key in self._labels:
            fields['segmentation'] = Annotation(self._label_reader(key), self._origin)
        if key in self._landmarks:
            path = self._landmarks[key]
            fields['landmarks'] = Annotation(partial(read_matched_points, path), Origin.HUMAN)
            fields['H_thermal_to_rgb'] = read_matched_H_thermal_to_rgb(path)
        elif key in self._corners:
            fields['landmarks'] = Annotation(partial(read_corners, self._corners[key]),
                                             Origin.MEASURED)
        elif key in self._flow:
            fields['landmarks'] = Annotation(partial(read_flow, self._flow[key], rgb),
                                             Origin.EXACT)
        return fields

    def _label_reader(self, key: str) -> partial:
        if self._confidence is None:
            return partial(read_labels, self._labels[key], self._classes)
        if key not in self._confidence:
            raise SourceError(f'{self._labels[key]} has no file of its confidence')
        return partial(read_confident_labels, self._labels[key], self._confidence[key],
                       self._classes)


def find(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """Recognise a folder of pairs; raise UnusableError for one that only looks like it."""
    layout, files = _streams(folder, folders)
    if not files:
        _refuse_single_stream(folder, folders)
        return []
    name = name_of(folder)
    facts = facts_of(name)
    listing = Listing(name, layout, folder)
    thermal, rgb = (by_key(files[stream], lambda path: split_stem(path.stem)[1])
                    for stream in ('thermal', 'rgb'))
    listing.add(thermal, rgb, facts, Sidecars(folders, facts, machine_labels))
    return [listing.dataset()]


def _streams(folder: Path, folders: Mapping[str, Path]) -> tuple[str, dict[str, list[Path]]]:
    """Return the layout and the files of each stream; no files where there is none."""
    if 'visible' in folders:
        for layout, thermal in (('R-JPEG', 'thermal16'), ('warped pairs', 'thermal_warped')):
            if thermal in folders:
                return layout, {'thermal': image_files(folders[thermal]),
                                'rgb': image_files(folders['visible'])}
    try:
        return 'pairs', find_pairs(folder)
    except SourceError as error:
        raise UnusableError(str(error)) from None


def _refuse_single_stream(folder: Path, folders: Mapping[str, Path]) -> None:
    streams = {stream_of(name) for name in folders} - {None}
    if streams == {'thermal'}:
        thermal = next(path for name, path in folders.items() if stream_of(name))
        count = len(images_by_stem(thermal))
        if count:
            raise UnusableError(f'{folder}: {count} thermal images in {thermal.name}/ but no '
                                f'visible ones ({", ".join(RGB_NAMES)}), so no pairs')
