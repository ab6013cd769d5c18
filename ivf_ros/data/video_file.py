# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Open video files: OpenCV decodes to 8 bits, PyAV decodes gray video of more bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
from ivf_ros.data.recording import SourceError
from ivf_ros.data.video_packets import DECODER_OPTIONS, to_array
from ivf_ros.images.limits import check_size
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
        The file does not exist or cannot be opened, its images are larger than ``images.limits``
        allows, or PyAV is needed and not installed.

    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise SourceError(f'no such video: {path}')
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise SourceError(f'cannot open {path} as a video ({path.stat().st_size} bytes): '
                              'it is truncated or has an unknown format')
        width, height = (int(self._capture.get(name)) for name
                         in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        try:
            check_size(width, height, f'{path}: a video', SourceError)
        except SourceError:
            self._capture.release()
            raise
        self.frame_count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.rate_hz = self._capture.get(cv2.CAP_PROP_FPS)
        self._deep = _DeepGray(path) if _gray_bits(self._capture) > 8 else None

    def grab(self) -> bool:
        """Advance to the next frame; return False at the end or where the file is damaged."""
        return self._capture.grab() if self._deep is None else self._deep.grab()

    def retrieve(self) -> np.ndarray | None:
        """Return the frame that was grabbed; None if it cannot be decoded."""
        return self._capture.retrieve()[1] if self._deep is None else self._deep.retrieve()

    def read(self) -> np.ndarray | None:
        """Advance to the next frame and return it; None at the end or at damage."""
        return self.retrieve() if self.grab() else None

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
        if self._deep is not None:
            self._deep.close()


class _DeepGray:
    """A gray video of more than 8 bits, as PyAV decodes it."""

    def __init__(self, path: Path) -> None:
        with explain_missing(f'{path}: reading gray video of more than 8 bits', SourceError, 'av'):
            import av
        self._error = av.FFmpegError
        self._container = av.open(str(path), options=DECODER_OPTIONS)
        self._frames = self._container.decode(video=0)
        self._frame: Any = None

    def grab(self) -> bool:
        try:
            self._frame = next(self._frames, None)
        except self._error:  # the end for OpenCV, too; the caller compares with frame_count
            self._frame = None
        return self._frame is not None

    def retrieve(self) -> np.ndarray | None:
        return None if self._frame is None else to_array(self._frame)

    def close(self) -> None:
        self._container.close()


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
