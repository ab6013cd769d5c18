# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The replay node: publishes recorded or simulated frames as two cameras."""

from __future__ import annotations

from collections import Counter
import threading
import time
from typing import Any, Callable

from ivf_ros.data.sources import open_source, Source
from ivf_ros.nodes.graph.faults import describe_error
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import make_header
from ivf_ros.nodes.graph.node_parameters import ReplayNodeParameters
from ivf_ros.nodes.graph.playback import Playback
from ivf_ros.nodes.graph.process import report_failure, run_node
from ivf_ros.nodes.graph.recorded_calibration import RecordedCalibration
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.parameters import ParameterError
from ivf_ros.types import Event
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

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
        The error that ended the replay, or None. The node then deactivates itself.

    """

    default_name = 'replay'

    def __init__(self, hub: Hub | None = None, source: Source | None = None,
                 on_published: Callable[[Event], None] = lambda event: None,
                 finished: threading.Event | None = None, **node_options: Any) -> None:
        super().__init__(ReplayNodeParameters, hub, **node_options)
        self._preset_source = source
        self.finished = finished or threading.Event()
        self._on_published = on_published
        self._loops = 0
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
        self._calibration = RecordedCalibration(self, self._source)
        self._cameras = {'thermal': ImageOutput(self, 'thermal/image_raw'),
                         'rgb': ImageOutput(self, 'rgb/image_raw')}
        self._clock_publisher = \
            self.create_publisher(Clock, '/clock', _CLOCK_QOS) if p.clock else None
        self._playback = Playback(self._source, lambda: self.parameters, self._publish,
                                  self._publish_clock, lambda: self.get_clock().now().nanoseconds)

    def cleanup(self) -> None:
        """Release the source and the publishers of the clock and of tf."""
        del self._source
        self._calibration.destroy()
        if self._clock_publisher is not None:
            self.destroy_publisher(self._clock_publisher)

    def activate(self) -> None:
        """Start the replay."""
        self.failure, self.is_complete = None, False
        self.finished.clear()
        self._playback.start()
        self.start_worker(self._replay).put(None)

    def interrupt_workers(self) -> None:
        """Stop the replay."""
        self._playback.stop()

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return the source and the playback position."""
        return '', {'source': self._source.name, 'finished': self.finished.is_set(),
                    'position_s': self._playback.position_s, 'loops': self._loops,
                    'skipped.late': self._playback.n_late,
                    **{f'skipped.{reason}': n for reason, n in self._source.skipped.items()}}

    def _replay(self, _: None) -> None:
        try:
            self._wait_for_subscribers()
            self.get_logger().info(f'playing {self._source.name}')
            self.is_complete = self._playback.play_once()
            while self.parameters.loop and not self._playback.is_stopping:
                self._loops += 1
                self.get_logger().info(f'loop {self._loops} after {self._describe_progress()}')
                self.is_complete = self._playback.play_once()
            end = 'end' if self.is_complete else 'stopped'
            self.get_logger().info(f'{end} after {self._describe_progress()}')
        except Exception as error:
            self.failure = error
            self.give_up(f'the replay failed: {describe_error(error)}')
        finally:
            self.finished.set()

    def _describe_progress(self) -> str:
        frames = ', '.join(f'{n} {stream}' for stream, n in self.played.items()) or 'no'
        n_late = self._playback.n_late
        late = f', {n_late} skipped as late' if n_late else ''
        return f'{self._playback.position_s:.1f} s: {frames} frames{late}'

    def _wait_for_subscribers(self) -> None:
        deadline_s = time.monotonic() + self.parameters.wait_for_subscribers_s
        while time.monotonic() < deadline_s and not self._playback.wait(0.02):
            if all(publisher.has_subscribers for publisher in self._cameras.values()):
                return

    def _publish(self, event: Event) -> None:
        self._on_published(event)
        self._calibration.publish(event.stream, event.frame)
        self._cameras[event.stream].publish(event.frame)
        self.played[event.stream] += 1

    def _publish_clock(self, now_ns: int) -> None:
        if self._clock_publisher is not None:
            self._clock_publisher.publish(Clock(clock=make_header(now_ns, '').stamp))


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process; it ends, with exit code 1, if the replay fails."""
    nodes: list[ReplayNode] = []

    def make_node() -> ReplayNode:
        nodes.append(ReplayNode())
        return nodes[0]

    exit_code = run_node(make_node, arguments, lambda: nodes[0].failure is not None)
    failure = nodes[0].failure if nodes else None
    return exit_code if failure is None else report_failure(failure)
