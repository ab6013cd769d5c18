# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Registers thermal onto RGB: measures the homography at its own rate, warps every frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
import threading
from typing import Any

from ivf_ros import registration
from ivf_ros.nodes import messages
from ivf_ros.nodes.health import equipment
from ivf_ros.nodes.image_transport import ImageOutput
from ivf_ros.nodes.messages import Homography, Stamped
from ivf_ros.nodes.node_parameters import RegistrationNodeParameters
from ivf_ros.nodes.paired_input import PairedInput
from ivf_ros.nodes.process import run_node
from ivf_ros.nodes.rig import Rig
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.nodes.transport import Hub
from ivf_ros.pace import Pace
from ivf_ros.pairing import Pair
from ivf_ros.parameters import flatten
from ivf_ros.thermal import FreezeDetector, ThermalState
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.types import Frame, Registration, RegistrationState
import numpy as np
from sensor_msgs.msg import CameraInfo

# How soon it is seen that tf knows the rig.
_RIG_PERIOD_S = 0.5


@dataclass(frozen=True)
class _Built:
    """A registrar with its tracker, and the parameters that they were made of."""

    settings: tuple[Any, registration.TrackerParameters]
    registrar: registration.Registrar
    tracker: registration.RegistrationTracker


class RegistrationNode(StageNode):
    """
    Publishes ``registration/homography`` and, where wanted, thermal on the RGB grid.

    ``thermal_registered/image`` is in the counts of the camera, ``thermal_registered/image_8bit``
    has been through the gain control, as networks want it, and ``thermal_registered/mask`` says
    which pixels thermal covers.
    Measuring takes longer than a frame period, so it runs beside the warping and always on the
    newest pair; at most ``max_rate_hz`` times a second. What calibration says is published
    before that, as soon as the size of RGB is known.
    """

    default_name = 'registration'

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(RegistrationNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the registrar and its tracker."""
        self._rig = Rig(self, self.parameters.extrinsics, self.parameters.rectified)
        self._freeze = FreezeDetector()
        self._thermal_state = ThermalState.LIVE
        self._warper = ThermalWarper()  # with the gain control that all networks learned with
        self._built: _Built | None = None
        self.take_over(self.prepare(self.parameters))
        self._latest: Registration | None = None
        self._answering = threading.Lock()  # a late prior must not follow a measurement
        self._pace = Pace()
        self._homography = self.advertise(messages.HOMOGRAPHY, 'registration/homography')
        self._registered = ImageOutput(self, 'thermal_registered/image')
        self._registered_8bit = ImageOutput(self, 'thermal_registered/image_8bit')
        self._mask = ImageOutput(self, 'thermal_registered/mask')
        self._registered_info = self.advertise(messages.CAMERA_INFO,
                                               'thermal_registered/camera_info')

    def activate(self) -> None:
        """Subscribe to the cameras."""
        self._measuring = self.start_worker(self._measure)
        following = self.start_worker(self._follow, lambda: self.statistics.drop('busy'))

        def on_pair(pair: Pair[Frame]) -> None:
            if pair.thermal is not None and pair.rgb is not None:
                following.put((pair.thermal, pair.rgb))

        self._input = PairedInput(self, self.parameters.pairing, on_pair,
                                  thermal_transport=self.parameters.thermal_transport,
                                  rgb_transport=self.parameters.rgb_transport,
                                  pass_single=False)
        for stream in ('thermal', 'rgb'):
            self.subscribe(messages.CAMERA_INFO, f'{stream}/camera_info',
                           partial(self._on_camera_info, stream))
        self.every(_RIG_PERIOD_S, self._look_up_rig)

    def prepare(self, requested: RegistrationNodeParameters) -> _Built:
        """Build registrar and tracker anew where they change; refuse what is no calibration."""
        registration.CalibratedRegistrar(requested.calibrated)
        settings = getattr(requested, requested.method), requested.tracker
        if self._built is not None and self._built.settings == settings:
            return self._built
        registrar = registration.create(requested.method, **flatten(settings[0]))
        return _Built(settings, registrar,
                      registration.RegistrationTracker(registrar, requested.tracker))

    def take_over(self, prepared: _Built) -> None:
        """Go on with the new settings; a new tracker knows nothing but the prior."""
        self._built, self._tracker = prepared, prepared.tracker
        self._set_prior()
        self._freeze.parameters = self.parameters.freeze

    def cleanup(self) -> None:
        """Let go of the stage."""
        self._rig.destroy()
        del self._rig, self._built, self._tracker, self._freeze, self._latest

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Tell the state of the registration."""
        latest = self._latest
        values: dict[str, object] = {
            **self._input.diagnostics(),
            **equipment(self._built and self._built.registrar),
            'thermal_state': self._thermal_state.value,
            **{f'state_count.{state.value}': self._tracker.states[state.value]
               for state in RegistrationState},
            **{f'rejected.{why}': n for why, n in self._tracker.rejections.items()},
        }
        warning = self._input.trouble() or self._rig.trouble()
        if latest is not None:
            values.update(state=latest.state.value, confidence=latest.confidence,
                          inliers=latest.inliers, age_s=latest.age_s,
                          corner_deviation_px=latest.corner_deviation_px, reason=latest.reason)
            if latest.state is RegistrationState.LOST:
                warning = warning or f'registration lost: {latest.reason}'
        return warning, values

    def _follow(self, pair: tuple[Frame, Frame]) -> None:
        """Do what every frame needs; now and then have the homography measured."""
        thermal, rgb = pair
        if self._latest is None:
            self._answer_by_prior(rgb.size, thermal.stamp_ns, thermal.frame_id)
        health = self._freeze.update(thermal.image, thermal.stamp_ns * 1e-9)
        self._thermal_state = health.state
        if self._pace.is_due(self.parameters.max_rate_hz):
            self._measuring.put((thermal, rgb, health.state is ThermalState.LIVE))
        if health.offset:
            self._warper.agc.reset()  # the shutter moved all counts: the old range is void
        self._warp(thermal, rgb)

    def _measure(self, work: tuple[Frame, Frame, bool]) -> None:
        """Measure, and publish with the header of the image that was measured, also if held."""
        thermal, rgb, thermal_live = work
        with self.statistics.timed():
            found = self._tracker.update(thermal.image, rgb.image, thermal.stamp_ns * 1e-9,
                                         thermal_live)
        if found.age_s == 0 or found.state is RegistrationState.PRIOR:
            self._measured_on = thermal.stamp_ns, thermal.frame_id
        with self._answering:
            self._latest = found
            if found.state is not RegistrationState.LOST:
                self._homography.publish(Stamped(Homography(found.H_thermal_to_rgb, rgb.size),
                                                 *self._measured_on))

    def _answer_by_prior(self, rgb_size: tuple[int, int], stamp_ns: int, frame_id: str) -> None:
        """Publish what calibration says, while nothing has been measured yet."""
        with self._answering:
            if self._latest is not None and self._latest.state in (RegistrationState.TRACKING,
                                                                   RegistrationState.HOLDING):
                return
            known = self._tracker.prior_answer(rgb_size)
            if known is not None:
                self._latest = known
                self._homography.publish(Stamped(Homography(known.H_thermal_to_rgb, rgb_size),
                                                 stamp_ns, frame_id))

    def _warp(self, thermal: Frame, rgb: Frame) -> None:
        """Publish thermal on the RGB grid, in the forms that somebody wants."""
        if self._latest is None or self._latest.state is RegistrationState.LOST:
            return

        def publish(output: ImageOutput, image: np.ndarray) -> None:
            output.publish(Frame(image, rgb.stamp_ns, rgb.frame_id))

        H = self._latest.H_thermal_to_rgb
        if self._registered_8bit.wanted:
            gray = self._warper.warp_gray(thermal.image, H, rgb.size)
            publish(self._registered_8bit, gray.image)
        if self._registered.wanted or self._mask.wanted:
            counts = self._warper.warp_counts(thermal.image, H, rgb.size)
            publish(self._registered, counts.image)
            publish(self._mask, counts.coverage.astype(np.uint8) * 255)
        info = self._rig.camera_infos.get('rgb')
        if info is not None and self._registered_info.wanted:
            self._registered_info.publish(Stamped(info.value, rgb.stamp_ns, rgb.frame_id))

    def _on_camera_info(self, stream: str, item: Stamped[CameraInfo]) -> None:
        if self._rig.learn(stream, item):
            self._rig.look_up()
            self._rig_changed()

    def _look_up_rig(self) -> None:
        if self._rig.look_up():
            self._rig_changed()

    def _rig_changed(self) -> None:
        self._set_prior()
        thermal, rgb = self._rig.camera_infos['thermal'], self._rig.camera_infos['rgb'].value
        if rgb.width and rgb.height:
            self._answer_by_prior((rgb.width, rgb.height), thermal.stamp_ns, thermal.frame_id)

    def _set_prior(self) -> None:
        """Tell the tracker what is known of the rig."""
        calibration = self._rig.calibration(self.parameters.calibrated)
        H_thermal_to_rgb = registration.CalibratedRegistrar(calibration).H_thermal_to_rgb
        if H_thermal_to_rgb is not None:
            self._tracker.set_prior(H_thermal_to_rgb)


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a process of its own."""
    return run_node(RegistrationNode, arguments)
