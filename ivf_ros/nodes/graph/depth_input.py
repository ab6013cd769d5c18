# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Input of depth: images or point clouds, and the calibrations that place them on the RGB grid."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

from ivf_ros.camera_input import CameraGeometry
from ivf_ros.camera_model import CameraModel, CameraModelError
from ivf_ros.detection3d import CalibratedCamera, DepthError, Detection3dStage, Extrinsics
from ivf_ros.nodes.graph import messages, topic_checks
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.point_clouds import POINTS
from ivf_ros.nodes.graph.rig import TfLookup
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.stamped_buffer import StampedBuffer
from ivf_ros.types import Frame
import numpy as np
from sensor_msgs.msg import CameraInfo


class DepthSubscriber:
    """
    Subscribes a node to depth and returns the depth on the RGB grid at a moment; thread-safe.

    The parameters of the node are ``Detection3dNodeParameters``.

    Parameters
    ----------
    node:
        The subscribing node.
    is_needed:
        Returns whether the results of the node have subscribers.
    rgb:
        The RGB camera, as its images are corrected.
    tf:
        Gives the pose of the depth sensor; None takes that of the parameters.

    """

    def __init__(self, node: StageNode, is_needed: Callable[[], bool], rgb: CameraGeometry,
                 tf: TfLookup | None) -> None:
        self._node, self._is_needed, self._rgb, self._tf = node, is_needed, rgb, tf
        self._depth: StampedBuffer[Frame | Stamped[np.ndarray]] = StampedBuffer()
        self._depth_model: CameraModel | None = None
        self._cameras: dict[str, CalibratedCamera] = {}  # they keep the rays of their pixels
        self._lock = threading.Lock()
        self._latest: tuple[object, CalibratedCamera, np.ndarray] | None = None
        self._last_arrival_s = time.monotonic()
        p = node.parameters
        self.problem = ''
        self._info_topic = node.subscribe(
            messages.CAMERA_INFO, 'rgb/camera_info', self._on_rgb_info).topic_name
        if p.depth_source == 'camera':
            node.subscribe(messages.CAMERA_INFO, 'depth/camera_info', self._on_depth_info)
        adapter, topic = (POINTS, 'depth/points') if p.depth_source == 'points' \
            else resolve_transport('depth/image', p.depth_transport)
        self._topic = node.resolve_topic_name(topic)
        node.subscribe_while(is_needed, adapter, topic, self._on_depth)

    def camera(self) -> CalibratedCamera | None:
        """Return the RGB camera, or None while its calibration is unknown or does not fit."""
        try:
            camera = CalibratedCamera.from_geometry(self._rgb, self._node.parameters.rectified)
        except CameraModelError as error:
            self.problem = f"'{self._info_topic}' is not used: {error}"
            return None
        if camera is None:
            self.problem = f"nothing received on '{self._info_topic}', which gives the rays of " \
                f'the pixels ({topic_checks.explain_silence(self._node, self._info_topic)})'
            return None
        return self._reuse('rgb', camera)

    def find(self, stamp_ns: int, frame_id: str, camera: CalibratedCamera) -> np.ndarray | None:
        """
        Return the depth ``(H, W)`` on the RGB grid at a moment; see ``Detection3dStage``.

        None if there is none within the tolerance, or if it cannot be placed on the grid. The
        reason is then in ``problem``.
        """
        p = self._node.parameters
        item = self._depth.find(stamp_ns, round(p.depth_tolerance_s * 1e9))
        if item is None:
            if self._depth.count:
                self.problem = f"the stamps of '{self._topic}' and of RGB differ by more than " \
                    f'depth_tolerance_s = {p.depth_tolerance_s:g}'
            return None
        with self._lock:  # detections and point clouds often use the same depth
            if self._latest is None or self._latest[0] is not item \
                    or self._latest[1] is not camera:
                depth_m = self._place(item, frame_id, camera)
                if depth_m is None:
                    return None
                self._latest = item, camera, depth_m
            self.problem = ''
            return self._latest[2]

    def find_problem(self) -> str:
        """Return a warning if there are no results that are needed, else an empty string."""
        now_s, limit_s = time.monotonic(), topic_checks.SILENCE_TIMEOUT_S
        if not self._is_needed():
            self._last_arrival_s = now_s
            return ''
        if now_s - self._last_arrival_s > limit_s:
            return (f"nothing received for {limit_s:g} s on '{self._topic}' "
                    f'({topic_checks.explain_silence(self._node, self._topic)})')
        return self.problem

    def _place(self, item: Frame | Stamped[np.ndarray], frame_id: str, camera: CalibratedCamera
               ) -> np.ndarray | None:
        stage: Detection3dStage = self._node.stage
        source, extrinsics = self._node.parameters.depth_source, None
        if self._tf is not None:
            found = self._tf.look_up(item.frame_id, frame_id)
            if found is None:
                self.problem = f"tf does not know the transform from '{item.frame_id}' to " \
                    f"'{frame_id}'"
                return None
            extrinsics = Extrinsics(np.reshape(found[0], (3, 3)), np.array(found[1]))
        try:
            if isinstance(item, Stamped):
                return stage.depth_from_points(item.value, camera, extrinsics)
            if source == 'registered':
                return stage.depth_from_registered(item.image, camera)
            if self._depth_model is None:
                self.problem = "nothing received on 'depth/camera_info'"
                return None
            depth_camera = self._reuse('depth', CalibratedCamera(
                self._depth_model.fit_to_image(item.size)))
            return stage.depth_from_camera(item.image, depth_camera, camera, extrinsics)
        except (DepthError, CameraModelError) as error:
            self.problem = f"'{self._topic}' is not used: {error}"
            return None

    def _reuse(self, name: str, camera: CalibratedCamera) -> CalibratedCamera:
        """Return the earlier object of the same calibration, which knows its rays."""
        if not camera.is_same(self._cameras.get(name)):
            self._cameras[name] = camera
        return self._cameras[name]

    def _on_depth(self, item: Frame | Stamped[np.ndarray]) -> None:
        self._last_arrival_s = time.monotonic()
        self._depth.add(item)

    def _on_rgb_info(self, item: Stamped[CameraInfo]) -> None:
        self._rgb.set_model(messages.camera_model_of(item.value))

    def _on_depth_info(self, item: Stamped[CameraInfo]) -> None:
        self._depth_model = messages.camera_model_of(item.value)
