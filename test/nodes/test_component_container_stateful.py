# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The container under any sequence of requests: it answers each, and lists what is there."""

from __future__ import annotations

import itertools
import os
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
NUMBERS = itertools.count()
QUICK = {FUSION: ('fusion.method', 'average'), REGISTRATION: ('registration.method', 'calibrated')}
# Requests are good ones but for one of these.
ODD = {
    'name': ['not a name', '1st', 'ü', 'a' * 300, 'a/b', '-'],
    'namespace': ['/', 'front', '/front/', '//', '/a b', '/' * 9, '/' + 'n' * 300],
    'rules': [['rgb/image_raw:=/front/image_raw'], ['no rule'], [':='], ['__ns:=/x'],
              ['__node:=y'], ['']],
    'parameters': [[('autostart', True)], [('autostart', 'yes')], [('unknown', 1)], [('', 1)],
                   [('fusion.method', 'magic')], [('fusion.dark_luma', float('nan'))]],
    'extra': [[('use_intra_process_comms', False)], [('forward_global_arguments', False)],
              [('use_intra_process_comms', 'yes')], [('other', True)]],
    'log_level': [10, 50, 7, 255],
    'is_garbled': [True]}
ODDITIES = st.sampled_from([None, None, None, *((field, value) for field, values in ODD.items()
                                                for value in values)])


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
PLUGINS = st.sampled_from([FUSION, FUSION, REGISTRATION, *FOREIGN, 'ivf_ros::NoNode', ''])


class ContainerMachine(RuleBasedStateMachine):
    """Requests to a container, in the thread of its services."""

    def __init__(self, context):
        super().__init__()
        self.threads = set(threading.enumerate())
        self.context = context
        # A namespace of its own: other tests may run in the same domain.
        self.namespace = f'/test_{os.getpid()}_{next(NUMBERS)}'
        self.manager = ComponentManager(context=context, namespace=self.namespace)
        self.executor = SingleThreadedExecutor(context=context)
        self.executor.add_node(self.manager)
        self.loaded: dict[int, tuple[str, str]] = {}  # full name and plugin
        self.latest_id = 0

    @rule(plugin=PLUGINS, name=st.sampled_from(['', 'front']),
          is_rear=st.booleans(), odd=ODDITIES)
    def load(self, plugin, name, is_rear, odd):
        namespace = f'{self.namespace}/rear' if is_rear else ''
        request = {'name': name, 'namespace': namespace, 'rules': [], 'parameters': [],
                   'extra': [], 'log_level': 0, 'is_garbled': False}
        if odd is not None:
            request[odd[0]] = odd[1]
        values = [('autostart', False), QUICK[plugin]] if plugin in QUICK else []
        messages = [[Parameter(name, value=value).to_parameter_msg() for name, value in pairs]
                    for pairs in (values + request['parameters'], request['extra'])]
        if request['is_garbled']:  # a type that does not exist
            messages[0].append(ParameterMessage(name='garbled'))
            messages[0][-1].value.type = 99
        # A failed component may have been unloaded meanwhile.
        self.note_failures()
        response = self.manager._on_load(LoadNode.Request(
            package_name='any', plugin_name=plugin, node_name=request['name'],
            node_namespace=request['namespace'], remap_rules=request['rules'],
            parameters=messages[0], extra_arguments=messages[1],
            log_level=request['log_level']), LoadNode.Response())
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
    def load_a_node_of_a_used_name(self, number):
        working = [name for name, plugin in self.loaded.values() if plugin != 'other::Failing']
        if not working:
            return
        namespace, _, name = working[number % len(working)].rpartition('/')
        response = self.manager._on_load(LoadNode.Request(
            plugin_name='other::Working', node_name=name, node_namespace=namespace or '/'),
            LoadNode.Response())
        assert not response.success and 'runs here already' in response.error_message

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
        expected = sorted(name for name, _ in self.loaded.values()
                          if name.startswith(self.namespace))
        # A node leaves the graph when the turn of its executor ends.
        assert wait_until(lambda: self.find_names() == expected), (self.find_names(), expected)

    def find_names(self):
        """Return the full names of the nodes below the namespace of the container."""
        names = [f'{namespace}/{name}' for name, namespace
                 in self.manager.get_node_names_and_namespaces()
                 if namespace.startswith(self.namespace)]
        names.remove(self.manager.get_fully_qualified_name())
        return sorted(names)

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
