# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of processes: signals, clients that hammer, slow subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib import metadata
import itertools
import signal
import time

from ivf_ros.nodes.faults.camera_faults import Inject
from ivf_ros.nodes.faults.fault import BOTH, Fault, repeat_in_thread, Targets
from ivf_ros.nodes.faults.services import (
    ACTIVATE,
    change_state,
    DEACTIVATE,
    is_active,
    open_client,
)
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.spinner import Spinner
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

_KILL_TIMEOUT_S = 5.0
# rclpy answers a request for a transition that is not possible since Kilted, which has version 9.
_ANSWERS_ALL = int(metadata.version('rclpy').partition('.')[0]) >= 9
_LOST_TIMEOUT_S = 0.2


def send_signal(number: signal.Signals) -> Inject:
    """Return an injection that sends a signal to the processes of the graph."""
    return lambda targets: targets.graph.send(number)


def kill(targets: Targets) -> None:
    """Kill the graph."""
    targets.graph.send(signal.SIGKILL)
    if 0 in targets.graph.wait(_KILL_TIMEOUT_S):
        raise AssertionError('a killed process ended with exit code 0')


def interrupt(number: signal.Signals) -> Inject:
    """Return an injection that ends the graph by a signal, within two seconds."""
    def inject(targets: Targets) -> None:
        targets.graph.send(number)
        codes = targets.graph.wait(2.0)
        if any(code not in (0, 128 + number) for code in codes):
            raise AssertionError(f'exit codes {codes} within 2 s of {number.name}')

    return inject


def hammer_parameters(targets: Targets) -> None:
    """Change a parameter of fusion a thousand times, every second time to a wrong value."""
    values = itertools.cycle((ParameterValue(type=ParameterType.PARAMETER_DOUBLE,
                                             double_value=0.1),
                              ParameterValue(type=ParameterType.PARAMETER_STRING,
                                             string_value='wrong')))
    with open_client(targets, SetParameters, 'fusion/set_parameters') as client:
        for _ in range(1000):
            client.call(parameters=[Parameter(name='fusion.min_confidence', value=next(values))])


def hammer_transitions(targets: Targets) -> None:
    """
    Let two clients deactivate and activate fusion at once, and leave it active.

    Each request is answered, also one that is not possible in the present state; rclpy of Jazzy
    answers only those that are possible. With either, fusion is inactive or active afterwards, and
    can be activated.
    """
    def hammer(order: Sequence[int]) -> None:
        with open_client(targets, ChangeState, 'fusion/change_state') as client:
            for transition in order:
                if _ANSWERS_ALL:
                    client.call(transition=Transition(id=transition))
                else:
                    client.try_call(_LOST_TIMEOUT_S, transition=Transition(id=transition))

    order = (DEACTIVATE, ACTIVATE) * 40
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(hammer, (order, order[1:])))
    if not is_active(targets, 'fusion') and not change_state(targets, 'fusion', ACTIVATE):
        raise AssertionError('fusion cannot be activated any more')


def subscribe_slowly(targets: Targets) -> None:
    """Subscribe to the fused images for three seconds, and take half a second for each."""
    node = Node('slow', namespace=targets.stranger.get_namespace())
    node.create_subscription(messages.IMAGE.message_type, 'fused/image',
                             lambda message: time.sleep(0.5), 1, raw=True)
    spinner = Spinner(SingleThreadedExecutor(), lambda error: False, 'slow')
    spinner.add(node)
    time.sleep(3.0)
    spinner.stop()
    node.destroy_node()


def subscribe_and_leave(targets: Targets) -> None:
    """Subscribe to all outputs and unsubscribe, many times."""
    def subscribe() -> None:
        subscriptions = [targets.stranger.create_subscription(
            adapter.message_type, topic, lambda message: None, 1, raw=True)
            for topic, adapter in (('fused/image', messages.IMAGE),
                                   ('detections', messages.DETECTIONS),
                                   ('detections/overlay', messages.IMAGE),
                                   ('thermal_registered/image', messages.IMAGE))]
        time.sleep(0.05)
        for subscription in subscriptions:
            targets.stranger.destroy_subscription(subscription)

    with ExitStack() as stack:
        stack.enter_context(repeat_in_thread(subscribe, 0.01))
        time.sleep(3.0)


PROCESS_FAULTS = (
    Fault('SIGSTOP for 2 s', send_signal(signal.SIGSTOP), send_signal(signal.SIGCONT),
          seconds=2.0, back_within_s=3.0, is_short=True),
    Fault('1000 changes of a parameter', hammer_parameters, seconds=1.0, modes=BOTH),
    Fault('two clients change the state of fusion', hammer_transitions, seconds=1.0,
          back_within_s=3.0, max_lines=200),
    Fault('a slow subscriber', subscribe_slowly, seconds=4.0, modes=BOTH),
    Fault('subscribers that come and go', subscribe_and_leave, seconds=0.5, modes=BOTH),
    Fault('SIGINT', interrupt(signal.SIGINT), seconds=0.0, restarts=True),
    Fault('SIGTERM', interrupt(signal.SIGTERM), seconds=0.0, restarts=True),
    Fault('SIGKILL', kill, seconds=0.0, restarts=True, is_short=True),
)
