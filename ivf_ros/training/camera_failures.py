# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Failures of one of two cameras in training windows: it shows nothing, or it is late.

A network that has seen both cameras fail relies on neither of them. Objects that the remaining
camera does not show are ignored in the loss; otherwise the network would learn to guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ivf_ros.training.settings import CameraFailures
from ivf_ros.types import Detection
import numpy as np
import torch
from torch import Tensor

# Draws uniform numbers from a low to a high one, for each example of a batch: ``(B, *shape)``.
Uniform = Callable[..., Tensor]

_MARGIN = 0.5  # of the width and height of a box, on each side: the surroundings
_MIN_CONTRAST = 6.0  # standard deviation in levels of 255 of a box with its surroundings


def shows_boxes(view: np.ndarray, boxes: Sequence[Detection]) -> np.ndarray:
    """
    Return which camera shows anything where the boxes are.

    Parameters
    ----------
    view:
        ``(H, W, C)`` uint8, BGR or one channel, then thermal if C is 4.
    boxes:
        Boxes in pixels of the view.

    Returns
    -------
    np.ndarray
        ``(len(boxes), 2)`` bool: the first three channels, and thermal. With a single camera both
        columns are true, since it cannot fail.

    """
    shows = np.ones((len(boxes), 2), np.bool_)
    if view.shape[2] <= 3:
        return shows
    for row, box in zip(shows, boxes):
        left, top, right, bottom = box.box_xyxy_px
        margin_x, margin_y = _MARGIN * (right - left), _MARGIN * (bottom - top)
        around = view[max(0, int(top - margin_y)):int(bottom + margin_y) + 1,
                      max(0, int(left - margin_x)):int(right + margin_x) + 1]
        row[0] = around[..., :3].mean(2).std() >= _MIN_CONTRAST
        row[1] = around[..., 3].std() >= _MIN_CONTRAST
    return shows


def draw_blank(failures: CameraFailures, uniform: Uniform) -> Tensor:
    """Return ``(B, 2)`` bool: whether RGB, and whether thermal, shows nothing; never both."""
    drawn = uniform(0, 1)
    rgb = drawn < failures.blank / 2
    return torch.stack([rgb, (drawn < failures.blank) & ~rgb], 1)


def draw_shift_px(failures: CameraFailures, uniform: Uniform) -> Tensor:
    """Return ``(B, 2)``, the shift of thermal in x and y: 0 where it is not late."""
    drawn = uniform(0, 1, 3)
    is_late = drawn[:, :1] < failures.late
    # A robot turns more than it nods.
    reach_px = torch.tensor([failures.late_px, failures.late_px / 3], device=drawn.device)
    return is_late * (2 * drawn[:, 1:] - 1) * reach_px


def blank_out(images: Tensor, is_blank: Tensor, uniform: Uniform) -> Tensor:
    """Return images ``(B, 4, H, W)`` with blank cameras at one level: black in half of them."""
    drawn = uniform(0, 1, 2)
    level = torch.where(drawn[:, 0] < 0.5, 0.0, drawn[:, 1])[:, None, None, None]
    is_blank_channel = is_blank[:, [0, 0, 0, 1]][:, :, None, None]
    return torch.where(is_blank_channel, level, images)


def is_lost(shows: Tensor, is_blank: Tensor) -> Tensor:
    """Return ``(B, M)`` bool: no camera that works shows the box; ``shows`` is ``(B, M, 2)``."""
    return ~(shows & ~is_blank[:, None]).any(2)
