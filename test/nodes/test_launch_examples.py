# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files in launch/examples, read and run by the XML and YAML front ends of launch."""

from __future__ import annotations

import os
import sys

from conftest import wait_until
import pytest

pytest.importorskip('launch_ros', reason='the launch packages are not installed')
pytest.importorskip('launch_xml', reason='the XML front end of launch is not installed')
pytest.importorskip('bond', reason='the message package bond is not installed')
pytest.importorskip('launch_yaml', reason='the YAML front end of launch is not installed')

from sensor_msgs.msg import Image  # noqa: E402, I100
from test_launch import (  # noqa: E402, F401
    installed,
    Observer,
    read_output,
    ros2,
    START_TIMEOUT_S,
    stop,
)

# Does what the lifecycle manager of nav2 does at its start, with the same parameters.
MANAGER = """#!{python}
from bond.msg import Status
from lifecycle_msgs.srv import ChangeState
import rclpy

rclpy.init()
node = rclpy.create_node('manager', automatically_declare_parameters_from_overrides=True)
beating = set()
node.create_subscription(Status, 'bond', lambda status: beating.add(status.id), 100)
assert node.get_parameter('bond_timeout').value == 4.0
for name in node.get_parameter('node_names').value:
    client = node.create_client(ChangeState, name + '/change_state')
    client.wait_for_service()
    for transition in (1, 3):  # configure, activate
        request = ChangeState.Request()
        request.transition.id = transition
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future)
        assert future.result().success, name
    while name not in beating:
        rclpy.spin_once(node)
    print(node.get_namespace(), 'has a bond with', name, flush=True)
try:
    rclpy.spin(node)
except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
    pass
"""


@pytest.mark.parametrize('name', ['two_rigs.launch.xml', 'two_rigs.launch.yaml'])
def test_two_rigs_have_their_own_cameras(live_graph, ros2, name):  # noqa: F811
    observer = Observer(live_graph)

    launched = ros2('launch', 'ivf_ros', name)

    nodes = {f'{rig}/{node}' for rig in ('front', 'rear')
             for node in ('registration', 'fusion', 'perception', 'ivf_container')}
    assert wait_until(lambda: nodes <= observer.nodes(), START_TIMEOUT_S), read_output(launched)
    expected = {f'/{rig}/{camera}/{topic}' for rig in ('front', 'rear')
                for camera in ('flir', 'camera') for topic in ('image_raw', 'camera_info')}
    # Fusion takes images as soon as somebody wants its output, registration takes CameraInfo.
    for rig in ('front', 'rear'):
        observer.node.create_subscription(
            Image, f'/{rig}/fused/image', lambda message: None, 1)

    def subscribed() -> set[str]:
        return {topic for rig in ('front', 'rear') for node in ('registration', 'fusion')
                for topic, _ in observer.node.get_subscriber_names_and_types_by_node(
                    node, f'/{rig}') if topic.endswith(('image_raw', 'camera_info'))}

    assert wait_until(lambda: expected <= subscribed(), START_TIMEOUT_S), subscribed()
    assert subscribed() == expected
    assert stop(launched), read_output(launched)
    output = read_output(launched)
    assert 'Traceback' not in output and 'process has died' not in output, output


def test_the_nodes_have_a_bond_with_their_manager(
        live_graph, ros2, monkeypatch, tmp_path):  # noqa: F811
    packages = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    executable = tmp_path / 'lib' / 'nav2_lifecycle_manager' / 'lifecycle_manager'
    packages.mkdir(parents=True)
    executable.parent.mkdir(parents=True)
    (packages / 'nav2_lifecycle_manager').touch()
    executable.write_text(MANAGER.format(python=sys.executable))
    executable.chmod(0o755)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path}:{os.environ["AMENT_PREFIX_PATH"]}')

    launched = ros2('launch', 'ivf_ros', 'nav2_lifecycle_manager.launch.xml', 'namespace:=robot')

    expected = [f'/robot has a bond with {name}'
                for name in ('registration', 'fusion', 'perception')]
    assert wait_until(lambda: all(line in read_output(launched) for line in expected),
                      START_TIMEOUT_S), read_output(launched)
    assert stop(launched), read_output(launched)
