# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation of all stages in sequence, from the raw frames of the cameras to boxes and labels.

It uses the same stage objects as the nodes, with the same inputs. So the numbers are those of the
graph; the evaluations of the single stages measure each method by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ivf_ros import detection, geometry, segmentation
from ivf_ros.data.aligned import explain_unaligned
from ivf_ros.data.sample import Origin, Sample
from ivf_ros.detection.anchor_free import AnchorFreeParameters
from ivf_ros.evaluation.metrics import SEGMENTATION_METRICS
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.detection import (
    IMAGE_DETECTION_METRICS,
    MIN_REPORTED_SCORE,
    score_all_detections,
    score_detections,
)
from ivf_ros.evaluation.stages.inputs import METHOD_ERRORS, time_call
from ivf_ros.evaluation.stages.per_input import describe_origin
from ivf_ros.evaluation.stages.segmentation import score_all_labels, score_labels
from ivf_ros.fusion import FusionMode, FusionStage
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.parameters import build
from ivf_ros.perception import PerceptionStage, PerceptionStageParameters
from ivf_ros.registration import RegistrationResult, RegistrationStage, RegistrationStageParameters
from ivf_ros.registration.stage import MeasurementRequest
from ivf_ros.types import Detection, Frame, Segmentation
import numpy as np

KNOWN_HOMOGRAPHY = 'known'  # registration by the known homography of the data set
_STAMP_NS = 1_000_000_000

_METRICS = (
    MetricInfo('fused', 'higher', '', '1 if the output is fused from both cameras, 0 if it shows '
               'one camera'),
    MetricInfo('corner_error_px', 'lower', 'px', 'mean distance of the corners of thermal from '
               'their true positions; not defined if registration fails'),
    *IMAGE_DETECTION_METRICS,
    *SEGMENTATION_METRICS,
)


@dataclass(frozen=True, eq=False)
class PipelineOutput:
    """
    Output of the graph for one pair.

    Attributes
    ----------
    registration:
        None if registration failed.
    fused:
        ``(H, W, 3)`` BGR uint8.
    mode:
        Content of the fused image.
    inputs:
        Inputs of segmentation and detection.
    detections:
        Boxes on the RGB grid.
    segmentation:
        Labels on the RGB grid.

    """

    registration: RegistrationResult | None
    fused: np.ndarray
    mode: FusionMode
    inputs: PerceptionInputs
    detections: list[Detection]
    segmentation: Segmentation


@dataclass(frozen=True)
class PipelineEvaluation:
    """
    Registration by each method, then fusion, segmentation and detection by their defaults.

    ``methods`` are ``KNOWN_HOMOGRAPHY`` and names of ``registration.methods()``. Each pair is a
    new scene, so one measurement is enough to lock. ``origin`` tells who made the labels.
    """

    methods: tuple[str, ...]
    origin: Origin = Origin.HUMAN

    name = 'pipeline'
    metrics = _METRICS

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a note on the labels if they are not those of a data set."""
        return describe_origin(self.origin)

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be measured, or ''."""
        annotations = [annotation for annotation in (sample.detections, sample.segmentation)
                       if annotation is not None]
        if not annotations:
            return 'no labels'
        return explain_unaligned(sample) if all(labels.complete for labels in annotations) \
            else 'not every object is labelled'

    def measure(self, sample: Sample) -> SampleResult:
        """Run all stages on a sample, once for each registration method."""
        thermal, rgb = (Frame(image, _STAMP_NS, stream) for stream, image in (
            ('thermal', sample.read_thermal()), ('rgb', sample.read_rgb())))
        H_true = sample.true_H_thermal_to_rgb(thermal.size, rgb.size)
        assert H_true is not None, self.skip_reason(sample)
        result = SampleResult([], {('rgb', ''): rgb.image})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                output, cpu_s = time_call(run_pipeline, thermal, rgb, method, H_true)
            except METHOD_ERRORS as error:
                result.rows.append(row.failed(error))
                continue
            values, evidence = _score(output, sample, H_true, thermal.size)
            result.rows.append(row.with_values(values, cpu_s, evidence))
            confident = [box for box in output.detections if box.score >= _default_min_score()]
            result.pictures[method, ''] = detection.draw(
                segmentation.overlay(output.fused, output.segmentation), confident)
        return result

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the metrics of detection and segmentation over all images."""
        evidence = [row.evidence for row in rows if row.evidence]
        return {
            **score_all_detections([image['boxes'] for image in evidence if 'boxes' in image]),
            **score_all_labels([image['labels'] for image in evidence if 'labels' in image])}


def run_pipeline(thermal: Frame, rgb: Frame, method: str, H_known: np.ndarray) -> PipelineOutput:
    """
    Pass one pair through all stages, as the nodes do.

    Parameters
    ----------
    thermal, rgb:
        Raw frames of the cameras.
    method:
        Registration method: ``KNOWN_HOMOGRAPHY``, or one of ``registration.methods()``.
    H_known:
        ``(3, 3)`` H_thermal_to_rgb, for method ``KNOWN_HOMOGRAPHY``.

    Raises
    ------
    ValueError
        A stage cannot process the images.

    """
    published: list[RegistrationResult] = []
    registration_stage = _make_registration_stage(method, H_known, published)
    fusion_stage = FusionStage()
    request = registration_stage.follow(thermal, rgb) or MeasurementRequest(thermal, rgb, True)
    registration_stage.measure(request)
    registered = published[-1] if published else None
    if registered is not None:
        fusion_stage.update_homography(registered.registration.H_thermal_to_rgb,
                                       registered.registration.rgb_size, registered.stamp_ns)
    fused = fusion_stage.step(thermal, rgb)
    assert fused.image is not None  # both cameras are present
    inputs = PerceptionInputs(fused.image, rgb.image, fused.thermal)
    perceived = _load_perception_stage().step(inputs, rgb.stamp_ns)
    return PipelineOutput(registered, fused.image, fused.mode, inputs, perceived.detections,
                          perceived.segmentation)


def _make_registration_stage(method: str, H_known: np.ndarray,
                             published: list[RegistrationResult]) -> RegistrationStage:
    values: dict[str, Any] = {'tracker.acquire_count': 1, 'registration.method': method}
    if method == KNOWN_HOMOGRAPHY:
        values = {'registration.method': 'calibrated',
                  'registration.calibrated.H_thermal_to_rgb': tuple(H_known.ravel().tolist())}
    return RegistrationStage(build(RegistrationStageParameters, values), published.append)


@lru_cache(maxsize=1)
def _load_perception_stage() -> PerceptionStage:
    """Load the network once. Without tracking, the stage has no memory of earlier images."""
    return PerceptionStage(build(PerceptionStageParameters, {
        'tracking.enabled': False, 'perception.min_score': MIN_REPORTED_SCORE}))


def _default_min_score() -> float:
    """Return the minimum score of the boxes that the node publishes."""
    return AnchorFreeParameters().min_score


def _score(output: PipelineOutput, sample: Sample, H_true: np.ndarray,
           thermal_size: tuple[int, int]) -> tuple[dict[str, float], dict[str, Any]]:
    values = {'fused': float(output.mode is FusionMode.FUSED)}
    evidence: dict[str, Any] = {}
    if output.registration is not None:
        values['corner_error_px'] = geometry.corner_error_px(
            output.registration.registration.H_thermal_to_rgb, H_true, thermal_size)
    if sample.detections is not None:
        boxes, evidence['boxes'] = score_detections(
            output.detections, sample.detections.read(), detection.CLASS_NAMES,
            _default_min_score())
        values.update(boxes)
    if sample.segmentation is not None:
        labels, evidence['labels'] = score_labels(output.segmentation, sample.segmentation.read())
        values.update(labels)
    return values, evidence
