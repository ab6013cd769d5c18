# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Registration from a calibration: a configured homography, or intrinsics and extrinsics."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import geometry
from ivf_ros.parameters import parameter
from ivf_ros.registration.inputs import check_pair, check_prior, RegistrationError
from ivf_ros.registration.prior import Prior
from ivf_ros.types import Registration, RegistrationState
import numpy as np


@dataclass(frozen=True)
class CalibratedParameters:
    """
    Calibration of the rig: a homography, or intrinsics and extrinsics.

    Matrices are row-major lists. An empty list means that the matrix is unknown. A node sets the
    intrinsics from CameraInfo and the extrinsics from tf.
    """

    H_thermal_to_rgb: tuple = parameter(
        (), 'Nine numbers, row by row: the homography. It replaces all other calibration.')
    aligned: bool = parameter(
        False, "Method 'calibrated': without another calibration both images show the same view, "
        'so that the homography is the plain resize of thermal to the RGB size.')
    K_thermal: tuple = parameter(
        (), 'Nine numbers, row by row: pinhole camera matrix of the thermal image.')
    K_rgb: tuple = parameter(
        (), 'Nine numbers, row by row: pinhole camera matrix of the RGB image.')
    R_thermal_to_rgb: tuple = parameter(
        (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        'Nine numbers, row by row: rotation from the thermal to the RGB optical frame.')
    t_thermal_to_rgb_m: tuple = parameter(
        (0.0, 0.0, 0.0),
        'Three numbers: translation from the thermal to the RGB optical frame, in metres.')
    plane_distance_m: float = parameter(
        float('inf'), 'Distance of the scene plane that the homography aligns, in metres.',
        minimum=1e-3)


class CalibratedRegistrar:
    """
    Returns the homography of the calibration and does not use the pixels.

    The calibration holds for the image sizes of the first call. Later images of other sizes and
    the same aspect ratios get the rescaled homography.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64, or None without calibration.

    Raises
    ------
    RegistrationError
        A list has the wrong length, only one camera matrix is set, or the values give no
        homography.

    """

    def __init__(self, parameters: CalibratedParameters = CalibratedParameters()) -> None:
        self.parameters = parameters
        self.H_thermal_to_rgb = make_homography(parameters)
        self._prior: Prior | None = None  # with the sizes of the first call

    def register(self, thermal: np.ndarray, rgb: np.ndarray,
                 prior: np.ndarray | None = None) -> Registration:
        """
        Return the calibrated homography, always in state PRIOR.

        Without calibration, return ``prior``. Without both, return the plain resize of thermal to
        the RGB size: with confidence 0 and a reason, unless ``aligned`` is set. The same is
        returned for images of another aspect ratio than those of the calibration.

        Raises
        ------
        RegistrationError
            An image or the prior has a wrong shape or type.

        """
        check_pair(thermal, rgb)
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        H = check_prior(prior)
        if self.H_thermal_to_rgb is not None:
            self._prior = self._prior or Prior(self.H_thermal_to_rgb, sizes)
            H = self._prior.for_sizes(sizes)
            if H is None:
                return Registration(geometry.stretch(*sizes), 0.0, 0, RegistrationState.PRIOR,
                                    sizes[1], reason=self._prior.explain_sizes(sizes))
        if H is None:
            aligned = self.parameters.aligned
            return Registration(geometry.stretch(*sizes), 0.5 if aligned else 0.0, 0,
                                RegistrationState.PRIOR, sizes[1],
                                reason='' if aligned else 'not calibrated')
        reason = geometry.check(H, *sizes)
        return Registration(H, 0.0 if reason else 0.5, 0, RegistrationState.PRIOR, sizes[1],
                            reason=f'implausible: {reason}' if reason else '')


def make_homography(calibrated: CalibratedParameters) -> np.ndarray | None:
    """
    Return H_thermal_to_rgb ``(3, 3)`` float64, or None without calibration.

    Raises
    ------
    RegistrationError
        A list has the wrong length, only one camera matrix is set, or the values give no
        homography.

    """
    p = calibrated
    try:
        if p.H_thermal_to_rgb:
            return geometry.normalize_homography(_matrix('H_thermal_to_rgb', p.H_thermal_to_rgb))
        if not p.K_thermal and not p.K_rgb:
            return None
        if len(p.t_thermal_to_rgb_m) != 3:
            raise RegistrationError('t_thermal_to_rgb_m must have 3 numbers (x, y, z), '
                                    f'got {len(p.t_thermal_to_rgb_m)}')
        return geometry.from_rig(_matrix('K_thermal', p.K_thermal), _matrix('K_rgb', p.K_rgb),
                                 _matrix('R_thermal_to_rgb', p.R_thermal_to_rgb),
                                 np.array(p.t_thermal_to_rgb_m), p.plane_distance_m)
    except geometry.GeometryError as error:
        raise RegistrationError(f'calibration: {error}') from error


def _matrix(name: str, numbers: tuple) -> np.ndarray:
    if len(numbers) != 9:
        raise RegistrationError(f'{name} must have 9 numbers, row by row, got {len(numbers)}')
    return np.array(numbers, dtype=np.float64).reshape(3, 3)
