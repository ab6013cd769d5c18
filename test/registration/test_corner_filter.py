# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The corner filter has the variances, gains and gates that are known in closed form."""

from __future__ import annotations

from ivf_ros import geometry
from ivf_ros.registration.corner_filter import CornerFilter, deviation_px, homography_noise_shape
import numpy as np
import pytest
from scipy import stats

CORNERS = np.array([(0.0, 0.0), (639, 0), (639, 479), (0, 479)])
CONFIDENCE = 0.9


def make_filter(drift_px=0.8, correlation_s=0.0):
    return CornerFilter(drift_px, correlation_s)


def draw_measurement(noise_px2, random):
    return CORNERS + random.multivariate_normal(np.zeros(8), noise_px2).reshape(4, 2)


@pytest.mark.parametrize('confidence', [0.1, 0.5, 0.9])
def test_confidence_is_the_probability_of_a_corner_within_three_px(confidence):
    deviation = deviation_px(confidence)
    assert stats.rayleigh.cdf(3, scale=deviation) == pytest.approx(confidence)


def test_confidence_is_clipped():
    assert deviation_px(1.0) == deviation_px(0.99) == pytest.approx(1.2256, abs=1e-3)
    assert deviation_px(0.0) == pytest.approx(9.366, abs=1e-3)


def test_the_initial_noise_is_that_of_a_fitted_homography():
    shape = homography_noise_shape()
    assert np.trace(shape) == pytest.approx(8)
    np.testing.assert_allclose(shape, shape.T, atol=1e-12)
    assert np.linalg.eigvalsh(shape).min() > 0
    # compared with homographies fitted to points with noise
    random, size = np.random.default_rng(0), (640, 480)
    x, y = np.meshgrid(np.linspace(0, 639, 9), np.linspace(0, 479, 7))
    points = np.stack([x.ravel(), y.ravel()], 1)
    errors = []
    for _ in range(4000):
        H = _least_squares(points, points + random.normal(0, 0.05, points.shape))
        errors.append((geometry.transform_points(H, geometry.corners_px(size)) - CORNERS).ravel())
    covariance = np.cov(np.array(errors).T)
    np.testing.assert_allclose(8 * covariance / np.trace(covariance), shape, atol=0.12)


def _least_squares(source, target):
    rows = []
    for (x, y), (u, v) in zip(source / 640, target / 640):
        rows += [(x, y, 1, 0, 0, 0, -u * x, -u * y, u), (0, 0, 0, x, y, 1, -v * x, -v * y, v)]
    equations = np.array(rows)
    h = np.linalg.lstsq(equations[:, :8], equations[:, 8], rcond=None)[0]
    scale = geometry.scaling(640, 640)
    H = scale @ np.append(h, 1).reshape(3, 3) @ np.linalg.inv(scale)
    return geometry.normalize_homography(H)


def test_without_drift_the_state_is_the_mean_of_the_measurements():
    filtered, random = make_filter(drift_px=0.0), np.random.default_rng(1)
    measurements = [CORNERS + random.normal(0, 1, (4, 2)) for _ in range(20)]
    filtered.start_at_measurement(measurements[0], CONFIDENCE, 0.0)
    for index, corners in enumerate(measurements[1:], 1):
        filtered.update(corners, CONFIDENCE, index / 5)
    np.testing.assert_allclose(filtered.corners_px, np.mean(measurements, axis=0), atol=1e-9)
    np.testing.assert_allclose(filtered.covariance_px2, filtered.noise_px2(CONFIDENCE) / 20)


def test_the_gain_converges_to_its_steady_state():
    # For a random walk of variance q per step and measurement variance r, the variance before an
    # update is p = (q + sqrt(q^2 + 4 q r)) / 2, and the gain is p / (p + r), along each principal
    # axis of the noise.
    filtered, period_s = make_filter(drift_px=3.0), 0.5
    filtered.start_at_measurement(CORNERS, CONFIDENCE, 0.0)
    for index in range(1, 2000):
        filtered.update(CORNERS, CONFIDENCE, index * period_s)
    q = 3.0 ** 2 / 60 * period_s
    r, axes = np.linalg.eigh(filtered.noise_px2(CONFIDENCE))
    p = (q + np.sqrt(q ** 2 + 4 * q * r)) / 2
    steady_state = axes.T @ filtered.covariance_px2 @ axes
    np.testing.assert_allclose(steady_state, np.diag(p * r / (p + r)), atol=1e-9)
    filtered.update(CORNERS + axes.sum(axis=1).reshape(4, 2), CONFIDENCE, 2000 * period_s)
    np.testing.assert_allclose(axes.T @ (filtered.corners_px - CORNERS).ravel(), p / (p + r))


def test_between_measurements_the_variance_grows_with_time():
    filtered = make_filter(drift_px=2.0)
    filtered.start_at_prior(CORNERS, 5.0, 10.0)
    assert filtered.deviation_px(10.0) == pytest.approx(5 * np.sqrt(2))
    assert filtered.deviation_px(70.0) == pytest.approx(np.sqrt(2 * (25 + 4)))


@pytest.mark.parametrize('rate_hz', [1.0, 5.0, 30.0])
def test_the_deviation_depends_on_time_and_not_on_the_measurement_rate(rate_hz):
    filtered = make_filter(correlation_s=1.0)
    filtered.start_at_measurement(CORNERS, CONFIDENCE, 0.0)
    for index in range(1, round(60 * rate_hz) + 1):
        filtered.update(CORNERS, CONFIDENCE, index / rate_hz)
    # equivalent to one independent measurement every two seconds (correlation time 1 s)
    q, r = 0.8 ** 2 / 60 * 2, np.trace(filtered.noise_px2(CONFIDENCE)) / 8
    p = (q + np.sqrt(q ** 2 + 4 * q * r)) / 2
    assert filtered.deviation_px(60.0) == pytest.approx(np.sqrt(2 * p * r / (p + r)), rel=0.1)


@pytest.mark.parametrize('correlation_s', [0.0, 1.0])
def test_errors_are_as_large_as_predicted(correlation_s):
    random, period_s = np.random.default_rng(2), 0.2
    decay = np.exp(-period_s / correlation_s) if correlation_s else 0.0
    squared, predicted = [], []
    for _ in range(60):
        filtered = make_filter(correlation_s=correlation_s)
        noise_px2 = filtered.noise_px2(CONFIDENCE)
        step_px2 = (1 - decay ** 2) * noise_px2
        true, error = CORNERS, draw_measurement(noise_px2, random) - CORNERS
        filtered.start_at_measurement(true + error, CONFIDENCE, 0.0)
        for index in range(1, 100):
            true = true + random.normal(0, np.sqrt(0.8 ** 2 / 60 * period_s), (4, 2))
            error = decay * error + draw_measurement(step_px2, random) - CORNERS
            filtered.update(true + error, CONFIDENCE, index * period_s)
        squared.append(np.square(filtered.corners_px - true).sum() / 4)
        predicted.append(filtered.deviation_px(99 * period_s))
    assert np.sqrt(np.mean(squared)) == pytest.approx(np.mean(predicted), rel=0.15)


def test_the_gate_rejects_one_in_a_thousand():
    filtered, random = make_filter(), np.random.default_rng(3)
    filtered.start_at_measurement(CORNERS, CONFIDENCE, 0.0)
    expected = filtered.covariance_px2 + filtered.noise_px2(CONFIDENCE)
    distances = [filtered.mahalanobis_squared(draw_measurement(expected, random), CONFIDENCE, 0.0)
                 for _ in range(20000)]
    assert np.mean(distances) == pytest.approx(8, rel=0.02)
    assert np.mean(np.array(distances) > 26.1) == pytest.approx(0.001, abs=0.0007)
    assert stats.chi2.sf(26.1, 8) == pytest.approx(0.001, rel=0.02)


@pytest.mark.parametrize('outlier_ratio', [0.0, 0.2])
def test_the_noise_is_learned_for_each_direction(outlier_ratio):
    filtered, random = make_filter(), np.random.default_rng(4)
    true_px2 = np.diag([0.04] * 4 + [9.0] * 4)  # the lower half of the image has no structure
    for index in range(600):
        corners = draw_measurement(true_px2, random)
        if random.random() < outlier_ratio:
            corners = CORNERS + random.uniform(-16, 16, (4, 2))
        filtered.learn_noise(corners, CONFIDENCE, index * 0.5)
    learned = np.sqrt(np.diag(filtered.noise_px2(CONFIDENCE)))
    assert learned[:4].min() > 0.15 and learned[:4].max() < (0.9 if outlier_ratio else 0.4)
    assert learned[4:].min() > 2.0 and learned[4:].max() < (4.5 if outlier_ratio else 3.5)


def test_a_drift_is_not_learned_as_noise():
    filtered, random = make_filter(correlation_s=1.0), np.random.default_rng(5)
    for index in range(600):
        drift_px = index * 0.2 / 20, 0  # 3 px per minute
        drifted = draw_measurement(0.09 * np.eye(8), random) + drift_px
        filtered.learn_noise(drifted, CONFIDENCE, index * 0.2)
    learned = np.sqrt(np.diag(filtered.noise_px2(CONFIDENCE)))
    assert learned.max() < 0.7


def test_a_second_measurement_at_the_same_time_has_nearly_no_weight():
    filtered = make_filter(correlation_s=1.0)
    filtered.start_at_measurement(CORNERS, CONFIDENCE, 0.0)
    filtered.update(CORNERS + 2, CONFIDENCE, 0.0)
    np.testing.assert_allclose(filtered.corners_px, CORNERS, atol=0.01)
