# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Construction of the samples of a data set from files with matching names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
import logging
import os
from pathlib import Path
from typing import Any

from ivf_ros.data.datasets.facts import Facts, is_known
from ivf_ros.data.files import IMAGE_SUFFIXES, is_hidden
from ivf_ros.data.pair_names import FilePairs
from ivf_ros.data.recording import natural_key, SourceError
from ivf_ros.data.sample import Annotation, Dataset, Origin, Sample
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.types import Detection

SPLITS = ('train', 'test', 'val', 'validation', 'trainval')

Image = Path | VideoFrame
# Returns the annotation fields of a sample from its key and its RGB image.
Annotate = Callable[[str, Image], Mapping[str, Any]]


class UnusableError(SourceError):
    """A folder has the layout of a data set but contains no pairs."""


def no_annotations(_key: str, _rgb: Image) -> Mapping[str, Any]:
    """Return no annotations."""
    return {}


def human_boxes(read: Callable[[Path], tuple[Detection, ...]],
                paths: Mapping[str, Path]) -> Annotate:
    """Return an annotation function for human boxes, read from the files ``paths`` by key."""
    def annotate(key: str, _rgb: Image) -> Mapping[str, Any]:
        if key not in paths:
            return {}
        return {'detections': Annotation(partial(read, paths[key]), Origin.HUMAN)}
    return annotate


class Listing:
    """
    A data set under construction.

    Parameters
    ----------
    name, layout, root:
        As in ``Dataset``.

    """

    def __init__(self, name: str, layout: str, root: Path) -> None:
        self.name = name
        self._layout = layout
        self._root = root
        self._samples: list[Sample] = []
        self._unpaired: dict[str, list[str]] = {'thermal': [], 'visible': []}

    def add(self, thermal: Mapping[str, Image], rgb: Mapping[str, Image], facts: Facts,
            annotate: Annotate = no_annotations, *, prefix: str = '', scene: str = '',
            light: str = '') -> None:
        """
        Add the pairs of two folders, or of two videos.

        ``thermal`` and ``rgb`` map a key to the image; partners have the same key. The name of a
        sample is ``prefix`` and its key. If empty, scene and light come from the facts.
        """
        for key in sorted(thermal.keys() & rgb.keys(), key=natural_key):
            name = prefix + key
            self._samples.append(Sample(
                dataset=self.name, name=name, thermal=thermal[key], rgb=rgb[key],
                scene=scene or facts.scene(key), light=light or facts.light(key),
                aligned=facts.aligned, alignment_px=facts.alignment_px,
                **annotate(key, rgb[key])))
        self.add_unpaired('thermal', [prefix + key for key in thermal.keys() - rgb.keys()])
        self.add_unpaired('visible', [prefix + key for key in rgb.keys() - thermal.keys()])

    def add_pairs(self, files: FilePairs, facts: Facts,
                  annotate: Annotate = no_annotations) -> None:
        """Add the pairs of files, and record those without a partner."""
        self.add({key: thermal for key, (thermal, _) in files.pairs.items()},
                 {key: rgb for key, (_, rgb) in files.pairs.items()}, facts, annotate)
        for stream, name in (('thermal', 'thermal'), ('rgb', 'visible')):
            self.add_unpaired(name, [path.stem for path in files.unpaired[stream]])

    def add_unpaired(self, stream: str, names: list[str]) -> None:
        """Record images of ``'thermal'`` or ``'visible'`` that have no partner."""
        self._unpaired[stream] += names

    def dataset(self) -> Dataset:
        """
        Return the data set; images without a partner are logged once.

        Raises
        ------
        UnusableError
            There is no pair.

        """
        unpaired = [f'{len(names)} {stream} (such as {min(names, key=natural_key)})'
                    for stream, names in self._unpaired.items() if names]
        if not self._samples:
            raise UnusableError(f'{self._root}: no thermal and visible image belong together; '
                                f'unpaired: {" and ".join(unpaired) or "none"}')
        if unpaired:
            logging.getLogger(__name__).warning(
                '%s: skipped, because they have no partner: %s', self.name, ' and '.join(unpaired))
        samples = sorted(self._samples, key=lambda sample: natural_key(sample.name))
        return Dataset(self.name, self._layout, self._root, tuple(samples))


def name_of(folder: Path) -> str:
    """
    Return the name of the data set in a folder.

    It is the name of the folder. If the parent folder is a known data set, or the folder has the
    name of a split, the name of the parent precedes it.
    """
    parent = folder.parent.name
    if parent and (is_known(parent) or folder.name.lower() in SPLITS):
        return f'{parent}/{folder.name}'
    return folder.name


def subfolders(folder: Path) -> dict[str, Path]:
    """Return the subfolders by lower-case name, in natural order."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries
                     if not is_hidden(entry.name) and entry.is_dir()]
    except OSError as error:
        raise SourceError(f'cannot list {folder}: {error.strerror}') from None
    return {name.lower(): folder / name for name in sorted(names, key=natural_key)}


def images_by_stem(folder: Path) -> dict[str, Path]:
    """Return the images of a folder by stem; raise SourceError if two have the same stem."""
    paths: dict[str, Path] = {}
    for path in _list_files(folder, IMAGE_SUFFIXES):
        if path.stem in paths:
            raise SourceError(f"{folder}: '{paths[path.stem].name}' and '{path.name}' claim the "
                              'same pair')
        paths[path.stem] = path
    return paths


def files_by_stem(folder: Path | None, suffix: str) -> dict[str, Path]:
    """Return the files of a folder with this suffix by stem; empty if the folder is absent."""
    if folder is None or not folder.is_dir():
        return {}
    return {path.stem: path for path in _list_files(folder, (suffix,))}


def _list_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder)
                if name.lower().endswith(suffixes) and not is_hidden(name)]
    except OSError as error:
        raise SourceError(f'cannot list {folder}: {error.strerror}') from None
