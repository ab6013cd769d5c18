# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Detections as lines and text that a viewer draws over an image of its own.

An overlay is an image and costs its bandwidth. Annotations are a few hundred bytes.
"""

from __future__ import annotations

from geometry_msgs.msg import Point
from ivf_ros.detection import class_color_bgr, describe
from ivf_ros.nodes.graph.messages import color_message, make_header, refuse_drawing, Stamped
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Publisher, TypeAdapter
from ivf_ros.types import Detection
from visualization_msgs.msg import ImageMarker

try:
    from foxglove_msgs import msg as foxglove
except ModuleNotFoundError:
    foxglove = None

_LINE_WIDTH_PX = 2.0
_FONT_SIZE_PX = 14.0
_HALF_PIXEL = 0.5  # from the edges of boxes to pixel coordinates with centres at integers


def image_marker_from_detections(item: Stamped[list[Detection]]) -> ImageMarker:
    """
    Make one ImageMarker with the outlines of all boxes in the colours of their classes.

    The type has no text. Pixel centres are at integers. Without a box the marker is removed.
    """
    marker = ImageMarker(header=make_header(item.stamp_ns, item.frame_id), ns='detections',
                         type=ImageMarker.LINE_LIST, scale=_LINE_WIDTH_PX,
                         action=ImageMarker.ADD if item.value else ImageMarker.REMOVE)
    for detection in item.value:
        corners = [Point(x=x - _HALF_PIXEL, y=y - _HALF_PIXEL) for x, y in _corners(detection)]
        marker.points += [point for edge in zip(corners, corners[1:] + corners[:1])
                          for point in edge]
        color = color_message(class_color_bgr(detection.class_name))
        marker.outline_colors += [color] * 8
    return marker


def annotations_from_detections(item: Stamped[list[Detection]]) -> object:
    """
    Make the ``foxglove_msgs/ImageAnnotations`` of detections: an outline and a label of each.

    The coordinates begin at the outer corner of the first pixel, as those of the boxes do.
    """
    stamp = make_header(item.stamp_ns, item.frame_id).stamp
    annotations = foxglove.ImageAnnotations()
    for detection in item.value:
        blue, green, red = (value / 255 for value in class_color_bgr(detection.class_name))
        color = foxglove.Color(r=red, g=green, b=blue, a=1.0)
        corners = [foxglove.Point2(x=float(x), y=float(y)) for x, y in _corners(detection)]
        annotations.points.append(foxglove.PointsAnnotation(
            timestamp=stamp, type=foxglove.PointsAnnotation.LINE_LOOP, points=corners,
            outline_color=color, thickness=_LINE_WIDTH_PX))
        annotations.texts.append(foxglove.TextAnnotation(
            timestamp=stamp, position=corners[0], text=describe(detection),
            font_size=_FONT_SIZE_PX, text_color=foxglove.Color(a=1.0), background_color=color))
    return annotations


_Adapter = TypeAdapter[Stamped[list[Detection]]]
IMAGE_MARKER: _Adapter = TypeAdapter(ImageMarker, image_marker_from_detections, refuse_drawing)
ANNOTATIONS: _Adapter | None = None if foxglove is None else TypeAdapter(
    foxglove.ImageAnnotations, annotations_from_detections, refuse_drawing)


def advertise_annotations(node: StageNode, topic: str
                          ) -> list[Publisher[Stamped[list[Detection]]]]:
    """
    Return the publishers of ``<topic>/markers`` and ``<topic>/annotations``.

    Where foxglove_msgs is not installed, the second one is missing, which is logged once.
    """
    publishers = [node.advertise(IMAGE_MARKER, f'{topic}/markers')]
    if ANNOTATIONS is not None:
        return [*publishers, node.advertise(ANNOTATIONS, f'{topic}/annotations')]
    node.get_logger().info(f"'{topic}/annotations' is not advertised: foxglove_msgs is not "
                           'installed (apt install ros-$ROS_DISTRO-foxglove-msgs)', once=True)
    return publishers


def _corners(detection: Detection) -> list[tuple[float, float]]:
    """Return the corners of the box, around it from the upper left one."""
    left, top, right, bottom = detection.box_xyxy_px
    return [(left, top), (right, top), (right, bottom), (left, bottom)]
