# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Namespaces, node names and remappings that ROS refuses: one line and an exit code, always."""

from __future__ import annotations

import os
import subprocess
import sys

from conftest import DOMAIN_IDS, REPOSITORY, wait_until
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from composition_interfaces.srv import LoadNode  # noqa: E402, I100
from ivf_ros.nodes.component_container import ComponentManager  # noqa: E402
from ivf_ros.nodes.graph.components import remove_node_name  # noqa: E402

LONG = 240 * 'a'
PROGRAMS = {
    'fusion': ['-c', 'import sys; from ivf_ros.nodes.fusion_node import main; sys.exit(main())'],
    'replay': ['-c', 'import sys; from ivf_ros.nodes.replay_node import main; sys.exit(main())'],
    'container': ['-m', 'ivf_ros.nodes.component_container', 'fusion'],
}
RULES = {'long namespace': f'__ns:=/{LONG}', 'bad namespace': '__ns:=/1st',
         'namespace with a space': '__ns:=a b', 'bad node name': '__node:=a/b',
         'too long node name': f'__node:={LONG}{LONG}', 'long node name': f'__node:={LONG}',
         'bad topic': 'rgb/image_raw:=/a b', 'nothing': ':='}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
        check=False, env={**os.environ, 'ROS_DOMAIN_ID': str(next(DOMAIN_IDS)),
                          'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', **environment})


@pytest.mark.parametrize('rule', RULES.values(), ids=RULES)
@pytest.mark.parametrize('program', PROGRAMS)
def test_a_process_refuses_a_name_in_one_line(program, rule):
    process = run(*PROGRAMS[program], '--ros-args', '-r', rule)
    assert process.returncode == 1, process.stderr
    assert 'Traceback' not in process.stderr
    assert [line for line in process.stderr.splitlines() if line.startswith('error: ')] \
        == process.stderr.splitlines()[-1:]
    assert 'Exception' not in process.stderr.splitlines()[-1]


@pytest.mark.parametrize('namespace', [f'/{LONG}', '/1st', 'a b', 'a//b', '~'])
def test_the_view_refuses_a_namespace_in_one_line(namespace, tmp_path):
    pytest.importorskip('rerun', reason='the view needs rerun-sdk')
    process = run('-m', 'ivf_ros.cli', 'view', '--topics', '--namespace', namespace, '--out',
                  str(tmp_path / 'a.rrd'))
    assert process.returncode == 1
    assert 'Traceback' not in process.stderr
    assert process.stderr.splitlines()[-1].startswith('ivf view: ')


@pytest.mark.parametrize('arguments', [
    ['replay', 'simulator', '--record', '{}/bag'],
    ['demo', '--source', 'simulator', '--out', '{}/out']], ids=['replay', 'demo'])
def test_a_command_refuses_a_domain_in_one_line(arguments, tmp_path):
    process = run('-m', 'ivf_ros.cli', *(word.format(tmp_path) for word in arguments),
                  ROS_DOMAIN_ID='nonsense')
    assert process.returncode == 1
    assert 'Traceback' not in process.stderr
    assert process.stderr.splitlines()[-1].startswith(f'ivf {arguments[0]}: ')


def test_a_container_refuses_a_namespace_and_goes_on(live_graph):
    live_graph.add(ComponentManager)
    client = live_graph.node('client').create_client(
        LoadNode, '/component_container/_container/load_node')
    assert client.wait_for_service(10.0)
    for namespace, expected in ((f'/{LONG}', False), ('/1st', False), ('/front', True)):
        future = client.call_async(LoadNode.Request(
            package_name='ivf_ros', plugin_name='ivf_ros::FusionNode', node_namespace=namespace))
        assert wait_until(future.done)
        assert future.result().success is expected, future.result().error_message
        assert '\n' not in future.result().error_message
        assert bool(future.result().error_message) is not expected


def test_the_name_of_the_container_is_not_that_of_its_nodes():
    assert remove_node_name(['x', '--ros-args', '-r', '__node:=a']) == ['x', '--ros-args']
    assert remove_node_name(['--ros-args', '--remap', '__name:=a', '-r', '__ns:=/b', '-r',
                             '__node:=c']) == ['--ros-args', '-r', '__ns:=/b']
    assert remove_node_name(['-p', '__node:=a']) == ['-p', '__node:=a']
    assert remove_node_name(['__node:=a']) == ['__node:=a']
