# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exceptions that nobody foresaw: a node reports them, goes on, and gives up if there are many."""

from __future__ import annotations

from dataclasses import dataclass
import inspect
import threading

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402, I100
from ivf_ros.nodes.graph import faults, messages, stage_node  # noqa: E402
from ivf_ros.nodes.graph.faults import describe_error, FaultLimit, guard  # noqa: E402
from ivf_ros.nodes.graph.spinner import Spinner  # noqa: E402
from ivf_ros.nodes.graph.stage_node import StageNode  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub, Publisher  # noqa: E402
from ivf_ros.parameters import parameter  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from lifecycle_msgs.srv import GetState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
INACTIVE, ACTIVE = 2, 3  # of lifecycle_msgs/msg/State
DEFECT = 'this is a defect, please report it'


@dataclass(frozen=True)
class FragileParameters:
    """Parameters of the node of these tests."""

    autostart: bool = parameter(False, 'Configure and activate at start.', live=False)


class Fragile(StageNode):
    """
    Raises KeyError where ``broken`` says so.

    The places are a method of the node, ``timer``, ``worker``, ``callback`` and ``service``.
    """

    default_name = 'fragile'

    def __init__(self, hub=None, **node_options):
        super().__init__(FragileParameters, hub, **node_options)
        self.broken, self.worked, self.ticks = set(), [], 0

    def check(self, place):
        if place in self.broken:
            raise KeyError(place)

    def configure(self):
        self.check('configure')
        self.create_service(GetState, '~/extra', self._serve)

    def activate(self):
        self.check('activate')
        self.worker = self.start_worker(self._work)
        self.subscribe(messages.IMAGE, 'image', self._on_image)
        self.call_every(0.01, self._tick)

    def cleanup(self):
        self.check('cleanup')

    def interrupt_workers(self):
        self.check('interrupt_workers')

    def diagnose(self):
        self.check('diagnose')
        return '', {}

    def _tick(self):
        self.ticks += 1
        self.check('timer')

    def _on_image(self, frame):
        self.check('callback')
        self.worker.put(frame)

    def _work(self, frame):
        self.check('worker')
        self.worked.append(frame.stamp_ns)

    def _serve(self, request, response):
        self.check('service')
        response.current_state.id = 7
        return response


class Rig:
    """A fragile node with a camera in the same process, and what it says."""

    def __init__(self, graph, **node_options):
        hub = Hub()
        self.graph, self.statuses = graph, []
        self.observer = graph.node('observer')
        self.observer.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics,
                                          20)
        self.camera = Publisher(self.observer, hub, messages.IMAGE, 'image')
        self.node = graph.add(Fragile, hub, **node_options)
        self._stamp_ns = 0

    def _on_diagnostics(self, message):
        self.statuses += [item for item in message.status if item.name == '/fragile']

    def start(self):
        assert self.node.trigger_configure() == SUCCESS
        assert self.node.trigger_activate() == SUCCESS

    def send(self):
        self._stamp_ns += 1
        self.camera.publish(Frame(np.zeros((3, 4), np.uint8), self._stamp_ns))
        self.node.worker.wait_until_idle(10.0)
        return self._stamp_ns

    def has_said(self, text, level=DiagnosticStatus.ERROR):
        return any(text in item.message and item.level == level for item in self.statuses)


@pytest.fixture
def rig(live_graph):
    return Rig(live_graph)


@pytest.mark.parametrize('place', ['worker', 'callback'])
def test_one_bad_frame_is_reported_and_the_next_one_is_processed(rig, place):
    rig.start()
    rig.send()
    rig.node.broken.add(place)
    rig.send()
    rig.node.broken.clear()
    rig.send()
    assert rig.node.worked == [1, 3]
    assert rig.node.statistics.drops() == {'defect': 1}
    assert wait_until(lambda: rig.has_said(f"KeyError: '{place}' in test_faults.py, line "))
    assert rig.has_said(DEFECT)
    assert wait_until(lambda: rig.statuses[-1].message == 'active')  # an error passes


def test_an_exception_in_a_timer_or_a_service_does_not_reach_the_executor(rig):
    rig.start()
    rig.node.broken.add('service')
    client = rig.observer.create_client(GetState, '/fragile/extra')
    assert wait_until(client.service_is_ready)
    future = client.call_async(GetState.Request())
    assert wait_until(future.done)
    assert future.result().current_state.id == 0  # the response as it was when it raised
    rig.node.broken.add('timer')
    assert wait_until(lambda: rig.node.statistics.drops().get('defect', 0) > 1)
    rig.node.broken.clear()
    before = rig.node.ticks
    assert wait_until(lambda: rig.node.ticks > before + 3)


def test_a_node_with_many_defects_is_deactivated_with_the_reason_and_can_be_activated_again(rig):
    rig.start()
    rig.node.broken.add('timer')
    assert wait_until(lambda: rig.node._state_machine.current_state[0] == INACTIVE)
    reason = f'deactivated after {faults.MAX_FAULTS_PER_MINUTE} defects in a minute, the last: ' \
             "KeyError: 'timer'"
    assert wait_until(lambda: rig.statuses[-1].message.startswith(reason))
    assert rig.statuses[-1].level == DiagnosticStatus.ERROR
    assert rig.node._workers == []
    rig.node.broken.clear()
    rig.node._fault_limit = FaultLimit()  # a minute later
    assert rig.node.trigger_activate() == SUCCESS
    rig.send()
    assert rig.node.worked == [1]
    assert wait_until(lambda: rig.statuses[-1].message == 'active')


@pytest.mark.parametrize('transition, before', [('configure', []), ('activate', ['configure'])])
def test_an_exception_in_a_transition_is_told_and_the_transition_can_be_repeated(
        rig, transition, before):
    for earlier in before:
        assert getattr(rig.node, f'trigger_{earlier}')() == SUCCESS
    rig.node.broken.add(transition)
    assert getattr(rig.node, f'trigger_{transition}')() == FAILURE
    said = f"cannot {transition}: KeyError: '{transition}' in test_faults.py"
    assert wait_until(lambda: rig.has_said(said))
    rig.node.broken.clear()
    assert getattr(rig.node, f'trigger_{transition}')() == SUCCESS


def test_an_exception_in_the_clean_up_does_not_stop_it(rig):
    rig.start()
    rig.node.broken |= {'interrupt_workers', 'cleanup'}
    assert rig.node.trigger_deactivate() == SUCCESS
    assert rig.node._workers == []
    assert rig.node.trigger_cleanup() == SUCCESS
    assert rig.node.statistics.drops() == {'defect': 2}
    rig.node.broken.clear()
    rig.start()


def test_the_status_is_published_although_the_diagnosis_fails(rig):
    rig.node.broken.add('diagnose')
    rig.start()
    assert wait_until(lambda: rig.has_said("KeyError: 'diagnose'"))
    values = {item.key: item.value for item in rig.statuses[-1].values}
    assert values['lifecycle'] == 'active' and int(values['drops.defect']) >= 1


def test_a_worker_that_does_not_come_back_is_named_and_does_not_hold_up_the_end(
        rig, monkeypatch):
    monkeypatch.setattr(stage_node, '_STALL_S', 0.2)
    monkeypatch.setattr(stage_node, '_STOP_TIMEOUT_S', 0.1)
    rig.start()
    started, proceed = threading.Event(), threading.Event()

    def hang(item):
        started.set()
        proceed.wait(30.0)

    worker = rig.node.start_worker(hang)
    worker.put(1)
    assert started.wait(60.0)
    try:
        assert wait_until(lambda: rig.has_said("worker 'hang' has been busy with one item for"))
        assert rig.node.trigger_deactivate() == SUCCESS
        assert wait_until(lambda: rig.has_said("worker 'hang' does not end; it is left behind"))
    finally:
        proceed.set()
    assert worker.stop(10.0)


def test_an_item_that_arrives_while_its_node_is_destroyed_is_no_error(rig):
    rig.start()
    output = rig.node.advertise(messages.IMAGE, 'output')
    started, proceed = threading.Event(), threading.Event()

    def use_the_output(place):
        if place != 'callback':
            return
        started.set()
        assert proceed.wait(10.0)
        assert not output.has_subscribers

    rig.node.check = use_the_output
    frame = Frame(np.zeros((3, 4), np.uint8), 1)
    delivery = threading.Thread(target=rig.camera.publish, args=(frame,))
    delivery.start()  # as the worker of another node of the process does
    assert started.wait(10.0)
    rig.graph.executor.remove_node(rig.node)
    rig.node.destroy_node()
    proceed.set()
    delivery.join(10.0)
    assert rig.node.statistics.drops() == {} and not rig.node.statistics.error_counts()


def test_errors_of_ever_new_kinds_are_logged_a_few_times_and_counted(rig, capfd):
    rig.start()
    capfd.readouterr()
    for index in range(60):
        rig.node.report_error(f'unknown encoding {chr(97 + index % 26) * (1 + index)}')
    lines = [line for line in capfd.readouterr().err.splitlines() if 'unknown encoding' in line]
    assert len(lines) == 5
    assert rig.node.statistics.error_counts() == {'errors': 60, 'errors_not_logged': 55}
    assert wait_until(lambda: any(
        {'errors': '60', 'errors_not_logged': '55'}.items()
        <= {value.key: value.value for value in item.values}.items() for item in rig.statuses))


def test_a_guarded_callback_has_the_signature_of_the_original():
    class Owner:

        def method(self, message):
            return message

    guarded = guard(Owner().method, pytest.fail)
    assert inspect.signature(guarded) == inspect.signature(Owner().method)
    assert guarded(3) == 3


def test_a_coroutine_is_refused():
    async def callback():
        pass

    with pytest.raises(TypeError, match='is a coroutine'):
        guard(callback, pytest.fail)


@pytest.mark.parametrize('error, text', [
    (ValueError('no  such\nimage'), 'no such image'),
    (ValueError(), 'ValueError'),
    (KeyError('camera'), "KeyError: 'camera'")])
def test_an_error_is_described_in_one_line(error, text):
    assert describe_error(error) == text


def test_the_limit_counts_the_faults_of_one_minute(monkeypatch):
    times_s = [0.0, 1.0, 2.0, 60.0, 62.5, 62.6, 62.7]  # the fourth is a minute after the first
    clock = iter(times_s)
    monkeypatch.setattr(faults.time, 'monotonic', lambda: next(clock))
    limit = FaultLimit(3)
    exceeded = [limit.is_exceeded_by_another() for _ in times_s]
    assert exceeded == [False, False, False, False, False, False, True]


def test_ten_faults_in_a_minute_are_tolerated():
    limit = FaultLimit()
    assert [limit.is_exceeded_by_another() for _ in range(11)] == 10 * [False] + [True]


def test_a_spinner_goes_on_after_an_exception_and_ends_if_it_is_told_to(live_graph):
    errors = []

    def survives(error):
        errors.append(str(error))
        return len(errors) < 3

    node = live_graph.stranger('spun')
    spinner = Spinner(SingleThreadedExecutor(context=node.context), survives, 'test')

    def fail():
        raise RuntimeError('again')

    node.create_timer(0.01, fail)
    spinner.add(node)
    assert wait_until(lambda: not spinner._thread.is_alive())
    assert errors == ['again'] * 3
    assert spinner.stop(10.0)


def test_no_callback_runs_while_a_spinner_is_paused(live_graph):
    ticks = []
    node = live_graph.stranger('spun')
    node.create_timer(0.005, lambda: ticks.append(1))
    spinner = Spinner(SingleThreadedExecutor(context=node.context), pytest.fail, 'test')
    spinner.add(node)
    for _ in range(20):
        assert wait_until(lambda: len(ticks) > 2)
        with spinner.pause():
            ticks.clear()
            assert not wait_until(lambda: bool(ticks), 0.02)
    assert spinner.stop(10.0)


def test_a_pause_without_a_limit_waits_for_a_long_callback(live_graph):
    node, other = live_graph.stranger('spun'), live_graph.stranger('other')
    busy, proceed = threading.Event(), threading.Event()

    def wait():
        busy.set()
        assert proceed.wait(60.0)

    node.create_timer(0.01, wait)
    spinner = Spinner(SingleThreadedExecutor(context=node.context), pytest.fail, 'test')
    spinner.add(node)
    assert busy.wait(60.0)
    with pytest.raises(TimeoutError, match=r'a callback did not end within 0\.05 s'), \
            spinner.pause(0.05):
        pass
    adding = threading.Thread(target=spinner.add, args=(other,), daemon=True)
    adding.start()
    adding.join(1.2)
    assert adding.is_alive()
    proceed.set()
    adding.join(10.0)
    assert not adding.is_alive() and other.executor is not None
    assert spinner.stop(10.0)
