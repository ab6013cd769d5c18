# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The launch files: their arguments and the processes that they start."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import re
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
from launch.actions import LogInfo, OpaqueFunction, SetEnvironmentVariable  # noqa: E402
from launch.launch_description_sources import (  # noqa: E402
    get_launch_description_from_python_launch_file,
)
from launch.substitutions import TextSubstitution  # noqa: E402
from launch_ros.actions import LoadComposableNodes, Node  # noqa: E402
from rclpy.parameter_client import AsyncParameterClient  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

FILES = sorted((REPOSITORY / 'launch').glob('*.launch.py'))
JOINT = ('registration', 'fusion', 'perception')
SEPARATE = ('registration', 'fusion', 'segmentation', 'detection')

# Methods without networks: these tests check how the nodes start, not their results.
PARAMETERS = """
/**/registration: {ros__parameters: {method: dense, max_rate_hz: 3.5}}
/**/fusion: {ros__parameters: {fusion.method: average}}
/**/segmentation: {ros__parameters: {segmentation.method: thermal_saliency}}
/**/detection: {ros__parameters: {detection.method: hog}}
/**/replay: {ros__parameters: {max_duration_s: 60.0}}
"""

# Five processes import all modules, possibly on a busy machine.
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0


@pytest.fixture
def installed() -> None:
    """Skip the test if the package is not in the ament index."""
    try:
        get_package_share_path('ivf_ros')
    except (PackageNotFoundError, OSError):  # OSError if no prefix is set
        pytest.skip('ivf_ros is not in the ament index; build it with colcon and source it')


def load_description(name: str) -> LaunchDescription:
    return get_launch_description_from_python_launch_file(
        str(REPOSITORY / 'launch' / f'{name}.launch.py'))


def make_context(description: LaunchDescription, **arguments: str) -> LaunchContext:
    """Return the context after the declared arguments have been visited."""
    context = LaunchContext()
    context.launch_configurations.update(arguments, params_file='parameters.yaml')
    for declared in description.get_launch_arguments():
        declared.visit(context)
    return context


def started_actions(name: str, **arguments: str) -> list:
    """Return the actions that start something, whose conditions are true."""
    description = load_description(name)
    context = make_context(description, **arguments)
    started = []
    for action in description.entities:
        if isinstance(action, (OpaqueFunction, LoadComposableNodes)) \
                and (action.condition is None or action.condition.evaluate(context)):
            started += action.execute(context) if isinstance(action, OpaqueFunction) else [action]
    return started


def started_executables(name: str, **arguments: str) -> set[str]:
    """Return the executables that start, and 'load' if a component is loaded."""
    return {action.node_executable if isinstance(action, Node) else 'load'
            for action in started_actions(name, **arguments)}


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.name)
def test_every_argument_has_a_description_and_a_switch_has_choices(path):
    arguments = load_description(path.name.removesuffix('.launch.py')).get_launch_arguments()
    names = [argument.name for argument in arguments]
    assert len(names) == len(set(names))
    assert {'namespace', 'params_file', 'use_sim_time', 'log_level', 'autostart'} < set(names)
    for argument in arguments:
        assert argument.description not in ('', 'no description given')
        default = argument.default_value[0].describe().strip("'")
        if default in ('true', 'false'):
            assert argument.choices == ['true', 'false']
        assert argument.choices or f' Example: {argument.name}:=' in argument.description
        if argument.choices and isinstance(argument.default_value[0], TextSubstitution):
            assert default in argument.choices


def test_the_graph_has_the_arguments_of_its_nodes():
    names = {argument.name for argument in load_description('ivf').get_launch_arguments()}
    assert names == {'namespace', 'params_file', 'use_sim_time', 'log_level', 'autostart', 'mode',
                     'thermal', 'rgb', 'thermal_info', 'rgb_info', 'fused', 'thermal_transport',
                     'rgb_transport', 'transport', 'source', 'bag', 'rate', 'loop', 'restamp',
                     'clock', 'rviz', 'foxglove', 'perception', 'thermal_topic', 'rgb_topic',
                     'stamps', 'respawn', 'respawn_delay', 'enclaves', 'bond_heartbeat_period',
                     'detection3d', 'depth', 'depth_info', 'cloud', 'depth_source',
                     'depth_extrinsics'}
    assert set(launching.NODES) == set(NODE_PARAMETERS)


def test_an_argument_has_one_meaning_in_all_nodes():
    meanings: dict[str, set] = {}
    for node in launching.NODES.values():
        for setting in node.declared_settings():
            meanings.setdefault(setting.name, set()).add(
                (setting.description, setting.default, setting.choices))
    assert all(len(different) == 1 for different in meanings.values()), meanings


def test_by_default_only_one_container_is_started():
    assert started_executables('ivf') == {'component_container'}


def test_mode_processes_starts_a_process_per_stage_and_replays_a_source():
    nodes = {f'{stage}_node' for stage in JOINT}
    assert started_executables('ivf', mode='processes') == nodes
    assert started_executables('ivf', mode='processes', source='simulator') == \
        {*nodes, 'replay_node'}
    assert started_executables('ivf', mode='processes', perception='separate') == \
        {f'{stage}_node' for stage in SEPARATE}
    assert started_executables('ivf', mode='processes', detection3d='true') == \
        {*nodes, 'detection3d_node'}


def test_a_bag_is_a_source_and_transport_is_the_default_of_both_cameras():
    assert started_executables('ivf', mode='processes', bag='night.mcap') >= {'replay_node'}
    configurations = make_context(
        load_description('ivf'), bag='night.mcap', transport='compressed',
        thermal_transport='raw').launch_configurations
    assert configurations['source'] == 'night.mcap'
    assert configurations['thermal_transport'] == 'raw'
    assert configurations['rgb_transport'] == 'compressed'


def test_viewers_are_started_on_request(monkeypatch, tmp_path):
    packages = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    packages.mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    for package in ('rviz2', 'foxglove_bridge'):
        (packages / package).touch()
    assert started_executables('ivf', rviz='true', foxglove='true') == {
        'component_container', 'rviz2', 'foxglove_bridge'}


def test_a_viewer_that_is_not_installed_is_one_line_and_the_graph_starts(monkeypatch, tmp_path):
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    container, message = started_actions('ivf', foxglove='true')
    assert container.node_executable == 'component_container'
    assert isinstance(message, LogInfo)
    text = ''.join(part.perform(LaunchContext()) for part in message.msg)
    assert text == ('foxglove:=true has no effect: the package foxglove_bridge is not installed '
                    '(sudo apt install ros-$ROS_DISTRO-foxglove-bridge)')


def test_a_delay_that_is_not_a_number_is_refused():
    with pytest.raises(RuntimeError, match=r"respawn_delay takes seconds, .* not 'soon'"):
        started_actions('fusion', respawn_delay='soon')


@pytest.mark.parametrize('arguments, enclaves', [
    ({'mode': 'processes', 'namespace': 'front'},
     [f'/front/{name}' for name in JOINT]),
    ({'mode': 'composed'}, ['/ivf_container'])])
def test_each_process_has_the_enclave_of_its_full_name(arguments, enclaves):
    def find_enclave(action: Node) -> str:
        _, *words = action._Node__ros_arguments
        return words[words.index('--enclave') + 1] if '--enclave' in words else ''

    started = started_actions('ivf', enclaves='true', **arguments)
    assert sorted(map(find_enclave, started)) == sorted(enclaves)
    assert set(map(find_enclave, started_actions('ivf', **arguments))) == {''}


@pytest.mark.parametrize('name', launching.NODES)
def test_one_node_runs_in_a_process_or_in_a_container(name):
    assert started_executables(name) == {f'{name}_node'}
    assert started_executables(name, container='/ivf_container') == {'load'}


@pytest.mark.parametrize('image, info', [
    ('rgb/image_raw', 'rgb/camera_info'), ('/front/image', '/front/camera_info'),
    ('image', 'camera_info')])
def test_the_camera_info_topic_is_in_the_namespace_of_the_image(image, info):
    context = make_context(load_description('ivf'), rgb=image)
    assert context.launch_configurations['rgb_info'] == info
    assert context.launch_configurations['thermal_info'] == 'thermal/camera_info'


@pytest.mark.parametrize('distribution, variable', [
    ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('lyrical', 'FASTDDS_DEFAULT_PROFILES_FILE')])
def test_a_profile_set_by_the_user_is_kept(installed, monkeypatch, distribution, variable):
    monkeypatch.setenv('ROS_DISTRO', distribution)
    monkeypatch.setenv(variable, '/mine.xml')
    description = load_description('fusion')
    actions = [action for action in description.entities
               if isinstance(action, SetEnvironmentVariable)]
    context = make_context(description)
    for action in actions:
        action.visit(context)
    assert len(actions) == 1 and context.environment[variable] == '/mine.xml'


# Tests that run the launch files.

@pytest.fixture
def ros2(installed, live_graph, monkeypatch,
         tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start ``ros2`` commands in the domain of the live graph; stop them after the test."""
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
        stop(process)
        process.stdout.close()


def stop(process: subprocess.Popen) -> bool:
    """Interrupt a command as by Ctrl-C; return whether all its processes ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_TIMEOUT_S)
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    process.wait()
    return False


def read_output(process: subprocess.Popen) -> str:
    return Path(process.stdout.name).read_text()


@pytest.fixture
def params_file(tmp_path) -> Path:
    path = tmp_path / 'parameters.yaml'
    path.write_text(PARAMETERS)
    return path


class Observer:
    """Observes the graph from another process."""

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
        assert wait_until(client.services_are_ready, START_TIMEOUT_S)
        value = self.answer(client.get_parameters([name])).values[0]
        return value.double_value or value.string_value

    def loaded(self, container: str) -> list[str]:
        client = self.node.create_client(ListNodes, f'{container}/_container/list_nodes')
        assert wait_until(client.service_is_ready, START_TIMEOUT_S)
        return list(self.answer(client.call_async(ListNodes.Request())).full_node_names)

    @staticmethod
    def answer(future):
        assert wait_until(future.done, START_TIMEOUT_S)
        return future.result()


@pytest.mark.parametrize('mode', ['composed', 'processes'])
def test_the_graph_runs_in_a_namespace_with_the_parameters_of_the_file(
        live_graph, ros2, params_file, mode):
    observer = Observer(live_graph)
    fused = observer.listen(Image, 'robot/fused/image')
    detections = observer.listen(Detection2DArray, 'robot/detections')

    launched = ros2('launch', 'ivf_ros', 'ivf.launch.py', f'mode:={mode}', 'namespace:=robot',
                    'source:=simulator', 'perception:=separate', f'params_file:={params_file}')

    assert wait_until(lambda: bool(fused and detections), START_TIMEOUT_S), read_output(launched)
    assert observer.parameter('robot/registration', 'max_rate_hz') == 3.5
    nodes = {f'robot/{stage}' for stage in (*SEPARATE, 'replay')}
    assert wait_until(lambda: nodes <= observer.nodes(), START_TIMEOUT_S)
    if mode == 'composed':
        assert {name.lstrip('/') for name in observer.loaded('robot/ivf_container')} == nodes
    assert stop(launched), read_output(launched)
    output = read_output(launched)
    assert 'Traceback' not in output and 'process has died' not in output, output


@pytest.mark.parametrize('mode', ['composed', 'processes'])
def test_a_killed_process_starts_again_with_its_nodes(live_graph, ros2, params_file, mode):
    observer = Observer(live_graph)
    fused = observer.listen(Image, 'fused/image')
    launched = ros2('launch', 'ivf_ros', 'ivf.launch.py', f'mode:={mode}', 'source:=simulator',
                    'respawn:=true', 'respawn_delay:=0.1', 'rviz:=true',
                    f'params_file:={params_file}')
    assert wait_until(lambda: bool(fused), START_TIMEOUT_S), read_output(launched)
    executable = 'component_container' if mode == 'composed' else 'fusion_node'
    process_ids = re.compile(rf'\[{executable}-\d+\]: process started with pid \[(\d+)\]')

    os.kill(int(process_ids.findall(read_output(launched))[0]), signal.SIGKILL)

    assert wait_until(lambda: len(process_ids.findall(read_output(launched))) == 2,
                      START_TIMEOUT_S), read_output(launched)
    fused.clear()
    assert wait_until(lambda: bool(fused), START_TIMEOUT_S), read_output(launched)
    assert observer.parameter('fusion', 'fusion.method') == 'average'
    assert stop(launched), read_output(launched)


def test_one_stage_is_loaded_into_a_running_container(live_graph, ros2, tmp_path):
    observer = Observer(live_graph)
    params_file = tmp_path / 'fusion.yaml'
    params_file.write_text('/**: {ros__parameters: {fusion.method: average}}')
    ros2('run', 'ivf_ros', 'component_container')

    launched = ros2('launch', 'ivf_ros', 'fusion.launch.py', 'container:=/component_container',
                    f'params_file:={params_file}')

    assert launched.wait(START_TIMEOUT_S) == 0, read_output(launched)
    assert observer.loaded('component_container') == ['/fusion']
    assert observer.parameter('fusion', 'fusion.method') == 'average'


def test_one_node_runs_alone_on_the_given_topics(live_graph, ros2):
    images = Observer(live_graph).listen(Image, '/front/image')

    launched = ros2('launch', 'ivf_ros', 'replay.launch.py', 'rgb:=/front/image', 'rate:=2')

    assert wait_until(lambda: bool(images), START_TIMEOUT_S), read_output(launched)
    assert stop(launched), read_output(launched)


def test_a_value_outside_the_choices_is_refused(live_graph, ros2):
    launched = ros2('launch', 'ivf_ros', 'ivf.launch.py', 'mode:=both')

    assert launched.wait(START_TIMEOUT_S) != 0
    assert "Valid options are: ['composed', 'processes']" in read_output(launched)
