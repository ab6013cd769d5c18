# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calls of the services of a graph, with time-outs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import threading
from typing import Any

from ivf_ros.nodes.faults.fault import Targets
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters

TIMEOUT_S = 5.0
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE


class Client:
    """Calls a service, request after request."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name = client, name

    def call(self, timeout_s: float = TIMEOUT_S, **fields: Any) -> Any:
        """Return the answer to a request; raise AssertionError if there is none in time."""
        answer = self.try_call(timeout_s, **fields)
        if answer is None:
            raise AssertionError(f'{self._name} did not answer within {timeout_s:g} s')
        return answer

    def try_call(self, timeout_s: float, **fields: Any) -> Any:
        """Return the answer to a request, or None if there is none in time."""
        answered = threading.Event()
        future = self._client.call_async(self._client.srv_type.Request(**fields))
        future.add_done_callback(lambda future: answered.set())
        if answered.wait(timeout_s):
            return future.result()
        self._client.remove_pending_request(future)
        return None


@contextmanager
def open_client(targets: Targets, service: type, name: str) -> Iterator[Client]:
    """Yield a client of a service of the graph; raise AssertionError if there is no such one."""
    client: Any = targets.stranger.create_client(service, name)
    try:
        if not client.wait_for_service(TIMEOUT_S):
            raise AssertionError(f'no service {name}')
        yield Client(client, name)
    finally:
        targets.stranger.destroy_client(client)


def set_text(targets: Targets, node: str, parameter: str, text: str, timeout_s: float = TIMEOUT_S
             ) -> str:
    """Set a text parameter of a node; return why it was refused, '' if it was not."""
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text)
    with open_client(targets, SetParameters, f'{node}/set_parameters') as client:
        result, = client.call(timeout_s, parameters=[Parameter(name=parameter, value=value)]
                              ).results
    return '' if result.successful else result.reason or 'no reason given'


def change_state(targets: Targets, node: str, transition: int, timeout_s: float = 20.0) -> bool:
    """Request a transition of a node; return whether it has succeeded."""
    with open_client(targets, ChangeState, f'{node}/change_state') as client:
        return client.call(timeout_s, transition=Transition(id=transition)).success


def is_active(targets: Targets, node: str) -> bool:
    """Return whether a node is active; raise AssertionError if it is not inactive either."""
    with open_client(targets, GetState, f'{node}/get_state') as client:
        state = client.call().current_state
    if state.id not in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE):
        raise AssertionError(f"{node} is in the state '{state.label}'")
    return state.id == State.PRIMARY_STATE_ACTIVE
