# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The images of a sample on the RGB grid, and what all stages are measured with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import time
from typing import Any, TypeVar
import zlib

import cv2
from ivf_ros import fusion, geometry
from ivf_ros.data.sample import Sample
from ivf_ros.data.video import VideoSource
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.thermal import Agc
import numpy as np

# What a method or a reader says of an image that it cannot work with. Anything else is a mistake
# of ours, which must end the evaluation and not count as a failure of the method.
FAILURES = (ValueError, cv2.error)

BOTH = 'rgb+thermal'  # for networks that look at both cameras themselves

Result = TypeVar('Result')


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """
    A pair on the RGB grid.

    Attributes
    ----------
    thermal:
        ``(H, W)`` uint8, after the gain control; 0 where thermal does not reach.
    rgb:
        ``(H, W, 3)`` uint8 BGR.
    seen:
        ``(H, W)`` bool, where thermal reaches.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    seen: np.ndarray


def unaligned(sample: Sample) -> str:
    """Return why a sample cannot be brought onto one grid, or ''."""
    known = sample.aligned or sample.H_thermal_to_rgb is not None
    return '' if known else 'thermal and RGB are not aligned and no homography is known'


def read_aligned(sample: Sample) -> AlignedPair:
    """
    Read a sample and bring thermal onto the RGB grid by what is known to be true.

    Raises
    ------
    SourceError
        An image cannot be read.

    """
    thermal, rgb = Agc()(sample.read_thermal()), sample.read_rgb()
    sizes = geometry.size_of(thermal), geometry.size_of(rgb)
    if sample.aligned:
        shrinks = sizes[0] > sizes[1]
        if sizes[0] != sizes[1]:
            thermal = cv2.resize(thermal, sizes[1], interpolation=cv2.INTER_AREA if shrinks
                                 else cv2.INTER_LINEAR)
        return AlignedPair(thermal, rgb, np.ones(thermal.shape, np.bool_))
    H = sample.true_H_thermal_to_rgb(*sizes)
    assert H is not None, unaligned(sample)
    return AlignedPair(geometry.warp(thermal, H, sizes[1]), rgb, geometry.coverage(H, *sizes))


def seen(given: str, pair: AlignedPair) -> tuple[np.ndarray, ...]:
    """
    Return what a network is given of a pair.

    Parameters
    ----------
    given:
        'rgb', 'thermal', ``BOTH`` or a fusion method.

    Returns
    -------
    tuple
        An image ``(H, W, 3)`` BGR, and thermal ``(H, W)`` where it is given both.

    """
    if given == BOTH:
        return pair.rgb, pair.thermal
    if given == 'rgb':
        return (pair.rgb,)
    if given == 'thermal':
        return (cv2.cvtColor(pair.thermal, cv2.COLOR_GRAY2BGR),)
    return (fusion.create(given).fuse(pair.thermal, pair.rgb, pair.seen),)


def seed_of(sample: Sample) -> int:
    """Return a number that stands for a sample, the same for all methods and machines."""
    return zlib.crc32(f'{sample.dataset}/{sample.name}'.encode())


def video_frames(sample: Sample) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """
    Yield the video that a frame is of: stamp in seconds, latest thermal, RGB.

    Both are as recorded; ``sample`` is a frame of two videos.
    """
    assert isinstance(sample.thermal, VideoFrame) and isinstance(sample.rgb, VideoFrame)
    thermal = None
    for event in VideoSource(sample.thermal.path, sample.rgb.path, None, aligned=True).events():
        if event.stream == 'thermal':
            thermal = event.frame.image
        elif thermal is not None:
            yield event.frame.stamp_ns / 1e9, thermal, event.frame.image


def timed(work: Callable[..., Result], *arguments: Any) -> tuple[Result, float]:
    """Return what a call gives and the processor time, in seconds, that it took."""
    start_s = time.process_time()
    result = work(*arguments)
    return result, time.process_time() - start_s
