# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A prior from the registrations of a drive."""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros import geometry, registration
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.targetless import average_registrations
from ivf_ros.calibration.view_collection import CollectionParameters
from ivf_ros.data.sources import open_source
from ivf_ros.types import Event, Frame, Registration, RegistrationState
import numpy as np
import pytest

H_TRUE = np.array([[2.1, 0.02, 31.0], [-0.01, 2.05, 18.0], [1e-5, 2e-5, 1.0]])
THERMAL, RGB = (160, 120), (480, 320)


class Drive:
    """A source of empty images."""

    name = 'drive'
    rate_hz = 10.0

    def __init__(self, count: int, resize_after: int = 10 ** 9) -> None:
        self.count, self.resize_after = count, resize_after

    @property
    def skipped(self) -> dict[str, int]:
        return {}

    def events(self, is_wanted=None):
        for index in range(self.count):
            stamp_ns = (index + 1) * 100_000_000
            width = THERMAL[0] if index < self.resize_after else 80
            yield Event('thermal', Frame(np.zeros((THERMAL[1], width), np.uint8), stamp_ns))
            yield Event('rgb', Frame(np.zeros((RGB[1], RGB[0], 3), np.uint8), stamp_ns))


class Replies:
    """A registrar that returns given homographies; None is a rejection."""

    parameters = None

    def __init__(self, homographies: Sequence[np.ndarray | None]) -> None:
        self._homographies = iter(homographies)

    def register(self, thermal, rgb, prior=None) -> Registration:
        H = next(self._homographies)
        if H is None:
            return Registration(np.eye(3), 0.0, 0, RegistrationState.LOST, RGB, reason='dark')
        return Registration(H, 0.9, 10, RegistrationState.TRACKING, RGB)


def scattered(count: int, deviation_px: float, seed: int = 0) -> list[np.ndarray]:
    """Return homographies whose corners scatter around those of the true one."""
    rng = np.random.default_rng(seed)
    corners = geometry.corners_px(THERMAL)
    true_px = geometry.transform_points(H_TRUE, corners)
    return [geometry.from_corners(corners, true_px + rng.normal(0, deviation_px, (4, 2)))
            for _ in range(count)]


EACH = CollectionParameters(every=1)


def test_the_median_of_the_corners_is_the_prior_and_their_deviation_its_spread():
    prior = average_registrations(Drive(200), Replies(scattered(200, 3.0)), EACH)
    assert geometry.corner_error_px(prior.H_thermal_to_rgb, H_TRUE, THERMAL) < 1.0
    assert prior.spread_px == pytest.approx(np.full(4, 3.0), rel=0.25)
    assert (prior.measured, prior.accepted) == (200, 200) and prior.used > 190
    assert (prior.thermal_size, prior.rgb_size) == (THERMAL, RGB)


def test_wrong_registrations_and_rejections_do_not_count():
    homographies = [*scattered(30, 1.0), *[geometry.translation(40, 0) @ H for H in
                                           scattered(8, 1.0)], *[None] * 12]
    prior = average_registrations(Drive(50), Replies(homographies), EACH)
    assert geometry.corner_error_px(prior.H_thermal_to_rgb, H_TRUE, THERMAL) < 1.0
    assert (prior.measured, prior.accepted) == (50, 38) and 28 <= prior.used <= 30


def test_too_few_registrations_are_an_error():
    with pytest.raises(CalibrationError, match='4 of 20 registrations were accepted, need 5'):
        average_registrations(Drive(20), Replies([*scattered(4, 1.0), *[None] * 16]), EACH)


def test_registrations_that_do_not_agree_are_an_error():
    spots = [geometry.translation(dx, 0) @ H_TRUE for dx in (0, 0, 0, 200, -300, 400, 900)]
    with pytest.raises(CalibrationError, match=r'of 7 accepted registrations scatter by \d+ px'):
        average_registrations(Drive(7), Replies(spots), EACH)


def test_images_of_another_size_are_an_error():
    with pytest.raises(CalibrationError, match='the size of the images changes'):
        average_registrations(Drive(20, resize_after=6), Replies(scattered(20, 1.0)), EACH)


def test_the_prior_of_a_simulated_drive_is_near_the_truth():
    source = open_source('simulator:seed=3,duration_s=6')
    truths = [event.truth.H_thermal_to_rgb for event in source.events() if event.truth is not None]
    prior = average_registrations(source, registration.create('fast'),
                                  CollectionParameters(every=8))
    size, rgb_size = prior.thermal_size, prior.rgb_size
    error_px = min(geometry.corner_error_px(prior.H_thermal_to_rgb, H, size)
                   for H in truths if H is not None)
    assert error_px < 0.02 * rgb_size[0]
    assert prior.used >= 5
