# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The replay of one source in this process, recorded or not, and whether it was one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
import math
from pathlib import Path
import time

from ivf_ros import dds
from ivf_ros.data.bag_writer import BagError, BagWriter
from ivf_ros.data.sources import Source
from ivf_ros.nodes.demo.recorder import Recorder
from ivf_ros.nodes.graph import process
from ivf_ros.nodes.graph.faults import describe_error
from ivf_ros.nodes.graph.node_parameters import ReplayNodeParameters
from ivf_ros.nodes.graph.spinner import CHECK_PERIOD_S
from ivf_ros.nodes.replay_node import ReplayNode
from ivf_ros.parameters import build
import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.executors import Executor
from rclpy.parameter import Parameter
from rclpy.validate_namespace import validate_namespace

# A replay or a result of fewer frames than this part is no success.
MIN_PART = 0.2
# A recording ends when no message has arrived for this time.
_IDLE_S = 0.5


class ReplayError(RuntimeError):
    """A replay failed, played nothing, or only a small part of its source."""


def check_played(played: Mapping[str, int], skipped: Mapping[str, int]) -> None:
    """
    Check that a replay was a replay of its source.

    Parameters
    ----------
    played:
        Number of published frames by camera.
    skipped:
        Number of frames that could not be read, by reason.

    Raises
    ------
    ReplayError
        A camera has no frame, or less than a fifth of all frames were played.

    """
    reasons = ', '.join(f'{reason} {n}' for reason, n in skipped.items()) or 'nothing'
    missing = [stream for stream in ('thermal', 'rgb') if not played.get(stream)]
    if missing:
        raise ReplayError(f'no frame of {" and ".join(missing)} was played; left out: {reasons}')
    total = sum(played.values()) + sum(skipped.values())
    if sum(played.values()) < MIN_PART * total:
        raise ReplayError(f'only {sum(played.values())} of {total} frames were played; '
                          f'left out: {reasons}')


def run(source: Source, *, rate: float, loop: bool, restamp: bool, clock: bool,
        record: Path | None = None, namespace: str = '') -> int:
    """
    Replay one source in this process until its end or a signal; return the exit code.

    Parameters
    ----------
    source:
        The source to replay.
    rate, loop, restamp, clock:
        Parameters of ``ReplayNode``.
    record:
        Folder of a new bag, to which the replay and the results of a running graph are recorded.
    namespace:
        Namespace of the topics; empty for none.

    Raises
    ------
    ParameterError
        The rate is out of range.
    ReplayError
        The replay failed, or only a small part of the source could be played; or the namespace is
        none.
    BagError
        The recording cannot be written.

    """
    values = {'source': source.name, 'rate': rate, 'loop': loop, 'restamp': restamp,
              'clock': clock}
    build(ReplayNodeParameters, values)
    try:
        validate_namespace(f'/{namespace.lstrip("/")}')
    except NameValidationException as error:
        raise ReplayError(describe_error(error)) from None
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    dds.use_profile()
    process.configure_process(n_stages=1)
    process.init([])
    with process.stop_on_signals() as stop_requested, ExitStack() as stack:
        executor = process.make_executor()
        stack.callback(executor.shutdown)
        recorder = None
        if record is not None:
            recorder = Recorder(stack.enter_context(BagWriter(record)), namespace=namespace)
            stack.callback(recorder.destroy_node)
            executor.add_node(recorder)
        node = ReplayNode(source=source, namespace=namespace, parameter_overrides=overrides)
        stack.callback(node.destroy_node)
        executor.add_node(node)
        if not node.autostart():
            raise ReplayError(node.failure_reason)
        _spin(executor, recorder, lambda: stop_requested.is_set() or node.finished.is_set())
        received = None
        while recorder is not None and not stop_requested.is_set() \
                and received != (received := sum(recorder.frames.values())):
            _spin(executor, recorder, stop_requested.is_set, _IDLE_S)  # the last results
    if node.failure is not None:
        raise ReplayError(describe_error(node.failure)) from node.failure
    if node.is_complete:
        check_played(node.played, source.skipped)
    return 0


def _spin(executor: Executor, recorder: Recorder | None, is_over: Callable[[], bool],
          timeout_s: float = math.inf) -> None:
    """Spin until ``is_over()`` or the time-out; raise BagError if the recording fails."""
    deadline_s = time.monotonic() + timeout_s
    while rclpy.ok() and not is_over() and time.monotonic() < deadline_s:
        executor.spin_once(timeout_sec=CHECK_PERIOD_S)
        if recorder is not None and recorder.failure:
            raise BagError(recorder.failure)
