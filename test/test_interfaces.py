# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Message packages that the wheels lack: fields, type hashes and transport."""

from __future__ import annotations

from importlib import import_module
import json
from pathlib import Path
import subprocess
import sys

from conftest import wait_until
from ivf_ros import rosidl
import pytest

pytestmark = pytest.mark.live

DEFINITIONS = Path(__file__).resolve().parent.parent / 'resource' / 'interfaces'
HEADER = 'std_msgs/Header header'
STAMP = 'builtin_interfaces/Time timestamp'
# Fields of the upstream packages in upstream order, which defines the serialisation.
FIELDS = {
    'bond/msg/Status.msg': [
        HEADER, 'string id', 'string instance_id', 'bool active', 'float32 heartbeat_timeout',
        'float32 heartbeat_period'],
    'vision_msgs/msg/Point2D.msg': ['float64 x', 'float64 y'],
    'vision_msgs/msg/Pose2D.msg': ['vision_msgs/Point2D position', 'float64 theta'],
    'vision_msgs/msg/BoundingBox2D.msg': [
        'vision_msgs/Pose2D center', 'float64 size_x', 'float64 size_y'],
    'vision_msgs/msg/BoundingBox2DArray.msg': [HEADER, 'vision_msgs/BoundingBox2D[] boxes'],
    'vision_msgs/msg/ObjectHypothesis.msg': ['string class_id', 'float64 score'],
    'vision_msgs/msg/ObjectHypothesisWithPose.msg': [
        'ObjectHypothesis hypothesis', 'geometry_msgs/PoseWithCovariance pose'],
    'vision_msgs/msg/Detection2D.msg': [
        HEADER, 'ObjectHypothesisWithPose[] results', 'BoundingBox2D bbox', 'string id'],
    'vision_msgs/msg/Detection2DArray.msg': [HEADER, 'Detection2D[] detections'],
    'vision_msgs/msg/BoundingBox3D.msg': [
        'geometry_msgs/Pose center', 'geometry_msgs/Vector3 size'],
    'vision_msgs/msg/Detection3D.msg': [
        HEADER, 'ObjectHypothesisWithPose[] results', 'BoundingBox3D bbox', 'string id'],
    'vision_msgs/msg/Detection3DArray.msg': [HEADER, 'Detection3D[] detections'],
    'vision_msgs/msg/VisionClass.msg': ['uint16 class_id', 'string class_name'],
    'vision_msgs/msg/LabelInfo.msg': [
        HEADER, 'vision_msgs/VisionClass[] class_map', 'float32 threshold'],
    'foxglove_msgs/msg/Point2.msg': ['float64 x', 'float64 y'],
    'foxglove_msgs/msg/Color.msg': ['float64 r', 'float64 g', 'float64 b', 'float64 a'],
    'foxglove_msgs/msg/CircleAnnotation.msg': [
        STAMP, 'foxglove_msgs/Point2 position', 'float64 diameter', 'float64 thickness',
        'foxglove_msgs/Color fill_color', 'foxglove_msgs/Color outline_color'],
    'foxglove_msgs/msg/PointsAnnotation.msg': [
        STAMP, 'uint8 UNKNOWN=0', 'uint8 POINTS=1', 'uint8 LINE_LOOP=2', 'uint8 LINE_STRIP=3',
        'uint8 LINE_LIST=4', 'uint8 type', 'foxglove_msgs/Point2[] points',
        'foxglove_msgs/Color outline_color', 'foxglove_msgs/Color[] outline_colors',
        'foxglove_msgs/Color fill_color', 'float64 thickness'],
    'foxglove_msgs/msg/TextAnnotation.msg': [
        STAMP, 'foxglove_msgs/Point2 position', 'string text', 'float64 font_size',
        'foxglove_msgs/Color text_color', 'foxglove_msgs/Color background_color'],
    'foxglove_msgs/msg/ImageAnnotations.msg': [
        'foxglove_msgs/CircleAnnotation[] circles', 'foxglove_msgs/PointsAnnotation[] points',
        'foxglove_msgs/TextAnnotation[] texts'],
    'tf2_msgs/msg/TFMessage.msg': ['geometry_msgs/TransformStamped[] transforms'],
    'composition_interfaces/srv/LoadNode.srv': [
        'string package_name', 'string plugin_name', 'string node_name', 'string node_namespace',
        'uint8 log_level', 'string[] remap_rules', 'rcl_interfaces/Parameter[] parameters',
        'rcl_interfaces/Parameter[] extra_arguments', '---', 'bool success',
        'string error_message', 'string full_node_name', 'uint64 unique_id'],
    'composition_interfaces/srv/UnloadNode.srv': [
        'uint64 unique_id', '---', 'bool success', 'string error_message'],
    'composition_interfaces/srv/ListNodes.srv': [
        '---', 'string[] full_node_names', 'uint64[] unique_ids'],
}
# Hashes of the upstream packages: two processes can communicate only if these are equal.
UPSTREAM_HASHES = {
    'vision_msgs/msg/Detection2DArray':
        '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'vision_msgs/msg/LabelInfo':
        '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'tf2_msgs/msg/TFMessage':
        'e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087',
    'composition_interfaces/srv/LoadNode':
        '2e521ef6066fba6d7fc3a3b175d486709f01b4d738d9a59188858546fc8e5acd',
}
SHARE = Path(sys.prefix) / 'share'
built_here = pytest.mark.skipif(
    not (SHARE / 'vision_msgs' / rosidl.STAMP).is_file(),
    reason='the message packages were not built by this package but come with ROS 2')

# Runs in a separate process: publishes until its standard input is closed, and answers one
# service.
PEER = """
from composition_interfaces.srv import LoadNode
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
import sys, threading
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

def answer(request, response):
    response.full_node_name = request.parameters[0].name + request.remap_rules[1]
    response.unique_id = 2 ** 63
    return response

hypothesis = ObjectHypothesisWithPose()
hypothesis.hypothesis.class_id = 'person'
hypothesis.hypothesis.score = 0.25
hypothesis.pose.covariance[35] = 7.0
detection = Detection2D(results=[hypothesis], id='4')
detection.bbox.center.position.x = 12.5
detection.bbox.size_y = 3.0
message = Detection2DArray(detections=[Detection2D(), detection])
message.header.frame_id = 'rgb'

rclpy.init()
node = rclpy.create_node('peer')
latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
publisher = node.create_publisher(Detection2DArray, 'detections', latched)
publisher.publish(message)
node.create_service(LoadNode, 'load_node', answer)
threading.Thread(target=lambda: (sys.stdin.read(), rclpy.shutdown()), daemon=True).start()
try:
    rclpy.spin(node)
except rclpy.executors.ExternalShutdownException:
    pass
"""


@pytest.fixture
def peer(live_graph, monkeypatch):
    """Run the peer process on the domain of the live graph."""
    pytest.importorskip('vision_msgs', reason='vision_msgs is not installed')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(live_graph.context.get_domain_id()))
    with subprocess.Popen([sys.executable, '-c', PEER], stdin=subprocess.PIPE) as process:
        yield live_graph.node('observer')
        process.stdin.close()
        try:
            process.wait(60.0)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def test_every_definition_is_listed_above():
    assert sorted(FIELDS) == sorted(str(path.relative_to(DEFINITIONS))
                                    for path in DEFINITIONS.rglob('*.*'))


@pytest.mark.parametrize('name', FIELDS)
def test_fields_are_those_of_upstream(name):
    lines = (line.split('#')[0].strip() for line in (DEFINITIONS / name).read_text().splitlines())
    assert [' '.join(line.split()) for line in lines if line] == FIELDS[name]


@built_here
@pytest.mark.parametrize('name', UPSTREAM_HASHES)
def test_type_hashes_are_those_of_upstream(name):
    description = json.loads((SHARE / f'{name}.json').read_text())
    hashes = {entry['type_name']: entry['hash_string'] for entry in description['type_hashes']}
    assert hashes[name] == f'RIHS01_{UPSTREAM_HASHES[name]}'


@built_here
@pytest.mark.parametrize('name', FIELDS)
def test_the_ament_index_lists_every_definition(name):
    package, path = name.split('/', 1)
    index = SHARE / 'ament_index' / 'resource_index'
    assert (index / 'packages' / package).is_file()
    listed = (index / 'rosidl_interfaces' / package).read_text().split('\n')
    assert path in listed
    assert (SHARE / name).is_file()


@built_here
def test_an_existing_build_is_not_repeated(tmp_path):
    assert not rosidl.build(DEFINITIONS / 'vision_msgs', tmp_path / 'log')
    assert not (tmp_path / 'log').exists()


@built_here
def test_a_wrong_definition_is_one_line_and_a_log(tmp_path, capfd):
    definition = tmp_path / 'wrong_msgs' / 'msg' / 'Wrong.msg'
    definition.parent.mkdir(parents=True)
    definition.write_text('no such syntax\n')
    assert rosidl.main([str(tmp_path), str(tmp_path / 'log')]) == 1
    [line] = capfd.readouterr().err.splitlines()
    assert line.startswith('reading the definitions of wrong_msgs failed; the log is')
    assert 'no such syntax' in (tmp_path / 'log').read_text()
    assert not (SHARE / 'wrong_msgs').exists()


def test_a_message_reaches_another_process_with_the_upstream_hash(peer):
    messages = import_module('vision_msgs.msg')
    received: list = []
    from rclpy.qos import DurabilityPolicy, QoSProfile

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.create_subscription(messages.Detection2DArray, 'detections', received.append, latched)
    assert wait_until(lambda: bool(received))
    detection = received[0].detections[1]
    assert (received[0].header.frame_id, detection.id) == ('rgb', '4')
    assert detection.results[0].hypothesis.class_id == 'person'
    assert detection.results[0].hypothesis.score == 0.25
    assert detection.results[0].pose.covariance[35] == 7.0
    assert (detection.bbox.center.position.x, detection.bbox.size_y) == (12.5, 3.0)
    [endpoint] = peer.get_publishers_info_by_topic('detections')
    announced = bytes(endpoint.topic_type_hash.value).hex()
    assert announced == UPSTREAM_HASHES['vision_msgs/msg/Detection2DArray']


def test_a_service_of_another_process_answers(peer):
    from rcl_interfaces.msg import Parameter

    services = import_module('composition_interfaces.srv')
    client = peer.create_client(services.LoadNode, 'load_node')
    assert wait_until(client.service_is_ready)
    request = services.LoadNode.Request(parameters=[Parameter(name='mode')],
                                        remap_rules=['a:=b', 'c:=d'])
    future = client.call_async(request)
    assert wait_until(future.done)
    assert future.result().full_node_name == 'modec:=d'
    assert future.result().unique_id == 2 ** 63
