# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The end of commands that have child processes or open files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import signal


@contextmanager
def interrupt_on_signals() -> Iterator[None]:
    """
    Raise KeyboardInterrupt at SIGTERM and SIGINT.

    So a command ends its child processes and completes its files. A shell starts background
    commands with SIGINT ignored, and Python then leaves it so.
    """
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    numbers = signal.SIGINT, signal.SIGTERM
    previous = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous):
            signal.signal(number, handler)
