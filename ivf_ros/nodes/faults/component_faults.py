# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Faults of components: those of other packages that raise, exit or block, and further containers.

A component that raises is unloaded, and loaded again, as the container of the campaign is told to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
import inspect
import os
from pathlib import Path
import signal
import time
from typing import Any

from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode
from ivf_ros.nodes.faults import foreign_components
from ivf_ros.nodes.faults.camera_faults import Inject
from ivf_ros.nodes.faults.fault import BOTH, Fault, Targets
from ivf_ros.nodes.faults.process_faults import interrupt
from ivf_ros.nodes.faults.services import open_client
from ivf_ros.nodes.faults.side_process import run_beside
from rclpy.node import Node
from rclpy.parameter import Parameter

_PACKAGE = 'foreign'
_CONTAINER = 'component_container'
_RELOAD_DELAY_S = 0.5
_TIMEOUT_S = 25.0  # of requests; to unload a node that is busy takes up to 20 s


def prepare_container(folder: Path) -> tuple[list[str], dict[str, str]]:
    """
    Describe the components in a folder as an installed package does.

    Returns the ROS arguments and the environment of a container that finds them, and that loads a
    component again that has failed.
    """
    package = folder / f'{_PACKAGE}-1.0.dist-info'
    package.mkdir()
    (package / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {_PACKAGE}\nVersion: 1.0\n')
    names = [name for name, member in vars(foreign_components).items()
             if inspect.isclass(member) and issubclass(member, Node) and member is not Node]
    (package / 'entry_points.txt').write_text('[rclpy_components]\n' + ''.join(
        f'{_PACKAGE}::{name} = {foreign_components.__name__}:{name}\n' for name in names))
    parameters = folder / 'container.yaml'
    parameters.write_text(f'/**/{_CONTAINER}:\n  ros__parameters:\n'
                          f'    reload_delay_s: {_RELOAD_DELAY_S}\n')
    paths = [str(folder), *filter(None, [os.environ.get('PYTHONPATH')])]
    return (['--params-file', str(parameters)],
            {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)})


def list_nodes(targets: Targets) -> dict[str, int]:
    """Return the ids of the nodes of the container by name."""
    with open_client(targets, ListNodes, f'{_CONTAINER}/_container/list_nodes') as client:
        listed = client.call()
    return {name.rpartition('/')[2]: id_
            for name, id_ in zip(listed.full_node_names, listed.unique_ids, strict=True)}


def load(targets: Targets, plugin: str, **parameters: Any) -> str:
    """Load a component; return why it cannot be loaded, or ''."""
    with open_client(targets, LoadNode, f'{_CONTAINER}/_container/load_node') as client:
        answer = client.call(_TIMEOUT_S, plugin_name=plugin, parameters=[
            Parameter(name, value=value).to_parameter_msg()
            for name, value in parameters.items()])
    return answer.error_message


def unload(targets: Targets, name: str) -> None:
    """Unload a node; raise AssertionError if that fails."""
    with open_client(targets, UnloadNode, f'{_CONTAINER}/_container/unload_node') as client:
        answer = client.call(_TIMEOUT_S, unique_id=list_nodes(targets).get(name, 0))
    if not answer.success:
        raise AssertionError(answer.error_message)


def fail(cls: type[foreign_components.Failing]) -> Inject:
    """Return an injection that loads a component, which fails once and is loaded again."""
    def inject(targets: Targets) -> None:
        occasion = str(time.monotonic())
        if error := load(targets, f'{_PACKAGE}::{cls.__name__}', occasion=occasion):
            raise AssertionError(error)
        first = list_nodes(targets).get('failing')
        deadline_s = time.monotonic() + _RELOAD_DELAY_S + 2.0
        while list_nodes(targets).get('failing') in (None, first):
            if time.monotonic() > deadline_s:
                raise AssertionError('the component was not loaded again')
            time.sleep(0.05)

    return inject


def fail_at_start(targets: Targets) -> None:
    """Load a component that raises an exception in its constructor."""
    targets.observer.hear('container', load(targets, f'{_PACKAGE}::FailingAtStart'))
    if 'failing_at_start' in list_nodes(targets):
        raise AssertionError('the component is listed')


def block(targets: Targets) -> None:
    """Load a component that blocks; the container still answers, and can unload it."""
    load_blocking(targets)
    list_nodes(targets)
    unload(targets, 'blocking')


def load_blocking(targets: Targets) -> None:
    """Load a component that blocks."""
    if error := load(targets, f'{_PACKAGE}::Blocking'):
        raise AssertionError(error)


def interrupt_blocked(targets: Targets) -> None:
    """Interrupt the container while a component blocks."""
    load_blocking(targets)
    time.sleep(0.5)  # until its timer has called
    interrupt(signal.SIGINT)(targets)


def replace_perception(targets: Targets) -> None:
    """Unload and load perception ten times while images are processed."""
    for _ in range(10):
        unload(targets, 'perception')
        if error := load(targets, 'ivf_ros::PerceptionNode'):
            raise AssertionError(error)


@contextmanager
def _run_container(targets: Targets, name: str, *stages: str) -> Iterator[Any]:
    """Run another container until its nodes are there."""
    with run_beside(targets, 'ivf_ros.nodes.component_container', *stages, '--ros-args', '-r',
                    f'__ns:={targets.stranger.get_namespace()}', '-r',
                    f'{_CONTAINER}:__node:={name}') as process:
        for stage in stages:
            process.wait_for(f'as {targets.stranger.get_namespace()}/{stage}')
        yield process


def run_second_container(targets: Targets) -> None:
    """Run another container with registration and fusion in the same namespace."""
    with _run_container(targets, 'second', 'registration', 'fusion') as process:
        time.sleep(2.0)
        process.process.send_signal(signal.SIGINT)
        process.wait(0)


def kill_second_container(targets: Targets) -> None:
    """Kill another container while it fuses the same images."""
    with _run_container(targets, 'second', 'fusion') as process:
        time.sleep(2.0)
        process.process.kill()
        process.wait(-signal.SIGKILL)


def find_no_container(targets: Targets) -> str:
    """Return that the graph has no container, or ''."""
    return '' if targets.graph.mode == 'composed' else 'each node has a process of its own'


_Fault = partial(Fault, seconds=0.0, modes=BOTH, find_obstacle=find_no_container)

COMPONENT_FAULTS = (
    _Fault('a component raises in a timer', fail(foreign_components.Failing),
           partial(unload, name='failing'), is_short=True,
           said="raised KeyError: 'no such camera' in foreign_components.py"),
    _Fault('a component exits', fail(foreign_components.Exiting), partial(unload, name='failing'),
           said='raised SystemExit: 0'),
    _Fault('a component raises at its start', fail_at_start,
           said="foreign::FailingAtStart: KeyError: 'no such camera'"),
    _Fault('a component blocks', block),
    _Fault('SIGINT while a component blocks', interrupt_blocked, restarts=True),
    _Fault('perception unloaded and loaded ten times', replace_perception),
    Fault('a second container with the same nodes', run_second_container, seconds=0.0,
          back_within_s=5.0),
    Fault('SIGKILL of a second container', kill_second_container, seconds=0.0, back_within_s=5.0),
)
