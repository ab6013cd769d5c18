# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Wall-clock time of the stages for one image, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time
from typing import Any

import cv2
from ivf_ros import detection, fusion, memory, perception, registration, segmentation
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.progress import track
from ivf_ros.registration.sift import register_by_sift
from ivf_ros.thermal_on_rgb import ThermalWarper
import numpy as np

_WARM_UP_RUNS = 5  # not counted


def time_stages(size: tuple[int, int], seconds: float) -> list[dict[str, Any]]:
    """
    Time the default method of each stage, and yardsticks, on a simulated street at night.

    The process keeps freed memory from then on, as the nodes do.

    Parameters
    ----------
    size:
        Width and height in pixels of both images.
    seconds:
        Duration of the runs of each stage.

    Returns
    -------
    list[dict]
        ``stage``, ``size``, ``runs``, ``median_ms``, ``p95_ms`` of each, and ``processor_ms``, the
        mean processor time of all threads.

    """
    memory.retain_freed()
    return [{'stage': name, 'size': f'{size[0]}x{size[1]}', **_time_calls(call, seconds)}
            for name, call in track(_prepare_calls(size), None, 'stage')]


def _prepare_calls(size: tuple[int, int]) -> Iterator[tuple[str, Callable[[], Any]]]:
    simulator = RigSimulator(SimulatorParameters(condition='night', seed=3))
    thermal_frame, rgb_frame, _ = simulator.pair(60)
    registered = ThermalWarper().warp_gray(thermal_frame.image, simulator.H_thermal_to_rgb,
                                           rgb_frame.size).image
    thermal, rgb = (cv2.resize(image, size) for image in (registered, rgb_frame.image))
    registrar, fuser = registration.create(), fusion.create(fusion.DEFAULT_METHOD)
    fused = fuser.fuse(thermal, rgb)
    segmenter: Any = segmentation.create()
    detector: Any = detection.create()
    yield 'registration, without a prior', lambda: registrar.register(thermal, rgb)
    yield 'registration, with a prior', lambda: registrar.register(thermal, rgb, np.eye(3))
    yield 'fusion', lambda: fuser.fuse(thermal, rgb)
    yield 'segmentation, fused', lambda: segmenter.segment(fused)
    yield 'segmentation, rgb+thermal', lambda: segmenter.segment(rgb, thermal)
    yield 'detection, fused', lambda: detector.detect(fused)
    yield 'detection, rgb+thermal', lambda: detector.detect(rgb, thermal)
    joint = perception.JointPerception()
    yield 'perception, fused', lambda: joint.perceive(fused)
    yield 'perception, rgb+thermal', lambda: joint.perceive(rgb, thermal)
    luma = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
    seafusion = fusion.create('seafusion', **{'network.precision': 'float32'})
    yield 'yardstick: SIFT and RANSAC', lambda: register_by_sift(thermal, luma)
    yield 'yardstick: SeAFusion in float32', lambda: seafusion.fuse(thermal, rgb)
    yield 'yardstick: copy of both images', lambda: (thermal.copy(), rgb.copy())


def _time_calls(call: Callable[[], Any], seconds: float) -> dict[str, Any]:
    for _ in range(_WARM_UP_RUNS):
        call()
    times_ms: list[float] = []
    processor_s = time.process_time()
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s or not times_ms:
        start_s = time.perf_counter()
        call()
        times_ms.append(1e3 * (time.perf_counter() - start_s))
    processor_ms = 1e3 * (time.process_time() - processor_s) / len(times_ms)
    return {'runs': len(times_ms), 'median_ms': round(float(np.median(times_ms)), 2),
            'p95_ms': round(float(np.percentile(times_ms, 95)), 2),
            'processor_ms': round(processor_ms, 2)}
