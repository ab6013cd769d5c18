# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A Kalman filter of the positions of the four thermal corners in RGB, for a rig that rarely moves.

The state is the eight corner coordinates. The model is a random walk: the variance of each
coordinate grows by ``drift_px`` squared per minute, independently of the number of measurements.
A constant-velocity model would overshoot after a knock, and a rig at rest has no velocity.

Three properties are specific to homographies that are measured in images:

- The noise of the corners is neither equal nor independent. If half of the image has no structure,
  the corners there are extrapolated together. So the noise is a full matrix. It is scaled by the
  confidence of each measurement, and learned from the scatter of the latest measurements about
  their mean. Scatter about the filter state would contain the lag of the filter, and would grow.
  Outliers have a small weight, as in the multivariate t distribution (Lange, Little and Taylor,
  JASA 1989).
- Errors of measurements in quick succession are correlated, because the scene is the same. An
  error that decays with the time constant tau and is sampled every dt has the same spectral
  density at zero as white noise with coth(dt / 2 tau) times its variance. The filter update uses
  this variance.
- The initial noise matrix, before anything is learned, is that of a homography fitted by least
  squares to points evenly distributed over the image.

All lengths are in pixels of an RGB image 640 wide.
"""

from __future__ import annotations

import math

import numpy as np

_REPEATABILITY_PX = 3.0  # a confidence is the probability that a measurement repeats within this
_CONFIDENCE_RANGE = (0.05, 0.95)  # confidences are clipped to it
_NOISE_TIME_CONSTANT_S = 60.0  # the weight of learned noise decays to 37 % in this time
_MEAN_TIME_CONSTANT_S = 5.0  # the same for the mean about which the scatter is measured
_INITIAL_WEIGHT = 2.0  # of the initial noise matrix, in independent measurements
_T_DEGREES_OF_FREEDOM = 4.0  # of the t distribution
_IMAGE_ASPECT = 0.75  # height over width of the area of the evenly distributed points


class CornerFilter:
    """
    Filtered positions of the four corners, with their covariance.

    Parameters
    ----------
    drift_px:
        Standard deviation of the random walk of a coordinate over one minute.
    correlation_s:
        Time in which the correlation of the measurement errors decays to 37 %.

    Attributes
    ----------
    corners_px:
        ``(4, 2)`` float64.
    covariance_px2:
        ``(8, 8)`` float64 of x and y, corner by corner, at the latest update.

    """

    def __init__(self, drift_px: float, correlation_s: float) -> None:
        self._walk_px2_per_s = drift_px ** 2 / 60
        self._correlation_s = correlation_s
        self._initial_shape = homography_noise_shape()
        self._scatter = np.zeros((8, 8))  # learned; noise over the deviation from the confidence
        self._weight = 0.0  # of the scatter, in independent measurements
        self._mean_px = np.zeros((4, 2))  # of the latest measurements
        self._mean_weight = 0.0
        self._learned_s = -math.inf
        self.start_at_prior(np.zeros((4, 2)), 0.0, 0.0)

    def start_at_prior(self, corners_px: np.ndarray, deviation_px: float, stamp_s: float) -> None:
        """Restart from a prior with this deviation of each coordinate; keep the learned noise."""
        self.corners_px = corners_px
        self.covariance_px2 = deviation_px ** 2 * np.eye(8)
        self._stamp_s, self._measured_s = stamp_s, -math.inf
        self._mean_weight = 0.0

    def start_at_measurement(self, measured_px: np.ndarray, confidence: float,
                             stamp_s: float) -> None:
        """Restart from a measurement; keep the learned noise."""
        self.corners_px, self.covariance_px2 = measured_px, self.noise_px2(confidence)
        self._stamp_s = self._measured_s = stamp_s
        self._mean_weight = 0.0

    def deviation_px(self, stamp_s: float) -> float:
        """Return the expected position error of a corner, RMS over the four corners."""
        return math.sqrt(np.trace(self._predict(stamp_s)) / 4)

    def noise_px2(self, confidence: float) -> np.ndarray:
        """Return the noise covariance ``(8, 8)`` of one measurement of this confidence."""
        shape = (_INITIAL_WEIGHT * self._initial_shape + self._scatter) / (_INITIAL_WEIGHT
                                                                           + self._weight)
        return deviation_px(confidence) ** 2 * shape

    def mahalanobis_squared(self, measured_px: np.ndarray, confidence: float,
                            stamp_s: float) -> float:
        """
        Return the squared Mahalanobis distance of measured corners ``(4, 2)`` from the prediction.

        If model and noise are correct, its distribution is chi-square with 8 degrees of freedom.
        """
        innovation_px = (measured_px - self.corners_px).ravel()
        innovation_covariance = self._predict(stamp_s) + self.noise_px2(confidence)
        return float(innovation_px @ np.linalg.solve(innovation_covariance, innovation_px))

    def learn_noise(self, measured_px: np.ndarray, confidence: float, stamp_s: float) -> None:
        """Update the learned noise with a measurement, accepted or not."""
        elapsed_s = stamp_s - self._learned_s
        new_weight = 1 / self._correlated_count(elapsed_s)
        residual_px = (measured_px - self._mean_px).ravel()
        noise = self.noise_px2(confidence)
        self._learned_s = stamp_s
        if self._mean_weight:
            distance = float(residual_px @ np.linalg.solve(noise, residual_px))
            robust_weight = (_T_DEGREES_OF_FREEDOM + 8) / (_T_DEGREES_OF_FREEDOM + distance)
            scaled = residual_px / deviation_px(confidence)
            decay = math.exp(-elapsed_s / _NOISE_TIME_CONSTANT_S)
            self._scatter = (decay * self._scatter
                             + new_weight * robust_weight * np.outer(scaled, scaled))
            self._weight = decay * self._weight + new_weight
            new_weight *= robust_weight
        mean_decay = math.exp(-elapsed_s / _MEAN_TIME_CONSTANT_S)
        self._mean_weight = mean_decay * self._mean_weight + new_weight
        self._mean_px = self._mean_px + new_weight / self._mean_weight * residual_px.reshape(4, 2)

    def update(self, measured_px: np.ndarray, confidence: float, stamp_s: float) -> None:
        """Update the state with a measurement; its stamp is not before the previous one."""
        predicted = self._predict(stamp_s)
        noise = self.noise_px2(confidence) * self._correlated_count(stamp_s - self._measured_s)
        gain = np.linalg.solve(predicted + noise, predicted).T
        innovation_px = (measured_px - self.corners_px).ravel()
        complement = np.eye(8) - gain
        # Joseph form: it stays symmetric and positive definite in spite of rounding
        self.covariance_px2 = complement @ predicted @ complement.T + gain @ noise @ gain.T
        self.corners_px = self.corners_px + (gain @ innovation_px).reshape(4, 2)
        self._stamp_s = self._measured_s = stamp_s

    def _predict(self, stamp_s: float) -> np.ndarray:
        """Return the covariance ``(8, 8)`` of the state at a time."""
        elapsed_s = max(stamp_s - self._stamp_s, 0.0)
        return self.covariance_px2 + self._walk_px2_per_s * elapsed_s * np.eye(8)

    def _correlated_count(self, elapsed_s: float) -> float:
        """Return how many measurements in this interval have the weight of an independent one."""
        if not self._correlation_s:
            return 1.0
        return 1 / math.tanh(max(elapsed_s / (2 * self._correlation_s), 1e-3))


def deviation_px(confidence: float) -> float:
    """
    Return the standard deviation of a corner coordinate for a confidence.

    With this deviation a corner is within 3 px with the probability ``confidence``, by the
    Rayleigh distribution: confidence = 1 - exp(-9 / (2 deviation^2)).
    """
    clipped = min(max(confidence, _CONFIDENCE_RANGE[0]), _CONFIDENCE_RANGE[1])
    return _REPEATABILITY_PX / math.sqrt(-2 * math.log(1 - clipped))


def homography_noise_shape() -> np.ndarray:
    """
    Return the covariance ``(8, 8)`` of the corners of a fitted homography, of mean variance 1.

    The homography is a least-squares fit to points evenly distributed over the image, each with
    the same noise.
    """
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-_IMAGE_ASPECT, _IMAGE_ASPECT, 7))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (1, _IMAGE_ASPECT)
    points, at_corners = _jacobian(np.stack([x.ravel(), y.ravel()], 1)), _jacobian(corners)
    covariance = at_corners @ np.linalg.inv(points.T @ points) @ at_corners.T
    return 8 * covariance / np.trace(covariance)


def _jacobian(points: np.ndarray) -> np.ndarray:
    """Return ``(2 N, 8)``: derivatives of points ``(N, 2)`` by the entries of H near identity."""
    x, y = points.T
    zeros, ones = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([x, y, ones, zeros, zeros, zeros, -x * x, -x * y], 1)
    along_y = np.stack([zeros, zeros, zeros, x, y, ones, -x * y, -y * y], 1)
    return np.stack([along_x, along_y], 1).reshape(-1, 8)
