# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation: warm regions by thermal saliency, and the overlay."""

from __future__ import annotations

import cv2
from ivf_ros import segmentation
from ivf_ros.parameters import ParameterError
from ivf_ros.types import Segmentation
import numpy as np
import pytest

BLANK = np.zeros((240, 320, 3), np.uint8)
PERSON = np.s_[80:160, 140:170]


def thermal_scene(dtype=np.uint8, sigma=3.0):
    """Return a cold scene with noise and a warm rectangle, in units that suit the dtype."""
    levels = np.random.default_rng(0).normal(60, sigma, (240, 320))
    levels[PERSON] += 100
    scale, offset = {'uint8': (1, 0), 'uint16': (20, 29000), 'float32': (0.1, -5),
                     'float64': (0.1, -5)}[np.dtype(dtype).name]
    return (levels * scale + offset).astype(dtype)


def segment_warm(thermal, **values):
    image = np.zeros((*thermal.shape, 3), np.uint8)
    return segmentation.create('thermal_saliency', **values).segment(image, thermal).labels


def truth():
    labels = np.zeros((240, 320), np.uint8)
    labels[PERSON] = 1
    return labels


def iou(a, b):
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.float32, np.float64])
def test_a_warm_rectangle_is_labelled_in_any_unit(dtype):
    found = segmentation.create('thermal_saliency').segment(BLANK, thermal_scene(dtype))
    assert found.class_names == ('background', 'warm')
    assert found.labels.dtype == np.uint8 and found.labels.shape == (240, 320)
    assert iou(found.labels, truth()) > 0.9


@pytest.mark.parametrize('image', [thermal_scene(), cv2.cvtColor(thermal_scene(), 8)])
def test_without_thermal_the_luma_of_the_image_is_used(image):
    assert iou(segmentation.create('thermal_saliency').segment(image).labels, truth()) > 0.9


def test_thermal_is_used_and_not_the_image_if_both_are_passed():
    image = np.zeros((240, 320, 3), np.uint8)
    image[10:50, 10:50] = 255
    found = segmentation.create('thermal_saliency').segment(image, thermal_scene())
    assert iou(found.labels, truth()) > 0.9


@pytest.mark.parametrize('thermal', [
    np.full((240, 320), 200, np.uint8),  # evenly warm
    np.full((240, 320), 31000, np.uint16),
    np.full((240, 320), np.nan, np.float32),
    np.random.default_rng(1).normal(30000, 5, (240, 320)).astype(np.uint16),  # only noise
    np.tile(np.linspace(0, 255, 320).astype(np.uint8), (240, 1)),  # a gradient
    255 - truth() * 200,  # a cold object
])
def test_nothing_is_warm_without_a_region_warmer_than_its_surroundings(thermal):
    assert not segment_warm(thermal).any()


def test_warm_ground_is_background_but_a_person_on_it_is_warm():
    thermal = np.random.default_rng(2).normal(40, 3, (240, 320))
    thermal[120:] += 90
    thermal[150:230, 200:230] += 70
    labels = segment_warm(thermal.astype(np.uint8))
    assert labels[150:230, 200:230].mean() > 0.9
    labels[145:235, 195:235] = 0
    assert labels.mean() < 0.02


def test_nan_is_background():
    celsius = thermal_scene(np.float32)
    celsius[:, :150] = np.nan
    labels = segment_warm(celsius)
    assert not labels[:, :148].any()
    assert labels[PERSON][:, 12:].mean() > 0.9


def test_hysteresis_keeps_pixels_above_the_low_threshold_in_warm_regions_only():
    thermal = np.full((240, 320), 50.0)
    thermal[100:140, 100:120] = 200
    thermal[100:140, 120:140] = 150  # connected to it, above the low threshold
    thermal[20:60, 250:270] = 125  # not connected, below the high threshold
    labels = segment_warm(thermal.astype(np.uint8), **{
        'thermal_saliency.minimum_excess_percent': 60.0, 'thermal_saliency.low_share': 0.4})
    assert labels[102:138, 102:138].all()
    assert not labels[:70].any()


@pytest.mark.parametrize(('side_px', 'kept'), [(3, False), (8, True)])
def test_small_regions_are_dropped(side_px, kept):
    thermal = np.full((240, 320), 50, np.uint8)
    thermal[100:100 + side_px, 100:100 + side_px] = 250
    found = segment_warm(thermal, **{'thermal_saliency.minimum_area_percent': 40 / 768})
    assert found.any() == kept


def test_a_sensor_offset_and_gain_change_nothing():
    thermal = thermal_scene(np.float32)
    assert iou(segment_warm(thermal), segment_warm(3 * thermal + 100)) > 0.99


@pytest.mark.parametrize('shape', [(1, 1), (1, 9), (2, 3), (5, 400), (121, 77)])
def test_any_size_works(shape):
    thermal = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert segment_warm(thermal).shape == shape


def test_inputs_may_be_read_only_and_results_repeat():
    image, thermal = BLANK.copy(), thermal_scene(np.float32)
    thermal[0, 0] = np.nan
    image.flags.writeable = thermal.flags.writeable = False
    first, second = (segmentation.create('thermal_saliency').segment(image, thermal).labels
                     for _ in range(2))
    assert np.array_equal(first, second)


def test_people_in_smoke_are_warm(shared_data):
    folder = shared_data / 'm3svd_sequences' / '0117_1620'
    video = cv2.VideoCapture(str(folder / 'thermal.mp4'))
    video.set(cv2.CAP_PROP_POS_FRAMES, 300)
    read, frame = video.read()
    if not read:
        pytest.skip('this OpenCV cannot decode the recording')
    thermal = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
    labels = segmentation.create('thermal_saliency').segment(frame, thermal).labels
    assert labels[thermal > 200].mean() > 0.9
    assert labels[thermal < 50].mean() < 0.02


@pytest.mark.parametrize(('image', 'thermal', 'message'), [
    (BLANK, np.zeros((9, 9), np.uint8), r'\(9, 9\), expected \(240, 320\)'),
    (BLANK, np.zeros((240, 320), np.int64), 'int64'),
    (BLANK, BLANK, 'thermal must be'),
    (np.zeros((9, 9), np.float32), None, 'float32'),
    (np.zeros((0, 9), np.uint8), None, r'\(0, 9\)'),
])
def test_the_error_for_a_bad_image_says_what_was_got(image, thermal, message):
    with pytest.raises(segmentation.SegmentationError, match=message):
        segmentation.create('thermal_saliency').segment(image, thermal)


@pytest.mark.parametrize(('method', 'values'), [
    ('no_such', {}), ('default', {'no_such': 1}),
    ('default', {'thermal_saliency.high_sigmas': -1.0})])
def test_unknown_methods_and_parameters_are_refused(method, values):
    with pytest.raises(ParameterError):
        segmentation.create(method, **values)


# The overlay


def test_the_overlay_keeps_the_background_and_blends_the_labels():
    image = np.full((240, 320, 3), 100, np.uint8)
    image.flags.writeable = False
    drawn = segmentation.overlay(image, Segmentation(truth(), ('background', 'warm')))
    assert np.array_equal(drawn[truth() == 0], image[truth() == 0])
    assert (drawn[PERSON] != 100).any(axis=2).all()
    clear = segmentation.overlay(image, Segmentation(truth(), ('background', 'warm')), 0.0)
    assert np.array_equal(clear, image) and not np.shares_memory(clear, image)


def test_each_class_has_a_distinct_colour_also_on_gray():
    labels = np.arange(16, dtype=np.uint8)[None]
    drawn = segmentation.overlay(np.zeros((1, 16), np.uint8),
                                 Segmentation(labels, tuple('abcdefghijklmnop')), 1.0)
    assert drawn.shape == (1, 16, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) == 16
