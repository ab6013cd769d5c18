# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long fusion uses a homography: jumps of the stamps, its age, and its withdrawal."""

from __future__ import annotations

import cv2
from ivf_ros.fusion import FusionMode, FusionStage, FusionStageParameters
from ivf_ros.parameters import build
from ivf_ros.types import Frame
import numpy as np
import pytest

SECOND_NS = 1_000_000_000


class Replay:
    """A fusion stage with a shifted homography, and pairs of given stamps."""

    def __init__(self, **values) -> None:
        self.stage = FusionStage(build(FusionStageParameters,
                                       {'fusion.method': 'average', **values}))
        self._random = np.random.default_rng(0)
        coarse = self._random.integers(60, 200, (30, 40, 3)).astype(np.uint8)
        self.rgb = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
        self.thermal = self.rgb[..., 0].copy()

    def update(self, stamp_s: float, **lost) -> None:
        self.stage.update_homography(np.eye(3), (320, 240), round(stamp_s * SECOND_NS), **lost)

    def step(self, stamp_s: float, rgb_stamp_s: float | None = None):
        thermal = self.thermal + self._random.integers(0, 3, self.thermal.shape).astype(np.uint8)
        stamps_ns = (round(value * SECOND_NS) for value in (
            stamp_s, stamp_s if rgb_stamp_s is None else rgb_stamp_s))
        return self.stage.step(*(Frame(image, stamp_ns) for image, stamp_ns in zip(
            (thermal, self.rgb), stamps_ns)))


@pytest.mark.parametrize('back_s', [3600.0, 5.0, 0.2])
def test_stamps_that_jump_back_make_the_homography_forgotten(back_s):
    replay = Replay()
    replay.update(1000.0)
    assert [replay.step(1000.0 + index / 10).mode for index in range(3)] == 3 * ['FUSED']
    results = [replay.step(1000.2 - back_s + index) for index in range(12)]
    assert {result.mode for result in results} == {FusionMode.RGB_ONLY}
    assert {result.reason for result in results} == {'no registration yet'}
    replay.update(1012.0 - back_s)
    assert replay.step(1012.0 - back_s).mode is FusionMode.FUSED


@pytest.mark.parametrize('homography_timeout_s', [0.0, 10.0])
def test_a_homography_from_before_a_jump_that_arrives_after_it_is_not_used(homography_timeout_s):
    replay = Replay(homography_timeout_s=homography_timeout_s)
    replay.step(1000.0)
    replay.step(995.0)
    replay.update(1000.0)  # its measurement took longer than the jump
    assert {replay.step(995.1 + index).mode for index in range(20)} == {FusionMode.RGB_ONLY}


def test_a_homography_may_be_a_little_ahead_of_the_image():
    replay = Replay()
    replay.update(1000.4)
    assert replay.step(1000.0).mode is FusionMode.FUSED


def test_the_age_of_a_homography_is_that_by_the_clock_of_thermal():
    replay = Replay(homography_timeout_s=10.0)
    replay.update(1000.0)
    assert replay.step(1009.9, rgb_stamp_s=5000.0).mode is FusionMode.FUSED
    result = replay.step(1010.1, rgb_stamp_s=1000.0)
    assert result.mode is FusionMode.RGB_ONLY
    assert result.reason == 'registration LOST: no homography for 10.1 s'


def test_a_withdrawn_homography_is_lost_at_once():
    replay = Replay()
    replay.update(1000.0)
    assert replay.step(1000.1).mode is FusionMode.FUSED
    replay.update(1000.0, is_lost=True)
    result = replay.step(1000.2)
    assert result.mode is FusionMode.RGB_ONLY and result.thermal is None
    assert result.reason == 'registration LOST: withdrawn, see the registration node'
    replay.update(1000.3)
    assert replay.step(1000.3).mode is FusionMode.FUSED
