# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One frame of a video, identified by its number and decoded on request."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
import os
from pathlib import Path
import threading

from ivf_ros.data.recording import SourceError
from ivf_ros.data.video_file import VideoFile
import numpy as np

_OPEN_VIDEOS = 8  # cached: two per sequence, for several sequences that are read alternately


@dataclass(frozen=True)
class VideoFrame:
    """
    A frame of a video file.

    A frame is reached by decoding forward from the latest one, because seeking in compressed
    video is not always exact. In ascending order each frame is decoded once. A step back restarts
    the decoding at frame 0.

    Attributes
    ----------
    path:
        Video file.
    index:
        Number of the frame, starting at 0.

    """

    path: Path
    index: int

    def read(self) -> np.ndarray:
        """Decode the frame as ``VideoFile`` does; raise SourceError if that fails."""
        with _lock:
            return _get_video(self.path).read_frame(self.index)


class _Video:
    """An open video and its read position."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = VideoFile(path)
        self._next = 0
        self._latest: np.ndarray | None = None

    def read_frame(self, index: int) -> np.ndarray:
        if self._latest is not None and index == self._next - 1:
            return self._latest.copy()
        if index < self._next:
            self.close()
            self._file, self._next = VideoFile(self._path), 0
        while self._next <= index and self._file.grab():
            self._next += 1
        if self._next == index + 1:
            image = self._file.retrieve()
            if image is not None:
                self._latest = image
                return image.copy()
        self.close()
        del _videos[os.getpid(), self._path]
        raise SourceError(f'{self._path} has no frame {index}: {self._next} frames can be decoded')

    def close(self) -> None:
        self._file.close()
        self._latest = None


# The key contains the process, because a forked process shares the file position of its parent.
_videos: OrderedDict[tuple[int, Path], _Video] = OrderedDict()
_lock = threading.Lock()


def frame_count(path: Path) -> int:
    """Return the number of frames that a video states, without decoding."""
    video = VideoFile(path)
    video.close()
    return max(video.frame_count, 0)


def _get_video(path: Path) -> _Video:
    key = os.getpid(), path
    if key not in _videos:
        _videos[key] = _Video(path)
    _videos.move_to_end(key)
    while len(_videos) > _OPEN_VIDEOS:
        _, oldest = _videos.popitem(last=False)
        oldest.close()
    return _videos[key]
