# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults of the cameras: silence, shutter, images, sizes, stamps, knocks."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

from ivf_ros import geometry
from ivf_ros.nodes.faults.fault import (
    BOTH,
    Fault,
    NEITHER,
    NO_RGB,
    NO_THERMAL,
    Targets,
)
import numpy as np

_NOISE = np.random.default_rng(0)
_KNOCK_PX = 17.0  # at 640 width
Inject = Callable[[Targets], None]


def change_image(stream: str, change: Callable[[np.ndarray], np.ndarray]) -> Inject:
    """Return an injection that changes the images of a camera."""
    def inject(targets: Targets) -> None:
        targets.cameras.camera[stream].change_image = change

    return inject


def change_stamp_ns(change: Callable[[int, int], int], *streams: str) -> Inject:
    """Return an injection that changes the stamps of cameras."""
    def inject(targets: Targets) -> None:
        for stream in streams:
            targets.cameras.camera[stream].change_stamp_ns = change

    return inject


def stop(*streams: str) -> Inject:
    """Return an injection after which cameras send nothing."""
    def inject(targets: Targets) -> None:
        for stream in streams:
            targets.cameras.camera[stream].change_message = lambda message: None

    return inject


def freeze(targets: Targets) -> None:
    """Repeat one thermal image, as a camera does while its shutter is closed."""
    held: list[np.ndarray] = []

    def repeat(image: np.ndarray) -> np.ndarray:
        held.append(image)
        return held[0]

    targets.cameras.camera['thermal'].change_image = repeat


def knock(targets: Targets) -> None:
    """Shift thermal by some pixels, as if somebody had knocked the rig."""
    targets.cameras.move_thermal(
        geometry.translation(_KNOCK_PX * targets.cameras.size[0] / 640, 0.0))


def flip(x: int, y: int) -> Inject:
    """Return an injection that mirrors thermal in x where ``x`` is -1, and in y likewise."""
    def inject(targets: Targets) -> None:
        width, height = targets.cameras.size
        targets.cameras.move_thermal(np.array([
            [x, 0.0, (width - 1) * (x < 0)], [0.0, y, (height - 1) * (y < 0)], [0.0, 0.0, 1.0]]))

    return inject


def exchange(targets: Targets) -> None:
    """Let each camera send the images of the other one."""
    latest: dict[str, Any] = {}

    def make_change(stream: str, other: str) -> Callable[[Any], Any]:
        def change(message: Any) -> Any:
            latest[stream] = message
            sent = latest.get(other)
            if sent is not None:
                sent.header = message.header
            return sent

        return change

    for stream, other in (('thermal', 'rgb'), ('rgb', 'thermal')):
        targets.cameras.camera[stream].change_message = make_change(stream, other)


def _make_noise(image: np.ndarray) -> np.ndarray:
    return _NOISE.integers(0, 256, image.shape).astype(image.dtype)


def _make_half_nan(image: np.ndarray) -> np.ndarray:
    counts = image.astype(np.float32)
    counts[: counts.shape[0] // 2] = np.nan
    return counts


def _delay_alternately(seconds: float) -> Callable[[int, int], int]:
    lags_s = cycle((0.0, seconds))
    return lambda stamp_ns, number: stamp_ns - round(next(lags_s) * 1e9)


def _make_tiny_noise(height: int, width: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: _NOISE.integers(0, 60000, (height, width)).astype(np.uint16)


_HOUR_NS = 3_600_000_000_000

CAMERA_FAULTS = (
    Fault('thermal stops', stop('thermal'), said='thermal MISSING', modes=NO_THERMAL,
          is_short=True),
    Fault('RGB stops', stop('rgb'), said='RGB MISSING', modes=NO_RGB),
    Fault('both cameras stop', stop('thermal', 'rgb'), seconds=7.0, said='no image for',
          said_within_s=2.5, modes=NEITHER, settled_after_s=2.5, is_short=True),
    Fault('shutter 0.5 s', freeze, seconds=0.5),
    Fault('shutter 2 s', freeze, seconds=2.0, said='thermal FROZEN', modes=NO_THERMAL),
    Fault('shutter 10 s', freeze, seconds=10.0, said='thermal FROZEN', modes=NO_THERMAL),
    Fault('thermal black', change_image('thermal', np.zeros_like), said='thermal BLIND',
          modes=NO_THERMAL),
    Fault('thermal saturated', change_image('thermal', lambda image: np.full_like(image, 65535)),
          said='thermal BLIND', modes=NO_THERMAL),
    Fault('thermal all NaN', change_image('thermal', lambda image: np.full(
        image.shape, np.nan, np.float32)), said='thermal BLIND', modes=NO_THERMAL),
    Fault('thermal half NaN', change_image('thermal', _make_half_nan)),
    Fault('thermal inverted', change_image('thermal', lambda image: 65535 - image),
          back_within_s=5.0),
    Fault('thermal noise', change_image('thermal', _make_noise), seconds=8.0, modes=NO_THERMAL,
          settled_after_s=6.0, back_within_s=6.0),
    Fault('thermal upside down', flip(-1, -1),
          seconds=8.0, said='registration', said_within_s=3.0, modes=NO_THERMAL,
          settled_after_s=5.0, back_within_s=6.0, is_short=True),
    Fault('thermal mirrored', flip(-1, 1), seconds=8.0,
          said='registration', said_within_s=3.0, modes=NO_THERMAL, settled_after_s=5.0,
          back_within_s=6.0),
    Fault('RGB black', change_image('rgb', np.zeros_like), said='RGB DARK', modes=NO_RGB),
    Fault('RGB saturated', change_image('rgb', lambda image: np.full_like(image, 255)),
          said='RGB BLIND', modes=NO_RGB),
    Fault('RGB noise', change_image('rgb', _make_noise), seconds=4.0, back_within_s=6.0),
    Fault('thermal twice as large', lambda targets: targets.cameras.enlarge_thermal(2),
          modes=BOTH),
    Fault('RGB of another aspect', change_image('rgb', lambda image: image[:, :200].copy()),
          back_within_s=6.0),
    Fault('thermal 1x1', change_image('thermal', lambda image: image[:1, :1]), said='thermal',
          modes=NO_THERMAL | BOTH, back_within_s=6.0),
    Fault('thermal 7x48 of noise', change_image('thermal', _make_tiny_noise(7, 48)),
          seconds=5.0, said='thermal', said_within_s=3.0, modes=NO_THERMAL, settled_after_s=3.0,
          back_within_s=6.0),
    Fault('thermal 7x120 of noise', change_image('thermal', _make_tiny_noise(7, 120)),
          seconds=5.0, modes=NO_THERMAL, settled_after_s=3.0, back_within_s=6.0),
    Fault('cameras exchanged', exchange, seconds=5.0, said='thermal', said_within_s=3.0,
          back_within_s=6.0),
    Fault('rig knocked by 17 px', knock, seconds=8.0, back_within_s=8.0, is_short=True),
    Fault('stamps zero', change_stamp_ns(lambda stamp_ns, number: 0, 'thermal', 'rgb'),
          said='stamps', said_within_s=7.0, seconds=7.0),
    Fault('stamps equal', change_stamp_ns(lambda stamp_ns, number: 10 ** 18, 'thermal', 'rgb'),
          seconds=8.0, said='stamps', said_within_s=7.0, back_within_s=3.0),
    Fault('stamps an hour back', change_stamp_ns(lambda stamp_ns, number: stamp_ns - _HOUR_NS,
                                                 'thermal', 'rgb'),
          seconds=5.0, back_within_s=3.0, is_short=True),
    Fault('stamps an hour ahead', change_stamp_ns(lambda stamp_ns, number: stamp_ns + _HOUR_NS,
                                                  'thermal', 'rgb'),
          seconds=5.0, back_within_s=3.0),
    Fault('thermal stamps 10 s late', change_stamp_ns(
        lambda stamp_ns, number: stamp_ns + 10_000_000_000, 'thermal'), seconds=8.0,
        said='thermal minus RGB is about', said_within_s=7.0, back_within_s=3.0),
    Fault('thermal stamps out of order', change_stamp_ns(_delay_alternately(0.15), 'thermal'),
          back_within_s=3.0),
    Fault('every stamp twice', change_stamp_ns(
        lambda stamp_ns, number: stamp_ns // 200_000_000 * 200_000_000, 'thermal', 'rgb')),
)
