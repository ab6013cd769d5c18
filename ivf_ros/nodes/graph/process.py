# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Functions to run a node in this process, and to configure a process for images."""

from __future__ import annotations

from contextlib import contextmanager
import faulthandler
import os
import signal
import socket
import sys
import threading
from typing import Callable, Iterator, Sequence

import cv2
from ivf_ros import dds, memory, shared_memory
from ivf_ros.nodes.graph.faults import (
    describe_error,
    FaultLimit,
    MAX_EXECUTOR_FAULTS_PER_MINUTE,
)
from ivf_ros.nodes.graph.spinner import spin_turn
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.parameters import ParameterError
import rclpy
from rclpy.context import Context
from rclpy.exceptions import NameValidationException
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

# rclpy raises RCLError and similar subclasses for invalid ROS arguments.
RCL_ERRORS = (RuntimeError,)
# What the constructor of a node raises for its parameters, name, namespace and remappings.
NODE_ERRORS = (ParameterError, ValueError, NameValidationException, *RCL_ERRORS)

# A colour image of 10 megapixels. One of 33 megapixels would stay as 200 MB.
_MAX_KEPT_BLOCK_BYTES = 32 << 20

# A process ends within two seconds of a signal, of which this time is for its clean-up.
STOP_LIMIT_S = 1.2


def run_node(make_node: Callable[[], StageNode], arguments: Sequence[str] | None = None,
             until: Callable[[], bool] = lambda: False) -> int:
    """
    Run a node in this process until ``until()``, SIGINT, SIGTERM or a shutdown of the context.

    Returns
    -------
    int
        The exit code: 0 after ``until()``, a signal or a shutdown; 1 if the node cannot be created
        or its executor fails again and again. A node that cannot be configured, for example
        without its weight file, keeps running and can be configured again.

    """
    configure_process(n_stages=1)
    try:
        init(arguments)
    except RCL_ERRORS as error:
        return report_failure(error)
    with stop_on_signals() as stop_requested:
        node = None
        executor, limit = make_executor(), FaultLimit(MAX_EXECUTOR_FAULTS_PER_MINUTE)

        def survives(error: BaseException) -> bool:  # of rclpy: the callbacks are guarded
            report_failure(error)
            return not limit.is_exceeded_by_another()

        try:
            node = make_node()
            executor.add_node(node)
            node.autostart()
            while rclpy.ok() and not stop_requested.is_set() and not until():
                if not spin_turn(executor, survives):
                    return int(rclpy.ok())  # 0 after a shutdown
        except NODE_ERRORS as error:
            return report_failure(error)
        finally:
            if node is not None:
                node.destroy_node()
            executor.shutdown()
    return 0


def make_executor(context: Context | None = None) -> Executor:
    """
    Return an executor with one thread, for the default or another context.

    Callbacks only enqueue, so one thread is enough; it causes the least contention for the global
    interpreter lock. The events executor, which Kilted and later distributions have, does not
    rebuild its wait set for each message: it takes a third of the processor time of the other.
    Shut it down only when no thread spins it any more.
    """
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError:
        return SingleThreadedExecutor(context=context)
    return EventsExecutor(context=context)


def init(arguments: Sequence[str] | None) -> None:
    """
    Initialise rclpy without its signal handlers.

    They shut down the context while its nodes still publish. ``stop_on_signals`` replaces them in
    the processes of nodes; in a command, SIGINT raises KeyboardInterrupt as usual.
    """
    shared_memory.remove_leftovers()
    dds.use_memory_of_profile()
    rclpy.init(args=None if arguments is None else list(arguments),
               signal_handler_options=SignalHandlerOptions.NO)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """
    Yield an event that SIGINT and SIGTERM set, and shut down rclpy after the block.

    The handlers of rclpy shut down the context while nodes still publish and are not destroyed
    yet. A second signal, which ``ros2 launch`` adds to that of a terminal or a service manager,
    then interrupts their destruction. Here the context exists longer than the nodes.

    The event is set at once, also while the main thread loads a network or decodes an image:
    Python runs its own handlers only between two steps of the main thread. If the block has not
    ended ``STOP_LIMIT_S`` after the signal, the process ends without its clean-up.
    """
    stop_requested, has_ended = threading.Event(), threading.Event()
    signals: list[int] = []
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # required by set_wakeup_fd

    def watch() -> None:
        received = reader.recv(1)  # the number of the signal; empty at the end of the block
        if not received:
            return
        stop_requested.set()
        # The second limit needs no interpreter, which a native call can block.
        faulthandler.dump_traceback_later(STOP_LIMIT_S + 0.4, exit=True)
        if not has_ended.wait(STOP_LIMIT_S):
            sys.stderr.write(f'error: still busy {STOP_LIMIT_S:g} s after a signal; ended without '
                             'clean-up\n')
            sys.stderr.flush()
            os._exit(128 + received[0])

    watcher = threading.Thread(target=watch, name='signals', daemon=True)
    watcher.start()
    previous_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    previous_handlers = {number: signal.signal(number, lambda number, _: signals.append(number))
                         for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop_requested
    except ExternalShutdownException:
        pass
    finally:
        rclpy.try_shutdown()
        has_ended.set()
        signal.set_wakeup_fd(previous_fd)
        writer.close()
        watcher.join()
        reader.close()
        faulthandler.cancel_dump_traceback_later()
        # After a signal the process ends. The interpreter removes handlers before it exits; from
        # then on only an ignored signal cannot cause a failure exit code.
        for number, handler in previous_handlers.items():
            signal.signal(number, signal.SIG_IGN if signals else handler)


def report_failure(error: BaseException) -> int:
    """Write the error to stderr in one line; return the exit code 1."""
    sys.stderr.write(f'error: {describe_error(error)}\n')
    return 1


def configure_process(n_stages: int) -> None:
    """
    Configure this process for images that pass through several threads.

    Measured on two cores with all four stages running, see docs/graph.md: each setting alone
    gains little. Together they raised the number of frames fused at 640x480, 30 Hz, from about
    60 % to 90 %.

    Parameters
    ----------
    n_stages:
        Number of stages that run in this process.

    """
    # A worker that returns from OpenCV waits this long for another worker to release the
    # interpreter. With the default of 5 ms the waits add up to more than the computation.
    sys.setswitchinterval(1e-4)
    memory.retain_freed(_MAX_KEPT_BLOCK_BYTES)
    memory.release_after_peaks()
    if n_stages > 1:
        # The stages use the cores in parallel; more threads within a stage would only wait.
        cv2.setNumThreads(1)
        # PyTorch reads this once, when a method first imports it.
        os.environ.setdefault('OMP_NUM_THREADS', '1')
