# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Whether thermal lies on RGB: drawn images, then the rates on real pairs."""

from __future__ import annotations

import cv2
from ivf_ros.data.files import image_files
from ivf_ros.data.image_file import read_rgb, read_thermal
from ivf_ros.data.recording import to_thermal
from ivf_ros.registration import RegistrationError
from ivf_ros.registration.alignment import Alignment, check_alignment
from ivf_ros.thermal_input import ThermalCameraParameters
import numpy as np
import pytest


@pytest.fixture(scope='module')
def drawn() -> np.ndarray:
    """Return filled rectangles of random levels, ``(480, 640)`` uint8."""
    random = np.random.default_rng(3)
    image = np.full((480, 640), 90, np.uint8)
    for _ in range(60):
        x, y = (int(value) for value in random.integers(0, (600, 440)))
        width, height = (int(value) for value in random.integers(15, 120, 2))
        cv2.rectangle(image, (x, y), (x + width, y + height), int(random.integers(256)), -1)
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def move(image: np.ndarray, scale: float, dx_px: float, dy_px: float) -> np.ndarray:
    """Scale an image about its centre, then shift it."""
    centre = np.array([319.5, 239.5])
    shift = centre - scale * centre + (dx_px, dy_px)
    return cv2.warpAffine(image, np.float64([[scale, 0, shift[0]], [0, scale, shift[1]]]),
                          (640, 480), borderMode=cv2.BORDER_REFLECT)


def test_images_on_one_grid_fit_where_they_lie(drawn):
    alignment = check_alignment(255 - drawn, cv2.merge([drawn] * 3))
    assert alignment.correlation == alignment.best_correlation > 0.9
    assert alignment.best_shift == (0, 0) and alignment.best_scale == 1
    assert not alignment.is_doubtful


@pytest.mark.parametrize('scale, dx_px, dy_px', [(1, 40, 0), (1, -60, 32), (0.85, 0, 0),
                                                 (1.27, 32, -24)])
def test_the_place_where_moved_images_fit_is_found(scale, dx_px, dy_px, drawn):
    moved = move(drawn, 1 / scale, -dx_px / scale, -dy_px / scale)
    alignment = check_alignment(moved.astype(np.uint16) * 11, drawn)
    assert alignment.is_doubtful
    assert alignment.best_scale == pytest.approx(scale, rel=0.05)
    np.testing.assert_allclose(alignment.best_shift, (dx_px / 640, dy_px / 640), atol=0.015)


@pytest.mark.parametrize('image', [np.zeros((480, 640), np.uint8),
                                   np.random.default_rng(0).normal(20, 1, (480, 640))])
def test_an_image_without_structure_is_in_no_doubt(image, drawn):
    assert not check_alignment(image, drawn).is_doubtful


def test_the_limits_of_a_doubt():
    place = (0.1, 0.0), 1.0
    assert Alignment(0.30, 0.37, *place).is_doubtful
    assert not Alignment(0.30, 0.35, *place).is_doubtful
    assert Alignment(-0.1, 0.21, *place).is_doubtful
    assert not Alignment(0.01, 0.19, *place).is_doubtful


def test_a_wrong_image_is_refused(drawn):
    with pytest.raises(RegistrationError):
        check_alignment(cv2.merge([drawn] * 3), drawn)


def count_doubts(folder) -> tuple[int, int]:
    """Return how many pairs of a folder are in doubt, and their number."""
    visible = {path.stem: path for path in image_files(folder / 'visible')}
    doubts, total = 0, 0
    for path in image_files(folder / 'thermal'):
        if path.stem in visible:
            rgb = read_rgb(visible[path.stem])
            thermal = to_thermal(read_thermal(path), ThermalCameraParameters(palette='auto'))
            thermal = cv2.resize(thermal, (rgb.shape[1], rgb.shape[0]))
            doubts += check_alignment(thermal, rgb).is_doubtful
            total += 1
    return doubts, total


@pytest.mark.parametrize('name, at_most', [
    ('msrs/officialtest_dev', 0), ('roadscene/train', 0), ('llvip/train', 0), ('llvip/test', 0),
    ('tno42/train', 1), ('vifb/train', 0), ('tno_sequences/nato_camp', 0),
    ('tno_sequences/duine', 0)])
def test_aligned_pairs_are_hardly_ever_in_doubt(name, at_most, shared_data):
    doubts, total = count_doubts(shared_data / name)
    assert total >= 5 and doubts <= at_most


@pytest.mark.parametrize('name, at_least', [('metu_vistir/unaligned_no_gt', 0.8),
                                            ('starain_visir/train', 1.0)])
def test_most_pairs_that_are_not_aligned_are_in_doubt(name, at_least, shared_data):
    doubts, total = count_doubts(shared_data / name)
    assert total >= 8 and doubts >= at_least * total
