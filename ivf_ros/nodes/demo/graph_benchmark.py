# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Benchmark of the whole graph: rates, ages and processor time while two cameras send images.

One process plays the cameras, others run the nodes with their defaults, and this process receives
the outputs, as on a robot. The scene is a simulated night street. Its images are rendered before
the measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
import json
import os
from pathlib import Path
import subprocess
import sys
import threading
import time
from typing import Any, Callable, IO

from diagnostic_msgs.msg import DiagnosticArray
from ivf_ros import dds
from ivf_ros.nodes.demo.container_process import (
    measure_memory_mb,
    start_graph,
    start_modules,
    stop_process,
)
from ivf_ros.nodes.demo.scene import render_scene
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.cdr import read_stamp_ns
from ivf_ros.nodes.graph.process import init
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.regular_files import check_regular
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

_NAMESPACE = '/ivf_benchmark'
_OUTPUTS: dict[str, TypeAdapter[Any]] = {
    'fused/image': messages.IMAGE,
    'segmentation/labels': messages.LABELS,
    'detections': messages.DETECTIONS,
}
# What runs between the cameras and the receiver: all nodes in one process, a process for each
# node, or the chain that a user would write without this package.
MODES = ('composed', 'processes', 'naive')
_START_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_QOS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)


class BenchmarkError(RuntimeError):
    """The graph did not start, or a process ended early; the message contains the reason."""


@dataclass(frozen=True)
class GraphBenchmarkSettings:
    """
    Settings of the benchmark.

    Attributes
    ----------
    size:
        Width and height of the images of both cameras in pixels.
    rate_hz:
        Image rate of both cameras.
    warm_up_s:
        Time between the first outputs and the measurement.
    seconds:
        Duration of the measurement.
    params_file:
        ROS parameter file of the nodes; None for the defaults.
    mode:
        One of ``MODES``.

    """

    size: tuple[int, int] = (640, 480)
    rate_hz: float = 30.0
    warm_up_s: float = 10.0
    seconds: float = 10.0
    params_file: Path | None = None
    mode: str = 'composed'

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the topics that are measured."""
        return ('fused/image',) if self.mode == 'naive' else tuple(_OUTPUTS)


def run(settings: GraphBenchmarkSettings = GraphBenchmarkSettings()) -> list[dict[str, Any]]:
    """
    Run the graph and measure it.

    Returns
    -------
    list of dict
        A row for each output: ``topic``, ``sent`` (images of the RGB camera), ``received``,
        ``rate_hz``, ``age_ms_p50`` and ``age_ms_p95`` (from the stamp of the camera image to the
        arrival in another process) and ``first_s`` (from the start of the nodes). Then a row for
        the processes of the nodes: ``cores`` in use in the mean, ``processor_ms`` of a pair of
        images, and ``memory_mb``, the resident memory at the end.

    Raises
    ------
    BenchmarkError
        The graph did not start, or a process ended early.
    OSError
        The parameter file is missing, or no regular file.

    """
    if settings.params_file:
        check_regular(settings.params_file)
    dds.use_profile()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    width, height = settings.size
    with subprocess.Popen(
            [sys.executable, '-m', 'ivf_ros.nodes.demo.graph_benchmark', f'{width}', f'{height}',
             f'{settings.rate_hz}'],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as cameras:
        try:
            if _read_line(cameras.stdout) != 'playing':
                raise BenchmarkError(f'the cameras ended with exit code {cameras.wait()}')
            with _Receiver(settings.outputs) as receiver:
                usage = _run_nodes(settings, receiver)
            sent_ns, _ = cameras.communicate(timeout=_STOP_TIMEOUT_S)
            if cameras.returncode:
                raise BenchmarkError(f'the cameras ended with exit code {cameras.returncode}')
        finally:
            cameras.kill()
    return _make_rows(settings, receiver, json.loads(sent_ns), usage)


@dataclass(frozen=True)
class _Usage:
    """Begin and end of the measurement, and what the nodes used in between."""

    started_ns: int  # of the nodes
    begin_ns: int
    end_ns: int
    processor_s: float
    memory_mb: float


class _Receiver:
    """Receives the outputs of the graph in a thread; a context manager that ends it."""

    def __init__(self, topics: Sequence[str]) -> None:
        # By topic: stamp and arrival in nanoseconds.
        self.arrivals_ns: dict[str, list[tuple[int, int]]] = {topic: [] for topic in topics}
        self.failures: dict[str, str] = {}  # by node
        init([])
        self._node = Node('receiver', namespace=_NAMESPACE)
        for topic in topics:
            self._node.create_subscription(_OUTPUTS[topic].message_type, topic,
                                           self._make_callback(topic), _QOS, raw=True)
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._updated = threading.Condition()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> _Receiver:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join(_STOP_TIMEOUT_S)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait_for_all(self, timeout_s: float) -> bool:
        """Wait until every output has arrived once; return False after the timeout."""
        with self._updated:
            return self._updated.wait_for(lambda: all(self.arrivals_ns.values()), timeout_s)

    def _make_callback(self, topic: str) -> Callable[[bytes], None]:

        def on_message(cdr: bytes) -> None:
            arrived_ns = time.time_ns()
            with self._updated:
                self.arrivals_ns[topic].append((read_stamp_ns(cdr), arrived_ns))
                self._updated.notify_all()

        return on_message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            failure = {pair.key: pair.value for pair in status.values}.get('failure')
            name = '/' + status.name.lstrip('/')
            if failure and name.startswith(f'{_NAMESPACE}/'):
                self.failures[name] = failure

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()


def _run_nodes(settings: GraphBenchmarkSettings, receiver: _Receiver) -> _Usage:
    """Run the nodes, and measure their processes after the warm-up."""
    started_ns = time.time_ns()
    processes = _start_nodes(settings)
    try:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not receiver.wait_for_all(1.0):
            _check_health(processes, receiver)
            if time.monotonic() > deadline_s:
                missing = [topic for topic, items in receiver.arrivals_ns.items() if not items]
                raise BenchmarkError(f"no {', '.join(missing)} within {_START_TIMEOUT_S:g} s")
        time.sleep(settings.warm_up_s)
        begin_ns, begin_s = time.time_ns(), _read_processor_s(processes)
        time.sleep(settings.seconds)
        end_ns, end_s = time.time_ns(), _read_processor_s(processes)
        _check_health(processes, receiver)
        return _Usage(started_ns, begin_ns, end_ns, end_s - begin_s, measure_memory_mb(processes))
    finally:
        for process in processes:
            stop_process(process)


def _start_nodes(settings: GraphBenchmarkSettings) -> list[subprocess.Popen]:
    parameters = ['--params-file', str(settings.params_file)] if settings.params_file else []
    arguments = ['-r', f'__ns:={_NAMESPACE}', *parameters]
    if settings.mode == 'naive':
        return start_modules(['ivf_ros.nodes.demo.naive_chain'], arguments, stdout=sys.stderr)
    return start_graph(settings.mode, arguments, stdout=sys.stderr)


def _check_health(processes: Sequence[subprocess.Popen], receiver: _Receiver) -> None:
    for process in processes:
        if process.poll() is not None:
            raise BenchmarkError('a process of the nodes ended with exit code '
                                 f'{process.returncode}')
    for node, failure in receiver.failures.items():
        raise BenchmarkError(f'{node}: {failure}')


def _make_rows(settings: GraphBenchmarkSettings, receiver: _Receiver, sent_ns: list[int],
               usage: _Usage) -> list[dict[str, Any]]:
    def is_measured(stamp_ns: int) -> bool:
        return usage.begin_ns <= stamp_ns < usage.end_ns

    n_sent = sum(map(is_measured, sent_ns))
    seconds = (usage.end_ns - usage.begin_ns) * 1e-9
    rows: list[dict[str, Any]] = []
    for topic, arrivals in receiver.arrivals_ns.items():
        ages_ms = [(arrived_ns - stamp_ns) * 1e-6 for stamp_ns, arrived_ns in arrivals
                   if is_measured(stamp_ns)]
        p50, p95 = np.percentile(ages_ms, (50, 95)) if ages_ms else (None, None)
        rows.append({
            'topic': topic, 'size': '{}x{}'.format(*settings.size), 'sent': n_sent,
            'received': len(ages_ms), 'rate_hz': _rounded(len(ages_ms) / seconds),
            'age_ms_p50': _rounded(p50), 'age_ms_p95': _rounded(p95),
            'first_s': _rounded((arrivals[0][1] - usage.started_ns) * 1e-9)})
    rows.append({'nodes': settings.mode,
                 'cores': _rounded(usage.processor_s / seconds, 2),
                 'processor_ms': _rounded(usage.processor_s * 1e3 / max(n_sent, 1)),
                 'memory_mb': _rounded(usage.memory_mb, 0)})
    return rows


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(float(value), digits)


def _read_processor_s(processes: Sequence[subprocess.Popen]) -> float:
    """Return the processor time of processes and their threads, in seconds (Linux)."""
    ticks = 0
    for process in processes:
        # The name of the program may contain spaces; it ends with the last parenthesis.
        fields = Path(f'/proc/{process.pid}/stat').read_text().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def _read_line(stream: IO[str] | None) -> str:
    assert stream is not None  # a pipe
    return stream.readline().strip()


def _play_cameras(size: tuple[int, int], rate_hz: float) -> list[int]:
    """Publish the images of both cameras until stdin ends; return the stamps of RGB."""
    _, pairs = render_scene('night', size, rate_hz)
    init([])
    node = Node('cameras', namespace=_NAMESPACE)
    publishers: list[Any] = [
        node.create_publisher(messages.IMAGE.message_type, f'{stream}/image_raw', _QOS)
        for stream in ('thermal', 'rgb')]
    ended = threading.Event()
    threading.Thread(target=_wait_for_end_of_input, args=(ended,), daemon=True).start()
    sys.stdout.write('playing\n')
    sys.stdout.flush()
    stamps_ns: list[int] = []
    start_s = time.monotonic()
    while not ended.wait(max(0.0, start_s + len(stamps_ns) / rate_hz - time.monotonic())):
        pair = pairs[len(stamps_ns) % len(pairs)]
        stamps_ns.append(time.time_ns())
        for publisher, frame in zip(publishers, pair, strict=True):
            publisher.publish(messages.image_to_message(replace(frame, stamp_ns=stamps_ns[-1])))
    node.destroy_node()
    rclpy.shutdown()
    return stamps_ns


def _wait_for_end_of_input(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


if __name__ == '__main__':
    width_px, height_px, hz = sys.argv[1:]
    sys.stdout.write(json.dumps(_play_cameras((int(width_px), int(height_px)), float(hz))))
