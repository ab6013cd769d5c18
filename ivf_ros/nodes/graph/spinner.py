# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thread that spins nodes, survives their exceptions, and can be paused to remove a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import threading

from rclpy.executors import Executor, ExternalShutdownException
from rclpy.node import Node

try:
    from rclpy.exceptions import InvalidHandle
except ImportError:  # Jazzy
    from rclpy.handle import InvalidHandle  # type: ignore[no-redef]

CHECK_PERIOD_S = 0.1  # how often the thread looks whether it is to pause or to end


def spin_turn(executor: Executor, on_error: Callable[[BaseException], bool]) -> bool:
    """
    Let an executor run a callback; return whether to go on.

    ``on_error`` takes an exception of a callback and returns whether to go on.
    """
    try:
        executor.spin_once(timeout_sec=CHECK_PERIOD_S)
    except ExternalShutdownException:
        return False
    except InvalidHandle:
        pass  # an entity that was ready has been destroyed by a callback
    except (Exception, SystemExit) as error:
        return on_error(error)
    return True


class Spinner:
    """
    Spins nodes in a thread of its own.

    An executor collects the entities of its nodes, then waits for them. A node that another thread
    destroys in between makes it raise an exception or crash. So nodes are added and destroyed in
    ``pause``.

    Parameters
    ----------
    executor:
        Spins the nodes; used by no other thread.
    on_error:
        As for ``spin_turn``, called in the thread; the thread ends if it returns False.
    name:
        Name of the thread.

    """

    def __init__(self, executor: Executor, on_error: Callable[[BaseException], bool],
                 name: str) -> None:
        self._executor, self._on_error = executor, on_error
        self._stopping = threading.Event()
        self._may_spin = threading.Event()
        self._may_spin.set()
        self._spinning = threading.Lock()  # held during each turn of the executor
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @contextmanager
    def pause(self, timeout_s: float | None = None) -> Iterator[Executor]:
        """
        Yield the executor while no callback runs.

        Raises
        ------
        TimeoutError
            A callback did not end in time.

        """
        if threading.current_thread() is self._thread:
            yield self._executor  # between two callbacks, as it was one of them that called
            return
        self._may_spin.clear()
        self._executor.wake()
        acquired = self._spinning.acquire(timeout=-1 if timeout_s is None else timeout_s)
        try:
            if not acquired:
                raise TimeoutError(f'a callback did not end within {timeout_s:g} s')
            yield self._executor
        finally:
            if acquired:
                self._spinning.release()
            self._may_spin.set()

    def add(self, node: Node) -> None:
        """Spin a node."""
        with self.pause() as executor:
            executor.add_node(node)

    def request_stop(self) -> None:
        """Let the thread end after the present callback; does not block."""
        self._stopping.set()
        self._may_spin.set()
        self._executor.wake()

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the thread and shut down the executor; return False if a callback does not end."""
        self.request_stop()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            return False
        self._executor.shutdown()
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._may_spin.wait()
            with self._spinning:
                if not spin_turn(self._executor, self._on_error):
                    return
