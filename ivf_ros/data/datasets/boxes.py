# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Boxes in the text formats in which data sets publish them.

All readers return boxes in pixels of the RGB image, whose pixel 0 reaches from 0 to 1, and raise
SourceError with the path where a file is missing, truncated or malformed.
"""

from __future__ import annotations

from functools import lru_cache
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ivf_ros import geometry
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import IGNORED, read_pixels
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.types import Detection

Boxes = tuple[Detection, ...]

# COCO's first classes, which the YOLO files here use.
_YOLO_CLASSES = ('person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck')
_YOLO_SLACK = 1e-3  # rounding in the files

# Crowds in one box, and what the annotator was not sure of.
_UNSURE = ('people', 'person?', 'crowd', 'uncertain')
_BBGT_HEADER = '% bbGt version=3'


def read_yolo(path: Path, rgb: Path | VideoFrame) -> Boxes:
    """
    Read YOLO lines: class, centre x, y, width, height as shares of the image, perhaps a score.

    Classes are those of COCO, of which 0 to 7 are known: person, bicycle, car, ..., truck. ``rgb``
    is the image that the shares refer to.
    """
    rows = _rows(path)
    if not rows:
        return ()
    width, height = geometry.size_of(read_pixels(rgb))
    return tuple(_from_yolo(location, fields, width, height) for location, fields in rows)


def read_voc(path: Path) -> Boxes:
    """
    Read a Pascal VOC file, whose pixels count from 1 and whose corners are both inside the box.

    So ``xmin`` 1 and ``xmax`` 2 are the first two columns, a box from 0 to 2. Names become lower
    case, 'People' a person; what is marked difficult is to be ignored.
    """
    try:
        root = ElementTree.fromstring(_text(path))
    except ElementTree.ParseError as error:
        raise SourceError(f'{path} is no complete XML: {error}') from None
    if root.tag != 'annotation':
        raise SourceError(f"{path} is no Pascal VOC file: it starts with '{root.tag}'")
    return tuple(_from_voc(path, found) for found in root.findall('object'))


def read_bbgt(path: Path) -> Boxes:
    """
    Read lines of 'bbGt version 3', the format of KAIST and Caltech.

    A line is ``label x y w h occluded vx vy vw vh ignore angle``; a crowd ('people'), an unsure
    label ('person?') and a box with the flag are to be ignored. The position is taken for that of
    the left and top edge as it stands.
    """
    rows = _rows(path)
    if not rows or ' '.join(rows[0][1]) != _BBGT_HEADER:
        raise SourceError(f"{path} does not start with '{_BBGT_HEADER}'")
    return tuple(_from_bbgt(location, fields) for location, fields in rows[1:])


def read_coco(path: Path, key: str) -> Boxes:
    """Read the boxes of one image, named by the stem of its file, from a COCO file."""
    return coco_boxes(path)[key]


def coco_boxes(path: Path) -> dict[str, Boxes]:
    """Read a COCO file, once a process: the stem of each image to its boxes."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    return _coco_boxes(path, changed)


def read_track(path: Path, row: int, class_name: str) -> Boxes:
    """
    Read one line ``x y w h`` of the file of a tracked object; the object is absent where w is 0.

    ``row`` counts from 0.
    """
    rows = _rows(path)
    if row >= len(rows):
        raise SourceError(f'{path} has {len(rows)} boxes, so none of number {row}')
    location, fields = rows[row]
    if len(fields) != 4:
        raise SourceError(f"{location}: expected 'x y w h', got {' '.join(fields)!r}")
    x, y, w, h = _numbers(location, fields)
    return (Detection((x, y, x + w, y + h), class_name, 1.0),) if w > 0 and h > 0 else ()


def _from_yolo(location: str, fields: list[str], width: int, height: int) -> Detection:
    if len(fields) not in (5, 6):
        raise SourceError(f"{location}: expected 'class x y w h' and perhaps a score, "
                          f"got {' '.join(fields)!r}")
    number, *shares = _numbers(location, fields)
    if number not in range(len(_YOLO_CLASSES)):
        raise SourceError(f'{location}: class {fields[0]} is none of 0 to {len(_YOLO_CLASSES) - 1}')
    if not all(-_YOLO_SLACK <= share <= 1 + _YOLO_SLACK for share in shares):
        raise SourceError(f"{location}: shares lie in 0 to 1, got {' '.join(fields[1:])}")
    x, y, w, h = shares[:4]
    box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    score = min(max(shares[4], 0.0), 1.0) if len(shares) == 5 else 1.0
    return Detection(box, _YOLO_CLASSES[int(number)], score)


def _from_voc(path: Path, found: ElementTree.Element) -> Detection:
    texts = [found.findtext('name'),
             *(found.findtext(f'bndbox/{edge}') for edge in ('xmin', 'ymin', 'xmax', 'ymax'))]
    if not all(texts):
        raise SourceError(f'{path}: an object needs a name and a bndbox of xmin, ymin, xmax, ymax,'
                          f' got {texts}')
    name, *edges = (str(text).strip() for text in texts)
    left, top, right, bottom = _numbers(str(path), edges)
    if right < left or bottom < top:
        raise SourceError(f'{path}: a box ends before it starts: {" ".join(edges)}')
    name = {'people': 'person'}.get(name.lower(), name.lower())
    difficult = (found.findtext('difficult') or '0').strip() == '1'
    return Detection((left - 1, top - 1, right, bottom), IGNORED if difficult else name, 1.0)


def _from_bbgt(location: str, fields: list[str]) -> Detection:
    if len(fields) != 12:
        raise SourceError(f'{location}: expected 12 fields, got {len(fields)}')
    label = fields[0]
    x, y, w, h, *_, ignore, _ = _numbers(location, fields[1:])
    return _make_detection(label, (x, y, w, h), ignored=ignore != 0)


def _make_detection(label: str, box_xywh: tuple[float, ...], ignored: bool) -> Detection:
    x, y, w, h = box_xywh
    # A box of no area marks nothing that could be found.
    ignored = ignored or label in _UNSURE or w <= 0 or h <= 0
    return Detection((x, y, x + w, y + h), IGNORED if ignored else label, 1.0)


@lru_cache(maxsize=4)
def _coco_boxes(path: Path, _changed: int) -> dict[str, Boxes]:
    try:
        content: Any = json.loads(_text(path))
        names = {one['id']: str(one['name']).lower() for one in content['categories']}
        stems = {one['id']: Path(one['file_name']).stem for one in content['images']}
        found: dict[str, list[Detection]] = {stem: [] for stem in stems.values()}
        for one in content['annotations']:
            found[stems[one['image_id']]].append(
                _make_detection(names[one['category_id']], tuple(map(float, one['bbox'])),
                                ignored=bool(one.get('iscrowd', 0))))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceError(f'{path} is no complete COCO file: {error!r}') from None
    return {stem: tuple(boxes) for stem, boxes in found.items()}


def _rows(path: Path) -> list[tuple[str, list[str]]]:
    """Return where each line stands and its fields, separated by spaces or commas."""
    return [(f'{path}, line {number}', line.replace(',', ' ').split())
            for number, line in enumerate(_text(path).splitlines(), start=1) if line.strip()]


def _numbers(location: str, fields: list[str]) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise SourceError(f'{location}: {error}') from None
    if not all(map(math.isfinite, values)):
        raise SourceError(f"{location}: not finite: {' '.join(fields)}")
    return values


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding='utf-8-sig')
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    except UnicodeDecodeError:
        raise SourceError(f'{path} is no text') from None
