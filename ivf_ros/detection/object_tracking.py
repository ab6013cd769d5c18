# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks and temperatures of the detections of consecutive images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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

    def update(self, detections: Sequence[Detection], inputs: PerceptionInputs, stamp_ns: int
               ) -> list[Detection]:
        """Return the detections of an image with their tracks and temperatures."""
        tracked = self._tracker.update(detections, stamp_ns) if self._tracking.enabled \
            else list(detections)
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
