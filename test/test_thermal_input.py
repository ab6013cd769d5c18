# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What reaches the stages from a thermal camera: telemetry, units, polarity, palettes."""

from __future__ import annotations

import cv2
from ivf_ros.camera_input import CameraInputError
from ivf_ros.palettes import palette_colors
from ivf_ros.thermal import Agc
from ivf_ros.thermal_input import (
    count_telemetry_rows,
    guess_temperature_unit,
    score_polarity,
    ThermalCameraParameters,
    ThermalInput,
)
import numpy as np
import pytest

SIZES = [(80, 60), (160, 120), (336, 256), (640, 512)]


def draw_street(size=(160, 120), seed=0) -> np.ndarray:
    """Return counts of a street: cold sky above, warm ground, two people."""
    rng = np.random.default_rng(seed)
    width, height = size
    rows = np.linspace(0, 1, height)[:, None]
    street = np.broadcast_to(np.where(rows < 0.4, 28500 + 300 * rows, 28900.0), (height, width))
    street = street.copy()
    for _ in range(10):
        x, y = rng.integers(0, width), rng.integers(height // 4, height)
        cv2.rectangle(street, (int(x), int(y)), (int(x) + width // 8, int(y) + height // 6),
                      float(rng.integers(28700, 29200)), -1)
    for x in (width // 3, 2 * width // 3):
        cv2.ellipse(street, (x, 2 * height // 3), (width // 30, height // 9), 0, 0, 360, 30600.0,
                    -1)
    return np.clip(street + rng.normal(0, 8, street.shape), 0, 65535).astype(np.uint16)


def make_telemetry(rows, width, seed=0):
    """Return rows of words as cameras write them: some counters and addresses, many zeros."""
    rng = np.random.default_rng(seed)
    words = np.zeros(rows * width, np.uint16)
    words[:width // 4] = rng.integers(0, 65536, width // 4)
    words[width // 2:width // 2 + width // 8] = rng.integers(1, 9, width // 8)
    return words.reshape(rows, width)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('rows', [1, 2, 3, 4])
@pytest.mark.parametrize('seed', range(5))
def test_telemetry_is_counted_at_head_and_foot(size, rows, seed):
    street, telemetry = draw_street(size, seed), make_telemetry(rows, size[0], seed)
    assert count_telemetry_rows(street) == (0, 0)
    assert count_telemetry_rows(np.vstack([telemetry, street])) == (rows, 0)
    assert count_telemetry_rows(np.vstack([street, telemetry])) == (0, rows)
    assert count_telemetry_rows(np.vstack([street, telemetry]).astype(np.float32)) == (0, rows)


def test_a_hot_pipe_and_a_cold_sky_at_the_edge_are_scene():
    pipe = draw_street()
    pipe[:3, 20:140] = 40000
    sky = draw_street()
    sky[-2:] = 20000 + np.random.default_rng(0).integers(0, 30, sky[-2:].shape)
    assert count_telemetry_rows(pipe) == count_telemetry_rows(sky) == (0, 0)


def test_real_images_have_no_telemetry(shared_data):
    files = sorted((shared_data / 'flir_rjpeg' / 'train' / 'thermal16').glob('*'))
    assert files
    assert {count_telemetry_rows(cv2.imread(str(file), cv2.IMREAD_UNCHANGED))
            for file in files} == {(0, 0)}


@pytest.mark.parametrize('at_foot', [True, False])
def test_the_stages_see_the_same_with_telemetry_as_without(at_foot):
    street, telemetry = draw_street(), make_telemetry(2, 160)
    thermal = np.vstack([street, telemetry] if at_foot else [telemetry, street])
    camera = ThermalInput()
    np.testing.assert_array_equal(camera.apply(thermal), street)
    np.testing.assert_array_equal(Agc()(camera.apply(thermal)), Agc()(street))
    assert '2 at the' in camera.describe()['telemetry_rows_removed']
    kept = ThermalInput(ThermalCameraParameters(telemetry='keep'))
    assert kept.apply(thermal).shape == (122, 160)


def test_a_decision_about_rows_holds_while_the_format_does():
    camera = ThermalInput()
    thermal = np.vstack([draw_street(), make_telemetry(2, 160)])
    camera.apply(thermal)
    assert camera.apply(np.full_like(thermal, 29000)).shape == (120, 160)
    assert camera.apply(draw_street((80, 60))).shape == (60, 80), 'another camera'


def test_a_plain_image_is_handed_on_without_a_copy():
    street = draw_street()
    assert ThermalInput().apply(street) is street


@pytest.mark.parametrize('values, unit', [
    ((-10.0, 40.0), 'celsius'), ((0.0, 0.5), ''), ((15.0, 900.0), 'celsius'),
    ((250.0, 320.0), 'kelvin'), ((280.0, 1200.0), 'kelvin'), ((28000.0, 31000.0), ''),
    ((-5000.0, 100.0), ''), ((np.nan, np.nan), '')])
def test_the_unit_of_float_images_follows_from_their_range(values, unit):
    image = np.linspace(*values, 48 * 64, dtype=np.float32).reshape(48, 64)
    assert guess_temperature_unit(image) == unit


def test_kelvin_become_celsius_unless_told_otherwise():
    kelvin = np.linspace(280, 310, 48 * 64, dtype=np.float32).reshape(48, 64)
    kelvin[0, 0] = np.nan
    camera = ThermalInput()
    np.testing.assert_allclose(camera.apply(kelvin), kelvin - 273.15, atol=1e-4)
    assert camera.describe()['thermal_unit'] == 'kelvin'
    told = ThermalInput(ThermalCameraParameters(float_unit='celsius'))
    np.testing.assert_array_equal(told.apply(kelvin), kelvin)


def test_black_hot_is_inverted():
    street = draw_street()
    camera = ThermalInput(ThermalCameraParameters(polarity='black_hot'))
    np.testing.assert_array_equal(camera.apply(65535 - street), street)
    np.testing.assert_array_equal(camera.apply(np.uint8([[0, 255]] * 20)), [[255, 0]] * 20)


def test_the_polarity_is_found_by_the_scene():
    street = Agc()(draw_street((320, 240)))
    assert score_polarity(street) == pytest.approx(-score_polarity(255 - street), abs=0.1)
    for image, name in ((street, 'white_hot'), (255 - street, 'black_hot')):
        camera = ThermalInput(ThermalCameraParameters(polarity='auto'))
        np.testing.assert_array_equal(camera.apply(image), street)
        assert camera.describe()['thermal_polarity'] == name


def test_the_polarity_of_real_images_is_found(shared_data):
    more = shared_data.parent / 'more_data' / 'm3svd_val'
    files = sorted(more.rglob('*.png'))
    if not files:
        pytest.skip(f'no images in {more}')
    scores = [score_polarity(cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)) for file in files]
    assert np.mean(np.array(scores) > 0) > 0.95, 'images of no data set that set the weights'


def test_a_palette_is_removed_and_told():
    gray = Agc()(draw_street((320, 240)))
    camera = ThermalInput(ThermalCameraParameters(palette='auto'))
    assert np.abs(camera.apply(palette_colors('inferno')[gray]).astype(int) - gray).mean() < 1
    assert camera.describe()['thermal_palette'].startswith('inferno, error 0.0 levels')
    with pytest.raises(CameraInputError, match='false colours'):
        ThermalInput().apply(palette_colors('inferno')[gray])


def test_what_is_no_thermal_image_is_refused():
    for image in (np.zeros((4, 4), np.int16), np.zeros((4, 4, 2), np.uint8)):
        with pytest.raises(CameraInputError):
            ThermalInput().apply(image)
