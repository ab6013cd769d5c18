# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Annotations of detections for viewers: ImageMarker and foxglove_msgs/ImageAnnotations."""

from __future__ import annotations

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.detection import class_color_bgr  # noqa: E402, I100
from ivf_ros.nodes.detection_node import DetectionNode  # noqa: E402
from ivf_ros.nodes.graph import annotations  # noqa: E402
from ivf_ros.nodes.graph.messages import MessageError, Stamped  # noqa: E402
from ivf_ros.nodes.graph.perception_output import DetectionOutput  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
from ivf_ros.types import Detection, Frame  # noqa: E402
from visualization_msgs.msg import ImageMarker  # noqa: E402

PERSON = Detection((10.0, 20.0, 30.0, 60.0), 'person', 0.75, '12', maximum_celsius=36.4)
CAR = Detection((0.0, 0.0, 5.0, 5.0), 'vehicle', 0.5)
ITEM = Stamped([PERSON, CAR], 3_000_000_007, 'rgb')


def test_an_image_marker_has_the_lines_of_all_boxes_in_the_colours_of_the_classes():
    marker = annotations.IMAGE_MARKER.to_message(ITEM)
    assert (marker.type, marker.action) == (ImageMarker.LINE_LIST, ImageMarker.ADD)
    assert (marker.header.frame_id, marker.header.stamp.nanosec) == ('rgb', 7)
    points = np.array([(point.x, point.y) for point in marker.points])
    lines = {tuple(sorted(map(tuple, pair))) for pair in points[:8].reshape(4, 2, 2).tolist()}
    # The outer edges of the pixels 10 to 29 and 20 to 59, with pixel centres at integers.
    corners = [(9.5, 19.5), (29.5, 19.5), (29.5, 59.5), (9.5, 59.5)]
    assert lines == {tuple(sorted((corners[i], corners[(i + 1) % 4]))) for i in range(4)}
    assert len(marker.outline_colors) == len(points) == 16
    blue, green, red = class_color_bgr('vehicle')
    last = marker.outline_colors[-1]
    np.testing.assert_allclose((last.b, last.g, last.r, last.a),
                               (blue / 255, green / 255, red / 255, 1.0))


def test_without_detections_the_marker_is_removed():
    marker = annotations.IMAGE_MARKER.to_message(Stamped([], 1, 'rgb'))
    assert marker.action == ImageMarker.REMOVE and not marker.points


def test_foxglove_annotations_have_an_outline_and_a_label_of_each_box():
    if annotations.ANNOTATIONS is None:
        pytest.skip('foxglove_msgs is not installed')
    message = annotations.ANNOTATIONS.to_message(ITEM)
    outline, label = message.points[0], message.texts[0]
    assert outline.type == outline.LINE_LOOP
    assert [(point.x, point.y) for point in outline.points] == [
        (10.0, 20.0), (30.0, 20.0), (30.0, 60.0), (10.0, 60.0)]
    assert (label.text, label.position.x, label.position.y) == ('person #12 0.75 36 C', 10.0, 20.0)
    assert outline.timestamp.nanosec == label.timestamp.nanosec == 7
    assert [text.text for text in message.texts][1] == 'vehicle 0.50'


def test_drawings_are_not_read_as_results():
    marker = annotations.IMAGE_MARKER.to_message(ITEM)
    with pytest.raises(MessageError, match='ImageMarker is drawn by viewers'):
        annotations.IMAGE_MARKER.from_message(marker)


@pytest.fixture
def output(live_graph) -> DetectionOutput:
    """Return the outputs of detections of a node."""
    return DetectionOutput(live_graph.add(DetectionNode, Hub()))


def publish_until(output, condition) -> bool:
    frame = Frame(np.zeros((80, 80, 3), np.uint8), 5, 'rgb')
    return wait_until(lambda: output.publish([PERSON], frame) or condition())


def test_annotations_reach_viewers_and_only_while_they_subscribe(live_graph, output):
    assert not output.has_subscribers
    received: list = []
    live_graph.node('viewer').create_subscription(ImageMarker, 'detections/markers',
                                                  received.append, 5)
    assert wait_until(lambda: output.has_subscribers)
    assert publish_until(output, lambda: received)
    assert len(received[0].points) == 8 and received[0].header.frame_id == 'rgb'


def test_annotations_for_foxglove_reach_viewers(live_graph, output):
    if annotations.ANNOTATIONS is None:
        pytest.skip('foxglove_msgs is not installed')
    received: list = []
    live_graph.node('viewer').create_subscription(
        annotations.ANNOTATIONS.message_type, 'detections/annotations', received.append, 5)
    assert publish_until(output, lambda: received)
    assert received[0].texts[0].text == 'person #12 0.75 36 C'


def test_without_foxglove_msgs_the_topic_is_missing_and_the_log_says_it(live_graph, monkeypatch):
    monkeypatch.setattr(annotations, 'ANNOTATIONS', None)
    logged: list[str] = []
    node = live_graph.add(DetectionNode, Hub())
    monkeypatch.setattr(node.get_logger(), 'info',
                        lambda text, once=False: logged.append(f'{once} {text}'))
    publishers = annotations.advertise_annotations(node, 'detections')
    assert [publisher.topic_name for publisher in publishers] == ['/detections/markers']
    assert len(logged) == 1 and 'foxglove_msgs is not installed' in logged[0]
    assert logged[0].startswith('True')
