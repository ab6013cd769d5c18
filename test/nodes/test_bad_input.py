# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What users get wrong: each is one clear line, never a traceback, and nothing else breaks."""

from __future__ import annotations

import subprocess
import sys
import time

from conftest import REPOSITORY, wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402, I100
from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages, topic_watch  # noqa: E402
from ivf_ros.nodes.graph.health import Health, NodeStatus  # noqa: E402
from ivf_ros.nodes.graph.transport import SUBSCRIBE_QOS  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

pytestmark = pytest.mark.live

RUN_FUSION = 'from ivf_ros.nodes.fusion_node import main; raise SystemExit(main())'
RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (48, 64, 3)).astype(np.uint8)
GRAY = RANDOM.integers(0, 256, (48, 64)).astype(np.uint8)


def fusion(graph, *arguments, **overrides):
    """Start a fusion node and return it with what it says on /diagnostics."""
    told: list[DiagnosticStatus] = []
    graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics', lambda m: told.extend(m.status), 10)
    node = graph.add(FusionNode, cli_args=['--ros-args', *arguments], parameter_overrides=[
        Parameter(name, value=value)
        for name, value in {'fusion.method': 'average', **overrides}.items()])
    return node, told


def cameras(graph, thermal, rgb):
    """Return what publishes one pair of images."""
    node = graph.node('cameras')
    publishers = {topic: node.create_publisher(messages.IMAGE.message_type, topic, 5)
                  for topic in ('thermal/image_raw', 'rgb/image_raw')}
    assert wait_until(lambda: all(p.get_subscription_count() for p in publishers.values()))

    def publish():
        stamp_ns = time.time_ns()
        for topic, image in (('thermal/image_raw', thermal), ('rgb/image_raw', rgb)):
            publishers[topic].publish(messages.image_to_message(Frame(image, stamp_ns, topic)))

    return publish


def repeated(publish, condition, timeout_s=10.0):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        publish()
        if wait_until(condition, 0.05):
            return True
    return False


@pytest.mark.parametrize('text, message', [
    # a name that nobody knows
    ('/**:\n  ros__parameters:\n    fusion.methud: average\n',
     "unknown parameter 'fusion.methud'; did you mean fusion.method?"),
    # text where a number belongs
    ('/**:\n  ros__parameters:\n    homography_timeout_s: soon\n',
     "parameter 'homography_timeout_s': Trying to set parameter"),
    # beyond the range
    ('/**:\n  ros__parameters:\n    fusion.dark_luma: 999.0\n', 'Min: 0.0, Max: 255.0'),
    # none of the choices
    ('/**:\n  ros__parameters:\n    fusion.method: magic\n',
     "parameter 'fusion.method' must be one of fast, "),
    # no YAML
    ('fusion: [\n', "Couldn't parse params file"),
    # no file
    (None, 'Error opening YAML file'),
])
@pytest.mark.parametrize('program', [['-c', RUN_FUSION],
                                     ['-m', 'ivf_ros.nodes.component_container', 'fusion']])
def test_a_wrong_parameter_file_is_told_in_one_line(tmp_path, program, text, message):
    file = tmp_path / 'values.yaml'
    if text is not None:
        file.write_text(text)
    ended = subprocess.run([sys.executable, *program, '--ros-args', '--params-file', str(file)],
                           cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    line = ended.stderr.strip().splitlines()[-1]
    assert line.startswith('error: ') and message in line
    assert 'Traceback' not in ended.stderr and '/src/' not in line


def test_swapped_cameras_are_recognised(live_graph):
    node, told = fusion(live_graph)
    assert node.autostart()
    publish = cameras(live_graph, COLOUR, GRAY)
    assert repeated(publish, lambda: any(
        status.level == DiagnosticStatus.ERROR and status.message
        == "'/thermal/image_raw' carries images in colour: are the cameras swapped?"
        for status in told))


def test_thermal_in_false_colours_is_refused_and_in_three_equal_channels_taken(live_graph):
    node, told = fusion(live_graph)
    assert node.autostart()
    received = []
    live_graph.node('viewer').create_subscription(messages.IMAGE.message_type, 'fused/image',
                                                  received.append, 5)
    publish = cameras(live_graph, COLOUR[::-1], COLOUR)
    assert repeated(publish, lambda: any('without a palette' in status.message
                                         for status in told))
    assert not received
    publish = cameras(live_graph, np.dstack([GRAY] * 3), COLOUR)
    assert repeated(publish, lambda: received)


def test_a_topic_of_another_type_in_the_same_process_fails_to_activate(live_graph):
    node, told = fusion(live_graph, '-r', 'rgb/image_raw:=/rgb/camera_info')
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    expected = ("cannot activate: '/rgb/camera_info' cannot be sensor_msgs/msg/CameraInfo: this "
                'process knows it as sensor_msgs/msg/Image')
    assert wait_until(lambda: any(status.message == expected for status in told))


def test_a_topic_of_another_type_elsewhere_is_told(live_graph):
    stranger = live_graph.stranger('lidar')
    stranger.create_publisher(messages.CAMERA_INFO.message_type, 'rgb/image_raw', 5)
    node, told = fusion(live_graph)
    assert node.autostart()
    expected = ("'/rgb/image_raw' is published by /lidar as sensor_msgs/msg/CameraInfo, this node "
                'takes sensor_msgs/msg/Image')
    assert wait_until(lambda: any(expected in status.message for status in told))


def test_two_publishers_of_one_topic_are_told_and_told_no_more_when_one_leaves(live_graph):
    node, told = fusion(live_graph)
    assert node.autostart()
    first, second = (live_graph.node(name) for name in ('front', 'rear'))
    first.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 5)
    other = second.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 5)
    expected = "'/rgb/image_raw' has 2 publishers: /front, /rear"
    assert wait_until(lambda: any(expected in status.message for status in told))
    second.destroy_publisher(other)
    told.clear()
    assert wait_until(lambda: told and expected not in told[-1].message)


def test_a_qos_that_does_not_fit_is_told_with_both(live_graph):
    node, told = fusion(live_graph, **{
        'qos_overrides./rgb/image_raw.subscription.reliability': 'reliable'})
    assert node.autostart()
    live_graph.node('camera').create_publisher(messages.IMAGE.message_type, 'rgb/image_raw',
                                               SUBSCRIBE_QOS)
    expected = ("'/rgb/image_raw': /camera offers BEST_EFFORT, VOLATILE; this node asks for "
                'RELIABLE, VOLATILE')
    assert wait_until(lambda: any(expected in status.message for status in told))


@pytest.mark.parametrize('node_class, topic, wants', [
    (FusionNode, '/thermal/image_raw', 'fused/image'),
    (DetectionNode, '/fused/image', 'detections'),
])
def test_after_five_silent_seconds_the_log_names_the_topic_once(
        live_graph, monkeypatch, capfd, node_class, topic, wants):
    assert topic_watch.SILENCE_TIMEOUT_S == 5.0
    monkeypatch.setattr(topic_watch, 'SILENCE_TIMEOUT_S', 0.2)
    node = live_graph.add(node_class, parameter_overrides=[
        Parameter('fusion.method', value='average')] if node_class is FusionNode else [
        Parameter('detection.method', value='hog')])
    assert node.autostart()
    wire = messages.DETECTIONS if wants == 'detections' else messages.IMAGE
    live_graph.node('viewer').create_subscription(wire.message_type, wants, print, 5)
    told = []
    live_graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics', lambda m: told.extend(m.status), 10)
    assert wait_until(lambda: sum(f"on '{topic}' (nobody publishes it)" in status.message
                                  for status in told) >= 3)
    assert capfd.readouterr().err.count(f"on '{topic}' (nobody publishes it)") == 1


def test_a_warning_that_counts_the_seconds_is_logged_once_and_again_when_it_comes_back(
        live_graph, capfd):
    warnings = [['frozen for 0.5 s'], ['frozen for 12 s'], [], ['frozen for 0.6 s']]
    told = iter(warnings)
    health = Health(live_graph.node('counting'),
                    lambda: NodeStatus('active', warnings=next(told, [])))
    for _ in warnings:
        health.publish_status()
    assert capfd.readouterr().err.count('frozen for') == 2
    health.end()
