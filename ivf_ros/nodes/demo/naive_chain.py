# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The chain that a user would write without this package, as a yardstick for ``ivf benchmark``.

A plain rclpy node subscribes to both cameras, converts each message to an array by the method of
cv_bridge, registers each pair by SIFT and RANSAC, fuses it by SeAFusion in float32, and publishes
the result. All of it happens in the callback of the RGB image.

    python3 -m ivf_ros.nodes.demo.naive_chain
"""

from __future__ import annotations

import os
import sys

import cv2
from ivf_ros import fusion
from ivf_ros.registration.sift import register_by_sift
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

_TYPES = {'mono8': (np.uint8, 1), 'mono16': (np.uint16, 1), 'bgr8': (np.uint8, 3),
          'rgb8': (np.uint8, 3)}


class NaiveChain(Node):
    """Publishes ``fused/image`` for each RGB image, with the latest thermal image."""

    def __init__(self) -> None:
        super().__init__('naive_chain')
        self._fuser = fusion.create('seafusion', **{'network.precision': 'float32',
                                                    'network.threads': os.cpu_count() or 1})
        self._thermal: Image | None = None
        self._publisher = self.create_publisher(Image, 'fused/image', 10)
        self.create_subscription(Image, 'thermal/image_raw', self._on_thermal,
                                 qos_profile_sensor_data)
        self.create_subscription(Image, 'rgb/image_raw', self._on_rgb, qos_profile_sensor_data)

    def _on_thermal(self, message: Image) -> None:
        self._thermal = message

    def _on_rgb(self, message: Image) -> None:
        if self._thermal is None:
            return
        thermal, rgb = to_array(self._thermal), to_array(message)
        thermal = cv2.normalize(thermal, None, 0, 255,  # type: ignore[call-overload]
                                cv2.NORM_MINMAX).astype(np.uint8)
        size = rgb.shape[1], rgb.shape[0]
        H = register_by_sift(thermal, cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY))
        registered = cv2.resize(thermal, size) if H is None \
            else cv2.warpPerspective(thermal, H, size)
        fused = self._fuser.fuse_gray(registered, rgb)
        self._publisher.publish(Image(
            header=message.header, height=size[1], width=size[0], encoding='bgr8',
            step=3 * size[0], data=fused.tobytes()))


def to_array(message: Image) -> np.ndarray:
    """Return the pixels of a message: ``(H, W)``, or ``(H, W, 3)`` BGR."""
    dtype, channels = _TYPES[message.encoding]
    pixels = np.frombuffer(bytes(message.data), dtype)
    image = pixels.reshape(message.height, message.width, *((channels,) if channels > 1 else ()))
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if message.encoding == 'rgb8' else image


def main() -> int:
    """Run the node until it is interrupted."""
    rclpy.init()
    node = NaiveChain()
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
