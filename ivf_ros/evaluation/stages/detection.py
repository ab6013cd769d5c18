# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection methods measured against boxes, on each kind of input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import math
from typing import Any

from ivf_ros import detection
from ivf_ros.data.sample import Sample
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Measured, Row
from ivf_ros.evaluation.stages.inputs import (
    FAILURES,
    looked_at,
    MACHINE_LABELS,
    read_aligned,
    SENSORS,
    timed,
    unaligned,
)
from ivf_ros.types import Detection

_METRICS = (
    MetricInfo('precision', 'higher', '', 'share of the found boxes that hit one of the same '
               'class with IoU 0.5'),
    MetricInfo('recall', 'higher', '', 'share of the true boxes that were hit'),
    MetricInfo('F1', 'higher', '', 'harmonic mean of the two; 1 where nothing is there and '
               'nothing was found'),
)
_PRECISION = MetricInfo('precision50', 'higher', '', 'share of all found boxes that are hits at '
                        'IoU 0.5, whatever their score')
_RECALL = MetricInfo('recall50', 'higher', '', 'share of all true boxes that were hit')


@dataclass(frozen=True)
class DetectionEvaluation:
    """
    Each detector on RGB, on thermal, and on what fusion makes of the two.

    Attributes
    ----------
    detectors:
        Of ``detection.methods()``.
    inputs:
        'rgb', 'thermal' or fusion methods.
    machine_labels:
        Whether the boxes were made by another network.

    """

    detectors: tuple[str, ...]
    inputs: tuple[str, ...] = (*SENSORS, 'laplacian')
    machine_labels: bool = False

    name = 'detection'
    metrics = _METRICS

    @property
    def methods(self) -> tuple[str, ...]:
        """Return 'detector@input' for each of them."""
        return tuple(f'{method}@{name}' for method in self.detectors for name in self.inputs)

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what the boxes are worth."""
        return (MACHINE_LABELS,) if self.machine_labels else ()

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be measured, or ''."""
        if sample.detections is not None and not sample.detections.complete:
            return 'not every object has a box'
        return unaligned(sample) or ('' if sample.detections else 'no boxes')

    def measure(self, sample: Sample) -> Measured:
        """Detect by all methods and count hits."""
        assert sample.detections is not None
        pair, true = read_aligned(sample), sample.detections.read()
        measured = Measured([], {('thermal', ''): pair.thermal, ('rgb', ''): pair.rgb})
        for detector in self.detectors:
            for given in self.inputs:
                method = f'{detector}@{given}'
                row = Row(self.name, method, sample.dataset, sample.name, sample.light)
                try:
                    image = looked_at(given, pair)
                    detect = detection.create(detector).detect
                    found, cpu_s = timed(detect, image)
                except FAILURES as error:
                    measured.rows.append(row.failed(error))
                    continue
                hits = metrics.matched(found, true)
                measured.rows.append(row.having(
                    {info.name: hits[info.name] for info in self.metrics}, cpu_s,
                    {'found': _listed(found), 'true': _listed(true),
                     'counts': [hits['hits'], hits['found'], hits['true']]}))
                measured.pictures[method, ''] = detection.draw(image, found)
        return measured

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return COCO's measures over all images, and precision and recall of all boxes."""
        counted = [row.evidence for row in rows if row.evidence]
        if not counted:
            return {}
        values = metrics.detection([(_boxes(one['found']), _boxes(one['true']))
                                    for one in counted])
        known = {info.name: info for info in metrics.DETECTION_METRICS}
        found = {name: (known.get(name, MetricInfo(name, 'higher', '', 'of one class')), value)
                 for name, value in values.items()}
        hits, boxes_found, boxes_true = (sum(one['counts'][i] for one in counted)
                                         for i in range(3))
        for info, boxes in ((_PRECISION, boxes_found), (_RECALL, boxes_true)):
            found[info.name] = info, hits / boxes if boxes else math.nan
        return found


def _listed(boxes: Iterable[Detection]) -> list[list[Any]]:
    return [[*map(float, box.box_xyxy_px), box.class_name, float(box.score)] for box in boxes]


def _boxes(listed: Iterable[Sequence[Any]]) -> list[Detection]:
    return [Detection((one[0], one[1], one[2], one[3]), one[4], one[5]) for one in listed]
