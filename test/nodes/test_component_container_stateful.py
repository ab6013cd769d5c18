# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The container under any sequence of requests: it answers each, and lists what is there."""

from __future__ import annotations

import threading

from conftest import wait_until
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    rule,
    RuleBasedStateMachine,
    run_state_machine_as_test,
)
from machine_settings import machine_settings
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode  # noqa: E402, I100
from ivf_ros.nodes.component_container import ComponentManager  # noqa: E402
from ivf_ros.nodes.graph.components import load_component_class  # noqa: E402
from rcl_interfaces.msg import Parameter as ParameterMessage  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

FUSION, REGISTRATION = 'ivf_ros::FusionNode', 'ivf_ros::RegistrationNode'
QUICK = {FUSION: ('fusion.method', 'average'), REGISTRATION: ('registration.method', 'calibrated')}
# Half of the values are good ones, so that most requests succeed.
NAMES = st.one_of(st.sampled_from(['', 'front']), st.sampled_from(
    ['', 'rear', 'not a name', '1st', 'ü', 'a' * 300, 'a/b', '-']))
NAMESPACES = st.one_of(st.just(''), st.sampled_from(
    ['', '/', '/front', 'front', '/front/', '//', '/a b', '/' * 9, '/' + 'n' * 300]))
RULES = st.one_of(st.just([]), st.lists(st.sampled_from(
    ['rgb/image_raw:=/front/image_raw', 'no rule', ':=', '__ns:=/x', '__node:=y', '']),
    max_size=2))
PARAMETERS = st.one_of(st.just([]), st.lists(st.sampled_from([
    ('autostart', True), ('autostart', 'yes'), ('homography_timeout_s', 0.5), ('unknown', 1),
    ('fusion.method', 'magic'), ('', 1), ('fusion.dark_luma', float('nan'))]), max_size=2))
EXTRA = st.one_of(st.just([]), st.lists(st.sampled_from([
    ('use_intra_process_comms', True), ('use_intra_process_comms', False),
    ('forward_global_arguments', False), ('use_intra_process_comms', 'yes'), ('other', True)]),
    max_size=2))


class Working(Node):
    """A component of another package."""

    def __init__(self, **options):
        super().__init__('working', **options)


class Failing(Working):
    """A component of another package whose timer raises."""

    def __init__(self, **options):
        super().__init__(**options)
        self.create_timer(0.001, lambda: 1 / 0)


class Broken(Working):
    """A component of another package that cannot be created, and is left half done."""

    def __init__(self, **options):
        super().__init__(**options)
        self.create_timer(1.0, self._look)
        raise KeyError('camera')

    def _look(self):
        """Do nothing."""


FOREIGN = {f'other::{cls.__name__}': cls for cls in (Working, Failing, Broken)}
PLUGINS = st.sampled_from([FUSION, FUSION, REGISTRATION, *FOREIGN, 'ivf_ros::NoNode', '', 'ü'])


class ContainerMachine(RuleBasedStateMachine):
    """Requests to a container, in the thread of its services."""

    def __init__(self, context):
        super().__init__()
        self.threads = set(threading.enumerate())
        self.context = context
        self.manager = ComponentManager(context=context)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.manager)
        self.loaded: dict[int, tuple[str, str]] = {}  # full name and plugin
        self.latest_id = 0

    @rule(plugin=PLUGINS, name=NAMES, namespace=NAMESPACES, rules=RULES, parameters=PARAMETERS,
          extra=EXTRA, log_level=st.sampled_from([0, 0, 0, 50, 7, 255]), is_garbled=st.booleans())
    def load(self, plugin, name, namespace, rules, parameters, extra, log_level, is_garbled):
        values = [('autostart', False), *parameters]
        if plugin in QUICK:
            values.append(QUICK[plugin])
        messages = [[Parameter(name, value=value).to_parameter_msg() for name, value in pairs]
                    for pairs in (values if plugin in QUICK else parameters, extra)]
        if is_garbled and parameters:  # a type that does not exist
            messages[0].append(ParameterMessage(name='garbled'))
            messages[0][-1].value.type = 99
        # A failed component may have been unloaded meanwhile.
        self.note_failures()
        response = self.manager._on_load(LoadNode.Request(
            package_name='any', plugin_name=plugin, node_name=name, node_namespace=namespace,
            remap_rules=rules, parameters=messages[0], extra_arguments=messages[1],
            log_level=log_level), LoadNode.Response())
        assert response.success != bool(response.error_message)
        assert '\n' not in response.error_message
        if not response.success:
            return
        assert plugin in (*QUICK, *FOREIGN) and plugin != 'other::Broken'
        assert response.unique_id > self.latest_id  # an id is never used again
        self.latest_id = response.unique_id
        # Two nodes of one name would remove each other from the ROS graph.
        assert response.full_node_name not in [name for name, _ in self.loaded.values()]
        self.loaded[response.unique_id] = response.full_node_name, plugin

    @rule(number=st.integers(0, 9))
    def unload_a_loaded_node(self, number):
        if self.loaded:
            self.unload(sorted(self.loaded)[number % len(self.loaded)])

    @rule(id_=st.sampled_from([0, 1, 99, 2 ** 64 - 1]))
    def unload_any(self, id_):
        self.unload(id_)

    def unload(self, id_):
        self.note_failures()
        response = self.manager._on_unload(UnloadNode.Request(unique_id=id_),
                                           UnloadNode.Response())
        assert response.success == (id_ in self.loaded), response.error_message
        assert response.success != bool(response.error_message)
        self.loaded.pop(id_, None)

    @rule()
    def wait_for_the_failing_ones(self):
        """Check that a component that raises is unloaded, and no other one is."""
        self.note_failures()
        assert wait_until(lambda: self.spin_once() or not any(
            plugin == 'other::Failing' for _, plugin in self.loaded.values()))

    @rule()
    def spin_once(self):
        self.executor.spin_once(timeout_sec=0.02)
        self.note_failures()

    def note_failures(self):
        """Forget the failing components that the container has unloaded."""
        for id_ in self.loaded.keys() - self.manager._components.keys():
            assert self.loaded.pop(id_)[1] == 'other::Failing'

    @invariant()
    def the_list_is_that_of_the_loaded_nodes(self):
        self.note_failures()
        response = self.manager._on_list(ListNodes.Request(), ListNodes.Response())
        assert dict(zip(response.unique_ids, response.full_node_names, strict=True)) == \
            {id_: name for id_, (name, _) in self.loaded.items()}
        assert self.manager.failure is None

    @invariant()
    def only_loaded_nodes_are_in_the_graph(self):
        """Nothing is left of a node that was unloaded, or that could not be loaded."""
        expected = sorted(['/component_container', *(name for name, _ in self.loaded.values())])
        # A node leaves the graph when the turn of its executor ends.
        assert wait_until(lambda: self.find_names() == expected), (self.find_names(), expected)

    def find_names(self):
        """Return the full names of the nodes in the ROS graph."""
        return sorted(f'{namespace.rstrip("/")}/{name}' for name, namespace
                      in self.manager.get_node_names_and_namespaces())

    def teardown(self):
        self.executor.remove_node(self.manager)
        self.manager.destroy_node()
        self.executor.shutdown()
        assert wait_until(lambda: not set(threading.enumerate()) - self.threads)


def test_each_request_is_answered_and_the_list_is_true(live_graph, monkeypatch):
    monkeypatch.setattr('ivf_ros.nodes.component_container.load_component_class',
                        lambda plugin: FOREIGN.get(plugin) or load_component_class(plugin))
    run_state_machine_as_test(lambda: ContainerMachine(live_graph.context),
                              settings=machine_settings(15, stateful_step_count=15))
