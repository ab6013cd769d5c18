# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation of identities over time, on streams whose boxes have true identities.

The network of the perception stage searches each pair, and the tracker of the node follows what it
finds. The same is done without thermal, without RGB, and without any images for half a second of
every two seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ivf_ros import perception
from ivf_ros.data.aligned import explain_unaligned, read_aligned
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.sample import IGNORED, Sample
from ivf_ros.detection import add_weak_boxes, ObjectTracking, TrackingParameters
from ivf_ros.evaluation.metrics.identities import identities, IDENTITY_METRICS
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.detection import (
    boxes_from_json,
    boxes_to_json,
    IMAGE_DETECTION_METRICS,
    score_detections,
)
from ivf_ros.evaluation.stages.inputs import create_method, METHOD_ERRORS, time_call
from ivf_ros.thermal import RadiometryParameters
from ivf_ros.types import Detection
import numpy as np

WITHOUT_THERMAL, WITHOUT_RGB, WITHOUT_BOTH = 'without thermal', 'without RGB', 'without images'
_CYCLE_NS, _INTERRUPTION_NS = 2_000_000_000, 500_000_000
INTERRUPTED_S = _INTERRUPTION_NS * 1e-9


@dataclass(frozen=True)
class IdentityEvaluation:
    """
    Identities of the objects that the perception stage finds, with and without interruptions.

    ``methods`` are names for ``perception.create``, with settings.
    """

    methods: tuple[str, ...] = (perception.METHOD,)

    name = 'identities'
    metrics = IMAGE_DETECTION_METRICS
    notes = (f'{WITHOUT_THERMAL}, {WITHOUT_RGB}, {WITHOUT_BOTH}: for {INTERRUPTED_S:g} s of every '
             f'{_CYCLE_NS * 1e-9:g} s. A blind camera shows black; frames that are lost are not '
             'counted.',)

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be measured, or ''."""
        if sample.detections is None:
            return 'no labels'
        if sample.stamp_ns is None or not all(box.track_id for box in sample.detections.read()):
            return 'no true identities: use simulator:...'
        return explain_unaligned(sample)

    def measure(self, sample: Sample) -> SampleResult:
        """Search the images of a sample and, within an interruption, those of one camera."""
        assert sample.detections is not None and sample.stamp_ns is not None
        pair = read_aligned(sample)
        images = {'': (pair.rgb, pair.thermal)}
        if _is_interrupted(sample.stamp_ns):
            images[WITHOUT_THERMAL] = pair.rgb, np.zeros_like(pair.thermal)
            images[WITHOUT_RGB] = np.zeros_like(pair.rgb), pair.thermal
        result = SampleResult([], {})
        for method in self.methods:
            for variant, (rgb, thermal) in images.items():
                row = Row(self.name, method, sample.dataset, sample.name, sample.light, variant)
                try:
                    detector, _ = _load(method)
                    found, cpu_s = time_call(detector.detect, rgb, thermal)
                except METHOD_ERRORS as error:
                    result.rows.append(row.failed(error))
                    continue
                result.rows.append(self._score(row, method, found, sample, cpu_s))
        return result

    def _score(self, row: Row, method: str, found: Sequence[Detection], sample: Sample,
               cpu_s: float) -> Row:
        assert sample.detections is not None
        detector, reported = _load(method)
        true = map_class_names(sample.detections.read(), detector.class_names)
        values, _ = score_detections(found, true, detector.class_names, reported.min_score)
        return row.with_values(values, cpu_s, {
            'stamp_ns': sample.stamp_ns, 'found': boxes_to_json(found),
            'true': boxes_to_json(true), 'identities': [box.track_id for box in true]})

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the metrics of identities over all streams, for each kind of interruption."""
        overall = {}
        for variant in ('', WITHOUT_THERMAL, WITHOUT_RGB, WITHOUT_BOTH):
            values = identities([frame for stream in sorted({row.dataset for row in rows})
                                 for frame in _track(rows, stream, variant)])
            for info in IDENTITY_METRICS:
                name = f'{info.name} {variant}'.strip()
                overall[name] = replace(info, name=name), values[info.name]
        return overall


def _track(rows: Sequence[Row], stream: str, variant: str
           ) -> Iterator[tuple[list[Detection], list[Detection]]]:
    """Yield the tracked and the true boxes of each frame of a stream."""
    frames: dict[int, dict[str, Row]] = {}
    for row in rows:
        if row.dataset == stream and row.evidence:
            frames.setdefault(row.evidence['stamp_ns'], {})[row.variant] = row
    tracking = ObjectTracking(TrackingParameters(), RadiometryParameters())
    for stamp_ns, by_variant in sorted(frames.items()):
        if variant == WITHOUT_BOTH and _is_interrupted(stamp_ns):
            continue
        if '' not in by_variant:  # it failed
            continue
        row = by_variant.get(variant, by_variant[''])
        _, reported = _load(row.method)
        tracked = tracking.track(boxes_from_json(row.evidence['found']), stamp_ns, reported)
        true = [replace(box, track_id=f'{stream} {identity}') for box, identity in zip(
            boxes_from_json(row.evidence['true']), row.evidence['identities'], strict=True)
            if box.class_name != IGNORED]
        yield ([replace(box, track_id=f'{stream} {box.track_id}')
                for box in tracked if box.track_id], true)


def _is_interrupted(stamp_ns: int) -> bool:
    return _CYCLE_NS - stamp_ns % _CYCLE_NS <= _INTERRUPTION_NS


@lru_cache(maxsize=8)
def _load(method: str) -> tuple[Any, Any]:
    """Return a network that also reports weak boxes, and the parameters of the node."""
    detector = create_method(perception.create, method)
    reported = detector.parameters
    detector.parameters = add_weak_boxes(reported, TrackingParameters())
    return detector, reported
