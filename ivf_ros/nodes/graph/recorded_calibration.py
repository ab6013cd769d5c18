# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo and tf of a recording or the simulator."""

from __future__ import annotations

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from ivf_ros.data.bags.calibration import RecordedCameraInfo, RecordedTransform
from ivf_ros.data.sources import Source
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import LATCHED_QOS
from ivf_ros.types import Frame
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from tf2_msgs.msg import TFMessage


class RecordedCalibration:
    """
    Publishes ``thermal/camera_info``, ``rgb/camera_info`` and ``/tf_static`` of a source.

    What the source does not have is not published. The camera infos go with the images of their
    camera, the transforms are latched.

    Parameters
    ----------
    node:
        The node that publishes.
    source:
        The source; bags and the simulator may have a calibration.

    """

    def __init__(self, node: StageNode, source: Source) -> None:
        infos: dict[str, RecordedCameraInfo] = getattr(source, 'camera_infos', {})
        self._messages = {stream: _make_message(info) for stream, info in infos.items()}
        self._publishers = {stream: node.advertise(messages.CAMERA_INFO, f'{stream}/camera_info')
                            for stream in infos}
        transforms: list[RecordedTransform] = getattr(source, 'static_transforms', [])
        self._node, self._tf_publisher = node, None
        if transforms:
            self._tf_publisher = node.create_publisher(TFMessage, '/tf_static', LATCHED_QOS)
            self._tf_publisher.publish(TFMessage(
                transforms=[_make_transform(transform) for transform in transforms]))

    def destroy(self) -> None:
        """End the publication of the transforms; cleanup of the node ends the other ones."""
        if self._tf_publisher is not None:
            self._node.destroy_publisher(self._tf_publisher)

    def publish(self, stream: str, frame: Frame) -> None:
        """Publish the calibration of a camera with the stamp and the frame of its image."""
        if stream in self._messages:
            info = self._messages[stream]
            self._publishers[stream].publish(Stamped(
                info, frame.stamp_ns, frame.frame_id or info.header.frame_id))


def _make_message(info: RecordedCameraInfo) -> CameraInfo:
    x_offset, y_offset, height, width, do_rectify = info.roi
    message = CameraInfo(
        width=info.width, height=info.height, distortion_model=info.distortion_model,
        d=list(info.d), k=list(info.k), r=list(info.r), p=list(info.p),
        binning_x=info.binning_x, binning_y=info.binning_y,
        roi=RegionOfInterest(x_offset=x_offset, y_offset=y_offset, height=height, width=width,
                             do_rectify=do_rectify))
    message.header.frame_id = info.frame_id
    return message


def _make_transform(recorded: RecordedTransform) -> TransformStamped:
    """Return a transform with a stamp of 0: one of ``/tf_static`` holds at any time."""
    x, y, z, w = recorded.rotation_xyzw
    t_x_m, t_y_m, t_z_m = recorded.translation_m
    message = TransformStamped(
        child_frame_id=recorded.child_frame_id,
        transform=Transform(rotation=Quaternion(x=x, y=y, z=z, w=w),
                            translation=Vector3(x=t_x_m, y=t_y_m, z=t_z_m)))
    message.header.frame_id = recorded.parent_frame_id
    return message
