# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of published image-fusion data sets: MSRS, RoadScene, M3FD, TNO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
import os
from pathlib import Path
import re
from typing import Any

from ivf_ros.data.datasets import facts
from ivf_ros.data.datasets.boxes import read_voc, read_yolo
from ivf_ros.data.datasets.labels import read_labels
from ivf_ros.data.datasets.listing import (
    files_by_stem,
    human_boxes,
    Image,
    images_by_stem,
    Listing,
    subfolders,
)
from ivf_ros.data.files import IMAGE_SUFFIXES, is_hidden
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Annotation, Dataset, Origin
from ivf_ros.types import MFNET_CLASSES

_MSRS_STEM = re.compile(r'\d{5}[DN]')

_TNO_NAMES = {'athena_images', 'nato_camp_sequence', 'kaptein_1123', 'marne_01', 'duine_sequence'}
_TNO_MAX_DEPTH = 3  # Athena_images/APC_1/view_1
_MAX_SCENE_FILES = 30  # more than in any TNO scene
# The first word decides: 'IR_hei_vis_g' is thermal. 'NIR' is near infrared: reflected light.
_TNO_WORD = re.compile(r'(?<![A-Za-z])(LWIR|IR|VIS)(?![A-Za-z])', re.IGNORECASE)


def find_msrs(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """
    Recognise a split, ``ir vi Segmentation_labels``, or ``detection``, ``ir vi labels``.

    A split without labels is recognised by the names of its images: ``00004N``, ``00103D``.
    """
    if not {'ir', 'vi'} <= folders.keys():
        return []
    boxes = files_by_stem(folders.get('labels'), '.txt') if folder.name == 'detection' else {}
    thermal = images_by_stem(folders['ir'])
    if not boxes and 'segmentation_labels' not in folders \
            and not all(map(_MSRS_STEM.fullmatch, thermal or ('',))):
        return []
    labels = files_by_stem(folders.get('segmentation_labels'), '.png')

    def annotate(key: str, rgb: Image) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        if key in boxes:
            fields['detections'] = Annotation(partial(read_yolo, boxes[key], rgb), Origin.HUMAN)
        if key in labels:
            fields['segmentation'] = Annotation(
                partial(read_labels, labels[key], MFNET_CLASSES), Origin.HUMAN)
        return {} if machine_labels else fields

    listing = Listing(f'msrs/{folder.name.lower()}', 'MSRS', folder)
    listing.add(thermal, images_by_stem(folders['vi']), facts.MSRS, annotate)
    return [listing.dataset()]


def find_roadscene(folder: Path, folders: Mapping[str, Path], _: bool) -> list[Dataset]:
    """Recognise ``cropinfrared`` with ``crop_LR_visible`` or, without it, ``crop_HR_visible``."""
    visible = folders.get('crop_lr_visible') or folders.get('crop_hr_visible')
    if 'cropinfrared' not in folders or visible is None:
        return []
    listing = Listing('roadscene', 'RoadScene', folder)
    listing.add(images_by_stem(folders['cropinfrared']), images_by_stem(visible),
                facts.ROADSCENE)
    return [listing.dataset()]


def find_m3fd(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """Recognise ``Ir Vis Annotation``, and ``Ir Vis`` in a folder ``M3FD_Fusion``."""
    if not {'ir', 'vis'} <= folders.keys():
        return []
    part = {'m3fd_fusion': 'fusion'}.get(folder.name.lower(), 'detection')
    if part == 'detection' and 'annotation' not in folders:
        return []
    boxes = {} if machine_labels else files_by_stem(folders.get('annotation'), '.xml')
    listing = Listing(f'm3fd/{part}', 'M3FD', folder)
    listing.add(images_by_stem(folders['ir']), images_by_stem(folders['vis']), facts.M3FD,
                human_boxes(read_voc, boxes))
    return [listing.dataset()]


def find_tno(folder: Path, folders: Mapping[str, Path], _: bool) -> list[Dataset]:
    """
    Recognise a tree of scene folders that contain a thermal and a visible image among others.

    Its sequences are folders ``thermal`` with ``1800i.bmp`` and ``visual`` with ``1800v.bmp``.
    """
    lower = folder.name.lower()
    is_tno = lower.startswith('tno') or bool(_TNO_NAMES & {lower, *folders})
    n_scenes = sum(all(_find_scene(path).values()) for path in folders.values())
    if n_scenes < 2 and 'athena_images' not in folders:
        return []
    listing = Listing('tno' if is_tno else folder.name, 'TNO', folder)
    for path in _walk(folder, _TNO_MAX_DEPTH):
        prefix = path.relative_to(folder).as_posix() if path != folder else folder.name
        scene = _find_scene(path)
        if scene['thermal'] and scene['rgb']:
            listing.add({prefix: scene['thermal']}, {prefix: scene['rgb']},
                        facts.TNO if is_tno else facts.UNKNOWN)
        elif scene['thermal'] or scene['rgb']:
            listing.add_unpaired('thermal' if scene['thermal'] else 'visible', [prefix])
        _add_sequence(listing, path, prefix)
    return [listing.dataset()]


def _add_sequence(listing: Listing, folder: Path, prefix: str) -> None:
    folders = subfolders(folder)
    if not {'thermal', 'visual'} <= folders.keys():
        return
    thermal, rgb = ({stem.removesuffix(letter): path
                     for stem, path in images_by_stem(folders[name]).items()}
                    for name, letter in (('thermal', 'i'), ('visual', 'v')))
    is_duine = thermal.keys() >= {'7400'}
    listing.add(thermal, rgb, facts.DUINE if is_duine else facts.UNKNOWN, prefix=f'{prefix}/',
                scene=prefix)


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth:
        for subfolder in subfolders(folder).values():
            yield from _walk(subfolder, depth - 1)


def _find_scene(folder: Path) -> dict[str, Path | None]:
    """Return the thermal and the visible image of a scene folder; None if not unique."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _MAX_SCENE_FILES)
                     if not is_hidden(entry.name)]
    except OSError as error:
        raise SourceError(f'cannot list {folder}: {error.strerror}') from None
    files: dict[str, list[tuple[bool, Path]]] = {'thermal': [], 'rgb': []}
    for name in names if len(names) < _MAX_SCENE_FILES else ():
        path = folder / name
        word = _TNO_WORD.search(path.stem)
        if word and path.suffix.lower() in IMAGE_SUFFIXES:
            stream = 'rgb' if word[0].upper() == 'VIS' else 'thermal'
            files[stream].append((word.start() == 0, path))
    return {stream: _select_unique(paths) for stream, paths in files.items()}


def _select_unique(files: list[tuple[bool, Path]]) -> Path | None:
    """Return the file whose name starts with the word, or else the only one; None if ambiguous."""
    paths = [path for starts, path in files if starts] or [path for _, path in files]
    return paths[0] if len(paths) == 1 else None
