# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes at work: real nodes, real DDS, a camera pair played by plain publishers."""

from __future__ import annotations

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
from ivf_ros.nodes.graph import messages, topic_watch  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
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


def scene(size=SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Return 16-bit thermal and colour RGB of shapes whose contrast differs by camera."""
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
    """Publishes pairs from outside, with fresh sensor noise, and remembers what came back."""

    def __init__(self, graph, size=SIZE) -> None:
        self.node = graph.node('cameras')
        self.thermal, self.rgb = scene(size)
        self.publishers = {
            stream: self.node.create_publisher(messages.IMAGE.message_type,
                                               f'{stream}/image_raw', 5)
            for stream in ('thermal', 'rgb')}
        self.received: dict[str, list] = {}
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.noise_counts = 20
        self._random = np.random.default_rng(0)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def listen(self, topic, wire):
        received = self.received[topic] = []
        self.node.create_subscription(wire.message_type, topic,
                                      lambda m: received.append(wire.from_message(m)), 10)

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

    def publish_until(self, condition, timeout_s=20.0, streams=('thermal', 'rgb')):
        """Publish at about 20 Hz until the condition holds."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            self.publish(streams)
            if wait_until(condition, 0.05):
                return True
        return False

    def values_of(self, node):
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


def test_thermal_and_rgb_go_in_and_everything_comes_out_on_the_rgb_grid(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    for topic, wire in {'registration/homography': messages.HOMOGRAPHY,
                        'thermal_registered/image': messages.IMAGE,
                        'fused/image': messages.IMAGE,
                        'segmentation/labels': messages.LABELS,
                        'detections': messages.DETECTIONS}.items():
        cameras.listen(topic, wire)
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


def test_camera_infos_give_the_homography_while_the_images_show_nothing(live_graph):
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
    # Scaled by the focal lengths about the middle, and moved by f * baseline / distance.
    expected = np.array([[1.2, 0, 160 - 1.2 * 160 + 360 * 0.1 / 5], [0, 1.2, 120 - 1.2 * 120],
                         [0, 0, 1]])
    found = cameras.received['registration/homography'][-1].value.H_thermal_to_rgb
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert registration.diagnose()[1]['state'] == 'PRIOR'


def test_calibration_is_published_before_any_image_and_uncalibrated_cameras_are_none(live_graph):
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
    # The other end may not know of the publisher yet, and best effort loses what comes too early.
    assert wait_until(lambda: publish(300.0) or cameras.received['registration/homography'])
    found = cameras.received['registration/homography'][0]
    np.testing.assert_allclose(found.value.H_thermal_to_rgb, np.eye(3), atol=1e-9)
    assert found.value.rgb_size == SIZE and found.frame_id == 'thermal_optical_frame'
    assert registration.diagnose()[1]['state'] == 'PRIOR'


def test_a_slow_measurement_holds_up_neither_the_prior_nor_the_warping(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    cameras.listen('thermal_registered/image', messages.IMAGE)
    registration = start(live_graph, RegistrationNode, max_rate_hz=20.0, **{
        'registration.calibrated.H_thermal_to_rgb': H_TRUE.ravel().tolist()})
    tracker = registration.stage.tracker
    update, released = tracker.update, threading.Event()

    def slow(*arguments):
        released.wait(20.0)
        return update(*arguments)

    tracker.update = slow
    cameras.wait_for_subscribers()
    assert cameras.publish_until(lambda: len(cameras.received['thermal_registered/image']) >= 10)
    assert len(cameras.received['registration/homography']) == 1
    assert registration.diagnose()[1]['state'] == 'PRIOR'
    released.set()
    assert cameras.publish_until(lambda: registration.diagnose()[1]['state'] == 'TRACKING')
    assert registration.diagnose()[1]['corner_deviation_px'] < 5


def test_homographies_come_at_the_rate_that_was_asked_for_at_most(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    start(live_graph, RegistrationNode, max_rate_hz=4.0)
    cameras.wait_for_subscribers()
    received = cameras.received['registration/homography']
    assert cameras.publish_until(lambda: received)
    before, began_s = len(received), time.monotonic()
    assert not cameras.publish_until(lambda: False, timeout_s=2.5)
    passed_s = time.monotonic() - began_s
    assert 2 <= len(received) - before <= 4.0 * passed_s + 1


def test_stages_in_processes_of_their_own_reach_each_other_through_dds(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    fusion = start(live_graph, FusionNode)
    start(live_graph, RegistrationNode, max_rate_hz=20.0)  # a hub of its own
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode_count.FUSED'] >= 2)


def test_a_bad_image_is_told_in_diagnostics_and_the_next_good_one_is_fused(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    bad = messages.image_to_message(Frame(cameras.rgb, time.time_ns(), 'rgb_optical_frame'))
    bad.step = 7
    cameras.publishers['rgb'].publish(bad)
    assert wait_until(lambda: 'drops.bad_message' in cameras.values_of('fusion'))
    assert cameras.diagnostics['fusion'].level == DiagnosticStatus.ERROR
    assert "'/rgb/image_raw'" in cameras.diagnostics['fusion'].message
    assert 'step is 7' in cameras.diagnostics['fusion'].message
    assert cameras.publish_until(lambda: cameras.received['fused/image'])


def test_images_that_change_their_size_are_followed(live_graph):
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(lambda: cameras.received['fused/image'])
    cameras.thermal, cameras.rgb = scene((200, 150))
    assert cameras.publish_until(
        lambda: cameras.received['fused/image'][-1].image.shape == (150, 200, 3))


def test_with_thermal_gone_rgb_is_passed_on_and_said_so(live_graph, monkeypatch):
    monkeypatch.setattr(topic_watch, 'SILENCE_TIMEOUT_S', 0.5)
    cameras = Cameras(live_graph)
    cameras.listen('fused/image', messages.IMAGE)
    start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(
        lambda: 'mode_count.RGB_ONLY' in cameras.values_of('fusion')
        and "nothing received for 0.5 s on '/thermal/image_raw'"
        in cameras.diagnostics['fusion'].message,
        streams=('rgb',))
    np.testing.assert_array_equal(cameras.received['fused/image'][-1].image, cameras.rgb)
    assert cameras.diagnostics['fusion'].level == DiagnosticStatus.WARN


def test_while_the_shutter_is_closed_rgb_is_shown_and_the_registration_is_held(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    cameras.listen('fused/image', messages.IMAGE)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    registration = start(live_graph, RegistrationNode, hub=hub, max_rate_hz=20.0)
    fusion = start(live_graph, FusionNode, hub=hub)
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode_count.FUSED'] >= 2)
    cameras.noise_counts = 1  # that is none: the same frame again and again
    assert cameras.publish_until(lambda: 'thermal FROZEN' in fusion.diagnose()[0]
                                 and registration.diagnose()[1]['state'] == 'HOLDING')
    np.testing.assert_array_equal(cameras.received['fused/image'][-1].image, cameras.rgb)
    # What is held keeps the stamp of the image that it was measured on.
    held = len(cameras.received['registration/homography'])
    assert cameras.publish_until(
        lambda: len(cameras.received['registration/homography']) >= held + 3)
    stamps_ns = {item.stamp_ns for item in cameras.received['registration/homography'][held:]}
    assert len(stamps_ns) == 1
    cameras.noise_counts = 20
    fused = fusion.diagnose()[1]['mode_count.FUSED']
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode_count.FUSED'] > fused
                                 and registration.diagnose()[1]['state'] == 'TRACKING')


def test_stamps_too_far_apart_are_named_as_the_reason(live_graph, monkeypatch):
    monkeypatch.setattr(topic_watch, 'SILENCE_TIMEOUT_S', 0.5)
    cameras = Cameras(live_graph)
    start(live_graph, RegistrationNode)
    cameras.wait_for_subscribers()

    def is_told():
        cameras.publish(('thermal',), time.time_ns() - 100_000_000_000)
        status = cameras.diagnostics.get('registration')
        return status is not None and 'pairing.tolerance_s' in status.message

    assert cameras.publish_until(is_told, streams=('rgb',))


def test_diagnostics_tell_of_pairs_cameras_equipment_and_lifecycle(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    cameras.listen('detections', messages.DETECTIONS)
    nodes = [start(live_graph, node_class, hub=hub, **more) for node_class, more in (
        (RegistrationNode, {'registration.method': 'fast', 'max_rate_hz': 20.0}), (FusionNode, {}),
        (DetectionNode, {}))]
    cameras.wait_for_subscribers(2)
    assert cameras.publish_until(lambda: 'latency_ms.p95' in cameras.values_of('detection')
                                 and 'state' in cameras.values_of('registration'))
    registration, fusion, detection = (cameras.values_of(name) for name in (
        'registration', 'fusion', 'detection'))
    for values, weights in ((registration, 'fast.safetensors'), (fusion, 'fast.safetensors'),
                            (detection, 'anchor_free_both.safetensors')):
        assert values['lifecycle'] == 'active' and values['device'] == 'cpu'
        assert values['weight_files'].endswith(weights)
        assert 0 < float(values['latency_ms.p50']) <= float(values['latency_ms.p95'])
    for values in (registration, fusion):
        assert values['thermal_state'] == 'LIVE'
        assert float(values['thermal_minus_rgb_ms.p50']) == 0
        assert float(values['rate_hz_in.rgb/image_raw']) > 1
    assert fusion['rgb_state'] == 'LIVE'
    assert {'confidence', 'inliers', 'age_s'} <= set(registration)
    cameras.rgb //= 60  # night falls
    assert cameras.publish_until(lambda: cameras.values_of('fusion')['rgb_state'] == 'DARK')
    assert nodes[1].trigger_deactivate() == SUCCESS
    assert wait_until(lambda: cameras.values_of('fusion')['lifecycle'] == 'inactive')


def test_what_nobody_asks_for_is_not_computed(live_graph):
    cameras = Cameras(live_graph)
    fusion = start(live_graph, FusionNode)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(
        lambda: int(cameras.values_of('fusion').get('frames_in.rgb/image_raw', 0)) >= 10)
    assert set(fusion._modes.values()) <= {0}
    assert 'latency_ms.p50' not in cameras.values_of('fusion')


def test_the_chain_starts_to_work_when_somebody_asks_for_its_end_and_rests_again(live_graph):
    cameras, hub = Cameras(live_graph), Hub()
    fusion = start(live_graph, FusionNode, hub=hub)
    start(live_graph, DetectionNode, hub=hub)
    cameras.wait_for_subscribers()
    assert cameras.publish_until(
        lambda: int(cameras.values_of('fusion').get('frames_in.rgb/image_raw', 0)) >= 10)
    assert not fusion._fused.has_subscribers and set(fusion._modes.values()) <= {0}
    received = []
    listener = cameras.node.create_subscription(messages.DETECTIONS.message_type, 'detections',
                                                received.append, 10)
    assert cameras.publish_until(lambda: received)
    cameras.node.destroy_subscription(listener)
    assert wait_until(lambda: not fusion._fused.has_subscribers)


def test_deactivated_means_deaf_and_activated_again_means_back(live_graph):
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
    assert not hasattr(fusion, '_stage')
    assert wait_until(lambda: fusion.count_publishers('fused/image') == 0)
    assert fusion.trigger_configure() == SUCCESS


@pytest.mark.parametrize('node_class, stage', [
    (RegistrationNode, lambda node: node.stage), (FusionNode, lambda node: node.stage),
    (SegmentationNode, lambda node: node.stage.method),
    (DetectionNode, lambda node: node.stage.method)])
def test_cleanup_lets_go_of_the_networks_and_configuring_brings_them_back(
        live_graph, node_class, stage):
    node = start(live_graph, node_class)
    held = weakref.ref(stage(node))
    assert node.trigger_deactivate() == SUCCESS
    assert held() is not None
    assert node.trigger_cleanup() == SUCCESS
    assert held() is None
    assert node._publishers_by_topic == {} and node._subscriptions_by_topic == {}
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS


def test_a_weight_file_that_is_missing_fails_with_its_path_until_it_is_there(live_graph, tmp_path):
    file = tmp_path / 'detector.safetensors'
    node = live_graph.add(DetectionNode, parameter_overrides=[
        Parameter('detection.network.weights', value=str(file))])
    for _ in range(2):
        assert node.trigger_configure() == FAILURE
        assert node._get_status().error == f'cannot configure: no weight file at {file}'
    file.write_bytes(WEIGHTS.read_bytes())
    assert node.trigger_configure() == SUCCESS
    assert node._get_status().error == ''
    assert node.trigger_activate() == SUCCESS


def test_without_autostart_a_node_waits_to_be_configured(live_graph):
    node = live_graph.add(FusionNode, parameter_overrides=[Parameter('autostart', value=False)])
    assert node.autostart()
    assert node.count_publishers('fused/image') == 0
    assert node.trigger_configure() == SUCCESS


def test_a_calibration_that_makes_no_sense_fails_to_configure_and_can_be_mended(live_graph):
    node = live_graph.add(RegistrationNode, parameter_overrides=[
        Parameter('registration.calibrated.H_thermal_to_rgb', value=[1.0, 0.0])])
    assert node.trigger_configure() == FAILURE
    mended = node.set_parameters([Parameter('registration.calibrated.H_thermal_to_rgb',
                                            value=np.eye(3).ravel().tolist())])
    assert mended[0].successful
    assert node.trigger_configure() == SUCCESS


def test_a_registration_keeps_what_it_knows_through_a_change_that_does_not_concern_it(live_graph):
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
    assert not refused.successful and 'K_thermal has 9 numbers' in refused.reason


@pytest.mark.parametrize('node_class, name, value', [
    (DetectionNode, 'detection.anchor_free.min_score', 0.7),
    (SegmentationNode, 'segmentation.bilateral.longer_side_px', 320),
    (RegistrationNode, 'registration.fast.min_confidence', 0.7)])
def test_a_threshold_changes_without_loading_the_network_again(
        live_graph, node_class, name, value):
    node = start(live_graph, node_class)
    method = node.stage.method
    assert node.set_parameters([Parameter(name, value=value)])[0].successful
    assert node.stage.method is method
    assert getattr(method.parameters, name.rpartition('.')[2]) == value


def test_several_parameters_change_together_or_not_at_all(live_graph):
    node = start(live_graph, FusionNode, **{'fusion.method': 'average'})
    good = Parameter('fusion.method', value='laplacian')
    bad = Parameter('fusion.feather_px', value=-1.0)
    refused = node.set_parameters_atomically([good, bad])
    assert not refused.successful and 'fusion.feather_px' in refused.reason
    assert node.parameters.fusion.method == node.stage.method.parameters.method == 'average'
    assert node.set_parameters_atomically([good]).successful
    assert node.parameters.fusion.method == node.stage.method.parameters.method == 'laplacian'


@pytest.mark.parametrize('node_class, name, value, reason', [
    (DetectionNode, 'detection.method', 'onnx', 'read-only'),
    (SegmentationNode, 'segmentation.method', 'magic', 'read-only'),
    (FusionNode, 'fusion.network.weights', '/none', 'no weight file at /none'),
])
def test_a_live_change_to_what_cannot_be_had_leaves_the_old_at_work(
        live_graph, node_class, name, value, reason):
    node = start(live_graph, node_class)
    before = node.parameters
    refused = node.set_parameters([Parameter(name, value=value)])[0]
    assert not refused.successful and reason in refused.reason
    assert node.parameters == before and node._get_status().error == ''


def test_a_live_change_takes_effect_and_a_wrong_one_is_refused_with_the_reason(live_graph):
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
def test_the_container_says_in_one_line_why_it_does_not_start(arguments, message):
    ended = subprocess.run([sys.executable, '-m', 'ivf_ros.nodes.component_container', *arguments],
                           cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
                           check=False)
    assert ended.returncode != 0
    assert message in ended.stderr and 'Traceback' not in ended.stderr


@pytest.mark.parametrize('looks_at', ['rgb+thermal', 'fused'])
def test_people_are_found_tracked_and_measured_in_degrees(live_graph, looks_at):
    # A street by night; a camera of 0.04 K a count.
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
    node = start(live_graph, DetectionNode, hub=hub, looks_at=looks_at,
                 **{'radiometry.kind': 'tlinear_0_04K'})
    start(live_graph, SegmentationNode, hub=hub, looks_at=looks_at)
    cameras.wait_for_subscribers(2)
    thermal, rgb, _ = simulator.pair(60)
    cameras.thermal, cameras.rgb, cameras.noise_counts = thermal.image, rgb.image, 2

    def tracked():
        named = [one for one in cameras.received['detections']
                 if any(box.track_id and box.class_name == 'person' for box in one.value)]
        return len(named) >= 3 and len(cameras.received['segmentation/labels']) >= 3

    assert cameras.publish_until(tracked, 40.0)
    assert node._uses_both() == (looks_at == 'rgb+thermal')
    latest = cameras.received['detections/temperatures'][-1]
    same = next(one for one in cameras.received['detections'] if one.stamp_ns == latest.stamp_ns)
    assert [one.class_name for one in latest.value] == [one.class_name for one in same.value]
    assert [one.track_id for one in latest.value] == [one.track_id for one in same.value]
    warmest = [one.maximum_celsius for one in latest.value if one.class_name == 'person'
               and one.maximum_celsius is not None]
    assert warmest and all(15.0 < celsius < 45.0 for celsius in warmest)
    labels = cameras.received['segmentation/labels'][-1]
    assert labels.frame_id == 'rgb_optical_frame'
    assert (labels.value.labels == MFNET_CLASSES.index('person')).any()


def test_a_fused_image_that_is_rgb_alone_is_recognised():
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    other = rgb.copy()
    other[200:300, 300:400] ^= 1  # where thermal reaches
    assert is_rgb_passthrough(rgb, rgb) and is_rgb_passthrough(rgb, rgb.copy())
    assert not is_rgb_passthrough(rgb, other)


def test_with_one_camera_missing_the_fused_image_is_searched(live_graph, monkeypatch):
    monkeypatch.setattr(topic_watch, 'SILENCE_TIMEOUT_S', 0.5)
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
    np.testing.assert_allclose(node.stage.tracker.prior_answer(SIZE).H_thermal_to_rgb, H_TRUE)
    with pytest.raises(ParameterError, match=r"unknown parameter 'dense\.speed'"):
        start(live_graph, RegistrationNode, **{'dense.speed': 1})
