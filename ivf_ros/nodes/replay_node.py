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
from ivf_ros.nodes.graph.playhead import LateFrames, Playhead
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

    It also publishes the CameraInfos and ``/tf_static`` of a bag or the simulator. ``rate`` and
    ``paused`` can be changed during playback. With ``clock`` the recorded time is ``/clock``, for
    nodes with ``use_sim_time``; it stops in a pause and jumps back with each loop. Where the node
    cannot keep pace it skips frames.

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
        self._position_s, self._loops, self._first_stamp_ns = 0.0, 0, 0
        self._playhead: Playhead | None = None  # from the first frame of a pass on
        self.played: Counter[str] = Counter()
        self.is_complete = False
        self.failure: Exception | None = None

    def configure(self) -> None:
        """Open the source."""
        p = self.parameters
        if p.clock and p.restamp:
            raise ParameterError("'clock' publishes recorded time, 'restamp' stamps frames with "
                                 'the present time: got both, set one of them to false')
        self._source = self._preset_source or open_source(
            p.source, thermal_topic=p.thermal_topic, rgb_topic=p.rgb_topic, stamps=p.stamps,
            thermal_info_topic=p.thermal_info_topic, rgb_info_topic=p.rgb_info_topic)
        self._late_frames = LateFrames(p.max_lag_s)
        self._calibration = RecordedCalibration(self, self._source)
        self._cameras = {'thermal': ImageOutput(self, 'thermal/image_raw'),
                         'rgb': ImageOutput(self, 'rgb/image_raw')}
        self._clock_publisher = \
            self.create_publisher(Clock, '/clock', _CLOCK_QOS) if p.clock else None

    def cleanup(self) -> None:
        """Release the source and the publishers of the clock and of tf."""
        del self._source
        self._calibration.destroy()
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
                    'skipped.late': self._late_frames.count,
                    **{f'skipped.{reason}': n for reason, n in self._source.skipped.items()}}

    def _replay(self, _: None) -> None:
        try:
            self._wait_for_subscribers()
            self.get_logger().info(f'playing {self._source.name}')
            self._play_once()
            while self.parameters.loop and not self._stopping.is_set():
                self._loops += 1
                self.get_logger().info(f'loop {self._loops} after {self._describe_progress()}')
                self._play_once()
            end = 'end' if self.is_complete else 'stopped'
            self.get_logger().info(f'{end} after {self._describe_progress()}')
        except STAGE_ERRORS as error:
            self.failure = error
            raise
        finally:
            self.finished.set()

    def _describe_progress(self) -> str:
        frames = ', '.join(f'{n} {stream}' for stream, n in self.played.items()) or 'no'
        late = f', {self._late_frames.count} skipped as late' if self._late_frames.count else ''
        return f'{self._position_s:.1f} s: {frames} frames{late}'

    def _wait_for_subscribers(self) -> None:
        deadline_s = time.monotonic() + self.parameters.wait_for_subscribers_s
        while time.monotonic() < deadline_s and not self._stopping.wait(0.02):
            if all(publisher.has_subscribers for publisher in self._cameras.values()):
                return

    def _play_once(self) -> None:
        self.is_complete = False
        self._playhead = None
        for event in self._source.events(self._is_wanted):
            frame = event.frame
            if self._playhead is None:
                self._first_stamp_ns, start_s = frame.stamp_ns, time.monotonic()
                start_ns = self.get_clock().now().nanoseconds
                self._playhead = Playhead(self.parameters.rate, self.parameters.paused, start_s)
            position_s = self._to_position_s(frame.stamp_ns)
            if 0 < self.parameters.max_duration_s < position_s:
                break
            due_s = self._wait_until_due(self._playhead, position_s)
            if due_s is None:
                return
            if self.parameters.restamp:
                frame = replace(frame, stamp_ns=start_ns + round((due_s - start_s) * 1e9))
            self._on_published(replace(event, frame=frame))
            self._calibration.publish(event.stream, frame)
            self._cameras[event.stream].publish(frame)
            self.played[event.stream] += 1
        self.is_complete = not self._stopping.is_set()

    def _is_wanted(self, stream: str, stamp_ns: int) -> bool:
        """Return whether to read a frame: not if it is too late."""
        playhead, now_s = self._playhead, time.monotonic()
        if playhead is None or self._stopping.is_set():
            return True
        lag_s = now_s - playhead.due_s(self._to_position_s(stamp_ns))
        return not self._late_frames.should_skip(stream, lag_s, now_s)

    def _to_position_s(self, stamp_ns: int) -> float:
        return (stamp_ns - self._first_stamp_ns) * 1e-9

    def _wait_until_due(self, playhead: Playhead, position_s: float) -> float | None:
        """Wait for a position and publish the clock; return its due time, None if stopped."""
        while not self._stopping.is_set():
            now_s = time.monotonic()
            playhead.change(self.parameters.rate, self.parameters.paused, now_s)
            due_s = playhead.due_s(position_s)
            self._position_s = min(position_s, playhead.position_s(now_s))
            if self._clock_publisher is not None and not self.parameters.paused:
                now_ns = self._first_stamp_ns + round(self._position_s * 1e9)
                self._clock_publisher.publish(Clock(clock=make_header(now_ns, '').stamp))
            if due_s <= now_s:
                return due_s
            self._stopping.wait(min(due_s - now_s, _CLOCK_PERIOD_S))
        return None


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(ReplayNode, arguments)
