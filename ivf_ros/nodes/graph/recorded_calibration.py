# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""CameraInfo of a recording or the simulator, published with the images of its camera."""

from __future__ import annotations

from ivf_ros.data.bags.camera_info import RecordedCameraInfo
from ivf_ros.data.sources import Source
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.types import Frame
from sensor_msgs.msg import CameraInfo, RegionOfInterest


class RecordedCalibration:
    """
    Publishes ``thermal/camera_info`` and ``rgb/camera_info`` where the source has them.

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
