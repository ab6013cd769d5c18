# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A fault, and what the graph must do about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
import threading
from typing import Iterator, TYPE_CHECKING

from ivf_ros.nodes.faults.cameras import Cameras
from rclpy.node import Node

if TYPE_CHECKING:
    from ivf_ros.nodes.faults.graph import Graph

ANY_MODE = frozenset({'FUSED', 'RGB_ONLY', 'THERMAL_ONLY', 'NOTHING'})
BOTH = frozenset({'FUSED'})
NO_THERMAL = frozenset({'RGB_ONLY'})
NO_RGB = frozenset({'THERMAL_ONLY'})
NEITHER = frozenset({'NOTHING'})


@dataclass(frozen=True)
class Targets:
    """What a fault can get at: the cameras, the processes of the graph, and a stranger's node."""

    cameras: Cameras
    graph: Graph
    stranger: Node


@dataclass(frozen=True)
class Fault:
    """
    A fault and what the graph must do about it.

    Attributes
    ----------
    name:
        What happens, in a few words.
    inject:
        Begins the fault.
    end:
        Ends it; the cameras are reset in any case.
    seconds:
        Duration of the fault.
    said:
        Part of a status that must appear; empty if nothing need be said.
    said_within_s:
        Time until ``said`` must appear.
    modes:
        The modes that fusion may have while the fault lasts.
    settled_after_s:
        Time after which only ``modes`` are allowed; before, any mode is.
    back_within_s:
        Time after the end until all is well again.
    is_short:
        Whether the fault is in the short campaign.
    max_lines:
        Warnings and errors that the log may have meanwhile.
    restarts:
        Whether the fault ends the graph, which is then started again.

    """

    name: str
    inject: Callable[[Targets], None]
    end: Callable[[Targets], None] = lambda targets: None
    seconds: float = 3.0
    said: str = ''
    said_within_s: float = 1.6  # half a second for the fault to show, and a period of diagnostics
    modes: frozenset[str] = ANY_MODE
    settled_after_s: float = 1.6
    back_within_s: float = 2.0
    is_short: bool = False
    max_lines: int = 12
    restarts: bool = False


@contextmanager
def repeat_in_thread(action: Callable[[], None], period_s: float) -> Iterator[None]:
    """Call ``action`` in a thread again and again, until the block ends."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(period_s):
            action()

    thread = threading.Thread(target=run, name='repeat', daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
