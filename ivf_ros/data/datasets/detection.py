# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of published detection data sets: LLVIP, FLIR-aligned, FLIR ADAS, KAIST."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
import logging
from pathlib import Path
import re

from ivf_ros.data.datasets import facts
from ivf_ros.data.datasets.boxes import read_bbgt, read_voc
from ivf_ros.data.datasets.listing import (
    files_by_stem,
    human_boxes,
    images_by_stem,
    Listing,
    subfolders,
)
from ivf_ros.data.folder import find_stream_folders, stream_files
from ivf_ros.data.pair_names import pair_files
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Dataset
from ivf_ros.regular_files import read_text

_FLIR_SUFFIXES = {'thermal': '_PreviewData', 'rgb': '_RGB'}
_FLIR_LISTS = {'train': 'align_train.txt', 'validation': 'align_validation.txt'}

_ADAS_FOLDER = re.compile(r'thermal_(8|16)_bit|(images|video)_thermal_(train|val|test)')

_KAIST_SET = re.compile(r'set\d\d')
_KAIST_VIDEO = re.compile(r'v\d{3}')
_KAIST_TRAINING_SETS = range(6)
_KAIST_DAY_SETS = (0, 1, 2, 6, 7, 8)


def find_llvip(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """Recognise ``infrared/train visible/train Annotations``, and ``test`` likewise."""
    if not {'infrared', 'visible'} <= folders.keys():
        return []
    thermal, rgb = (subfolders(folders[name]) for name in ('infrared', 'visible'))
    annotate = human_boxes(read_voc, {} if machine_labels
                           else files_by_stem(folders.get('annotations'), '.xml'))
    datasets = []
    for split in (name for name in ('train', 'test') if name in thermal and name in rgb):
        listing = Listing(f'llvip/{split}', 'LLVIP', folder)
        listing.add(images_by_stem(thermal[split]), images_by_stem(rgb[split]), facts.LLVIP,
                    annotate)
        datasets.append(listing.dataset())
    return datasets


def find_flir_aligned(folder: Path, folders: Mapping[str, Path],
                      machine_labels: bool) -> list[Dataset]:
    """
    Recognise ``JPEGImages`` with ``FLIR_00001_PreviewData.jpeg`` and ``FLIR_00001_RGB.jpg``.

    ``align_train.txt`` and ``align_validation.txt`` list the pairs of the splits. Without both
    files, all pairs form one data set.
    """
    if 'jpegimages' not in folders:
        return []
    stems = images_by_stem(folders['jpegimages'])
    thermal, rgb = ({stem.removesuffix(suffix): path for stem, path in stems.items()
                     if stem.endswith(suffix)} for suffix in _FLIR_SUFFIXES.values())
    if not thermal or not rgb:
        return []
    boxes = {} if machine_labels else files_by_stem(folders.get('annotations'), '.xml')
    annotate = human_boxes(read_voc, {stem.removesuffix(_FLIR_SUFFIXES['thermal']): path
                                      for stem, path in boxes.items()})
    splits = {split: _read_flir_keys(folder / file) for split, file in _FLIR_LISTS.items()
              if (folder / file).is_file()}
    if not splits:
        listing = Listing('flir_aligned', 'FLIR-aligned', folder)
        listing.add(thermal, rgb, facts.FLIR_ALIGNED, annotate)
        return [listing.dataset()]
    datasets = []
    for split, keys in splits.items():
        listing = Listing(f'flir_aligned/{split}', 'FLIR-aligned', folder)
        listing.add(_select(thermal, keys), _select(rgb, keys), facts.FLIR_ALIGNED, annotate)
        listing.add_unpaired('thermal', sorted(keys - thermal.keys() - rgb.keys()))
        datasets.append(listing.dataset())
    unlisted = (thermal.keys() | rgb.keys()).difference(*splits.values())
    if unlisted:
        logging.getLogger(__name__).warning(
            '%s: skipped, because neither list names them: %d (such as %s)', folder, len(unlisted),
            min(unlisted))
    return datasets


def find_flir_adas(folder: Path, folders: Mapping[str, Path],
                   machine_labels: bool) -> list[Dataset]:
    """
    Recognise ``thermal_8_bit RGB`` or ``images_thermal_train images_rgb_train`` of FLIR ADAS.

    The cameras are not aligned, and the boxes are those of the thermal images, so there are none
    on the RGB grid.
    """
    if not any(_ADAS_FOLDER.fullmatch(name) for name in folders):
        return []
    datasets = []
    for split, streams in find_stream_folders(folder).items():
        name = f'flir_adas/{split or folder.name}'
        listing = Listing(name, 'FLIR-ADAS', folder)
        listing.add_pairs(pair_files(stream_files(streams['thermal']),
                                     stream_files(streams['rgb']), name), facts.UNKNOWN)
        datasets.append(listing.dataset())
    return datasets


def find_kaist(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """
    Recognise ``images/set00/V000/{lwir,visible}/I00000.jpg``.

    The boxes are in ``annotations/set00/V000/I00000.txt``. Sets 00 to 05 form the training split.
    """
    images = folders.get('images', folder)
    base = images.parent if images.name.lower() == 'images' else images
    videos: dict[str, list[Path]] = {'train': [], 'test': []}
    for path in _find_kaist_videos(images):
        number = int(path.parent.name[3:])
        videos['train' if number in _KAIST_TRAINING_SETS else 'test'].append(path)
    datasets = []
    for split in (split for split, paths in videos.items() if paths):
        listing = Listing(f'kaist/{split}', 'KAIST', folder)
        for path in videos[split]:
            sequence = f'{path.parent.name}/{path.name}'
            boxes = {} if machine_labels \
                else files_by_stem(base / 'annotations' / sequence, '.txt')
            listing.add(images_by_stem(path / 'lwir'), images_by_stem(path / 'visible'),
                        facts.UNKNOWN, human_boxes(read_bbgt, boxes), prefix=f'{sequence}/',
                        scene=sequence, light=_kaist_light(int(path.parent.name[3:])))
        datasets.append(listing.dataset())
    return datasets


def _find_kaist_videos(images: Path) -> Iterator[Path]:
    for name, folder in subfolders(images).items():
        for video, path in subfolders(folder).items() if _KAIST_SET.fullmatch(name) else ():
            if _KAIST_VIDEO.fullmatch(video) and {'lwir', 'visible'} <= subfolders(path).keys():
                yield path


def _kaist_light(number: int) -> str:
    return 'day' if number in _KAIST_DAY_SETS else 'night'


def _select(files: Mapping[str, Path], keys: Iterable[str]) -> dict[str, Path]:
    return {key: files[key] for key in keys if key in files}


def _read_flir_keys(path: Path) -> set[str]:
    try:
        lines = read_text(path).split()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f'cannot read {path}: {error}') from None
    return {line.removesuffix(_FLIR_SUFFIXES['thermal']) for line in lines}
