# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Two simulated cameras whose images, messages and stamps can be changed while they send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import threading
import time
from typing import Any

import cv2
from ivf_ros import geometry
from ivf_ros.nodes.demo.scene import render_scene
from ivf_ros.nodes.graph import messages
from ivf_ros.pairing import STREAMS
from ivf_ros.types import Frame
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy

_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


@dataclass
class Camera:
    """
    What a camera sends; each attribute may be replaced while it does.

    Attributes
    ----------
    change_image:
        Returns the image that is sent instead of a rendered one.
    change_message:
        Returns the message that is sent instead, or None to send none.
    change_stamp_ns:
        Returns the stamp that is sent, for the true one and the number of the image.
    rate_factor:
        Images that are sent at each tick.

    """

    change_image: Callable[[np.ndarray], np.ndarray] = field(default=lambda image: image)
    change_message: Callable[[Any], Any] = field(default=lambda message: message)
    change_stamp_ns: Callable[[int, int], int] = field(default=lambda stamp_ns, number: stamp_ns)
    rate_factor: int = 1


class Cameras:
    """
    Publishes ``thermal/image_raw`` and ``rgb/image_raw`` in a thread.

    Parameters
    ----------
    node:
        The node that publishes.
    size:
        Width and height of both images in pixels.
    rate_hz:
        Rate of both cameras.

    Attributes
    ----------
    camera:
        What each camera sends, by stream.
    H_thermal_to_rgb, thermal_size:
        The true homography, and the size for which it holds; a fault may change them.
    pairs:
        What is rendered: thermal and RGB, again and again.
    period_s:
        Time from a pair to the next one.

    """

    def __init__(self, node: Node, size: tuple[int, int], rate_hz: float) -> None:
        self.size = size
        self._H_rendered, self.pairs = render_scene('day', size, rate_hz)
        self.period_s = 1 / rate_hz
        self._publishers: list[Any] = [
            node.create_publisher(messages.IMAGE.message_type, f'{stream}/image_raw', _QOS)
            for stream in STREAMS]
        self.reset()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._play, name='cameras', daemon=True)

    def move_thermal(self, M: np.ndarray) -> None:
        """Move the pixels of thermal by a homography ``(3, 3)``, and the truth with them."""
        def move(image: np.ndarray) -> np.ndarray:
            return cv2.warpPerspective(image, M, image.shape[1::-1],
                                       borderMode=cv2.BORDER_REPLICATE)

        self.H_thermal_to_rgb = self._H_rendered @ np.linalg.inv(M)
        self.camera['thermal'].change_image = move

    def enlarge_thermal(self, factor: int) -> None:
        """Send thermal at a multiple of its resolution; the truth follows."""
        width, height = self.size
        self.thermal_size = width * factor, height * factor
        self.H_thermal_to_rgb = \
            self._H_rendered @ geometry.stretch(self.thermal_size, self.size)
        self.camera['thermal'].change_image = lambda image: cv2.resize(
            image, None, fx=factor, fy=factor)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def reset(self) -> None:
        """Send again what was rendered."""
        self.H_thermal_to_rgb, self.thermal_size = self._H_rendered, self.size
        self.camera = {stream: Camera() for stream in STREAMS}

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _play(self) -> None:
        number, start_s = 0, time.monotonic()
        while not self._ended.wait(max(0.0, start_s + number * self.period_s
                                       - time.monotonic())):
            pair, stamp_ns = self.pairs[number % len(self.pairs)], time.time_ns()
            for stream, publisher, frame in zip(STREAMS, self._publishers, pair, strict=True):
                self._send(self.camera[stream], publisher, frame, stamp_ns, number)
            number += 1

    def _send(self, camera: Camera, publisher: Any, frame: Frame, stamp_ns: int, number: int
              ) -> None:
        image = np.ascontiguousarray(camera.change_image(frame.image))
        for repetition in range(camera.rate_factor):
            sent_ns = camera.change_stamp_ns(
                stamp_ns + round(repetition * self.period_s / camera.rate_factor * 1e9), number)
            message = camera.change_message(messages.image_to_message(
                Frame(image, sent_ns, frame.frame_id)))
            if message is not None:
                publisher.publish(message)
