# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thermal on the RGB grid: gain control first, then the warp, with a coverage mask."""

from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import geometry
from ivf_ros.thermal import Agc, Radiometry, ThermalError
from ivf_ros.thermal_on_rgb import ThermalOnRgb, ThermalWarper
import numpy as np
import pytest

RGB_SIZE = (64, 48)
TYPES = (np.uint8, np.uint16, np.float32, np.float64)


def scene(size, dtype=np.uint16):
    """Return a smooth scene that uses a small part of the range of its dtype."""
    x, y = np.meshgrid(np.linspace(0, 3, size[0]), np.linspace(0, 3, size[1]))
    waves = np.sin(3 * x) + np.cos(2 * y)
    low, span = {np.uint8: (0, 60), np.uint16: (7000, 600)}.get(dtype, (-10.0, 8.0))
    levels = low + span * (waves + 2) / 4
    return (levels if np.dtype(dtype).kind == 'f' else np.rint(levels)).astype(dtype)


@pytest.mark.parametrize('dtype', TYPES)
def test_integer_shifts_are_exact_and_set_the_coverage(dtype):
    thermal = scene(RGB_SIZE, dtype)
    moved = ThermalWarper().warp_counts(thermal, geometry.translation(5, -3), RGB_SIZE)
    assert moved.image.dtype == dtype
    np.testing.assert_array_equal(moved.image[:45, 5:], thermal[3:, :59])
    expected = np.zeros((48, 64), np.bool_)
    expected[:45, 5:] = True
    np.testing.assert_array_equal(moved.coverage, expected)
    outside = moved.image[~expected]
    assert np.isnan(outside).all() if np.dtype(dtype).kind == 'f' else not outside.any()


@pytest.mark.parametrize('dtype', TYPES)
@pytest.mark.parametrize('size', [(64, 48), (32, 24), (16, 12), (8, 6), (128, 96)])
def test_counts_are_not_interpolated_with_the_outside(size, dtype):
    thermal = np.full(size[::-1], 42, dtype)
    H = geometry.rotation(0.2, (30, 20)) @ geometry.stretch(size, RGB_SIZE)
    warped = ThermalWarper().warp_counts(thermal, H, RGB_SIZE)
    assert 0.5 < warped.coverage.mean() < 1
    assert (warped.image[warped.coverage] == 42).all()


@pytest.mark.parametrize('dtype', TYPES)
def test_the_gain_is_that_of_the_original_pixels_at_any_size(dtype):
    for size in ((64, 48), (32, 24), (16, 12)):
        thermal = scene(size, dtype)
        H = geometry.translation(9.3, 4.6) @ geometry.stretch(size, RGB_SIZE)
        warped = ThermalWarper().warp_gray(thermal, H, RGB_SIZE)
        gray = Agc()(thermal)
        assert warped.image.dtype == np.uint8
        # Bilinear interpolation does not exceed the range of its inputs.
        assert warped.image[warped.coverage].min() >= gray.min()
        assert warped.image[warped.coverage].max() <= gray.max()
        assert warped.image[warped.coverage].std() == pytest.approx(gray.std(), rel=0.15)


def test_images_of_the_same_grid_pass_unchanged():
    thermal = scene(RGB_SIZE)
    same = ThermalWarper().warp_counts(thermal, np.eye(3), RGB_SIZE)
    assert same.image is thermal and same.coverage.all()


@pytest.mark.parametrize('size', [(32, 24), (16, 12), (8, 6)])
def test_enlarging_covers_all_of_rgb_and_matches_opencv(size):
    thermal = scene(size)
    warped = ThermalWarper().warp_counts(thermal, geometry.stretch(size, RGB_SIZE), RGB_SIZE)
    assert warped.coverage.all()
    resized = cv2.resize(thermal, RGB_SIZE, interpolation=cv2.INTER_LINEAR)
    step = np.abs(np.diff(thermal.astype(int), axis=1)).max()
    assert np.abs(warped.image.astype(int) - resized).max() <= step / 16 + 1


def test_a_larger_thermal_image_is_reduced_without_aliasing():
    stripes = np.tile(np.array([0, 1000], np.uint16), (96, 64))
    reduced = ThermalWarper().warp_counts(stripes, geometry.stretch((128, 96), RGB_SIZE),
                                          RGB_SIZE)
    assert (reduced.image == 500).all()


def test_zero_degrees_are_a_temperature_and_nan_spreads_to_interpolated_pixels_only():
    celsius = np.zeros((48, 64), np.float32)
    celsius[20, 30] = np.nan
    warped = ThermalWarper().warp_counts(celsius, geometry.translation(0.5, 0.5), RGB_SIZE)
    assert (warped.image[warped.coverage] == 0).all()
    unknown = np.argwhere(~warped.coverage[1:, 1:]) + 1
    assert {tuple(pixel) for pixel in unknown} == {(20, 30), (20, 31), (21, 30), (21, 31)}
    gray = ThermalWarper().warp_gray(celsius, geometry.translation(0.5, 0.5), RGB_SIZE)
    np.testing.assert_array_equal(gray.coverage, warped.coverage)
    assert not gray.image[~gray.coverage].any()


def test_temperatures_use_the_coverage_and_not_a_value_of_the_counts():
    counts = np.array([[0, 10], [20, 30]], np.uint16)
    mask = np.array([[True, False], [True, True]])
    celsius = ThermalOnRgb(counts, mask).celsius(Radiometry(0.5, -5.0))
    np.testing.assert_array_equal(celsius, np.array([[-5.0, np.nan], [5.0, 10.0]], np.float32))
    in_celsius = ThermalOnRgb(np.array([[0.0, 1.5]]), np.array([[True, True]]))
    np.testing.assert_array_equal(in_celsius.celsius(Radiometry(0.5, -5.0)), [[0.0, 1.5]])


def test_the_coverage_follows_the_homography_and_the_sizes():
    warper, thermal = ThermalWarper(), scene(RGB_SIZE)
    for shift in (3, 10, 3):
        warped = warper.warp_counts(thermal, geometry.translation(shift, 0), RGB_SIZE)
        assert not warped.coverage[:, :shift].any() and warped.coverage[:, shift:].all()
    assert warper.warp_counts(scene((32, 24)), np.eye(3), RGB_SIZE).coverage.sum() == 32 * 24
    assert warper.warp_counts(thermal, np.eye(3), (30, 20)).coverage.shape == (20, 30)


@settings(deadline=None, max_examples=50)
@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(-0.3, 0.3), st.floats(0.2, 3.0))
def test_covered_pixels_are_measured_and_all_others_are_zero(
        dx_px, dy_px, angle_rad, scale):
    thermal = np.full((24, 32), 9000, np.uint16)
    H = geometry.translation(dx_px, dy_px) @ geometry.rotation(angle_rad) \
        @ geometry.scaling(scale, scale)
    warped = ThermalWarper().warp_counts(thermal, H, RGB_SIZE)
    np.testing.assert_array_equal(warped.image, np.where(warped.coverage, 9000, 0))


def test_an_array_that_is_not_a_thermal_image_is_refused():
    with pytest.raises(ThermalError, match=r'got .*int32'):
        ThermalWarper().warp_gray(np.zeros((4, 5), np.int32), np.eye(3), RGB_SIZE)


@pytest.mark.parametrize('thermal_size', [(80, 60), (640, 512), (1280, 1024)])
def test_repeated_warps_by_one_homography_equal_a_single_one(thermal_size):
    """The source positions are kept; they are rounded to 1/32 pixel."""
    random = np.random.default_rng(3)
    H = geometry.stretch(thermal_size, RGB_SIZE) @ np.array([[0.98, 0.03, 5.0], [-0.02, 1.01, 2.0],
                                                             [1e-5, -1e-5, 1.0]])
    warper = ThermalWarper()
    for _ in range(3):
        thermal = cv2.GaussianBlur(random.integers(0, 256, thermal_size[::-1], np.uint8), (0, 0),
                                   3)
        gray, counts = (warp(thermal, H, RGB_SIZE)
                        for warp in (warper.warp_gray, warper.warp_counts))
        assert np.abs(gray.image.astype(int) - counts.image).max() <= 2
        np.testing.assert_array_equal(gray.coverage, counts.coverage)
    moved = warper.warp_gray(thermal, geometry.translation(10, 0) @ H, RGB_SIZE)
    assert not np.array_equal(moved.image, gray.image)
