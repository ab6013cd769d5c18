# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Messages of detections in space: Detection3DArray, and markers for RViz and Foxglove."""

from __future__ import annotations

from itertools import product

from geometry_msgs.msg import Point
from ivf_ros.detection import class_color_bgr, describe
from ivf_ros.detection3d import Detection3d
from ivf_ros.nodes.graph.messages import (
    color_message,
    make_header,
    MessageError,
    refuse_drawing,
    stamp_ns_of,
    Stamped,
)
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.types import Detection
import numpy as np
from std_msgs.msg import Header
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

_LINE_WIDTH_M = 0.03
_TEXT_HEIGHT_M = 0.25
_CORNERS = np.array(list(product((-0.5, 0.5), repeat=3)))  # of a box of size 1
_EDGES = [(a, b) for a in range(8) for b in range(a)
          if np.abs(_CORNERS[a] - _CORNERS[b]).sum() == 1]


def detections3d_to_message(item: Stamped[list[Detection3d]]) -> Detection3DArray:
    """
    Make a Detection3DArray with the header of the RGB image.

    ``bbox`` contains the visible surface. The pose of the hypothesis is the position with its
    covariance. All axes are those of the optical frame.
    """
    header = make_header(item.stamp_ns, item.frame_id)
    return Detection3DArray(header=header,
                            detections=[_to_message(found, header) for found in item.value])


def detections3d_from_message(message: Detection3DArray) -> Stamped[list[Detection3d]]:
    """
    Read detections in space, without their boxes in the image and their number of pixels.

    Raises
    ------
    MessageError
        A detection has no hypothesis.

    """
    found = []
    for detection in message.detections:
        if not detection.results:
            raise MessageError('a detection has no hypothesis; got 0, need at least 1')
        first = detection.results[0]
        found.append(Detection3d(
            Detection((0.0, 0.0, 0.0, 0.0), first.hypothesis.class_id, first.hypothesis.score,
                      detection.id),
            _to_array(first.pose.pose.position),
            np.array(first.pose.covariance).reshape(6, 6)[:3, :3],
            _to_array(detection.bbox.center.position), _to_array(detection.bbox.size), 0))
    return Stamped(found, stamp_ns_of(message.header), message.header.frame_id)


def markers_to_message(item: Stamped[list[Detection3d]]) -> MarkerArray:
    """Make the edges of all boxes and a label above each; they replace those of before."""
    header = make_header(item.stamp_ns, item.frame_id)
    boxes = Marker(header=header, ns='boxes', type=Marker.LINE_LIST, action=Marker.ADD)
    boxes.pose.orientation.w = 1.0
    boxes.scale.x = _LINE_WIDTH_M
    labels = []
    for index, found in enumerate(item.value):
        color = color_message(class_color_bgr(found.detection.class_name))
        corners = [_to_point(corner) for corner in found.center_m + _CORNERS * found.size_m]
        boxes.points += [corners[end] for edge in _EDGES for end in edge]
        boxes.colors += [color] * (2 * len(_EDGES))
        label = Marker(header=header, ns='labels', id=index, type=Marker.TEXT_VIEW_FACING,
                       action=Marker.ADD, color=color,
                       text=f'{describe(found.detection)} {found.position_m[2]:.1f} m')
        top = found.center_m - (0.0, found.size_m[1] / 2 + _TEXT_HEIGHT_M, 0.0)  # y is down
        label.pose.position, label.pose.orientation.w = _to_point(top), 1.0
        label.scale.z = _TEXT_HEIGHT_M
        labels.append(label)
    clear = Marker(header=header, action=Marker.DELETEALL)
    return MarkerArray(markers=[clear, *([boxes] if labels else []), *labels])


def _to_message(found: Detection3d, header: Header) -> Detection3D:
    message = Detection3D(header=header, id=found.detection.track_id)
    message.bbox.center.position = _to_point(found.center_m)
    message.bbox.center.orientation.w = 1.0
    size = message.bbox.size
    size.x, size.y, size.z = map(float, found.size_m)
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = found.detection.class_name
    result.hypothesis.score = float(found.detection.score)
    result.pose.pose.position = _to_point(found.position_m)
    result.pose.pose.orientation.w = 1.0
    covariance = np.zeros((6, 6))
    covariance[:3, :3] = found.covariance_m2
    result.pose.covariance = covariance.ravel()
    message.results = [result]
    return message


def _to_point(values_m: np.ndarray) -> Point:
    x, y, z = map(float, values_m)
    return Point(x=x, y=y, z=z)


def _to_array(message: object) -> np.ndarray:
    return np.array([getattr(message, name) for name in 'xyz'])


DETECTIONS_3D = TypeAdapter(Detection3DArray, detections3d_to_message, detections3d_from_message)
MARKERS: TypeAdapter[Stamped[list[Detection3d]]] = TypeAdapter(
    MarkerArray, markers_to_message, refuse_drawing)
