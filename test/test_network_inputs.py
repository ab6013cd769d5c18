# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Nodes and evaluation pass the same arrays to the networks, from the counts of the camera."""

from __future__ import annotations

from conftest import wait_until
import cv2
from ivf_ros import fusion, geometry
from ivf_ros.data.aligned import read_aligned
from ivf_ros.data.sample import Sample
from ivf_ros.network_inputs import (
    AlignedPair,
    BOTH,
    PerceptionInputs,
    select_images,
    stack_channels,
)
from ivf_ros.thermal import Agc, AGC_MODES, AgcParameters
import numpy as np
import pytest

RGB_SIZE = (640, 480)
SIZES = [(640, 480), (320, 240), (160, 120), (80, 60)]
TYPES = [np.uint8, np.uint16, np.float32]


def make_pair(size, dtype):
    """Return a night scene: thermal of this size and dtype, and noisy RGB of 640 x 480."""
    random = np.random.default_rng(7)
    heat = cv2.resize(random.uniform(0, 1, (15, 20)).astype(np.float32), size,
                      interpolation=cv2.INTER_CUBIC)
    heat[size[1] // 2:, size[0] // 2:size[0] // 2 + size[0] // 20] += 1.5  # a person
    heat += random.normal(0, 0.01, heat.shape).astype(np.float32)
    thermal = {np.uint8: lambda: np.clip(heat * 80 + 40, 0, 255).astype(np.uint8),
               np.uint16: lambda: np.clip(heat * 400 + 7300, 0, 65535).astype(np.uint16),
               np.float32: lambda: heat * 12 - 3}[dtype]()
    rgb = np.clip(random.normal(60, 30, (*RGB_SIZE[::-1], 3)), 0, 255).astype(np.uint8)
    return thermal, rgb


def make_homography(size):
    """Return a homography with rotation, shift and scale; thermal covers most of RGB."""
    return geometry.translation(14.5, -9.25) @ geometry.rotation(0.03, (320, 240)) \
        @ geometry.stretch(size, RGB_SIZE)


def align_for_evaluation(thermal, rgb, H) -> AlignedPair:
    return read_aligned(Sample('made', '1', thermal, rgb, H_thermal_to_rgb=H))


# Selection and stacking of images


def test_thermal_is_stacked_for_four_channels_only():
    bgr = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    thermal = np.full((2, 4), 9, np.uint8)
    assert stack_channels(bgr, None, 3, ValueError) is bgr
    assert stack_channels(bgr[..., 0].copy(), thermal, 3, ValueError).shape == (2, 4, 3)
    stacked = stack_channels(bgr, thermal, 4, ValueError)
    np.testing.assert_array_equal(stacked, np.dstack([bgr, thermal]))
    for bad, message in ((None, 'got none'), (thermal[:1], r'got \(1, 4\)'),
                         (thermal.astype(np.uint16), 'uint16')):
        with pytest.raises(ValueError, match=message):
            stack_channels(bgr, bad, 4, ValueError)


def test_each_name_of_an_input_selects_its_images():
    thermal, rgb = np.full((6, 8), 70, np.uint8), np.full((6, 8, 3), 30, np.uint8)
    pair = AlignedPair(thermal, rgb, np.ones((6, 8), np.bool_))
    assert select_images(pair, 'rgb', fusion.create) == (rgb,)
    np.testing.assert_array_equal(select_images(pair, 'thermal', fusion.create)[0], 70)
    assert select_images(pair, BOTH, fusion.create) == (rgb, thermal)
    fused, = select_images(pair, 'average', fusion.create)
    np.testing.assert_array_equal(fused, fusion.create('average').fuse(thermal, rgb))


def test_both_cameras_are_used_only_if_available_and_fused():
    rgb, thermal = np.full((32, 8, 3), 30, np.uint8), np.zeros((32, 8), np.uint8)
    fused = rgb + 1
    assert PerceptionInputs(fused, rgb, thermal).images() == (rgb, thermal)
    for inputs in (PerceptionInputs(fused), PerceptionInputs(fused, rgb),
                   PerceptionInputs(fused, None, thermal), PerceptionInputs(rgb, rgb, thermal),
                   PerceptionInputs(rgb.copy(), rgb, thermal),
                   PerceptionInputs(fused, rgb[..., 0].copy(), thermal)):
        assert inputs.images() == (inputs.fused,)


# Nodes and evaluation


class Spy:
    """A detector or segmenter that records its inputs."""

    takes_thermal = True
    networks = ()

    def __init__(self, result):
        self.inputs, self._result = [], result

    def detect(self, *images):
        self.inputs.append(images)
        return self._result

    segment = detect


def live_inputs(live_graph, thermal, rgb, H):
    """Send a pair through the nodes; return the inputs of both networks and the fused image."""
    from ivf_ros.nodes.graph import messages
    from ivf_ros.nodes.detection_node import DetectionNode
    from ivf_ros.nodes.fusion_node import FusionNode
    from ivf_ros.nodes.registration_node import RegistrationNode
    from ivf_ros.nodes.segmentation_node import SegmentationNode
    from ivf_ros.nodes.graph.transport import Hub
    from ivf_ros.types import Frame, Segmentation
    from rclpy.parameter import Parameter

    hub, camera = Hub(), live_graph.node('cameras')
    fused = []
    camera.create_subscription(messages.IMAGE.message_type, 'fused/image', lambda message:
                               fused.append(messages.image_from_message(message).image), 10)
    for topic, wire in (('detections', messages.DETECTIONS),
                        ('segmentation/labels', messages.LABELS)):
        camera.create_subscription(wire.message_type, topic, lambda _: None, 10)
    calibrated = {'registration.method': 'calibrated',
                  'registration.calibrated.H_thermal_to_rgb': H.ravel().tolist()}
    nodes = [live_graph.add(node_class, hub, parameter_overrides=[
        Parameter(name, value=value) for name, value in values.items()])
        for node_class, values in (
            (RegistrationNode, calibrated),
            (FusionNode, {'fusion.method': 'average', 'freeze.minimum_duration_s': 10.0}),
            (DetectionNode, {'detection.method': 'hog', 'max_rate_hz': 1000.0}),
            (SegmentationNode, {'segmentation.method': 'thermal_saliency',
                                'max_rate_hz': 1000.0}))]
    assert all(node.autostart() for node in nodes)
    detector = Spy([])
    segmenter = Spy(Segmentation(np.zeros(rgb.shape[:2], np.uint8), ('background',)))
    segmenter.class_names = ('background',)
    nodes[2].stage.method, nodes[3].stage.method = detector, segmenter
    publishers = [camera.create_publisher(messages.IMAGE.message_type, f'{stream}/image_raw', 5)
                  for stream in ('thermal', 'rgb')]
    stamp_ns = 10 ** 18

    def publish_pair():
        nonlocal stamp_ns
        stamp_ns += 100_000_000
        for publisher, image in zip(publishers, (thermal, rgb)):
            publisher.publish(messages.image_to_message(Frame(image, stamp_ns, 'optical')))

    def got_both_images(spy):
        return any(len(images) == 2 for images in spy.inputs)

    for _ in range(200):
        publish_pair()
        if wait_until(lambda: got_both_images(detector) and got_both_images(segmenter), 0.1):
            break
    assert got_both_images(detector) and got_both_images(segmenter)
    return [next(images for images in spy.inputs if len(images) == 2)
            for spy in (detector, segmenter)], fused[-1]


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('dtype', TYPES)
def test_nodes_and_evaluation_give_the_networks_the_same_arrays(live_graph, size, dtype):
    thermal, rgb = make_pair(size, dtype)
    H = make_homography(size)
    expected = select_images(align_for_evaluation(thermal, rgb, H), BOTH, fusion.create)
    network_inputs, fused = live_inputs(live_graph, thermal, rgb, H)
    for images in network_inputs:
        for image, expected_image in zip(images, expected, strict=True):
            np.testing.assert_array_equal(image, expected_image)
    np.testing.assert_array_equal(
        fused, select_images(align_for_evaluation(thermal, rgb, H), 'average', fusion.create)[0])
    # The contrast of the thermal image is kept at any size.
    coverage = align_for_evaluation(thermal, rgb, H).coverage
    assert network_inputs[0][1][coverage].std() == pytest.approx(Agc()(thermal).std(), rel=0.15)


@pytest.mark.parametrize('mode', AGC_MODES)
def test_the_fusion_node_applies_the_gain_control_once_in_every_mode(live_graph, mode):
    from ivf_ros.nodes.graph import messages
    from ivf_ros.nodes.fusion_node import FusionNode
    from ivf_ros.nodes.graph.messages import Homography, Stamped
    from ivf_ros.types import Frame
    from rclpy.parameter import Parameter

    thermal, rgb = make_pair(RGB_SIZE, np.uint16)
    agc = {'mode': mode, 'fixed_low_counts': 7200.0, 'fixed_high_counts': 8200.0}
    node = live_graph.add(FusionNode, None, parameter_overrides=[
        Parameter('fusion.method', value='average'),
        Parameter('freeze.minimum_duration_s', value=10.0),
        *(Parameter(f'fusion.agc.{name}', value=value) for name, value in agc.items())])
    assert node.autostart()
    camera = live_graph.node('cameras')
    fused = []
    camera.create_subscription(messages.IMAGE.message_type, 'fused/image', lambda message:
                               fused.append(messages.image_from_message(message)), 10)
    publishers = {topic: camera.create_publisher(wire.message_type, topic, 5)
                  for topic, wire in (('thermal/image_raw', messages.IMAGE),
                                      ('rgb/image_raw', messages.IMAGE),
                                      ('registration/homography', messages.HOMOGRAPHY))}
    gray = Agc(AgcParameters(**agc))(thermal)
    expected = fusion.create('average').fuse_gray(gray, rgb, match_background=True)
    assert gray.std() > 30
    for index in range(100):
        stamp_ns = 10 ** 18 + index * 100_000_000
        publishers['registration/homography'].publish(messages.homography_to_message(
            Stamped(Homography(np.eye(3), RGB_SIZE), stamp_ns, 'optical')))
        for topic, image in (('thermal/image_raw', thermal), ('rgb/image_raw', rgb)):
            publishers[topic].publish(messages.image_to_message(Frame(image, stamp_ns, 'o')))
        if wait_until(lambda: any(np.array_equal(frame.image, expected) for frame in fused), 0.1):
            break
    assert any(np.array_equal(frame.image, expected) for frame in fused)
