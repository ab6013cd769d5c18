# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The offset of the stamps of two cameras, from motion."""

from __future__ import annotations

from dataclasses import replace

import cv2
from ivf_ros.calibration.time_offset import (
    ChangeCourse,
    estimate_time_offset,
    measure_time_offset,
    TimeOffsetError,
)
from ivf_ros.data.sources import open_source
from ivf_ros.types import Event, Frame
import numpy as np
import pytest

CLOCK_S = 1_700_000_000.0


def draw_walkers(time_s: float, size: tuple[int, int], gray: int) -> np.ndarray:
    """Return an image of two people who walk to and fro, each in another rhythm."""
    width, height = size
    image = np.full((height, width), 100, np.uint8)
    for phase, rhythm in ((0.0, 1.0), (2.0, 1.7)):
        x = 0.5 + 0.3 * np.sin(rhythm * time_s + phase) * np.sin(0.37 * rhythm * time_s)
        cv2.ellipse(image, (int(x * width * 16), int((0.4 + 0.1 * rhythm) * height * 16)),
                    (width, height * 3), 0, 0, 360, gray, -1, cv2.LINE_AA, 4)
    return image


class Walkers:
    """A source of two cameras with other sizes, rates, contrasts and noise."""

    name, rate_hz, skipped = 'walkers', 9.0, {}

    def __init__(self, offset_s: float, clock_s: float = 0.0, seconds: float = 20.0) -> None:
        self._offset_s, self._clock_s, self._seconds = offset_s, clock_s, seconds

    def events(self, is_wanted=None):
        rng = np.random.default_rng(0)
        frames = []
        for stream, rate_hz, size, gray in (('thermal', 9.0, (160, 120), 230),
                                            ('rgb', 15.0, (320, 240), 30)):
            offset_s = self._offset_s + self._clock_s if stream == 'thermal' else 0.0
            for index in range(int(self._seconds * rate_hz)):
                time_s = index / rate_hz
                image = draw_walkers(time_s, size, gray)
                noisy = np.clip(image + rng.normal(0, 2, image.shape), 0, 255).astype(np.uint8)
                recorded_ns = round((CLOCK_S + time_s) * 1e9)
                frames.append(Event(stream, Frame(noisy, recorded_ns + round(offset_s * 1e9)),
                                    recorded_ns=recorded_ns))
        return iter(sorted(frames, key=lambda event: event.recorded_ns))


@pytest.mark.parametrize('offset_s', [0.0, 0.12, -0.35, 1.4])
def test_a_known_offset_is_measured_within_its_deviation(offset_s):
    measured = measure_time_offset(Walkers(offset_s))
    assert measured.offset_s == pytest.approx(offset_s, abs=0.015)
    assert measured.deviation_s < 0.02
    assert 0.3 < measured.correlation <= 1.0


def test_clocks_that_differ_by_years_are_measured_as_precisely():
    clock_s = 5.0 - CLOCK_S
    measured = measure_time_offset(Walkers(0.08, clock_s))
    assert measured.offset_s == pytest.approx(clock_s + 0.08, abs=0.015)


def course_of(images, period_s=0.1):
    course = ChangeCourse()
    for index, image in enumerate(images):
        course.add(index * period_s, image)
    return course


def test_without_common_motion_there_is_no_offset():
    rng = np.random.default_rng(0)
    noise = [course_of(rng.normal(100, 3, (200, 48, 64)).astype(np.float32)) for _ in range(2)]
    with pytest.raises(TimeOffsetError, match='move the cameras'):
        estimate_time_offset(*noise)


def test_a_motion_that_repeats_has_no_single_offset():
    period = [draw_walkers(0.0, (160, 120), 230), draw_walkers(1.0, (160, 120), 230)]
    images = [period[index // 5 % 2] for index in range(200)]
    with pytest.raises(TimeOffsetError, match='another offset fits almost as well'):
        estimate_time_offset(course_of(images), course_of(images))


def test_too_few_images_are_refused():
    with pytest.raises(TimeOffsetError, match='8 changes between thermal images'):
        estimate_time_offset(course_of([draw_walkers(i / 10, (160, 120), 9) for i in range(10)]),
                             ChangeCourse())


def test_real_recordings_that_were_taken_at_once_have_an_offset_of_a_frame_at_most(shared_data):
    folder = shared_data / 'm3svd_sequences'
    for sequence in ('0113_1714', '0117_1605', '0117_1620'):
        shifted = _Delayed(open_source(folder / sequence), 0.25)
        measured = measure_time_offset(shifted, seconds=15)
        assert measured.offset_s == pytest.approx(0.25, abs=0.02), sequence
        assert measured.deviation_s < 0.02


class _Delayed:
    """A source whose thermal stamps are late."""

    def __init__(self, source, delay_s):
        self._source, self._delay_ns = source, round(delay_s * 1e9)

    def events(self, is_wanted=None):
        for event in self._source.events():
            frame = event.frame
            if event.stream == 'thermal':
                frame = replace(frame, stamp_ns=frame.stamp_ns + self._delay_ns)
            yield replace(event, frame=frame, recorded_ns=event.frame.stamp_ns)
