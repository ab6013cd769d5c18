# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of fusion methods against both sources."""

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
from ivf_ros.evaluation.stages.inputs import create_method, derive_seed, METHOD_ERRORS, time_call
import numpy as np

DEFAULT_METRICS = ('EN', 'SD', 'SF', 'AG', 'MI', 'SCD', 'VIF', 'Qabf', 'SSIM')


@dataclass(frozen=True)
class FusionEvaluation:
    """
    Each method fuses each aligned pair, without memory of earlier pairs. Metrics use luma.

    Attributes
    ----------
    methods, metric_names:
        Names of ``fusion.methods()`` and of ``metrics.FUSION_METRICS``.
    thermal_shift_px:
        Distance by which thermal is shifted before fusion, in a direction that depends on the
        pair. The fused image is compared with the thermal image that is not shifted. So an edge
        that the fused image shows twice counts as an artifact.

    """

    methods: tuple[str, ...]
    metric_names: tuple[str, ...] = DEFAULT_METRICS
    thermal_shift_px: float = 0.0

    name = 'fusion'
    notes = ('EN, SD, SF and AG depend only on the fused image; contrast or noise can raise '
             'them.',)

    @property
    def metrics(self) -> tuple[MetricInfo, ...]:
        """Return the infos of the metrics."""
        return tuple(metrics.FUSION_METRIC_INFO[name] for name in self.metric_names)

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be measured, or ''."""
        return explain_unaligned(sample)

    def measure(self, sample: Sample) -> SampleResult:
        """Fuse a sample by all methods and compute the metrics where thermal covers RGB."""
        pair = read_aligned(sample)
        window = inner_rectangle(pair.coverage)
        luma = cv2.cvtColor(pair.rgb, cv2.COLOR_BGR2GRAY)
        thermal = self._shift_thermal(pair.thermal, sample)
        result = SampleResult([], {('thermal', ''): thermal, ('rgb', ''): pair.rgb})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            fuser = create_method(fusion.create, method)
            try:
                fused, cpu_s = time_call(fuser.fuse_gray, thermal, pair.rgb, pair.coverage)
                fused_luma = cv2.cvtColor(fused, cv2.COLOR_BGR2GRAY)
                values = metrics.fusion(pair.thermal[window], luma[window], fused_luma[window],
                                        self.metric_names)
            except METHOD_ERRORS as error:
                result.rows.append(row.failed(error))
                continue
            result.rows.append(row.with_values(values, cpu_s))
            result.pictures[method, ''] = fused
        return result

    def _shift_thermal(self, thermal: np.ndarray, sample: Sample) -> np.ndarray:
        """Return thermal shifted as if the mount of the cameras had moved."""
        if not self.thermal_shift_px:
            return thermal
        random = np.random.default_rng(derive_seed(sample))
        angle = random.uniform(0, 2 * np.pi)
        return misalign(thermal, geometry.translation(self.thermal_shift_px * np.cos(angle),
                                                      self.thermal_shift_px * np.sin(angle)))

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return no metrics: each fusion metric belongs to one image."""
        return {}


def inner_rectangle(coverage: np.ndarray) -> tuple[slice, slice]:
    """
    Return rows and columns of a rectangle that is covered completely.

    The side with the largest uncovered fraction moves inwards until all sides are covered. The
    result is not always the largest rectangle, but it is close to it for the outline of a warped
    image.
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
