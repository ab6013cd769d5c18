# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation labels, stored as images of class numbers."""

from __future__ import annotations

from pathlib import Path

from ivf_ros.data.image_file import read_image
from ivf_ros.data.recording import SourceError
from ivf_ros.types import Segmentation
import numpy as np

UNLABELLED = 255
# Of 255. Above this confidence, the machine labels of MSRS had an IoU of 0.85 (person) and 0.82
# (car) with the human labels, and 95 % of the pixels were kept.
MIN_CONFIDENCE = 204
# The machine labels of other classes are mostly wrong; those of bikes are right in half of the
# pixels.
TRUSTED = ('unlabelled', 'car', 'person', 'bike')


def read_labels(path: Path, class_names: tuple[str, ...]) -> Segmentation:
    """
    Read labels ``(H, W)`` uint8; 255 marks unlabelled pixels.

    Raises
    ------
    SourceError
        The file is unreadable, has several channels, or contains labels without a class.

    """
    labels = read_image(path)
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise SourceError(f'{path}: labels are (H, W) uint8, got {labels.shape} {labels.dtype}')
    invalid = np.setdiff1d(labels, [*range(len(class_names)), UNLABELLED])
    if invalid.size:
        raise SourceError(f'{path}: label {invalid[0]} is none of {len(class_names)} classes '
                          f'nor {UNLABELLED}')
    return Segmentation(labels, class_names)


def read_confident_labels(path: Path, confidence: Path,
                          class_names: tuple[str, ...]) -> Segmentation:
    """
    Read labels; those below ``MIN_CONFIDENCE`` or of classes outside ``TRUSTED`` become 255.

    ``confidence`` is an image file ``(H, W)`` uint8 of the same size. The errors are those of
    ``read_labels``.
    """
    segmentation, confidence_map = read_labels(path, class_names), read_image(confidence)
    if confidence_map.shape != segmentation.labels.shape or confidence_map.dtype != np.uint8:
        raise SourceError(f'{confidence}: the confidence of {path.name} is '
                          f'{segmentation.labels.shape} uint8, '
                          f'got {confidence_map.shape} {confidence_map.dtype}')
    trusted = np.isin(segmentation.labels, [class_names.index(name) for name in TRUSTED
                                            if name in class_names])
    unreliable = (confidence_map < MIN_CONFIDENCE) | ~trusted
    return Segmentation(np.where(unreliable, np.uint8(UNLABELLED), segmentation.labels),
                        class_names)
