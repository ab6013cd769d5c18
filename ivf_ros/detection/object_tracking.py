# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks and temperatures of the detections of consecutive images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ivf_ros.detection.anchor_free import AnchorFreeParameters
from ivf_ros.detection.temperature import add_temperatures, find_temperature_problem
from ivf_ros.detection.tracking import Tracker, TrackingParameters
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.thermal import RadiometryParameters
from ivf_ros.types import Detection


class ObjectTracking:
    """
    Tracks detections over time and measures their temperatures.

    Attributes
    ----------
    temperature_problem:
        Why the latest detections have no temperatures; empty if they have.

    """

    def __init__(self, tracking: TrackingParameters, radiometry: RadiometryParameters) -> None:
        self._tracking, self._radiometry = tracking, radiometry
        self._tracker = Tracker(tracking)
        self.temperature_problem = ''

    @property
    def needs_counts(self) -> bool:
        """Whether ``update`` uses thermal in counts: only where the radiometry is known."""
        return self._radiometry.radiometry() is not None

    def track(self, detections: Sequence[Detection], stamp_ns: int, detector: Any
              ) -> list[Detection]:
        """
        Return the detections of the next image with their tracks.

        Parameters
        ----------
        detections:
            Found with the parameters that ``add_weak_boxes`` returns.
        stamp_ns:
            Time stamp of the image.
        detector:
            The parameters of the detector. A detection that is below its minimum score, for a
            tracked one below it over time, is left out.

        """
        if not self._tracking.enabled:
            return list(detections)
        tracked = self._tracker.update(detections, stamp_ns)
        if not isinstance(detector, AnchorFreeParameters):
            return tracked
        minimum = detector.min_score_by_class
        return [box for box in tracked if box.score >= minimum[box.class_name]]

    def update(self, detections: Sequence[Detection], inputs: PerceptionInputs, stamp_ns: int,
               detector: Any) -> list[Detection]:
        """Return the detections of an image with tracks and temperatures; see ``track``."""
        tracked = self.track(detections, stamp_ns, detector)
        radiometry = self._radiometry.radiometry()
        if radiometry is None:
            problem = "radiometry.kind is 'none': it is unknown what the values of thermal mean"
        elif inputs.counts is None:
            problem = 'there is no registered thermal image of this moment'
        else:
            problem = find_temperature_problem(inputs.counts, radiometry)
            if not problem:
                tracked = add_temperatures(tracked, inputs.counts.celsius(radiometry))
        self.temperature_problem = problem
        return [replace(detection, temperature_problem=problem) for detection in tracked] \
            if problem else tracked

    def apply(self, tracking: TrackingParameters, radiometry: RadiometryParameters) -> None:
        """Use these parameters from the next image on; the tracks are kept."""
        self._tracking, self._radiometry = tracking, radiometry
        self._tracker.parameters = tracking


def add_weak_boxes(detector: Any, tracking: TrackingParameters) -> Any:
    """Return the parameters with which a detector also reports boxes that may continue a track."""
    if not tracking.enabled or not isinstance(detector, AnchorFreeParameters):
        return detector
    return replace(detector, min_score=min(tracking.low_score, detector.min_score),
                   min_scores=tuple(min(tracking.low_score, score)
                                    for score in detector.min_scores))
