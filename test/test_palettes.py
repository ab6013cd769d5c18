# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Palettes back to gray: exact colours, compressed ones, overlays, and what is no palette."""

from __future__ import annotations

import cv2
from ivf_ros.palettes import find_palette, is_gray, palette_colors, PaletteError, PALETTES, \
    remove_palette
import numpy as np
import pytest

COLOURED = [name for name in PALETTES if name not in ('none', 'auto', 'luma')]


@pytest.fixture(scope='module')
def gray():
    """Return a scene with smooth parts, edges and noise, of all gray levels."""
    rng = np.random.default_rng(1)
    image = np.tile(np.linspace(0, 255, 320), (240, 1))
    for _ in range(20):
        x, y = rng.integers(0, 280), rng.integers(0, 200)
        cv2.rectangle(image, (int(x), int(y)), (int(x) + 40, int(y) + 30),
                      int(rng.integers(0, 256)), -1)
    return np.clip(image + rng.normal(0, 1, image.shape), 0, 255).astype(np.uint8)


def compress(image, quality):
    return cv2.imdecode(cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


@pytest.mark.parametrize('name', COLOURED)
@pytest.mark.parametrize('quality, mean_levels', [(None, 1.1), (90, 3.0)])
def test_each_palette_is_found_and_removed(gray, name, quality, mean_levels):
    coloured = palette_colors(name)[gray]
    if quality:
        coloured = compress(coloured, quality)
    decoded = remove_palette(coloured, 'auto')
    assert decoded.palette == name
    assert np.abs(decoded.gray.astype(int) - gray).mean() < mean_levels
    assert decoded.error_levels < (0.6 if quality is None else 3.0)


def test_the_hottest_stays_the_brightest_although_its_luma_is_low(gray):
    """The luma of the colours of jet falls towards the hot end."""
    coloured = palette_colors('jet')[gray]
    luma = cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY)
    assert luma[gray == gray.max()].mean() < luma[gray == 128].mean()
    assert remove_palette(coloured, 'jet').gray[gray == gray.max()].min() > 250


def test_an_overlay_does_not_hide_the_palette(gray):
    coloured = palette_colors('ironbow')[gray]
    cv2.putText(coloured, '36.6 C', (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 255, 0), 2)
    assert remove_palette(coloured, 'auto').palette == 'ironbow'


def test_three_equal_channels_need_no_palette(gray):
    for image in (cv2.merge([gray] * 3), compress(cv2.merge([gray] * 3), 80)):
        decoded = remove_palette(image, 'none')
        assert decoded.palette == 'none'
        assert np.abs(decoded.gray.astype(int) - gray).mean() < 3
    deep = cv2.merge([gray.astype(np.uint16) * 99] * 3)
    assert remove_palette(deep, 'none').gray.dtype == np.uint16


def test_false_colours_are_refused_without_a_palette(gray):
    coloured = palette_colors('turbo')[gray]
    assert not is_gray(coloured)
    with pytest.raises(PaletteError, match=r'false colours.*set palette'):
        remove_palette(coloured, 'none')


def test_colours_of_no_palette_are_refused():
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    with pytest.raises(PaletteError, match='levels from those of the nearest palette'):
        remove_palette(noise, 'auto')
    with pytest.raises(PaletteError, match='8 bits per channel, got uint16'):
        remove_palette(noise.astype(np.uint16), 'auto')


def test_the_palette_of_real_recordings_in_false_colours(shared_data):
    folder = shared_data / 'zed_lepton_calib' / 'train'
    files = sorted((folder / 'thermal_color').glob('*.png'))[:5]
    for file in files:
        coloured = cv2.imread(str(file))
        assert find_palette(coloured) == 'ironbow'
        lightness = cv2.imread(str(folder / 'thermal' / file.name), cv2.IMREAD_GRAYSCALE)
        decoded = remove_palette(coloured, 'auto')
        assert np.corrcoef(decoded.gray.ravel(), lightness.ravel())[0, 1] > 0.98
