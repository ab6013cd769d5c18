# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the graph knows about the rig: both CameraInfos and, from tf, how the cameras stand."""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.registration import CalibratedParameters
import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo


_Extrinsics = tuple[tuple[float, ...], tuple[float, ...]]


class TransformError(RuntimeError):
    """tf cannot be asked here."""


class RigCalibration:
    """
    Completes the calibration that the parameters give by what the graph knows.

    Parameters
    ----------
    node:
        Listens to tf.
    extrinsics:
        ``parameters`` or ``tf``.
    rectified:
        Whether the images are rectified: ``P`` of CameraInfo is then their pinhole matrix.

    Raises
    ------
    TransformError
        ``extrinsics`` is ``tf`` and tf2_ros, which no ROS wheel of PyPI holds, is missing.

    """

    def __init__(self, node: Node, extrinsics: str, rectified: bool) -> None:
        self._rectified = rectified
        self._tf = _Tf(node) if extrinsics == 'tf' else None
        self._extrinsics: _Extrinsics | None = None
        self.camera_infos: dict[str, Stamped[CameraInfo]] = {}

    def update_camera_info(self, stream: str, item: Stamped[CameraInfo]) -> bool:
        """Take in a CameraInfo; return whether both are known now and something is new."""
        known = self.camera_infos.get(stream)
        self.camera_infos[stream] = item
        changed = known is None or list(known.value.k) != list(item.value.k)
        return changed and len(self.camera_infos) == 2

    def look_up_extrinsics(self) -> bool:
        """Ask tf; return whether it knows something new."""
        if self._tf is None or len(self.camera_infos) < 2:
            return False
        found = self._tf.thermal_to_rgb(*(self.camera_infos[stream].frame_id
                                          for stream in ('thermal', 'rgb')))
        changed = found is not None and found != self._extrinsics
        self._extrinsics = found or self._extrinsics
        return changed

    def find_problem(self) -> str:
        """Say that tf does not know what it shall tell."""
        if self._tf is None or self._extrinsics is not None or len(self.camera_infos) < 2:
            return ''
        frames = [f"'{self.camera_infos[stream].frame_id}'" for stream in ('thermal', 'rgb')]
        return f'tf does not know the transform from {" to ".join(frames)}'

    def calibration(self, configured: CalibratedParameters) -> CalibratedParameters:
        """Return what is known by now: ``configured``, intrinsics of CameraInfo, extrinsics of tf."""
        known = configured
        # A camera that is not calibrated says so by a focal length of 0.
        if len(self.camera_infos) == 2 and all(info.value.k[0]
                                               for info in self.camera_infos.values()):
            K_thermal, K_rgb = (
                tuple(pinhole(self.camera_infos[stream].value, self._rectified).ravel().tolist())
                for stream in ('thermal', 'rgb'))
            known = replace(known, K_thermal=K_thermal, K_rgb=K_rgb)
        if self._tf is None:
            return known
        if self._extrinsics is None:  # nothing is better than a rig that is turned wrongly
            return replace(known, K_thermal=(), K_rgb=())
        R_thermal_to_rgb, t_thermal_to_rgb_m = self._extrinsics
        return replace(known, R_thermal_to_rgb=R_thermal_to_rgb,
                       t_thermal_to_rgb_m=t_thermal_to_rgb_m)

    def destroy(self) -> None:
        """Cease to listen."""
        if self._tf is not None:
            self._tf.destroy()


def pinhole(info: CameraInfo, rectified: bool) -> np.ndarray:
    """
    Return the pinhole matrix ``(3, 3)`` of the image as it is published.

    ``K`` and ``P`` are those of the full image (REP 104); binning and a region of interest, which
    change where a pixel lies, are taken into account.
    """
    full = np.array(info.p, np.float64).reshape(3, 4)[:, :3] if rectified else \
        np.array(info.k, np.float64).reshape(3, 3)
    binning = np.array([info.binning_x or 1, info.binning_y or 1], np.float64)
    offset_px = np.array([info.roi.x_offset, info.roi.y_offset])
    # The middle of the first binned pixel is that of the pixels which it holds.
    to_image = np.diag([*1 / binning, 1.0])
    to_image[:2, 2] = (-offset_px - (binning - 1) / 2) / binning
    return to_image @ full


class _Tf:
    """The transform between two optical frames (REP 103: z forward, x right, y down)."""

    def __init__(self, node: Node) -> None:
        try:
            import tf2_ros
        except ModuleNotFoundError as error:
            raise TransformError(
                f"extrinsics 'tf' needs {error.name}: apt install ros-$ROS_DISTRO-tf2-ros-py; "
                "or give them as calibrated.R_thermal_to_rgb with extrinsics 'parameters'"
            ) from None
        self._lookup_error: type[Exception] = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def thermal_to_rgb(self, thermal_frame_id: str, rgb_frame_id: str
                       ) -> _Extrinsics | None:
        """Return rotation, nine numbers, and translation in metres; None where unknown."""
        try:
            found = self._buffer.lookup_transform(rgb_frame_id, thermal_frame_id, Time())
        except self._lookup_error:
            return None
        q, t = found.transform.rotation, found.transform.translation
        R_thermal_to_rgb = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        return tuple(R_thermal_to_rgb.ravel().tolist()), (t.x, t.y, t.z)

    def destroy(self) -> None:
        self._listener.unregister()
