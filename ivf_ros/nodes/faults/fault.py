# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A fault, and what the graph must do about it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
import threading
from typing import Iterator, TYPE_CHECKING

from ivf_ros.nodes.faults.cameras import Cameras
from ivf_ros.nodes.faults.observer import Observer
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
    """
    What a fault can get at.

    Attributes
    ----------
    cameras:
        The cameras.
    graph:
        The processes of the graph.
    observer:
        What the graph shows and says.
    stranger:
        A node that is not one of the graph, in its namespace.
    folder:
        A folder for files.

    """

    cameras: Cameras
    graph: Graph
    observer: Observer
    stranger: Node
    folder: Path


@dataclass(frozen=True)
class Fault:
    """
    A fault and what the graph must do about it.

    Attributes
    ----------
    name:
        What happens, in a few words.
    inject:
        Begins the fault. An AssertionError says what was not as it should be.
    end:
        Ends it; the cameras are reset in any case.
    seconds:
        Duration of the fault.
    said:
        Part of a status that must appear, or of a line of a process that the fault started; empty
        if nothing need be said.
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
    find_obstacle:
        Returns why the fault cannot be injected here; empty if it can.

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
    find_obstacle: Callable[[Targets], str] = lambda targets: ''


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
