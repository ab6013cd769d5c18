# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch file declares what it takes and starts what it says; needs the launch packages."""

from __future__ import annotations

from conftest import REPOSITORY
import pytest

pytest.importorskip('launch_ros', reason='the launch packages are not installed')

from launch import LaunchContext  # noqa: E402, I100
from launch.launch_description_sources import (  # noqa: E402
    get_launch_description_from_python_launch_file,
)
from launch_ros.actions import Node  # noqa: E402


@pytest.fixture
def description():
    return get_launch_description_from_python_launch_file(
        str(REPOSITORY / 'launch' / 'ivf.launch.py'))


def executables(description, **arguments) -> set[str]:
    """Return the executables that would be started with the arguments."""
    context = LaunchContext()
    for declared in description.get_launch_arguments():
        if declared.name != 'params_file':  # lies in an installed share directory
            declared.visit(context)
    context.launch_configurations.update(arguments)
    return {node.node_executable for node in description.entities
            if isinstance(node, Node) and node.condition.evaluate(context)}


def test_every_argument_is_described_and_switches_name_their_choices(description):
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert {'namespace', 'params_file', 'use_sim_time', 'autostart', 'log_level', 'mode',
            'thermal', 'rgb', 'source'} == set(arguments)
    assert all(argument.description for argument in arguments.values())
    assert arguments['mode'].choices == ['composed', 'processes']
    for name in ('use_sim_time', 'autostart'):
        assert arguments[name].choices == ['true', 'false']


def test_by_default_one_container_is_started_and_nothing_replayed(description):
    assert executables(description) == {'component_container'}


def test_on_request_every_stage_gets_a_process_and_a_source_is_replayed(description):
    started = executables(description, mode='processes', source='simulator')
    assert started == {'registration_node', 'fusion_node', 'segmentation_node', 'detection_node',
                       'replay_node'}
