# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Layouts of two aerial data sets: VTUAV (tracking) and VTUAV-det (detection)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
import re
from typing import Any

from ivf_ros.data.datasets import facts
from ivf_ros.data.datasets.boxes import read_coco, read_coco_file, read_track
from ivf_ros.data.datasets.listing import Image, images_by_stem, Listing, subfolders
from ivf_ros.data.recording import natural_key, SourceError
from ivf_ros.data.sample import Annotation, Dataset, Origin
from ivf_ros.regular_files import read_text

_FRAMES_PER_BOX = 10
_DET_FILES = {'train': 'train_ir.json', 'test': 'val_ir.json'}


def find_vtuav(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """
    Recognise a sequence, ``rgb/ ir/ rgb.txt``, or a folder of sequences.

    Every tenth frame has the box of the tracked object, from ``rgb.txt``. The class of the object
    is the name of the sequence without its number.
    """
    sequences = [path for path in (*folders.values(), folder) if _is_sequence(path)]
    if not sequences:
        return []
    split = folder.parent if sequences == [folder] else folder
    listing = Listing(f'vtuav/{split.name}', 'VTUAV', folder)
    for path in sequences:
        rgb = images_by_stem(path / 'rgb')
        boxes = {} if machine_labels else _track_annotations(path, sorted(rgb, key=natural_key))

        def annotate(key: str, _rgb: Image, boxes: Mapping[str, Any] = boxes) -> dict[str, Any]:
            return {'detections': boxes[key]} if key in boxes else {}

        listing.add(images_by_stem(path / 'ir'), rgb, facts.UNKNOWN, annotate,
                    prefix=f'{path.name}/', scene=path.name)
    return [listing.dataset()]


def find_vtuav_det(folder: Path, folders: Mapping[str, Path],
                   machine_labels: bool) -> list[Dataset]:
    """Recognise ``train/rgb train/ir`` beside ``train_ir.json``; ``test`` has ``val_ir.json``."""
    split = folder.name.lower()
    if not {'rgb', 'ir'} <= folders.keys() or split not in _DET_FILES:
        return []
    path = folder.parent / _DET_FILES[split]
    if not path.is_file():
        return []
    boxes = {} if machine_labels else read_coco_file(path).images

    def annotate(key: str, _rgb: Image) -> dict[str, Any]:
        if key not in boxes:
            return {}
        return {'detections': Annotation(partial(read_coco, path, key), Origin.HUMAN)}

    listing = Listing(f'vtuav_det/{split}', 'VTUAV-det', folder)
    listing.add(images_by_stem(folders['ir']), images_by_stem(folders['rgb']), facts.UNKNOWN,
                annotate)
    return [listing.dataset()]


def _is_sequence(folder: Path) -> bool:
    return (folder / 'rgb.txt').is_file() and {'rgb', 'ir'} <= subfolders(folder).keys()


def _track_annotations(sequence: Path, keys: list[str]) -> dict[str, Annotation]:
    """Return the annotations of the annotated frames, by key."""
    path = sequence / 'rgb.txt'
    try:
        rows = sum(bool(line.strip()) for line in read_text(path).splitlines())
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    except UnicodeDecodeError:
        raise SourceError(f'{path} is no text') from None
    name = re.sub(r'[_-]*\d+$', '', sequence.name).lower()
    name = {'pedestrian': 'person'}.get(name, name)
    return {key: Annotation(partial(read_track, path, row, name), Origin.HUMAN, complete=False)
            for row, key in enumerate(keys[:rows * _FRAMES_PER_BOX:_FRAMES_PER_BOX])}
