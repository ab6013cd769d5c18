# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Radiometry, gain control, and detection of a frozen or blind sensor."""

from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from ivf_ros.parameters import build, declarations
from ivf_ros.thermal import (
    Agc,
    AGC_MODES,
    AgcParameters,
    FreezeDetector,
    FreezeParameters,
    RADIOMETRIES,
    Radiometry,
    RadiometryParameters,
    ThermalError,
    ThermalState,
    TLINEAR_0_01K,
    TLINEAR_0_04K,
)
import numpy as np
import pytest

MONOTONE_MODES = [mode for mode in AGC_MODES if mode != 'clahe']
AGC_DTYPES = [np.uint8, np.uint16, np.float32, np.float64]


def _scene(rng: np.random.Generator, size=(120, 160), noise=4.0) -> np.ndarray:
    """Return counts of a smooth scene with a warm block and sensor noise."""
    counts = np.add.outer(np.linspace(7000, 7600, size[0]), np.linspace(0, 300, size[1]))
    counts[40:80, 60:80] += 900
    return np.rint(counts + rng.normal(0, noise, size)).astype(np.uint16)


# Temperatures


@pytest.mark.parametrize('radiometry, counts, celsius', [
    (TLINEAR_0_01K, 27315, 0.0), (TLINEAR_0_01K, 31015, 37.0), (TLINEAR_0_01K, 0, -273.15),
    (TLINEAR_0_04K, 7329, 20.01), (Radiometry(0.5, 10.0), 100, 60.0)])
def test_counts_and_celsius_are_linear(radiometry, counts, celsius):
    converted = radiometry.to_celsius(np.array([[counts]], np.uint16))
    assert converted.dtype == np.float32 and converted[0, 0] == pytest.approx(celsius, abs=1e-3)


@pytest.mark.parametrize('radiometry', [TLINEAR_0_01K, TLINEAR_0_04K, Radiometry(1e-3, -50.0)])
def test_every_count_has_a_distinct_temperature(radiometry):
    counts = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    celsius = radiometry.to_celsius(counts).astype(np.float64)
    np.testing.assert_array_equal(
        np.rint((celsius - radiometry.offset_celsius) / radiometry.scale), counts)


@pytest.mark.parametrize('scale', [0.0, -0.01, float('nan')])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(ThermalError, match='positive'):
        Radiometry(scale, 0.0)


def test_radiometry_from_parameters():
    radiometries = {
        kind: build(RadiometryParameters, {'kind': kind, 'scale': 0.1, 'offset_celsius': -40})
        .radiometry() for kind in RADIOMETRIES}
    assert radiometries == {'none': None, 'tlinear_0_01K': TLINEAR_0_01K,
                            'tlinear_0_04K': TLINEAR_0_04K, 'linear': Radiometry(0.1, -40.0)}


def test_centikelvin_images_show_plausible_temperatures(shared_data):
    files = sorted((shared_data / 'flir_rjpeg/train/temperature_centikelvin').glob('*.png'))
    assert files
    for file in files:
        counts = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        celsius = TLINEAR_0_01K.to_celsius(counts)
        assert celsius.min() > -75 and celsius.max() < 200, file
        np.testing.assert_allclose(celsius, counts / 100.0 - 273.15, atol=1e-4)


# Gain control


@pytest.mark.parametrize('dtype', AGC_DTYPES)
@pytest.mark.parametrize('mode', AGC_MODES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_image_becomes_8_bit_and_warmer_is_not_darker(mode, dtype, data):
    shape = hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)
    values = {'elements': st.floats(-1e3, 1e4, width=32) | st.sampled_from(
        [np.nan, np.inf, -np.inf])} if np.dtype(dtype).kind == 'f' else {}
    agc = Agc(AgcParameters(mode=mode, stretch_8bit=data.draw(st.booleans())))
    for _ in range(2):  # the second frame is smoothed with the first
        image = data.draw(hnp.arrays(dtype, shape, **values))
        gray = agc(image)
        assert gray.shape == image.shape and gray.dtype == np.uint8
        if mode in MONOTONE_MODES:
            order = np.argsort(image[~np.isnan(image)], kind='stable')
            assert (np.diff(gray[~np.isnan(image)][order].astype(int)) >= 0).all()


@pytest.mark.parametrize('dtype', AGC_DTYPES)
@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('shape', [(1, 1), (1, 7), (50, 60)])
def test_a_constant_image_stays_constant(mode, dtype, shape):
    gray = Agc(AgcParameters(mode=mode))(np.full(shape, 42, dtype))
    assert (gray == gray[0, 0]).all()


# Floats without a value


def agc_of(mode, **parameters):
    return Agc(AgcParameters(mode=mode, fixed_low_celsius=10.0, fixed_high_celsius=30.0,
                             **parameters))


FLOATS = [np.float32, np.float64]


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('share', [0.002, 0.3, 0.9])
def test_nan_is_black_in_every_mode(mode, dtype, share):
    random = np.random.default_rng(0)
    image = random.normal(20, 5, (67, 90)).astype(dtype)
    holes = random.random(image.shape) < share
    image[holes] = np.nan
    agc = agc_of(mode)
    for _ in range(3):  # also with the smoothed range
        gray = agc(image)
        assert (gray[holes] == 0).all() and np.ptp(gray[~holes]) > 150


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('mode', AGC_MODES)
def test_nan_does_not_influence_other_pixels(mode, dtype):
    # Every temperature of a tile of CLAHE occurs twice, and one of the two becomes NaN: the
    # histograms keep their proportions, so the other one keeps its gray level.
    random = np.random.default_rng(0)
    image = random.normal(20, 3, (64, 64)).astype(dtype)
    image[1::2] = image[::2]
    holed = image.copy()
    holed[1::2] = np.nan
    agc_parameters = {'smoothing': 0.0, 'low_percent': 0.0, 'high_percent': 100.0}
    gray = agc_of(mode, **agc_parameters)(holed)
    np.testing.assert_array_equal(gray[::2], agc_of(mode, **agc_parameters)(image)[::2])
    assert (gray[1::2] == 0).all()


@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('shape', [(64, 64), (66, 70), (61, 64)])
def test_a_few_nan_hardly_change_other_pixels(mode, shape):
    random = np.random.default_rng(0)
    image = random.normal(20, 5, shape).astype(np.float32)
    holed = image.copy()
    holed[random.random(shape) < 0.02] = np.nan
    known = ~np.isnan(holed)
    change = agc_of(mode)(holed)[known].astype(int) - agc_of(mode)(image)[known]
    assert np.abs(change).max() <= (12 if mode == 'clahe' else 2)  # a tile has 64 pixels


def test_a_tile_without_a_value_is_black_and_bounded_by_the_image():
    image = np.tile(np.linspace(10, 30, 64, dtype=np.float32), (64, 1))
    image[:24, :24] = np.nan
    gray = agc_of('clahe')(image)
    assert (gray[:24, :24] == 0).all()
    assert (np.diff(gray[40].astype(int)) >= -2).all() and np.ptp(gray[40]) > 150


def test_a_tile_without_a_value_does_not_change_other_tiles_of_the_same_kind():
    tile = np.random.default_rng(0).normal(20, 3, (8, 8)).astype(np.float32)
    image = np.tile(tile, (8, 8))
    holed = image.copy()
    holed[16:24, 32:40] = np.nan
    gray, known = agc_of('clahe')(holed), ~np.isnan(holed)
    np.testing.assert_array_equal(gray[known], agc_of('clahe')(image)[known])


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('far', [np.inf, 1e30, 3e38])
def test_infinity_is_the_coldest_or_the_warmest_level_and_changes_no_other(mode, dtype, far):
    image = np.tile(np.linspace(10, 30, 100), (8, 1)).astype(dtype)
    expected = agc_of(mode)(np.where(np.arange(8)[:, None] == 3, np.nan, image).astype(dtype))
    image[3] = far
    image[3, :50] = -far
    gray = agc_of(mode)(image)
    others = np.arange(8) != 3
    if mode != 'clahe':  # infinity is a part of its histograms
        np.testing.assert_array_equal(gray[others], expected[others])
        assert (gray[3, :50] <= gray[others].min()).all()
        assert (gray[3, 50:] >= gray[others].max()).all()
        assert gray[3, 0] <= 1 and gray[3, -1] >= 254
    else:
        assert (gray[3, :40] < 100).all() and (gray[3, 60:] > 150).all()


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('values', [[np.nan], [np.inf], [-np.inf], [np.nan, np.inf, -np.inf]])
def test_an_image_without_a_value_is_black(mode, dtype, values):
    image = np.resize(np.array(values, dtype), (12, 12))
    gray = agc_of(mode)(image)
    # The fixed range has no need of other values.
    warm = np.isposinf(image) if mode == 'fixed_range' else np.zeros(image.shape, bool)
    np.testing.assert_array_equal(gray, np.where(warm, 255, 0))


@pytest.mark.parametrize('dtype', FLOATS)
@pytest.mark.parametrize('mode', AGC_MODES)
@pytest.mark.parametrize('size', [(5, 7), (400, 500)])  # a large image is sampled
def test_a_single_value_is_gray_and_the_rest_black(mode, dtype, size):
    image = np.full(size, np.nan, dtype)
    image[1, 3] = 20.0
    gray = agc_of(mode)(image)
    constant = agc_of(mode)(np.full(size, 20.0, dtype))
    assert gray[1, 3] == constant[1, 3] and np.count_nonzero(gray) == 1
    if mode != 'clahe':
        assert abs(int(gray[1, 3]) - 128) <= 3  # the minimum span is near the rounding of float32


@pytest.mark.parametrize('mode', AGC_MODES)
def test_a_frame_without_a_value_does_not_change_the_range(mode):
    image = np.random.default_rng(0).normal(20, 5, (32, 32)).astype(np.float32)
    agc, other = agc_of(mode), agc_of(mode)
    for frame in (image, np.full_like(image, np.nan), image + 3):
        gray = agc(frame)
    other(image)
    np.testing.assert_array_equal(gray, other(image + 3))


# Closed forms of the range over time


def whole_range(mode, smoothing=0.5, **parameters):
    return Agc(AgcParameters(mode=mode, smoothing=smoothing, low_percent=0.0, high_percent=100.0,
                             **parameters))


@pytest.mark.parametrize('second, expected', [
    ((200, 250, 300), (128, 255, 255)),  # touches the first range: the mean of both, 150 to 250
    ((201, 251, 301), (0, 128, 255)),  # does not: the range starts again
    ((0, 50, 100), (0, 0, 128)), ((0, 50, 99), (0, 129, 255))])
def test_the_range_is_smoothed_unless_it_is_elsewhere(second, expected):
    agc = whole_range('percentile')
    agc(np.array([[100, 150, 200]], np.uint16))
    assert agc(np.array([second], np.uint16)).tolist() == [list(expected)]


@pytest.mark.parametrize('values, expected, dtype', [
    ((7, 8), (0, 255), np.uint16), ((7, 7), (128, 128), np.uint16),
    ((0.0, 2.5e-7), (96, 159), np.float64), ((20.0, 20.00005), (96, 159), np.float64),
    ((-20.0, -19.99995), (96, 159), np.float64), ((-30.0, 20.0), (0, 255), np.float64)])
def test_the_least_range_is_one_count_or_a_part_of_the_value(values, expected, dtype):
    assert whole_range('percentile')(np.array([values], dtype)).tolist() == [list(expected)]


def test_the_plateau_curve_of_counts_has_a_least_span():
    # Two levels with half of the pixels each would be 64 and 191.
    image = np.array([[100, 101]], np.uint16)
    assert whole_range('plateau')(image).tolist() == [[64, 191]]
    assert whole_range('plateau', minimum_span=10.0)(image).tolist() == [[115, 140]]


def ramp(low, high, power=1.0):
    """Return floats from low to high, one for each level of the quantisation."""
    return (low + (high - low) * np.linspace(0, 1, 85 * 257) ** power).reshape(85, 257)


def gray_at(agc, image, celsius):
    return int(agc(image).flat[np.abs(image - celsius).argmin()])


@pytest.mark.parametrize('minimum_span, expected', [(0.0, (0, 64, 255)), (2.0, (64, 96, 191))])
def test_the_plateau_curve_of_floats_has_a_least_span(minimum_span, expected):
    agc = whole_range('plateau', minimum_span=minimum_span)
    found = [gray_at(agc, ramp(10, 11), celsius) for celsius in (10, 10.25, 11)]
    assert np.abs(np.subtract(found, expected)).max() <= 1


@pytest.mark.parametrize('smoothing, expected', [(0.0, 128), (0.5, 96), (0.75, 80)])
def test_the_plateau_curve_of_floats_is_smoothed(smoothing, expected):
    agc = whole_range('plateau', smoothing, plateau=1000.0)
    assert abs(gray_at(agc, ramp(10, 11), 10.25) - 64) <= 1
    assert abs(gray_at(agc, ramp(10, 11, 2), 10.25) - expected) <= 1


@pytest.mark.parametrize('low, high', [(5.0, 10.5), (10.5, 16.0)])
def test_the_plateau_curve_of_floats_starts_again_outside_of_its_range(low, high):
    agc = whole_range('plateau', 0.0)
    agc(ramp(10, 11))
    for share in (0.25, 0.5, 0.75):
        celsius = low + share * (high - low)
        assert abs(gray_at(agc, ramp(low, high), celsius) - 255 * share) <= 1.5


@pytest.mark.parametrize('low, high, expected', [
    (10.0, 12.9, 212), (10.0, 13.1, 128), (8.1, 11.0, 43), (7.9, 11.0, 128)])
def test_the_plateau_curve_of_floats_is_kept_up_to_one_span_beyond(low, high, expected):
    # The smoothed range is half way to the new one, and the curve covers 9 to 12. Of the second
    # image 31 % are beyond, in one level: 1000 times the mean of 1.45 a level. So its middle is
    # 66 % of the way from there, 169 or 86, which is averaged with 255 or 0 of the first.
    agc = whole_range('plateau', plateau=1000.0)
    agc(ramp(10, 11))
    assert abs(gray_at(agc, ramp(low, high), (low + high) / 2) - expected) <= 2


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_minmax_uses_the_whole_range(dtype):
    image = np.linspace(1000, 1255, 256).reshape(16, 16).astype(dtype)
    np.testing.assert_array_equal(Agc(AgcParameters(mode='minmax'))(image).ravel(), np.arange(256))


def test_percentile_ignores_a_few_outliers():
    image = np.tile(np.linspace(1000, 2000, 100).astype(np.uint16), (100, 1))
    hot = image.copy()
    hot[5:10, 5:10] = 60000  # a quarter of a percent
    agc = AgcParameters(low_percent=1.0, high_percent=99.0)
    difference = Agc(agc)(image).astype(int) - Agc(agc)(hot)
    difference[5:10, 5:10] = 0
    assert np.abs(difference).max() <= 4
    assert (Agc(agc)(hot)[5:10, 5:10] == 255).all()


@pytest.mark.parametrize('mode', ['percentile', 'plateau'])
@pytest.mark.parametrize('counts, area', [
    (4000, np.s_[40:80, 60:80]),  # hot: the previously brightest area becomes darker
    (-4000, np.s_[:10, :50])])  # cold: the previously darkest area becomes brighter
def test_gray_levels_change_slowly_when_a_hot_or_cold_object_enters(mode, counts, area):
    rng = np.random.default_rng(0)
    agc = Agc(AgcParameters(mode=mode))
    for _ in range(10):
        before = agc(_scene(rng))
    changed = _scene(rng).astype(int)
    changed[80:, 100:] += counts  # an eighth of the image
    changed = changed.astype(np.uint16)
    first = agc(changed)
    jump = abs(first[area].mean() - before[area].mean())
    for _ in range(60):
        last = agc(changed)
    settled = abs(last[area].mean() - before[area].mean())
    assert settled > 20 and jump < settled / 3  # it follows, but not immediately
    unsmoothed = Agc(AgcParameters(mode=mode))(changed)
    np.testing.assert_allclose(last, unsmoothed, atol=2)


@pytest.mark.parametrize('mode', ['percentile', 'plateau', 'clahe'])
@pytest.mark.parametrize('event', ['reset', 'size', 'dtype', 'other range'])
def test_events_that_reset_the_gain(mode, event):
    rng = np.random.default_rng(0)
    agc, image = Agc(AgcParameters(mode=mode)), _scene(rng)
    image[:, :40] //= 2
    for _ in range(5):
        agc(image)
    other = image - 800
    if event == 'reset':
        agc.reset()
    elif event == 'size':
        other = other[:-8]
    elif event == 'dtype':
        other = other.astype(np.float32)
    else:
        other = image + 30000  # as after a change of gain mode
    np.testing.assert_array_equal(agc(other), Agc(AgcParameters(mode=mode))(other))


def test_fixed_range_in_counts_celsius_and_float():
    counts = np.array([[27315, 28315, 29315, 32315, 33315]], np.uint16)  # 0, 10, 20, 50, 60 °C
    expected = [[0, 51, 102, 255, 255]]
    parameters = AgcParameters(mode='fixed_range', fixed_low_celsius=0.0, fixed_high_celsius=50.0,
                               fixed_low_counts=27315.0, fixed_high_counts=32315.0)
    np.testing.assert_array_equal(Agc(parameters)(counts), expected)
    np.testing.assert_array_equal(Agc(parameters, TLINEAR_0_01K)(counts), expected)
    celsius = TLINEAR_0_01K.to_celsius(counts)
    np.testing.assert_array_equal(Agc(parameters)(celsius), expected)


def test_an_empty_fixed_range_is_rejected():
    agc = Agc(AgcParameters(mode='fixed_range', fixed_low_celsius=50.0))
    with pytest.raises(ThermalError, match=r'50\.0 to 50\.0'):
        agc(np.zeros((2, 2), np.float32))


def test_plateau_gives_equal_populations_equal_contrast():
    image = np.repeat(np.array([100, 110, 5000, 60000], np.uint16), 16).reshape(8, 8)
    gray = Agc(AgcParameters(mode='plateau'))(image)
    assert sorted(set(gray.ravel())) == [32, 96, 159, 223]  # the centres of four equal parts


def test_the_plateau_limits_the_range_of_a_uniform_background():
    image = np.full((100, 100), 1000, np.uint16)
    image[:10, :20] = 1000 + np.arange(1, 201).reshape(10, 20)  # small objects: 2 % of the pixels
    small, large = (np.ptp(Agc(AgcParameters(mode='plateau', plateau=plateau))(image)[:10, :20])
                    for plateau in (1.0, 1000.0))
    assert small > 195 and large < 10  # 200 of 251 equal parts; 2 % of the pixels


@pytest.mark.parametrize('mode', ['percentile', 'minmax', 'plateau'])
@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_the_minimum_span_limits_the_amplification_of_noise(mode, dtype):
    noise = (np.arange(1024).reshape(32, 32) % 5 + 8000).astype(dtype)
    stretched = Agc(AgcParameters(mode=mode))(noise)
    limited = Agc(AgcParameters(mode=mode, minimum_span=510.0))(noise)
    assert np.ptp(stretched) > 150
    assert np.ptp(limited) <= 4
    assert abs(limited.mean() - 127.5) < 3


@pytest.mark.parametrize('mode', ['percentile', 'minmax'])
def test_8_bit_images_pass_unless_stretch_8bit_is_set(mode):
    image = np.linspace(100, 150, 400).reshape(20, 20).astype(np.uint8)
    assert Agc(AgcParameters(mode=mode))(image) is image
    assert np.ptp(Agc(AgcParameters(mode=mode, stretch_8bit=True))(image)) > 200


def test_clahe_raises_local_contrast():
    image = _scene(np.random.default_rng(0), (240, 320), noise=2.0)
    image[100:, 160:] += 20000  # a hot half determines the global range
    corner = np.s_[:60, :80]
    assert Agc(AgcParameters(mode='clahe'))(image)[corner].std() > \
        2 * Agc(AgcParameters(mode='percentile'))(image)[corner].std()


@pytest.mark.parametrize('image', [
    np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.int32), np.zeros((0, 4), np.uint16)])
def test_arrays_that_are_not_thermal_images_are_rejected(image):
    for process in (Agc(), lambda frame: FreezeDetector().update(frame, 0.0)):
        with pytest.raises(ThermalError, match=r'\(H, W\)'):
            process(image)


def test_real_counts_use_the_gray_scale_in_every_mode(shared_data):
    for file in sorted((shared_data / 'flir_rjpeg/train/thermal16').glob('*.png'))[:8]:
        counts = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        for mode in ('percentile', 'plateau', 'clahe', 'minmax'):
            gray = Agc(AgcParameters(mode=mode))(counts)
            assert np.ptp(gray) > 200 and len(np.unique(gray)) > 60, (file, mode)


def test_defaults_lie_within_their_limits():
    for cls in (AgcParameters, FreezeParameters, RadiometryParameters):
        assert build(cls, {each.name: each.default for each in declarations(cls)}) == cls()


# Health of the sensor


def _states(frames, rate_hz=30.0, parameters=None):
    detector = FreezeDetector(parameters)
    return [detector.update(frame, i / rate_hz).state for i, frame in enumerate(frames)]


@pytest.mark.parametrize('dtype, gain', [(np.uint8, 0.05), (np.uint16, 1.0), (np.float32, 0.01)])
def test_a_still_scene_is_live(dtype, gain):
    rng = np.random.default_rng(0)
    frames = [(_scene(rng) * gain % 256 if dtype == np.uint8 else _scene(rng) * gain).astype(dtype)
              for _ in range(30)]
    assert set(_states(frames)) == {ThermalState.LIVE}


@pytest.mark.parametrize('dtype', AGC_DTYPES)
def test_repeated_frames_are_frozen_after_the_duration_until_the_next_new_frame(dtype):
    rng = np.random.default_rng(0)
    frames = [(_scene(rng) / 40).astype(dtype) for _ in range(20)]
    frames[10:10] = [frames[9].copy() for _ in range(15)]
    states = _states(frames, 32.0)
    # Frame 9 is the last new one; 0.2 s at 32 Hz are 6.4 frames.
    assert [i for i, state in enumerate(states) if state is ThermalState.FROZEN] == \
        list(range(9 + 7, 25))


def test_a_few_pixels_that_change_do_not_hide_a_freeze():
    rng = np.random.default_rng(0)
    frame, frames = _scene(rng), []
    for i in range(20):
        frames.append(frame.copy())
        frames[-1][0, :50] = i * 100  # a clock overlay: 0.3 %
    assert _states(frames)[-1] is ThermalState.FROZEN


@pytest.mark.parametrize('changed, expected', [(1, ThermalState.FROZEN), (2, ThermalState.LIVE)])
def test_exactly_the_share_that_may_change_is_a_freeze(changed, expected):
    frame, frames = _scene(np.random.default_rng(0), (10, 20)), []
    for i in range(20):
        frames.append(frame.copy())
        frames[-1].flat[:changed] += i % 2 * 1000
    assert _states(frames)[-1] is expected  # 0.5 % of 200 pixels


def test_pixels_within_the_tolerance_do_not_hide_a_freeze():
    rng = np.random.default_rng(0)
    frame = _scene(rng)
    frames = [frame + rng.integers(0, 2, frame.shape, np.uint16) for _ in range(20)]
    assert _states(frames)[-1] is ThermalState.LIVE
    tolerant = FreezeParameters(pixel_tolerance=1.0)
    assert _states(frames, parameters=tolerant)[-1] is ThermalState.FROZEN


def test_a_driver_that_repeats_frames_is_not_frozen():
    rng = np.random.default_rng(0)
    frames = [frame for _ in range(10) for frame in [_scene(rng)] * 3]  # 9 Hz sent at 27 Hz
    assert set(_states(frames, 27.0)) == {ThermalState.LIVE}


def test_one_repeated_frame_after_a_pause_is_not_frozen():
    frame = _scene(np.random.default_rng(0))
    detector = FreezeDetector()
    detector.update(frame, 0.0)
    health = detector.update(frame, 5.0)
    assert health.state is ThermalState.LIVE and health.frozen_s == 5.0
    assert detector.update(frame, 5.1).state is ThermalState.FROZEN


@pytest.mark.parametrize('event', ['clock jumps back', 'size', 'dtype', 'reset'])
def test_events_that_reset_the_detector(event):
    frame = _scene(np.random.default_rng(0))
    detector = FreezeDetector()
    for i in range(20):
        assert detector.update(frame, i / 32).state is (
            ThermalState.FROZEN if i > 6 else ThermalState.LIVE), i
    stamp_s = 1.0
    if event == 'clock jumps back':
        stamp_s = 0.1
    elif event == 'size':
        frame = frame[:-1]
    elif event == 'dtype':
        frame = frame.astype(np.float32)
    else:
        detector.reset()
    health = detector.update(frame, stamp_s)
    assert health.state is ThermalState.LIVE and health.frozen_s == 0.0


@pytest.mark.parametrize('shutter', [
    lambda rng: np.full((120, 160), 8000, np.uint16),  # perfectly flat
    lambda rng: np.rint(rng.normal(8000, 4, (120, 160))).astype(np.uint16),  # noise
    lambda rng: rng.integers(0, 255, (120, 160), np.uint8),  # noise stretched by the camera
    lambda rng: rng.integers(90, 92, (120, 160), np.uint8),  # two levels
    lambda rng: rng.normal(20, 0.05, (120, 160)).astype(np.float32),
    lambda rng: np.full((120, 160), np.nan, np.float32),
    lambda rng: np.full((1, 1), 5, np.uint8),
])
def test_an_image_without_a_scene_is_blind_at_once(shutter):
    health = FreezeDetector().update(shutter(np.random.default_rng(0)), 0.0)
    assert health.state is ThermalState.BLIND and 'no scene' in health.reason


def test_a_hot_pixel_is_no_scene_but_a_warm_person_is():
    rng = np.random.default_rng(0)
    flat = np.rint(rng.normal(8000, 4, (240, 320))).astype(np.uint16)
    flat[100, 100] = 16000
    assert FreezeDetector().update(flat, 0.0).state is ThermalState.BLIND
    flat[120:160, 50:66] += 200
    assert FreezeDetector().update(flat, 0.0).state is ThermalState.LIVE


def health_of(image, **parameters):
    return FreezeDetector(FreezeParameters(**parameters)).update(image, 0.0)


def stripes(shape, width_px, dtype=np.float32):
    """Return columns of 0 and 40, each ``width_px`` wide; neighbours differ by their mean."""
    columns = np.arange(shape[1]) // width_px % 2 * 40
    return np.tile(columns, (shape[0], 1)).astype(dtype)


@pytest.mark.parametrize('shape, width_px, state', [
    ((16, 64), 2, ThermalState.LIVE), ((64, 16), 2, ThermalState.LIVE),  # areas of 2 pixels
    ((16, 64), 1, ThermalState.BLIND), ((15, 64), 1, ThermalState.LIVE),
    ((128, 128), 4, ThermalState.BLIND), ((128, 128), 8, ThermalState.LIVE),  # of 8
    ((64, 64), 8, ThermalState.LIVE), ((640, 640), 8, ThermalState.LIVE)])  # of no more
def test_areas_are_an_eighth_of_the_shorter_side_and_at_most_8_px(shape, width_px, state):
    assert health_of(stripes(shape, width_px), blind_contrast=0.9).state is state


@pytest.mark.parametrize('shape, dtype, blind_contrast, state', [
    # Areas of one pixel: the contrast is 40, and 31 of 62 neighbours differ by 40.
    ((15, 63), np.float32, 1.99, ThermalState.LIVE),
    ((15, 63), np.float32, 2.0, ThermalState.BLIND),
    ((15, 63), np.uint8, 1.99, ThermalState.LIVE), ((15, 63), np.uint8, 2.0, ThermalState.BLIND)])
def test_blind_contrast_is_a_multiple_of_the_noise(shape, dtype, blind_contrast, state):
    assert health_of(stripes(shape, 2, dtype), blind_contrast=blind_contrast).state is state


@pytest.mark.parametrize('step, dtype, state', [
    (2, np.uint16, ThermalState.BLIND), (3, np.uint16, ThermalState.LIVE),
    (1e-3, np.float32, ThermalState.LIVE), (0.0, np.float32, ThermalState.BLIND)])
def test_the_least_noise_is_one_count_and_none_of_floats(step, dtype, state):
    image = np.full((64, 64), 20).astype(dtype)
    image[:32] += np.array(step, dtype)  # rows: neighbours in a row do not differ
    assert health_of(image, blind_contrast=2.0).state is state


@pytest.mark.parametrize('image, state', [
    (np.tile([0.0, 1.0], (40, 1)), ThermalState.BLIND),  # two columns: noise 1
    (np.linspace(0, 0.5, 40)[:, None], ThermalState.LIVE)])  # one column: no noise is known
def test_narrow_images_have_the_noise_of_their_columns(image, state):
    assert health_of(image.astype(np.float32)).state is state


def test_the_reason_of_blindness_has_contrast_and_noise():
    health = health_of(stripes((15, 63), 2), blind_contrast=10.0)
    assert health.reason == 'no scene: areas differ by 40, pixel noise is 20'


def test_the_blind_check_can_be_disabled():
    parameters = FreezeParameters(blind_contrast=0.0)
    flat = np.full((8, 8), 7, np.uint8)
    assert FreezeDetector(parameters).update(flat, 0.0).state is ThermalState.LIVE


@pytest.mark.parametrize('offset', [-60, 35])
def test_a_shutter_event_appears_as_freeze_blindness_and_offset(offset):
    rng = np.random.default_rng(0)
    detector, time_s = FreezeDetector(), 0.0
    results = []

    def update(frame):
        nonlocal time_s
        time_s += 1 / 30
        results.append(detector.update(frame, time_s))
        return results[-1]

    for _ in range(10):
        last = _scene(rng)
        assert update(last).offset == 0
    for _ in range(12):
        update(last)
    assert results[-1].state is ThermalState.FROZEN
    closed = np.rint(rng.normal(8000, 4, last.shape)).astype(np.uint16)
    assert update(closed).state is ThermalState.BLIND
    after = update((_scene(rng).astype(int) + offset).astype(np.uint16))
    assert after.state is ThermalState.LIVE
    assert after.offset == pytest.approx(offset, abs=2) and 'all pixels' in after.reason
    assert update((_scene(rng).astype(int) + offset).astype(np.uint16)).offset == 0


@pytest.mark.parametrize('opposite, offset', [(0.0, 10.0), (0.04, 10.0), (0.06, 0.0)])
def test_a_common_change_has_up_to_5_percent_of_opposite_pixels(opposite, offset):
    before = _scene(np.random.default_rng(0))
    after = before + np.uint16(10)
    after.flat[:round(opposite * after.size)] -= np.uint16(11)
    detector = FreezeDetector()
    detector.update(before, 0.0)
    assert detector.update(after, 0.1).offset == offset


def test_a_moving_camera_shows_no_offset():
    rng = np.random.default_rng(0)
    detector = FreezeDetector()
    scene = cv2.GaussianBlur(rng.normal(8000, 2000, (120, 400)), (0, 0), 6).astype(np.uint16)
    for i in range(20):
        assert detector.update(scene[:, 5 * i:5 * i + 160], i / 30).offset == 0


def _video(path, n_frames):
    reader = cv2.VideoCapture(str(path))
    while n_frames > 0:
        ok, frame = reader.read()
        if not ok:
            return
        n_frames -= 1
        yield np.ascontiguousarray(frame[..., 0])


@pytest.mark.parametrize('sequence', ['0113_1714', '0117_1605', '0117_1620'])
def test_compressed_real_video_is_live_and_its_freezes_are_found(shared_data, sequence):
    frames = list(_video(shared_data / 'm3svd_sequences' / sequence / 'thermal.mp4', 150))
    assert len(frames) == 150
    assert set(_states(frames)) == {ThermalState.LIVE}
    frames[100:130] = [frames[100]] * 30
    states = _states(frames)
    frozen = [i for i, state in enumerate(states) if state is ThermalState.FROZEN]
    assert frozen[0] in (106, 107) and frozen[-1] == 129  # 0.2 s at 30 Hz are 6 frames
    assert frozen == list(range(frozen[0], 130))


def test_single_images_of_many_cameras_are_not_blind(shared_data):
    files = [file for pattern in ('msrs/*/thermal/*', 'roadscene/*/thermal/*', 'tno42/*/thermal/*',
                                  'osu_thermal_only/*/thermal/*', 'flir_rjpeg/*/thermal16/*')
             for file in sorted(shared_data.glob(pattern))[::12]]
    assert len(files) > 20
    for file in files:
        image = cv2.imread(str(file), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_GRAYSCALE)
        assert FreezeDetector().update(image, 0.0).state is ThermalState.LIVE, file
