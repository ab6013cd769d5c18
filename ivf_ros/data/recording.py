# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Common parts of all recordings: stream names, frame ids, skip counts and the error type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
import logging
import re

import cv2
from ivf_ros.palettes import to_gray
from ivf_ros.thermal_input import ThermalCameraParameters, ThermalInput
import numpy as np

THERMAL_NAMES = ('thermal', 'ir', 'infrared', 'lwir', 'tir', 'inf')
RGB_NAMES = ('rgb', 'visible', 'vis', 'vi', 'visual')

FRAME_IDS = {'thermal': 'thermal_optical_frame', 'rgb': 'rgb_optical_frame'}

_STREAMS = {**dict.fromkeys(THERMAL_NAMES, 'thermal'), **dict.fromkeys(RGB_NAMES, 'rgb')}
_STREAM_WORDS = '|'.join(_STREAMS)
# A stream word counts at the start or end of a name if it is separated: '012_ir', 'IR12'.
_PREFIXED = re.compile(rf'(?P<word>{_STREAM_WORDS})(?:[-_ .]+|(?=\d))(?P<key>.+)', re.IGNORECASE)
_SUFFIXED = re.compile(rf'(?P<key>.+?)(?:[-_ .]+|(?<=\d))(?P<word>{_STREAM_WORDS})', re.IGNORECASE)

# A shot of a drone of DJI: 'DJI_20230501120000_0001_T'. Its cameras are thermal, wide, visible and
# zoom; the first visible lens has the view that is closest to that of thermal.
DJI_NAME = re.compile(r'DJI_(?:(?P<stamp>\d{14})_)?(?P<number>\d{3,5})'
                      r'(?:_(?P<lens>T|W|V|Z|THRM|WIDE|ZOOM))?(?:_.+)?', re.IGNORECASE)
RGB_LENSES = ('W', 'V', 'Z')  # by the first letter
# A frame of FLIR ADAS: 'video-2SReBn5LtAkL5HMj2-frame-005072-MA7NCLQGoqq9aHaiL'. The last part
# differs between the cameras.
_ADAS_NAME = re.compile(r'(?P<key>video-\w+-frame-\d+)-\w+')
_FOLDER = re.compile(rf'(?:images_|video_)?(?P<word>{_STREAM_WORDS})'
                     r'(?:_(?:8|16)_bit|_(?P<split>train|val|test))?', re.IGNORECASE)


# Whether a frame is to be read, by its stream and its stamp in nanoseconds.
FrameFilter = Callable[[str, int], bool]


def every_frame(_stream: str, _stamp_ns: int) -> bool:
    """Return True: the filter that leaves out no frame."""
    return True


class SourceError(ValueError):
    """A source does not exist, has an unknown type, or contains nothing readable."""


def stream_of(name: str) -> str | None:
    """Return ``'thermal'`` or ``'rgb'`` if a name is a word for this stream, else None."""
    return _STREAMS.get(name.lower())


def split_folder(name: str) -> tuple[str | None, str]:
    """
    Split the name of a folder into its stream and its split, ``''`` if it names none.

    ``'ir'`` and ``'thermal_8_bit'`` give ``('thermal', '')``, ``'images_rgb_train'`` gives
    ``('rgb', 'train')``; a name without a stream word gives ``(None, '')``.
    """
    match = _FOLDER.fullmatch(name)
    return (stream_of(match['word']), (match['split'] or '').lower()) if match else (None, '')


def split_stem(stem: str) -> tuple[str | None, str]:
    """
    Split the stem of a file name into its stream and the key of the pair.

    ``'012_ir'`` and ``'IR012'`` give ``('thermal', '012')``, ``'ir'`` gives ``('thermal', '')``;
    a stem without a stream word gives None and the stem. In names of DJI the letter of the lens
    is the stream word: ``'DJI_0012_T'`` gives ``('thermal', 'DJI_0012')``.
    """
    if stream_of(stem):
        return stream_of(stem), ''
    if (match := DJI_NAME.fullmatch(stem)) and match['lens']:
        return ('thermal' if match['lens'][0] in 'Tt' else 'rgb',
                stem[:match.start('lens') - 1])
    if match := _ADAS_NAME.fullmatch(stem):
        return None, match['key']
    match = _PREFIXED.fullmatch(stem) or _SUFFIXED.fullmatch(stem)
    return (stream_of(match['word']), match['key']) if match else (None, stem)


def natural_key(name: str) -> list[int | str]:
    """Return a sort key that orders names by the numbers in them: 2 before 10."""
    return [int(part) if part.isdecimal() else part.lower()
            for part in re.split(r'(\d+)', name)]


def to_single_channel(image: np.ndarray) -> np.ndarray:
    """Convert an image to one channel ``(H, W)`` of the same depth; colour becomes luma."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image


def drop_equal_channels(image: np.ndarray) -> np.ndarray:
    """Return one channel ``(H, W)`` of an image whose channels are equal, else the image."""
    gray = to_gray(image) if image.ndim == 3 else None
    return image if gray is None else gray


def to_thermal(image: np.ndarray, camera: ThermalCameraParameters | None = None) -> np.ndarray:
    """
    Return an image of a recording as the nodes get it from their thermal camera: ``(H, W)``.

    Raises
    ------
    SourceError
        The image is in false colours and ``camera`` names no palette, or it cannot be corrected
        otherwise; see ``ThermalInput``.

    """
    try:
        return ThermalInput(camera).apply(image)
    except ValueError as error:
        raise SourceError(str(error)) from None


class SkipCount:
    """
    Counts of unreadable frames by reason; each reason is logged once.

    Attributes
    ----------
    counts:
        Number of frames by reason, in the latest pass over the source.

    """

    def __init__(self, source_name: str) -> None:
        self.counts: Counter[str] = Counter()
        self._source_name = source_name
        self._warned: set[str] = set()

    def add(self, reason: str, detail: object, number: int = 1) -> None:
        """Count skipped frames; ``detail`` identifies the frame or the problem in the log."""
        self.counts[reason] += number
        self.warn_once(reason, f'{reason}, skipped: {detail}')

    def warn_once(self, reason: str, text: str) -> None:
        """Log a warning, unless this reason has been logged before."""
        if reason not in self._warned:
            self._warned.add(reason)
            logging.getLogger(__name__).warning('%s: %s', self._source_name, text)
