# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection stage: images of one moment in, tracked objects with temperatures out."""

from __future__ import annotations

from ivf_ros.detection.methods import create_from, Detector
from ivf_ros.detection.object_tracking import add_weak_boxes, ObjectTracking
from ivf_ros.detection.settings import DetectionStageParameters
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.types import Detection


class DetectionStage:
    """
    Detects objects, tracks them over time and measures their temperatures.

    Attributes
    ----------
    method:
        The detector in use.

    Raises
    ------
    DetectionError, WeightsError
        See ``detection.create`` and ``Tracker``.

    """

    def __init__(self, parameters: DetectionStageParameters = DetectionStageParameters()) -> None:
        self._parameters = parameters
        self._tracking = ObjectTracking(parameters.tracking, parameters.radiometry)
        self.method = create_from(parameters.detection)
        self._add_weak_boxes(self.method, parameters)

    @property
    def needs_counts(self) -> bool:
        """Whether ``step`` uses thermal in counts: only where the radiometry is known."""
        return self._tracking.needs_counts

    @property
    def temperature_problem(self) -> str:
        """Why the latest detections have no temperatures; empty if they have."""
        return self._tracking.temperature_problem

    def step(self, inputs: PerceptionInputs, stamp_ns: int) -> list[Detection]:
        """
        Detect the objects of one moment.

        Parameters
        ----------
        inputs:
            The images of the moment.
        stamp_ns:
            Their time stamp.

        Raises
        ------
        DetectionError
            A shape or dtype is wrong.

        """
        return self._tracking.update(self.method.detect(*inputs.images()), inputs, stamp_ns,
                                     self._parameters.detection.of_method)

    def prepare(self, requested: DetectionStageParameters) -> Detector:
        """
        Return a detector for these parameters, without using it yet.

        It is the present one where method, weights and precision stay the same.

        Raises
        ------
        DetectionError, WeightsError
            See ``detection.create``.

        """
        before, after = self._parameters.detection, requested.detection
        if (after.method, after.network) == (before.method, before.network):
            return self.method
        return create_from(after)

    def apply(self, parameters: DetectionStageParameters, prepared: Detector) -> None:
        """Use these parameters from the next image on; the tracks are kept."""
        self._add_weak_boxes(prepared, parameters)
        self.method = prepared
        self._tracking.apply(parameters.tracking, parameters.radiometry)
        self._parameters = parameters

    @staticmethod
    def _add_weak_boxes(detector: Detector, parameters: DetectionStageParameters) -> None:
        detector.parameters = add_weak_boxes(parameters.detection.of_method, parameters.tracking)
