# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs nodes in this process until they are told to stop."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Callable, Sequence

import cv2
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.parameters import ParameterError
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor


def run_node(make_node: Callable[[], StageNode], arguments: Sequence[str] | None = None,
             until: Callable[[], bool] = lambda: False) -> int:
    """Run one node, at the longest until ``until()`` holds; returns the exit code."""
    return run_nodes([make_node], arguments, until)


def run_nodes(make_nodes: Sequence[Callable[[], StageNode]],
              arguments: Sequence[str] | None = None,
              until: Callable[[], bool] = lambda: False) -> int:
    """
    Run nodes in one process until ``until()``, SIGINT, SIGTERM or a shutdown of the context.

    Returns
    -------
    int
        0, or 1 where a node could not be made or did not start.

    """
    _tune(len(make_nodes))
    rclpy.init(args=None if arguments is None else list(arguments))
    nodes: list[StageNode] = []
    # Callbacks only enqueue, so one thread is enough and the least work for the interpreter lock.
    executor = SingleThreadedExecutor()
    try:
        for make_node in make_nodes:
            node = make_node()
            nodes.append(node)
            executor.add_node(node)
        started = [node.autostart() for node in nodes]
        if not all(started):
            return 1
        while rclpy.ok() and not until():
            executor.spin_once(timeout_sec=0.5)
    except ParameterError as error:
        sys.stderr.write(f'error: {error}\n')
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        for node in nodes:
            node.destroy_node()
        executor.shutdown()
        rclpy.try_shutdown()
    return 0


def _tune(n_nodes: int) -> None:
    """
    Set up this process for images that pass through several threads.

    Measured on two cores with all four stages at work, see docs/graph.md: alone each setting gains
    little, together they raised the frames fused at 640x480, 30 Hz, from about 60 % to 90 %.
    """
    # A worker that comes back from OpenCV waits this long for another one to yield the
    # interpreter; the default of 5 ms adds up to more than the work itself.
    sys.setswitchinterval(1e-4)
    # glibc returns every image to the system and has the next one paged in anew: keep them.
    libc = ctypes.CDLL(None)
    if hasattr(libc, 'mallopt'):
        trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # names in malloc.h
        libc.mallopt(mmap_threshold, 128 << 20)
        libc.mallopt(trim_threshold, 512 << 20)
        libc.mallopt(top_pad, 64 << 20)
    if n_nodes > 1:
        # The stages keep the cores busy side by side; splitting each up makes them wait.
        cv2.setNumThreads(1)
        # PyTorch, which methods load when they are made, asks for this once.
        os.environ.setdefault('OMP_NUM_THREADS', '1')
