# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Helper that writes images into bags, for tests of recordings."""

from __future__ import annotations

from ivf_ros import images
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.types import Frame
import numpy as np
from rosbags.typesys import get_typestore, Stores

_STORE = get_typestore(Stores.LATEST)
_NS_PER_S = 1_000_000_000


def write_image(bag: BagWriter, topic: str, frame: Frame, recorded_ns: int | None = None
                ) -> None:
    """Write a frame as ``sensor_msgs/Image``; by default it was recorded at its stamp."""
    encoding, data, step = images.encode(frame.image)
    width, height = frame.size
    types, (sec, nanosec) = _STORE.types, divmod(frame.stamp_ns, _NS_PER_S)
    header = types['std_msgs/msg/Header'](
        stamp=types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec),
        frame_id=frame.frame_id)
    message = types['sensor_msgs/msg/Image'](
        header=header, height=height, width=width, encoding=encoding, step=step, is_bigendian=0,
        data=np.frombuffer(data, np.uint8))
    bag.write_raw(topic, message.__msgtype__, _STORE.serialize_cdr(message, message.__msgtype__),
                  frame.stamp_ns if recorded_ns is None else recorded_ns)
