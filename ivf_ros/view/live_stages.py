# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stages of the graph in one process, driven as the nodes drive them, and logged."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
import threading
import time
from typing import Any, NamedTuple, TYPE_CHECKING

from ivf_ros.fusion import FusionResult, FusionStage, FusionStageParameters
from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.pairing import Pair
from ivf_ros.perception import PerceptionStage, PerceptionStageParameters
from ivf_ros.registration import RegistrationResult, RegistrationStage, RegistrationStageParameters
from ivf_ros.registration.stage import MeasurementRequest
from ivf_ros.types import Frame, RegistrationState
from ivf_ros.worker import Worker
import numpy as np

if TYPE_CHECKING:
    from ivf_ros.view.log import ViewLog

_LATENCY_WINDOW = 3000  # samples for the percentiles
# As in the nodes: fusion goes first.
_PERCEPTION_NICENESS, _MEASUREMENT_NICENESS = 5, 10


@dataclass(frozen=True)
class StageParameters:
    """Parameters of the three stages."""

    registration: RegistrationStageParameters = field(default_factory=RegistrationStageParameters)
    fusion: FusionStageParameters = field(default_factory=FusionStageParameters)
    perception: PerceptionStageParameters = field(default_factory=PerceptionStageParameters)


class Delivery(NamedTuple):
    """A frame of a camera, and ``time.monotonic()`` of its delivery."""

    frame: Frame
    delivered_s: float


class _FusedFrame(NamedTuple):
    result: FusionResult
    rgb: Frame | None
    delivered_s: float


class LiveStages:
    """
    Registration, fusion and perception, each in a thread of its own, always on the newest item.

    Parameters
    ----------
    log:
        Gets the images of the cameras, all results and the times.
    parameters:
        Those of the stages.

    Attributes
    ----------
    counts:
        Number of fused pairs, measurements and perceived images: ``fused``, ``measured``,
        ``perceived``.
    skipped:
        Number of items that a newer one replaced, by stage: ``registration`` (measurements),
        ``fusion`` (pairs), ``perception`` (fused images).
    errors:
        Number of items that a stage could not process, by message.
    objects:
        Number of objects in the latest image.

    Raises
    ------
    RegistrationError, FusionError, WeightsError, DeviceError
        A stage cannot be created.

    """

    def __init__(self, log: ViewLog, parameters: StageParameters) -> None:
        self._log = log
        self._fusion = FusionStage(parameters.fusion)
        self._perception = PerceptionStage(parameters.perception)
        self._registration = RegistrationStage(parameters.registration, self._on_homography)
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.objects = 0
        self.mode = ''
        self._latencies_s: dict[str, deque[float]] = {}
        log.log_class_names(self._perception.method.label_names)
        self._measuring = self._start('registration', self._measure, _MEASUREMENT_NICENESS)
        self._fusing = self._start('fusion', self._fuse)
        self._perceiving = self._start('perception', self._perceive, _PERCEPTION_NICENESS)

    @property
    def latest_registration(self) -> Any:
        """The present registration; None before the first one."""
        return self._registration.present()

    def put(self, pair: Pair[Delivery]) -> None:
        """Process a pair, unless a newer one comes before its turn; does not block."""
        self._fusing.put(pair)

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until everything is processed and logged; return False after the timeout."""
        return all(worker.wait_until_idle(timeout_s)
                   for worker in (self._fusing, self._measuring, self._perceiving))

    def stop(self) -> None:
        """End the threads after their present items."""
        for worker in (self._fusing, self._measuring, self._perceiving):
            worker.stop()

    def latencies_ms(self) -> dict[str, dict[str, float]]:
        """Return median and 95th percentile of the time of each stage, and from the camera."""
        with self._lock:
            samples_ms = {name: np.array(times_s) * 1e3
                          for name, times_s in self._latencies_s.items()}
        return {name: {'p50': round(float(np.median(ms)), 1),
                       'p95': round(float(np.percentile(ms, 95)), 1)}
                for name, ms in samples_ms.items()}

    def _start(self, stage: str, work: Callable[[Any], None], niceness: int = 0) -> Worker:
        def count_error(error: Exception) -> None:
            self.errors[f'{stage}: {type(error).__name__}: {" ".join(str(error).split())}'] += 1

        def count_skipped() -> None:
            self.skipped[stage] += 1

        return Worker(stage, work, count_error, count_skipped, niceness)

    def _fuse(self, pair: Pair[Delivery]) -> None:
        thermal, rgb = (None if item is None else item.frame for item in (pair.thermal, pair.rgb))
        if thermal is not None:
            self._log.log_thermal(thermal)
        if rgb is not None:
            self._log.log_rgb(rgb)
        if thermal is not None and rgb is not None:
            request = self._registration.follow(thermal, rgb)
            if request is not None:
                self._measuring.put(request)
        start_s = time.monotonic()
        result = self._fusion.step(thermal, rgb)
        self._add_latency('fusion', start_s, result.stamp_ns)
        self._log.log_fusion(result)
        self.counts['fused'] += 1
        self.mode = result.mode.value
        delivered_s = max(item.delivered_s for item in (pair.thermal, pair.rgb)
                          if item is not None)
        self._add_latency('camera_to_fused', delivered_s, result.stamp_ns)
        if result.image is not None:
            self._perceiving.put(_FusedFrame(result, rgb, delivered_s))

    def _measure(self, request: MeasurementRequest) -> None:
        start_s = time.monotonic()
        registration = self._registration.measure(request)
        stamp_ns = request.thermal.stamp_ns
        self._add_latency('registration', start_s, stamp_ns)
        self._log.log_registration(registration, request.thermal.size, stamp_ns)
        self.counts['measured'] += 1

    def _perceive(self, fused: _FusedFrame) -> None:
        result = fused.result
        assert result.image is not None  # ``_fuse`` puts no other
        inputs = PerceptionInputs(result.image, None if fused.rgb is None else fused.rgb.image,
                                  result.thermal)
        start_s = time.monotonic()
        perceived = self._perception.step(inputs, result.stamp_ns)
        self._add_latency('perception', start_s, result.stamp_ns)
        self._log.log_detections(perceived.detections, result.stamp_ns)
        self._log.log_labels(perceived.segmentation, result.stamp_ns)
        self._add_latency('camera_to_detections', fused.delivered_s, result.stamp_ns)
        self.objects = len(perceived.detections)
        self.counts['perceived'] += 1

    def _on_homography(self, result: RegistrationResult) -> None:
        registration = result.registration
        self._fusion.update_homography(registration.H_thermal_to_rgb, registration.rgb_size,
                                       result.stamp_ns,
                                       registration.state is RegistrationState.LOST)

    def _add_latency(self, name: str, start_s: float, stamp_ns: int) -> None:
        latency_s = time.monotonic() - start_s
        with self._lock:
            self._latencies_s.setdefault(name, deque(maxlen=_LATENCY_WINDOW)).append(latency_s)
        self._log.log_latency(name, latency_s, stamp_ns)


def parameters_of_stills() -> Mapping[str, Mapping[str, Any]]:
    """
    Return the parameters by stage for unrelated scenes, each of which is shown for a while.

    A repeated still has no sensor noise, and the homography of the next still is unrelated.
    """
    return {'registration': {'max_rate_hz': 10.0, 'tracker.acquire_count': 1,
                             'tracker.relock_count': 1, 'tracker.drift_px': 10000.0,
                             'freeze.minimum_duration_s': 10.0},
            'fusion': {'freeze.minimum_duration_s': 10.0}}
