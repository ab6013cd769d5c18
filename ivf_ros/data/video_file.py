# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open video files: OpenCV decodes to 8 bits, PyAV decodes gray video of more bits."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.data.recording import SourceError
from ivf_ros.data.video_packets import to_array
from ivf_ros.optional_imports import explain_missing
import numpy as np


class VideoFile:
    """
    A video that is decoded frame by frame from its start.

    Frames are ``(H, W, 3)`` BGR uint8. Those of a gray video of more than 8 bits (such as FFV1 of
    gray16le) are ``(H, W)`` uint16 with the counts of the file; they need PyAV.

    Parameters
    ----------
    path:
        Video file.

    Attributes
    ----------
    frame_count:
        Number of frames that the file states; not positive if it states none.
    rate_hz:
        Frames per second that the file states; not positive if it states none.

    Raises
    ------
    SourceError
        The file does not exist or cannot be opened, or PyAV is needed and not installed.

    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(f'no such video: {path}')
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(f'cannot open {path} as a video ({path.stat().st_size} bytes): '
                              'it is truncated or has an unknown format')
        self.frame_count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self._deep_frames = self._open_deep() if _gray_bits(self._capture) > 8 else None
        self._deep_frame: Any = None

    def grab(self) -> bool:
        """Advance to the next frame; return False at the end or where the file is damaged."""
        if self._deep_frames is None:
            return self._capture.grab()
        self._deep_frame = next(self._deep_frames, None)
        return self._deep_frame is not None

    def retrieve(self) -> np.ndarray | None:
        """Return the frame that was grabbed; None if it cannot be decoded."""
        if self._deep_frames is None:
            return self._capture.retrieve()[1]
        return None if self._deep_frame is None else to_array(self._deep_frame)

    def read(self) -> np.ndarray | None:
        """Advance to the next frame and return it; None at the end or at damage."""
        return self.retrieve() if self.grab() else None

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
        if self._deep_frames is not None:
            self._deep_frames.close()

    def _open_deep(self) -> Generator[Any]:
        """Return the frames as PyAV decodes them."""
        with explain_missing(f'{self._path}: reading gray video of more than 8 bits', SourceError,
                             'av'):
            import av
        return _decode_deep(av, self._path)


def _decode_deep(av: Any, path: Path) -> Generator[Any]:
    with av.open(str(path)) as container:
        try:
            yield from container.decode(video=0)
        except av.FFmpegError:
            return  # as OpenCV, which ends at damage; the caller compares with frame_count


def _gray_bits(capture: cv2.VideoCapture) -> int:
    """
    Return the bits per pixel of a gray video, or 0 for other videos.

    FFmpeg writes the pixel format of gray video as ``Y1``, 0 and the number of bits, and backwards
    if the high byte comes first.
    """
    code = int(capture.get(cv2.CAP_PROP_CODEC_PIXEL_FORMAT))
    tag = code.to_bytes(4, 'little') if code > 0 else b''
    for ordered in (tag, tag[::-1]):
        if ordered.startswith(b'Y1\0'):
            return ordered[3]
    return 0
