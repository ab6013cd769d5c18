# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of items to messages and back, through serialisation."""

from __future__ import annotations

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='messages need rclpy')
pytestmark = pytest.mark.live

from ivf_ros import geometry  # noqa: E402, I100
from ivf_ros.camera_model import CameraModel, CameraModelError  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.messages import Homography, Stamped  # noqa: E402
from ivf_ros.types import Detection, Frame, Segmentation  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402

STAMP_NS = 1_700_000_000_123_456_789
RANDOM = np.random.default_rng(0)


def convert_both_ways(adapter, item):
    """Convert to a message, serialise, deserialise and convert back."""
    message = adapter.to_message(item)
    return adapter.from_message(
        deserialize_message(serialize_message(message), adapter.message_type))


@pytest.mark.parametrize('image', [
    RANDOM.integers(0, 256, (5, 7), dtype=np.uint8),
    RANDOM.integers(0, 65536, (5, 7), dtype=np.uint16),
    RANDOM.random((5, 7), dtype=np.float32),
    RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8),
    RANDOM.integers(0, 256, (9, 11, 3), dtype=np.uint8)[::2, 1:8],  # not contiguous, as in a crop
], ids=['mono8', 'mono16', '32FC1', 'bgr8', 'crop'])
def test_an_image_keeps_its_pixels_stamp_and_frame(image):
    converted = convert_both_ways(messages.IMAGE, Frame(image, STAMP_NS, 'thermal_optical_frame'))
    assert converted.stamp_ns == STAMP_NS and converted.frame_id == 'thermal_optical_frame'
    assert converted.image.dtype == image.dtype
    np.testing.assert_array_equal(converted.image, image)


def test_a_compressed_thermal_image_keeps_its_sixteen_bits():
    image = RANDOM.integers(0, 65536, (5, 7), dtype=np.uint16)
    converted = convert_both_ways(messages.COMPRESSED, Frame(image, STAMP_NS))
    np.testing.assert_array_equal(converted.image, image)


@pytest.mark.parametrize('message_format, suffix, header', [
    ('16UC1; tiff compressed ', '.tiff', b''), ('16UC1; compressedDepth png', '.png', bytes(12))])
def test_compressed_images_of_other_publishers_keep_their_sixteen_bits(message_format, suffix,
                                                                       header):
    image = RANDOM.integers(0, 65536, (5, 7), dtype=np.uint16)
    message = messages.compressed_to_message(Frame(image, STAMP_NS))
    message.format = message_format
    message.data = header + cv2.imencode(suffix, image)[1].tobytes()
    np.testing.assert_array_equal(messages.compressed_from_message(message).image, image)
    np.testing.assert_array_equal(
        messages.compressed_from_cdr(serialize_message(message)).image, image)


def test_a_homography_reproduces_the_warp_as_camera_info():
    H = np.array([[1.1, 0.02, 3.0], [-0.01, 0.9, -2.0], [1e-4, -2e-4, 1.0]])
    item = Stamped(Homography(H, (64, 48)), STAMP_NS, 'thermal_optical_frame')
    message = messages.homography_to_message(item)
    thermal = cv2.GaussianBlur(RANDOM.integers(0, 256, (48, 64), dtype=np.uint8), (0, 0), 2)
    k, r = np.array(message.k).reshape(3, 3), np.array(message.r).reshape(3, 3)
    p = np.array(message.p).reshape(3, 4)
    maps = cv2.initUndistortRectifyMap(k, None, r, p[:, :3], (64, 48), cv2.CV_32FC1)
    expected = cv2.warpPerspective(thermal, H, (64, 48))
    remapped = cv2.remap(thermal, *maps, cv2.INTER_LINEAR)
    assert np.abs(remapped.astype(int) - expected).max() <= 1
    assert len(message.d) == 0 and message.distortion_model == ''
    converted = convert_both_ways(messages.HOMOGRAPHY, item)
    np.testing.assert_allclose(converted.value.H_thermal_to_rgb, H)
    assert converted.value.rgb_size == (64, 48) and converted.stamp_ns == STAMP_NS


def test_a_lost_homography_is_a_camera_info_without_calibration():
    item = Stamped(Homography(np.eye(3), (64, 48), is_lost=True), STAMP_NS, 'thermal')
    assert set(messages.homography_to_message(item).k) == {0.0}
    converted = convert_both_ways(messages.HOMOGRAPHY, item).value
    assert converted.is_lost and converted.rgb_size == (64, 48)
    np.testing.assert_array_equal(converted.H_thermal_to_rgb, np.eye(3))
    known = Stamped(Homography(np.eye(3), (64, 48)), STAMP_NS, 'thermal')
    assert not convert_both_ways(messages.HOMOGRAPHY, known).value.is_lost


def test_a_singular_homography_is_refused():
    message = messages.homography_to_message(Stamped(Homography(np.eye(3), (4, 3)), 0, ''))
    message.r = np.zeros(9)
    with pytest.raises(messages.MessageError, match='homography'):
        messages.homography_from_message(message)


@pytest.mark.parametrize('width, height', [
    (0, 0), (640, 0), (0, 512), (2 ** 32 - 1, 2 ** 32 - 1), (2 ** 31, 1), (32767, 1),
    (30000, 30000)])
def test_a_homography_to_an_impossible_grid_is_refused(width, height):
    message = messages.homography_to_message(
        Stamped(Homography(np.eye(3), (64, 48)), STAMP_NS, 'thermal'))
    message.width, message.height = width, height
    with pytest.raises(messages.MessageError, match=f'homography of {width}x{height} pixels'):
        messages.homography_from_message(message)


@pytest.mark.parametrize('field, value', [
    ('width', 2 ** 31), ('height', 2 ** 32 - 1), ('binning_x', 2 ** 32 - 1)])
def test_a_camera_info_of_an_impossible_size_is_refused(field, value):
    info = messages.homography_to_message(
        Stamped(Homography(np.eye(3), (64, 48)), STAMP_NS, 'thermal'))
    setattr(info, field, value)
    with pytest.raises(ValueError, match=f'sizes must be at most .*, got {value}'):
        messages.camera_info_from_message(info)


@settings(max_examples=300, deadline=None)
@given(width=st.integers(0, 2 ** 32 - 1), height=st.integers(0, 2 ** 32 - 1),
       numbers=st.lists(st.floats(), min_size=30, max_size=30),
       D=st.lists(st.floats(), max_size=9),
       binning=st.tuples(*[st.integers(0, 2 ** 32 - 1)] * 2),
       roi=st.tuples(*[st.integers(0, 2 ** 32 - 1)] * 4), image_size=st.sampled_from(
           [(640, 512), (1, 1), (8192, 8192)]))
def test_any_camera_info_is_usable_or_an_error_of_the_documented_types(
        width, height, numbers, D, binning, roi, image_size):
    info = messages.CameraInfo(width=width, height=height, d=D, distortion_model='plumb_bob',
                               binning_x=binning[0], binning_y=binning[1])
    info.k, info.r, info.p = numbers[:9], numbers[9:18], numbers[18:]
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = roi
    try:
        item = messages.camera_info_from_message(info)
        messages.camera_model_of(item.value).fit_to_image(image_size)
    except CameraModelError:
        pass
    try:
        homography = messages.homography_from_message(info).value
        geometry.check(homography.H_thermal_to_rgb, image_size, homography.rgb_size)
    except messages.MessageError:
        pass


def test_a_calibration_keeps_every_number_as_a_camera_info():
    model = CameraModel(
        (1280, 960), np.array([[900.0, 0.5, 639.0], [0, 901.0, 479.0], [0, 0, 1]]), 'plumb_bob',
        (-0.3, 0.1, 0.01, -0.02, 0.005), cv2.Rodrigues(np.array([0.01, 0.02, -0.03]))[0],
        np.array([[800.0, 0, 640.0, -96.0], [0, 802.0, 480.0, 1.5], [0, 0, 1, 0.25]]), (2, 4),
        (16, 8, 640, 480))
    info = messages.camera_info_of(model)
    assert (info.width, info.height, info.binning_x, info.binning_y) == (1280, 960, 2, 4)
    assert (info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height) == \
        (16, 8, 640, 480)
    assert info.distortion_model == 'plumb_bob' and tuple(info.d) == model.D
    # row-major: the principal point, and the baseline of a stereo camera
    assert (info.k[2], info.k[5], info.p[3], info.p[7]) == (639, 479, -96, 1.5)
    assert info.r[1] == model.R[0, 1]
    assert messages.camera_model_of(info).is_same(model)
    item = Stamped(info, STAMP_NS, 'rgb_optical_frame')
    converted = convert_both_ways(messages.CAMERA_INFO, item)
    assert messages.camera_model_of(converted.value).is_same(model)
    assert (converted.stamp_ns, converted.frame_id) == (STAMP_NS, 'rgb_optical_frame')


def test_a_binning_of_zero_in_a_camera_info_is_none():
    info = messages.CameraInfo(width=64, height=48)
    assert messages.camera_model_of(info).binning == (1, 1)


def test_each_detection_has_the_header_of_the_image():
    detections = [Detection((10.0, 20.0, 30.0, 60.0), 'person', 0.75, 'track 7'),
                  Detection((0.0, 0.0, 4.0, 3.0), 'car', 0.5)]
    item = Stamped(detections, STAMP_NS, 'rgb_optical_frame')
    message = messages.detections_to_message(item)
    assert all(d.header == message.header for d in message.detections)
    box = message.detections[0].bbox
    assert (box.center.position.x, box.center.position.y) == (20, 40)
    assert (box.size_x, box.size_y) == (20, 40)
    assert convert_both_ways(messages.DETECTIONS, item).value == detections


def test_a_detection_without_hypothesis_is_refused():
    message = messages.detections_to_message(
        Stamped([Detection((0, 0, 1, 1), 'person', 1.0)], 0, ''))
    message.detections[0].results = []
    with pytest.raises(messages.MessageError, match='hypothesis'):
        messages.detections_from_message(message)


def test_labels_and_class_names_are_kept():
    labels = RANDOM.integers(0, 3, (4, 5), dtype=np.uint8)
    item = Stamped(Segmentation(labels, ('a', 'b', 'c')), STAMP_NS, 'rgb')
    converted = convert_both_ways(messages.LABELS, item)
    np.testing.assert_array_equal(converted.value.labels, labels)
    names = convert_both_ways(messages.LABEL_INFO,
                              Stamped(('background', 'warm'), STAMP_NS, 'rgb'))
    assert names.value == ('background', 'warm')


def test_sixteen_bit_labels_are_refused():
    image = np.zeros((2, 2), dtype=np.uint16)
    with pytest.raises(messages.MessageError, match='must be mono8, got mono16'):
        messages.labels_from_message(messages.image_to_message(Frame(image)))


def test_temperatures_are_in_the_order_of_the_detections():
    warm = Detection((0, 0, 1, 1), 'person', 0.9, '3', median_celsius=21.5, maximum_celsius=36.25)
    unknown = Detection((0, 0, 1, 1), 'vehicle', 0.8)
    message = messages.temperatures_to_message(messages.Stamped([warm, unknown], 5, 'rgb'))
    assert [(status.name, status.hardware_id, len(status.values)) for status in message.status] \
        == [('person', '3', 2), ('vehicle', '', 0)]
    converted = messages.temperatures_from_message(message)
    assert (converted.stamp_ns, converted.frame_id) == (5, 'rgb')
    assert [(detection.median_celsius, detection.maximum_celsius)
            for detection in converted.value] \
        == [(21.5, 36.25), (None, None)]
    message.status[0].values[0].value = 'warm'
    with pytest.raises(messages.MessageError, match='warm'):
        messages.temperatures_from_message(message)
