# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Errors of users: each gives one line without a traceback and has no other effect."""

from __future__ import annotations

import subprocess
import sys
import time

from bombs import make_png
from conftest import REPOSITORY, wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402, I100
from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages, topic_checks  # noqa: E402
from ivf_ros.nodes.graph.health import Health, NodeStatus  # noqa: E402
from ivf_ros.nodes.graph.statistics import Statistics  # noqa: E402
from ivf_ros.nodes.graph.transport import SUBSCRIBE_QOS  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

pytestmark = pytest.mark.live

RUN_FUSION = 'from ivf_ros.nodes.fusion_node import main; raise SystemExit(main())'
RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (48, 64, 3)).astype(np.uint8)
GRAY = RANDOM.integers(0, 256, (48, 64)).astype(np.uint8)


def create_fusion(graph, *arguments, **overrides):
    """Create a fusion node; return it and the list that receives its diagnostics."""
    statuses: list[DiagnosticStatus] = []
    graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics', lambda m: statuses.extend(m.status), 10)
    node = graph.add(FusionNode, cli_args=['--ros-args', *arguments], parameter_overrides=[
        Parameter(name, value=value)
        for name, value in {'fusion.method': 'average', **overrides}.items()])
    return node, statuses


def create_cameras(graph, thermal, rgb):
    """Return a function that publishes one pair of images."""
    node = graph.node('cameras')
    publishers = {topic: node.create_publisher(messages.IMAGE.message_type, topic, 5)
                  for topic in ('thermal/image_raw', 'rgb/image_raw')}
    assert wait_until(lambda: all(p.get_subscription_count() for p in publishers.values()))

    def publish():
        stamp_ns = time.time_ns()
        for topic, image in (('thermal/image_raw', thermal), ('rgb/image_raw', rgb)):
            publishers[topic].publish(messages.image_to_message(Frame(image, stamp_ns, topic)))

    return publish


def publish_until(publish, condition, timeout_s=60.0):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        publish()
        if wait_until(condition, 0.05):
            return True
    return False


@pytest.mark.parametrize('text, message', [
    # unknown name
    ('/**:\n  ros__parameters:\n    fusion.methud: average\n',
     "unknown parameter 'fusion.methud'; did you mean fusion.method?"),
    # text instead of a number
    ('/**:\n  ros__parameters:\n    homography_timeout_s: soon\n',
     "parameter 'homography_timeout_s': Trying to set parameter"),
    # out of range
    ('/**:\n  ros__parameters:\n    fusion.dark_luma: 999.0\n', 'Min: 0.0, Max: 255.0'),
    # not one of the choices
    ('/**:\n  ros__parameters:\n    fusion.method: magic\n',
     "parameter 'fusion.method' must be one of fast, "),
    # invalid YAML
    ('fusion: [\n', "Couldn't parse params file"),
    # missing file
    (None, 'Error opening YAML file'),
])
@pytest.mark.parametrize('program', [['-c', RUN_FUSION],
                                     ['-m', 'ivf_ros.nodes.component_container', 'fusion']])
def test_a_wrong_parameter_file_is_reported_in_one_line(tmp_path, program, text, message):
    file = tmp_path / 'values.yaml'
    if text is not None:
        file.write_text(text)
    process = subprocess.run([sys.executable, *program, '--ros-args', '--params-file', str(file)],
                             cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
                             check=False)
    assert process.returncode == 1
    line = process.stderr.strip().splitlines()[-1]
    assert line.startswith('error: ') and message in line
    assert 'Traceback' not in process.stderr and '/src/' not in line


def test_swapped_cameras_are_recognised(live_graph):
    node, statuses = create_fusion(live_graph)
    assert node.autostart()
    publish = create_cameras(live_graph, COLOUR, GRAY)
    assert publish_until(publish, lambda: any(
        status.level == DiagnosticStatus.ERROR and status.message
        == "'/thermal/image_raw' carries images in colour: are the cameras swapped?"
        for status in statuses))


def test_thermal_with_a_palette_is_rejected_and_with_three_equal_channels_accepted(live_graph):
    node, statuses = create_fusion(live_graph)
    assert node.autostart()
    received = []
    live_graph.node('viewer').create_subscription(messages.IMAGE.message_type, 'fused/image',
                                                  received.append, 5)
    publish = create_cameras(live_graph, COLOUR[::-1], COLOUR)
    assert publish_until(publish, lambda: any('without a palette' in status.message
                                              for status in statuses))
    assert not received
    publish = create_cameras(live_graph, np.dstack([GRAY] * 3), COLOUR)
    assert publish_until(publish, lambda: received)


def test_a_topic_of_another_type_in_the_same_process_fails_to_activate(live_graph):
    node, statuses = create_fusion(live_graph, '-r', 'rgb/image_raw:=/rgb/camera_info')
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    expected = ("cannot activate: '/rgb/camera_info' cannot be sensor_msgs/msg/CameraInfo: this "
                'process knows it as sensor_msgs/msg/Image')
    assert wait_until(lambda: any(status.message == expected for status in statuses))


def test_a_publisher_of_another_type_in_another_process_is_reported(live_graph):
    stranger = live_graph.stranger('lidar')
    stranger.create_publisher(messages.CAMERA_INFO.message_type, 'rgb/image_raw', 5)
    node, statuses = create_fusion(live_graph)
    assert node.autostart()
    expected = ("'/rgb/image_raw' is published by /lidar as sensor_msgs/msg/CameraInfo, this node "
                'takes sensor_msgs/msg/Image')
    assert wait_until(lambda: any(expected in status.message for status in statuses))


def test_two_publishers_of_one_topic_are_reported_until_one_is_destroyed(live_graph):
    node, statuses = create_fusion(live_graph)
    assert node.autostart()
    first, second = (live_graph.node(name) for name in ('front', 'rear'))
    first.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 5)
    other = second.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 5)
    expected = "'/rgb/image_raw' has 2 publishers: /front, /rear"
    assert wait_until(lambda: any(expected in status.message for status in statuses))
    second.destroy_publisher(other)
    statuses.clear()
    assert wait_until(lambda: statuses and expected not in statuses[-1].message)


def test_incompatible_qos_is_reported_with_both_profiles(live_graph):
    node, statuses = create_fusion(live_graph, **{
        'qos_overrides./rgb/image_raw.subscription.reliability': 'reliable'})
    assert node.autostart()
    live_graph.node('camera').create_publisher(messages.IMAGE.message_type, 'rgb/image_raw',
                                               SUBSCRIBE_QOS)
    expected = ("'/rgb/image_raw': /camera offers BEST_EFFORT, VOLATILE; this node asks for "
                'RELIABLE, VOLATILE')
    assert wait_until(lambda: any(expected in status.message for status in statuses))


@pytest.mark.parametrize('node_class, topic, output_topic', [
    (FusionNode, '/thermal/image_raw', 'fused/image'),
    (DetectionNode, '/fused/image', 'detections'),
])
def test_a_topic_without_messages_for_five_seconds_is_logged_once(
        live_graph, monkeypatch, capfd, node_class, topic, output_topic):
    assert topic_checks.SILENCE_TIMEOUT_S == 5.0
    monkeypatch.setattr(topic_checks, 'SILENCE_TIMEOUT_S', 0.2)
    node = live_graph.add(node_class, parameter_overrides=[
        Parameter('fusion.method', value='average')] if node_class is FusionNode else [
        Parameter('detection.method', value='hog')])
    assert node.autostart()
    adapter = messages.DETECTIONS if output_topic == 'detections' else messages.IMAGE
    live_graph.node('viewer').create_subscription(adapter.message_type, output_topic, print, 5)
    statuses = []
    live_graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics', lambda m: statuses.extend(m.status), 10)
    assert wait_until(lambda: sum(f"on '{topic}' (nobody publishes it)" in status.message
                                  for status in statuses) >= 3)
    assert capfd.readouterr().err.count(f"on '{topic}' (nobody publishes it)") == 1


def test_a_warning_with_changing_numbers_is_logged_once_and_again_when_it_recurs(
        live_graph, capfd):
    warnings = [['frozen for 0.5 s'], ['frozen for 12 s'], [], ['frozen for 0.6 s']]
    remaining = iter(warnings)
    health = Health(live_graph.node('observed'),
                    lambda: NodeStatus('active', warnings=next(remaining, [])))
    for _ in warnings:
        health.publish_status()
    assert capfd.readouterr().err.count('frozen for') == 2
    health.stop()


@pytest.mark.parametrize('first, second, is_new', [
    ('got 100 bytes', 'got 20000 bytes', False),
    ('640x480 pixels', '1280x1024 pixels', False),
    ("it begins with b'\\xff\\'12'", 'it begins with b"G\'ARBAGE"', False),
    ('error 0x1f at 3.5 s', 'error 0xAB at 12 s', False),
    ("bad message on '/camera1/image'", "bad message on '/camera2/image'", True),
    ('step is 7', 'width is 7', True),
])
def test_errors_that_differ_only_in_numbers_are_of_one_kind(first, second, is_new):
    statistics = Statistics()
    assert statistics.record_error(first) and not statistics.record_error(first)
    assert statistics.record_error(second) == is_new
    assert statistics.take_error() == second
    # Two problems that alternate are each told once.
    assert not statistics.record_error(first) and not statistics.record_error(second)


def test_a_flood_of_truncated_images_is_logged_once_and_counted(live_graph, capfd):
    node, statuses = create_fusion(live_graph, rgb_transport='compressed')
    assert node.autostart()
    publisher = live_graph.node('camera').create_publisher(
        messages.COMPRESSED.message_type, 'rgb/image_raw/compressed', 5)
    assert wait_until(publisher.get_subscription_count)
    message = messages.compressed_to_message(Frame(COLOUR, 1, 'rgb'))
    complete = bytes(message.data)
    lengths = iter(range(len(complete) - 1, 0, -1))

    def publish():
        message.data = complete[:next(lengths)]
        publisher.publish(message)

    def drops():
        return max((int(value.value) for status in statuses for value in status.values
                    if value.key == 'drops.bad_message'), default=0)

    assert publish_until(publish, lambda: drops() >= 10)
    assert capfd.readouterr().err.count('truncated image file') == 1
    message.data = complete + b'dhav' + bytes(8000)
    received = []
    live_graph.node('viewer').create_subscription(messages.IMAGE.message_type, 'fused/image',
                                                  received.append, 5)
    assert publish_until(lambda: publisher.publish(message), lambda: received)


def test_fusion_goes_on_while_images_arrive_that_unpack_to_gigabytes(live_graph, capfd):
    node, statuses = create_fusion(live_graph, rgb_transport='compressed')
    assert node.autostart()
    camera = live_graph.node('camera')
    publishers = {adapter: camera.create_publisher(adapter.message_type, topic, 5)
                  for adapter, topic in ((messages.IMAGE, 'thermal/image_raw'),
                                         (messages.COMPRESSED, 'rgb/image_raw/compressed'))}
    assert wait_until(lambda: all(each.get_subscription_count() for each in publishers.values()))
    received = []
    live_graph.node('viewer').create_subscription(messages.IMAGE.message_type, 'fused/image',
                                                  received.append, 5)
    bomb = messages.compressed_to_message(Frame(COLOUR, 1, 'rgb'))
    bomb.data = make_png(20000, 20000)
    assert len(bomb.data) < 1_300_000
    started_s = time.monotonic()

    def publish():
        stamp_ns = time.time_ns()
        bomb.header = messages.make_header(stamp_ns - 1, 'rgb')
        publishers[messages.COMPRESSED].publish(bomb)
        for adapter, image in ((messages.IMAGE, GRAY), (messages.COMPRESSED, COLOUR)):
            publishers[adapter].publish(adapter.to_message(Frame(image, stamp_ns, 'camera')))

    def was_dropped():
        return any(value.key == 'drops.bad_message' and int(value.value) >= 3
                   for status in statuses for value in status.values)

    assert publish_until(publish, lambda: len(received) >= 10 and was_dropped())
    # Decoding three such images takes longer, and the pixels of each take 1.2 GB.
    assert time.monotonic() - started_s < 30.0
    line = ('image file of 20000x20000 pixels is too large; allowed are sides of 32766 and 100 '
            'megapixels')
    assert capfd.readouterr().err.count(line) == 1
    assert any(line in status.message for status in statuses)
