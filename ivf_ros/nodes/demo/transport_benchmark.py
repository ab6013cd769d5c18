# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Benchmark of the image transport: losses between two processes, latency inside one process.

Between processes a publisher sends colour images at 30 Hz, as the nodes do, with the default
profile of the middleware and with the Fast DDS profile of the package. Inside one process the same
images pass from one node to another by reference and through DDS.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import Any, Sequence

from ivf_ros import dds
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.process import init, make_executor
from ivf_ros.nodes.graph.transport import Hub, Publisher, Subscription
from ivf_ros.types import Frame
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

_RATE_HZ = 30.0
_TOPIC = 'ivf_benchmark/image'
_MATCH_TIMEOUT_S = 20.0


def run(sizes: Sequence[tuple[int, int]], seconds: float) -> list[dict[str, Any]]:
    """
    Measure each image size between two processes and inside one process.

    Parameters
    ----------
    sizes:
        Widths and heights of the images in pixels.
    seconds:
        Duration of each measurement between processes.

    Returns
    -------
    list of dict
        One row per measurement: ``size``, ``path``, ``sent``, ``received`` and ``median_ms``, the
        median latency. Rows of two processes also have ``profile``.

    """
    rows: list[dict[str, Any]] = []
    for size in sizes:
        rows += [_measure_two_processes(size, seconds, use_profile)
                 for use_profile in (False, True)]
        rows += [_measure_one_process(size, by_reference) for by_reference in (True, False)]
    return rows


def _measure_two_processes(size: tuple[int, int], seconds: float,
                           use_profile: bool) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items()
                   if name not in dds.PROFILE_VARIABLES}
    environment.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    if use_profile:
        environment[dds.profile_variable()] = str(dds.profile_path())
    frames = round(seconds * _RATE_HZ)
    command = [sys.executable, '-m', 'ivf_ros.nodes.demo.transport_benchmark',
               f'{size[0]}', f'{size[1]}', f'{frames}']
    with subprocess.Popen([*command, 'receive'], env=environment, stdout=subprocess.PIPE,
                          text=True) as receiver:
        timeout_s = _MATCH_TIMEOUT_S + 2 * seconds + 20
        try:
            subprocess.run([*command, 'send'], env=environment, check=True, timeout=timeout_s)
            output, _ = receiver.communicate(timeout=timeout_s)
        finally:
            receiver.kill()
    latencies_ms = json.loads(output)
    return {'size': f'{size[0]}x{size[1]}', 'path': 'two processes',
            'profile': 'ivf' if use_profile else 'none', 'sent': frames,
            'received': len(latencies_ms), 'median_ms': _median(latencies_ms)}


def _measure_one_process(size: tuple[int, int], by_reference: bool, frames: int = 60
                         ) -> dict[str, Any]:
    init([])
    sender_hub = Hub()
    sender = Node('ivf_benchmark_sender')
    receiver = Node('ivf_benchmark_receiver')
    executor = SingleThreadedExecutor()  # the other one cannot be shut down by another thread
    latencies_ms: list[float] = []
    arrived = threading.Event()

    def on_frame(frame: Frame) -> None:
        latencies_ms.append((time.monotonic_ns() - frame.stamp_ns) * 1e-6)
        arrived.set()

    publisher: Publisher[Frame] = Publisher(sender, sender_hub, messages.IMAGE, _TOPIC)
    Subscription(receiver, sender_hub if by_reference else Hub(), messages.IMAGE, _TOPIC,
                 on_frame, _raise_bad_message)
    executor.add_node(receiver)
    executor.add_node(sender)
    spin_thread = threading.Thread(target=executor.spin, daemon=True)
    spin_thread.start()
    image = _make_image(size)
    deadline_s = time.monotonic() + _MATCH_TIMEOUT_S
    while not publisher.has_subscribers and time.monotonic() < deadline_s:
        time.sleep(0.01)
    for _ in range(frames):
        arrived.clear()
        publisher.publish(Frame(image, time.monotonic_ns(), 'camera'))
        arrived.wait(1.0)
    executor.shutdown()
    sender.destroy_node()
    receiver.destroy_node()
    rclpy.shutdown()
    spin_thread.join(5.0)
    return {'size': f'{size[0]}x{size[1]}', 'path': 'one process, '
            + ('by reference' if by_reference else 'through DDS'), 'sent': frames,
            'received': len(latencies_ms), 'median_ms': _median(latencies_ms)}


def _send(size: tuple[int, int], frames: int) -> None:
    node = Node('ivf_benchmark_sender')
    publisher: Publisher[Frame] = Publisher(node, Hub(), messages.IMAGE, _TOPIC)
    deadline_s = time.monotonic() + _MATCH_TIMEOUT_S
    while not publisher.has_subscribers:
        if time.monotonic() > deadline_s:
            raise RuntimeError(f'no receiver on {_TOPIC} within {_MATCH_TIMEOUT_S} s')
        time.sleep(0.01)
    image = _make_image(size)
    start_s = time.monotonic()
    for index in range(frames):
        time.sleep(max(0.0, start_s + index / _RATE_HZ - time.monotonic()))
        publisher.publish(Frame(image, time.monotonic_ns(), 'camera'))
    # Without this wait the publisher is destroyed before the last frames are sent.
    time.sleep(1.0)
    node.destroy_node()


def _receive() -> list[float]:
    node = Node('ivf_benchmark_receiver')
    latencies_ms: list[float] = []

    def on_frame(frame: Frame) -> None:
        latencies_ms.append((time.monotonic_ns() - frame.stamp_ns) * 1e-6)

    Subscription(node, Hub(), messages.IMAGE, _TOPIC, on_frame, _raise_bad_message)
    executor = make_executor()
    executor.add_node(node)
    deadline_s = time.monotonic() + _MATCH_TIMEOUT_S
    while node.count_publishers(_TOPIC) == 0 and time.monotonic() < deadline_s:
        executor.spin_once(timeout_sec=0.01)
    while node.count_publishers(_TOPIC) > 0:
        executor.spin_once(timeout_sec=0.05)
    executor.shutdown()
    node.destroy_node()
    return latencies_ms


def _raise_bad_message(topic: str, error: ValueError) -> None:
    raise RuntimeError(f'{topic}: {error}')


def _make_image(size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _median(values: Sequence[float]) -> float | None:
    return round(statistics.median(values), 3) if values else None


def main() -> int:
    """Run the sender or the receiver of a measurement; started by ``run``."""
    parser = argparse.ArgumentParser(description='Sender or receiver of the transport benchmark.')
    parser.add_argument('width', type=int)
    parser.add_argument('height', type=int)
    parser.add_argument('frames', type=int)
    parser.add_argument('role', choices=('send', 'receive'))
    options = parser.parse_args()
    init([])
    if options.role == 'send':
        _send((options.width, options.height), options.frames)
    else:
        sys.stdout.write(json.dumps(_receive()))
    rclpy.shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
