# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Segmentation methods measured against labels, on each kind of input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from ivf_ros import segmentation
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
import numpy as np


@dataclass(frozen=True)
class SegmentationEvaluation:
    """
    Each segmenter on RGB, on thermal, and on what fusion makes of the two.

    Attributes
    ----------
    segmenters:
        Of ``segmentation.methods()``.
    inputs:
        'rgb', 'thermal' or fusion methods.
    machine_labels:
        Whether the labels were made by another network.

    """

    segmenters: tuple[str, ...]
    inputs: tuple[str, ...] = (*SENSORS, 'laplacian')
    machine_labels: bool = False

    name = 'segmentation'
    metrics = metrics.SEGMENTATION_METRICS

    @property
    def methods(self) -> tuple[str, ...]:
        """Return 'segmenter@input' for each of them."""
        return tuple(f'{method}@{name}' for method in self.segmenters for name in self.inputs)

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what the labels are worth."""
        return (MACHINE_LABELS,) if self.machine_labels else ()

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be measured, or ''."""
        return unaligned(sample) or ('' if sample.segmentation else 'no labels')

    def measure(self, sample: Sample) -> Measured:
        """Segment by all methods and count the pixels of each class."""
        assert sample.segmentation is not None
        pair, true = read_aligned(sample), sample.segmentation.read()
        measured = Measured([], {('thermal', ''): pair.thermal, ('rgb', ''): pair.rgb})
        for segmenter in self.segmenters:
            for given in self.inputs:
                method = f'{segmenter}@{given}'
                row = Row(self.name, method, sample.dataset, sample.name, sample.light)
                try:
                    image = looked_at(given, pair)
                    segment = segmentation.create(segmenter).segment
                    found, cpu_s = timed(segment, image)
                    counts = metrics.confusion(found, true)
                except FAILURES as error:
                    measured.rows.append(row.failed(error))
                    continue
                values = metrics.segmentation(counts, true.class_names)
                measured.rows.append(row.having(
                    {info.name: values[info.name] for info in self.metrics}, cpu_s,
                    {'counts': counts.tolist(), 'class_names': list(true.class_names)}))
                measured.pictures[method, ''] = segmentation.overlay(image, found)
        return measured

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the measures of the added-up counts, IoU of each class included."""
        counted = [row.evidence for row in rows if row.evidence]
        schemes = {tuple(one['class_names']) for one in counted}
        if len(schemes) != 1:  # nothing counted, or data sets with classes of their own
            return {}
        class_names, = schemes
        values = metrics.segmentation(np.sum([one['counts'] for one in counted], axis=0),
                                      class_names)
        about = {info.name: info.about for info in self.metrics}
        return {f'total {name}': (MetricInfo(f'total {name}', 'higher', '', 'all pixels together: '
                                             + about.get(name, 'of one class')), value)
                for name, value in values.items()
                if not (math.isnan(value) or name.startswith('Acc '))}
