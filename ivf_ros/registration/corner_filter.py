# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A Kalman filter of where the four thermal corners lie in RGB, for a rig that nearly always rests.

The state is the four corners, a random walk: each coordinate spreads by ``drift_px`` squared a
minute, however many measurements there are. A constant velocity would make the answer run on
after a knock, and a resting rig has none.

Three things are particular to homographies measured in images:

- The noise of the corners is anything but alike and independent: where half the picture shows
  nothing, the corners there are extrapolated, together. So it is a full matrix, scaled by the
  confidence of each measurement and learned: the scatter of the latest measurements about their
  mean. About the filter, its lag would pass for noise and grow. Garbage weighs little, as in the
  multivariate t distribution (Lange, Little and Taylor, JASA 1989).
- Measurements soon after each other are wrong in the same way, as they see the same scene. An
  error that fades with the time constant tau, seen every dt, has the spectral density at zero of
  white noise of coth(dt / 2 tau) times its variance; that is the noise of an update.
- The first matrix, before anything is learned, is that of a homography fitted by least squares
  to points evenly spread over the image.

All lengths are pixels of an RGB image 640 wide.
"""

from __future__ import annotations

import math

import numpy as np

_REPEATABILITY_PX = 3.0  # a confidence is the probability that a measurement repeats within this
_CONFIDENCES = (0.05, 0.95)  # nobody is surer of anything
_NOISE_TIME_CONSTANT_S = 60.0  # in which a learned noise fades to 37 %
_MEAN_TIME_CONSTANT_S = 5.0  # in which measurements fade from the mean that noise is taken about
_FIRST_WEIGHT = 2.0  # of the noise that is assumed at first, as independent measurements
_T_DEGREES_OF_FREEDOM = 4.0  # degrees of freedom of the t distribution
_IMAGE_ASPECT = 0.75  # of the evenly spread points


class CornerFilter:
    """
    Four corners with their covariance, at a time.

    Parameters
    ----------
    drift_px:
        By how much a coordinate may wander in a minute, one standard deviation.
    correlation_s:
        Time in which the error of a measurement fades to 37 %.

    Attributes
    ----------
    corners_px:
        ``(4, 2)`` float64.
    covariance_px2:
        ``(8, 8)`` of x and y, corner by corner, at the latest update.

    """

    def __init__(self, drift_px: float, correlation_s: float) -> None:
        self._walk_px2_per_s = drift_px ** 2 / 60
        self._correlation_s = correlation_s
        self._initial_shape = homography_noise_shape()
        self._scatter = np.zeros((8, 8))  # learned, of noise over the deviation by confidence
        self._weight = 0.0  # in independent measurements
        self._mean_px = np.zeros((4, 2))  # of the latest measurements
        self._mean_weight = 0.0
        self._learned_s = -math.inf
        self.start_at_prior(np.zeros((4, 2)), 0.0, 0.0)

    def start_at_prior(self, corners_px: np.ndarray, deviation_px: float, stamp_s: float) -> None:
        """Begin anew from corners that are off by so much each; what is known of noise stays."""
        self.corners_px = corners_px
        self.covariance_px2 = deviation_px ** 2 * np.eye(8)
        self._stamp_s, self._measured_s = stamp_s, -math.inf
        self._mean_weight = 0.0

    def start_at_measurement(self, measured_px: np.ndarray, confidence: float,
                             stamp_s: float) -> None:
        """Begin anew from a measurement alone; what is known of noise stays."""
        self.corners_px, self.covariance_px2 = measured_px, self.noise_px2(confidence)
        self._stamp_s = self._measured_s = stamp_s
        self._mean_weight = 0.0

    def deviation_px(self, stamp_s: float) -> float:
        """Return how far a corner is expected to be off, root mean square over the four."""
        return math.sqrt(np.trace(self._predicted(stamp_s)) / 4)

    def noise_px2(self, confidence: float) -> np.ndarray:
        """Return the covariance ``(8, 8)`` of one measurement of this confidence."""
        learned = (_FIRST_WEIGHT * self._initial_shape + self._scatter) / (_FIRST_WEIGHT
                                                                           + self._weight)
        return deviation_px(confidence) ** 2 * learned

    def mahalanobis_squared(self, measured_px: np.ndarray, confidence: float, stamp_s: float) -> float:
        """
        Return the squared Mahalanobis distance of measured corners ``(4, 2)`` from what is known.

        Where model and noise are right it is distributed as chi-square of 8 degrees of freedom.
        """
        innovation_px = (measured_px - self.corners_px).ravel()
        expected = self._predicted(stamp_s) + self.noise_px2(confidence)
        return float(innovation_px @ np.linalg.solve(expected, innovation_px))

    def learn_noise(self, measured_px: np.ndarray, confidence: float, stamp_s: float) -> None:
        """Learn of the noise from a measurement, whether it is believed or not."""
        elapsed_s = stamp_s - self._learned_s
        new_weight = 1 / self._correlated_count(elapsed_s)
        innovation_px = (measured_px - self._mean_px).ravel()
        noise = self.noise_px2(confidence)
        self._learned_s = stamp_s
        if self._mean_weight:
            distance = float(innovation_px @ np.linalg.solve(noise, innovation_px))
            robust_weight = (_T_DEGREES_OF_FREEDOM + 8) / (_T_DEGREES_OF_FREEDOM + distance)
            off = innovation_px / deviation_px(confidence)
            kept = math.exp(-elapsed_s / _NOISE_TIME_CONSTANT_S)
            self._scatter = kept * self._scatter + new_weight * robust_weight * np.outer(off, off)
            self._weight = kept * self._weight + new_weight
            new_weight *= robust_weight
        self._mean_weight = math.exp(-elapsed_s / _MEAN_TIME_CONSTANT_S) * self._mean_weight + new_weight
        self._mean_px = self._mean_px + new_weight / self._mean_weight * innovation_px.reshape(4, 2)

    def update(self, measured_px: np.ndarray, confidence: float, stamp_s: float) -> None:
        """Take in a measurement, later than the one before."""
        predicted = self._predicted(stamp_s)
        noise = self.noise_px2(confidence) * self._correlated_count(stamp_s - self._measured_s)
        gain = np.linalg.solve(predicted + noise, predicted).T
        innovation_px = (measured_px - self.corners_px).ravel()
        kept = np.eye(8) - gain
        # Joseph's form, which rounding leaves symmetric and positive
        self.covariance_px2 = kept @ predicted @ kept.T + gain @ noise @ gain.T
        self.corners_px = self.corners_px + (gain @ innovation_px).reshape(4, 2)
        self._stamp_s = self._measured_s = stamp_s

    def _predicted(self, stamp_s: float) -> np.ndarray:
        elapsed_s = max(stamp_s - self._stamp_s, 0.0)
        return self.covariance_px2 + self._walk_px2_per_s * elapsed_s * np.eye(8)

    def _correlated_count(self, elapsed_s: float) -> float:
        """Return how many measurements, so far apart, say as much as an independent one."""
        if not self._correlation_s:
            return 1.0
        return 1 / math.tanh(max(elapsed_s / (2 * self._correlation_s), 1e-3))


def deviation_px(confidence: float) -> float:
    """
    Return the standard deviation of a coordinate of a corner that a confidence stands for.

    It is the one with which a corner lies within 3 px as often as the confidence says, by
    Rayleigh's distribution: 1 - exp(-9 / 2 deviation^2).
    """
    bounded = min(max(confidence, _CONFIDENCES[0]), _CONFIDENCES[1])
    return _REPEATABILITY_PX / math.sqrt(-2 * math.log(1 - bounded))


def homography_noise_shape() -> np.ndarray:
    """
    Return the covariance ``(8, 8)`` of corners by least squares, scaled to a mean variance of 1.

    The homography is fitted to points evenly spread over the image, each with the same noise.
    """
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-_IMAGE_ASPECT, _IMAGE_ASPECT, 7))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (1, _IMAGE_ASPECT)
    points, at_corners = _jacobian(np.stack([x.ravel(), y.ravel()], 1)), _jacobian(corners)
    covariance = at_corners @ np.linalg.inv(points.T @ points) @ at_corners.T
    return 8 * covariance / np.trace(covariance)


def _jacobian(points: np.ndarray) -> np.ndarray:
    """Return ``(2 N, 8)``: how points ``(N, 2)`` move with the entries of H near identity."""
    x, y = points.T
    none, one = np.zeros_like(x), np.ones_like(x)
    along_x = np.stack([x, y, one, none, none, none, -x * x, -x * y], 1)
    along_y = np.stack([none, none, none, x, y, one, -x * y, -y * y], 1)
    return np.stack([along_x, along_y], 1).reshape(-1, 8)
