# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The container: protocol of composition_interfaces, and frames passed by reference."""

from __future__ import annotations

from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from conftest import REPOSITORY, wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode  # noqa: E402, I100
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from ivf_ros.nodes.component_container import ComponentManager  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.components import ComponentError, load_component_class  # noqa: E402
from ivf_ros.nodes.graph.faults import MAX_EXECUTOR_FAULTS_PER_MINUTE  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.logging import get_logger_level, LoggingSeverity  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

SERVICES = {LoadNode: 'load_node', UnloadNode: 'unload_node', ListNodes: 'list_nodes'}
FUSION, REGISTRATION = 'ivf_ros::FusionNode', 'ivf_ros::RegistrationNode'
UNCONFIGURED, INACTIVE, ACTIVE = 1, 2, 3  # of lifecycle_msgs/msg/State


class ContainerClient:
    """A client of the services of a container, in another node."""

    def __init__(self, node, container='/component_container'):
        self._node, self._container = node, container

    def call(self, service, name, **request):
        client = self._node.create_client(service, name)
        assert wait_until(client.service_is_ready), name
        future = client.call_async(service.Request(**request))
        assert wait_until(future.done, 60.0), name
        self._node.destroy_client(client)
        return future.result()

    def container(self, service, **request):
        return self.call(service, f'{self._container}/_container/{SERVICES[service]}', **request)

    def load(self, plugin, parameters=None, extra=None, **request):
        def as_messages(values):
            return [Parameter(name, value=value).to_parameter_msg()
                    for name, value in (values or {}).items()]

        return self.container(LoadNode, package_name='ivf_ros', plugin_name=plugin,
                              parameters=as_messages(parameters),
                              extra_arguments=as_messages(extra), **request)

    def names(self):
        listed = self.container(ListNodes)
        return dict(zip(listed.unique_ids, listed.full_node_names))


@pytest.fixture
def container(live_graph):
    """Run a container in this process, and a client."""
    manager = live_graph.add(ComponentManager)
    return ContainerClient(live_graph.node('client')), manager


@contextmanager
def container_process(live_graph, *arguments, before='import sys'):
    """Run the container as a process in the domain of the graph; end it by SIGINT."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id())}
    code = f'{before}; from ivf_ros.nodes.component_container import main; sys.exit(main())'
    with subprocess.Popen([sys.executable, '-c', code, *arguments],
                          cwd=REPOSITORY, env=environment) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(60.0) == 0
        finally:
            process.kill()


def test_nodes_are_loaded_listed_and_unloaded_at_run_time(container):
    client, _ = container
    assert client.names() == {}
    first = client.load(FUSION, {'fusion.method': 'average', 'autostart': False})
    assert (first.success, first.error_message) == (True, '')
    assert (first.unique_id, first.full_node_name) == (1, '/fusion')
    second = client.load(REGISTRATION, {'registration.method': 'dense'}, node_name='aligner',
                         node_namespace='/robot')
    assert second.full_node_name == '/robot/aligner'
    assert client.names() == {1: '/fusion', 2: '/robot/aligner'}
    value, = client.call(GetParameters, '/fusion/get_parameters', names=['fusion.method']).values
    assert value.string_value == 'average'
    # The parameter autostart decides.
    assert client.call(GetState, '/fusion/get_state').current_state.id == UNCONFIGURED
    assert client.call(GetState, '/robot/aligner/get_state').current_state.id == ACTIVE
    assert client.container(UnloadNode, unique_id=1).success
    assert client.names() == {2: '/robot/aligner'}
    third = client.load(FUSION, {'fusion.method': 'average'})
    assert third.unique_id == 3  # an id is never used again


def test_the_log_level_of_a_node_ends_with_it(container):
    """A logger belongs to the process: the next node of this name finds it as it was left."""
    client, manager = container
    parameters = {'fusion.method': 'average', 'autostart': False}
    before = get_logger_level('fusion')
    silent = client.load(FUSION, parameters, log_level=LoggingSeverity.FATAL)
    assert not manager.node(silent.unique_id).get_logger().is_enabled_for(LoggingSeverity.ERROR)
    assert client.container(UnloadNode, unique_id=silent.unique_id).success
    assert get_logger_level('fusion') == before
    second = client.load(FUSION, parameters)
    assert manager.node(second.unique_id).get_logger().is_enabled_for(LoggingSeverity.ERROR)


@pytest.mark.parametrize('plugin, request_, message', [
    ('ivf_ros::Fusion', {}, "no component 'ivf_ros::Fusion'; known: ivf_ros::Detection3dNode, "),
    (FUSION, {'parameters': {'fusion.methud': 'average'}}, "unknown parameter 'fusion.methud'"),
    (FUSION, {'parameters': {'fusion.method': 3}}, "parameter 'fusion.method'"),
    (FUSION, {'extra': {'use_intra_process_coms': True}},
     "extra argument 'use_intra_process_coms' = True is not supported; allowed are true or false "
     'for use_intra_process_comms and forward_global_arguments'),
    (FUSION, {'extra': {'use_intra_process_comms': 'yes'}},
     "extra argument 'use_intra_process_comms' = 'yes'"),
    (FUSION, {'remap_rules': ['thermal/image_raw']}, 'thermal/image_raw'),
    (FUSION, {'node_name': 'not a name'}, 'not a name'),
    (FUSION, {'log_level': 7}, 'log_level must be one of 0, 10, 20, 30, 40, 50, got 7'),
])
def test_an_invalid_load_request_is_refused_in_one_line(container, plugin, request_, message):
    client, _ = container
    refused = client.load(plugin, **request_)
    assert not refused.success and message in refused.error_message
    assert '\n' not in refused.error_message and 'Traceback' not in refused.error_message
    assert client.names() == {}


def test_a_used_name_and_an_unknown_id_are_refused(container, live_graph):
    client, _ = container
    stranger = live_graph.stranger('stranger')
    assert client.load(FUSION, {'autostart': False}).success
    duplicate = client.load(FUSION, {'autostart': False})
    assert duplicate.error_message == 'a node /fusion runs here already, with id 1'
    unknown = client.container(UnloadNode, unique_id=7)
    assert (unknown.success, unknown.error_message) == (False, 'no node has the id 7; loaded: 1')
    assert client.names() == {1: '/fusion'}
    # The first node is still in the ROS graph of other processes.
    assert wait_until(lambda: 'fusion' in stranger.get_node_names())
    assert not wait_until(lambda: 'fusion' not in stranger.get_node_names(), 1.0)
    assert client.load(FUSION, {'autostart': False}, node_namespace='/rear').full_node_name == \
        '/rear/fusion'


def test_a_stage_without_its_weights_is_loaded_and_reports_the_missing_file(container):
    client, manager = container
    loaded = client.load(FUSION, {'fusion.method': 'fast', 'fusion.network.weights': '/none'})
    assert loaded.success
    assert client.call(GetState, '/fusion/get_state').current_state.id == UNCONFIGURED
    status = manager.node(loaded.unique_id)._get_status()
    assert status.error == 'cannot configure: no weight file at /none'


@pytest.mark.parametrize('by_reference', [True, False])
def test_frames_are_passed_by_reference_if_the_load_request_sets_it(container, by_reference):
    client, manager = container
    for plugin in (REGISTRATION, FUSION):
        method = {'fusion.method': 'average'} if plugin == FUSION else {'method': 'calibrated'}
        assert client.load(plugin, method, {'use_intra_process_comms': by_reference}).success
    registration, fusion = manager.node(1), manager.node(2)
    received = []
    subscription = fusion._subscriptions_by_topic['registration/homography']
    subscription._callback = received.append
    publisher = registration._publishers_by_topic['registration/homography']
    assert wait_until(lambda: publisher.has_subscribers)
    item = messages.Stamped(messages.Homography(np.eye(3), (64, 48)), 10 ** 18, 'thermal')
    publisher.publish(item)
    assert wait_until(lambda: received)
    assert (received[0] is item) == by_reference


def test_global_arguments_of_the_process_reach_its_nodes_but_not_its_name(live_graph, tmp_path):
    values = tmp_path / 'values.yaml'
    values.write_text('/**/fusion:\n  ros__parameters:\n    fusion.method: average\n')
    client = ContainerClient(live_graph.node('client'), '/robot/host')
    with container_process(live_graph, '--ros-args', '-r', '__node:=host', '-r', '__ns:=/robot',
                           '--params-file', str(values)):
        assert client.load(FUSION).full_node_name == '/robot/fusion'
        value, = client.call(GetParameters, '/robot/fusion/get_parameters',
                             names=['fusion.method']).values
        assert value.string_value == 'average'
        alone = client.load(FUSION, {'autostart': False}, {'forward_global_arguments': False},
                            node_name='alone', node_namespace='/elsewhere')
        value, = client.call(GetParameters, f'{alone.full_node_name}/get_parameters',
                             names=['fusion.method']).values
        assert value.string_value == 'fast'


def test_stages_on_the_command_line_are_loaded_at_start(live_graph):
    client = ContainerClient(live_graph.node('client'))
    with container_process(live_graph, 'fusion', 'registration', '--ros-args', '-p',
                           'autostart:=false'):
        assert wait_until(lambda: client.names() == {1: '/fusion', 2: '/registration'})


def test_all_stages_start_without_networks_with_their_parameter_file(live_graph):
    client = ContainerClient(live_graph.node('client'))
    stages = ('registration', 'fusion', 'segmentation', 'detection')
    with container_process(
            live_graph, *stages, '--ros-args', '--params-file',
            str(REPOSITORY / 'config' / 'without_networks.yaml'),
            before="import sys; sys.modules['torch'] = sys.modules['onnxruntime'] = None"):
        assert wait_until(lambda: len(client.names()) == 4)
        for stage in stages:
            assert client.call(GetState, f'/{stage}/get_state').current_state.id == ACTIVE


def test_unloading_frees_the_memory_of_a_network(container):
    pytest.importorskip('onnxruntime')
    client, _ = container

    def resident_mb():
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6

    def load_and_unload():
        loaded = client.load('ivf_ros::DetectionNode')
        assert client.call(GetState, '/detection/get_state').current_state.id == ACTIVE
        during = resident_mb()
        assert client.container(UnloadNode, unique_id=loaded.unique_id).success
        return during, resident_mb()

    load_and_unload()  # ONNX Runtime itself stays in memory
    _, first = load_and_unload()
    for _ in range(4):
        _, last = load_and_unload()
    # A detector has 5 MB of weights in int8; five of them exceed the limit.
    assert last - first < 12


def test_a_component_of_another_package_that_fails_is_reported_with_the_reason(
        container, monkeypatch):
    class Broken(Node):

        def __init__(self, **options):
            super().__init__('broken', **options)
            self.create_timer(1.0, self._look)
            raise KeyError('camera')

        def _look(self):
            pass

    _, manager = container
    monkeypatch.setattr('ivf_ros.nodes.component_container.load_component_class',
                        lambda name: Broken)
    with pytest.raises(ComponentError, match="other::Broken: KeyError: 'camera' in test"):
        manager.load('other::Broken')
    assert 'broken' not in manager.get_node_names()


def test_frames_keep_flowing_through_a_container_while_another_node_is_loaded(container):
    client, manager = container
    assert client.load(FUSION, {'fusion.method': 'average'}).success
    fusion, outside = manager.node(1), client._node
    received = []
    outside.create_subscription(messages.IMAGE.message_type, 'fused/image', received.append, 10)
    publisher = outside.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 10)
    assert wait_until(lambda: fusion._fused.has_subscribers and publisher.get_subscription_count())
    constructing, proceed = threading.Event(), threading.Event()

    class Slow(Node):

        def __init__(self, **options):
            super().__init__('slow', **options)
            constructing.set()
            assert proceed.wait(60.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('ivf_ros.nodes.component_container.load_component_class',
                      lambda name: Slow)
        loading = threading.Thread(target=manager.load, args=('other::Slow',))
        loading.start()
        assert constructing.wait(60.0)
        rgb = Frame(np.full((48, 64, 3), 90, np.uint8), 10 ** 18, 'rgb')
        publisher.publish(messages.image_to_message(rgb))
        assert wait_until(lambda: received)
        proceed.set()
        loading.join(20.0)
    assert client.names() == {1: '/fusion', 2: '/slow'}


class Failing(Node):
    """A component of another package that raises an exception in a callback."""

    def __init__(self, **options):
        super().__init__('failing', **options)
        self.create_timer(0.02, self._fail)

    def _fail(self):
        raise KeyError('no such camera')


class Exiting(Failing):
    """A component that ends its process, as a node does that once was a program of its own."""

    def _fail(self):
        sys.exit(3)


@pytest.fixture
def foreign(monkeypatch):
    """Let a container find components that no installed package has."""
    def register(**classes):
        components = {f'other::{name}': cls for name, cls in classes.items()}
        monkeypatch.setattr(
            'ivf_ros.nodes.component_container.load_component_class',
            lambda plugin: components.get(plugin) or load_component_class(plugin))

    return register


@pytest.mark.parametrize('cls, said', [
    (Failing, "KeyError: 'no such camera' in test_component_container.py"),
    (Exiting, 'SystemExit: 3')])
def test_an_exception_in_a_component_of_another_package_unloads_only_that_one(
        live_graph, foreign, cls, said):
    foreign(Failing=cls)
    statuses = {}
    live_graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda message: statuses.update({item.name: item for item in message.status}), 20)
    manager = live_graph.add(ComponentManager)
    client = ContainerClient(live_graph.node('client'))
    assert client.load(FUSION, {'fusion.method': 'average'}).success
    assert client.load('other::Failing').success
    assert wait_until(lambda: client.names() == {1: '/fusion'})
    container = '/component_container'
    assert wait_until(lambda: container in statuses and statuses[container].level == b'\x02')
    message = statuses[container].message
    assert message.startswith('/failing (other::Failing) raised ') and said in message
    assert message.endswith('unloaded')
    assert '/failing' not in live_graph.nodes[0].get_node_names()
    assert client.call(GetState, '/fusion/get_state').current_state.id == ACTIVE
    assert manager.failure is None


def test_a_used_name_that_a_component_gives_itself_is_refused(live_graph, foreign):
    class Camera(Node):

        def __init__(self, **options):
            super().__init__('camera', **options)

    foreign(Camera=Camera)
    live_graph.add(ComponentManager)
    client = ContainerClient(live_graph.node('client'))
    stranger = live_graph.stranger('stranger')
    assert client.load('other::Camera').success
    for request in ({}, {'remap_rules': ['__node:=camera']}):
        refused = client.load('other::Camera', **request)
        assert refused.error_message == 'a node /camera runs here already, with id 1'
    renamed = client.load(FUSION, {'autostart': False}, remap_rules=['__node:=camera'])
    assert renamed.error_message == 'a node /camera runs here already, with id 1'
    assert client.names() == {1: '/camera'}
    # The first node is still in the ROS graph of other processes.
    assert wait_until(lambda: 'camera' in stranger.get_node_names())
    assert not wait_until(lambda: 'camera' not in stranger.get_node_names(), 1.0)


def test_a_failed_component_may_be_unloaded_by_somebody_else_first(container):
    _, manager = container
    assert manager.load(FUSION, parameter_overrides=[
        Parameter('fusion.method', value='average')]) == 1
    manager._on_failed(7, KeyError('camera'))
    assert wait_until(manager._failed.empty)
    assert list(manager._components) == [1]
    assert not manager._health.statistics.error_counts()


def test_a_failed_component_is_loaded_again_if_the_container_is_to(live_graph, foreign):
    made_s = []

    class FailingOnce(Node):

        def __init__(self, **options):
            super().__init__('failing', **options)
            made_s.append(time.monotonic())
            if len(made_s) == 1:
                self.create_timer(0.02, lambda: 1 / 0)

    foreign(Failing=FailingOnce)
    said = []
    live_graph.node('observer').create_subscription(
        DiagnosticArray, '/diagnostics',
        lambda message: said.extend(item.message for item in message.status), 20)
    live_graph.add(ComponentManager,
                   parameter_overrides=[Parameter('reload_delay_s', value=0.1)])
    client = ContainerClient(live_graph.node('client'))
    assert wait_until(lambda: said)
    assert client.load('other::Failing', node_namespace='/front').success
    assert wait_until(lambda: client.names() == {2: '/front/failing'})
    first_s, second_s = made_s
    assert second_s - first_s >= 0.1
    # It is said although the component is there again before the next period of diagnostics.
    assert wait_until(lambda: any('loading it again in 0.1 s' in message for message in said))


class FailingExecutor:
    """An executor that raises the errors that it is given, each once."""

    def __init__(self, executor):
        self._executor, self.errors = executor, []

    def spin_once(self, timeout_sec):
        if self.errors:
            raise self.errors.pop()
        self._executor.spin_once(timeout_sec=timeout_sec)

    def __getattr__(self, name):
        return getattr(self._executor, name)


def test_errors_in_the_thread_of_the_stages_are_reported_until_there_are_too_many(
        container, monkeypatch):
    _, manager = container
    spinner, thread = manager._spinner, manager._spinner._thread
    monkeypatch.setattr(spinner, '_executor', FailingExecutor(spinner._executor))
    errors = spinner._executor.errors

    def count_reported():
        return manager._health.statistics.error_counts().get('errors', 0)

    errors += [RuntimeError(f'wait set {index}')
               for index in range(MAX_EXECUTOR_FAULTS_PER_MINUTE)]
    assert wait_until(lambda: count_reported() == MAX_EXECUTOR_FAULTS_PER_MINUTE)
    assert manager.failure is None and thread.is_alive()
    last = RuntimeError('wait set again')
    errors.append(last)
    thread.join(10.0)
    assert not thread.is_alive() and manager.failure is last


def test_transitions_that_are_not_possible_end_nothing(container):
    client, manager = container
    assert client.load(FUSION, {'fusion.method': 'average'}).success
    transitions = client._node.create_client(ChangeState, '/fusion/change_state')
    assert wait_until(transitions.service_is_ready)
    for _ in range(40):  # rclpy of Jazzy raises an exception in the executor and answers none
        transitions.call_async(ChangeState.Request(
            transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
    # The requests of a client are processed in order.
    transitions.call_async(ChangeState.Request(
        transition=Transition(id=Transition.TRANSITION_DEACTIVATE)))
    fusion = manager.node(1)
    assert wait_until(lambda: fusion._state_machine.current_state[0] == INACTIVE)
    assert manager.failure is None
    client._node.destroy_client(transitions)


def test_a_component_that_is_busy_in_a_callback_does_not_hold_up_the_others(
        live_graph, foreign, monkeypatch):
    monkeypatch.setattr('ivf_ros.nodes.component_container._UNLOAD_TIMEOUT_S', 0.3)
    busy, proceed = threading.Event(), threading.Event()

    class Busy(Node):

        def __init__(self, **options):
            super().__init__('busy', **options)
            self.create_timer(0.02, self._wait)

        def _wait(self):
            busy.set()
            proceed.wait(30.0)

    foreign(Busy=Busy)
    live_graph.add(ComponentManager)
    client = ContainerClient(live_graph.node('client'))
    assert client.load('other::Busy').success and busy.wait(60.0)
    refused = client.container(UnloadNode, unique_id=1)
    assert refused.error_message == \
        '/busy cannot be unloaded: a callback did not end within 0.3 s'
    assert client.load(FUSION, {'fusion.method': 'average'}).success
    assert client.call(GetState, '/fusion/get_state').current_state.id == ACTIVE
    proceed.set()
    monkeypatch.setattr('ivf_ros.nodes.component_container._UNLOAD_TIMEOUT_S', 10.0)
    assert client.container(UnloadNode, unique_id=1).success


def test_stages_are_unloaded_while_frames_flow(container):
    client, manager = container
    cameras = client._node.context
    driver = Node('driver', context=cameras)
    publishers = [driver.create_publisher(messages.IMAGE.message_type, topic, 10)
                  for topic in ('thermal/image_raw', 'rgb/image_raw')]
    frames = [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.uint8)]
    stamps_ns = iter(range(10 ** 18, 2 * 10 ** 18, 2_000_000))

    def publish():
        stamp_ns = next(stamps_ns)
        for publisher, image in zip(publishers, frames):
            publisher.publish(messages.image_to_message(Frame(image, stamp_ns, 'camera')))

    driver.create_timer(0.002, publish)
    executor = SingleThreadedExecutor(context=cameras)
    executor.add_node(driver)
    stopping = threading.Event()

    def spin():
        while not stopping.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        for _ in range(12):
            loaded = [client.load(plugin, parameters) for plugin, parameters in (
                (FUSION, {'fusion.method': 'average'}),
                (REGISTRATION, {'registration.method': 'dense'}))]
            assert all(item.success for item in loaded)
            inputs = manager.node(loaded[0].unique_id)._subscriptions_by_topic
            assert wait_until(lambda topics=inputs: any(topic.count for topic in topics.values()))
            for item in loaded:
                assert client.container(UnloadNode, unique_id=item.unique_id).success
    finally:
        stopping.set()
        thread.join(10.0)
        executor.shutdown()
        driver.destroy_node()
    assert manager.failure is None and not manager._health.statistics.error_counts()
