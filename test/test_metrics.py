# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics have the values that can be worked out by hand, and refuse what makes no sense."""

from __future__ import annotations

import math

from hypothesis import given, settings, strategies as st
from ivf_ros import geometry
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics import intensity, MetricError, structure
import numpy as np
import pytest

SHAPE = (48, 56)
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, SHAPE, dtype=np.uint8)
OTHER = RANDOM.integers(0, 256, SHAPE, dtype=np.uint8)
RAMP = np.tile(np.arange(56, dtype=np.uint8) * 4, (48, 1))
FLAT = np.full(SHAPE, 90, np.uint8)


def of_copies(image):
    return metrics.fusion(image, image, image)


def test_every_metric_is_there_and_a_float():
    values = metrics.fusion(NOISE, OTHER, RAMP)
    assert tuple(values) == metrics.FUSION_METRICS
    assert all(isinstance(value, float) for value in values.values())


@pytest.mark.parametrize('image, bits', [
    (FLAT, 0.0),
    (np.where(np.arange(56) < 28, 10, 200) * np.ones((48, 1), int), 1.0),  # two equal halves
    (np.arange(48 * 56).reshape(SHAPE) % 4, 2.0),
    (np.arange(64 * 64).reshape(64, 64) % 256, 8.0),
])
def test_entropy_of_a_known_histogram(image, bits):
    assert intensity.entropy_bits(np.asarray(image, float)) == pytest.approx(bits)


def test_statistics_of_a_ramp_by_hand():
    values = of_copies(RAMP)
    steps = np.arange(56) * 4.0
    assert values['SD'] == pytest.approx(steps.std())
    assert values['SF'] == pytest.approx(4.0)  # every difference in a row is 4, in a column 0
    assert values['AG'] == pytest.approx(4 / math.sqrt(2) * 48 * 56 / (47 * 55))
    # Sobel of a slope of 4 is 8 * 4, half of it in the first and last column.
    assert values['EI'] == pytest.approx((54 * 32 + 2 * 16) / 56)


def test_information_of_an_image_with_itself_is_its_entropy():
    values = of_copies(RAMP)
    assert values['MI'] == pytest.approx(2 * values['EN'])
    assert values['NMI'] == pytest.approx(2.0)


def test_information_of_independent_images_is_none():
    left = np.where(np.arange(56) < 28, 10.0, 200.0) * np.ones((48, 1))
    top = np.where(np.arange(48) < 24, 10.0, 200.0)[:, None] * np.ones((1, 56))
    assert intensity.mutual_information_bits((left, left), top) == pytest.approx(0.0, abs=1e-12)


def test_a_copy_of_both_sources_is_as_good_as_can_be():
    values = of_copies(NOISE)
    assert values['CC'] == values['SSIM'] == pytest.approx(1.0)
    assert values['VIF'] == pytest.approx(2.0)
    assert values['MSE'] == 0.0 and values['PSNR'] == math.inf
    # Equal edges: Qg and Qa are what is left of 1 by the two sigmoids.
    strength, angle = 0.9994, 0.9879 / (1 + math.exp(-22 * 0.2))
    assert values['Qabf'] == pytest.approx(strength * angle, abs=1e-3)


def test_the_sum_of_the_sources_has_all_correlations_of_differences():
    a, b = NOISE.astype(float) / 2, OTHER.astype(float) / 2
    assert metrics.fusion(a, b, a + b)['SCD'] == pytest.approx(2.0)


def test_error_and_noise_ratio_by_hand():
    values = metrics.fusion(FLAT, FLAT, FLAT + 51)
    assert values['MSE'] == pytest.approx(0.04)  # a fifth of 255
    assert values['PSNR'] == pytest.approx(20 * math.log10(255 / 0.2))
    sources = (FLAT.astype(float), FLAT.astype(float))
    assert intensity.peak_signal_to_noise_db(sources, FLAT + 51.0, peak=1.0) == \
        pytest.approx(20 * math.log10(1 / 0.2))


def test_constant_images_give_numbers():
    values = of_copies(FLAT)
    assert values['EN'] == values['SD'] == values['SF'] == values['AG'] == values['EI'] == 0.0
    assert values['MI'] == values['NMI'] == values['CC'] == values['SCD'] == 0.0
    assert values['VIF'] == 0.0
    # The border of a constant image is an edge to zero padding: it is kept, of course.
    assert values['Qabf'] == pytest.approx(0.975, abs=0.01)


def test_an_edge_that_is_lost_is_worth_less_than_one_that_is_kept():
    edge = np.where(np.arange(56) < 28, 60.0, 180.0) * np.ones((48, 1))
    sources = (edge, edge)
    faint = 120 + (edge - 120) / 10
    assert structure.edge_transfer(sources, edge) > 0.9
    assert structure.edge_transfer(sources, faint) < 0.7
    assert structure.edge_transfer((FLAT * 0.0, FLAT * 0.0), edge) == 0.0


@pytest.mark.parametrize('shape', [(41, 41), (48, 57), (101, 43)])
def test_uint8_and_float_and_odd_sizes_agree(shape):
    triple = [RANDOM.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]
    whole = metrics.fusion(*triple)
    for dtype in (np.float32, np.float64):
        assert metrics.fusion(*[image.astype(dtype) for image in triple]) == pytest.approx(whole)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2 ** 32 - 1))
def test_the_order_of_the_sources_and_a_mirror_change_nothing(seed):
    random = np.random.default_rng(seed)
    a, b, f = (random.integers(0, 256, (41, 44), dtype=np.uint8) for _ in range(3))
    values = metrics.fusion(a, b, f)
    assert metrics.fusion(b, a, f) == pytest.approx(values)
    mirrored = metrics.fusion(a[:, ::-1], b[:, ::-1], f[:, ::-1])
    # VIF samples every second pixel, from the left; Qabf counts upright gradients as pointing up.
    for name in set(values) - {'VIF', 'Qabf'}:
        assert mirrored[name] == pytest.approx(values[name]), name


@pytest.mark.parametrize('change, message', [
    (lambda image: image[:-1], 'one size, got 56x48, 56x48, 56x47'),
    (lambda image: image.astype(np.uint16), 'uint8 or float from 0 to 255, got uint16'),
    (lambda image: np.dstack([image] * 3), r'luma \(H, W\), got shape \(48, 56, 3\)'),
    (lambda image: np.where(image > 250, np.nan, image), 'fused must be finite'),
    (lambda image: image * 2.0, 'within 0 and 255'),
])
def test_images_that_cannot_be_measured_are_refused(change, message):
    with pytest.raises(MetricError, match=message):
        metrics.fusion(NOISE, OTHER, change(NOISE))


def test_images_too_small_for_vif_are_refused():
    with pytest.raises(MetricError, match='at least 41 pixels a side, got 40x50'):
        metrics.fusion(*[np.zeros((50, 40), np.uint8)] * 3)


def test_registration_errors_of_a_known_shift_and_stretch():
    shift = metrics.registration(geometry.translation(3, 4), np.eye(3), (640, 480))
    assert shift == pytest.approx({'corner_error_px': 5.0, 'max_corner_error_px': 5.0,
                                   'rmse_px': 5.0})
    wide = metrics.registration(geometry.scaling(1.01, 1.0), 2 * np.eye(3), (101, 51))
    assert wide['corner_error_px'] == pytest.approx(0.5)  # two corners stay, two move by 1
    assert wide['max_corner_error_px'] == pytest.approx(1.0)
    assert wide['rmse_px'] == pytest.approx(math.sqrt(np.mean(np.linspace(0, 1, 9) ** 2)))


def test_area_and_success_of_known_errors():
    errors_px = [0.0, 2.5, 5.0, math.inf]
    assert metrics.area_under_curve(errors_px, 5) == pytest.approx((1 + 0.5) / 4)
    assert metrics.success_rate(errors_px, 5) == 0.75
    for wrong in ([], [[1.0]], [-1.0], [math.nan]):
        with pytest.raises(MetricError):
            metrics.area_under_curve(wrong, 5)
    with pytest.raises(MetricError, match='must be positive'):
        metrics.area_under_curve(errors_px, 0)
