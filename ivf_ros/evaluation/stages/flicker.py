# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Flicker of fused videos, measured on videos of aligned pairs.

A fused video should change from frame to frame only as much as the cameras do. Each video is
fused frame by frame, as in the node; no labels are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import fusion, geometry
from ivf_ros.data.aligned import explain_unaligned
from ivf_ros.data.sample import Sample
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.inputs import (
    create_method,
    METHOD_ERRORS,
    time_call,
    video_frames,
)
from ivf_ros.thermal_on_rgb import ThermalWarper
import numpy as np

_METRICS = (
    MetricInfo('change', 'lower', 'level', 'mean absolute change of fused luma from frame to '
               'frame'),
    MetricInfo('excess', 'lower', '%', 'relative excess of this change over the change of the '
               'source that changes more, mean over the video'),
)


@dataclass(frozen=True)
class FlickerEvaluation:
    """
    Flicker of each method on each video.

    The first frame is the sample that represents its video. ``methods`` are names of
    ``fusion.methods()``.
    """

    methods: tuple[str, ...]

    name = 'flicker'
    metrics = _METRICS
    notes = ('The excess is negative if the fused video changes less than the source that '
             'changes more.',)

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be replayed, or ''."""
        if not isinstance(sample.thermal, VideoFrame) or not isinstance(sample.rgb, VideoFrame):
            return 'not a frame of a video'
        not_first = 'replayed with the first frame of their video' if sample.thermal.index else ''
        return explain_unaligned(sample) or not_first

    def measure(self, sample: Sample) -> SampleResult:
        """Fuse a video by all methods."""
        result = SampleResult([], {})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                values, cpu_s = _replay_video(method, sample)
            except METHOD_ERRORS as error:
                result.rows.append(row.failed(error))
                continue
            result.rows.append(row.with_values(values, cpu_s))
        return result

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return no metrics: each value belongs to one video."""
        return {}


def _replay_video(method: str, sample: Sample) -> tuple[dict[str, float], float]:
    """Return the metrics of a video, and the processor time of one frame in seconds."""
    fuser, warper, changes = create_method(fusion.create, method), ThermalWarper(), _FrameChanges()
    times_s = []
    for _, recorded, rgb in video_frames(sample):
        size = geometry.size_of(rgb)
        H = geometry.stretch(geometry.size_of(recorded), size)
        thermal = warper.warp_gray(recorded, H, size).image
        fused, cpu_s = time_call(fuser.fuse_gray, thermal, rgb)
        times_s.append(cpu_s)
        changes.add(*(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
                      for image in (thermal, rgb, fused)))
    return changes.values(), float(np.mean(times_s))


class _FrameChanges:
    """Mean absolute changes of thermal, RGB and fused luma from frame to frame."""

    def __init__(self) -> None:
        self._previous: tuple[np.ndarray, ...] = ()
        self._means: list[list[float]] = []

    def add(self, *lumas: np.ndarray) -> None:
        """Add the next frame: thermal, RGB and fused ``(H, W)`` uint8."""
        if self._previous:
            self._means.append([float(cv2.absdiff(current, previous).mean())
                                for current, previous in zip(lumas, self._previous, strict=True)])
        self._previous = lumas

    def values(self) -> dict[str, float]:
        """Return the metrics. The excess is 0 if no source changes."""
        thermal, rgb, fused = np.mean(self._means, axis=0)
        largest = max(thermal, rgb)
        return {'change': float(fused),
                'excess': 100 * (float(fused / largest) - 1) if largest > 0 else 0.0}
