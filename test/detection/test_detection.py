# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection: boxes and scores of HOG on real people, and placement of labels."""

from __future__ import annotations

import cv2
from hypothesis import given, settings, strategies
from ivf_ros import detection, fusion
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection.drawing import place_labels
from ivf_ros.parameters import build, ParameterError
from ivf_ros.types import Detection, Registration, RegistrationState
import numpy as np
import pytest

needs_hog = pytest.mark.skipif(not hasattr(cv2, 'HOGDescriptor'),
                               reason='this OpenCV has no HOGDescriptor')


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def human_boxes(path, width=640, height=480):
    boxes = []
    for row in path.read_text().splitlines():
        class_id, x, y, w, h = (float(value) for value in row.split())
        if class_id == 0:
            boxes.append(((x - w / 2) * width, (y - h / 2) * height,
                          (x + w / 2) * width, (y + h / 2) * height))
    return boxes


def iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(areas) - width * height)


# The detector


@needs_hog
def test_people_are_found_in_real_thermal_images(shared_data):
    folder = shared_data / 'msrs' / 'officialtest_dev'
    detector = detection.create('hog')
    n_people = n_found = n_boxes = 0
    for labels in sorted((folder / 'boxes').glob('*.txt')):
        image = cv2.imread(str(next((folder / 'thermal').glob(f'{labels.stem}.*'))))
        found = detector.detect(image)
        people = human_boxes(labels)
        n_people += len(people)
        n_boxes += len(found)
        n_found += sum(any(iou(person, box.box_xyxy_px) >= 0.5 for box in found)
                       for person in people)
    assert n_people == 17
    assert n_found >= 9  # a weak baseline
    assert n_found >= 0.5 * n_boxes


@needs_hog
def test_at_night_people_are_found_in_the_fused_image_and_not_in_rgb():
    # A street with people near the camera: HOG needs them to be large.
    simulator = RigSimulator(build(SimulatorParameters, {'condition': 'night', 'seed': 2}))
    detector, stage = detection.create('hog'), fusion.FusionStage()
    n_people, n_boxes, n_found = 0, 0, {'fused': 0, 'rgb': 0}
    for index in range(60, 300, 60):
        thermal, rgb, truth = simulator.pair(index)
        known = Registration(truth.H_thermal_to_rgb, 1.0, 1, RegistrationState.TRACKING, rgb.size)
        fused = stage.fuse(thermal.image, rgb.image, known).image
        people = [box.box_xyxy_px for box in truth.detections if box.class_name == 'person'
                  and box.box_xyxy_px[3] - box.box_xyxy_px[1] > 60]
        n_people += len(people)
        n_boxes += len(detector.detect(fused))
        for name, image in (('fused', fused), ('rgb', rgb.image)):
            found = [box.box_xyxy_px for box in detector.detect(image)]
            n_found[name] += sum(any(iou(person, box) >= 0.5 for box in found)
                                 for person in people)
    assert n_found['fused'] >= 0.5 * max(n_people, n_boxes) > 2
    assert n_found['rgb'] <= 0.2 * n_found['fused']


@needs_hog
def test_boxes_are_clipped_ordered_and_scored(shared_data):
    folder = shared_data / 'msrs' / 'officialtest_dev' / 'thermal'
    image = cv2.imread(str(next(folder.glob('00345D.*'))))[:, 100:]
    image.flags.writeable = False
    found = detection.create('hog', **{'hog.hit_threshold': -0.5}).detect(image)
    scores = [box.score for box in found]
    assert len(found) > 3 and scores == sorted(scores, reverse=True)
    for box in found:
        left, top, right, bottom = box.box_xyxy_px
        assert 0 <= left < right <= 540 and 0 <= top < bottom <= 480
        assert box.class_name == 'person' and 0 < box.score < 1
    again = detection.create('hog', **{'hog.hit_threshold': -0.5}).detect(image)
    assert [box.box_xyxy_px for box in again] == [box.box_xyxy_px for box in found]
    assert np.allclose([box.score for box in again], scores, atol=1e-6)
    strict = detection.create('hog', **{'hog.hit_threshold': 0.5}).detect(image)
    assert 0 < len(strict) < len(found)
    # The score at a distance of 0.5 from the separating plane.
    assert min(box.score for box in strict) >= 1 / (1 + np.exp(-1.0)) - 1e-6


@needs_hog
def test_boxes_are_in_pixels_of_the_image_at_any_size(shared_data):
    folder = shared_data / 'msrs' / 'officialtest_dev' / 'thermal'
    image = cv2.imread(str(next(folder.glob('00345D.*'))))
    double = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    best, best_double = (detection.create('hog').detect(each)[0] for each in (image, double))
    doubled = tuple(2 * edge for edge in best.box_xyxy_px)
    assert iou(doubled, best_double.box_xyxy_px) > 0.8


@needs_hog
def test_overlapping_boxes_are_suppressed(shared_data):
    folder = shared_data / 'msrs' / 'officialtest_dev' / 'thermal'
    image = cv2.imread(str(next(folder.glob('00345D.*'))))
    found = detection.create('hog', **{'hog.nms_iou': 0.3, 'hog.hit_threshold': 0.0}).detect(image)
    assert len(found) >= 3
    assert all(iou(a.box_xyxy_px, b.box_xyxy_px) <= 0.31
               for k, a in enumerate(found) for b in found[:k])


@needs_hog
@pytest.mark.parametrize('shape', [
    (1, 1), (10, 2000), (2000, 10), (63, 31), (64, 32), (65, 33), (129, 65),  # window size
    (120, 160), (480, 641, 3)])
def test_any_size_works(shape):
    for image in (np.full(shape, 128, np.uint8), noise(shape)):
        found = detection.create('hog', **{'hog.search_width_px': 320}).detect(image)
        assert all(0 <= edge <= max(shape) for box in found for edge in box.box_xyxy_px)


@needs_hog
def test_a_flat_image_has_no_detections():
    assert detection.create('hog').detect(np.full((240, 320, 3), 90, np.uint8)) == []


@needs_hog
@pytest.mark.parametrize('image', [np.zeros((9, 9), np.float32), np.zeros((9, 9, 4), np.uint8),
                                   np.zeros((0, 9), np.uint8), np.zeros(9, np.uint8)])
def test_the_error_for_a_bad_image_says_what_was_got(image):
    with pytest.raises(detection.DetectionError, match='uint8, got'):
        detection.create('hog').detect(image)


@pytest.mark.parametrize(('method', 'values'), [
    ('no_such', {}), ('hog', {'no_such': 1}), ('hog', {'hog.scale_step': 1.0})])
def test_unknown_methods_and_parameters_are_refused(method, values):
    with pytest.raises(ParameterError):
        detection.create(method, **values)


def test_an_opencv_without_the_detector_says_what_to_install(monkeypatch):
    monkeypatch.delattr(cv2, 'HOGDescriptor', raising=False)
    with pytest.raises(detection.DetectionError, match='install') as error:
        detection.create('hog')
    assert '\n' not in str(error.value)


# Drawing


def person(left, top, right, bottom, score=0.5, track_id=''):
    return Detection((left, top, right, bottom), 'person', score, track_id)


def overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


@pytest.mark.parametrize('box', [
    (100, 80, 150, 180),  # free: above
    (0, 0, 60, 100),  # in the corner: below
    (270, 0, 320, 100),  # right corner
    (100, 0, 150, 240),  # as high as the image: beside
    (280, 0, 320, 240),  # the same at the right border: left of it
    (0, 100, 320, 240),  # as wide as the image
    (-20, -20, 40, 40),  # partly outside
])
def test_a_label_does_not_cover_its_box(box):
    image = noise((240, 320, 3))
    (text, label), = place_labels([person(*box)], (320, 240))
    assert text == 'person 0.50'
    assert overlap(label, box) == 0
    assert 0 <= label[0] < label[2] <= 320 and 0 <= label[1] < label[3] <= 240
    drawn = detection.draw(image, [person(*box)])
    left, top, right, bottom = (max(0, edge) for edge in box)
    inside = np.s_[top + 2:bottom - 2, left + 2:right - 2]
    assert np.array_equal(drawn[inside], image[inside])
    label_area = np.s_[label[1]:label[3], label[0]:label[2]]
    assert not np.array_equal(drawn[label_area], image[label_area])


@given(strategies.lists(strategies.tuples(
    strategies.integers(0, 560), strategies.integers(0, 360), strategies.integers(10, 80),
    strategies.integers(20, 120)), max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_label_covers_its_own_object_among_many(boxes):
    found = [person(x, y, x + w, y + h, 0.3, str(k)) for k, (x, y, w, h) in enumerate(boxes)]
    labels = place_labels(found, (640, 480))
    placed = [(label.rectangle, box) for label, box in zip(labels, found) if label is not None]
    for label, own in placed:
        assert all(overlap(label, box.box_xyxy_px) == 0 for box in found if box is not own)
    rectangles = [label for label, _ in placed]
    assert not any(overlap(a, b) for i, a in enumerate(rectangles) for b in rectangles[:i])


def test_in_a_crowd_labels_become_shorter_and_those_of_low_scores_are_left_out():
    crowd = [person(20 + 12 * column, 100, 30 + 12 * column, 140, 0.9 - 0.01 * column, str(column))
             for column in range(20)]
    labels = place_labels(crowd, (320, 240))
    texts = [label.text for label in labels if label is not None]
    assert labels[0].text == 'person #0 0.90' and 3 <= len(texts) < len(crowd)
    assert min(map(len, texts)) < len('person #0 0.90')


def test_a_box_that_fills_the_image_has_its_label_inside():
    label, = place_labels([person(0, 0, 320, 240)], (320, 240))
    assert label.rectangle[:2] == (0, 0)


def test_labels_of_neighbours_do_not_cover_each_other():
    found = [person(100, 100, 130, 200), person(110, 100, 140, 200)]
    first, second = (label.rectangle for label in place_labels(found, (640, 480)))
    assert overlap(first, second) == 0
    assert all(overlap(label, box.box_xyxy_px) == 0
               for label in (first, second) for box in found)


@pytest.mark.parametrize('shape', [(240, 320), (240, 320, 3), (1024, 1280, 3), (20, 20), (1, 1)])
def test_drawing_makes_a_new_colour_image(shape):
    image = noise(shape)
    image.flags.writeable = False
    drawn = detection.draw(image, [person(2, 3, 12, 15, track_id='7')])
    assert drawn.shape == (*shape[:2], 3) and drawn.dtype == np.uint8
    assert not np.shares_memory(drawn, image)
    as_color = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    assert np.array_equal(detection.draw(image, []), as_color)


def test_drawing_is_the_same_every_time_and_differs_by_class():
    image = np.zeros((240, 320, 3), np.uint8)
    boxes = [Detection((50, 50, 90, 120), name, 0.5) for name in ('person', 'vehicle')]
    drawn = [detection.draw(image, [box]) for box in boxes]
    assert np.array_equal(drawn[0], detection.draw(image, boxes[:1]))
    assert not np.array_equal(drawn[0][100], drawn[1][100])
