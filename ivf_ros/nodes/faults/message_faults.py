# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of messages: images that contradict themselves, CameraInfo, strangers, floods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
import math
import time
from typing import Any

from ivf_ros.nodes.faults.camera_faults import Inject
from ivf_ros.nodes.faults.fault import BOTH, Fault, NO_THERMAL, Targets
from ivf_ros.nodes.graph import messages
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

_DISCOVERY_TIMEOUT_S = 5.0
_PERIOD_S = 0.02

_STRANGE_K = {
    'NaN': [math.nan] * 9,
    'inf': [math.inf, 0.0, 160.0, 0.0, 500.0, 120.0, 0.0, 0.0, 1.0],
    'fy = 0': [500.0, 0.0, 160.0, 0.0, 0.0, 120.0, 0.0, 0.0, 1.0],
    'absurd': [1e300, 1e300, -1e300, 1e-300, 1e300, 1e300, 1e300, 1e300, 1e-300],
}


def change_message(stream: str, **fields: Any) -> Inject:
    """Return an injection that replaces fields of the images of a camera."""
    def change(message: Image) -> Image:
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    def inject(targets: Targets) -> None:
        targets.cameras.camera[stream].change_message = change

    return inject


def cut_data(targets: Targets) -> None:
    """Send half of the data of each thermal image, as after an interrupted transfer."""
    def change(message: Image) -> Image:
        message.data = message.data[:len(message.data) // 2]
        return message

    targets.cameras.camera['thermal'].change_message = change


def vary_encoding(targets: Targets) -> None:
    """Send each thermal image with another encoding that does not exist."""
    numbers = count()

    def change(message: Image) -> Image:
        number = next(numbers)
        message.encoding = ''.join(chr(97 + (number >> shift) % 26) for shift in (0, 2, 4)) * 3
        return message

    targets.cameras.camera['thermal'].change_message = change
    flood(targets)


def flood(targets: Targets) -> None:
    """Let both cameras send ten times as many images."""
    for camera in targets.cameras.camera.values():
        camera.rate_factor = 10


def publish_repeatedly(message: Any, topic: str, number: int = 20) -> Inject:
    """Return an injection in which a stranger publishes a message a number of times."""
    def inject(targets: Targets) -> None:
        publish_to_all(targets.stranger, topic, [message] * number)

    return inject


def publish_to_all(node: Node, topic: str, items: Sequence[Any]) -> None:
    """Publish messages as soon as the nodes of the graph have found the publisher."""
    publisher = node.create_publisher(type(items[0]), topic, 50)
    deadline_s = time.monotonic() + _DISCOVERY_TIMEOUT_S
    while not publisher.get_subscription_count():
        if time.monotonic() > deadline_s:
            raise AssertionError(f'nobody subscribes to {topic}')
        time.sleep(0.01)
    for item in items:
        publisher.publish(item)
        time.sleep(_PERIOD_S)  # the other nodes may find the publisher later
    node.destroy_publisher(publisher)


def send_camera_infos(make: Callable[[tuple[int, int]], CameraInfo]) -> Inject:
    """Return an injection in which both cameras have a CameraInfo."""
    def inject(targets: Targets) -> None:
        for stream in ('thermal', 'rgb'):
            publish_to_all(targets.stranger, f'{stream}/camera_info',
                           [make(targets.cameras.size)] * 20)

    return inject


def _make_info(k: list[float]) -> Callable[[tuple[int, int]], CameraInfo]:
    return lambda size: CameraInfo(width=size[0], height=size[1], k=k,
                                   distortion_model='plumb_bob', d=[0.0] * 5)


def _make_homography(r: list[float], width: int = 320, height: int = 240) -> CameraInfo:
    message = CameraInfo(width=width, height=height, r=r)
    message.header.stamp = messages.make_header(2 ** 62, '').stamp
    return message


_EYE = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
_BAD = 'bad message'

MESSAGE_FAULTS = (
    Fault('half of the data', cut_data, said=_BAD, modes=NO_THERMAL),
    Fault('step too small', change_message('thermal', step=3), said=_BAD, modes=NO_THERMAL),
    Fault('step too large', change_message('thermal', step=2 ** 32 - 1), said=_BAD,
          modes=NO_THERMAL),
    Fault('no data', change_message('thermal', data=b''), said=_BAD, modes=NO_THERMAL),
    Fault('0x0', change_message('thermal', width=0, height=0, step=0, data=b''), said=_BAD,
          modes=NO_THERMAL),
    Fault('2^31 rows', change_message('thermal', height=2 ** 31), said=_BAD, modes=NO_THERMAL),
    Fault('unknown encoding', change_message('thermal', encoding='unheard_of'), said=_BAD,
          modes=NO_THERMAL),
    Fault('RGB with an unknown encoding', change_message('rgb', encoding='unheard_of'), said=_BAD),
    Fault('ever new encodings at ten times the rate', vary_encoding, said=_BAD, modes=NO_THERMAL,
          is_short=True),
    Fault('flood: ten times the rate', flood, seconds=5.0, modes=BOTH | NO_THERMAL),
    Fault('CameraInfo of zeros', send_camera_infos(_make_info([0.0] * 9)), modes=BOTH),
    *(Fault(f'CameraInfo of {name}', send_camera_infos(_make_info(k)), said=_BAD, modes=BOTH,
            is_short=name == 'NaN')
      for name, k in _STRANGE_K.items()),
    *(Fault(f'homography of {name} from a stranger',
            publish_repeatedly(message, 'registration/homography'), back_within_s=6.0,
            is_short=name == 'NaN')
      for name, message in {
          'NaN': _make_homography([math.nan] * 9), 'zeros': _make_homography([0.0] * 9),
          'size 0': _make_homography(_EYE, 0, 0),
          'size 2^32-1': _make_homography(_EYE, 2 ** 32 - 1, 2 ** 32 - 1)}.items()),
)
