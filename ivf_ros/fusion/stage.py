# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fusion stage: its output when a camera or the registration fails."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import cv2
from ivf_ros import geometry, images
from ivf_ros.fusion.fuser import Fuser, FusionError
from ivf_ros.fusion.settings import FusionStageParameters
from ivf_ros.structure import measure_structure, subsample
from ivf_ros.thermal import (
    AgcParameters,
    check_thermal,
    FreezeDetector,
    ThermalHealth,
    ThermalState,
)
from ivf_ros.thermal_on_rgb import ThermalOnRgb, ThermalWarper
from ivf_ros.types import Frame, Registration, RegistrationState
import numpy as np

_SATURATED_LUMA = 250
_DARK_FRACTION = 0.99  # of the pixels of a dark image
_MAX_LEAD_S = 1.0  # of a homography over the thermal image; fusion may lag behind registration


class FusionMode(str, Enum):
    """Content of the output image."""

    FUSED = 'FUSED'
    RGB_ONLY = 'RGB_ONLY'
    THERMAL_ONLY = 'THERMAL_ONLY'
    NOTHING = 'NOTHING'  # no current image is available


class RgbState(str, Enum):
    """Usability of the RGB image."""

    LIVE = 'LIVE'
    DARK = 'DARK'  # too little light
    BLIND = 'BLIND'  # saturated, or without contrast
    OBSCURED = 'OBSCURED'  # shows little of the scene, for example in smoke
    MISSING = 'MISSING'


@dataclass(frozen=True, eq=False)
class FusionResult:
    """
    The output of one step.

    Attributes
    ----------
    image:
        ``(H, W, 3)`` BGR or, if RGB is gray, ``(H, W)``, uint8. In mode RGB_ONLY it is the input
        array itself, and in mode NOTHING it is None.
    mode:
        Content of the image.
    reason:
        Why the two cameras are not fused, or another problem; '' if there is none.
    rgb_state:
        Usability of the RGB image.
    on_rgb_grid:
        False if the image is thermal and there has been no homography yet: the image is then on
        the grid of the thermal camera.
    stamp_ns, frame_id:
        Of the image; set by ``step``.
    thermal_state:
        A value of ``ThermalState``, or MISSING; set by ``step``.
    thermal:
        ``(H, W)`` uint8, thermal after the gain control on the RGB grid, 0 where it does not cover
        it; None where thermal or the registration cannot be used.

    """

    image: np.ndarray | None
    mode: FusionMode
    reason: str = ''
    rgb_state: RgbState = RgbState.LIVE
    on_rgb_grid: bool = True
    stamp_ns: int = 0
    frame_id: str = ''
    thermal_state: str = ''
    thermal: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class _Homography:
    """A homography, the size of its RGB grid, the time of its measurement, and its validity."""

    H_thermal_to_rgb: np.ndarray
    rgb_size: tuple[int, int]
    stamp_ns: int
    is_lost: bool


class FusionStage:
    """
    Fuses thermal and RGB, and shows one camera alone where the other one fails.

    The first of these rules that applies selects the output:

    1. A camera is missing: the other one.
    2. Thermal is frozen (by the shutter) or blind: RGB, so that no old image is drawn over a
       current one.
    3. RGB is dark or blind: thermal, warped to the RGB grid by the last homography.
    4. The registration is lost, or there is none yet: thermal where RGB is obscured, since people
       whom only thermal shows would appear nowhere; else as ``lost_policy`` defines. The default
       is RGB, as with a wrong homography every person appears twice, and a robot would brake for
       the false one.
    """

    def __init__(self, parameters: FusionStageParameters = FusionStageParameters()) -> None:
        """
        Create the fuser.

        Raises
        ------
        FusionError, WeightsError
            See ``fusion.create``.

        """
        self._parameters = parameters
        self.method = Fuser(parameters.fusion)
        # The stage owns the gain control; the fuser gets 8 bit.
        self._warper = ThermalWarper(parameters.fusion.agc, parameters.radiometry.radiometry())
        self._network_warper = ThermalWarper()  # see ``_input_of_networks``
        self._freeze = FreezeDetector(parameters.freeze)
        self._homography: _Homography | None = None
        self._thermal_ns: int | None = None  # stamp of the latest thermal image
        self._rgb_frame_id = ''

    def update_homography(self, H_thermal_to_rgb: np.ndarray, rgb_size: tuple[int, int],
                          stamp_ns: int, is_lost: bool = False) -> None:
        """
        Use this homography from the next frame on.

        Parameters
        ----------
        H_thermal_to_rgb:
            ``(3, 3)``.
        rgb_size:
            Width and height of its RGB grid in pixels.
        stamp_ns:
            Stamp of the thermal image on which it was measured.
        is_lost:
            Whether it is only the last known one, and the registration is lost.

        """
        self._homography = _Homography(H_thermal_to_rgb, rgb_size, stamp_ns, is_lost)

    def step(self, thermal: Frame | None, rgb: Frame | None) -> FusionResult:
        """
        Return the output image of one moment.

        Parameters
        ----------
        thermal, rgb:
            The original frames of the cameras; None where one is missing.

        Returns
        -------
        FusionResult
            With stamp and frame of RGB, or of thermal if RGB is missing or the image is on the
            grid of thermal.

        Raises
        ------
        FusionError
            A shape or dtype is wrong.

        """
        leading = rgb or thermal
        if leading is None:
            return FusionResult(None, FusionMode.NOTHING, 'thermal MISSING; RGB MISSING',
                                RgbState.MISSING)
        if rgb is not None:
            self._rgb_frame_id = rgb.frame_id
        health = None if thermal is None else \
            self._freeze.update(thermal.image, thermal.stamp_ns * 1e-9)
        result = self.fuse(None if thermal is None else thermal.image,
                           None if rgb is None else rgb.image,
                           None if thermal is None else self._registration(thermal.stamp_ns),
                           health)
        if not result.on_rgb_grid and thermal is not None:
            leading = thermal
        return replace(result, stamp_ns=leading.stamp_ns,
                       frame_id=self._rgb_frame_id if result.on_rgb_grid else leading.frame_id,
                       thermal_state='MISSING' if health is None else health.state.value)

    def prepare(self, requested: FusionStageParameters) -> Fuser:
        """
        Return a fuser for these parameters, without using it yet.

        It is the present one where method, weights and precision stay the same.

        Raises
        ------
        FusionError, WeightsError
            See ``fusion.create``.

        """
        before, after = self._parameters.fusion, requested.fusion
        if (after.method, after.network) == (before.method, before.network):
            return self.method
        return Fuser(after)

    def apply(self, parameters: FusionStageParameters, prepared: Fuser) -> None:
        """Use these parameters from the next frame on; the gain control keeps its state."""
        prepared.parameters = parameters.fusion
        self.method = prepared
        self._warper.agc.parameters = parameters.fusion.agc
        self._warper.agc.radiometry = parameters.radiometry.radiometry()
        self._freeze.parameters = parameters.freeze
        self._parameters = parameters

    def _registration(self, thermal_ns: int) -> Registration | None:
        """
        Return the latest homography as a registration for the thermal image of this stamp.

        It is forgotten where the stamps jump back (a looped bag, a clock that was set), and where
        it comes from far ahead of the image, as from before such a jump. After the timeout it is
        lost.
        """
        latest, before_ns = self._homography, self._thermal_ns
        self._thermal_ns = thermal_ns
        if latest is None:
            return None
        age_s = (thermal_ns - latest.stamp_ns) * 1e-9
        if (before_ns is not None and thermal_ns < before_ns) or age_s < -_MAX_LEAD_S:
            if self._homography is latest:  # a newer one may have come in the meantime
                self._homography = None
            return None
        expired = 0.0 < self._parameters.homography_timeout_s < age_s
        reason = f'no homography for {age_s:.1f} s' if expired else \
            'withdrawn, see the registration node' if latest.is_lost else ''
        return Registration(latest.H_thermal_to_rgb, confidence=0.0 if reason else 1.0, inliers=0,
                            rgb_size=latest.rgb_size, age_s=abs(age_s), reason=reason,
                            state=RegistrationState.LOST if reason else RegistrationState.HOLDING)

    def fuse(self, thermal: np.ndarray | None, rgb: np.ndarray | None,
             registration: Registration | None,
             health: ThermalHealth | None = None) -> FusionResult:
        """
        Fuse images with a given registration and health of the thermal camera.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8, uint16, float32 or float64 on the thermal grid; None if missing.
        rgb:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8; None if missing.
        registration:
            The latest one; None if there has been none.
        health:
            State of the thermal camera; None if it is unknown, which counts as live.

        Raises
        ------
        FusionError
            A shape or dtype is wrong.

        """
        if thermal is not None:
            check_thermal(thermal, FusionError)
        if health is not None and health.offset:
            for warper in (self._warper, self._network_warper):
                warper.agc.reset()  # the shutter changed all counts: the old range is invalid
        rgb_state = self.assess_rgb(rgb)
        thermal_problem = _thermal_problem(thermal, health)
        rgb_problem = '' if rgb_state is RgbState.LIVE else f'RGB {rgb_state.value}'
        frozen = health is not None and health.state is ThermalState.FROZEN
        problems = '; '.join(filter(None, (thermal_problem, rgb_problem)))

        if rgb is None:
            if thermal is None or frozen:
                return FusionResult(None, FusionMode.NOTHING, problems, rgb_state)
            return self._thermal_only(thermal, None, registration, problems, rgb_state)
        if thermal is None or thermal_problem:
            return FusionResult(rgb, FusionMode.RGB_ONLY, problems, rgb_state)
        if rgb_problem:
            return self._thermal_only(thermal, rgb, registration, problems, rgb_state)

        lost_reason = self._lost_reason(rgb, registration)
        policy = self._parameters.fusion.lost_policy
        if lost_reason and policy != 'fuse' and self._is_obscured(rgb):
            return self._thermal_only(thermal, rgb, registration, f'{lost_reason}; RGB OBSCURED',
                                      RgbState.OBSCURED)
        if registration is None or (lost_reason and policy == 'rgb'):
            return FusionResult(rgb, FusionMode.RGB_ONLY, lost_reason)
        if lost_reason and policy == 'thermal':
            return self._thermal_only(thermal, rgb, registration, lost_reason, rgb_state)
        warped = self._warp(thermal, registration, geometry.size_of(rgb))
        fused = self.method.fuse_gray(warped.image, rgb, warped.coverage, match_background=True)
        return FusionResult(fused, FusionMode.FUSED, lost_reason, thermal=None if lost_reason else
                            self._input_of_networks(thermal, registration, warped.image))

    def assess_rgb(self, rgb: np.ndarray | None) -> RgbState:
        """Return whether RGB is usable, dark or blind, from a subsampled image."""
        if rgb is None:
            return RgbState.MISSING
        images.check_8bit(rgb, 'rgb', FusionError)
        luma = _to_luma(subsample(rgb))
        dark = np.count_nonzero(luma <= self._parameters.fusion.dark_luma)
        if dark >= _DARK_FRACTION * luma.size:
            return RgbState.DARK
        saturated_percent = 100.0 * np.count_nonzero(luma >= _SATURATED_LUMA) / luma.size
        if saturated_percent >= self._parameters.fusion.saturated_percent \
                or luma.std() < self._parameters.fusion.flat_levels:
            return RgbState.BLIND
        return RgbState.LIVE

    def _is_obscured(self, rgb: np.ndarray) -> bool:
        """Return whether RGB shows little of the scene."""
        luma = _to_luma(subsample(rgb))
        return measure_structure(luma) < self._parameters.fusion.obscured_levels

    def _lost_reason(self, rgb: np.ndarray, registration: Registration | None) -> str:
        """Return why the registration cannot be used for fusion, or ''."""
        if registration is None:
            return 'no registration yet'
        if registration.rgb_size != geometry.size_of(rgb):
            return 'registration is for RGB of {}x{}, got {}x{}'.format(
                *registration.rgb_size, *geometry.size_of(rgb))
        if registration.state is RegistrationState.LOST:
            return ': '.join(filter(None, ('registration LOST', registration.reason)))
        if registration.confidence < self._parameters.fusion.min_confidence:
            return (f'registration confidence {registration.confidence:.2f} is below '
                    f'{self._parameters.fusion.min_confidence:.2f}')
        return ''

    def _thermal_only(self, thermal: np.ndarray, rgb: np.ndarray | None,
                      registration: Registration | None, reason: str,
                      rgb_state: RgbState) -> FusionResult:
        if registration is None:
            gray = self._warper.agc(thermal)
            reason += '; image on the thermal grid' if 'no registration yet' in reason \
                else '; no registration yet, image on the thermal grid'
        else:
            size = registration.rgb_size if rgb is None else geometry.size_of(rgb)
            gray = self._warp(thermal, registration, size).image
        image = cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR) if rgb is None or rgb.ndim == 3 else gray
        network_input = None
        if rgb is not None and registration is not None \
                and registration.state is not RegistrationState.LOST:
            network_input = self._input_of_networks(thermal, registration, gray)
        return FusionResult(image, FusionMode.THERMAL_ONLY, reason, rgb_state,
                            on_rgb_grid=registration is not None, thermal=network_input)

    def _warp(self, thermal: np.ndarray, registration: Registration, size: tuple[int, int],
              warper: ThermalWarper | None = None) -> ThermalOnRgb:
        """Return thermal after the gain control on the RGB grid of this size."""
        H = registration.H_thermal_to_rgb
        if registration.rgb_size != size:
            H = geometry.stretch(registration.rgb_size, size) @ H
        return (warper or self._warper).warp_gray(thermal, H, size)

    def _input_of_networks(self, thermal: np.ndarray, registration: Registration,
                           warped: np.ndarray) -> np.ndarray:
        """
        Return thermal on the RGB grid with the gain control of the training of all networks.

        That is the default one. ``warped`` has the gain control of the parameters.
        """
        if self._parameters.fusion.agc == AgcParameters():
            return warped
        size = geometry.size_of(warped)
        return self._warp(thermal, registration, size, self._network_warper).image


def _to_luma(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _thermal_problem(thermal: np.ndarray | None, health: ThermalHealth | None) -> str:
    """Return why thermal cannot be used for fusion, or ''."""
    if thermal is None:
        return 'thermal MISSING'
    if health is None or health.state is ThermalState.LIVE:
        return ''
    return ': '.join(filter(None, (f'thermal {health.state.value}', health.reason)))
