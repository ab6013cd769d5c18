# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A thermal and a visible video as a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
from ivf_ros import geometry, images
from ivf_ros.data.recording import FRAME_IDS, SkipCount, SourceError, split_stem, to_single_channel
from ivf_ros.types import Event, Frame, Truth
import numpy as np

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class VideoSource:
    """
    Two videos that started at the same time, each played at its own frame rate.

    Thermal frames are ``(H, W)`` uint8, luma where the video has colours; RGB frames are
    ``(H, W, 3)`` uint8 BGR. The source ends with the shorter video. Stamps start one frame after
    0, because ROS reads 0 as 'no time'.

    Parameters
    ----------
    thermal, rgb:
        The two files.
    rate_hz:
        Frames a second of both; None takes what the files say.
    aligned:
        Whether the two show the same view, so that stretching one over the other is the true
        homography.

    Raises
    ------
    SourceError
        A video cannot be opened or decoded, or says no frame rate and none is given.

    """

    def __init__(self, thermal: Path, rgb: Path, rate_hz: float | None, aligned: bool) -> None:
        self.name = str(thermal.parent) if thermal.parent == rgb.parent else f'{thermal},{rgb}'
        self.aligned = aligned
        self._skip = SkipCount(self.name)
        self._paths = {'thermal': thermal, 'rgb': rgb}
        self._rates_hz = {stream: rate_hz or _rate_hz(path)
                          for stream, path in self._paths.items()}
        self.rate_hz = self._rates_hz['thermal']

    @property
    def skipped(self) -> dict[str, int]:
        """Return how many frames could not be decoded, by reason, in the latest pass."""
        return dict(self._skip.counts)

    def events(self) -> Iterator[Event]:
        """Decode both videos in order of time, thermal first where the times are equal."""
        self._skip.counts.clear()
        captures = {stream: open_video(path) for stream, path in self._paths.items()}
        try:
            yield from self._merged(captures)
        finally:
            for capture in captures.values():
                capture.release()

    def _merged(self, captures: dict[str, cv2.VideoCapture]) -> Iterator[Event]:
        frames = {'thermal': 0, 'rgb': 0}
        stamps_ns = {stream: round(1e9 / rate) for stream, rate in self._rates_hz.items()}
        thermal_size = None
        while True:
            stream = 'thermal' if stamps_ns['thermal'] <= stamps_ns['rgb'] else 'rgb'
            good, image = captures[stream].read()
            if not good:
                break
            truth = None
            if stream == 'thermal':
                image = to_single_channel(image)
                thermal_size = geometry.size_of(image)
            else:
                image = images.as_bgr8(image)
                truth = self._truth(thermal_size, image)
            yield Event(stream, Frame(image, stamps_ns[stream], FRAME_IDS[stream]), truth)
            frames[stream] += 1
            stamps_ns[stream] = round((frames[stream] + 1) * 1e9 / self._rates_hz[stream])
        self._report_end(stream, frames[stream], captures)

    def _truth(self, thermal_size: tuple[int, int] | None, image: np.ndarray) -> Truth:
        if not self.aligned or thermal_size is None:
            return Truth()
        return Truth(geometry.stretch(thermal_size, geometry.size_of(image)))

    def _report_end(self, stream: str, frames: int,
                    captures: dict[str, cv2.VideoCapture]) -> None:
        """Warn of a video that ends before its own end, or before the other one."""
        path = self._paths[stream]
        promised = int(captures[stream].get(cv2.CAP_PROP_FRAME_COUNT))
        other = 'rgb' if stream == 'thermal' else 'thermal'
        if frames < promised:
            self._skip.add('undecodable', f'{path} breaks off after {frames} of {promised} frames',
                           promised - frames)
        elif captures[other].grab():
            self._skip.warn_once('shorter', f'ends with {path.name}, after {frames} frames; '
                                 f'{self._paths[other].name} is longer')


def find_videos(folder: Path) -> dict[str, Path]:
    """
    Look for a thermal and a visible video in a folder.

    Returns stream to file where there is exactly one video for each, else nothing.
    """
    found: dict[str, list[Path]] = {'thermal': [], 'rgb': []}
    for path in sorted(folder.iterdir()):
        stream = split_stem(path.stem)[0]
        if stream and path.suffix.lower() in VIDEO_SUFFIXES:
            found[stream].append(path)
    if any(len(paths) != 1 for paths in found.values()):
        return {}
    return {stream: paths[0] for stream, paths in found.items()}


def open_video(path: Path) -> cv2.VideoCapture:
    """Open a video; raise SourceError where that is impossible."""
    if not path.is_file():
        raise SourceError(f'no such video: {path}')
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceError(f'cannot open {path} as a video ({path.stat().st_size} bytes): '
                          'truncated, or of no known format')
    return capture


def _rate_hz(path: Path) -> float:
    """Return the frame rate that a video states, once its first frame decodes."""
    capture = open_video(path)
    try:
        if not capture.grab():
            raise SourceError(f'cannot decode the first frame of {path}')
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
    finally:
        capture.release()
    if not 0.01 <= rate_hz <= 10_000:
        raise SourceError(f'{path} states no usable frame rate (got {rate_hz}); give rate_hz')
    return rate_hz
