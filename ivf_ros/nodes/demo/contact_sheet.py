# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Many images on one sheet, to see at a glance what the stages made of a sequence."""

from __future__ import annotations

from collections.abc import Sequence
import math

import cv2
import numpy as np

_BACKGROUND = (32, 28, 26)  # BGR, as all colours here
_CELL = (20, 17, 16)
_TITLE = (245, 245, 245)
_TEXT = (205, 205, 205)
_FAINT = (120, 120, 120)
_EDGE = (0, 150, 255)
_GUTTER_PX = 6
_MARGIN_PX = 14
_FONT = cv2.FONT_HERSHEY_DUPLEX


class SheetError(ValueError):
    """Rows, titles and captions do not fit together, or a cell is no 8-bit image."""


def contact_sheet(rows: Sequence[Sequence[np.ndarray | None]], titles: Sequence[str],
                  captions: Sequence[str] = (), heading: str = '',
                  cell_size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """
    Lay images out in titled columns, one row for each moment.

    Images keep their aspect: each is scaled to fit its cell and centred in it.

    Parameters
    ----------
    rows:
        One image a column: ``(H, W)`` or ``(H, W, 3)`` BGR, uint8, any size; None leaves the cell
        empty and says so.
    titles:
        One a column.
    captions:
        One a row, written to the left of it; lines are separated by newlines. None at all where
        it is empty.
    heading:
        One line above everything.
    cell_size:
        Width and height in pixels.

    Returns
    -------
    ndarray
        ``(H, W, 3)`` uint8 BGR.

    Raises
    ------
    SheetError
        There are no rows or no columns, a row has not one image a title, there are captions but
        not one a row, or an image is not uint8 with one or three channels.

    """
    _check(rows, titles, captions)
    width, height = cell_size
    scale = max(0.4, min(width / 640, 0.8))
    line_px = _line_px(scale)
    caption_lines = [caption.split('\n') for caption in captions] or [[] for _ in rows]
    widest = max((_text_px(line, scale) for lines in caption_lines for line in lines), default=0)
    left = _MARGIN_PX + (widest + _MARGIN_PX if widest else 0)
    top = _MARGIN_PX + (round(1.6 * _line_px(1.4 * scale)) if heading else 0) + line_px + 4
    row_heights = [max(height, line_px * len(lines)) for lines in caption_lines]
    sheet = np.full((top + sum(row_heights) + _GUTTER_PX * (len(rows) - 1) + _MARGIN_PX,
                     left + len(titles) * (width + _GUTTER_PX) - _GUTTER_PX + _MARGIN_PX, 3),
                    _BACKGROUND, np.uint8)
    if heading:
        _write(sheet, heading, (_MARGIN_PX, _MARGIN_PX + _line_px(1.4 * scale)), 1.4 * scale,
               _TITLE)
    lefts = [left + column * (width + _GUTTER_PX) for column in range(len(titles))]
    for title, x in zip(titles, lefts, strict=True):
        _write(sheet, title, (x, top - 8), scale, _TITLE)
    y = top
    for row, lines, row_height in zip(rows, caption_lines, row_heights, strict=True):
        for number, line in enumerate(lines):
            _write(sheet, line, (_MARGIN_PX, y + (number + 1) * line_px - 4), scale, _TEXT)
        for image, x in zip(row, lefts, strict=True):
            _place(sheet[y:y + height, x:x + width], image, scale)
        y += row_height + _GUTTER_PX
    return sheet


def registration_overlay(thermal_on_rgb: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """
    Draw the outlines of the registered thermal image onto the RGB image.

    Where the two are registered, the orange lines run along the edges of the visible objects.
    Outlines are the strongest edges of the smoothed thermal image, thinned (Canny 1986), with
    thresholds taken from its own gradients, so that flat scenes show lines too.

    Parameters
    ----------
    thermal_on_rgb:
        ``(H, W)`` uint8 on the RGB grid, 0 where the thermal camera sees nothing.
    rgb:
        ``(H, W)`` or ``(H, W, 3)`` uint8.

    Returns
    -------
    ndarray
        ``(H, W, 3)`` uint8 BGR.

    Raises
    ------
    SheetError
        The images have different sizes, or are not uint8.

    """
    for image in (thermal_on_rgb, rgb):
        _check_image(image)
    if thermal_on_rgb.shape[:2] != rgb.shape[:2] or thermal_on_rgb.ndim != 2:
        raise SheetError('the registered thermal image is (H, W) on the RGB grid, got '
                         f'{thermal_on_rgb.shape} for {rgb.shape}')
    gray = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY) if rgb.ndim == 3 else rgb
    gain = min(160 / max(float(np.percentile(gray, 98)), 1.0), 3.0)  # night lifted, glare dimmed
    base = cv2.cvtColor(cv2.convertScaleAbs(gray, alpha=gain), cv2.COLOR_GRAY2BGR)
    edges = thermal_edges(thermal_on_rgb).astype(np.uint8)
    line_px = max(1, round(max(gray.shape) / 400))  # still a line when the image is made smaller
    base[cv2.dilate(edges, np.ones((line_px, line_px), np.uint8)) > 0] = _EDGE
    return base


def thermal_edges(thermal: np.ndarray) -> np.ndarray:
    """Return ``(H, W)`` bool, where the strongest edges of a ``(H, W)`` uint8 image run."""
    smooth = cv2.GaussianBlur(thermal, (0, 0), max(thermal.shape) / 400)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_16S, *order) for order in ((1, 0), (0, 1)))
    strength = np.abs(dx).astype(np.float32) + np.abs(dy)
    covered = cv2.erode((thermal > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not covered.any():
        return covered
    strong = max(float(np.percentile(strength[covered], 95)), 12.0)
    edges = cv2.Canny(dx, dy, strong / 2, strong) > 0
    return edges & covered


def _check(rows: Sequence[Sequence[np.ndarray | None]], titles: Sequence[str],
           captions: Sequence[str]) -> None:
    if not rows or not titles:
        raise SheetError(f'a sheet has rows and columns, got {len(rows)} and {len(titles)}')
    if captions and len(captions) != len(rows):
        raise SheetError(f'got {len(captions)} captions for {len(rows)} rows')
    for number, row in enumerate(rows):
        if len(row) != len(titles):
            raise SheetError(f'row {number} has {len(row)} images for {len(titles)} titles')
        for image in row:
            if image is not None:
                _check_image(image)


def _check_image(image: np.ndarray) -> None:
    colours = image.shape[2:] in ((), (3,)) and image.ndim >= 2
    if image.dtype != np.uint8 or not colours or not image.size:
        raise SheetError('an image is (H, W) or (H, W, 3) uint8, '
                         f'got {image.shape} {image.dtype}')


def _place(cell: np.ndarray, image: np.ndarray | None, scale: float) -> None:
    """Draw an image into the middle of a cell, as large as fits."""
    cell[:] = _CELL
    height, width = cell.shape[:2]
    if image is None:
        text = 'no image'
        x = (width - _text_px(text, scale)) // 2
        _write(cell, text, (x, height // 2), scale, _FAINT)
        return
    ratio = min(width / image.shape[1], height / image.shape[0])
    size = (max(round(image.shape[1] * ratio), 1), max(round(image.shape[0] * ratio), 1))
    resized = cv2.resize(image, size,
                         interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    if resized.ndim == 2:
        resized = cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    cell[y:y + size[1], x:x + size[0]] = resized


def _write(canvas: np.ndarray, text: str, baseline_px: tuple[int, int], scale: float,
           colour: tuple[int, int, int]) -> None:
    plain = text.encode('ascii', 'replace').decode()  # all that the fonts of OpenCV have
    cv2.putText(canvas, plain, baseline_px, _FONT, scale, colour, 1, cv2.LINE_AA)


def _text_px(text: str, scale: float) -> int:
    return cv2.getTextSize(text, _FONT, scale, 1)[0][0]


def _line_px(scale: float) -> int:
    return math.ceil(36 * scale)
