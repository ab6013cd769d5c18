# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs one node in this process until it is told to stop, and sets a process up for images."""

from __future__ import annotations

from contextlib import contextmanager
import os
import signal
import sys
import threading
from typing import Any, Callable, Iterator, Sequence

import cv2
from ivf_ros import memory
from ivf_ros.nodes.graph.health import to_single_line
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.parameters import ParameterError
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

# What rclpy raises over ROS arguments that make no sense: RCLError and its kin.
RCL_ERRORS = (RuntimeError,)


def run_node(make_node: Callable[[], StageNode], arguments: Sequence[str] | None = None,
             until: Callable[[], bool] = lambda: False) -> int:
    """
    Run a node in this process until ``until()``, SIGINT, SIGTERM or a shutdown of the context.

    Returns
    -------
    int
        0, or 1 where the node could not be made. One that was made and does not start, as without
        its weight file, stays, and can be configured again.

    """
    configure_process(n_stages=1)
    try:
        init(arguments)
    except RCL_ERRORS as error:
        return fail(error)
    with stop_on_signals() as stop_requested:
        node = None
        # Callbacks only enqueue: one thread is enough and the least work for the interpreter lock.
        executor = SingleThreadedExecutor()
        try:
            node = make_node()
            executor.add_node(node)
            node.autostart()
            while rclpy.ok() and not stop_requested.is_set() and not until():
                executor.spin_once(timeout_sec=0.5)
        except ParameterError as error:
            return fail(error)
        finally:
            if node is not None:
                node.destroy_node()
            executor.shutdown()
    return 0


def init(arguments: Sequence[str] | None) -> None:
    """Initialise rclpy, without its signal handlers: ``stop_on_signals`` has better ones."""
    rclpy.init(args=None if arguments is None else list(arguments),
               signal_handler_options=SignalHandlerOptions.NO)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """
    Give an event that SIGINT and SIGTERM set, and shut rclpy down after the block.

    The handlers of rclpy would end the context under nodes that publish and are yet to be
    destroyed; and a second signal, which ``ros2 launch`` adds to that of a terminal or a service
    manager, would interrupt their destruction. Here the context outlives the nodes.
    """
    stop_requested = threading.Event()
    signals: list[int] = []

    def on_signal(number: int, _frame: Any) -> None:
        signals.append(number)
        stop_requested.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_requested
    except ExternalShutdownException:
        pass
    finally:
        rclpy.try_shutdown()
        # Once told, this process ends. The interpreter drops handlers before it is gone; only a
        # signal that is ignored cannot make a failure of it then.
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if signals else handler)


def fail(error: Exception) -> int:
    """Say in one line why this process ends; returns its exit code."""
    sys.stderr.write(f'error: {to_single_line(str(error))}\n')
    return 1


def configure_process(n_stages: int) -> None:
    """
    Set up this process for images that pass through several threads.

    Measured on two cores with all four stages at work, see docs/graph.md: alone each setting gains
    little, together they raised the frames fused at 640x480, 30 Hz, from about 60 % to 90 %.
    """
    # A worker that comes back from OpenCV waits this long for another one to yield the
    # interpreter; the default of 5 ms adds up to more than the work itself.
    sys.setswitchinterval(1e-4)
    memory.retain_freed()
    if n_stages > 1:
        # The stages keep the cores busy side by side; splitting each up makes them wait.
        cv2.setNumThreads(1)
        # PyTorch, which methods load when they are made, asks for this once.
        os.environ.setdefault('OMP_NUM_THREADS', '1')
