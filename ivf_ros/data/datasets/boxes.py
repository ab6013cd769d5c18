# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Readers of bounding boxes in the text formats of published data sets.

All readers return boxes in pixels of the RGB image; pixel 0 extends from 0 to 1. They raise
SourceError with the path if a file is missing, truncated or malformed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ivf_ros import geometry
from ivf_ros.data.annotated_image import AnnotatedImage, enclose_rotated
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import IGNORED, read_pixels
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.regular_files import read_text
from ivf_ros.types import Detection

Boxes = tuple[Detection, ...]

# The first classes of COCO, used in the YOLO files of these data sets.
_YOLO_CLASSES = ('person', 'bicycle', 'car', 'motorcycle', 'airplane', 'bus', 'train', 'truck')
_YOLO_SLACK = 1e-3  # tolerance for rounding in the files

# Labels of crowds and of uncertain objects.
_UNCERTAIN = ('people', 'person?', 'crowd', 'uncertain')
_BBGT_HEADER = '% bbGt version=3'


@dataclass(frozen=True, eq=False)
class CocoFile:
    """
    The content of a COCO file.

    Attributes
    ----------
    info:
        Its entry ``info``; empty without one.
    images:
        The annotated images by the stem of their file name.

    """

    info: Mapping[str, Any]
    images: Mapping[str, AnnotatedImage]


def read_yolo(path: Path, rgb: Path | VideoFrame) -> Boxes:
    """
    Read YOLO lines: class, centre x, y, width, height relative to the image size, optional score.

    Classes are 0 to 7 of COCO: person, bicycle, car, ..., truck. ``rgb`` is the image whose size
    the values refer to.
    """
    rows = _read_rows(path)
    if not rows:
        return ()
    width, height = geometry.size_of(read_pixels(rgb))
    return tuple(_parse_yolo(location, fields, width, height) for location, fields in rows)


def read_voc(path: Path) -> Boxes:
    """
    Read a Pascal VOC file with 1-based pixels and inclusive corners.

    ``xmin`` 1 and ``xmax`` 2 are the first two columns, a box from 0 to 2. Names become lower
    case; 'People' becomes 'person'; difficult objects are to be ignored.
    """
    try:
        root = ElementTree.fromstring(_read_text(path))
    except ElementTree.ParseError as error:
        raise SourceError(f'{path} is no complete XML: {error}') from None
    if root.tag != 'annotation':
        raise SourceError(f"{path} is no Pascal VOC file: it starts with '{root.tag}'")
    return tuple(_parse_voc(path, element) for element in root.findall('object'))


def read_bbgt(path: Path) -> Boxes:
    """
    Read lines of 'bbGt version 3', the format of KAIST and Caltech.

    A line is ``label x y w h occluded vx vy vw vh ignore angle``. Crowds ('people'), uncertain
    labels ('person?') and boxes with the ignore flag are to be ignored. The position is used
    unchanged as the left and top edge.
    """
    rows = _read_rows(path)
    if not rows or ' '.join(rows[0][1]) != _BBGT_HEADER:
        raise SourceError(f"{path} does not start with '{_BBGT_HEADER}'")
    return tuple(_parse_bbgt(location, fields) for location, fields in rows[1:])


def read_coco(path: Path, key: str) -> Boxes:
    """Read the boxes of one image from a COCO file; ``key`` is the stem of the image file."""
    return read_coco_file(path).images[key].boxes


def read_coco_file(path: Path) -> CocoFile:
    """
    Read a COCO file; cached.

    Crowds ('iscrowd') are to be ignored. A box with the attribute ``rotation`` of CVAT becomes the
    upright box around it.
    """
    try:
        modified_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    return _load_coco(path, modified_ns)


def read_track(path: Path, row: int, class_name: str) -> Boxes:
    """
    Read one line ``x y w h`` from the file of a tracked object; a width of 0 means absent.

    ``row`` starts at 0.
    """
    rows = _read_rows(path)
    if row >= len(rows):
        raise SourceError(f'{path} has {len(rows)} boxes, so none of number {row}')
    location, fields = rows[row]
    if len(fields) != 4:
        raise SourceError(f"{location}: expected 'x y w h', got {' '.join(fields)!r}")
    x, y, w, h = _parse_numbers(location, fields)
    return (Detection((x, y, x + w, y + h), class_name, 1.0),) if w > 0 and h > 0 else ()


def _parse_yolo(location: str, fields: list[str], width: int, height: int) -> Detection:
    if len(fields) not in (5, 6):
        raise SourceError(f"{location}: expected 'class x y w h' with an optional score, "
                          f"got {' '.join(fields)!r}")
    number, *fractions = _parse_numbers(location, fields)
    if number not in range(len(_YOLO_CLASSES)):
        raise SourceError(f'{location}: class {fields[0]} is none of '
                          f'0 to {len(_YOLO_CLASSES) - 1}')
    if not all(-_YOLO_SLACK <= fraction <= 1 + _YOLO_SLACK for fraction in fractions):
        raise SourceError(f'{location}: relative values must lie in 0 to 1, '
                          f"got {' '.join(fields[1:])}")
    x, y, w, h = fractions[:4]
    box = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    score = min(max(fractions[4], 0.0), 1.0) if len(fractions) == 5 else 1.0
    return Detection(box, _YOLO_CLASSES[int(number)], score)


def _parse_voc(path: Path, element: ElementTree.Element) -> Detection:
    texts = [element.findtext('name'),
             *(element.findtext(f'bndbox/{edge}') for edge in ('xmin', 'ymin', 'xmax', 'ymax'))]
    if not all(texts):
        raise SourceError(f'{path}: an object needs a name and a bndbox of xmin, ymin, xmax, ymax,'
                          f' got {texts}')
    name, *edges = (str(text).strip() for text in texts)
    left, top, right, bottom = _parse_numbers(str(path), edges)
    if right < left or bottom < top:
        raise SourceError(f'{path}: a box ends before it starts: {" ".join(edges)}')
    name = {'people': 'person'}.get(name.lower(), name.lower())
    difficult = (element.findtext('difficult') or '0').strip() == '1'
    return Detection((left - 1, top - 1, right, bottom), IGNORED if difficult else name, 1.0)


def _parse_bbgt(location: str, fields: list[str]) -> Detection:
    if len(fields) != 12:
        raise SourceError(f'{location}: expected 12 fields, got {len(fields)}')
    label = fields[0]
    x, y, w, h, *_, ignore, _ = _parse_numbers(location, fields[1:])
    return _make_detection(label, (x, y, w, h), ignored=ignore != 0)


def _make_detection(label: str, box_xywh: tuple[float, ...], ignored: bool) -> Detection:
    x, y, w, h = box_xywh
    # A box without area cannot be detected.
    ignored = ignored or label in _UNCERTAIN or w <= 0 or h <= 0
    return Detection((x, y, x + w, y + h), IGNORED if ignored else label, 1.0)


@lru_cache(maxsize=4)
def _load_coco(path: Path, _modified_ns: int) -> CocoFile:
    return parse_coco(_read_text(path), str(path))


def parse_coco(text: str, location: str) -> CocoFile:
    """
    Return the content of a COCO file.

    Raises
    ------
    SourceError
        The text is no complete COCO file; ``location`` names it in the message.

    """
    try:
        content: Any = json.loads(text)
        names = {category['id']: str(category['name']).lower()
                 for category in content['categories']}
        images = {image['id']: image for image in content['images']}
        boxes_of: dict[Any, list[Detection]] = {image_id: [] for image_id in images}
        for annotation in content['annotations']:
            boxes_of[annotation['image_id']].append(
                _parse_coco_box(location, annotation, names[annotation['category_id']]))
        annotated: dict[str, AnnotatedImage] = {}
        for image_id, image in images.items():
            name = Path(image['file_name']).stem
            size = int(image.get('width', 0)), int(image.get('height', 0))
            if name in annotated:
                raise ValueError(f"two images are called '{name}'")
            annotated[name] = AnnotatedImage(name, size, tuple(boxes_of[image_id]),
                                             stamp_ns=image.get('stamp_ns'))
        return CocoFile(dict(content.get('info') or {}), annotated)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError,
            OverflowError) as error:
        raise SourceError(f'{location} is no complete COCO file: {error!r}') from None


def _parse_coco_box(location: str, annotation: Mapping[str, Any], label: str) -> Detection:
    attributes = annotation.get('attributes') or {}
    score, degrees = _parse_numbers(location, [annotation.get('score', 1.0),
                                               attributes.get('rotation') or 0.0])
    box = _make_detection(label, tuple(_parse_numbers(location, annotation['bbox'])),
                          ignored=bool(annotation.get('iscrowd', 0)))
    return replace(box, box_xyxy_px=enclose_rotated(box.box_xyxy_px, degrees),
                   score=min(max(score, 0.0), 1.0))


def _read_rows(path: Path) -> list[tuple[str, list[str]]]:
    """Return the location and the fields of each line, separated by spaces or commas."""
    return [(f'{path}, line {number}', line.replace(',', ' ').split())
            for number, line in enumerate(_read_text(path).splitlines(), start=1) if line.strip()]


def _parse_numbers(location: str, fields: list[str] | list[float]) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except (ValueError, OverflowError) as error:
        raise SourceError(f'{location}: {error}') from None
    if not all(map(math.isfinite, values)):
        raise SourceError(f"{location}: not finite: {' '.join(map(str, fields))}")
    return values


def _read_text(path: Path) -> str:
    try:
        return read_text(path, 'utf-8-sig')
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    except UnicodeDecodeError:
        raise SourceError(f'{path} is no text') from None
