# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of processes: signals, clients that hammer, slow subscribers, second containers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
import itertools
import signal
import threading
import time
from typing import Any

from ivf_ros.nodes.faults.camera_faults import Inject
from ivf_ros.nodes.faults.fault import BOTH, Fault, repeat_in_thread, Targets
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.spinner import Spinner
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

_SERVICE_TIMEOUT_S = 5.0


def send_signal(number: signal.Signals) -> Inject:
    """Return an injection that sends a signal to the processes of the graph."""
    return lambda targets: targets.graph.send(number)


def kill(targets: Targets) -> None:
    """Kill the graph."""
    targets.graph.send(signal.SIGKILL)
    if 0 in targets.graph.wait(_SERVICE_TIMEOUT_S):
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
    requests = [SetParameters.Request(parameters=[Parameter(
        name='fusion.min_confidence', value=next(values))]) for _ in range(1000)]
    _call(targets, SetParameters, 'fusion/set_parameters', requests)


def hammer_transitions(targets: Targets) -> None:
    """Let two clients deactivate and activate fusion at once, and leave it active."""
    ids = (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE)
    requests = [ChangeState.Request(transition=Transition(id=id_)) for id_ in ids * 40]
    clients = [threading.Thread(target=_call, args=(
        targets, ChangeState, 'fusion/change_state', order)) for order in (requests, requests[1:])]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    _call(targets, ChangeState, 'fusion/change_state', requests[-1:])


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


def _call(targets: Targets, service: type, name: str, requests: Sequence[Any]) -> None:
    client: Any = targets.stranger.create_client(service, name)
    if not client.wait_for_service(_SERVICE_TIMEOUT_S):
        raise AssertionError(f'no service {name}')
    for request in requests:
        answered = threading.Event()
        client.call_async(request).add_done_callback(partial(_set, answered))
        if not answered.wait(_SERVICE_TIMEOUT_S):
            raise AssertionError(f'{name} did not answer within {_SERVICE_TIMEOUT_S:g} s')
    targets.stranger.destroy_client(client)


def _set(event: threading.Event, _: object) -> None:
    event.set()


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
