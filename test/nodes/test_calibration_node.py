# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The node that collects the views of a calibration, on a live graph."""

from __future__ import annotations

import time

from conftest import wait_until
from ivf_ros.calibration.boards import Board, BoardParameters, BoardPoints
from ivf_ros.calibration.view_collection import ViewCollection
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from ivf_ros.nodes.calibration_node import CalibrationNode  # noqa: E402, I100
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402

BOARD = Board(BoardParameters(columns=4, rows=6, square_m=0.05))


class PixelBoard:
    """A board whose first point lies where the first pixel says."""

    symmetries = BOARD.symmetries

    def find(self, gray: np.ndarray) -> BoardPoints | None:
        if not gray[0, 0]:
            return None
        points_px = BOARD.points_m[:, :2] * 400 + float(gray[0, 0])
        return BoardPoints(np.arange(len(points_px)), points_px)


def test_still_views_are_collected_from_the_topics_of_both_cameras(live_graph):
    collection, lines = ViewCollection(PixelBoard(), select=True), []
    node = live_graph.add(CalibrationNode, collection, lines.append)
    assert node.autostart()
    cameras = live_graph.node('cameras')
    publishers = {stream: cameras.create_publisher(messages.IMAGE.message_type,
                                                   f'{stream}/image_raw', 5)
                  for stream in ('thermal', 'rgb')}
    assert wait_until(lambda: all(publisher.get_subscription_count()
                                  for publisher in publishers.values()))

    def show(position: int) -> bool:
        """Show the board at a place until it becomes a view."""
        before, deadline_s = len(collection.views), time.monotonic() + 10
        while time.monotonic() < deadline_s:
            stamp_ns = time.time_ns()
            for stream, shape in (('thermal', (120, 160)), ('rgb', (120, 160, 3))):
                image = np.full(shape, position, np.uint8)
                publishers[stream].publish(messages.image_to_message(
                    Frame(image, stamp_ns, f'{stream}_optical_frame')))
            if wait_until(lambda: len(collection.views) > before, 0.1):
                return True
        return False

    assert show(5) and show(40)
    assert not collection.views[0].name.startswith('0.')
    assert collection.pair_count == 2 and len(lines) == 2
    assert 'views with the board: 2 thermal, 2 rgb, 2 both; not yet in' in lines[-1]
