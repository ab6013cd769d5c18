# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of the camera rig from both CameraInfos and, optionally, from tf."""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.registration import CalibratedParameters
import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

# Rotation matrix, 9 numbers in row-major order, and translation in metres.
_Extrinsics = tuple[tuple[float, ...], tuple[float, ...]]


class TransformError(RuntimeError):
    """tf is not available."""


class RigCalibration:
    """
    Completes the calibration of the parameters with CameraInfo and tf.

    Parameters
    ----------
    node:
        The node that subscribes to tf.
    extrinsics:
        Source of the extrinsics: ``parameters`` or ``tf``.
    rectified:
        Whether the images are rectified. Their pinhole matrix is then ``P`` of CameraInfo.

    Attributes
    ----------
    camera_infos:
        The latest CameraInfo of ``thermal`` and ``rgb``.

    Raises
    ------
    TransformError
        ``extrinsics`` is ``tf`` and tf2_ros is missing. PyPI has no ROS wheel of tf2_ros.

    """

    def __init__(self, node: Node, extrinsics: str, rectified: bool) -> None:
        self._rectified = rectified
        self._tf = _TfLookup(node) if extrinsics == 'tf' else None
        self._extrinsics: _Extrinsics | None = None
        self.camera_infos: dict[str, Stamped[CameraInfo]] = {}

    def update_camera_info(self, stream: str, item: Stamped[CameraInfo]) -> bool:
        """Store a CameraInfo; return whether both are available and ``K`` of this one changed."""
        previous = self.camera_infos.get(stream)
        self.camera_infos[stream] = item
        changed = previous is None or list(previous.value.k) != list(item.value.k)
        return changed and len(self.camera_infos) == 2

    def look_up_extrinsics(self) -> bool:
        """Look up the extrinsics in tf; return whether they changed."""
        if self._tf is None or len(self.camera_infos) < 2:
            return False
        extrinsics = self._tf.look_up(*(self.camera_infos[stream].frame_id
                                        for stream in ('thermal', 'rgb')))
        changed = extrinsics is not None and extrinsics != self._extrinsics
        self._extrinsics = extrinsics or self._extrinsics
        return changed

    def find_problem(self) -> str:
        """Return a warning if the transform is missing in tf, else an empty string."""
        if self._tf is None or self._extrinsics is not None or len(self.camera_infos) < 2:
            return ''
        frames = [f"'{self.camera_infos[stream].frame_id}'" for stream in ('thermal', 'rgb')]
        return f'tf does not know the transform from {" to ".join(frames)}'

    def complete_calibration(self, configured: CalibratedParameters) -> CalibratedParameters:
        """Return ``configured`` with the intrinsics of CameraInfo and the extrinsics of tf."""
        calibration = configured
        # A focal length of 0 means that the camera is not calibrated.
        if len(self.camera_infos) == 2 and all(info.value.k[0]
                                               for info in self.camera_infos.values()):
            K_thermal, K_rgb = (
                tuple(compute_pinhole_matrix(self.camera_infos[stream].value,
                                             self._rectified).ravel().tolist())
                for stream in ('thermal', 'rgb'))
            calibration = replace(calibration, K_thermal=K_thermal, K_rgb=K_rgb)
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


def compute_pinhole_matrix(info: CameraInfo, rectified: bool) -> np.ndarray:
    """
    Return the pinhole matrix ``(3, 3)`` of the image as it is published.

    ``K`` and ``P`` refer to the full image (REP 104). Binning and a region of interest, which move
    the pixels, are taken into account.
    """
    full = np.array(info.p, np.float64).reshape(3, 4)[:, :3] if rectified else \
        np.array(info.k, np.float64).reshape(3, 3)
    binning = np.array([info.binning_x or 1, info.binning_y or 1], np.float64)
    offset_px = np.array([info.roi.x_offset, info.roi.y_offset])
    # The centre of a binned pixel is the centre of the pixels that it combines.
    full_to_image = np.diag([*1 / binning, 1.0])
    full_to_image[:2, 2] = (-offset_px - (binning - 1) / 2) / binning
    return full_to_image @ full


class _TfLookup:
    """Looks up the transform between two optical frames (REP 103: z forward, x right, y down)."""

    def __init__(self, node: Node) -> None:
        try:
            import tf2_ros
        except ModuleNotFoundError as error:
            raise TransformError(
                f"extrinsics 'tf' needs {error.name}: apt install ros-$ROS_DISTRO-tf2-ros-py; "
                "or set registration.calibrated.R_thermal_to_rgb and extrinsics 'parameters'"
            ) from None
        self._lookup_error: type[Exception] = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def look_up(self, thermal_frame_id: str, rgb_frame_id: str) -> _Extrinsics | None:
        """Return rotation and translation from thermal to RGB; None if tf has no transform."""
        try:
            transform = self._buffer.lookup_transform(rgb_frame_id, thermal_frame_id,
                                                      Time()).transform
        except self._lookup_error:
            return None
        q, t = transform.rotation, transform.translation
        from scipy.spatial.transform import Rotation  # takes 0.2 s and 20 MB, only tf needs it
        R_thermal_to_rgb = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        return tuple(R_thermal_to_rgb.ravel().tolist()), (t.x, t.y, t.z)

    def destroy(self) -> None:
        self._listener.unregister()
