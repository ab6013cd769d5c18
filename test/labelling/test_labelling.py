# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Machine-made labels: agreement of teachers, continuity over time, registered pairs."""

from __future__ import annotations

from dataclasses import replace

import cv2
from ivf_ros import geometry
from ivf_ros.data.sample import IGNORED
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection import DetectionError
from ivf_ros.labelling import (
    FrameBoxes,
    label_boxes,
    LabellingError,
    LabellingParameters,
    merge_boxes,
    MergedBox,
    PairRegistration,
    RecordingLabels,
    RegisteredPair,
    Teacher,
)
from ivf_ros.labelling.teachers import select_classes
from ivf_ros.parameters import ParameterError
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.types import Detection, Frame
import numpy as np
from onnx_models import PERSON_XYWH, write_model
import pytest

PARAMETERS = LabellingParameters()
BOX = (100.0, 100.0, 140.0, 200.0)
STEP_NS = 10 ** 8


def person(left=100.0, score=0.8, width=40.0, name='person') -> Detection:
    return Detection((left, 100.0, left + width, 200.0), name, score)


def merge(**found):
    merged = merge_boxes({name.replace('_', '@'): boxes for name, boxes in found.items()}, 0.5,
                         0.7, 0.8)
    return [(one.box.box_xyxy_px[0], round(one.box.score, 2), one.teachers) for one in merged]


# Agreement


def test_an_object_that_all_teachers_show_has_the_best_box_and_full_agreement():
    assert merge(a_rgb=[person(100, 0.6)], b_thermal=[person(104, 0.9)], c_rgb=[]) == [
        (104, 0.67, ('a@rgb', 'b@thermal'))]


def test_the_union_holds_what_one_teacher_alone_shows_after_what_more_show():
    assert merge(a_rgb=[person(300, 0.9)], b_thermal=[person(100, 0.5)], c_rgb=[person(102, 0.4)]
                 ) == [(100, 0.67, ('b@thermal', 'c@rgb')), (300, 0.33, ('a@rgb',))]


def test_two_overlapping_boxes_of_one_teacher_are_two_objects():
    # IoU 0.6: two people side by side, whom the teacher keeps apart
    assert merge(a_rgb=[person(100), person(110, 0.7)], b_thermal=[person(111, 0.6)]) == [
        (110, 1.0, ('a@rgb', 'b@thermal')), (100, 0.5, ('a@rgb',))]


def test_what_is_left_twice_of_one_class_is_suppressed():
    # IoU 0.82 with each other, and one teacher says both
    assert merge(a_rgb=[person(100), person(104, 0.7)], b_thermal=[person(100)]) == [
        (100, 1.0, ('a@rgb', 'b@thermal'))]
    assert len(merge(a_rgb=[person(100), person(100, name='bicycle')])) == 2


def test_a_part_of_an_object_and_what_holds_several_are_marked():
    whole, half = person(100, 0.9), person(100, 0.8, width=18.0)
    both = Detection((100.0, 100.0, 200.0, 200.0), 'person', 0.7)

    def parts(**found):
        merged = merge_boxes({name.replace('_', '@'): boxes for name, boxes in found.items()},
                             0.5, 0.7, 0.8)
        return {one.box.box_xyxy_px[2] - one.box.box_xyxy_px[0]: one.is_part for one in merged}

    assert parts(a_rgb=[whole], b_thermal=[half, whole]) == {40: False, 18: False}
    assert parts(a_rgb=[whole], b_thermal=[half]) == {40: False, 18: True}
    assert parts(a_rgb=[whole, person(155)], b_thermal=[both]) == {40: False, 100: True}
    frames = [FrameBoxes(index * STEP_NS, merge_boxes({'a@rgb': [whole], 'b@thermal': [half]},
                                                      0.5, 0.7, 0.8)) for index in range(2)]
    assert classes_of(frames) == [[KEPT, (IGNORED, 'part of another')]] * 2


# Continuity


def make_frames(*shown, step_ns=STEP_NS):
    """Return frames of (left edge, teachers) for each box."""
    return [FrameBoxes(index * step_ns, [
        MergedBox(person(float(left)), tuple(teachers.split()), 0.8) for left, teachers in boxes])
        for index, boxes in enumerate(shown)]


def classes_of(frames, is_sequence=True, **parameters):
    labels = label_boxes(frames, replace(PARAMETERS, **parameters), is_sequence)
    return [[(one.box.class_name, one.reason) for one in of_frame] for of_frame in labels]


KEPT, ALONE = ('person', ''), (IGNORED, 'one frame of one camera')


def test_a_box_that_a_tracker_carries_is_kept_from_its_first_to_its_last_frame():
    frames = make_frames([(100, 'a@rgb')], [(104, 'a@rgb')], [(108, 'a@rgb')])
    assert classes_of(frames) == [[KEPT]] * 3
    tracks = {one.track_id for of_frame in label_boxes(frames, PARAMETERS, True)
              for one in of_frame}
    assert len(tracks) == 1 and '' not in tracks


def test_the_other_camera_may_show_it_in_the_neighbouring_frame():
    assert classes_of(make_frames([(100, 'a@rgb')], [(102, 'a@thermal')])) == [[KEPT], [KEPT]]


def test_a_box_that_one_frame_of_one_camera_shows_is_ignored_and_no_background():
    frames = make_frames([(100, 'a@rgb')], [(102, 'a@rgb'), (400, 'a@rgb b@rgb')], [])
    assert classes_of(frames) == [[KEPT], [KEPT, ALONE], []]
    [_, [_, alone], _] = label_boxes(frames, PARAMETERS, True)
    assert alone.box.box_xyxy_px == (400.0, 100.0, 440.0, 200.0)
    assert classes_of(frames, unconfirmed='keep')[1] == [KEPT, KEPT]


def test_a_box_that_both_cameras_show_at_the_same_time_is_kept():
    assert classes_of(make_frames([(100, 'a@rgb b@thermal')], [])) == [[KEPT], []]
    # A network for both cameras has seen the same image as one for RGB: that is no second view.
    assert classes_of(make_frames([(100, 'a@rgb a@rgb+thermal')], [])) == [[ALONE], []]


def test_the_gap_of_a_track_is_ignored_between_its_boxes():
    shown = [[(100, 'a@rgb')], [(104, 'a@rgb')], [], [(112, 'a@rgb')]]
    labels = label_boxes(make_frames(*shown), PARAMETERS, True)
    assert [(one.box.class_name, one.box.box_xyxy_px, one.reason) for one in labels[2]] == [
        (IGNORED, (108.0, 100.0, 148.0, 200.0), 'gap of a track')]
    assert labels[2][0].track_id == labels[3][0].track_id
    assert classes_of(make_frames(*shown), gap_s=0.15)[2] == []


def test_of_unrelated_pairs_two_teachers_confirm_a_box():
    frames = make_frames([(100, 'a@rgb')], [(100, 'a@rgb b@rgb')])
    assert classes_of(frames, is_sequence=False) == [[ALONE], [KEPT]]


def test_a_box_with_little_agreement_is_ignored_on_request():
    frames = make_frames([(100, 'a@rgb'), (400, 'b@rgb')], [(102, 'a@rgb'), (402, 'b@rgb')])
    weak = [replace(frame, boxes=[replace(frame.boxes[0], box=replace(frame.boxes[0].box,
                                                                      score=0.33)),
                                  frame.boxes[1]]) for frame in frames]
    assert classes_of(weak) == [[KEPT, KEPT]] * 2
    assert classes_of(weak, min_agreement=0.5) == [[(IGNORED, 'agreement'), KEPT]] * 2


def test_an_ignored_class_stays_ignored():
    frames = [FrameBoxes(index * STEP_NS, [MergedBox(person(name=IGNORED), ('a@rgb',), 0.9)])
              for index in range(3)]
    assert classes_of(frames) == [[(IGNORED, 'class')]] * 3


# Teachers


@pytest.mark.parametrize('text', ['anchor_free', 'yolo@rgb', 'anchor_free@lidar', '@rgb', ''])
def test_a_teacher_of_another_form_is_refused(text):
    with pytest.raises(LabellingError, match=r'a teacher is METHOD@INPUT.*inputs: rgb, thermal'):
        Teacher(text)


def test_a_teacher_must_take_its_input_and_its_settings():
    with pytest.raises(LabellingError, match=r'hog takes one image; its input is one of rgb'):
        Teacher('hog@rgb+thermal')
    with pytest.raises(ParameterError, match='min_scor'):
        Teacher('anchor_free@rgb:anchor_free.min_scor=0.5')
    with pytest.raises(DetectionError, match=r'onnx\.model must be an ONNX file'):
        Teacher('onnx@rgb:onnx.model=none.onnx')
    with pytest.raises(LabellingError, match='must have different names, got hog@rgb, hog@rgb'):
        RecordingLabels([Teacher('hog@rgb'), Teacher('hog@rgb')], PARAMETERS, True)


class Looking:
    """A detector that says what it was given."""

    takes_thermal = True

    def detect(self, image, thermal=None):
        mean = float(image.mean()) + (0 if thermal is None else float(thermal.mean()))
        return [Detection((0.0, 0.0, mean, 1.0), 'person', 1.0)]


@pytest.mark.parametrize('name, mean', [('rgb', 10), ('thermal', 20), ('rgb+thermal', 30),
                                        ('fast', 40)])
def test_a_teacher_looks_at_its_input(name, mean):
    teacher = Teacher(f'anchor_free@{name}')
    assert teacher.name == f'anchor_free@{name}'
    teacher._detector = Looking()
    pair = RegisteredPair(np.full((4, 5), 20, np.uint8), np.full((4, 5, 3), 10, np.uint8),
                          np.full((4, 5, 3), 40, np.uint8))
    assert teacher.detect(pair)[0].box_xyxy_px[2] == mean


def test_a_model_of_others_is_a_teacher_with_the_name_of_its_file(tmp_path):
    rows = np.zeros((50, 6), np.float32)
    rows[7] = *PERSON_XYWH, 0.9, 0.1
    path = write_model(tmp_path / 'street_v8.onnx', rows.T[None])
    teacher = Teacher(f'onnx@thermal:onnx.model={path},onnx.min_score=0.3')
    assert teacher.name == 'street_v8@thermal'
    assert teacher.settings == {'onnx.model': path, 'onnx.min_score': 0.3}
    pair = RegisteredPair(np.zeros((480, 640), np.uint8), np.zeros((480, 640, 3), np.uint8),
                          np.zeros((480, 640, 3), np.uint8))
    assert [box.class_name for box in teacher.detect(pair)] == ['person']


def test_classes_are_those_of_the_detector_others_are_ignored_or_dropped():
    boxes = [person(name=name) for name in ('person', 'truck', 'motorcycle', 'dog')]
    kept, dropped = select_classes(boxes, ['motorcycle'])
    assert [box.class_name for box in kept] == ['person', 'vehicle', IGNORED]
    assert dropped == ['dog']


# Registered pairs


def test_aligned_pairs_are_resized_as_the_nodes_do_it():
    random = np.random.default_rng(0)
    thermal = cv2.resize(random.integers(0, 20000, (12, 16), dtype=np.uint16), (160, 120))
    rgb = cv2.resize(random.integers(0, 255, (12, 16, 3), dtype=np.uint8), (320, 240))
    for is_sequence in (True, False):
        pair = PairRegistration(is_sequence, aligned=True).register(
            Frame(thermal, STEP_NS, 'thermal'), Frame(rgb, STEP_NS, 'rgb'))
        expected = ThermalWarper().warp_gray(thermal, geometry.stretch((160, 120), (320, 240)),
                                             (320, 240))
        np.testing.assert_array_equal(pair.thermal, expected.image)
        assert pair.rgb is rgb and pair.fused.shape == rgb.shape


def test_a_recording_is_registered_and_the_same_each_time():
    simulator = RigSimulator(SimulatorParameters(seed=4))
    frames = [simulator.pair(number) for number in range(5)]

    def register():
        registration = PairRegistration(True)
        return [registration.register(replace(thermal, stamp_ns=number * STEP_NS),
                                      replace(rgb, stamp_ns=number * STEP_NS))
                for number, (thermal, rgb, _) in enumerate(frames, start=1)]

    first, second = register(), register()
    assert first[0] == second[0] == 'no registration yet'  # two measurements must agree
    assert all(isinstance(pair, RegisteredPair) for pair in first[1:])
    for a, b in zip(first[1:], second[1:], strict=True):
        np.testing.assert_array_equal(a.thermal, b.thermal)
    true = ThermalWarper().warp_gray(frames[-1][0].image, simulator.H_thermal_to_rgb,
                                     frames[-1][1].size)
    both = (true.image > 0) & (first[-1].thermal > 0)
    assert np.corrcoef(true.image[both], first[-1].thermal[both])[0, 1] > 0.95


def test_a_pair_without_a_registration_is_named():
    coarse = np.random.default_rng(0).integers(0, 255, (6, 8, 4), dtype=np.uint8)
    patterns = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    pair = PairRegistration(False).register(
        Frame(np.ascontiguousarray(patterns[..., 0]), STEP_NS),
        Frame(np.ascontiguousarray(patterns[..., 1:]), STEP_NS))
    assert pair == 'no registration yet'
