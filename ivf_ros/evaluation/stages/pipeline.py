# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The stages one after the other, from the raw frames of the cameras to boxes and labels.

The objects that are driven here are the very ones that the nodes drive, and each is handed what
its node would hand it. So these numbers are those of the graph; the evaluations of the single
stages say what each method can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from ivf_ros import detection, geometry, segmentation
from ivf_ros.data.aligned import explain_unaligned
from ivf_ros.data.sample import Sample
from ivf_ros.detection import DetectionParameters, DetectionStage, DetectionStageParameters
from ivf_ros.detection.anchor_free import AnchorFreeParameters
from ivf_ros.evaluation.metrics import SEGMENTATION_METRICS
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.detection import (
    DETECTION_METRICS_OF_IMAGE,
    MIN_REPORTED_SCORE,
    score_all_detections,
    score_detections,
)
from ivf_ros.evaluation.stages.inputs import METHOD_ERRORS, time_call
from ivf_ros.evaluation.stages.per_input import MACHINE_LABELS
from ivf_ros.evaluation.stages.segmentation import score_all_labels, score_labels
from ivf_ros.fusion import FusionMode, FusionStage
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.parameters import build
from ivf_ros.registration import RegistrationResult, RegistrationStage, RegistrationStageParameters
from ivf_ros.registration.stage import MeasurementRequest
from ivf_ros.segmentation import SegmentationStage
from ivf_ros.types import Detection, Frame, Segmentation
import numpy as np

KNOWN = 'known'  # registration by the homography that the data set knows
_STAMP_NS = 1_000_000_000

_METRICS = (
    MetricInfo('fused', 'higher', '', '1 where both cameras were fused, 0 where one was shown '
               'alone'),
    MetricInfo('corner_error_px', 'lower', 'px', 'mean distance of the corners of thermal from '
               'where they belong; not defined while nothing is registered'),
    *DETECTION_METRICS_OF_IMAGE,
    *SEGMENTATION_METRICS,
)


@dataclass(frozen=True, eq=False)
class PipelineOutput:
    """
    What the graph makes of one pair.

    Attributes
    ----------
    registration:
        None where nothing is registered.
    fused:
        ``(H, W, 3)`` BGR uint8.
    mode:
        What the fused image shows.
    inputs:
        What segmentation and detection were given.
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

    ``methods`` are ``KNOWN`` and those of ``registration.methods()``. Each pair is a scene of its
    own, so one measurement is enough to lock. ``machine_labels`` says whether the labels were
    made by another network.
    """

    methods: tuple[str, ...]
    machine_labels: bool = False

    name = 'pipeline'
    metrics = _METRICS

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what the labels are worth."""
        return (MACHINE_LABELS,) if self.machine_labels else ()

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be measured, or ''."""
        labels = [one for one in (sample.detections, sample.segmentation) if one is not None]
        if not labels:
            return 'no labels'
        return explain_unaligned(sample) if all(one.complete for one in labels) \
            else 'not every object is labelled'

    def measure(self, sample: Sample) -> SampleResult:
        """Drive all stages, once for each registration method."""
        thermal, rgb = (Frame(image, _STAMP_NS, stream) for stream, image in (
            ('thermal', sample.read_thermal()), ('rgb', sample.read_rgb())))
        H_true = sample.true_H_thermal_to_rgb(thermal.size, rgb.size)
        assert H_true is not None, self.unsuitable(sample)
        measured = SampleResult([], {('rgb', ''): rgb.image})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                output, cpu_s = time_call(run_pipeline, thermal, rgb, method, H_true)
            except METHOD_ERRORS as error:
                measured.rows.append(row.failed(error))
                continue
            values, evidence = _score(output, sample, H_true, thermal.size)
            measured.rows.append(row.with_values(values, cpu_s, evidence))
            confident = [box for box in output.detections if box.score >= _min_score()]
            measured.pictures[method, ''] = detection.draw(
                segmentation.overlay(output.fused, output.segmentation), confident)
        return measured

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return what detection and segmentation are measured by over all images."""
        evidence = [row.evidence for row in rows if row.evidence]
        return {
            **score_all_detections([one['boxes'] for one in evidence if 'boxes' in one]),
            **score_all_labels([one['labels'] for one in evidence if 'labels' in one])}


def run_pipeline(thermal: Frame, rgb: Frame, method: str, H_known: np.ndarray) -> PipelineOutput:
    """
    Hand one pair from stage to stage, as the nodes do.

    Parameters
    ----------
    thermal, rgb:
        As the cameras delivered them.
    method:
        How thermal is registered: ``KNOWN``, or one of ``registration.methods()``.
    H_known:
        ``(3, 3)`` H_thermal_to_rgb, for method ``KNOWN``.

    Raises
    ------
    ValueError
        A stage cannot work with the images.

    """
    published: list[RegistrationResult] = []
    registering = _registration_stage(method, H_known, published)
    fusing = FusionStage()
    request = registering.follow(thermal, rgb) or MeasurementRequest(thermal, rgb, True)
    registering.measure(request)
    result = published[-1] if published else None
    if result is not None:
        fusing.update_homography(result.registration.H_thermal_to_rgb,
                                 result.registration.rgb_size, result.stamp_ns)
    fused = fusing.step(thermal, rgb)
    assert fused.image is not None  # both cameras are there
    warped = registering.warp_gray(thermal.image, rgb.size)
    inputs = PerceptionInputs(fused.image, rgb.image, None if warped is None else warped.image)
    segmenting, detecting = _perception_stages()
    return PipelineOutput(result, fused.image, fused.mode, inputs,
                          detecting.step(inputs, rgb.stamp_ns), segmenting.step(inputs))


def _registration_stage(method: str, H_known: np.ndarray,
                        published: list[RegistrationResult]) -> RegistrationStage:
    values: dict[str, Any] = {'tracker.acquire_count': 1, 'registration.method': method}
    if method == KNOWN:
        values = {'registration.method': 'calibrated',
                  'registration.calibrated.H_thermal_to_rgb': tuple(H_known.ravel().tolist())}
    return RegistrationStage(build(RegistrationStageParameters, values), published.append)


@lru_cache(maxsize=1)
def _perception_stages() -> tuple[SegmentationStage, DetectionStage]:
    """Load the networks once; without tracking, the stages remember no image."""
    parameters = build(DetectionStageParameters, {'tracking.enabled': False})
    shown = replace(parameters.detection.anchor_free, min_score=MIN_REPORTED_SCORE)
    return SegmentationStage(), DetectionStage(
        replace(parameters, detection=DetectionParameters(anchor_free=shown)))


def _min_score() -> float:
    """Return the score from which on the node reports a box."""
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
            output.detections, sample.detections.read(), detection.CLASS_NAMES, _min_score())
        values.update(boxes)
    if sample.segmentation is not None:
        labels, evidence['labels'] = score_labels(output.segmentation, sample.segmentation.read())
        values.update(labels)
    return values, evidence
