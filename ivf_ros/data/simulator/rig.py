# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The two simulated cameras: their poses, and the homography between their images."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.parameters import parameter
import numpy as np


class SimulatorError(ValueError):
    """A combination of simulator parameters is not possible."""


@dataclass(frozen=True)
class RigParameters:
    """Pose of the thermal camera relative to the RGB camera."""

    mode: str = parameter(
        'homography', "'homography': one homography is exact for every pixel; 'rig': the cameras "
        'have a baseline, so there is parallax.',
        choices=('homography', 'rig'), live=False)
    H_thermal_to_rgb: tuple = parameter(
        (), "Mode 'homography': nine numbers in row-major order; empty: random from the seed.",
        live=False)
    scale: float = parameter(
        1.25, 'Maximum magnification ratio of the two views, in either direction; 1: equal views.',
        minimum=1.0, maximum=3.0, live=False)
    shift: float = parameter(
        0.1, 'Maximum shift, as a fraction of the image size.', minimum=0.0, maximum=0.5,
        live=False)
    rotation_deg: float = parameter(
        3.0, 'Maximum rotation about the viewing direction.', minimum=0.0, maximum=45.0,
        live=False)
    perspective: float = parameter(
        0.04, "Mode 'homography': maximum change of magnification from centre to edge.",
        minimum=0.0, maximum=0.3, live=False)
    baseline_m: float = parameter(
        0.12, "Mode 'rig': distance between the cameras.", minimum=0.0, maximum=2.0,
        live=False)
    plane_distance_m: float = parameter(
        float('inf'), "Mode 'rig': distance of the plane of the true homography; infinity: "
        'distant scene.', minimum=0.1, live=False)
    field_of_view_deg: float = parameter(
        62.0, 'Horizontal field of view of the RGB camera.', minimum=15.0, maximum=110.0,
        live=False)


@dataclass(frozen=True, eq=False)
class Camera:
    """
    A pinhole camera in the scene.

    Attributes
    ----------
    projection:
        ``(3, 4)`` from world metres to homogeneous pixels, centres at integers; the third
        component is positive in front of the camera.
    centre_m:
        ``(3,)`` position in the world.
    size:
        Width and height in pixels.

    """

    projection: np.ndarray
    centre_m: np.ndarray
    size: tuple[int, int]

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Return the pixels ``(N, 2)`` of world points ``(N, 3)`` in front of the camera."""
        mapped = points_m @ self.projection[:, :3].T + self.projection[:, 3]
        return mapped[:, :2] / mapped[:, 2:]

    def depth_m(self, points_m: np.ndarray) -> np.ndarray:
        """Return the depths ``(N,)`` of world points ``(N, 3)``, positive in front."""
        forward = self.projection[2, :3]
        return (points_m - self.centre_m) @ (forward / np.linalg.norm(forward))

    def upsample(self, factor: int) -> Camera:
        """Return the camera with each pixel divided into ``factor`` x ``factor`` pixels."""
        size = self.size[0] * factor, self.size[1] * factor
        return Camera(geometry.stretch(self.size, size) @ self.projection, self.centre_m,
                      size)


@dataclass(frozen=True, eq=False)
class Rig:
    """
    Both cameras and their ground truth.

    Attributes
    ----------
    thermal, rgb:
        The cameras.
    H_thermal_to_rgb:
        ``(3, 3)``: exact everywhere in mode 'homography', exact on the configured plane in mode
        'rig'.
    K_thermal, K_rgb:
        ``(3, 3)`` pinhole matrices.
    R_thermal_to_rgb, t_thermal_to_rgb_m:
        ``X_rgb = R X_thermal + t``. In mode 'homography' the homography is in general not that of
        a camera pair, so ``K_thermal``, ``R_thermal_to_rgb`` and ``t_thermal_to_rgb_m`` are None.

    """

    thermal: Camera
    rgb: Camera
    H_thermal_to_rgb: np.ndarray
    K_rgb: np.ndarray
    K_thermal: np.ndarray | None = None
    R_thermal_to_rgb: np.ndarray | None = None
    t_thermal_to_rgb_m: np.ndarray | None = None


def build_rig(parameters: RigParameters, thermal_size: tuple[int, int], rgb_size: tuple[int, int],
              centre_m: np.ndarray, angles_deg: np.ndarray, rng: np.random.Generator) -> Rig:
    """
    Place the RGB camera in the scene, and the thermal camera relative to it.

    ``angles_deg`` are pitch (down positive), yaw (right positive) and roll of the RGB camera.

    Raises
    ------
    SimulatorError
        The configured homography is implausible, or not allowed in mode 'rig'.

    """
    R_world_to_rgb = _rotation(angles_deg)
    K_rgb = _pinhole(rgb_size, parameters.field_of_view_deg)
    rgb = _camera(K_rgb, R_world_to_rgb, centre_m, rgb_size)
    if parameters.mode == 'homography':
        H = _configured_homography(parameters, thermal_size, rgb_size) \
            if parameters.H_thermal_to_rgb else _random_homography(
                parameters, thermal_size, rgb_size, rng)
        H_rgb_to_thermal = geometry.normalize_homography(np.linalg.inv(H))
        thermal = Camera(H_rgb_to_thermal @ rgb.projection, centre_m, thermal_size)
        return Rig(thermal, rgb, H, K_rgb)
    if parameters.H_thermal_to_rgb:
        raise SimulatorError("rig.H_thermal_to_rgb needs rig.mode 'homography', got 'rig'")
    magnification = parameters.scale ** rng.uniform(-1, 1)
    view_rad = 2 * np.arctan(np.tan(np.radians(parameters.field_of_view_deg) / 2) * magnification)
    K_thermal = _pinhole(thermal_size, np.degrees(view_rad))
    half_view = np.array([rgb_size[1], rgb_size[0]]) / (2 * K_rgb[0, 0])
    misalignment_deg = np.degrees(np.arctan(2 * parameters.shift * half_view)) * rng.uniform(-1, 1,
                                                                                             2)
    R = _rotation((*misalignment_deg, rng.uniform(-1, 1) * parameters.rotation_deg))
    across = rng.standard_normal(3) * (1.0, 0.5, 0.1)
    t_m = parameters.baseline_m * across / np.linalg.norm(across)
    H = geometry.from_rig(K_thermal, K_rgb, R, t_m, parameters.plane_distance_m)
    thermal = _camera(K_thermal, R.T @ R_world_to_rgb, centre_m + R_world_to_rgb.T @ t_m,
                      thermal_size)
    return Rig(thermal, rgb, H, K_rgb, K_thermal, R, t_m)


def _random_homography(parameters: RigParameters, thermal_size: tuple[int, int],
                       rgb_size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the plain resize, combined with random scale, rotation, shift and tilt."""
    size = np.array(rgb_size, dtype=np.float64)
    centre = (size - 1) / 2
    scale = parameters.scale ** rng.uniform(-1, 1)
    shift_px = rng.uniform(-1, 1, 2) * parameters.shift * size
    tilt = np.eye(3)
    tilt[2, :2] = rng.uniform(-1, 1, 2) * parameters.perspective / (size / 2)
    about_centre = tilt @ geometry.rotation(
        np.radians(rng.uniform(-1, 1) * parameters.rotation_deg)) @ geometry.scaling(scale, scale)
    return geometry.normalize_homography(
        geometry.translation(*(centre + shift_px)) @ about_centre
        @ geometry.translation(*-centre) @ geometry.stretch(thermal_size, rgb_size))


def _configured_homography(parameters: RigParameters, thermal_size: tuple[int, int],
                           rgb_size: tuple[int, int]) -> np.ndarray:
    if len(parameters.H_thermal_to_rgb) != 9:
        raise SimulatorError('rig.H_thermal_to_rgb must have nine numbers or none, '
                             f'got {len(parameters.H_thermal_to_rgb)}')
    H = np.reshape(parameters.H_thermal_to_rgb, (3, 3))
    reason = geometry.check(H, thermal_size, rgb_size)
    if reason:
        raise SimulatorError(f'rig.H_thermal_to_rgb is implausible: {reason}')
    return geometry.normalize_homography(H)


def _pinhole(size: tuple[int, int], field_of_view_deg: float) -> np.ndarray:
    focal_px = size[0] / (2 * np.tan(np.radians(field_of_view_deg) / 2))
    return np.array([[focal_px, 0, (size[0] - 1) / 2], [0, focal_px, (size[1] - 1) / 2],
                     [0, 0, 1.0]])


def _camera(K: np.ndarray, R_world_to_camera: np.ndarray, centre_m: np.ndarray,
            size: tuple[int, int]) -> Camera:
    pose = np.column_stack([R_world_to_camera, -R_world_to_camera @ centre_m])
    return Camera(K @ pose, centre_m, size)


def _rotation(angles_deg: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Return the rotation world to camera for pitch (down), yaw (right), roll in degrees."""
    axes = np.diag([1.0, -1.0, 1.0]) * np.radians(np.asarray(angles_deg, dtype=np.float64))
    pitch, yaw, roll = (cv2.Rodrigues(axis)[0] for axis in axes)
    return roll @ pitch @ yaw
