# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files declare what they take and start what they say; needs the launch packages."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import shutil
import signal
import subprocess
from typing import Callable, Iterator

from conftest import LiveGraph, REPOSITORY, wait_until
import pytest

pytest.importorskip('launch_ros', reason='the launch packages are not installed')

from ament_index_python import get_package_share_path, PackageNotFoundError  # noqa: E402, I100
from composition_interfaces.srv import ListNodes  # noqa: E402
from ivf_ros import dds  # noqa: E402
from ivf_ros.nodes.graph import launching  # noqa: E402
from ivf_ros.nodes.graph.node_parameters import NODE_PARAMETERS  # noqa: E402
from launch import LaunchContext, LaunchDescription  # noqa: E402
from launch.actions import SetEnvironmentVariable  # noqa: E402
from launch.launch_description_sources import (  # noqa: E402
    get_launch_description_from_python_launch_file,
)
from launch.substitutions import TextSubstitution  # noqa: E402
from launch_ros.actions import LoadComposableNodes, Node  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

FILES = sorted((REPOSITORY / 'launch').glob('*.launch.py'))
STAGES = ('registration', 'fusion', 'segmentation', 'detection')

# Methods without networks: what is tested is how the nodes are started, not how well they see.
PARAMETERS = """
/**/registration: {ros__parameters: {method: dense, max_rate_hz: 3.5}}
/**/fusion: {ros__parameters: {fusion.method: average}}
/**/segmentation: {ros__parameters: {segmentation.method: thermal_saliency}}
/**/detection: {ros__parameters: {detection.method: hog}}
/**/replay: {ros__parameters: {max_duration_s: 60.0}}
"""

# Five processes that import everything, on a machine that may be busy.
STARTED_WITHIN_S = 90.0
STOPPED_WITHIN_S = 30.0


@pytest.fixture
def installed() -> None:
    """Skip a test that needs the package where ROS finds it."""
    try:
        get_package_share_path('ivf_ros')
    except (PackageNotFoundError, OSError):  # the latter where no prefix is known at all
        pytest.skip('ivf_ros is not in the ament index; build it with colcon and source it')


def describe(name: str) -> LaunchDescription:
    return get_launch_description_from_python_launch_file(
        str(REPOSITORY / 'launch' / f'{name}.launch.py'))


def context_of(description: LaunchDescription, **arguments: str) -> LaunchContext:
    """Return the context in which the actions run that follow the declared arguments."""
    context = LaunchContext()
    context.launch_configurations.update(arguments, params_file='parameters.yaml')
    for declared in description.get_launch_arguments():
        declared.visit(context)
    return context


def started(name: str, **arguments: str) -> set[str]:
    """Return the executables that would be started, and 'load' where one would be loaded."""
    description = describe(name)
    context = context_of(description, **arguments)
    actions = [action for action in description.entities
               if isinstance(action, (Node, LoadComposableNodes))
               and (action.condition is None or action.condition.evaluate(context))]
    return {action.node_executable if isinstance(action, Node) else 'load' for action in actions}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_argument_is_described_and_a_switch_names_its_choices(path):
    arguments = describe(path.name.removesuffix('.launch.py')).get_launch_arguments()
    names = [argument.name for argument in arguments]
    assert len(names) == len(set(names))
    assert {'namespace', 'params_file', 'use_sim_time', 'log_level', 'autostart'} < set(names)
    for argument in arguments:
        assert argument.description not in ('', 'no description given')
        default = argument.default_value[0].describe().strip("'")
        if default in ('true', 'false'):
            assert argument.choices == ['true', 'false']
        if argument.choices and isinstance(argument.default_value[0], TextSubstitution):
            assert default in argument.choices


def test_the_graph_takes_what_its_nodes_take():
    names = {argument.name for argument in describe('ivf').get_launch_arguments()}
    assert names == {'namespace', 'params_file', 'use_sim_time', 'log_level', 'autostart', 'mode',
                     'thermal', 'rgb', 'thermal_info', 'rgb_info', 'fused', 'thermal_transport',
                     'rgb_transport', 'transport', 'source', 'bag', 'rate', 'loop', 'restamp',
                     'clock', 'rviz', 'foxglove'}
    assert set(launching.NODES) == set(NODE_PARAMETERS)


def test_an_argument_means_the_same_to_all_nodes_that_take_it():
    meanings: dict[str, set] = {}
    for node in launching.NODES.values():
        for one in node.declared_settings():
            meanings.setdefault(one.name, set()).add((one.description, one.default, one.choices))
    assert all(len(different) == 1 for different in meanings.values()), meanings


def test_by_default_one_container_is_started_and_nothing_else():
    assert started('ivf') == {'component_container'}


def test_on_request_every_stage_gets_a_process_and_a_source_is_replayed():
    nodes = {f'{stage}_node' for stage in STAGES}
    assert started('ivf', mode='processes') == nodes
    assert started('ivf', mode='processes', source='simulator') == {*nodes, 'replay_node'}


def test_a_bag_is_a_source_and_a_transport_that_of_both_cameras_unless_told_otherwise():
    assert started('ivf', mode='processes', bag='night.mcap') >= {'replay_node'}
    chosen = context_of(describe('ivf'), bag='night.mcap', transport='compressed',
                        thermal_transport='raw').launch_configurations
    assert chosen['source'] == 'night.mcap'
    assert (chosen['thermal_transport'], chosen['rgb_transport']) == ('raw', 'compressed')


def test_viewers_come_on_request():
    assert started('ivf', rviz='true', foxglove='true') == {
        'component_container', 'rviz2', 'foxglove_bridge'}


@pytest.mark.parametrize('name', launching.NODES)
def test_one_node_gets_a_process_or_goes_into_a_container(name):
    assert started(name) == {f'{name}_node'}
    assert started(name, container='/ivf_container') == {'load'}


@pytest.mark.parametrize('image, info', [
    ('rgb/image_raw', 'rgb/camera_info'), ('/front/image', '/front/camera_info'),
    ('image', 'camera_info')])
def test_the_camera_info_is_looked_for_beside_the_image(image, info):
    context = context_of(describe('ivf'), rgb=image)
    assert context.launch_configurations['rgb_info'] == info
    assert context.launch_configurations['thermal_info'] == 'thermal/camera_info'


@pytest.mark.parametrize('distribution, variable', [
    ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('lyrical', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_a_profile_that_the_user_chose_stays(installed, monkeypatch, distribution, variable):
    monkeypatch.setenv('ROS_DISTRO', distribution)
    monkeypatch.setenv(variable, '/mine.xml')
    description = describe('fusion')
    actions = [action for action in description.entities
               if isinstance(action, SetEnvironmentVariable)]
    context = context_of(description)
    for action in actions:
        action.visit(context)
    assert len(actions) == 1 and context.environment[variable] == '/mine.xml'


# The launch files at work.

@pytest.fixture
def ros2(installed, live_graph, monkeypatch,
         tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start ``ros2`` commands on the domain of the live graph; all of them end with the test."""
    if shutil.which('ros2') is None:
        pytest.skip('the command ros2 is not installed')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(live_graph.context.get_domain_id()))
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'log'))
    monkeypatch.delenv(dds.profile_variable(), raising=False)
    running: list[subprocess.Popen] = []

    def start(*words: str) -> subprocess.Popen:
        output = (tmp_path / f'output{len(running)}').open('w')
        running.append(subprocess.Popen(['ros2', *words], stdout=output, text=True,
                                        stderr=subprocess.STDOUT, start_new_session=True))
        running[-1].stdout = output
        return running[-1]

    yield start
    for process in running:
        end(process)
        process.stdout.close()


def end(process: subprocess.Popen) -> bool:
    """Interrupt a command as Ctrl-C does; return whether it ended with all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOPPED_WITHIN_S)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    process.wait()
    return False


def said(process: subprocess.Popen) -> str:
    return Path(process.stdout.name).read_text()


@pytest.fixture
def params_file(tmp_path) -> Path:
    path = tmp_path / 'parameters.yaml'
    path.write_text(PARAMETERS)
    return path


class Observer:
    """Looks at the graph from outside."""

    def __init__(self, graph: LiveGraph) -> None:
        self.node = graph.node('observer')

    def listen(self, message_type: type, topic: str) -> list:
        received: list = []
        self.node.create_subscription(message_type, topic, received.append, 10)
        return received

    def nodes(self) -> set[str]:
        return {name if space == '/' else f'{space}/{name}'.lstrip('/')
                for name, space in self.node.get_node_names_and_namespaces()}

    def parameter(self, node: str, name: str):
        client = AsyncParameterClient(self.node, node)
        assert wait_until(client.services_are_ready, STARTED_WITHIN_S)
        value = self.answer(client.get_parameters([name])).values[0]
        return value.double_value or value.string_value

    def loaded(self, container: str) -> list[str]:
        client = self.node.create_client(ListNodes, f'{container}/_container/list_nodes')
        assert wait_until(client.service_is_ready, STARTED_WITHIN_S)
        return list(self.answer(client.call_async(ListNodes.Request())).full_node_names)

    @staticmethod
    def answer(future):
        assert wait_until(future.done, STARTED_WITHIN_S)
        return future.result()


@pytest.mark.parametrize('mode', ['composed', 'processes'])
def test_the_graph_runs_in_a_namespace_with_the_parameters_of_the_file(
        live_graph, ros2, params_file, mode):
    observer = Observer(live_graph)
    fused = observer.listen(Image, 'robot/fused/image')
    detections = observer.listen(Detection2DArray, 'robot/detections')

    launched = ros2('launch', 'ivf_ros', 'ivf.launch.py', f'mode:={mode}', 'namespace:=robot',
                    'source:=simulator', f'params_file:={params_file}')

    assert wait_until(lambda: bool(fused and detections), STARTED_WITHIN_S), said(launched)
    assert observer.parameter('robot/registration', 'max_rate_hz') == 3.5
    nodes = {f'robot/{stage}' for stage in (*STAGES, 'replay')}
    assert wait_until(lambda: nodes <= observer.nodes(), STARTED_WITHIN_S)
    if mode == 'composed':
        assert {name.lstrip('/') for name in observer.loaded('robot/ivf_container')} == nodes
    assert end(launched), said(launched)
    output = said(launched)
    assert 'Traceback' not in output and 'process has died' not in output, output


def test_one_stage_is_loaded_into_a_running_container(live_graph, ros2, tmp_path):
    observer = Observer(live_graph)
    params_file = tmp_path / 'fusion.yaml'
    params_file.write_text('/**: {ros__parameters: {fusion.method: average}}')
    ros2('run', 'ivf_ros', 'component_container')

    launched = ros2('launch', 'ivf_ros', 'fusion.launch.py', 'container:=/component_container',
                    f'params_file:={params_file}')

    assert launched.wait(STARTED_WITHIN_S) == 0, said(launched)
    assert observer.loaded('component_container') == ['/fusion']
    assert observer.parameter('fusion', 'fusion.method') == 'average'


def test_one_node_runs_by_itself_on_the_topics_that_it_is_told(live_graph, ros2):
    images = Observer(live_graph).listen(Image, '/front/image')

    launched = ros2('launch', 'ivf_ros', 'replay.launch.py', 'rgb:=/front/image', 'rate:=2')

    assert wait_until(lambda: bool(images), STARTED_WITHIN_S), said(launched)
    assert end(launched), said(launched)


def test_a_value_that_is_no_choice_is_refused(live_graph, ros2):
    launched = ros2('launch', 'ivf_ros', 'ivf.launch.py', 'mode:=both')

    assert launched.wait(STARTED_WITHIN_S) != 0
    assert "Valid options are: ['composed', 'processes']" in said(launched)
