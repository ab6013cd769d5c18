# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Folders of pairs, with annotations in sibling folders.

``thermal/`` and ``visible/``, or folders with synonymous names, contain images with equal stems.
Optional sibling folders are ``boxes/`` (YOLO, COCO classes), ``labels/`` (class numbers, for known
data sets), machine annotations (``boxes_silver/``, ``labels_silver/``, ``labels_silver_conf/``)
and points: ``landmarks/`` (matched manually), ``corners/`` (of a checkerboard), or
``thermal_warped/`` with the ``flow/`` that produced it. ``boxes.json`` and ``boxes_silver.json``
are the same boxes in one COCO file, as ``ivf label`` writes them. ``thermal16/`` (raw counts) has
priority over the images of ``rjpeg/``. A folder of radiometric JPEG files that hold both images is
one of pairs, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ivf_ros.data.datasets.boxes import read_coco, read_coco_file, read_yolo
from ivf_ros.data.datasets.facts import block_scene, Facts, facts_of
from ivf_ros.data.datasets.labels import read_confident_labels, read_labels
from ivf_ros.data.datasets.landmarks import (
    read_corners,
    read_flow,
    read_matched_H_thermal_to_rgb,
    read_matched_points,
)
from ivf_ros.data.datasets.listing import (
    files_by_stem,
    Image,
    images_by_stem,
    Listing,
    name_of,
    UnusableError,
)
from ivf_ros.data.files import image_files
from ivf_ros.data.folder import find_pairs
from ivf_ros.data.pair_names import pair_files
from ivf_ros.data.recording import RGB_NAMES, SourceError, stream_of
from ivf_ros.data.sample import Annotation, Dataset, Origin

# Of a folder of ``ivf label``. Neighbouring frames of a recording are similar.
_REGISTERED = Facts(True, scene=block_scene)


class Sidecars:
    """
    Annotation files of a folder of pairs; a call returns them as fields of a sample.

    Parameters
    ----------
    folder:
        The folder of the pairs.
    folders:
        Its subfolders by lower-case name.
    facts:
        Facts of the data set.
    machine_labels:
        Use machine-made boxes and labels instead of human ones.

    Raises
    ------
    SourceError
        A COCO file is malformed, or holds boxes of another origin than its name says.

    """

    def __init__(self, folder: Path, folders: Mapping[str, Path], facts: Facts,
                 machine_labels: bool) -> None:
        suffix = '_silver' if machine_labels else ''
        self._origin = Origin.MACHINE if machine_labels else Origin.HUMAN
        self._classes = facts.classes
        self._boxes = files_by_stem(folders.get(f'boxes{suffix}'), '.txt')
        self._coco = folder / f'boxes{suffix}.json'
        self._coco_names = _list_annotated(self._coco, self._origin)
        self._labels = (files_by_stem(folders.get(f'labels{suffix}'), '.png')
                        if facts.classes else {})
        self._confidence = (files_by_stem(folders.get('labels_silver_conf'), '.jpg')
                            if machine_labels else None)
        self._landmarks = files_by_stem(folders.get('landmarks'), '.json')
        self._corners = files_by_stem(folders.get('corners'), '.json')
        self._flow = (files_by_stem(folders.get('flow'), '.npz')
                      if 'thermal_warped' in folders else {})

    def __call__(self, key: str, rgb: Image) -> dict[str, Any]:
        """Return the annotation fields that exist for the sample with this key."""
        fields: dict[str, Any] = {}
        if key in self._boxes:
            fields['detections'] = Annotation(partial(read_yolo, self._boxes[key], rgb),
                                              self._origin)
        elif key in self._coco_names:
            fields['detections'] = Annotation(partial(read_coco, self._coco, key), self._origin)
        if key in self._labels:
            fields['segmentation'] = Annotation(self._make_label_reader(key), self._origin)
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

    def _make_label_reader(self, key: str) -> partial:
        if self._confidence is None:
            return partial(read_labels, self._labels[key], self._classes)
        if key not in self._confidence:
            raise SourceError(f'{self._labels[key]} has no confidence file')
        return partial(read_confident_labels, self._labels[key], self._confidence[key],
                       self._classes)


def find(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """Recognise a folder of pairs; raise UnusableError if it has the layout but no pairs."""
    layout, files = _find_streams(folder, folders)
    if not files:
        _refuse_single_stream(folder, folders)
        return []
    name = name_of(folder)
    facts = _REGISTERED if _is_registered(folder) else facts_of(name)
    listing = Listing(name, layout, folder)
    listing.add_pairs(pair_files(files['thermal'], files['rgb'], str(folder)), facts,
                      Sidecars(folder, folders, facts, machine_labels))
    return [listing.dataset()]


def _is_registered(folder: Path) -> bool:
    """Return whether ``ivf label`` made the pairs: thermal lies on the RGB grid."""
    path = folder / 'boxes_silver.json'
    return path.is_file() and read_coco_file(path).info.get('registered') is True


def _list_annotated(path: Path, origin: Origin) -> Collection[str]:
    """Return the names of the images of a COCO file; none without it."""
    if not path.is_file():
        return ()
    content = read_coco_file(path)
    stated = content.info.get('origin', origin.value)
    if stated != origin.value:
        raise SourceError(f"{path} holds boxes of origin '{stated}', and its name is for those of "
                          f"origin '{origin.value}'; see docs/datasets.md")
    return content.images.keys()


def _find_streams(folder: Path, folders: Mapping[str, Path]) -> tuple[str, dict[str, list[Path]]]:
    """Return the layout and the files of each stream; without a layout no files."""
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
