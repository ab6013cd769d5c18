# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The bond with the lifecycle manager of nav2; the other side is played by the protocol."""

from __future__ import annotations

from dataclasses import dataclass
import os
import subprocess
import sys
import time
from typing import Iterator
import uuid

from conftest import LiveGraph, wait_until
import pytest

pytest.importorskip('rclpy', reason='nodes need rclpy')
pytest.importorskip('bond', reason='the message package bond is not installed')
pytestmark = pytest.mark.live

from bond.msg import Status  # noqa: E402, I100
from ivf_ros.nodes.graph.stage_node import StageNode  # noqa: E402
from ivf_ros.parameters import parameter  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

PERIOD_S = 0.05
HEARTBEAT_TIMEOUT_S = 2.0
SUCCESS = TransitionCallbackReturn.SUCCESS


@dataclass(frozen=True)
class ManagedParameters:
    """The parameters that every node has."""

    autostart: bool = parameter(False, 'Configure and activate at start.', live=False)
    bond_heartbeat_period: float = parameter(0.0, 'Period of the heartbeats.', live=False)


class Managed(StageNode):
    """A node without a stage."""

    default_name = 'managed'

    def __init__(self, **node_options):
        super().__init__(ManagedParameters, **node_options)


class Manager:
    """The side of the lifecycle manager: forms the bond, and notices its end."""

    def __init__(self, graph: LiveGraph, id_: str) -> None:
        self.state = 'waiting'
        self.heard: list[Status] = []
        self._id, self._instance_id = id_, str(uuid.uuid4())
        self._last_heartbeat_s = 0.0
        node = graph.node('lifecycle_manager')
        self._publisher = node.create_publisher(Status, 'bond', 5)
        node.create_subscription(Status, 'bond', self._on_status, 100)
        node.create_timer(PERIOD_S, self._check)

    def end(self) -> None:
        """Say that this side ends, as on the shutdown of the manager."""
        self.state = 'ending'
        self._publish(active=False)

    def _publish(self, active: bool) -> None:
        self._publisher.publish(Status(id=self._id, instance_id=self._instance_id, active=active))

    def _on_status(self, status: Status) -> None:
        if status.id != self._id or status.instance_id == self._instance_id:
            return
        self.heard.append(status)
        if not status.active:
            self.state = 'ended by the node'
        elif self.state in ('waiting', 'formed'):
            self.state, self._last_heartbeat_s = 'formed', time.monotonic()

    def _check(self) -> None:
        silence_s = time.monotonic() - self._last_heartbeat_s
        if self.state == 'formed' and silence_s > HEARTBEAT_TIMEOUT_S:
            self.state = 'no heartbeat'
        if self.state in ('waiting', 'formed'):
            self._publish(active=True)


def add_managed(graph: LiveGraph, period_s: float = PERIOD_S) -> Managed:
    return graph.add(Managed, parameter_overrides=[
        Parameter('bond_heartbeat_period', value=period_s)])


def has_bond(graph: LiveGraph) -> bool:
    """Return whether the node publishes heartbeats, beside the manager."""
    return 'managed' in {endpoint.node_name for node in graph.nodes
                         for endpoint in node.get_publishers_info_by_topic('bond')}


def test_the_bond_is_formed_by_activation_and_ended_by_deactivation(live_graph):
    manager, node = Manager(live_graph, 'managed'), add_managed(live_graph)
    assert node.trigger_configure() == SUCCESS
    assert not has_bond(live_graph) and not manager.heard

    assert node.trigger_activate() == SUCCESS
    assert wait_until(lambda: manager.state == 'formed')
    assert wait_until(lambda: len(manager.heard) > 3)
    assert manager.heard[0].heartbeat_period == pytest.approx(PERIOD_S)
    assert len({status.instance_id for status in manager.heard}) == 1

    assert node.trigger_deactivate() == SUCCESS
    assert wait_until(lambda: manager.state == 'ended by the node')
    assert wait_until(lambda: not has_bond(live_graph))


def test_a_node_that_is_activated_again_is_another_instance(live_graph):
    node = add_managed(live_graph)
    instances = []
    for number in range(2):
        manager = Manager(live_graph, 'managed')
        node.trigger_configure() if number == 0 else node.trigger_deactivate()
        assert node.trigger_activate() == SUCCESS
        assert wait_until(lambda manager=manager: bool(manager.heard) and manager.heard[-1].active)
        instances.append(manager.heard[-1].instance_id)
    assert instances[0] != instances[1]


def test_an_end_of_the_manager_is_answered_and_the_node_stays_active(live_graph):
    manager, node = Manager(live_graph, 'managed'), add_managed(live_graph)
    node.trigger_configure()
    assert node.trigger_activate() == SUCCESS
    assert wait_until(lambda: manager.state == 'formed' and node._bond._manager_id)

    manager.end()

    assert wait_until(lambda: manager.state == 'ended by the node')
    assert wait_until(lambda: not has_bond(live_graph))
    assert node.trigger_deactivate() == SUCCESS


def test_statuses_of_other_bonds_have_no_effect(live_graph):
    others, manager = Manager(live_graph, 'others'), Manager(live_graph, 'managed')
    node = add_managed(live_graph)
    node.trigger_configure()
    assert node.trigger_activate() == SUCCESS
    assert wait_until(lambda: manager.state == 'formed')
    others.end()
    count = len(manager.heard)
    assert wait_until(lambda: len(manager.heard) > count + 3)
    assert manager.state == 'formed' and others.heard == []


def test_without_a_period_there_is_no_bond(live_graph):
    node = add_managed(live_graph, period_s=0.0)
    node.trigger_configure()
    assert node.trigger_activate() == SUCCESS
    assert not has_bond(live_graph)


def test_without_the_message_package_the_activation_fails_with_its_name(live_graph, monkeypatch):
    monkeypatch.setitem(sys.modules, 'bond.msg', None)
    node = add_managed(live_graph)
    node.trigger_configure()
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert 'needs the package bond' in node._get_status().error


@pytest.fixture
def fusion_process(live_graph, monkeypatch) -> Iterator[subprocess.Popen]:
    """Run an active fusion node with a bond in another process."""
    monkeypatch.setenv('ROS_DOMAIN_ID', str(live_graph.context.get_domain_id()))
    code = 'import sys; from ivf_ros.nodes.fusion_node import main; sys.exit(main())'
    with subprocess.Popen([sys.executable, '-c', code, '--ros-args', '-p',
                           'fusion.method:=average', '-p', f'bond_heartbeat_period:={PERIOD_S}'],
                          env=os.environ) as process:
        yield process
        process.kill()


@pytest.mark.parametrize('is_killed', [True, False], ids=['killed', 'stopped'])
def test_the_end_of_the_process_ends_the_bond(live_graph, fusion_process, is_killed):
    manager = Manager(live_graph, 'fusion')
    assert wait_until(lambda: manager.state == 'formed', 60.0)
    if is_killed:
        fusion_process.kill()
    else:
        fusion_process.terminate()
    assert wait_until(lambda: manager.state != 'formed')
    assert manager.state == ('no heartbeat' if is_killed else 'ended by the node')
