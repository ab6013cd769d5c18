# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Labels of the pixels from the logits of the segmentation network."""

from __future__ import annotations

import cv2
import numpy as np

_STRIDE_PX = 4  # of the logits


def label_pixels(logits: np.ndarray, image_size: tuple[int, int],
                 size: tuple[int, int]) -> np.ndarray:
    """
    Return the most likely class of each pixel.

    Parameters
    ----------
    logits:
        ``(classes, H / 4, W / 4)`` float32 of an image that was padded to H and W at the right and
        at the bottom.
    image_size:
        Width and height of the image without padding.
    size:
        Width and height of the result.

    Returns
    -------
    np.ndarray
        Labels ``(height, width)`` uint8.

    """
    # The logits are upsampled one class at a time: that takes a third of the time of all classes
    # at once. A class whose logit nowhere exceeds that of class 0 is skipped, as interpolation
    # cannot make it exceed that either.
    labels = np.zeros((size[1], size[0]), np.uint8)
    best = _upsample_logit(logits[0], image_size, size)
    for label in 1 + np.flatnonzero((logits[1:] > logits[0]).any((1, 2))):
        logit = _upsample_logit(logits[label], image_size, size)
        labels[logit > best] = label
        np.maximum(best, logit, out=best)
    return labels


def _upsample_logit(logit: np.ndarray, image_size: tuple[int, int],
                    size: tuple[int, int]) -> np.ndarray:
    """Upsample the logit of a class ``(H / 4, W / 4)``, bilinear, to width and height."""
    height, width = logit.shape
    padded = cv2.resize(logit, (_STRIDE_PX * width, _STRIDE_PX * height),
                        interpolation=cv2.INTER_LINEAR)
    cropped = padded[:image_size[1], :image_size[0]]
    return cropped if image_size == size \
        else cv2.resize(cropped, size, interpolation=cv2.INTER_LINEAR)
