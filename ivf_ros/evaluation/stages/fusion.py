# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion methods measured against both sources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import fusion, geometry
from ivf_ros.data.aligned import explain_unaligned, read_aligned
from ivf_ros.data.misalignment import misalign
from ivf_ros.data.sample import Sample
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.inputs import derive_seed, METHOD_ERRORS, time_call
import numpy as np

DEFAULT_METRICS = ('EN', 'SD', 'SF', 'AG', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM')


@dataclass(frozen=True)
class FusionEvaluation:
    """
    Each method fuses each aligned pair, anew and without memory; luma is measured.

    Attributes
    ----------
    methods, metric_names:
        Of ``fusion.methods()`` and of ``metrics.FUSION_METRICS``.
    moved_px:
        How far thermal is moved, in a direction that differs from pair to pair, before it is
        fused; measured is against where it was. So an edge that is drawn twice counts as made up.

    """

    methods: tuple[str, ...]
    metric_names: tuple[str, ...] = DEFAULT_METRICS
    moved_px: float = 0.0

    name = 'fusion'
    notes = ('EN, SD, SF and AG look at the fused image alone and can be raised by contrast or '
             'noise.',)

    @property
    def metrics(self) -> tuple[MetricInfo, ...]:
        """Describe what is measured."""
        return tuple(metrics.FUSION_METRIC_INFO[name] for name in self.metric_names)

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be measured, or ''."""
        return explain_unaligned(sample)

    def measure(self, sample: Sample) -> SampleResult:
        """Fuse by all methods and measure each result where thermal covers RGB."""
        pair = read_aligned(sample)
        window = inner_rectangle(pair.coverage)
        luma = cv2.cvtColor(pair.rgb, cv2.COLOR_BGR2GRAY)
        thermal = self._moved(pair.thermal, sample)
        measured = SampleResult([], {('thermal', ''): thermal, ('rgb', ''): pair.rgb})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            fuser = fusion.create(method)
            try:
                fused, cpu_s = time_call(fuser.fuse_gray, thermal, pair.rgb, pair.coverage)
                fused_luma = cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY)
                values = metrics.fusion(pair.thermal[window], luma[window], fused_luma[window],
                                        self.metric_names)
            except METHOD_ERRORS as error:
                measured.rows.append(row.failed(error))
                continue
            measured.rows.append(row.with_values(values, cpu_s))
            measured.pictures[method, ''] = fused
        return measured

    def _moved(self, thermal: np.ndarray, sample: Sample) -> np.ndarray:
        """Return thermal as it is after the mount gave way a little."""
        if not self.moved_px:
            return thermal
        random = np.random.default_rng(derive_seed(sample))
        angle = random.uniform(0, 2 * np.pi)
        return misalign(thermal, geometry.translation(self.moved_px * np.cos(angle),
                                                      self.moved_px * np.sin(angle)))

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return nothing: each metric of fusion is of one image."""
        return {}


def inner_rectangle(coverage: np.ndarray) -> tuple[slice, slice]:
    """
    Return rows and columns of a rectangle that is covered everywhere.

    Side by side, the one that lacks most is moved inwards until none lacks anything: not always
    the largest rectangle that there is, but nearly so for the outline of a warped image.
    """
    top, bottom, left, right = 0, coverage.shape[0], 0, coverage.shape[1]
    while top < bottom and left < right:
        uncovered = [1 - side.mean() for side in (
            coverage[top, left:right], coverage[bottom - 1, left:right],
            coverage[top:bottom, left], coverage[top:bottom, right - 1])]
        worst = int(np.argmax(uncovered))
        if not uncovered[worst]:
            break
        top, bottom = top + (worst == 0), bottom - (worst == 1)
        left, right = left + (worst == 2), right - (worst == 3)
    return slice(top, bottom), slice(left, right)
