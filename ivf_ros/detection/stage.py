# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the detection node drives: inputs of one moment in, objects with identities out."""

from __future__ import annotations

from ivf_ros.detection.methods import create_from, Detector
from ivf_ros.detection.settings import DetectionStageParameters
from ivf_ros.detection.temperature import add_temperatures
from ivf_ros.detection.tracking import Tracker
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.types import Detection


class DetectionStage:
    """
    Finds objects, follows them over time, and says how warm they are.

    Raises
    ------
    DetectionError, WeightsError
        See ``detection.create``.

    """

    def __init__(self, parameters: DetectionStageParameters = DetectionStageParameters()) -> None:
        self._parameters = parameters
        self._tracker = Tracker(parameters.tracking)
        self.method = create_from(parameters.detection)

    @property
    def needs_counts(self) -> bool:
        """Whether thermal in counts is used: where they are temperatures."""
        return self._parameters.radiometry.radiometry() is not None

    def step(self, inputs: PerceptionInputs, stamp_ns: int) -> list[Detection]:
        """
        Find the objects of one moment.

        Parameters
        ----------
        inputs:
            What the graph knows of it.
        stamp_ns:
            When it was.

        Raises
        ------
        DetectionError
            A shape or type is wrong.

        """
        detections = self.method.detect(*inputs.images())
        if self._parameters.tracking.enabled:
            detections = self._tracker.update(detections, stamp_ns)
        radiometry = self._parameters.radiometry.radiometry()
        if radiometry is None or inputs.counts is None:
            return detections
        return add_temperatures(detections, inputs.counts.celsius(radiometry))

    def prepare(self, requested: DetectionStageParameters) -> Detector:
        """Build what these parameters ask for, beside what is in use; raise as ``create``."""
        before, has_subscribers = self._parameters.detection, requested.detection
        if (has_subscribers.method, has_subscribers.network) == (before.method, before.network):
            return self.method
        return create_from(has_subscribers)

    def apply(self, parameters: DetectionStageParameters, prepared: Detector) -> None:
        """Use these parameters from the next image on; tracks go on."""
        prepared.parameters = parameters.detection.of_method
        self.method = prepared
        self._tracker.parameters = parameters.tracking
        self._parameters = parameters
