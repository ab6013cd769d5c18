# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Contact sheets: layout, aspect ratio, captions, and the registration overlay."""

from __future__ import annotations

import cv2
from ivf_ros.data.sources import open_source
from ivf_ros.nodes.demo.contact_sheet import (
    contact_sheet,
    registration_overlay,
    SheetError,
    thermal_edges,
)
import numpy as np
import pytest

RED, GREEN, BLUE = (0, 0, 255), (0, 255, 0), (255, 0, 0)


def make_plain_image(colour: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> np.ndarray:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def find_box(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the area with a colour."""
    rows, columns = np.nonzero((sheet == colour).all(axis=2))
    assert rows.size, f'nothing on the sheet has the colour {colour}'
    box = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
    assert rows.size == box[2] * box[3]
    return tuple(int(value) for value in box)


def test_images_are_arranged_in_rows_and_columns():
    sheet = contact_sheet([[make_plain_image(RED), make_plain_image(GREEN)],
                           [make_plain_image(BLUE), None]], ['a', 'b'], cell_size=(80, 60))
    red, green, blue = (find_box(sheet, colour) for colour in (RED, GREEN, BLUE))
    assert red[2:] == green[2:] == blue[2:] == (80, 60)
    assert red[1] == green[1] and red[0] == blue[0]
    assert green[0] > red[0] + 80 and blue[1] > red[1] + 60
    assert sheet.dtype == np.uint8


@pytest.mark.parametrize('size, expected', [
    ((40, 30), (80, 60)),  # same aspect ratio, enlarged
    ((640, 480), (80, 60)),  # reduced
    ((160, 60), (80, 30)),  # wide: bars above and below
    ((30, 60), (30, 60)),  # tall: bars at the sides
    ((2000, 1), (80, 1)),  # at least one pixel high
])
def test_an_image_keeps_its_aspect_ratio_and_is_centred_in_its_cell(size, expected):
    sheet = contact_sheet([[make_plain_image(RED), make_plain_image(GREEN, size)]], ['a', 'b'],
                          cell_size=(80, 60))
    cell, image = find_box(sheet, RED), find_box(sheet, GREEN)
    assert image[2:] == expected
    assert abs(image[1] + image[3] / 2 - (cell[1] + 30)) <= 0.5
    assert abs(image[0] + image[2] / 2 - (cell[0] + 80 + 6 + 40)) <= 0.5


def test_gray_images_are_shown_unchanged():
    ramp = np.tile(np.arange(80, dtype=np.uint8) + 100, (60, 1))
    sheet = contact_sheet([[make_plain_image(RED), ramp]], ['a', 'b'], cell_size=(80, 60))
    left, top, _, _ = find_box(sheet, RED)
    cell = sheet[top:top + 60, left + 86:left + 166]
    np.testing.assert_array_equal(cell, np.dstack([ramp] * 3))


def test_a_missing_image_leaves_a_dark_cell_with_a_text():
    sheet = contact_sheet([[make_plain_image(RED), None]], ['a', 'b'], cell_size=(160, 120))
    left, top, _, _ = find_box(sheet, RED)
    cell = sheet[top:top + 120, left + 166:left + 326]
    assert np.median(cell) < 32
    assert cell.max() > 80


def test_captions_are_on_the_left_and_the_heading_at_the_top():
    rows = [[make_plain_image(RED)], [make_plain_image(GREEN)]]
    bare = contact_sheet(rows, ['a'])
    captioned = contact_sheet(rows, ['a'], ['1.20 s\nTRACKING', '2.40 s\nLOST'], 'A sequence')
    (left, top, width, height), bare_box = find_box(captioned, RED), find_box(bare, RED)
    assert (width, height) == bare_box[2:] == (320, 240)
    assert left > bare_box[0] + 60 and top > bare_box[1] + 20
    for x, y, _, h in (find_box(captioned, RED), find_box(captioned, GREEN)):
        assert captioned[y:y + h, :x - 6].max() > 150  # the caption
    assert captioned[:top - 30].max() > 200  # the heading


def test_a_caption_of_many_lines_makes_its_row_higher():
    sheet = contact_sheet([[make_plain_image(RED)], [make_plain_image(GREEN)]], ['a'],
                          ['\n'.join('abcdefgh'), ''], cell_size=(80, 60))
    assert find_box(sheet, GREEN)[1] - find_box(sheet, RED)[1] > 100


def test_text_with_characters_missing_in_the_font_is_accepted():
    contact_sheet([[make_plain_image(RED)]], ['Wärme'], ['23 °C'], 'Überblick')


@pytest.mark.parametrize('rows, titles, captions, message', [
    ([], ['a'], [], 'needs at least one row and one column, got 0 rows and 1 columns'),
    ([[]], [], [], 'needs at least one row and one column, got 1 rows and 0 columns'),
    ([[make_plain_image(RED)]], ['a', 'b'], [], 'row 0 has 1 images for 2 titles'),
    ([[make_plain_image(RED)]], ['a'], ['x', 'y'], '2 captions for 1 rows'),
    ([[make_plain_image(RED).astype(np.uint16)]], ['a'], [], 'uint16'),
    ([[np.zeros((4, 4, 2), np.uint8)]], ['a'], [], r'\(4, 4, 2\)'),
    ([[np.zeros((0, 4), np.uint8)]], ['a'], [], r'\(0, 4\)'),
])
def test_invalid_arguments_are_refused(rows, titles, captions, message):
    with pytest.raises(SheetError, match=message):
        contact_sheet(rows, titles, captions)


def test_the_overlay_draws_the_outline_of_a_warm_object_where_it_is():
    thermal = np.full((120, 160), 60, np.uint8)
    cv2.rectangle(thermal, (50, 30), (90, 80), 200, -1)
    overlay = registration_overlay(thermal, np.full((120, 160, 3), 90, np.uint8))
    drawn = overlay[..., 2].astype(int) - overlay[..., 0] > 100
    rows, columns = np.nonzero(drawn)
    assert abs(columns.min() - 50) <= 2 and abs(columns.max() - 90) <= 2
    assert abs(rows.min() - 30) <= 2 and abs(rows.max() - 80) <= 2
    assert not drawn[40:70, 60:80].any()


def test_the_border_of_the_thermal_coverage_is_no_edge():
    thermal = np.zeros((120, 160), np.uint8)
    thermal[20:100, 30:130] = 120
    assert not thermal_edges(thermal).any()
    assert not thermal_edges(np.zeros((120, 160), np.uint8)).any()


def test_sensor_noise_has_no_edges():
    noise = np.random.default_rng(0).normal(120, 1.5, (240, 320)).astype(np.uint8)
    assert thermal_edges(noise).mean() < 0.01


@pytest.mark.parametrize('thermal, rgb', [
    (np.zeros((4, 5), np.uint8), np.zeros((4, 4, 3), np.uint8)),
    (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)),
    (np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8)),
])
def test_an_overlay_needs_images_on_one_grid(thermal, rgb):
    with pytest.raises(SheetError):
        registration_overlay(thermal, rgb)


def test_a_sheet_of_real_pairs_shows_them_all(shared_data):
    rows = []
    events = open_source(shared_data / 'roadscene' / 'train').events()
    for thermal, rgb in zip(events, events, strict=True):
        image = rgb.frame.image
        registered = cv2.resize(thermal.frame.image, rgb.frame.size)
        rows.append([thermal.frame.image, image, registration_overlay(registered, image), None])
        if len(rows) == 3:
            break
    sheet = contact_sheet(rows, ['thermal', 'RGB', 'registered', 'fused'], ['a', 'b', 'c'])
    assert sheet.shape[1] > 4 * 320 and sheet.shape[0] > 3 * 240
