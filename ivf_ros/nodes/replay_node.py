# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Publishes recorded or simulated frames as two cameras would."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
import threading
import time
from typing import Any, Callable

from ivf_ros import dds
from ivf_ros.data.sources import open_source, Source
from ivf_ros.nodes import messages
from ivf_ros.nodes.node_parameters import ReplayNodeParameters
from ivf_ros.nodes.process import run_node
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.nodes.transport import Hub
from ivf_ros.parameters import build
from ivf_ros.types import Event
from rclpy.parameter import Parameter


class ReplayNode(StageNode):
    """Publishes ``thermal/image_raw`` and ``rgb/image_raw`` from a source, in time."""

    def __init__(self, hub: Hub | None = None, source: Source | None = None,
                 on_published: Callable[[Event], None] = lambda event: None,
                 finished: threading.Event | None = None, **node_options: Any) -> None:
        super().__init__('replay', ReplayNodeParameters, hub, **node_options)
        self._given_source = source
        self.finished = finished or threading.Event()
        self._on_published = on_published
        self._stopping = threading.Event()

    def configure(self) -> None:
        """Open the source."""
        self._source = self._given_source or open_source(self.parameters.source)
        self._cameras = {'thermal': self.advertise(messages.IMAGE, 'thermal/image_raw'),
                         'rgb': self.advertise(messages.IMAGE, 'rgb/image_raw')}

    def activate(self) -> None:
        """Start to publish."""
        self._stopping.clear()
        self.finished.clear()
        self.start_worker(self._replay).put(None)

    def leave(self) -> None:
        """End the replay, wherever it is."""
        self._stopping.set()

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Tell what is replayed."""
        return '', {'source': self._source.name, 'finished': self.finished.is_set()}

    def _replay(self, _: None) -> None:
        try:
            self._wait_for_subscribers()
            self._publish_once()
            while self.parameters.loop and not self._stopping.is_set():
                self._publish_once()
        finally:
            self.finished.set()

    def _wait_for_subscribers(self) -> None:
        deadline_s = time.monotonic() + self.parameters.wait_for_subscribers_s
        while time.monotonic() < deadline_s and not self._stopping.wait(0.02):
            if all(publisher.wanted for publisher in self._cameras.values()):
                return

    def _publish_once(self) -> None:
        first_stamp_ns = None
        for event in self._source.events():
            if first_stamp_ns is None:
                first_stamp_ns = event.frame.stamp_ns
                start_s = time.monotonic()
                start_ns = self.get_clock().now().nanoseconds
            elapsed_ns = event.frame.stamp_ns - first_stamp_ns
            if 0 < self.parameters.max_duration_s < elapsed_ns * 1e-9:
                return
            due_s = start_s + elapsed_ns * 1e-9 / self.parameters.rate
            if self._stopping.wait(max(0.0, due_s - time.monotonic())):
                return
            frame = event.frame
            if self.parameters.restamp:
                stamp_ns = start_ns + int(elapsed_ns / self.parameters.rate)
                frame = replace(frame, stamp_ns=stamp_ns)
            self._on_published(replace(event, frame=frame))
            self._cameras[event.stream].publish(frame)


def run(source: str, *, rate: float, loop: bool, restamp: bool) -> int:
    """
    Replay one source in this process until its end; returns the exit code.

    Raises
    ------
    ParameterError, SourceError
        The rate is out of range, or the source cannot be opened.

    """
    dds.use_profile()
    values = {'source': source, 'rate': rate, 'loop': loop, 'restamp': restamp}
    build(ReplayNodeParameters, values)
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    finished = threading.Event()
    return run_node(partial(ReplayNode, source=open_source(source), finished=finished,
                            parameter_overrides=overrides), [], until=finished.is_set)


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a process of its own."""
    return run_node(ReplayNode, arguments)
