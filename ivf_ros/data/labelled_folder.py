# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A folder of registered pairs with boxes, as ``ivf label`` makes it.

``thermal/`` lies on the grid of ``visible/``. ``fused/`` is for the people who correct the boxes.
``boxes_silver.json`` holds the boxes of machines and ``boxes.json`` those that people corrected,
both in the format of COCO. ``datasets.pairs`` reads the folder as a data set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.boxes import iou
from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.data.datasets.boxes import CocoFile, read_coco_file
from ivf_ros.data.files import image_files
from ivf_ros.data.label_files.coco import format_coco
from ivf_ros.data.recording import natural_key, SourceError
from ivf_ros.data.sample import Origin
from ivf_ros.output import check_file, is_marked, mark_image, OutputError, write_atomically
from ivf_ros.types import Detection
import numpy as np

MACHINE_FILE, HUMAN_FILE = 'boxes_silver.json', 'boxes.json'
IMAGE_FOLDERS = ('thermal', 'visible', 'fused')
_SAME_PX = 0.5  # edges that differ less were not moved; tools round
_MIN_MOVED_IOU = 0.3  # of a box with the one that it was before it was moved


@dataclass(frozen=True)
class Corrections:
    """
    What people changed.

    Attributes
    ----------
    images, unchanged_images:
        Number of corrected images, and of those that hold exactly the boxes of the machine.
    counts:
        Number of boxes: ``unchanged``, ``moved``, ``relabelled``, ``added``, ``removed``.

    """

    images: int
    unchanged_images: int
    counts: Mapping[str, int]


class PairFolder:
    """
    Writes registered pairs into a folder; images and boxes of an earlier run are removed.

    Parameters
    ----------
    folder:
        The folder, which exists.
    overwrite:
        Files of other origin may be overwritten.

    Raises
    ------
    OutputError
        A subfolder cannot be made, or boxes of other origin are in the way.

    """

    def __init__(self, folder: Path, overwrite: bool) -> None:
        self._folder, self._overwrite = folder, overwrite
        check_file(folder / MACHINE_FILE, (), overwrite)
        (folder / MACHINE_FILE).unlink(missing_ok=True)  # they do not fit the new images
        for name in IMAGE_FOLDERS:
            try:
                (folder / name).mkdir(exist_ok=True)
            except OSError as error:
                raise OutputError(f"cannot create '{folder / name}': {error.strerror}") from None
            for path in image_files(folder / name):
                if is_marked(path):
                    path.unlink()

    def write(self, name: str, images: Mapping[str, np.ndarray]) -> None:
        """
        Write the images of a pair, uint8, by the name of their subfolder.

        Raises
        ------
        OutputError
            A file is in the way and was not made by ivf, or it cannot be written.

        """
        for subfolder, image in images.items():
            path = self._folder / subfolder / f'{name}.png'
            check_file(path, (), self._overwrite)
            _, encoded = cv2.imencode('.png', image)
            try:
                path.write_bytes(mark_image(encoded.tobytes()))
            except OSError as error:
                raise OutputError(f"cannot write '{path}': {error.strerror}") from None


def check_new_labels(folder: Path) -> None:
    """Raise OutputError if a folder holds corrected boxes, which new images would not fit."""
    if (folder / HUMAN_FILE).is_file():
        raise OutputError(f"'{folder}' holds boxes that people corrected ({HUMAN_FILE}); give "
                          'another --out')


def write_machine_labels(folder: Path, images: Sequence[AnnotatedImage],
                         class_names: Sequence[str], info: Mapping[str, Any]) -> None:
    """Write ``boxes_silver.json``; ``info`` says how the boxes were made."""
    write_atomically(folder / MACHINE_FILE, format_coco(images, class_names, {
        'description': 'machine-made boxes; they are not a ground truth',
        'origin': Origin.MACHINE.value, 'registered': True, **info}).encode())


def read_machine_labels(folder: Path) -> CocoFile:
    """
    Return the machine-made boxes of a folder.

    Raises
    ------
    SourceError
        The folder holds none, or they cannot be read.

    """
    if not (folder / MACHINE_FILE).is_file():
        raise SourceError(f"'{folder}' is no folder of ivf label: it has no {MACHINE_FILE}")
    return read_coco_file(folder / MACHINE_FILE)


def read_latest_labels(folder: Path) -> list[AnnotatedImage]:
    """Return the corrected boxes of each image, else the machine-made ones; see above."""
    images = dict(read_machine_labels(folder).images)
    if (folder / HUMAN_FILE).is_file():
        images |= read_coco_file(folder / HUMAN_FILE).images
    return [images[name] for name in sorted(images, key=natural_key)]


def store_corrections(folder: Path, corrected: Mapping[str, AnnotatedImage],
                      class_names: Sequence[str], only_changed: bool = False) -> Corrections:
    """
    Write corrected boxes to ``boxes.json``; images that it holds and that are not given are kept.

    Parameters
    ----------
    folder:
        A folder of ``ivf label``.
    corrected:
        The boxes by name of the image, clipped to it.
    class_names:
        As for ``format_coco``.
    only_changed:
        Leave out images that hold exactly the boxes of the machine, as nobody may have looked at
        them.

    Raises
    ------
    SourceError
        An image or its size is not that of the folder, there is no image, or nothing was changed:
        then the boxes are those of the machine.

    """
    machine = read_machine_labels(folder).images
    known = _check_images(folder, corrected, machine)
    counts: Counter[str] = Counter()
    unchanged = set()
    for name, image in known.items():
        found = _compare(machine[name].boxes, image.boxes)
        counts.update(found)
        if set(found) <= {'unchanged'}:
            unchanged.add(name)
    if len(unchanged) == len(known):
        raise SourceError(f'nothing was corrected: the boxes of all {len(known)} images are those '
                          f'of {MACHINE_FILE}')
    kept = {name: image for name, image in known.items()
            if not (only_changed and name in unchanged)}
    path = folder / HUMAN_FILE
    before = read_coco_file(path).images if path.is_file() else {}
    merged = {**before, **kept}
    images = [merged[name] for name in sorted(merged, key=natural_key)]
    write_atomically(path, format_coco(images, class_names, {
        'description': 'boxes that people corrected, beginning with those of machines',
        'origin': Origin.HUMAN.value, 'registered': True}).encode())
    return Corrections(len(kept), len(unchanged), dict(counts))


def _check_images(folder: Path, corrected: Mapping[str, AnnotatedImage],
                  machine: Mapping[str, AnnotatedImage]) -> dict[str, AnnotatedImage]:
    """Return the corrected images with the sizes of the folder, and their boxes clipped."""
    if not corrected:
        raise SourceError('the file holds no image that a person annotated')
    checked = {}
    for name, image in corrected.items():
        if name not in machine:
            raise SourceError(f"'{folder}' has no image '{name}', such as "
                              f"'{next(iter(machine), 'none')}'")
        size = machine[name].size
        if image.size not in (size, (0, 0)):
            raise SourceError(f"image '{name}' has {size[0]}x{size[1]} pixels, and its boxes are "
                              f'for {image.size[0]}x{image.size[1]}')
        boxes = tuple(clipped for box in image.boxes
                      if (clipped := _clip(box, size)) is not None)
        checked[name] = AnnotatedImage(name, size, boxes, stamp_ns=machine[name].stamp_ns)
    return checked


def _clip(box: Detection, size: tuple[int, int]) -> Detection | None:
    """Return the part of a box in the image with score 1; None if there is none."""
    left, top, right, bottom = box.box_xyxy_px
    clipped = max(left, 0.0), max(top, 0.0), min(right, float(size[0])), min(bottom,
                                                                             float(size[1]))
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        return None
    return Detection(clipped, box.class_name, 1.0)


def _compare(before: Sequence[Detection], after: Sequence[Detection]) -> Counter[str]:
    """Count what happened to the boxes of an image; see ``Corrections``."""
    counts: Counter[str] = Counter()
    left = list(before)
    changed = []
    for box in after:
        same = next((other for other in left if _is_same(box, other)
                     and box.class_name == other.class_name), None)
        if same is None:
            changed.append(box)
        else:
            left.remove(same)
            counts['unchanged'] += 1
    for box in changed:
        # A box of the same class first, then the one that overlaps most.
        origin = max(left, key=lambda other: (iou(box, other) >= _MIN_MOVED_IOU,
                                              other.class_name == box.class_name,
                                              iou(box, other)), default=None)
        if origin is None or iou(box, origin) < _MIN_MOVED_IOU:
            counts['added'] += 1
            continue
        left.remove(origin)
        counts['moved' if origin.class_name == box.class_name else 'relabelled'] += 1
    if left:
        counts['removed'] += len(left)
    return counts


def _is_same(a: Detection, b: Detection) -> bool:
    return all(abs(first - second) <= _SAME_PX
               for first, second in zip(a.box_xyxy_px, b.box_xyxy_px, strict=True))
