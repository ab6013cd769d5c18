# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The perception stage: images of one moment in, labels and tracked objects out."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection import add_weak_boxes, ObjectTracking
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.perception.method import JointPerception
from ivf_ros.perception.settings import PerceptionStageParameters
from ivf_ros.types import Detection, Segmentation


@dataclass(frozen=True, eq=False)
class PerceptionResult:
    """The tracked objects of one moment, and the label of each pixel."""

    detections: list[Detection]
    segmentation: Segmentation


class PerceptionStage:
    """
    Labels pixels and detects objects, tracks them over time and measures their temperatures.

    Attributes
    ----------
    method:
        The network in use.

    Raises
    ------
    WeightsError, DeviceError
        See ``JointPerception``.

    """

    def __init__(self, parameters: PerceptionStageParameters = PerceptionStageParameters()
                 ) -> None:
        self._parameters = parameters
        self._tracking = ObjectTracking(parameters.tracking, parameters.radiometry)
        self.method = self._create(parameters)

    @property
    def needs_counts(self) -> bool:
        """Whether ``step`` uses thermal in counts: only where the radiometry is known."""
        return self._tracking.needs_counts

    @property
    def temperature_problem(self) -> str:
        """Why the latest detections have no temperatures; empty if they have."""
        return self._tracking.temperature_problem

    def step(self, inputs: PerceptionInputs, stamp_ns: int) -> PerceptionResult:
        """
        Perceive the images of one moment, with their time stamp.

        Raises
        ------
        SegmentationError
            A shape or dtype is wrong.

        """
        detections, segmentation = self.method.perceive(*inputs.images())
        return PerceptionResult(self._tracking.update(
            detections, inputs, stamp_ns, self._parameters.perception), segmentation)

    def prepare(self, requested: PerceptionStageParameters) -> JointPerception:
        """
        Return the method for these parameters, without using it yet.

        It is the present one where the network stays the same.

        Raises
        ------
        WeightsError, DeviceError
            See ``JointPerception``.

        """
        if requested.perception.network == self._parameters.perception.network:
            return self.method
        return self._create(requested)

    def apply(self, parameters: PerceptionStageParameters, prepared: JointPerception) -> None:
        """Use these parameters from the next image on; the tracks are kept."""
        prepared.parameters = add_weak_boxes(parameters.perception, parameters.tracking)
        self.method = prepared
        self._tracking.apply(parameters.tracking, parameters.radiometry)
        self._parameters = parameters

    @staticmethod
    def _create(parameters: PerceptionStageParameters) -> JointPerception:
        return JointPerception(add_weak_boxes(parameters.perception, parameters.tracking))
