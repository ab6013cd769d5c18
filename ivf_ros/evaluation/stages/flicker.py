# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Whether a fused video flickers, measured on videos of aligned pairs.

What changes from frame to frame in a fused video should be what changes in the cameras. Each
video is fused frame by frame as the node would; no labels are needed.
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
from ivf_ros.evaluation.stages.inputs import METHOD_ERRORS, time_call, video_frames
from ivf_ros.thermal_on_rgb import ThermalWarper
import numpy as np

_METRICS = (
    MetricInfo('change', 'lower', 'level', 'mean absolute change of fused luma from frame to '
               'frame'),
    MetricInfo('excess', 'lower', '%', 'by how much it exceeds that of the source that changes '
               'more, on the average over the video'),
)


@dataclass(frozen=True)
class FlickerEvaluation:
    """
    What each of the methods makes of each video.

    One sample stands for its video: the first frame. ``methods`` are of ``fusion.methods()``.
    """

    methods: tuple[str, ...]

    name = 'flicker'
    metrics = _METRICS
    notes = ('An excess is negative where fusion changes less than the livelier source.',)

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be replayed, or ''."""
        if not isinstance(sample.thermal, VideoFrame) or not isinstance(sample.rgb, VideoFrame):
            return 'not a frame of a video'
        later = 'replayed with the first frame of their video' if sample.thermal.index else ''
        return explain_unaligned(sample) or later

    def measure(self, sample: Sample) -> SampleResult:
        """Fuse a video by all methods."""
        measured = SampleResult([], {})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                values, cpu_s = _replayed(method, sample)
            except METHOD_ERRORS as error:
                measured.rows.append(row.failed(error))
                continue
            measured.rows.append(row.with_values(values, cpu_s))
        return measured

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return nothing: each value is of one video."""
        return {}


def _replayed(method: str, sample: Sample) -> tuple[dict[str, float], float]:
    """Return the metrics of a video, and the processor time of one frame in seconds."""
    fuser, warper, changes, spent_s = fusion.create(method), ThermalWarper(), _Changes(), []
    for _, recorded, rgb in video_frames(sample):
        size = geometry.size_of(rgb)
        H = geometry.stretch(geometry.size_of(recorded), size)
        thermal = warper.warp_gray(recorded, H, size).image
        fused, cpu_s = time_call(fuser.fuse_gray, thermal, rgb)
        spent_s.append(cpu_s)
        changes.add(*(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
                      for image in (thermal, rgb, fused)))
    return changes.values(), float(np.mean(spent_s))


class _Changes:
    """Mean absolute changes of thermal, RGB and fused luma from frame to frame."""

    def __init__(self) -> None:
        self._before: tuple[np.ndarray, ...] = ()
        self._means: list[list[float]] = []

    def add(self, *lumas: np.ndarray) -> None:
        """Note the next frame: thermal, RGB and fused ``(H, W)`` uint8."""
        if self._before:
            self._means.append([float(cv2.absdiff(now, before).mean())
                                for now, before in zip(lumas, self._before, strict=True)])
        self._before = lumas

    def values(self) -> dict[str, float]:
        """Return the metrics; an excess of 0 where no source ever changes."""
        thermal, rgb, fused = np.mean(self._means, axis=0)
        most = max(thermal, rgb)
        return {'change': float(fused),
                'excess': 100 * (float(fused / most) - 1) if most > 0 else 0.0}
