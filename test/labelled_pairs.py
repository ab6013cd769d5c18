# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Writes folders of registered pairs with boxes, as ``ivf label`` makes them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import cv2
from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.data.labelled_folder import (
    HUMAN_FILE,
    IMAGE_FOLDERS,
    store_corrections,
    write_machine_labels,
)
from ivf_ros.detection import CLASS_NAMES
from ivf_ros.types import Detection
import numpy as np

SIZE = (96, 64)


def write_labelled_pairs(folder: Path, count: int, objects: int = 2,
                         corrected: Collection[int] = ()) -> Path:
    """
    Write pairs with bright boxes of people; people corrected some of them, and added a vehicle.

    Machine and human boxes of people are the same, so that only the vehicle tells them apart.
    """
    random = np.random.default_rng(count)
    for name in IMAGE_FOLDERS:
        (folder / name).mkdir(parents=True)
    images = []
    for number in range(count):
        gray = random.integers(0, 60, SIZE[::-1], dtype=np.uint8)
        boxes = []
        for _ in range(objects):
            left, top = int(random.integers(80)), int(random.integers(36))
            gray[top:top + 24, left:left + 10] = 220
            boxes.append(Detection((float(left), float(top), left + 10.0, top + 24.0), 'person',
                                   0.67))
        for name in IMAGE_FOLDERS:
            image = gray if name == 'thermal' else cv2.merge([gray] * 3)
            assert cv2.imwrite(str(folder / name / f'{number:06d}.png'), image)
        images.append(AnnotatedImage(f'{number:06d}', SIZE, tuple(boxes)))
    write_machine_labels(folder, images, CLASS_NAMES, {'teachers': []})
    if corrected:
        vehicle = Detection((1.0, 1.0, 5.0, 5.0), 'vehicle', 1.0)
        store_corrections(folder, {
            images[number].name: AnnotatedImage(images[number].name, SIZE,
                                                (*images[number].boxes, vehicle))
            for number in corrected}, CLASS_NAMES)
        assert (folder / HUMAN_FILE).is_file()
    return folder
