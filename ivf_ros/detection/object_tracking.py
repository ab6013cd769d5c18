# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Tracks and temperatures of the detections of consecutive images."""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros.detection.temperature import add_temperatures
from ivf_ros.detection.tracking import Tracker, TrackingParameters
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.thermal import RadiometryParameters
from ivf_ros.types import Detection


class ObjectTracking:
    """Tracks detections over time and measures their temperatures."""

    def __init__(self, tracking: TrackingParameters, radiometry: RadiometryParameters) -> None:
        self._tracking, self._radiometry = tracking, radiometry
        self._tracker = Tracker(tracking)

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
        if radiometry is None or inputs.counts is None:
            return tracked
        return add_temperatures(tracked, inputs.counts.celsius(radiometry))

    def apply(self, tracking: TrackingParameters, radiometry: RadiometryParameters) -> None:
        """Use these parameters from the next image on; the tracks are kept."""
        self._tracking, self._radiometry = tracking, radiometry
        self._tracker.parameters = tracking
