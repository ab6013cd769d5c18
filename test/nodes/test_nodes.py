# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes as a graph: real nodes, DDS, and publishers in place of the cameras."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
import weakref

from conftest import REPOSITORY, wait_until
import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402, I100
from ivf_ros import geometry  # noqa: E402
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters  # noqa: E402
from ivf_ros.detection.anchor_free import WEIGHTS  # noqa: E402
from ivf_ros.network_inputs import is_rgb_passthrough  # noqa: E402
from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages, topic_checks  # noqa: E402
from ivf_ros.nodes.graph.messages import Homography, Stamped  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub, LATCHED_QOS  # noqa: E402
from ivf_ros.nodes.perception_node import PerceptionNode  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from ivf_ros.nodes.segmentation_node import SegmentationNode  # noqa: E402
from ivf_ros.parameters import ParameterError  # noqa: E402
from ivf_ros.types import Frame, MFNET_CLASSES  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

SIZE = (320, 240)
H_TRUE = geometry.translation(6.0, -4.0) @ geometry.rotation(0.01, (160.0, 120.0))
SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE


def draw_scene(size=SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return 16-bit thermal and colour RGB of shapes with different contrast in each."""
    random = np.random.default_rng(3)
    width, height = size
    luma = np.full((height, width), 120, np.uint8)
    heat = np.full((height, width), 90, np.uint8)
    for _ in range(60):
        corner = random.integers(0, (width, height))
        extent = random.integers(12, 50, 2)
        box = tuple(int(v) for v in corner), tuple(int(v) for v in corner + extent)
        cv2.rectangle(luma, *box, int(random.integers(0, 256)), -1)
        cv2.rectangle(heat, *box, int(random.integers(0, 256)), -1)
    luma, heat = (cv2.GaussianBlur(image, (0, 0), 1.0) for image in (luma, heat))
    on_thermal = cv2.warpPerspective(heat, np.linalg.inv(H_TRUE), size,
                                     borderMode=cv2.BORDER_REFLECT)
    return on_thermal.astype(np.uint16) * 16 + 7000, cv2.merge([luma // 2, luma, luma])


class Cameras:
    """Publishes pairs with new sensor noise from another node, and stores the results."""

    def __init__(self, graph, size=SIZE) -> None:
        self.node = graph.node('cameras')
        self.thermal, self.rgb = draw_scene(size)
        self.publishers = {
            stream: self.node.create_publisher(messages.IMAGE.message_type,
                                               f'{stream}/image_raw', 5)
            for stream in ('thermal', 'rgb')}
        self.received: dict[str, list] = {}
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.noise_counts = 20
        self._random = np.random.default_rng(0)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def listen(self, topic, adapter):
        received = self.received[topic] = []
        self.node.create_subscription(adapter.message_type, topic,
                                      lambda m: received.append(adapter.from_message(m)), 10)

    def wait_for_subscribers(self, number=1):
        assert wait_until(lambda: all(p.get_subscription_count() >= number
                                      for p in self.publishers.values()))

    def publish(self, streams=('thermal', 'rgb'), stamp_ns=None):
        stamp_ns = stamp_ns or time.time_ns()
        noise = self._random.integers(0, self.noise_counts, self.thermal.shape, dtype=np.uint16)
        frames = {'thermal': Frame(self.thermal + noise, stamp_ns, 'thermal_optical_frame'),
                  'rgb': Frame(self.rgb, stamp_ns, 'rgb_optical_frame')}
        for stream in streams:
            self.publishers[stream].publish(messages.image_to_message(frames[stream]))
        return stamp_ns

    def publish_until(self, condition, timeout_s=60.0, streams=('thermal', 'rgb')):
        """Publish at about 20 Hz until the condition is true; return False after the timeout."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            self.publish(streams)
            if wait_until(condition, 0.05):
                return True
        return False

    def read_values(self, node):
        status = self.diagnostics.get(node)
        return {} if status is None else {entry.key: entry.value for entry in status.values}

    def _on_diagnostics(self, message):
        for status in message.status:
            self.diagnostics[status.name.lstrip('/')] = status


def start(graph, node_class, **overrides):
    hub = overrides.pop('hub', None)
    parameters = [Parameter(name, value=value) for name, value in overrides.items()]
    node = graph.add(node_class, hub, parameter_overrides=parameters)
    assert node.autostart()
    return node


def test_all_outputs_of_the_graph_are_on_the_rgb_grid(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    for topic, adapter in {'registration/homography': messages.HOMOGRAPHY,
                           'thermal_registered/image': messages.IMAGE,
                           'fused/image': messages.IMAGE,
                           'segmentation/labels': messages.LABELS,
                           'detections': messages.DETECTIONS}.items():
        cameras.listen(topic, adapter)
    start(live_graph, RegistrationNode, hub=hub, max_rate_hz=20.0)
    for node_class in (FusionNode, SegmentationNode, DetectionNode):
        start(live_graph, node_class, hub=hub)
    cameras.wait_for_subscribers(2)

    assert cameras.publish_until(lambda: all(len(r) >= 3 for r in cameras.received.values()))

    homography = cameras.received['registration/homography'][-1]
    assert homography.frame_id == 'thermal_optical_frame'
    assert homography.value.rgb_size == SIZE
    assert geometry.corner_error_px(homography.value.H_thermal_to_rgb, H_TRUE, SIZE) < 1.5
    for topic in ('thermal_registered/image', 'fused/image', 'segmentation/labels', 'detections'):
        assert cameras.received[topic][-1].frame_id == 'rgb_optical_frame'
    fused = cameras.received['fused/image'][-1].image
    assert fused.shape == (240, 320, 3) and fused.dtype == np.uint8
    registered = cameras.received['thermal_registered/image'][-1].image
    assert registered.shape == (240, 320) and registered.dtype == np.uint16


def test_camera_infos_give_the_homography_of_images_without_texture(live_graph):
    cameras = Cameras(live_graph)
    cameras.thermal[:] = 7000
    cameras.rgb[:] = 90
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    registration = start(live_graph, RegistrationNode, max_rate_hz=20.0,
                         **{'registration.calibrated.t_thermal_to_rgb_m': [0.1, 0.0, 0.0],
                            'registration.calibrated.plane_distance_m': 5.0})
    cameras.wait_for_subscribers()
    for stream, focal_px in (('thermal', 300.0), ('rgb', 360.0)):
        publisher = cameras.node.create_publisher(messages.CAMERA_INFO.message_type,
                                                  f'{stream}/camera_info', 1)
        assert wait_until(lambda p=publisher: p.get_subscription_count() == 1)
        info = messages.CAMERA_INFO.message_type(width=320, height=240)
        info.k = [focal_px, 0.0, 160.0, 0.0, focal_px, 120.0, 0.0, 0.0, 1.0]
        publisher.publish(info)
    assert cameras.publish_until(lambda: cameras.received['registration/homography'])
    # Scaled by the focal lengths about the centre, and shifted by f * baseline / distance.
    expected = np.array([[1.2, 0, 160 - 1.2 * 160 + 360 * 0.1 / 5], [0, 1.2, 120 - 1.2 * 120],
                         [0, 0, 1]])
    measured = cameras.received['registration/homography'][-1].value.H_thermal_to_rgb
    np.testing.assert_allclose(measured, expected, atol=1e-6)
    assert registration.diagnose()[1]['state'] == 'PRIOR'


def test_the_calibration_is_published_without_images_but_not_with_focal_length_zero(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    registration = start(live_graph, RegistrationNode)
    assert wait_until(lambda: registration.count_subscribers('registration/homography') == 1)
    publishers = {}
    for stream in ('thermal', 'rgb'):
        publishers[stream] = cameras.node.create_publisher(messages.CAMERA_INFO.message_type,
                                                           f'{stream}/camera_info', 1)
        assert wait_until(lambda p=publishers[stream]: p.get_subscription_count() == 1)

    def publish(focal_px):
        for publisher in publishers.values():
            info = messages.CAMERA_INFO.message_type(width=320, height=240)
            info.k = [focal_px, 0.0, 160.0, 0.0, focal_px, 120.0, 0.0, 0.0, 1.0]
            info.header.frame_id = 'thermal_optical_frame'
            publisher.publish(info)

    publish(0.0)
    assert not wait_until(lambda: cameras.received['registration/homography'], 0.5)
    # The subscription may not have discovered the publisher yet; best effort then loses messages.
    assert wait_until(lambda: publish(300.0) or cameras.received['registration/homography'])
    prior = cameras.received['registration/homography'][0]
    np.testing.assert_allclose(prior.value.H_thermal_to_rgb, np.eye(3), atol=1e-9)
    assert prior.value.rgb_size == SIZE and prior.frame_id == 'thermal_optical_frame'
    assert registration.diagnose()[1]['state'] == 'PRIOR'


def test_a_slow_measurement_delays_neither_the_prior_nor_the_warping(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    cameras.listen('thermal_registered/image', messages.IMAGE)
    registration = start(live_graph, RegistrationNode, max_rate_hz=20.0, **{
        'registration.calibrated.H_thermal_to_rgb': H_TRUE.ravel().tolist()})
    tracker = registration.stage.tracker
    update, released = tracker.update, threading.Event()

    def update_slowly(*arguments):
        released.wait(60.0)
        return update(*arguments)

    tracker.update = update_slowly
    cameras.wait_for_subscribers()
    assert cameras.publish_until(lambda: len(cameras.received['thermal_registered/image']) >= 10)
    assert len(cameras.received['registration/homography']) == 1
    assert registration.diagnose()[1]['state'] == 'PRIOR'
    released.set()
    assert cameras.publish_until(lambda: registration.diagnose()[1]['state'] == 'TRACKING')
    assert registration.diagnose()[1]['corner_deviation_px'] < 5


def test_homographies_are_published_at_most_at_max_rate_hz(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    start(live_graph, RegistrationNode, max_rate_hz=4.0)
    cameras.wait_for_subscribers()
    received = cameras.received['registration/homography']
    assert cameras.publish_until(lambda: received)
    before, start_s = len(received), time.monotonic()
    assert not cameras.publish_until(lambda: False, timeout_s=2.5)
    elapsed_s = time.monotonic() - start_s
    assert 2 <= len(received) - before <= 4.0 * elapsed_s + 1


def test_stages_with_separate_hubs_communicate_through_dds(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    fusion = start(live_graph, FusionNode)
    start(live_graph, RegistrationNode, max_rate_hz=20.0)  # with a separate hub
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode_count.FUSED'] >= 2)


def test_a_bad_image_is_reported_in_diagnostics_and_the_next_good_one_is_fused(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    bad = messages.image_to_message(Frame(cameras.rgb, time.time_ns(), 'rgb_optical_frame'))
    bad.step = 7
    cameras.publishers['rgb'].publish(bad)
    assert wait_until(lambda: 'drops.bad_message' in cameras.read_values('fusion'))
    assert cameras.diagnostics['fusion'].level == DiagnosticStatus.ERROR
    assert "'/rgb/image_raw'" in cameras.diagnostics['fusion'].message
    assert 'step is 7' in cameras.diagnostics['fusion'].message
    assert cameras.publish_until(lambda: cameras.received['fused/image'])


def test_images_may_change_their_size(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(lambda: cameras.received['fused/image'])
    cameras.thermal, cameras.rgb = draw_scene((200, 150))
    assert cameras.publish_until(
        lambda: cameras.received['fused/image'][-1].image.shape == (150, 200, 3))


def test_without_thermal_rgb_is_passed_on_with_a_warning(live_graph, monkeypatch):
    monkeypatch.setattr(topic_checks, 'SILENCE_TIMEOUT_S', 0.5)
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(
        lambda: 'mode_count.RGB_ONLY' in cameras.read_values('fusion')
        and "nothing received for 0.5 s on '/thermal/image_raw'"
        in cameras.diagnostics['fusion'].message,
        streams=('rgb',))
    np.testing.assert_array_equal(cameras.received['fused/image'][-1].image, cameras.rgb)
    assert cameras.diagnostics['fusion'].level == DiagnosticStatus.WARN


def test_with_a_closed_shutter_rgb_is_shown_and_the_registration_is_held(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    cameras.listen('fused/image', messages.IMAGE)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    registration = start(live_graph, RegistrationNode, hub=hub, max_rate_hz=20.0)
    fusion = start(live_graph, FusionNode, hub=hub)
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode_count.FUSED'] >= 2)
    cameras.noise_counts = 1  # no noise: all frames are equal
    assert cameras.publish_until(lambda: 'thermal FROZEN' in fusion.diagnose()[0]
                                 and registration.diagnose()[1]['state'] == 'HOLDING')
    np.testing.assert_array_equal(cameras.received['fused/image'][-1].image, cameras.rgb)
    # A held homography keeps the stamp of the measured image.
    n_before = len(cameras.received['registration/homography'])
    assert cameras.publish_until(
        lambda: len(cameras.received['registration/homography']) >= n_before + 3)
    stamps_ns = {item.stamp_ns for item in cameras.received['registration/homography'][n_before:]}
    assert len(stamps_ns) == 1
    cameras.noise_counts = 20
    fused = fusion.diagnose()[1]['mode_count.FUSED']
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode_count.FUSED'] > fused
                                 and registration.diagnose()[1]['state'] == 'TRACKING')


def test_stamp_differences_above_the_tolerance_are_reported(live_graph, monkeypatch):
    monkeypatch.setattr(topic_checks, 'SILENCE_TIMEOUT_S', 0.5)
    cameras = Cameras(live_graph)
    start(live_graph, RegistrationNode)
    cameras.wait_for_subscribers()

    def is_reported():
        cameras.publish(('thermal',), time.time_ns() - 100_000_000_000)
        status = cameras.diagnostics.get('registration')
        return status is not None and 'pairing.tolerance_s' in status.message

    assert cameras.publish_until(is_reported, streams=('rgb',))


def test_diagnostics_contain_pairs_cameras_backend_and_lifecycle(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    cameras.listen('detections', messages.DETECTIONS)
    nodes = [start(live_graph, node_class, hub=hub, **overrides) for node_class, overrides in (
        (RegistrationNode, {'registration.method': 'fast', 'max_rate_hz': 20.0}), (FusionNode, {}),
        (DetectionNode, {}))]
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(lambda: 'latency_ms.p95' in cameras.read_values('detection')
                                 and 'state' in cameras.read_values('registration'))
    registration, fusion, detection = (cameras.read_values(name) for name in (
        'registration', 'fusion', 'detection'))
    for values, weights in ((registration, 'fast.int8.onnx'), (fusion, 'fast.int8.onnx'),
                            (detection, 'anchor_free_both.int8.onnx')):
        assert values['lifecycle'] == 'active' and values['device'].startswith('cpu int8 (cuda: ')
        assert values['weight_files'].endswith(weights)
        assert 0 < float(values['latency_ms.p50']) <= float(values['latency_ms.p95'])
    for values in (registration, fusion):
        assert values['thermal_state'] == 'LIVE'
        assert float(values['thermal_minus_rgb_ms.p50']) == 0
        assert float(values['rate_hz_in.rgb/image_raw']) > 1
    assert fusion['rgb_state'] == 'LIVE'
    assert {'confidence', 'inliers', 'age_s'} <= set(registration)
    cameras.rgb //= 60  # dark as at night
    assert cameras.publish_until(lambda: cameras.read_values('fusion')['rgb_state'] == 'DARK')
    assert nodes[1].trigger_deactivate() == SUCCESS
    assert wait_until(lambda: cameras.read_values('fusion')['lifecycle'] == 'inactive')


def test_outputs_without_subscribers_are_not_computed(live_graph):
    cameras = Cameras(live_graph)
    fusion = start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(
        lambda: int(cameras.read_values('fusion').get('frames_in.rgb/image_raw', 0)) >= 10)
    assert set(fusion._modes.values()) <= {0}
    assert 'latency_ms.p50' not in cameras.read_values('fusion')


def test_the_graph_works_only_while_its_last_output_has_a_subscriber(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    fusion = start(live_graph, FusionNode, hub=hub)
    start(live_graph, DetectionNode, hub=hub)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(
        lambda: int(cameras.read_values('fusion').get('frames_in.rgb/image_raw', 0)) >= 10)
    assert not fusion._fused.has_subscribers and set(fusion._modes.values()) <= {0}
    received = []
    listener = cameras.node.create_subscription(messages.DETECTIONS.message_type, 'detections',
                                                received.append, 10)
    assert cameras.publish_until(lambda: received)
    cameras.node.destroy_subscription(listener)
    assert wait_until(lambda: not fusion._fused.has_subscribers)


def test_a_deactivated_node_unsubscribes_and_can_be_activated_again(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    fusion = start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(lambda: cameras.received['fused/image'])
    assert fusion.trigger_deactivate() == SUCCESS
    assert wait_until(lambda: cameras.publishers['rgb'].get_subscription_count() == 0)
    assert fusion.trigger_activate() == SUCCESS
    cameras.received['fused/image'].clear()
    assert cameras.publish_until(lambda: cameras.received['fused/image'])
    assert fusion.trigger_deactivate() == SUCCESS
    assert fusion.trigger_cleanup() == SUCCESS
    assert fusion.stage is None
    assert wait_until(lambda: fusion.count_publishers('fused/image') == 0)
    assert fusion.trigger_configure() == SUCCESS


@pytest.mark.parametrize('node_class, get_object', [
    (RegistrationNode, lambda node: node.stage), (FusionNode, lambda node: node.stage),
    (SegmentationNode, lambda node: node.stage.method),
    (DetectionNode, lambda node: node.stage.method)])
def test_cleanup_frees_the_networks_and_configure_loads_them_again(
        live_graph, node_class, get_object):
    node = start(live_graph, node_class)
    reference = weakref.ref(get_object(node))
    assert node.trigger_deactivate() == SUCCESS
    assert reference() is not None
    assert node.trigger_cleanup() == SUCCESS
    assert reference() is None
    assert node._publishers_by_topic == {} and node._subscriptions_by_topic == {}
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS


def test_a_missing_weight_file_fails_with_its_path_until_the_file_exists(live_graph, tmp_path):
    file = tmp_path / 'detector.safetensors'
    node = live_graph.add(DetectionNode, parameter_overrides=[
        Parameter('detection.network.weights', value=str(file))])
    for _ in range(2):
        assert node.trigger_configure() == FAILURE
        assert node._get_status().error == f'cannot configure: no weight file at {file}'
    file.write_bytes(WEIGHTS.with_suffix('.safetensors').read_bytes())
    assert node.trigger_configure() == SUCCESS
    assert node._get_status().error == ''
    assert node.trigger_activate() == SUCCESS


def test_without_autostart_a_node_stays_unconfigured(live_graph):
    node = live_graph.add(FusionNode, parameter_overrides=[Parameter('autostart', value=False)])
    assert node.autostart()
    assert node.count_publishers('fused/image') == 0
    assert node.trigger_configure() == SUCCESS


def test_an_invalid_calibration_fails_to_configure_and_can_be_corrected(live_graph):
    node = live_graph.add(RegistrationNode, parameter_overrides=[
        Parameter('registration.calibrated.H_thermal_to_rgb', value=[1.0, 0.0])])
    assert node.trigger_configure() == FAILURE
    corrected = node.set_parameters([Parameter('registration.calibrated.H_thermal_to_rgb',
                                               value=np.eye(3).ravel().tolist())])
    assert corrected[0].successful
    assert node.trigger_configure() == SUCCESS


def test_a_registration_keeps_its_state_when_unrelated_parameters_change(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    node = start(live_graph, RegistrationNode, max_rate_hz=20.0,
                 **{'registration.method': 'dense'})
    cameras.wait_for_subscribers()
    assert cameras.publish_until(lambda: node.diagnose()[1].get('state') == 'TRACKING')
    tracker, registrar = node.stage.tracker, node.stage.method
    for name, value in (('max_rate_hz', 5.0), ('registration.dense.work_px', 240)):
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
        assert node.stage.tracker is tracker and node.stage.method is registrar
        assert node.diagnose()[1]['state'] == 'TRACKING'
    assert registrar.parameters.work_px == 240
    assert node.set_parameters([Parameter('tracker.hold_s', value=20.0)])[0].successful
    assert node.stage.tracker is not tracker and node.stage.method is registrar
    refused = node.set_parameters([
        Parameter('registration.calibrated.K_rgb', value=[1.0, 2.0])])[0]
    assert not refused.successful and 'K_thermal must have 9 numbers' in refused.reason


@pytest.mark.parametrize('node_class, name, value', [
    (DetectionNode, 'detection.anchor_free.nms_iou', 0.7),
    (SegmentationNode, 'segmentation.bilateral.longer_side_px', 320),
    (RegistrationNode, 'registration.fast.min_confidence', 0.7)])
def test_a_threshold_changes_without_reloading_the_network(
        live_graph, node_class, name, value):
    node = start(live_graph, node_class)
    method = node.stage.method
    assert node.set_parameters([Parameter(name, value=value)])[0].successful
    assert node.stage.method is method
    assert getattr(method.parameters, name.rpartition('.')[2]) == value


def test_several_parameters_change_together_or_not_at_all(live_graph):
    node = start(live_graph, FusionNode, **{'fusion.method': 'average'})
    valid = Parameter('fusion.method', value='laplacian')
    invalid = Parameter('fusion.feather_px', value=-1.0)
    refused = node.set_parameters_atomically([valid, invalid])
    assert not refused.successful and 'fusion.feather_px' in refused.reason
    assert node.parameters.fusion.method == node.stage.method.parameters.method == 'average'
    assert node.set_parameters_atomically([valid]).successful
    assert node.parameters.fusion.method == node.stage.method.parameters.method == 'laplacian'


@pytest.mark.parametrize('node_class, name, value, reason', [
    (DetectionNode, 'detection.method', 'onnx', 'read-only'),
    (SegmentationNode, 'segmentation.method', 'magic', 'read-only'),
    (FusionNode, 'fusion.network.weights', '/none', 'no weight file at /none'),
])
def test_a_refused_live_change_leaves_the_old_parameters_in_use(
        live_graph, node_class, name, value, reason):
    node = start(live_graph, node_class)
    before = node.parameters
    refused = node.set_parameters([Parameter(name, value=value)])[0]
    assert not refused.successful and reason in refused.reason
    assert node.parameters == before and node._get_status().error == ''


def test_a_live_change_takes_effect_and_an_invalid_one_is_refused_with_the_reason(live_graph):
    node = start(live_graph, FusionNode)
    for name, value in (('fusion.method', 'average'), ('fusion.network.weights', 'none')):
        assert node.set_parameters([Parameter(name, value=value)])[0].successful
    assert node.stage.method.parameters.method == 'average'
    for name, value, reason in [('fusion.method', 'magic', 'one of fast, seafusion'),
                                ('fusion.dark_luma', 300.0, '300'),
                                ('fusion.method', 'seafusion', 'no weight file at none'),
                                ('thermal_transport', 'compressed', 'read-only')]:
        refused = node.set_parameters([Parameter(name, value=value)])[0]
        assert not refused.successful and reason in refused.reason
    assert node.parameters.fusion.method == 'average'


@pytest.mark.parametrize('name, value, message', [
    ('fusion.methud', 'average', "unknown parameter 'fusion.methud'; did you mean fusion.method"),
    ('fusion.method', 'magic', "'fusion.method' must be one of fast, seafusion, "),
    ('fusion.dark_luma', 'dark', "'fusion.dark_luma'"),
    ('fusion.dark_luma', 300.0, "'fusion.dark_luma'"),
])
def test_a_wrong_parameter_at_start_is_refused_in_one_line(live_graph, name, value, message):
    with pytest.raises(ParameterError) as error:
        live_graph.add(FusionNode, parameter_overrides=[Parameter(name, value=value)])
    assert message in str(error.value)


@pytest.mark.parametrize('arguments, message', [
    (['fusion', '--ros-args', '-p', 'fusion.methud:=average'],
     "unknown parameter 'fusion.methud'"),
    (['fision'], "unknown stage 'fision'"),
])
def test_the_container_reports_in_one_line_why_it_does_not_start(arguments, message):
    process = subprocess.run(
        [sys.executable, '-m', 'ivf_ros.nodes.component_container', *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode != 0
    assert message in process.stderr and 'Traceback' not in process.stderr


@pytest.mark.parametrize('looks_at, node_classes', [
    ('rgb+thermal', (DetectionNode, SegmentationNode)),
    ('fused', (DetectionNode, SegmentationNode)), ('rgb+thermal', (PerceptionNode,)),
    ('fused', (PerceptionNode,))])
def test_persons_are_detected_tracked_and_have_temperatures(live_graph, looks_at, node_classes):
    # A street at night; a thermal camera with 0.04 K per count.
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=3))
    cameras, hub = Cameras(live_graph, (640, 480)), Hub()
    cameras.listen('detections', messages.DETECTIONS)
    cameras.listen('detections/temperatures', messages.TEMPERATURES)
    cameras.listen('segmentation/labels', messages.LABELS)
    H = simulator.H_thermal_to_rgb
    start(live_graph, RegistrationNode, hub=hub,
          **{'registration.method': 'calibrated',
             'registration.calibrated.H_thermal_to_rgb': [float(value) for value in H.ravel()]})
    start(live_graph, FusionNode, hub=hub, **{'fusion.method': 'laplacian'})
    node = start(live_graph, node_classes[0], hub=hub, looks_at=looks_at,
                 **{'radiometry.kind': 'tlinear_0_04K'})
    for node_class in node_classes[1:]:
        start(live_graph, node_class, hub=hub, looks_at=looks_at)
    cameras.wait_for_subscribers(2)
    thermal, rgb, _ = simulator.pair(60)
    cameras.thermal, cameras.rgb, cameras.noise_counts = thermal.image, rgb.image, 2

    def is_tracked():
        with_track = [item for item in cameras.received['detections']
                      if any(detection.track_id and detection.class_name == 'person'
                             for detection in item.value)]
        return len(with_track) >= 3 and len(cameras.received['segmentation/labels']) >= 3

    assert cameras.publish_until(is_tracked, 40.0)
    assert node._input.uses_both() == (looks_at == 'rgb+thermal')
    latest = cameras.received['detections/temperatures'][-1]
    same_stamp = next(item for item in cameras.received['detections']
                      if item.stamp_ns == latest.stamp_ns)
    assert [detection.class_name for detection in latest.value] \
        == [detection.class_name for detection in same_stamp.value]
    assert [detection.track_id for detection in latest.value] \
        == [detection.track_id for detection in same_stamp.value]
    maxima_celsius = [detection.maximum_celsius for detection in latest.value
                      if detection.class_name == 'person'
                      and detection.maximum_celsius is not None]
    assert maxima_celsius and all(15.0 < celsius < 45.0 for celsius in maxima_celsius)
    labels = cameras.received['segmentation/labels'][-1]
    assert labels.frame_id == 'rgb_optical_frame'
    assert (labels.value.labels == MFNET_CLASSES.index('person')).any()


def test_a_fused_image_of_rgb_alone_is_recognised():
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    other = rgb.copy()
    other[200:300, 300:400] ^= 1  # within the thermal coverage
    assert is_rgb_passthrough(rgb, rgb) and is_rgb_passthrough(rgb, rgb.copy())
    assert not is_rgb_passthrough(rgb, other)


def test_with_one_camera_missing_the_fused_image_is_used(live_graph, monkeypatch):
    monkeypatch.setattr(topic_checks, 'SILENCE_TIMEOUT_S', 0.5)
    cameras = Cameras(live_graph)
    cameras.listen('detections', messages.DETECTIONS)
    for node_class in (FusionNode, DetectionNode):
        start(live_graph, node_class)
    assert cameras.publish_until(lambda: len(cameras.received['detections']) >= 3,
                                 streams=('rgb',))


def test_parameters_are_accepted_by_their_old_names(live_graph):
    node = start(live_graph, RegistrationNode, method='dense', **{
        'dense.work_px': 240, 'calibrated.H_thermal_to_rgb': H_TRUE.ravel().tolist()})
    assert node.parameters.registration.method == 'dense'
    assert node.parameters.registration.dense.work_px == 240
    assert node.get_parameter('registration.dense.work_px').value == 240
    prior = node.stage.tracker.prior_registration(SIZE, SIZE)
    np.testing.assert_allclose(prior.H_thermal_to_rgb, H_TRUE)
    with pytest.raises(ParameterError, match=r"unknown parameter 'dense\.speed'"):
        start(live_graph, RegistrationNode, **{'dense.speed': 1})


def publish_infos(cameras, infos):
    """Publish the CameraInfo of each camera as soon as there is a subscription."""
    for stream, info in infos.items():
        publisher = cameras.node.create_publisher(messages.CAMERA_INFO.message_type,
                                                  f'{stream}/camera_info', 1)
        assert wait_until(lambda p=publisher: p.get_subscription_count() >= 1)
        publisher.publish(info)


def make_info(size, focal_px):
    info = messages.CAMERA_INFO.message_type(width=size[0], height=size[1],
                                             distortion_model='plumb_bob', d=[0.0] * 5)
    info.k = [focal_px, 0.0, size[0] / 2 - 0.5, 0.0, focal_px, size[1] / 2 - 0.5, 0.0, 0.0, 1.0]
    info.p = [focal_px, 0.0, size[0] / 2 - 0.5, 0.0, 0.0, focal_px, size[1] / 2 - 0.5, 0.0,
              0.0, 0.0, 1.0, 0.0]
    return info


def test_a_camera_info_of_a_larger_image_is_scaled_to_the_image(live_graph):
    cameras = Cameras(live_graph)
    cameras.thermal[:] = 7000
    cameras.rgb[:] = 90
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    cameras.listen('fused/camera_info', messages.CAMERA_INFO)
    registration = start(live_graph, RegistrationNode, max_rate_hz=20.0)
    start(live_graph, FusionNode, **{'fusion.method': 'average'})
    cameras.wait_for_subscribers(2)
    publish_infos(cameras, {'thermal': make_info(SIZE, 300.0),
                            'rgb': make_info((960, 720), 1080.0)})

    def is_scaled():
        homographies = cameras.received['registration/homography']
        return homographies and homographies[-1].value.rgb_size == SIZE \
            and cameras.received['fused/camera_info']

    assert cameras.publish_until(is_scaled)
    expected = geometry.translation(159.5, 119.5) @ np.diag([1.2, 1.2, 1.0]) \
        @ geometry.translation(-159.5, -119.5)
    measured = cameras.received['registration/homography'][-1].value.H_thermal_to_rgb
    np.testing.assert_allclose(measured, expected, atol=1e-6)
    assert registration.diagnose()[1]['state'] == 'PRIOR'
    info = cameras.received['fused/camera_info'][-1].value
    assert (info.width, info.height) == SIZE
    np.testing.assert_allclose([info.k[0], info.k[2]], [360.0, 159.5])


def test_a_camera_info_of_another_shape_is_refused_with_both_sizes(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    registration = start(live_graph, RegistrationNode, max_rate_hz=20.0,
                         **{'registration.method': 'calibrated'})
    cameras.wait_for_subscribers()
    publish_infos(cameras, {'thermal': make_info(SIZE, 300.0), 'rgb': make_info((960, 540), 900)})
    assert cameras.publish_until(
        lambda: registration.diagnose()[0] == "'/rgb/camera_info' is not used: the calibration "
        'is for images of 960x540, got 320x240, which has another aspect ratio; calibrate the '
        'camera at the size that it sends')
    assert cameras.publish_until(lambda: registration.diagnose()[1].get('reason')
                                 == 'not calibrated')


def test_cameras_that_are_built_in_turned_give_upright_images_to_all_nodes(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    upright_rgb = cameras.rgb
    cameras.thermal = np.ascontiguousarray(np.rot90(cameras.thermal, 1))
    cameras.rgb = np.ascontiguousarray(upright_rgb[::-1, ::-1])
    for topic, adapter in {'registration/homography': messages.HOMOGRAPHY,
                           'fused/image': messages.IMAGE, 'detections': messages.DETECTIONS,
                           'thermal_registered/image': messages.IMAGE}.items():
        cameras.listen(topic, adapter)
    turned = {'rgb.rotate': 180}
    registration = start(live_graph, RegistrationNode, hub=hub, max_rate_hz=20.0,
                         **turned, **{'thermal.rotate': 90})
    start(live_graph, FusionNode, hub=hub, **turned, **{'thermal.rotate': 90,
                                                        'fusion.method': 'average'})
    start(live_graph, PerceptionNode, hub=hub, **turned)
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(
        lambda: registration.stage.latest is not None
        and registration.stage.latest.state.value == 'TRACKING'
        and all(len(received) >= 3 for received in cameras.received.values()))
    homography = cameras.received['registration/homography'][-1].value
    assert geometry.corner_error_px(homography.H_thermal_to_rgb, H_TRUE, SIZE) < 1.5
    fused = cameras.received['fused/image'][-1].image
    assert fused.shape == upright_rgb.shape
    luma = cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY).ravel()
    assert np.corrcoef(luma, upright_rgb[..., 1].ravel())[0, 1] > 0.5


def test_each_change_of_the_registration_is_told_once_and_a_healthy_start_is_no_loss(live_graph,
                                                                                     capfd):
    cameras = Cameras(live_graph)
    node = start(live_graph, RegistrationNode, max_rate_hz=20.0, **{'tracker.fresh_s': 1.0})
    cameras.wait_for_subscribers()
    assert cameras.publish_until(node.stage.is_registered)
    assert cameras.publish_until(lambda: node.stage.tracker.states['TRACKING'] >= 5)
    thermal, cameras.thermal = cameras.thermal, np.full_like(cameras.thermal, 7000)
    assert cameras.publish_until(lambda: node.stage.tracker.states['HOLDING'] >= 3)
    cameras.thermal = thermal
    before = node.stage.tracker.states['TRACKING']
    assert cameras.publish_until(lambda: node.stage.tracker.states['TRACKING'] > before + 2)
    log = [line.split(']: ')[-1] for line in capfd.readouterr().err.splitlines()
           if 'registration ' in line]
    states = [line.split()[1].rstrip(':,') for line in log if line.startswith('registration ')]
    assert states == ['TRACKING', 'HOLDING', 'TRACKING'], log
    assert not any('lost' in line for line in log)


def test_the_mode_of_fusion_is_a_latched_topic_and_a_viewer_may_close_and_open_again(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    start(live_graph, RegistrationNode, hub=hub, max_rate_hz=20.0)
    fusion = start(live_graph, FusionNode, hub=hub)
    cameras.wait_for_subscribers(2)
    fused = []

    def open_viewer():
        return cameras.node.create_subscription(messages.IMAGE.message_type, 'fused/image',
                                                fused.append, 5)

    viewer = open_viewer()
    assert cameras.publish_until(lambda: fusion.diagnose()[1].get('mode') == 'FUSED')
    cameras.node.destroy_subscription(viewer)
    assert cameras.publish_until(lambda: not fusion._fused.has_subscribers)
    assert fusion._worker.wait_until_idle(10.0)
    modes_before = dict(fusion._modes)
    assert not cameras.publish_until(lambda: dict(fusion._modes) != modes_before, 1.0)
    fused.clear()
    open_viewer()
    assert cameras.publish_until(lambda: len(fused) > 3)
    assert fusion.diagnose()[1]['mode'] == 'FUSED'
    assert {mode.value for mode in fusion._modes} <= {'FUSED', 'RGB_ONLY'}
    # A subscriber that comes later gets the present mode at once.
    modes = []
    cameras.node.create_subscription(messages.TEXT.message_type, 'fused/mode',
                                     lambda message: modes.append(message.data), LATCHED_QOS)
    assert wait_until(lambda: modes == ['FUSED'])
    cameras.rgb = np.full_like(cameras.rgb, 2)
    assert cameras.publish_until(lambda: modes == ['FUSED', 'THERMAL_ONLY'])
    assert fusion.diagnose()[0].startswith('THERMAL_ONLY: RGB DARK')


def test_the_status_says_what_is_shown_since_when_and_why_not_better(live_graph):
    fusion = start(live_graph, FusionNode, **{'fusion.method': 'average'})
    cameras = Cameras(live_graph)
    statuses, modes = [], []
    for topic, received in (('fusion/status', statuses), ('fused/mode', modes)):
        cameras.node.create_subscription(
            messages.TEXT.message_type, topic,
            lambda message, received=received: received.append(message.data), LATCHED_QOS)
    registration = cameras.node.create_publisher(DiagnosticArray, '/diagnostics', 10)
    homography = cameras.node.create_publisher(
        messages.HOMOGRAPHY.message_type, 'registration/homography', 5)
    cameras.wait_for_subscribers()

    def say(message, level):
        registration.publish(DiagnosticArray(status=[
            DiagnosticStatus(name='/registration', level=level, message=message)]))

    cause = 'not registered: low confidence'
    say(cause, DiagnosticStatus.WARN)
    assert wait_until(lambda: fusion._status._registration[1] == cause)
    assert cameras.publish_until(lambda: statuses)
    assert re.fullmatch(rf'RGB_ONLY since \d\d:\d\d:\d\d: no registration yet: {cause}',
                        statuses[0])
    homography.publish(messages.homography_to_message(
        Stamped(Homography(H_TRUE, SIZE), time.time_ns(), 'thermal')))
    assert cameras.publish_until(lambda: len(statuses) > 1)
    assert re.fullmatch(r'FUSED since \d\d:\d\d:\d\d', statuses[1])
    # The numbers of the same problem are no news.
    assert cameras.publish_until(lambda: statuses[-1].startswith('RGB_ONLY'), streams=['rgb'])
    assert not cameras.publish_until(lambda: len(statuses) > 3, 0.5, streams=['rgb'])
    assert statuses[-1].endswith(': thermal MISSING')
    # Without any image nothing is shown, although the latest image is still on the screen.
    assert wait_until(lambda: modes[-1] == 'NOTHING')
    assert 'NOTHING since' in statuses[-1] and 'no image for 1.' in statuses[-1]
    assert fusion.diagnose()[1]['mode'] == 'NOTHING'
    assert fusion.diagnose()[0].startswith('NOTHING: no image for ')
    assert cameras.publish_until(lambda: modes[-1] == 'FUSED')
    assert modes == ['RGB_ONLY', 'FUSED', 'RGB_ONLY', 'NOTHING', 'FUSED']
