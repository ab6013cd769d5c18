# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Track IDs over time, and temperatures of detections."""

from __future__ import annotations

import math

from hypothesis import given, settings, strategies
from ivf_ros import detection, fusion
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection import ObjectTracking
from ivf_ros.detection.tracking import iou
from ivf_ros.thermal import RadiometryParameters
from ivf_ros.types import Detection, Registration, RegistrationState
import numpy as np
import pytest

PERIOD_NS = 33_333_333


def person(x, y=100.0, score=0.9, name='person'):
    return Detection((x, y, x + 30, y + 80), name, score)


def track_ids_of(tracker, frames, *, start=0):
    """Track lists of detections at 30 Hz; return the track IDs of each frame."""
    return [[box.track_id for box in tracker.update(boxes, (start + index) * PERIOD_NS)]
            for index, boxes in enumerate(frames)]


def test_a_track_gets_an_id_with_its_second_box():
    assert track_ids_of(detection.Tracker(), [[person(10)], [person(12)], [person(14)]]) == [
        [''], ['1'], ['1']]


def test_two_people_who_pass_each_other_keep_their_ids():
    frames = [[person(10 + 8 * index), person(250 - 8 * index, 130)] for index in range(31)]
    assert track_ids_of(detection.Tracker(), frames)[1:] == [['1', '2']] * 30


def test_classes_are_tracked_separately():
    frames = [[person(10), person(10, name='vehicle')]] * 3
    assert track_ids_of(detection.Tracker(), frames)[-1] == ['1', '2']


def test_a_track_survives_half_a_second_without_a_box():
    frames = [[person(10 + 3 * index)] for index in range(20)]
    frames += [[]] * 15 + [[person(10 + 3 * index)] for index in range(35, 40)]
    track_ids = track_ids_of(detection.Tracker(), frames)
    assert track_ids[-1] == track_ids[5] == ['1']


def test_a_track_ends_after_keep_s():
    tracker = detection.Tracker(detection.TrackingParameters(keep_s=0.3))
    frames = [[person(10)]] * 5 + [[]] * 15 + [[person(10)]] * 3
    assert track_ids_of(tracker, frames)[-1] == ['2']


def test_a_box_with_a_low_score_continues_a_track_but_starts_none():
    assert track_ids_of(detection.Tracker(), [[person(10, score=0.4)]] * 4) == [['']] * 4
    frames = [[person(10)]] * 3 + [[person(11, score=0.36)]] * 3
    track_ids = track_ids_of(detection.Tracker(), frames)
    assert track_ids[-1] == ['1']


def test_the_score_of_a_track_is_a_mean_over_time():
    tracker = detection.Tracker(detection.TrackingParameters(score_smoothing_s=0.5))
    scores = [tracker.update([person(10, score=score)], index * PERIOD_NS)[0].score
              for index, score in enumerate([0.9] * 10 + [0.2] + [0.9] * 5 + [0.2] * 60)]
    kept = math.exp(-PERIOD_NS * 1e-9 / 0.5)
    weights = kept ** np.arange(11)
    assert scores[:10] == pytest.approx([0.9] * 10)
    assert scores[10] == pytest.approx(0.9 - 0.7 * weights[0] / weights.sum())
    assert min(scores[:16]) > 0.8 and scores[-1] == pytest.approx(0.2, abs=0.02)


def test_without_smoothing_a_track_has_the_score_of_its_latest_box():
    tracker = detection.Tracker(detection.TrackingParameters(score_smoothing_s=0.0))
    assert [tracker.update([person(10, score=score)], index * PERIOD_NS)[0].score
            for index, score in enumerate([0.9, 0.8, 0.3])] == [0.9, 0.8, 0.3]


def test_after_a_gap_the_new_score_counts_more():
    scores = []
    for gap in (1, 20):
        tracker = detection.Tracker(detection.TrackingParameters(score_smoothing_s=0.5))
        for index in range(5):
            tracker.update([person(10)], index * PERIOD_NS)
        scores.append(tracker.update([person(10, score=0.3)], (4 + gap) * PERIOD_NS)[0].score)
    assert scores[0] > 0.75 and scores[1] < 0.65


def follow(scores, min_score=0.35, **tracking):
    """Return whether the box of a person with these scores is published, at 30 Hz."""
    tracking = ObjectTracking(detection.TrackingParameters(**tracking), RadiometryParameters())
    parameters = detection.AnchorFreeParameters(min_score=min_score)
    return [bool(tracking.track([person(10, score=score)], index * PERIOD_NS, parameters))
            for index, score in enumerate(scores)]


def test_a_tracked_object_stays_through_weak_images_and_leaves_when_they_last():
    published = follow([0.9] * 5 + [0.15] * 3 + [0.9] * 5 + [0.15] * 60)
    assert all(published[:13]) and not any(published[-20:])


def test_a_weak_object_and_a_single_strong_image_are_not_published_as_tracks():
    assert not any(follow([0.3] * 10))
    flash = follow([0.2] * 5 + [0.6] + [0.2] * 20)
    assert flash[5] and sum(flash) <= 3


def test_weak_boxes_are_looked_for_only_where_a_track_can_use_them():
    tracking = detection.TrackingParameters(low_score=0.15)
    of_network = detection.AnchorFreeParameters(min_score=0.4, min_scores=(0.5, 0.1, 0.3))
    weak = detection.add_weak_boxes(of_network, tracking)
    assert weak.min_score == 0.15 and weak.min_scores == (0.15, 0.1, 0.15)
    off = detection.TrackingParameters(enabled=False)
    assert detection.add_weak_boxes(of_network, off) is of_network
    others = detection.OnnxParameters()
    assert detection.add_weak_boxes(others, tracking) is others


def test_a_single_box_makes_no_track():
    assert track_ids_of(detection.Tracker(), [[person(10)], [], [person(10)], []]) == [
        [''], [], [''], []]


def test_all_tracks_end_where_time_goes_back():
    tracker = detection.Tracker()
    track_ids_of(tracker, [[person(10)]] * 3, start=100)
    assert track_ids_of(tracker, [[person(10)]] * 2) == [[''], ['2']]


def test_slow_and_irregular_images_are_tracked_too():
    tracker = detection.Tracker()
    stamps_s = np.cumsum([0.1, 0.2, 0.1, 0.4, 0.1, 0.2, 0.3])
    track_ids = [tracker.update([person(10 + 40 * stamp_s)], int(1e9 * stamp_s))[0].track_id
                 for stamp_s in stamps_s]
    assert set(track_ids[1:]) == {'1'}


@settings(max_examples=30, deadline=None)
@given(strategies.integers(0, 10 ** 6))
def test_order_and_boxes_are_kept_and_ids_are_unique(seed):
    random = np.random.default_rng(seed)
    tracker = detection.Tracker()
    for index in range(8):
        found = [person(float(random.uniform(0, 300)), score=float(random.uniform(0.3, 1)))
                 for _ in range(random.integers(0, 6))]
        tracked = tracker.update(found, index * PERIOD_NS)
        assert [box.box_xyxy_px for box in tracked] == [box.box_xyxy_px for box in found]
        track_ids = [box.track_id for box in tracked if box.track_id]
        assert len(set(track_ids)) == len(track_ids)


def test_iou_has_its_closed_form():
    a, b = np.array([0.0, 0, 10, 10]), np.array([5.0, 0, 15, 10])
    assert iou(a, b) == pytest.approx(50 / 150) and iou(a, a) == 1.0
    assert iou(a, np.array([10.0, 10, 20, 20])) == 0.0


@pytest.mark.parametrize('failing', ['thermal', 'rgb'])
def test_tracks_survive_half_a_second_of_one_camera_failing(failing):
    # A street by day: detections in the fused image, and in one camera alone.
    simulator = RigSimulator(SimulatorParameters(condition='day', seed=4))
    stage, detector, tracker = fusion.FusionStage(), detection.create(), detection.Tracker()
    track_ids: list[set[str]] = []
    frames = range(0, 45)
    for index in frames:
        thermal, rgb, truth = simulator.pair(index)
        known = Registration(truth.H_thermal_to_rgb, 1.0, 1, RegistrationState.TRACKING, rgb.size)
        fails = 15 <= index < 30
        image = stage.fuse(None if fails and failing == 'thermal' else thermal.image,
                           None if fails and failing == 'rgb' else rgb.image, known).image
        tracked = tracker.update(detector.detect(image), rgb.stamp_ns)
        track_ids.append({box.track_id for box in tracked if box.track_id and box.score >= 0.5})
    before, after = track_ids[14], set().union(*track_ids[30:])
    assert len(before) >= 2
    assert len(before & after) >= 0.7 * len(before)


# Temperatures


def test_the_median_and_the_maximum_of_a_box_are_measured():
    celsius = np.full((60, 80), 10.0, np.float32)
    celsius[20:40, 30:40] = 30.0
    celsius[25, 35] = 36.5
    [found] = detection.add_temperatures([Detection((30, 20, 40, 40), 'person', 0.9)], celsius)
    assert found.median_celsius == 30.0 and found.maximum_celsius == 36.5
    [whole] = detection.add_temperatures([Detection((0, 0, 80, 60), 'person', 0.9)], celsius)
    assert whole.median_celsius == 10.0 and whole.maximum_celsius == 36.5


def test_there_is_no_temperature_without_coverage():
    celsius = np.full((60, 80), np.nan, np.float32)
    celsius[:, 40:] = 20.0
    outside, across = detection.add_temperatures(
        [Detection((0, 0, 30, 30), 'person', 0.9), Detection((30, 0, 50, 30), 'person', 0.9)],
        celsius)
    assert outside.median_celsius is None and outside.maximum_celsius is None
    assert across.median_celsius == 20.0
    [beyond] = detection.add_temperatures([Detection((-9, -9, -1, -1), 'person', 0.9)], celsius)
    assert beyond.median_celsius is None
