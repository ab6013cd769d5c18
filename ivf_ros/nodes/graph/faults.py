# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exceptions of callbacks and workers: described in one line, counted, kept from the process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import wraps
import inspect
from pathlib import Path
import time
import traceback
from typing import Any

import cv2
from ivf_ros.nodes.graph.health import to_single_line
from rclpy.exceptions import NameValidationException

# Errors that a stage may raise because of its images or its parameters.
STAGE_ERRORS = (ValueError, RuntimeError, OSError, cv2.error)

# More exceptions within a minute are no accident: what raises them is stopped.
MAX_FAULTS_PER_MINUTE = 10
# Exceptions of rclpy itself. An executor that cannot work any more raises them without a pause; a
# client causes one with each transition that is not possible (Jazzy), which must end nothing.
MAX_EXECUTOR_FAULTS_PER_MINUTE = 1000


def describe_error(error: BaseException) -> str:
    """
    Return an exception as one line.

    Errors of a stage or of a ROS name are meant for users and show their text. Any other exception
    is a defect; see ``locate_error``.
    """
    if isinstance(error, (*STAGE_ERRORS, NameValidationException)):
        return to_single_line(str(error)) or type(error).__name__
    return locate_error(error)


def locate_error(error: BaseException) -> str:
    """Return an exception as one line, with its type and the place that raised it."""
    text = to_single_line(str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f' in {Path(frames[-1].filename).name}, line {frames[-1].lineno}' if frames else ''
    return f'{type(error).__name__}: {text}{place}'


class FaultLimit:
    """Tells when faults come too often; not thread safe."""

    def __init__(self, max_per_minute: int = MAX_FAULTS_PER_MINUTE) -> None:
        self._times_s: deque[float] = deque(maxlen=max_per_minute + 1)

    def is_exceeded_by_another(self) -> bool:
        """Add a fault of now; return whether the last minute had more than the maximum."""
        self._times_s.append(time.monotonic())
        return len(self._times_s) == self._times_s.maxlen \
            and self._times_s[-1] - self._times_s[0] < 60.0


def guard(callback: Callable[..., Any], on_fault: Callable[[Exception], None]
          ) -> Callable[..., Any]:
    """
    Return a callback that hands each exception to ``on_fault`` and goes on.

    rclpy inspects the signature of a callback, so that of the result is the same. A service whose
    callback raises answers with what the response holds then.
    """
    if inspect.iscoroutinefunction(callback):
        raise TypeError(f'{callback} is a coroutine; the nodes of this package have none')

    @wraps(callback)
    def guarded(*arguments: Any) -> Any:
        try:
            return callback(*arguments)
        except Exception as error:
            on_fault(error)
            return arguments[-1] if len(arguments) == 2 else None

    return guarded


class GuardedCallbacks:
    """
    The part of a node that keeps exceptions of its callbacks from the executor.

    An exception that reaches the executor ends all nodes of the process. A class has this one
    before ``Node`` among its bases, and ``on_fault``. rclpy creates services and subscriptions of
    its own while ``Node.__init__`` runs; what ``on_fault`` needs for them is set before.
    """

    def on_fault(self, error: Exception) -> None:
        """Report an exception of a callback."""
        raise NotImplementedError

    def create_subscription(self, msg_type: Any, topic: str, callback: Callable[..., Any],
                            *arguments: Any, **options: Any) -> Any:
        """Create a subscription as ``Node`` does, with a guarded callback."""
        return super().create_subscription(  # type: ignore[misc]
            msg_type, topic, guard(callback, self.on_fault), *arguments, **options)

    def create_timer(self, timer_period_sec: float, callback: Any,
                     *arguments: Any, **options: Any) -> Any:
        """Create a timer as ``Node`` does, with a guarded callback."""
        return super().create_timer(  # type: ignore[misc]
            timer_period_sec, guard(callback, self.on_fault), *arguments, **options)

    def create_service(self, srv_type: Any, srv_name: str, callback: Callable[..., Any],
                       *arguments: Any, **options: Any) -> Any:
        """Create a service as ``Node`` does, with a guarded callback."""
        return super().create_service(  # type: ignore[misc]
            srv_type, srv_name, guard(callback, self.on_fault), *arguments, **options)
