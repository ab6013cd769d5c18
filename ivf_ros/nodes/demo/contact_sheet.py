# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: the results of the stages for several frames in one image."""

from __future__ import annotations

from collections.abc import Sequence
import math

import cv2
import numpy as np

_BACKGROUND = (32, 28, 26)  # BGR, like all colours in this module
_CELL = (20, 17, 16)
_TITLE = (245, 245, 245)
_TEXT = (205, 205, 205)
_FAINT = (120, 120, 120)
_EDGE = (0, 150, 255)
_GUTTER_PX = 6
_MARGIN_PX = 14
_FONT = cv2.FONT_HERSHEY_DUPLEX


class SheetError(ValueError):
    """Rows, titles and captions do not match, or an image is not 8 bit."""


def contact_sheet(rows: Sequence[Sequence[np.ndarray | None]], titles: Sequence[str],
                  captions: Sequence[str] = (), heading: str = '',
                  cell_size: tuple[int, int] = (320, 240)) -> np.ndarray:
    """
    Draw images in columns with titles, one row for each moment.

    Images keep their aspect ratio: each is resized to fit its cell and centred in it.

    Parameters
    ----------
    rows:
        One image per column: ``(H, W)`` or ``(H, W, 3)`` BGR, uint8, any size. None leaves the
        cell empty with the text 'no image'.
    titles:
        One per column.
    captions:
        One per row, drawn to the left of it; lines are separated by newlines. Empty for a sheet
        without captions.
    heading:
        One line at the top.
    cell_size:
        Width and height of a cell in pixels.

    Returns
    -------
    ndarray
        ``(H, W, 3)`` uint8 BGR.

    Raises
    ------
    SheetError
        There are no rows or no columns, a row does not have one image per title, the number of
        captions is not that of the rows, or an image is not uint8 with one or three channels.

    """
    _check_layout(rows, titles, captions)
    width, height = cell_size
    scale = max(0.4, min(width / 640, 0.8))
    line_px = _line_height_px(scale)
    caption_lines = [caption.split('\n') for caption in captions] or [[] for _ in rows]
    caption_px = max((_text_width_px(line, scale) for lines in caption_lines for line in lines),
                     default=0)
    left = _MARGIN_PX + (caption_px + _MARGIN_PX if caption_px else 0)
    heading_px = _line_height_px(1.4 * scale)
    top = _MARGIN_PX + (round(1.6 * heading_px) if heading else 0) + line_px + 4
    row_heights = [max(height, line_px * len(lines)) for lines in caption_lines]
    sheet = np.full((top + sum(row_heights) + _GUTTER_PX * (len(rows) - 1) + _MARGIN_PX,
                     left + len(titles) * (width + _GUTTER_PX) - _GUTTER_PX + _MARGIN_PX, 3),
                    _BACKGROUND, np.uint8)
    if heading:
        _draw_text(sheet, heading, (_MARGIN_PX, _MARGIN_PX + heading_px), 1.4 * scale, _TITLE)
    lefts = [left + column * (width + _GUTTER_PX) for column in range(len(titles))]
    for title, x in zip(titles, lefts, strict=True):
        _draw_text(sheet, title, (x, top - 8), scale, _TITLE)
    y = top
    for row, lines, row_height in zip(rows, caption_lines, row_heights, strict=True):
        for index, line in enumerate(lines):
            _draw_text(sheet, line, (_MARGIN_PX, y + (index + 1) * line_px - 4), scale, _TEXT)
        for image, x in zip(row, lefts, strict=True):
            _draw_cell(sheet[y:y + height, x:x + width], image, scale)
        y += row_height + _GUTTER_PX
    return sheet


def registration_overlay(thermal_on_rgb: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """
    Draw the edges of the registered thermal image onto the RGB image.

    If the two images are registered, the orange lines follow the edges of the visible objects.
    The lines are the strongest edges of the smoothed thermal image, thinned (Canny 1986). The
    thresholds depend on its gradients, so scenes with little contrast also show lines.

    Parameters
    ----------
    thermal_on_rgb:
        ``(H, W)`` uint8 on the RGB grid, 0 outside the thermal coverage.
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
        check_image(image)
    if thermal_on_rgb.shape[:2] != rgb.shape[:2] or thermal_on_rgb.ndim != 2:
        raise SheetError('the registered thermal image must be (H, W) on the RGB grid, got '
                         f'{thermal_on_rgb.shape} for {rgb.shape}')
    gray = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY) if rgb.ndim == 3 else rgb
    gain = min(160 / max(float(np.percentile(gray, 98)), 1.0), 3.0)  # brighten night, dim glare
    base = cv2.cvtColor(cv2.convertScaleAbs(gray, alpha=gain), cv2.COLOR_GRAY2BGR)
    edges = thermal_edges(thermal_on_rgb).astype(np.uint8)
    line_px = max(1, round(max(gray.shape) / 400))  # visible after the image is reduced to a cell
    base[cv2.dilate(edges, np.ones((line_px, line_px), np.uint8)) > 0] = _EDGE
    return base


def thermal_edges(thermal: np.ndarray) -> np.ndarray:
    """Return the strongest edges of a ``(H, W)`` uint8 image as a ``(H, W)`` bool mask."""
    smooth = cv2.GaussianBlur(thermal, (0, 0), max(thermal.shape) / 400)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_16S, *order) for order in ((1, 0), (0, 1)))
    strength = np.abs(dx).astype(np.float32) + np.abs(dy)
    coverage = cv2.erode((thermal > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not coverage.any():
        return coverage
    high_threshold = max(float(np.percentile(strength[coverage], 95)), 12.0)
    edges = cv2.Canny(dx, dy, high_threshold / 2, high_threshold) > 0
    return edges & coverage


def _check_layout(rows: Sequence[Sequence[np.ndarray | None]], titles: Sequence[str],
                  captions: Sequence[str]) -> None:
    if not rows or not titles:
        raise SheetError('a sheet needs at least one row and one column, '
                         f'got {len(rows)} rows and {len(titles)} columns')
    if captions and len(captions) != len(rows):
        raise SheetError(f'got {len(captions)} captions for {len(rows)} rows')
    for index, row in enumerate(rows):
        if len(row) != len(titles):
            raise SheetError(f'row {index} has {len(row)} images for {len(titles)} titles')
        for image in row:
            if image is not None:
                check_image(image)


def check_image(image: np.ndarray) -> None:
    """Raise SheetError if an image is not ``(H, W)`` or ``(H, W, 3)`` uint8."""
    is_valid_shape = image.shape[2:] in ((), (3,)) and image.ndim >= 2
    if image.dtype != np.uint8 or not is_valid_shape or not image.size:
        raise SheetError('an image must be (H, W) or (H, W, 3) uint8, '
                         f'got {image.shape} {image.dtype}')


def _draw_cell(cell: np.ndarray, image: np.ndarray | None, scale: float) -> None:
    """Resize an image to fit a cell and draw it centred, in place."""
    cell[:] = _CELL
    height, width = cell.shape[:2]
    if image is None:
        text = 'no image'
        x = (width - _text_width_px(text, scale)) // 2
        _draw_text(cell, text, (x, height // 2), scale, _FAINT)
        return
    ratio = min(width / image.shape[1], height / image.shape[0])
    size = (max(round(image.shape[1] * ratio), 1), max(round(image.shape[0] * ratio), 1))
    resized = cv2.resize(image, size,
                         interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR)
    if resized.ndim == 2:
        resized = cv2.cvtColor(resized, cv2.COLOR_GRAY2BGR)
    x, y = (width - size[0]) // 2, (height - size[1]) // 2
    cell[y:y + size[1], x:x + size[0]] = resized


def _draw_text(canvas: np.ndarray, text: str, baseline_px: tuple[int, int], scale: float,
               colour: tuple[int, int, int]) -> None:
    ascii_text = text.encode('ascii', 'replace').decode()  # the fonts of OpenCV are ASCII only
    cv2.putText(canvas, ascii_text, baseline_px, _FONT, scale, colour, 1, cv2.LINE_AA)


def _text_width_px(text: str, scale: float) -> int:
    return cv2.getTextSize(text, _FONT, scale, 1)[0][0]


def _line_height_px(scale: float) -> int:
    return math.ceil(36 * scale)
