# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The view of a running graph, by a node in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import math
import time
from typing import Any, TYPE_CHECKING

from ivf_ros import dds
from ivf_ros.nodes.graph import process
from ivf_ros.nodes.graph.faults import describe_error
from ivf_ros.nodes.view_node import ViewNode

if TYPE_CHECKING:
    from ivf_ros.view.log import ViewLog

_PROGRESS_PERIOD_S = 0.25


class TopicError(RuntimeError):
    """Nothing arrived on the topics; the message contains the reason."""


@dataclass(frozen=True)
class TopicSettings:
    """
    What of a running graph is shown.

    Attributes
    ----------
    namespace:
        Of the graph.
    transport:
        ``raw`` or ``compressed``, of the images.
    remaps:
        Topics by their names in the graph, such as ``{'rgb/image_raw': '/camera/image_raw'}``.
    seconds:
        Duration.

    """

    namespace: str = ''
    transport: str = 'raw'
    remaps: tuple[tuple[str, str], ...] = ()
    seconds: float = math.inf


def show_topics(log: ViewLog, settings: TopicSettings, is_open: Callable[[], bool],
                on_progress: Callable[[ViewNode, float], None]) -> dict[str, Any]:
    """
    Show a running graph until the time is over, a signal arrives, or ``is_open()`` is false.

    ``on_progress`` gets the node and the elapsed seconds. Return the counts of the node.

    Raises
    ------
    TopicError
        No image arrived, or the namespace is invalid.

    """
    dds.use_profile()
    remaps = [word for topic, other in settings.remaps for word in ('-r', f'{topic}:={other}')]
    process.init(['--ros-args', *remaps] if remaps else [])
    with process.stop_on_signals() as stop_requested:
        try:
            node = ViewNode(log, settings.transport, namespace=settings.namespace)
        except process.NODE_ERRORS as error:
            raise TopicError(describe_error(error)) from None
        executor = process.make_executor()
        executor.add_node(node)
        start_s = time.monotonic()
        elapsed_s = next_progress_s = 0.0
        try:
            while elapsed_s < settings.seconds and is_open() and not stop_requested.is_set():
                executor.spin_once(timeout_sec=_PROGRESS_PERIOD_S)
                elapsed_s = time.monotonic() - start_s
                if elapsed_s >= next_progress_s:
                    next_progress_s = elapsed_s + _PROGRESS_PERIOD_S
                    on_progress(node, elapsed_s)
            if not node.has_images:
                raise TopicError('; '.join(node.find_problems()) or 'no image arrived')
            return {'seconds': round(elapsed_s, 3), 'frames': dict(node.frames),
                    'skipped': dict(node.skipped), 'errors': dict(node.errors)}
        finally:
            node.destroy_node()
            executor.shutdown()
