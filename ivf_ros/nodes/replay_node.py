# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The replay node: publishes recorded or simulated frames as two cameras."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
import threading
import time
from typing import Any, Callable

from ivf_ros.data.sources import open_source, Source
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import make_header
from ivf_ros.nodes.graph.node_parameters import ReplayNodeParameters
from ivf_ros.nodes.graph.playhead import Playhead
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.recorded_calibration import RecordedCalibration
from ivf_ros.nodes.graph.stage_node import STAGE_ERRORS, StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.parameters import ParameterError
from ivf_ros.types import Event
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock


_CLOCK_PERIOD_S = 0.02
_CLOCK_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


class ReplayNode(StageNode):
    """
    Publishes ``thermal/image_raw`` and ``rgb/image_raw`` from a source, at the recorded intervals.

    Of a bag with CameraInfo it also publishes ``thermal/camera_info`` and ``rgb/camera_info``.

    ``rate`` and ``paused`` can be changed during playback. With ``clock`` the node also publishes
    the recorded time on ``/clock`` for nodes with ``use_sim_time``. ``/clock`` does not advance in
    a pause and jumps back with each loop.

    Parameters
    ----------
    hub:
        Connects the node to the other nodes of the process.
    source:
        Replaces the source of the parameters.
    on_published:
        Called with each frame before it is published.
    finished:
        Event that is set at the end of the replay.
    node_options:
        Options of ``rclpy.node.Node``.

    Attributes
    ----------
    played:
        Number of published frames by camera.
    is_complete:
        Whether the latest pass reached the end of the source or the maximum duration.
    failure:
        The error that ended the replay, or None.

    """

    default_name = 'replay'

    def __init__(self, hub: Hub | None = None, source: Source | None = None,
                 on_published: Callable[[Event], None] = lambda event: None,
                 finished: threading.Event | None = None, **node_options: Any) -> None:
        super().__init__(ReplayNodeParameters, hub, **node_options)
        self._preset_source = source
        self.finished = finished or threading.Event()
        self._on_published = on_published
        self._stopping = threading.Event()
        self._position_s, self._loops = 0.0, 0
        self.played: Counter[str] = Counter()
        self.is_complete = False
        self.failure: Exception | None = None

    def configure(self) -> None:
        """Open the source."""
        if self.parameters.clock and self.parameters.restamp:
            raise ParameterError("'clock' publishes recorded time, 'restamp' stamps frames with "
                                 'the present time: got both, set one of them to false')
        self._source = self._preset_source or open_source(
            self.parameters.source, thermal_topic=self.parameters.thermal_topic,
            rgb_topic=self.parameters.rgb_topic,
            thermal_info_topic=self.parameters.thermal_info_topic,
            rgb_info_topic=self.parameters.rgb_info_topic, stamps=self.parameters.stamps)
        self._calibration = RecordedCalibration(self, self._source)
        self._cameras = {'thermal': ImageOutput(self, 'thermal/image_raw'),
                         'rgb': ImageOutput(self, 'rgb/image_raw')}
        self._clock_publisher = self.create_publisher(Clock, '/clock', _CLOCK_QOS) \
            if self.parameters.clock else None

    def cleanup(self) -> None:
        """Release the source and the clock publisher."""
        del self._source
        if self._clock_publisher is not None:
            self.destroy_publisher(self._clock_publisher)

    def activate(self) -> None:
        """Start the replay."""
        self._stopping.clear()
        self.finished.clear()
        self.start_worker(self._replay).put(None)

    def interrupt_workers(self) -> None:
        """Stop the replay."""
        self._stopping.set()

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return the source and the playback position."""
        return '', {'source': self._source.name, 'finished': self.finished.is_set(),
                    'position_s': self._position_s, 'loops': self._loops,
                    **{f'skipped.{reason}': n for reason, n in self._source.skipped.items()}}

    def _replay(self, _: None) -> None:
        try:
            self._wait_for_subscribers()
            self._play_once()
            while self.parameters.loop and not self._stopping.is_set():
                self._loops += 1
                self._play_once()
        except STAGE_ERRORS as error:
            self.failure = error
            raise
        finally:
            self.finished.set()

    def _wait_for_subscribers(self) -> None:
        deadline_s = time.monotonic() + self.parameters.wait_for_subscribers_s
        while time.monotonic() < deadline_s and not self._stopping.wait(0.02):
            if all(publisher.has_subscribers for publisher in self._cameras.values()):
                return

    def _play_once(self) -> None:
        self.is_complete = False
        first_stamp_ns = None
        for event in self._source.events():
            frame = event.frame
            if first_stamp_ns is None:
                first_stamp_ns, start_s = frame.stamp_ns, time.monotonic()
                start_ns = self.get_clock().now().nanoseconds
                playhead = Playhead(self.parameters.rate, self.parameters.paused, start_s)
            position_s = (frame.stamp_ns - first_stamp_ns) * 1e-9
            if 0 < self.parameters.max_duration_s < position_s:
                break
            due_s = self._wait_until_due(playhead, position_s, first_stamp_ns)
            if due_s is None:
                return
            if self.parameters.restamp:
                frame = replace(frame, stamp_ns=start_ns + round((due_s - start_s) * 1e9))
            self._on_published(replace(event, frame=frame))
            self._calibration.publish(event.stream, frame)
            self._cameras[event.stream].publish(frame)
            self.played[event.stream] += 1
        self.is_complete = True

    def _wait_until_due(self, playhead: Playhead, position_s: float,
                        first_stamp_ns: int) -> float | None:
        """Wait for a position and publish the clock; return its due time, None if stopped."""
        while True:
            now_s = time.monotonic()
            playhead.change(self.parameters.rate, self.parameters.paused, now_s)
            due_s = playhead.due_s(position_s)
            self._position_s = min(position_s, playhead.position_s(now_s))
            if self._clock_publisher is not None and not self.parameters.paused:
                stamp_ns = first_stamp_ns + round(self._position_s * 1e9)
                self._clock_publisher.publish(Clock(clock=make_header(stamp_ns, '').stamp))
            if due_s <= now_s:
                return due_s
            if self._stopping.wait(min(due_s - now_s, _CLOCK_PERIOD_S)):
                return None


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(ReplayNode, arguments)
