# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection3d node over DDS: detections and depth in, objects, markers and clouds out."""

from __future__ import annotations

import importlib.util
import time

from conftest import wait_until
import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.camera_model import CameraModel  # noqa: E402, I100
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters  # noqa: E402
from ivf_ros.detection3d import CalibratedCamera, make_points  # noqa: E402
from ivf_ros.nodes.detection3d_node import Detection3dNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.detections3d import DETECTIONS_3D  # noqa: E402
from ivf_ros.nodes.graph.messages import Stamped  # noqa: E402
from ivf_ros.nodes.graph.point_clouds import COLORED_CLOUD, POINTS  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
from ivf_ros.nodes.perception_node import PerceptionNode  # noqa: E402
from ivf_ros.thermal_on_rgb import ThermalWarper  # noqa: E402
from ivf_ros.types import Detection, Frame, MFNET_CLASSES, Segmentation  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, PointCloud2  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

SIZE = (320, 240)
MODEL = CameraModel(SIZE, np.array([[300.0, 0, 159.5], [0, 300.0, 119.5], [0, 0, 1.0]]))
FRAME_ID = 'rgb_optical_frame'
PERSON = Detection((130.0, 70.0, 190.0, 170.0), 'person', 0.75, '12')
HIDDEN = Detection((10.0, 10.0, 40.0, 40.0), 'person', 0.5, '13')  # where there is no depth
POSITION_M = (0.0, 0.0, 4.0)
PERSON_LABEL = MFNET_CLASSES.index('person')
# From a lidar (x forward, y left, z up) to an optical frame.
R_LIDAR_TO_RGB = [0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0]
SUCCESS = TransitionCallbackReturn.SUCCESS
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def draw_depth_mm() -> np.ndarray:
    """Return a person at 4 m before a wall at 9 m, and an area without depth."""
    depth_mm = np.full(SIZE[::-1], 9000, np.uint16)
    depth_mm[70:170, 130:190] = 4000
    depth_mm[:60, :60] = 0
    return depth_mm


class Scene:
    """Publishes what the node takes from a node of another participant, and stores its answers."""

    def __init__(self, graph) -> None:
        self.node = graph.node('scene')
        self._publishers: dict = {}
        self.received: dict[str, list] = {}

    def add(self, topic, adapter, item, qos=10):
        """Publish this item on a topic, with a new stamp each time."""
        self._publishers[topic] = (
            self.node.create_publisher(adapter.message_type, topic, qos), adapter, item)

    def add_camera(self):
        info = messages.camera_info_of(MODEL)
        self.add('rgb/camera_info', messages.CAMERA_INFO, info)

    def listen(self, topic, message_type):
        received = self.received[topic] = []
        self.node.create_subscription(message_type, topic, received.append, 10)

    def publish(self):
        stamp_ns = time.time_ns()
        for publisher, adapter, item in self._publishers.values():
            value = Frame(item, stamp_ns, FRAME_ID) if isinstance(item, np.ndarray) \
                and adapter is not POINTS else Stamped(item, stamp_ns, FRAME_ID)
            publisher.publish(adapter.to_message(value))

    def publish_until(self, condition, timeout_s=60.0):
        """Publish at about 20 Hz until the condition is true; return False after the timeout."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            self.publish()
            if wait_until(condition, 0.05):
                return True
        return False

    def wait_for(self, topic):
        assert self.publish_until(lambda: self.received[topic]), topic
        return self.received[topic][-1]


def start(graph, hub=None, **overrides):
    node = graph.add(Detection3dNode, hub, parameter_overrides=[
        Parameter(name, value=value) for name, value in overrides.items()])
    assert node.autostart()
    return node


def make_scene(graph, detections=(PERSON, HIDDEN)) -> Scene:
    scene = Scene(graph)
    scene.add_camera()
    scene.add('detections', messages.DETECTIONS, list(detections))
    return scene


def assert_is_the_person(message):
    [found] = DETECTIONS_3D.from_message(message).value
    np.testing.assert_allclose(found.position_m, POSITION_M, atol=0.02)
    np.testing.assert_allclose(found.size_m[:2], (60 / 300 * 4, 100 / 300 * 4), atol=0.02)
    assert (found.detection.class_name, found.detection.track_id) == ('person', '12')


def test_detections_and_registered_depth_give_objects_in_the_frame_of_rgb(live_graph):
    scene = make_scene(live_graph)
    scene.add('depth/image', messages.IMAGE, draw_depth_mm())
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph)
    message = scene.wait_for('detections_3d')
    assert_is_the_person(message)
    assert message.header.frame_id == FRAME_ID and messages.stamp_ns_of(message.header) > 0
    [result] = message.detections[0].results
    assert result.hypothesis.score == pytest.approx(0.75)
    covariance = np.reshape(result.pose.covariance, (6, 6))
    assert 0.03 < np.sqrt(covariance[2, 2]) < 0.06  # one percent of 4 m
    assert message.detections[0].bbox.center.orientation.w == 1.0
    assert node.diagnose()[1]['objects_without_depth'] >= 1
    # Nobody subscribes to the cloud, so the node does not subscribe to images.
    assert 'rgb/image_raw' not in node._subscriptions_by_topic


def test_metres_with_nan_and_inf_at_half_the_resolution(live_graph):
    scene = make_scene(live_graph)
    depth_m = draw_depth_mm()[::2, ::2].astype(np.float32) / 1000
    depth_m[depth_m == 0] = np.nan
    depth_m[100:, :] = np.inf
    scene.add('depth/image', messages.IMAGE, depth_m)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    start(live_graph)
    assert_is_the_person(scene.wait_for('detections_3d'))


def test_depth_images_may_be_compressed_without_loss(live_graph):
    scene = make_scene(live_graph)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    depth = scene.node.create_publisher(CompressedImage, 'depth/image/compressedDepth', 10)
    start(live_graph, depth_transport='compressedDepth')
    data = bytes(12) + cv2.imencode('.png', draw_depth_mm())[1].tobytes()

    def publish():
        message = CompressedImage(format='16UC1; compressedDepth png', data=data)
        message.header = messages.make_header(time.time_ns(), FRAME_ID)
        depth.publish(message)
        return scene.received['detections_3d']

    assert scene.publish_until(publish)
    assert_is_the_person(scene.received['detections_3d'][-1])


def test_a_depth_camera_with_its_own_calibration(live_graph):
    scene = make_scene(live_graph)
    scene.add('depth/image', messages.IMAGE, draw_depth_mm())
    info = messages.camera_info_of(MODEL)
    scene.add('depth/camera_info', messages.CAMERA_INFO, info)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    start(live_graph, depth_source='camera', **{'depth.t_depth_to_rgb_m': [0.0, 0.0, 0.5]})
    [found] = DETECTIONS_3D.from_message(scene.wait_for('detections_3d')).value
    assert found.position_m[2] == pytest.approx(4.5, abs=0.02)


def test_a_lidar_cloud_gives_the_same_objects(live_graph):
    scene = make_scene(live_graph)
    depth_m = draw_depth_mm().astype(np.float32) / 1000
    depth_m[depth_m == 0] = np.nan
    points = make_points(depth_m, CalibratedCamera(MODEL))[::5]
    points = points @ np.reshape(R_LIDAR_TO_RGB, (3, 3))
    scene.add('depth/points', POINTS, points)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    start(live_graph, depth_source='points', **{'depth.R_depth_to_rgb': R_LIDAR_TO_RGB})
    assert_is_the_person(scene.wait_for('detections_3d'))


def test_markers_replace_those_of_before_and_show_boxes_and_labels(live_graph):
    scene = make_scene(live_graph)
    scene.add('depth/image', messages.IMAGE, draw_depth_mm())
    scene.listen('detections_3d/markers', MarkerArray)
    start(live_graph)
    clear, box, label = scene.wait_for('detections_3d/markers').markers
    assert clear.action == Marker.DELETEALL
    assert (box.type, len(box.points), len(box.colors)) == (Marker.LINE_LIST, 24, 24)
    corners = np.array([(point.x, point.y, point.z) for point in box.points])
    np.testing.assert_allclose(np.ptp(corners, axis=0)[:2], (0.8, 4 / 3), atol=0.02)
    assert label.type == Marker.TEXT_VIEW_FACING
    assert label.text == 'person #12 0.75 4.0 m'
    assert label.pose.position.y < corners[:, 1].min()  # above the box: y is down
    assert {marker.header.frame_id for marker in (clear, box, label)} == {FRAME_ID}


def test_labels_show_which_pixels_in_the_box_are_the_object(live_graph):
    scene = make_scene(live_graph)
    depth_mm = draw_depth_mm()
    depth_mm[:, 150:170] = 2000  # a tree before the person fills most of the central part
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[draw_depth_mm() == 4000] = PERSON_LABEL
    labels[:, 150:170] = 0
    scene.add('depth/image', messages.IMAGE, depth_mm)
    scene.add('segmentation/labels', messages.LABELS, Segmentation(labels, ()))
    # The names are published before the node exists, once.
    scene.node.create_publisher(
        messages.LABEL_INFO.message_type, 'segmentation/label_info', LATCHED).publish(
            messages.label_info_to_message(Stamped(MFNET_CLASSES, 1, '')))
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph)

    def latest_depth():
        found = [DETECTIONS_3D.from_message(message).value
                 for message in scene.received['detections_3d'][-1:]]
        return found[0][0].position_m[2] if found and found[0] else None

    assert scene.publish_until(lambda: latest_depth() == pytest.approx(4.0))
    node.set_parameters([Parameter('use_labels', value=False)])
    assert scene.publish_until(lambda: latest_depth() == pytest.approx(2.0))


def test_a_coloured_cloud_has_colours_temperatures_and_class_ids(live_graph):
    scene = Scene(live_graph)
    scene.add_camera()
    scene.add('depth/image', messages.IMAGE, draw_depth_mm())
    rgb = np.zeros((*SIZE[::-1], 3), np.uint8)
    rgb[:] = (10, 20, 30)
    labels = np.where(draw_depth_mm() == 4000, PERSON_LABEL, 0).astype(np.uint8)
    counts = np.where(labels > 0, 30815, 29315).astype(np.uint16)  # 35 and 20 degrees Celsius
    mask = np.full(SIZE[::-1], 255, np.uint8)
    mask[:, 300:] = 0
    scene.add('rgb/image_raw', messages.IMAGE, rgb)
    scene.add('thermal_registered/image', messages.IMAGE, counts)
    scene.add('thermal_registered/mask', messages.IMAGE, mask)
    scene.add('segmentation/labels', messages.LABELS, Segmentation(labels, ()))
    scene.add('segmentation/label_info', messages.LABEL_INFO, MFNET_CLASSES, LATCHED)
    scene.listen('points', PointCloud2)
    start(live_graph, **{'radiometry.kind': 'tlinear_0_01K'})

    def latest():
        received = scene.received['points']
        return COLORED_CLOUD.from_message(received[-1]).value if received else None

    def is_complete():
        cloud = latest()
        return cloud is not None and cloud.labels.any() and np.isfinite(cloud.celsius).any()

    assert scene.publish_until(is_complete)
    cloud, message = latest(), scene.received['points'][-1]
    assert len(cloud.points_m) == np.count_nonzero(draw_depth_mm())
    assert (cloud.colors_bgr == (10, 20, 30)).all()
    is_person = cloud.labels == PERSON_LABEL
    assert np.count_nonzero(is_person) == 60 * 100
    np.testing.assert_allclose(cloud.celsius[is_person], 35.0, atol=1e-3)
    np.testing.assert_allclose(cloud.points_m[is_person, 2], 4.0, atol=1e-6)
    right = cloud.points_m[:, 0] / cloud.points_m[:, 2] * 300 + 159.5 > 299.5
    assert np.isnan(cloud.celsius[right]).all() and not np.isnan(cloud.celsius[~right]).any()
    assert message.header.frame_id == FRAME_ID
    assert [field.name for field in message.fields] == ['x', 'y', 'z', 'rgb', 'temperature',
                                                        'class_id']


def test_objects_of_the_perception_node_are_where_the_simulator_has_them(live_graph):
    simulator = RigSimulator(SimulatorParameters(seed=505, condition='night'))
    thermal, rgb, truth = simulator.render(0.5)
    size = (640, 480)
    registered = ThermalWarper().warp_gray(thermal, simulator.H_thermal_to_rgb, size).image
    scene = Scene(live_graph)
    scene.add('rgb/camera_info', messages.CAMERA_INFO,
              messages.camera_info_of(CameraModel(size, simulator.rig.K_rgb)))
    scene.add('depth/image', messages.IMAGE, simulator.render_depth(0.5))
    for topic, image in (('fused/image', rgb), ('rgb/image_raw', rgb),
                         ('thermal_registered/image_8bit', registered)):
        scene.add(topic, messages.IMAGE, image)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    hub = Hub()
    start(live_graph, hub=hub)
    # Nobody says what the fused image shows, so the network sees RGB alone, hard by night.
    perception = live_graph.add(PerceptionNode, hub, parameter_overrides=[
        Parameter('perception.min_score', value=0.4)])
    assert perception.autostart()

    def latest():
        received = scene.received['detections_3d']
        return DETECTIONS_3D.from_message(received[-1]).value if received else []

    assert scene.publish_until(lambda: len(latest()) >= 3, 60.0)
    depths_m = simulator.visible_depths_m(0.5)
    true_m = [depths_m[box.track_id] for box in truth.detections
              if box.class_name in ('person', 'car', 'bike')]
    errors = [min(abs(found.position_m[2] - depth_m) / depth_m for depth_m in true_m)
              for found in latest()]
    assert np.median(errors) < 0.02 and np.mean(np.array(errors) < 0.1) > 0.7


@pytest.mark.parametrize(('missing', 'problem'), [
    ('rgb/camera_info', "nothing received on '/rgb/camera_info'"),
    ('depth/image', "nothing received for 0.2 s on '/depth/image' (nobody publishes it)")])
def test_what_is_missing_is_said(live_graph, monkeypatch, missing, problem):
    monkeypatch.setattr('ivf_ros.nodes.graph.topic_checks.SILENCE_TIMEOUT_S', 0.2)
    scene = make_scene(live_graph)
    scene.add('depth/image', messages.IMAGE, draw_depth_mm())
    scene.node.destroy_publisher(scene._publishers.pop(missing)[0])
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph)
    assert scene.publish_until(lambda: node.diagnose()[0].startswith(problem)), node.diagnose()
    assert not scene.received['detections_3d']


@pytest.mark.parametrize(('depth', 'problem'), [
    (np.zeros((100, 100), np.uint16), 'the aspect ratios differ'),
    (np.zeros(SIZE[::-1], np.uint8), 'a depth image is 16UC1 in millimetres or 32FC1')])
def test_depth_that_cannot_be_used_is_said(live_graph, depth, problem):
    scene = make_scene(live_graph)
    scene.add('depth/image', messages.IMAGE, depth)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph)
    assert scene.publish_until(lambda: problem in node.diagnose()[0]), node.diagnose()


def test_depth_of_another_time_is_not_used(live_graph):
    scene = make_scene(live_graph)
    depth = scene.node.create_publisher(Image, 'depth/image', 10)
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph)

    def publish_old_depth():
        depth.publish(messages.image_to_message(
            Frame(draw_depth_mm(), time.time_ns() - 500_000_000, FRAME_ID)))
        return 'differ by more than depth_tolerance_s = 0.06' in node.diagnose()[0]

    assert scene.publish_until(publish_old_depth), node.diagnose()
    assert not scene.received['detections_3d']


def test_the_transform_between_cloud_and_detections_is_used(live_graph, monkeypatch):
    """Stands in for tf2_ros, which is not among the wheels; with ROS 2 see test_rig.py."""
    known: dict = {}

    class FixedTransforms:

        def __init__(self, node, selector, alternative):
            self.is_destroyed = False

        def look_up(self, from_frame_id, to_frame_id):
            return known.get((from_frame_id, to_frame_id))

        def destroy(self):
            self.is_destroyed = True

    monkeypatch.setattr('ivf_ros.nodes.detection3d_node.TfLookup', FixedTransforms)
    scene = make_scene(live_graph)
    depth_m = draw_depth_mm().astype(np.float32) / 1000
    points = make_points(np.where(depth_m > 0, depth_m, np.nan), CalibratedCamera(MODEL))[::5]
    scene.add('depth/points', POINTS, points @ np.reshape(R_LIDAR_TO_RGB, (3, 3)))
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph, depth_source='points', depth_extrinsics='tf')
    unknown = f"tf does not know the transform from '{FRAME_ID}' to '{FRAME_ID}'"
    assert scene.publish_until(lambda: node.diagnose()[0] == unknown)
    assert not scene.received['detections_3d']
    known[FRAME_ID, FRAME_ID] = tuple(R_LIDAR_TO_RGB), (0.0, 0.0, 0.5)
    [found] = DETECTIONS_3D.from_message(scene.wait_for('detections_3d')).value
    assert found.position_m[2] == pytest.approx(4.5, abs=0.02)
    transforms = node._tf
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert transforms.is_destroyed


def test_the_node_can_be_cleaned_up_and_started_again(live_graph):
    scene = make_scene(live_graph)
    scene.add('depth/image', messages.IMAGE, draw_depth_mm())
    scene.listen('detections_3d', DETECTIONS_3D.message_type)
    node = start(live_graph)
    for _ in range(2):
        assert_is_the_person(scene.wait_for('detections_3d'))
        assert node.trigger_deactivate() == node.trigger_cleanup() == SUCCESS
        assert wait_until(lambda: not any(
            scene.node.count_subscribers(topic) for topic in (
                'segmentation/label_info', 'detections', 'depth/image', 'rgb/camera_info')))
        assert scene.node.count_publishers('detections_3d') == 0
        scene.received['detections_3d'].clear()
        assert node.autostart()


@pytest.mark.skipif(importlib.util.find_spec('tf2_ros') is not None, reason='tf2_ros is installed')
def test_without_tf2_ros_the_error_contains_the_remedy(live_graph):
    node = live_graph.add(Detection3dNode, parameter_overrides=[
        Parameter('depth_extrinsics', value='tf'), Parameter('depth_source', value='points')])
    assert not node.autostart()
    assert 'set depth.R_depth_to_rgb and depth_extrinsics' in node._get_status().error
