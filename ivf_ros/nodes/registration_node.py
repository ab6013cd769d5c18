# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The registration node: measures the homography at its own rate and warps every frame."""

from __future__ import annotations

import threading
import time
from typing import Any

from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.camera_inputs import CameraInputs
from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import Homography, Stamped
from ivf_ros.nodes.graph.node_parameters import RegistrationNodeParameters
from ivf_ros.nodes.graph.paired_input import PairedInput
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.rig import RigCalibration
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.pairing import Pair
from ivf_ros.registration import RegistrationResult, RegistrationStage
from ivf_ros.registration.prior import Sizes
from ivf_ros.registration.stage import MeasurementRequest
from ivf_ros.types import Frame, Registration, RegistrationState
import numpy as np

# A measurement gives way to everything else: the latest homography serves until it ends.
_NICENESS = 10
# A first registration usually takes less.
_ACQUISITION_S = 5.0
# Fewer measurements that contradict the homography are not worth a warning.
_MIN_DISAGREEMENTS = 3
# Period of the lookups in tf and of the comparison of CameraInfo and image.
_RIG_PERIOD_S = 0.5


class RegistrationNode(StageNode):
    """
    Publishes ``registration/homography`` and, if they have subscribers, images on the RGB grid.

    ``thermal_registered/image`` contains the counts of the camera, and ``thermal_registered/mask``
    is 255 where thermal covers the pixel. The homography of the calibration is published before
    the first measurement, as soon as the RGB size is known.
    """

    default_name = 'registration'
    stage: RegistrationStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(RegistrationNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the stage."""
        self._cameras = CameraInputs(self, self.parameters.thermal, self.parameters.rgb)
        self._rig = RigCalibration(self, self._cameras, self.parameters.extrinsics,
                                   self.parameters.rectified)
        self._rig_lock = threading.Lock()
        self._sizes: Sizes | None = None  # of the latest thermal and RGB image
        self._state_lock = threading.Lock()
        self._state: RegistrationState | None = None  # that was logged last
        self._first_measured_s: float | None = None
        self.stage = RegistrationStage(self.parameters, self._publish_homography)
        self._homography = self.advertise(messages.HOMOGRAPHY, 'registration/homography')
        self._registered = ImageOutput(self, 'thermal_registered/image')
        self._mask = ImageOutput(self, 'thermal_registered/mask')
        self._registered_info = self.advertise(messages.CAMERA_INFO,
                                               'thermal_registered/camera_info')

    def activate(self) -> None:
        """Subscribe to the cameras."""
        self._measurement_worker = self.start_worker(self._measure, niceness=_NICENESS)
        pair_worker = self.start_worker(self._process_pair,
                                        lambda: self.statistics.count_drop('busy'))

        def on_pair(pair: Pair[Frame]) -> None:
            if pair.thermal is not None and pair.rgb is not None:
                pair_worker.put(pair)

        self._input = PairedInput(self, self.parameters.pairing, on_pair,
                                  thermal_transport=self.parameters.thermal_transport,
                                  rgb_transport=self.parameters.rgb_transport,
                                  pass_single=False)
        for stream in ('thermal', 'rgb'):
            self._cameras.subscribe_to_info(stream, self._update_rig)
        self.call_every(_RIG_PERIOD_S, self._update_rig)

    def apply(self, prepared: Any) -> None:
        """Apply the new parameters and complete a new calibration."""
        super().apply(prepared)
        self._calibrate()

    def cleanup(self) -> None:
        """Unsubscribe from tf."""
        self._rig.destroy()
        del self._rig

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about input, rig and registration, and the state of the stage."""
        registration = self.stage.present()
        if registration is not None and registration.state in ('PRIOR', 'LOST'):
            self._log_state(registration)  # it expired while nothing was measured
        warning = self._input.find_problem() or self._rig.find_problem() \
            or self._find_loss(registration)
        return warning, {**self._input.diagnostics(), **self._cameras.diagnostics(),
                         **describe_backend(self.stage.method), **self.stage.status()}

    def _process_pair(self, pair: Pair[Frame]) -> None:
        """Warp a pair, and request a measurement of the homography if it is due."""
        corrected = self._cameras.correct(pair)
        if corrected is None or corrected.thermal is None or corrected.rgb is None:
            return
        thermal, rgb = corrected.thermal, corrected.rgb
        if (thermal.size, rgb.size) != self._sizes:  # CameraInfos may be for other sizes
            with self._rig_lock:
                self._sizes = thermal.size, rgb.size
                self._rig.update()
                self._calibrate()
        request = self.stage.follow(thermal, rgb)
        if request is not None:
            self._measurement_worker.put(request)
        if self._registered.has_subscribers or self._mask.has_subscribers:
            counts = self.stage.warp_counts(thermal.image, rgb.size)
            if counts is not None:
                self._registered.publish(Frame(counts.image, rgb.stamp_ns, rgb.frame_id))
                self._mask.publish(Frame(counts.coverage.astype(np.uint8) * 255, rgb.stamp_ns,
                                         rgb.frame_id))
        if self._registered_info.has_subscribers and self.stage.is_registered():
            info = self._cameras.corrected_info('rgb')
            if info is not None:
                self._registered_info.publish(Stamped(info, rgb.stamp_ns, rgb.frame_id))

    def _measure(self, request: MeasurementRequest) -> None:
        with self.statistics.measure_latency():
            registration = self.stage.measure(request)
        self._first_measured_s = self._first_measured_s or time.monotonic()
        self._log_state(registration)

    def _log_state(self, registration: Registration) -> None:
        """Log each change of the state once; ``diagnose`` reports a loss."""
        state = registration.state
        with self._state_lock:  # the worker and the executor call it
            if state is (self._state or RegistrationState.LOST):
                return
            self._state = state
        reason = f': {registration.reason}' if registration.reason else ''
        text = f'{state.value}{reason}, confidence {registration.confidence:.2f}'
        self.get_logger().info(f'registration {text}')

    def _find_loss(self, registration: Registration | None) -> str:
        """Return a warning if the registration is lost, contradicted or takes long to begin."""
        first_s = self._first_measured_s
        if registration is None or first_s is None:
            return ''
        if registration.state is not RegistrationState.LOST:
            count = self.stage.tracker.disagreement.count
            return '' if count < _MIN_DISAGREEMENTS else \
                f'{count} measurements in a row contradict the homography: {registration.reason}'
        if self._state is None and time.monotonic() - first_s < _ACQUISITION_S:
            return ''
        loss = f'not registered: {registration.reason}' if self._state is None \
            else f'registration lost: {registration.reason}'
        return '; '.join(filter(None, (loss, self.stage.explain_rejection())))

    def _publish_homography(self, result: RegistrationResult) -> None:
        registration = result.registration
        self._homography.publish(Stamped(
            Homography(registration.H_thermal_to_rgb, registration.rgb_size,
                       registration.state is RegistrationState.LOST),
            result.stamp_ns, result.frame_id))

    def _update_rig(self) -> None:
        """Use a changed calibration of the rig, and publish its prior if the size is known."""
        with self._rig_lock:  # the worker and the executor call it
            if not self._rig.update():
                return
            self._calibrate()
        thermal, sizes = self._cameras.info('thermal'), self._sizes or self._info_sizes()
        if thermal is not None and sizes is not None:
            self.stage.answer_by_prior(sizes, thermal.stamp_ns, thermal.frame_id)

    def _calibrate(self) -> None:
        """Use the calibration of the rig, for the images that the CameraInfos describe."""
        configured = self.parameters.registration.calibrated
        calibrated = self._rig.complete_calibration(configured)
        self.stage.calibrate(calibrated, None if calibrated is configured
                             else self._sizes or self._info_sizes())

    def _info_sizes(self) -> Sizes | None:
        """Return the sizes of the corrected images by the CameraInfos; None if unknown."""
        infos = [self._cameras.corrected_info(stream) for stream in ('thermal', 'rgb')]
        thermal_size, rgb_size = ((info.width, info.height) if info is not None else (0, 0)
                                  for info in infos)
        return (thermal_size, rgb_size) if min(thermal_size + rgb_size) else None


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(RegistrationNode, arguments)
