# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The container speaks the protocol of composition_interfaces, and its nodes share frames."""

from __future__ import annotations

from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import threading

from conftest import REPOSITORY, wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode  # noqa: E402, I100
from ivf_ros.nodes.component_container import ComponentError, ComponentManager  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

SERVICES = {LoadNode: 'load_node', UnloadNode: 'unload_node', ListNodes: 'list_nodes'}
FUSION, REGISTRATION = 'ivf_ros::FusionNode', 'ivf_ros::RegistrationNode'
UNCONFIGURED, INACTIVE, ACTIVE = 1, 2, 3  # of lifecycle_msgs/msg/State


class Asking:
    """A client of services, from outside."""

    def __init__(self, node, container='/component_container'):
        self._node, self._container = node, container

    def ask(self, service, name, **request):
        client = self._node.create_client(service, name)
        assert wait_until(client.service_is_ready, 20.0), name
        future = client.call_async(service.Request(**request))
        assert wait_until(future.done, 60.0), name
        self._node.destroy_client(client)
        return future.result()

    def container(self, service, **request):
        return self.ask(service, f'{self._container}/_container/{SERVICES[service]}', **request)

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
    """Run a container in this process, turned as ``main`` does it, and somebody who asks it."""
    at_work = SingleThreadedExecutor(context=live_graph.context)
    manager = live_graph.add(ComponentManager, at_work)
    turning = threading.Thread(target=at_work.spin, daemon=True)
    turning.start()
    yield Asking(live_graph.node('asking')), manager
    manager.unload_all()
    at_work.shutdown()
    turning.join(10.0)


@contextmanager
def container_process(live_graph, *arguments, before='import sys'):
    """Run the container as a process on the domain of the graph; it ends by SIGINT, with 0."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id())}
    code = f'{before}; from ivf_ros.nodes.component_container import main; sys.exit(main())'
    with subprocess.Popen([sys.executable, '-c', code, *arguments],
                          cwd=REPOSITORY, env=environment) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(20.0) == 0
        finally:
            process.kill()


def test_nodes_are_loaded_listed_and_unloaded_at_run_time(container):
    asking, _ = container
    assert asking.names() == {}
    first = asking.load(FUSION, {'fusion.method': 'average', 'autostart': False})
    assert (first.success, first.error_message) == (True, '')
    assert (first.unique_id, first.full_node_name) == (1, '/fusion')
    second = asking.load(REGISTRATION, {'registration.method': 'dense'}, node_name='aligner',
                         node_namespace='/robot')
    assert second.full_node_name == '/robot/aligner'
    assert asking.names() == {1: '/fusion', 2: '/robot/aligner'}
    value, = asking.ask(GetParameters, '/fusion/get_parameters', names=['fusion.method']).values
    assert value.string_value == 'average'
    # Each starts by itself, or waits, as its parameter says.
    assert asking.ask(GetState, '/fusion/get_state').current_state.id == UNCONFIGURED
    assert asking.ask(GetState, '/robot/aligner/get_state').current_state.id == ACTIVE
    assert asking.container(UnloadNode, unique_id=1).success
    assert asking.names() == {2: '/robot/aligner'}
    third = asking.load(FUSION, {'fusion.method': 'average'})
    assert third.unique_id == 3  # an id is never used again


@pytest.mark.parametrize('plugin, request_, message', [
    ('ivf_ros::Fusion', {}, "no component 'ivf_ros::Fusion'; known: ivf_ros::DetectionNode, "),
    (FUSION, {'parameters': {'fusion.methud': 'average'}}, "unknown parameter 'fusion.methud'"),
    (FUSION, {'parameters': {'fusion.method': 3}}, "parameter 'fusion.method'"),
    (FUSION, {'extra': {'use_intra_process_coms': True}},
     "extra argument 'use_intra_process_coms' = True; known are true or false for "),
    (FUSION, {'extra': {'use_intra_process_comms': 'yes'}},
     "extra argument 'use_intra_process_comms' = 'yes'"),
    (FUSION, {'remap_rules': ['thermal/image_raw']}, 'thermal/image_raw'),
    (FUSION, {'node_name': 'not a name'}, 'not a name'),
])
def test_what_cannot_be_loaded_is_refused_in_one_line(container, plugin, request_, message):
    asking, _ = container
    refused = asking.load(plugin, **request_)
    assert not refused.success and message in refused.error_message
    assert '\n' not in refused.error_message and 'Traceback' not in refused.error_message
    assert asking.names() == {}


def test_a_name_that_is_taken_and_an_id_that_nobody_has_are_refused(container, live_graph):
    asking, _ = container
    stranger = live_graph.stranger('stranger')
    assert asking.load(FUSION, {'autostart': False}).success
    twice = asking.load(FUSION, {'autostart': False})
    assert twice.error_message == 'a node /fusion runs here already, with id 1'
    unknown = asking.container(UnloadNode, unique_id=7)
    assert (unknown.success, unknown.error_message) == (False, 'no node has the id 7; loaded: 1')
    assert asking.names() == {1: '/fusion'}
    # The one that runs is still in the graph, also as others see it.
    assert wait_until(lambda: 'fusion' in stranger.get_node_names())
    assert not wait_until(lambda: 'fusion' not in stranger.get_node_names(), 1.0)
    assert asking.load(FUSION, {'autostart': False}, node_namespace='/rear').full_node_name == \
        '/rear/fusion'


def test_a_stage_without_its_weights_is_loaded_says_so_and_can_be_configured_later(container):
    asking, manager = container
    loaded = asking.load(FUSION, {'fusion.method': 'fast', 'fusion.network.weights': '/none'})
    assert loaded.success
    assert asking.ask(GetState, '/fusion/get_state').current_state.id == UNCONFIGURED
    condition = manager.node(loaded.unique_id)._get_status()
    assert condition.error == 'cannot configure: no weight file at /none'


@pytest.mark.parametrize('by_reference', [True, False])
def test_frames_go_by_reference_between_nodes_that_want_it(container, by_reference):
    asking, manager = container
    for plugin in (REGISTRATION, FUSION):
        method = {'fusion.method': 'average'} if plugin == FUSION else {'method': 'calibrated'}
        assert asking.load(plugin, method, {'use_intra_process_comms': by_reference}).success
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
    asking = Asking(live_graph.node('asking'), '/robot/host')
    with container_process(live_graph, '--ros-args', '-r', '__node:=host', '-r', '__ns:=/robot',
                           '--params-file', str(values)):
        assert asking.load(FUSION).full_node_name == '/robot/fusion'
        value, = asking.ask(GetParameters, '/robot/fusion/get_parameters',
                            names=['fusion.method']).values
        assert value.string_value == 'average'
        alone = asking.load(FUSION, {'autostart': False}, {'forward_global_arguments': False},
                            node_name='alone', node_namespace='/elsewhere')
        value, = asking.ask(GetParameters, f'{alone.full_node_name}/get_parameters',
                            names=['fusion.method']).values
        assert value.string_value == 'fast'


def test_stages_named_on_the_command_line_run_before_anybody_asks(live_graph):
    asking = Asking(live_graph.node('asking'))
    with container_process(live_graph, 'fusion', 'registration', '--ros-args', '-p',
                           'autostart:=false'):
        assert wait_until(lambda: asking.names() == {1: '/fusion', 2: '/registration'}, 20.0)


def test_without_torch_its_parameter_file_makes_all_stages_start(live_graph):
    asking = Asking(live_graph.node('asking'))
    stages = ('registration', 'fusion', 'segmentation', 'detection')
    with container_process(
            live_graph, *stages, '--ros-args', '--params-file',
            str(REPOSITORY / 'config' / 'without_torch.yaml'),
            before="import sys; sys.modules['torch'] = sys.modules['safetensors'] = None"):
        assert wait_until(lambda: len(asking.names()) == 4, 30.0)
        for stage in stages:
            assert asking.ask(GetState, f'/{stage}/get_state').current_state.id == ACTIVE


def test_unloading_gives_the_memory_of_a_network_back(container):
    pytest.importorskip('torch')
    asking, _ = container

    def resident_mb():
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6

    def load_and_unload():
        loaded = asking.load('ivf_ros::DetectionNode')
        assert asking.ask(GetState, '/detection/get_state').current_state.id == ACTIVE
        during = resident_mb()
        assert asking.container(UnloadNode, unique_id=loaded.unique_id).success
        return during, resident_mb()

    load_and_unload()  # PyTorch itself stays
    _, first = load_and_unload()
    for _ in range(4):
        _, last = load_and_unload()
    # A detector is 9 MB of weights in bfloat16: five of them would be seen.
    assert last - first < 12


def test_a_component_of_another_package_that_fails_is_told_with_its_reason(container, monkeypatch):
    class Broken(Node):

        def __init__(self, **options):
            raise KeyError('camera')

    _, manager = container
    monkeypatch.setattr('ivf_ros.nodes.component_container.component_class', lambda name: Broken)
    with pytest.raises(ComponentError, match="other::Broken: 'camera'"):
        manager.load('other::Broken')


def test_frames_keep_flowing_through_a_container_while_another_node_is_loaded(container):
    asking, manager = container
    assert asking.load(FUSION, {'fusion.method': 'average'}).success
    fusion, outside = manager.node(1), asking._node
    received = []
    outside.create_subscription(messages.IMAGE.message_type, 'fused/image', received.append, 10)
    publisher = outside.create_publisher(messages.IMAGE.message_type, 'rgb/image_raw', 10)
    assert wait_until(lambda: fusion._fused.has_subscribers and publisher.get_subscription_count())
    constructing, go_on = threading.Event(), threading.Event()

    class Slow(Node):

        def __init__(self, **options):
            super().__init__('slow', **options)
            constructing.set()
            assert go_on.wait(20.0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('ivf_ros.nodes.component_container.component_class', lambda name: Slow)
        loading = threading.Thread(target=manager.load, args=('other::Slow',))
        loading.start()
        assert constructing.wait(20.0)
        rgb = Frame(np.full((48, 64, 3), 90, np.uint8), 10 ** 18, 'rgb')
        publisher.publish(messages.image_to_message(rgb))
        assert wait_until(lambda: received)
        go_on.set()
        loading.join(20.0)
    assert asking.names() == {1: '/fusion', 2: '/slow'}
