# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Writer of COCO files; ``datasets.boxes`` reads them.

The format is that of cocodataset.org (``instances``), as CVAT takes and writes it under the name
'COCO 1.0': a box is a rectangle if ``segmentation`` is empty. A box that is to be ignored has the
category ``IGNORED`` and ``iscrowd``. A flag alone would not survive a tool that does not know it,
and the box would come back as an object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import json
from typing import Any

from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.data.sample import IGNORED
from ivf_ros.output import FILE_MARK

IMAGE_SUFFIX = '.png'  # of the images that the file names
_DIGITS = 2  # of pixels


def list_categories(images: Sequence[AnnotatedImage], class_names: Sequence[str]
                    ) -> tuple[str, ...]:
    """Return the classes of a label file: ``class_names``, others that occur, ``IGNORED``."""
    found = sorted({box.class_name for image in images for box in image.boxes})
    return tuple(dict.fromkeys((*class_names, *(name for name in found if name != IGNORED),
                                IGNORED)))


def format_coco(images: Sequence[AnnotatedImage], class_names: Sequence[str],
                info: Mapping[str, Any]) -> str:
    """
    Return the text of a COCO file.

    Parameters
    ----------
    images:
        All images, also those without boxes.
    class_names:
        Classes to name first, in this order; see ``list_categories``.
    info:
        Values that can be written as JSON, for its entry ``info``.

    """
    category_ids = {name: number for number, name
                    in enumerate(list_categories(images, class_names), start=1)}
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        details = image.details or ({},) * len(image.boxes)
        for box, attributes in zip(image.boxes, details, strict=True):
            left, top, right, bottom = box.box_xyxy_px
            annotations.append({
                'id': len(annotations) + 1, 'image_id': image_id,
                'category_id': category_ids[box.class_name], 'segmentation': [],
                'bbox': [round(value, _DIGITS) for value in (left, top, right - left,
                                                             bottom - top)],
                'area': round((right - left) * (bottom - top), _DIGITS),
                'iscrowd': int(box.class_name == IGNORED), 'score': round(box.score, 3),
                'attributes': dict(attributes)})
    content = {
        'info': {'made_by': FILE_MARK, **info}, 'licenses': [],
        'categories': [{'id': number, 'name': name, 'supercategory': ''}
                       for name, number in category_ids.items()],
        'images': [{'id': image_id, 'file_name': image.name + IMAGE_SUFFIX,
                    'width': image.size[0], 'height': image.size[1],
                    **({} if image.stamp_ns is None else {'stamp_ns': image.stamp_ns})}
                   for image_id, image in enumerate(images, start=1)],
        'annotations': annotations}
    return json.dumps(content, indent=1) + '\n'
