# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Boxes as tasks of Label Studio, in its format 'JSON'.

A task holds the address of the image (``data``), boxes of machines (``predictions``), and what
people made of them (``annotations``). A box has its left and top edge, width and height in percent
of the image, and may be turned about its left top corner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
import math
from pathlib import PurePosixPath
import re
from typing import Any

from ivf_ros.data.annotated_image import AnnotatedImage, enclose_rotated
from ivf_ros.data.label_files.coco import IMAGE_SUFFIX
from ivf_ros.data.recording import SourceError
from ivf_ros.output import FILE_MARK
from ivf_ros.types import Detection

FROM_NAME, TO_NAME = 'label', 'image'  # in the labelling configuration, see docs/your_data.md
_UPLOADED = re.compile(r'[0-9a-f]{8}-(.+)')  # the name of a file that was uploaded
_OTHER_SHAPES = re.compile(r'(polygon|ellipse|brush|keypoint|rectangle|vector|bitmask)(labels)?')


def format_tasks(images: Sequence[AnnotatedImage], addresses: Mapping[str, str]) -> str:
    """
    Return the text of a file of tasks, with the boxes as predictions.

    Parameters
    ----------
    images:
        The images with their boxes.
    addresses:
        Address of an image by its key in ``data``, such as ``'image'``: that of the folder, which
        the name of the file follows.

    """
    return json.dumps([_make_task(image, addresses) for image in images], indent=1) + '\n'


def _make_task(image: AnnotatedImage, addresses: Mapping[str, str]) -> dict[str, Any]:
    width, height = image.size
    result = []
    for number, box in enumerate(image.boxes):
        left, top, right, bottom = box.box_xyxy_px
        result.append({
            'id': f'{image.name}-{number}', 'type': 'rectanglelabels', 'from_name': FROM_NAME,
            'to_name': TO_NAME, 'original_width': width, 'original_height': height,
            'image_rotation': 0, 'score': round(box.score, 3), 'value': {
                'x': 100 * left / width, 'y': 100 * top / height,
                'width': 100 * (right - left) / width, 'height': 100 * (bottom - top) / height,
                'rotation': 0, 'rectanglelabels': [box.class_name]}})
    score = sum(box.score for box in image.boxes) / max(len(image.boxes), 1)
    return {'meta': {'made_by': FILE_MARK},
            'data': {'name': image.name, **{key: f'{address}{image.name}{IMAGE_SUFFIX}'
                                            for key, address in addresses.items()}},
            'predictions': [{'model_version': 'ivf label', 'score': round(score, 3),
                             'result': result}]}


def parse_tasks(text: str, location: str) -> dict[str, AnnotatedImage]:
    """
    Return the images that people annotated, by name.

    A task with predictions alone is left out, and so are annotations that were skipped. Of several
    annotations of a task the one marked as ground truth counts, else the latest.

    Raises
    ------
    SourceError
        The text is no file of tasks, or holds other shapes than boxes; ``location`` names it in
        the message.

    """
    try:
        tasks: Any = json.loads(text)
        if any('data' not in task or not ('annotations' in task or 'predictions' in task)
               for task in tasks):
            raise SourceError(f'{location}: a task has no data or no annotations; export the '
                              "project as 'JSON', not as 'JSON-MIN'")
        images: dict[str, AnnotatedImage] = {}
        for task in tasks:
            made = [each for each in task.get('annotations', ()) if not each.get('was_cancelled')]
            if not made:
                continue
            image = _parse_annotation(location, _name_of(task['data']), max(made, key=_rank))
            if image.name in images:
                raise SourceError(f"{location}: two tasks are of the image '{image.name}'")
            images[image.name] = image
    except SourceError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError,
            OverflowError) as error:
        raise SourceError(f'{location} is no complete file of Label Studio: {error!r}') from None
    return images


def _rank(annotation: Mapping[str, Any]) -> tuple[bool, str]:
    return bool(annotation.get('ground_truth')), str(annotation.get('updated_at') or '')


def _name_of(data: Mapping[str, Any]) -> str:
    """Return the name of the image of a task: the one that was exported, or that of its file."""
    if 'name' in data:
        return str(data['name'])
    stem = PurePosixPath(str(data[TO_NAME])).stem
    uploaded = _UPLOADED.fullmatch(stem)
    return uploaded[1] if uploaded else stem


def _parse_annotation(location: str, name: str, annotation: Mapping[str, Any]) -> AnnotatedImage:
    boxes, size = [], (0, 0)
    for item in annotation['result']:
        if item['type'] == 'rectanglelabels':
            size = int(item['original_width']), int(item['original_height'])
            boxes.append(_parse_box(f'{location}, image {name}', item['value'], size))
        elif _OTHER_SHAPES.fullmatch(item['type']):
            raise SourceError(f'{location}, image {name}: only boxes with a label are read, got '
                              f"a '{item['type']}'")
    return AnnotatedImage(name, size, tuple(boxes))


def _parse_box(location: str, value: Mapping[str, Any], size: tuple[int, int]) -> Detection:
    left, width = (float(value[key]) * size[0] / 100 for key in ('x', 'width'))
    top, height = (float(value[key]) * size[1] / 100 for key in ('y', 'height'))
    degrees = float(value.get('rotation') or 0)
    labels = value['rectanglelabels']
    if not all(map(math.isfinite, (left, top, width, height, degrees))) \
            or min(width, height) <= 0 or len(labels) != 1:
        raise SourceError(f'{location}: a box needs one label, a place and a size, got '
                          f'{dict(value)}')
    box = enclose_rotated((left, top, left + width, top + height), degrees, (left, top))
    return Detection(box, str(labels[0]).lower(), 1.0)
