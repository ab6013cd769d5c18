# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Source of frames from a thermal and a visible video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ivf_ros import geometry, images
from ivf_ros.data.files import list_folder
from ivf_ros.data.pair_names import select_lens
from ivf_ros.data.recording import (
    drop_equal_channels,
    every_frame,
    FRAME_IDS,
    FrameFilter,
    SkipCount,
    SourceError,
    split_stem,
)
from ivf_ros.data.video_file import VideoFile
from ivf_ros.types import Event, Frame, Truth
import numpy as np

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class VideoSource:
    """
    Source of two videos that start at the same time, each with its own frame rate.

    Thermal frames are ``(H, W)`` uint8, luma if the video has colour, or uint16 if the video is
    gray with more than 8 bits (see ``VideoFile``); RGB frames are ``(H, W, 3)`` uint8 BGR. The
    source ends with the shorter video. The first stamp is one frame period, not 0, because ROS
    treats 0 as 'no time'.

    Parameters
    ----------
    thermal, rgb:
        Video files.
    rate_hz:
        Frames per second of both videos; None uses the rates in the files.
    aligned:
        Both videos show the same view. The true homography is then the plain resize of thermal to
        the RGB size.

    Raises
    ------
    SourceError
        A video cannot be opened or decoded, or it states no frame rate and ``rate_hz`` is None.

    """

    def __init__(self, thermal: Path, rgb: Path, rate_hz: float | None, aligned: bool) -> None:
        self.name = str(thermal.parent) if thermal.parent == rgb.parent else f'{thermal},{rgb}'
        self.aligned = aligned
        self._skip_count = SkipCount(self.name)
        self._paths = {'thermal': thermal, 'rgb': rgb}
        self._rates_hz = {stream: rate_hz or _rate_hz(path)
                          for stream, path in self._paths.items()}
        self.rate_hz = self._rates_hz['thermal']

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of undecodable frames of the latest pass, by reason."""
        return dict(self._skip_count.counts)

    def events(self, is_wanted: FrameFilter = every_frame) -> Iterator[Event]:
        """
        Decode both videos in time order; at equal times thermal comes first.

        See ``Source.events`` for ``is_wanted``.
        """
        self._skip_count.counts.clear()
        videos = {stream: VideoFile(path) for stream, path in self._paths.items()}
        try:
            yield from self._merge_streams(videos, is_wanted)
        finally:
            for video in videos.values():
                video.close()

    def _merge_streams(self, videos: dict[str, VideoFile], is_wanted: FrameFilter
                       ) -> Iterator[Event]:
        frames = {'thermal': 0, 'rgb': 0}
        stamps_ns = {stream: round(1e9 / rate) for stream, rate in self._rates_hz.items()}
        thermal_size = None
        while True:
            stream = 'thermal' if stamps_ns['thermal'] <= stamps_ns['rgb'] else 'rgb'
            if not videos[stream].grab():
                break
            if is_wanted(stream, stamps_ns[stream]):
                image = videos[stream].retrieve()
                if image is None:
                    break
                truth = None
                if stream == 'thermal':
                    image = drop_equal_channels(image)
                    thermal_size = geometry.size_of(image)
                else:
                    image = images.as_bgr8(image)
                    truth = self._make_truth(thermal_size, image)
                yield Event(stream, Frame(image, stamps_ns[stream], FRAME_IDS[stream]), truth)
            frames[stream] += 1
            stamps_ns[stream] = round((frames[stream] + 1) * 1e9 / self._rates_hz[stream])
        self._report_end(stream, frames[stream], videos)

    def _make_truth(self, thermal_size: tuple[int, int] | None, image: np.ndarray) -> Truth:
        if not self.aligned or thermal_size is None:
            return Truth()
        return Truth(geometry.stretch(thermal_size, geometry.size_of(image)))

    def _report_end(self, stream: str, frames: int, videos: dict[str, VideoFile]) -> None:
        """Warn if a video has fewer frames than it states, or fewer than the other one."""
        path = self._paths[stream]
        stated_frames = videos[stream].frame_count
        other = 'rgb' if stream == 'thermal' else 'thermal'
        if frames < stated_frames:
            self._skip_count.add(
                'undecodable', f'{path} breaks off after {frames} of {stated_frames} frames',
                stated_frames - frames)
        elif videos[other].grab():
            self._skip_count.warn_once('shorter', f'ends with {path.name}, after {frames} frames; '
                                       f'{self._paths[other].name} is longer')


def find_videos(folder: Path) -> dict[str, Path]:
    """
    Find a thermal and a visible video in a folder.

    Returns the file by stream name if each stream has exactly one video, else an empty dict.
    """
    videos: dict[str, list[Path]] = {'thermal': [], 'rgb': []}
    files = [path for path in list_folder(folder) if path.suffix.lower() in VIDEO_SUFFIXES]
    for path in select_lens(files):
        stream = split_stem(path.stem)[0]
        if stream:
            videos[stream].append(path)
    if any(len(paths) != 1 for paths in videos.values()):
        return {}
    return {stream: paths[0] for stream, paths in videos.items()}


def _rate_hz(path: Path) -> float:
    """Return the frame rate that a video states, after a check that its first frame decodes."""
    video = VideoFile(path)
    try:
        if not video.grab():
            raise SourceError(f'cannot decode the first frame of {path}')
    finally:
        video.close()
    if not 0.01 <= video.rate_hz <= 10_000:
        raise SourceError(f'{path} states no usable frame rate (got {video.rate_hz}); set rate_hz')
    return video.rate_hz
