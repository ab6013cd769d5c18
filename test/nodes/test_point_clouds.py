# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Point clouds of other nodes: layouts that are read, and layouts that are refused."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='messages need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.detection3d import ColoredCloud  # noqa: E402, I100
from ivf_ros.nodes.graph import point_clouds  # noqa: E402
from ivf_ros.nodes.graph.messages import MessageError, Stamped  # noqa: E402
from sensor_msgs.msg import PointCloud2, PointField  # noqa: E402

POINTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def make_cloud(height=1, padding=0, change=None) -> PointCloud2:
    """Return a cloud of float32 with ``padding`` bytes behind each point and each row."""
    rows = POINTS.reshape(height, -1, 3)
    width, point_step = rows.shape[1], 12 + padding
    data = b''.join(b''.join(point.tobytes() + bytes(padding) for point in row) + bytes(padding)
                    for row in rows)
    cloud = PointCloud2(
        height=height, width=width, point_step=point_step,
        row_step=width * point_step + padding, fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate('xyz')])
    cloud.data = data
    for name, value in (change or {}).items():
        setattr(cloud, name, value)
    return cloud


@pytest.mark.parametrize('height, padding', [(1, 0), (1, 4), (2, 0), (2, 4), (4, 8)])
def test_rows_and_points_may_be_padded(height, padding):
    cloud = make_cloud(height=height, padding=padding)
    np.testing.assert_array_equal(point_clouds.points_from_message(cloud).value, POINTS)


def test_the_step_of_a_single_row_is_not_used():
    cloud = make_cloud(change={'row_step': 0})
    np.testing.assert_array_equal(point_clouds.points_from_message(cloud).value, POINTS)


def test_an_empty_cloud_has_no_points():
    cloud = make_cloud(change={'width': 0, 'row_step': 0, 'data': b''})
    assert point_clouds.points_from_message(cloud).value.shape == (0, 3)


@pytest.mark.parametrize('change', [
    {'data': b''}, {'width': 5}, {'width': 2 ** 31}, {'height': 2, 'row_step': 48},
    {'height': 2 ** 31, 'row_step': 0},  # NumPy would read one row for ever
    {'height': 2 ** 31, 'row_step': 48}, {'height': 4, 'width': 4, 'row_step': 1},
    {'width': 2 ** 31, 'point_step': 0}, {'point_step': 4}, {'point_step': 11},
    {'width': 1, 'point_step': 2 ** 31, 'row_step': 2 ** 31}])
def test_sizes_that_do_not_fit_the_data_are_refused(change):
    with pytest.raises(MessageError, match='a point cloud of'):
        point_clouds.points_from_message(make_cloud(change=change))


def test_an_incomplete_coloured_point_is_refused():
    item = Stamped(ColoredCloud(POINTS, np.zeros((4, 3), np.uint8), np.zeros(4, np.float32),
                                np.zeros(4, np.uint8)), 5, 'camera')
    cloud = point_clouds.colored_cloud_to_message(item)
    assert len(point_clouds.colored_cloud_from_message(cloud).value.points_m) == 4
    cloud.data = cloud.data[:-1]
    with pytest.raises(MessageError, match='95 bytes of a coloured cloud'):
        point_clouds.colored_cloud_from_message(cloud)
