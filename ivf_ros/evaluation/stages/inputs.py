# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Functions that the evaluations of several stages use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import time
from typing import Any, TypeVar
import zlib

import cv2
from ivf_ros.data.sample import Sample
from ivf_ros.data.video import VideoSource
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.parameters import parse_settings
import numpy as np

# Errors of a method or a reader about an image that it cannot process. They count as a failure of
# the method. Any other error is a bug and must end the evaluation.
METHOD_ERRORS = (ValueError, cv2.error)

Result = TypeVar('Result')


def derive_seed(sample: Sample) -> int:
    """Return a seed for a sample, the same for all methods and machines."""
    return zlib.crc32(f'{sample.dataset}/{sample.name}'.encode())


def video_frames(sample: Sample) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """
    Yield stamp in seconds, latest thermal image and RGB image of the video of a frame.

    Both images are as recorded; ``sample`` holds a frame of two videos.
    """
    assert isinstance(sample.thermal, VideoFrame) and isinstance(sample.rgb, VideoFrame)
    thermal = None
    for event in VideoSource(sample.thermal.path, sample.rgb.path, None, aligned=True).events():
        if event.stream == 'thermal':
            thermal = event.frame.image
        elif thermal is not None:
            yield event.frame.stamp_ns / 1e9, thermal, event.frame.image


def time_call(function: Callable[..., Result], *arguments: Any) -> tuple[Result, float]:
    """Call a function; return its result and the processor time in seconds."""
    start_s = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start_s


def create_method(create: Callable[..., Result], name: str, **parameters: Any) -> Result:
    """
    Create a method from a name with settings, such as ``fast:network.precision=float32``.

    Parameters
    ----------
    create:
        ``create`` of a stage.
    name:
        Name of a method, optionally followed by a colon and settings separated by commas.
    parameters:
        Further parameters by dotted name.

    Raises
    ------
    ParameterError
        The method or a setting is unknown, or a value is out of range.

    """
    method, _, settings = name.partition(':')
    return create(method, **parse_settings(settings.split(',') if settings else ()), **parameters)
