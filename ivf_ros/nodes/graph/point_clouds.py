# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Conversion of point clouds from and to ``sensor_msgs/PointCloud2``."""

from __future__ import annotations

from array import array

from ivf_ros.detection3d import ColoredCloud
from ivf_ros.nodes.graph.messages import make_header, MessageError, stamp_ns_of, Stamped
from ivf_ros.nodes.graph.transport import TypeAdapter
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

_FLOATS = {PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}
# As PCL and RViz read it: the bytes of rgb are blue, green, red and 0.
_COLORED_FIELDS = [PointField(name=name, offset=offset, datatype=datatype, count=1)
                   for name, offset, datatype in (
                       ('x', 0, PointField.FLOAT32), ('y', 4, PointField.FLOAT32),
                       ('z', 8, PointField.FLOAT32), ('rgb', 12, PointField.FLOAT32),
                       ('temperature', 16, PointField.FLOAT32),
                       ('class_id', 20, PointField.UINT16))]
_COLORED = np.dtype({'names': [field.name for field in _COLORED_FIELDS],
                     'formats': ['<f4', '<f4', '<f4', ('u1', 4), '<f4', '<u2'],
                     'offsets': [field.offset for field in _COLORED_FIELDS], 'itemsize': 24})


def points_to_message(item: Stamped[np.ndarray]) -> PointCloud2:
    """Make an unordered cloud of points ``(N, 3)`` with the fields x, y and z."""
    points = item.value.astype('<f4')
    fields = [PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
              for index, name in enumerate('xyz')]
    return _make_cloud(item, points.tobytes(), len(points), 12, fields)


def points_from_message(message: PointCloud2) -> Stamped[np.ndarray]:
    """
    Return the positions of a cloud, ``(N, 3)`` float; points that are NaN are kept.

    Raises
    ------
    MessageError
        A coordinate is missing or is no float, or the size of the data is wrong.

    """
    fields = {field.name: field for field in message.fields}
    missing = [name for name in 'xyz' if name not in fields]
    if missing:
        raise MessageError(f'a point cloud needs the fields x, y and z, got {sorted(fields)}')
    order = '>' if message.is_bigendian else '<'
    for name in 'xyz':
        if fields[name].datatype not in _FLOATS:
            raise MessageError(f"the field '{name}' of a point cloud must be FLOAT32 or FLOAT64, "
                               f'got datatype {fields[name].datatype}')
    size = f'a point cloud of {message.width}x{message.height} points has row_step ' \
           f'{message.row_step}, point_step {message.point_step} and {len(message.data)} bytes'
    row_bytes = message.width * message.point_step
    # The step of a single row is not used, and often not set.
    row_step = message.row_step if message.height > 1 else row_bytes
    # NumPy reads beyond the data where the steps do not fit.
    if row_step < row_bytes or message.height * row_step > len(message.data):
        raise MessageError(f'{size}: the data must have height * row_step bytes, and a row '
                           'width * point_step')
    try:
        layout = np.dtype({'names': list('xyz'),
                           'formats': [order + _FLOATS[fields[name].datatype] for name in 'xyz'],
                           'offsets': [fields[name].offset for name in 'xyz'],
                           'itemsize': message.point_step})
        points = np.ndarray((message.height, message.width), layout, message.data,
                            strides=(row_step, message.point_step))
    except (TypeError, ValueError) as error:
        raise MessageError(f'{size}: {error}') from None
    positions = np.column_stack([points[name].ravel() for name in 'xyz'])
    return Stamped(positions, stamp_ns_of(message.header), message.header.frame_id)


def colored_cloud_to_message(item: Stamped[ColoredCloud]) -> PointCloud2:
    """Make an unordered cloud with x, y, z, rgb, temperature (NaN if unknown) and class_id."""
    cloud = item.value
    points = np.zeros(len(cloud.points_m), _COLORED)
    for index, name in enumerate('xyz'):
        points[name] = cloud.points_m[:, index]
    points['rgb'][:, :3] = cloud.colors_bgr
    points['temperature'], points['class_id'] = cloud.celsius, cloud.labels
    return _make_cloud(item, points.tobytes(), len(points), _COLORED.itemsize, _COLORED_FIELDS)


def colored_cloud_from_message(message: PointCloud2) -> Stamped[ColoredCloud]:
    """
    Read a cloud of ``colored_cloud_to_message``.

    Raises
    ------
    MessageError
        The fields are others, or the size of the data is wrong.

    """
    if message.fields != _COLORED_FIELDS or message.point_step != _COLORED.itemsize:
        raise MessageError(f'a coloured cloud has the fields {list(_COLORED.names or ())}, got '
                           f'{[field.name for field in message.fields]}')
    try:
        points = np.frombuffer(message.data, _COLORED)
    except ValueError as error:  # an incomplete point at the end
        raise MessageError(f'{len(message.data)} bytes of a coloured cloud: {error}') from None
    cloud = ColoredCloud(np.column_stack([points[name] for name in 'xyz']), points['rgb'][:, :3],
                         points['temperature'], points['class_id'].astype(np.uint8))
    return Stamped(cloud, stamp_ns_of(message.header), message.header.frame_id)


def _make_cloud(item: Stamped, data: bytes, count: int, point_step: int,
                fields: list[PointField]) -> PointCloud2:
    message = PointCloud2(header=make_header(item.stamp_ns, item.frame_id), height=1, width=count,
                          fields=fields, point_step=point_step, row_step=point_step * count,
                          is_dense=True)
    message.data = array('B', data)
    return message


POINTS = TypeAdapter(PointCloud2, points_to_message, points_from_message)
COLORED_CLOUD = TypeAdapter(PointCloud2, colored_cloud_to_message, colored_cloud_from_message)
