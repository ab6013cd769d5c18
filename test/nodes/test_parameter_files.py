# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dataclasses, ROS parameters, parameter files and documentation agree."""

from __future__ import annotations

from conftest import REPOSITORY
from ivf_ros import parameters
from ivf_ros.nodes.graph import parameter_files
from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS
import pytest
import yaml

REMEDY = 'run python -m ivf_ros.nodes.graph.parameter_files'


@pytest.mark.parametrize('path', parameter_files.generate_texts())
def test_the_file_is_generated_from_the_dataclasses(path):
    assert (REPOSITORY / path).read_text() == parameter_files.generate_texts()[path], REMEDY


@pytest.mark.parametrize('node', NODE_PARAMETERS)
@pytest.mark.parametrize('file, key', [('ivf', '/**/{}'), ('{}', '/**')])
def test_a_parameter_file_read_back_gives_the_defaults(node, file, key):
    path = REPOSITORY / 'config' / f'{file.format(node)}.yaml'
    values = yaml.safe_load(path.read_text())[key.format(node)]['ros__parameters']
    cls = NODE_PARAMETERS[node]
    assert parameters.build(cls, values) == cls()


@pytest.mark.parametrize('node', NODE_PARAMETERS)
def test_every_description_is_a_sentence(node):
    for declared in parameters.declarations(NODE_PARAMETERS[node]):
        assert declared.description.endswith('.'), declared.name


@pytest.mark.parametrize('node', NODE_PARAMETERS)
def test_every_parameter_is_declared_with_default_description_and_range(node, live_graph):
    from ivf_ros.nodes.graph import ros_parameters

    cls = NODE_PARAMETERS[node]
    ros_node = live_graph.node('holder')
    assert ros_parameters.declare(ros_node, cls) == cls()
    for declared in parameters.declarations(cls):
        described = ros_node.describe_parameter(declared.name)
        assert described.description == declared.description
        assert described.read_only == (not declared.live)
        ranges = [*described.floating_point_range, *described.integer_range]
        limits = [limit for limit in (declared.minimum, declared.maximum) if limit is not None]
        assert bool(ranges) == bool(limits)
        for limit in limits:
            assert limit in (ranges[0].from_value, ranges[0].to_value)
