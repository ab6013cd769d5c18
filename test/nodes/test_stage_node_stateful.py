# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A node survives any sequence of transitions, parameters, frames and errors of its own code."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
import threading
from typing import ClassVar

from conftest import wait_until
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    rule,
    RuleBasedStateMachine,
    run_state_machine_as_test,
)
from machine_settings import machine_settings
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='nodes need rclpy')
pytestmark = pytest.mark.live

from ivf_ros import geometry  # noqa: E402, I100
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.messages import Homography, Stamped  # noqa: E402
from ivf_ros.nodes.graph.stage_node import StageNode  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub, Publisher  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from ivf_ros.parameters import parameter  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from rclpy._rclpy_pybind11 import RCLError  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

Settings = dict[str, st.SearchStrategy]  # by the name of a parameter

SUCCESS = TransitionCallbackReturn.SUCCESS
# Transition -> the state in which it is possible, and the state after it has succeeded.
TRANSITIONS = {'configure': ('unconfigured', 'inactive'),
               'activate': ('inactive', 'active'),
               'deactivate': ('active', 'inactive'),
               'cleanup': ('inactive', 'unconfigured')}
ERRORS = (ValueError('expected'), KeyError('a defect'), ZeroDivisionError('another one'))
FAULTS = st.sampled_from([None, None, None, *ERRORS])


@dataclass(frozen=True)
class ScriptedParameters:
    """A few parameters; one of them is refused by the stage for some values."""

    autostart: bool = parameter(False, 'Configure and activate at start.', live=False)
    level: int = parameter(3, 'Refused if it is odd and above 100.', minimum=0, maximum=255)
    mode: str = parameter('a', 'Mode.', choices=('a', 'b'))
    gains: tuple = parameter((1.0,), 'Gains.')


class ScriptedStage:
    """Refuses some parameters."""

    def prepare(self, requested):
        """Raise an error of a stage or a defect."""
        if requested.level > 100 and requested.level % 2:
            raise ValueError('odd') if requested.level < 200 else IndexError('defect')

    def apply(self, parameters, prepared):
        """Use these parameters."""
        self.parameters = parameters


class ScriptedNode(StageNode):
    """Raises what the test puts into ``faults``, under the name of the method."""

    default_name = 'scripted'

    def __init__(self, hub, **options):
        self.faults: dict[str, Exception | None] = {}
        self.worked = 0
        super().__init__(ScriptedParameters, hub, **options)

    def _raise(self, place):
        if self.faults.get(place) is not None:
            raise self.faults[place]

    def configure(self):
        self.stage = ScriptedStage()
        self.advertise(messages.IMAGE, 'out')
        self._raise('configure')

    def activate(self):
        worker = self.start_worker(self._work)
        self.subscribe(messages.IMAGE, 'in', worker.put)
        self.subscribe(messages.IMAGE, 'callback', self._on_frame)
        self.call_every(0.01, lambda: self._raise('timer'))
        self._raise('activate')

    def interrupt_workers(self):
        self._raise('interrupt')

    def cleanup(self):
        self._raise('cleanup')

    def diagnose(self):
        self._raise('diagnose')
        return '', {'worked': self.worked}

    def _on_frame(self, frame):
        self._raise('callback')

    def _work(self, frame):
        self.worked += 1
        self._raise('work')


class LifeCycleMachine(RuleBasedStateMachine):
    """Transitions and parameters of any node, in the thread of its executor."""

    make_node: type[StageNode]
    frame_topics: tuple[str, ...]
    settings: ClassVar[Settings]
    overrides: ClassVar[dict[str, object]] = {}  # of parameters at start

    def __init__(self, context):
        super().__init__()
        self.threads = set(threading.enumerate())
        self.hub = Hub()
        self.executor = SingleThreadedExecutor(context=context)
        self.cameras = Node('cameras', context=context)
        overrides = {'autostart': False, **self.overrides}
        self.node = self.make_node(hub=self.hub, context=context, parameter_overrides=[
            Parameter(name, value=value) for name, value in overrides.items()])
        self.executor.add_node(self.node)
        self.executor.add_node(self.cameras)
        self.publishers = {topic: Publisher(self.cameras, self.hub, messages.IMAGE, topic)
                           for topic in self.frame_topics}
        self.stamp_ns = 10 ** 9
        self.expected = 'unconfigured'

    @property
    def state(self):
        return self.node._state_machine.current_state[1]

    @rule(name=st.sampled_from([*TRANSITIONS, 'configure', 'activate']))
    def change_state(self, name):
        possible, after = TRANSITIONS[name]
        before = self.state
        if before != possible:  # rclpy refuses it: Kilted returns an error, Jazzy raises it
            with suppress(RCLError):
                assert getattr(self.node, f'trigger_{name}')() != SUCCESS
            return
        outcome = getattr(self.node, f'trigger_{name}')()
        # Deactivation and cleanup always succeed. Others fail back, with the reason.
        assert outcome == SUCCESS or name in ('configure', 'activate')
        self.expected = after if outcome == SUCCESS else before
        assert bool(self.node.failure_reason) == (outcome != SUCCESS)

    @rule(data=st.data())
    def set_parameters(self, data):
        names = data.draw(st.lists(st.sampled_from(sorted(self.settings)), min_size=1, max_size=3,
                                   unique=True))
        values = {name: data.draw(self.settings[name]) for name in names}
        [*results] = self.node.set_parameters(
            [Parameter(name, value=value) for name, value in values.items()])
        for name, result in zip(values, results, strict=True):
            assert result.successful or result.reason
            if result.successful:
                held = self.node.get_parameter(name).value
                assert held == values[name] or list(held) == list(values[name])

    @rule(count=st.integers(1, 3), height=st.sampled_from([1, 12, 48]),
          is_colour=st.booleans(), dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
          step_ns=st.sampled_from([0, 33_000_000, -10 ** 9, 10 ** 13]))
    def send_frames(self, count, height, is_colour, dtype, step_ns):
        image = np.zeros((height, 64, 3) if is_colour and dtype != np.float32 else (height, 64),
                         dtype)
        image[::2] = 9
        for _ in range(count):
            self.stamp_ns = max(0, self.stamp_ns + step_ns)
            for publisher in self.publishers.values():
                publisher.publish(Frame(image, self.stamp_ns, 'camera'))

    @rule(turns=st.integers(1, 4))
    def spin(self, turns):
        for _ in range(turns):
            self.executor.spin_once(timeout_sec=0.002)

    @rule()
    def ask_for_the_status(self):
        self.node._health.publish_status()
        assert self.node._get_status().lifecycle == self.state

    @invariant()
    def the_state_is_the_expected_one(self):
        if self.state != self.expected:  # many defects deactivate a node
            assert (self.expected, self.state) == ('active', 'inactive')
            assert self.node.failure_reason.startswith('deactivated after')
            self.expected = self.state

    @invariant()
    def workers_run_only_while_the_node_is_active(self):
        if self.state != 'active':
            assert not self.new_threads(), self.new_threads()

    def new_threads(self):
        """Return the threads that are still there, but were not at the beginning."""
        return [thread.name for thread in threading.enumerate() if thread not in self.threads]

    def teardown(self):
        for publisher in self.publishers.values():
            publisher.destroy()
        for node in (self.node, self.cameras):
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()
        assert wait_until(lambda: not self.new_threads()), self.new_threads()


class ScriptedMachine(LifeCycleMachine):
    """A node whose own code raises errors at any place."""

    make_node = ScriptedNode
    frame_topics = ('in', 'callback')
    settings: ClassVar[Settings] = {
        'level': st.one_of(st.integers(-5, 300), st.just('text'), st.just(1.5)),
        'mode': st.sampled_from(['a', 'b', 'c', '']),
        'gains': st.one_of(st.lists(st.floats(0, 2), max_size=3), st.just(['x'])),
        'autostart': st.booleans()}

    @rule(place=st.sampled_from(['configure', 'activate', 'interrupt', 'cleanup', 'diagnose',
                                 'timer', 'callback', 'work']), error=FAULTS)
    def break_or_mend(self, place, error):
        self.node.faults[place] = error

    @rule(name=st.sampled_from(sorted(TRANSITIONS)), error=st.sampled_from(ERRORS))
    def change_state_with_an_error(self, name, error):
        """Enter the state in which the transition is possible; raise the error in its code."""
        place = {'deactivate': 'interrupt'}.get(name, name)
        way = {'unconfigured': {'inactive': ['cleanup'], 'active': ['deactivate', 'cleanup']},
               'inactive': {'unconfigured': ['configure'], 'active': ['deactivate']},
               'active': {'unconfigured': ['configure', 'activate'], 'inactive': ['activate']}}
        self.node.faults.clear()
        for step in way[TRANSITIONS[name][0]].get(self.state, []):
            self.change_state(step)
        self.node.faults[place] = error
        self.change_state(name)
        assert (self.state == TRANSITIONS[name][1]) == (name in ('deactivate', 'cleanup'))
        self.node.faults.clear()

    @rule()
    def frames_reach_the_worker_only_while_active(self):
        before = self.node.worked
        self.publishers['in'].publish(Frame(np.zeros((2, 3), np.uint8), 10 ** 18 + before))
        if self.state == 'active':
            assert wait_until(lambda: self.node.worked > before)
        else:
            assert self.node.worked == before


class FusionMachine(LifeCycleMachine):
    """The node of the fusion, with cheap methods."""

    make_node = FusionNode
    frame_topics = ('thermal/image_raw', 'rgb/image_raw')
    overrides: ClassVar[dict[str, object]] = {'fusion.method': 'average'}
    settings: ClassVar[Settings] = {
        'fusion.method': st.sampled_from(['average', 'max', 'laplacian', 'none']),
        'fusion.dark_luma': st.floats(-10, 300),
        'fusion.agc.mode': st.sampled_from(['percentile', 'plateau', 'clahe', 'x']),
        'fusion.agc.low_percent': st.floats(0, 100),
        'rgb.rotate': st.sampled_from([0, 90, 45]),
        'homography_timeout_s': st.sampled_from([0.0, 0.5, float('nan'), float('inf')])}

    @rule(dx_px=st.sampled_from([0.0, 5.0, 1e6, float('nan')]), size=st.sampled_from(
        [(64, 48), (1, 1)]))
    def send_a_homography(self, dx_px, size):
        publisher = Publisher(self.cameras, self.hub, messages.HOMOGRAPHY,
                              'registration/homography')
        publisher.publish(Stamped(Homography(geometry.translation(dx_px, 0), size),
                                  self.stamp_ns, 'camera'))
        publisher.destroy()


class RegistrationMachine(LifeCycleMachine):
    """The node of the registration, with its classical method."""

    make_node = RegistrationNode
    frame_topics = ('thermal/image_raw', 'rgb/image_raw')
    overrides: ClassVar[dict[str, object]] = {'registration.method': 'dense'}
    settings: ClassVar[Settings] = {
        'registration.method': st.sampled_from(['calibrated', 'none']),
        'registration.dense.work_px': st.sampled_from([0, 64, 160]),
        'tracker.acquire_count': st.integers(0, 3),
        'max_rate_hz': st.sampled_from([0.0, 1.0, 1e9, float('nan')]),
        'registration.calibrated.H_thermal_to_rgb': st.sampled_from(
            [[], [1.0] * 9, [1.0, 0.0, 5.0, 0.0, 1.0, 5.0, 0.0, 0.0, 1.0], [1.0]]),
        'tracker.hold_s': st.floats(0, 20)}


@pytest.mark.parametrize('machine, max_examples', [
    (ScriptedMachine, 12), (FusionMachine, 6), (RegistrationMachine, 6)])
def test_a_node_always_reaches_a_defined_state(live_graph, machine, max_examples):
    run_state_machine_as_test(lambda: machine(live_graph.context), settings=machine_settings(
        max_examples, stateful_step_count=25))
