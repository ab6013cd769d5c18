# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the camera rig from both CameraInfos and, optionally, from tf."""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.camera_model import CameraModelError
from ivf_ros.nodes.graph.camera_inputs import CameraInputs
from ivf_ros.pairing import STREAMS
from ivf_ros.registration import CalibratedParameters
from rclpy.node import Node
from rclpy.time import Time

# Rotation matrix, 9 numbers in row-major order, and translation in metres.
_Extrinsics = tuple[tuple[float, ...], tuple[float, ...]]


class TransformError(RuntimeError):
    """tf is not available."""


class RigCalibration:
    """
    Completes the calibration of the parameters with the CameraInfos and tf.

    Parameters
    ----------
    node:
        The node that subscribes to tf.
    cameras:
        The calibrations of the cameras, as their corrected images have them.
    extrinsics:
        Source of the extrinsics: ``parameters`` or ``tf``.
    rectified:
        Whether the images are rectified. Their pinhole matrix is then ``P`` of CameraInfo.

    Raises
    ------
    TransformError
        ``extrinsics`` is ``tf`` and tf2_ros is missing. PyPI has no ROS wheel of tf2_ros.

    """

    def __init__(self, node: Node, cameras: CameraInputs, extrinsics: str, rectified: bool
                 ) -> None:
        self._cameras = cameras
        self._rectified = rectified
        self._tf = TfLookup(node, 'extrinsics', 'registration.calibrated.R_thermal_to_rgb') \
            if extrinsics == 'tf' else None
        self._extrinsics: _Extrinsics | None = None
        self._intrinsics: dict[str, tuple[float, ...]] = {}

    def update(self) -> bool:
        """Read the calibrations of the cameras and tf; return whether anything changed."""
        intrinsics = self._read_intrinsics()
        extrinsics = self._extrinsics
        if self._tf is not None and self._has_infos():
            extrinsics = self._tf.look_up(*self._frame_ids()) or extrinsics
        changed = (intrinsics, extrinsics) != (self._intrinsics, self._extrinsics)
        self._intrinsics, self._extrinsics = intrinsics, extrinsics
        return changed

    def find_problem(self) -> str:
        """Return a warning if a CameraInfo or the transform cannot be used, else ''."""
        problem = self._cameras.find_problem()
        if problem or self._tf is None or self._extrinsics is not None or not self._has_infos():
            return problem
        frames = [f"'{frame_id}'" for frame_id in self._frame_ids()]
        return f'tf does not know the transform from {" to ".join(frames)}'

    def complete_calibration(self, configured: CalibratedParameters) -> CalibratedParameters:
        """Return ``configured`` with the intrinsics of CameraInfo and the extrinsics of tf."""
        calibration = configured
        if self._intrinsics:
            calibration = replace(calibration, K_thermal=self._intrinsics['thermal'],
                                  K_rgb=self._intrinsics['rgb'])
        if self._tf is None:
            return calibration
        if self._extrinsics is None:  # no calibration is better than a wrong rotation
            return replace(calibration, K_thermal=(), K_rgb=())
        R_thermal_to_rgb, t_thermal_to_rgb_m = self._extrinsics
        return replace(calibration, R_thermal_to_rgb=R_thermal_to_rgb,
                       t_thermal_to_rgb_m=t_thermal_to_rgb_m)

    def destroy(self) -> None:
        """Unsubscribe from tf."""
        if self._tf is not None:
            self._tf.destroy()

    def _read_intrinsics(self) -> dict[str, tuple[float, ...]]:
        """Return the matrices of both cameras, or nothing if one of them is not calibrated."""
        intrinsics = {}
        for stream in STREAMS:
            try:
                projection = self._cameras.projection(stream, self._rectified)
            except CameraModelError:
                projection = None  # ``find_problem`` tells it
            if projection is None:
                return {}
            intrinsics[stream] = tuple(projection.ravel().tolist())
        return intrinsics

    def _has_infos(self) -> bool:
        return all(self._cameras.info(stream) is not None for stream in STREAMS)

    def _frame_ids(self) -> list[str]:
        infos = [self._cameras.info(stream) for stream in STREAMS]
        return [info.frame_id for info in infos if info is not None]


class TfLookup:
    """
    Looks up the transform between two frames that are fixed to one body.

    Parameters
    ----------
    node:
        The node that subscribes to tf.
    selector, alternative:
        The parameter that selects tf and that of the rotation without tf, for the error message.

    Raises
    ------
    TransformError
        tf2_ros is missing.

    """

    def __init__(self, node: Node, selector: str, alternative: str) -> None:
        try:
            import tf2_ros
        except ModuleNotFoundError as error:
            raise TransformError(
                f"{selector} 'tf' needs {error.name}: apt install ros-$ROS_DISTRO-tf2-ros-py; "
                f"or set {alternative} and {selector} 'parameters'") from None
        self._lookup_error: type[Exception] = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def look_up(self, from_frame_id: str, to_frame_id: str) -> _Extrinsics | None:
        """Return rotation and translation between two frames; None if tf has no transform."""
        try:
            transform = self._buffer.lookup_transform(to_frame_id, from_frame_id,
                                                      Time()).transform
        except self._lookup_error:
            return None
        q, t = transform.rotation, transform.translation
        from scipy.spatial.transform import Rotation  # takes 0.2 s and 20 MB, only tf needs it
        R = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        return tuple(R.ravel().tolist()), (t.x, t.y, t.z)

    def destroy(self) -> None:
        self._listener.unregister()
