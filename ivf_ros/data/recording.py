# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What every kind of recording shares: how it names its streams, what it hands out, its error."""

from __future__ import annotations

from collections import Counter
import logging
import re

import cv2
import numpy as np

THERMAL_NAMES = ('thermal', 'ir', 'infrared', 'lwir', 'tir', 'inf')
RGB_NAMES = ('rgb', 'visible', 'vis', 'vi', 'visual')

FRAME_IDS = {'thermal': 'thermal_optical_frame', 'rgb': 'rgb_optical_frame'}

_STREAMS = {**dict.fromkeys(THERMAL_NAMES, 'thermal'), **dict.fromkeys(RGB_NAMES, 'rgb')}
_WORD = '|'.join(_STREAMS)
# A word at either end of a name counts where something sets it apart: '012_ir', 'VIS-012', 'IR12'.
_PREFIXED = re.compile(rf'(?P<word>{_WORD})(?:[-_ .]+|(?=\d))(?P<key>.+)', re.IGNORECASE)
_SUFFIXED = re.compile(rf'(?P<key>.+?)(?:[-_ .]+|(?<=\d))(?P<word>{_WORD})', re.IGNORECASE)


class SourceError(ValueError):
    """A source does not exist, is of no known kind, or holds nothing that can be read."""


def stream_of(name: str) -> str | None:
    """Return ``'thermal'`` or ``'rgb'`` where a name is one of the words for it, else None."""
    return _STREAMS.get(name.lower())


def split_stem(stem: str) -> tuple[str | None, str]:
    """
    Split the stem of a file name into its stream and what it shares with its partner.

    ``'012_ir'`` and ``'IR012'`` give ``('thermal', '012')``, ``'ir'`` gives ``('thermal', '')``;
    a stem without a word for a stream gives None and itself.
    """
    if stream_of(stem):
        return stream_of(stem), ''
    found = _PREFIXED.fullmatch(stem) or _SUFFIXED.fullmatch(stem)
    return (stream_of(found['word']), found['key']) if found else (None, stem)


def natural_key(name: str) -> list[int | str]:
    """Return a key that sorts names by the value of the numbers in them: 2 before 10."""
    return [int(part) if part.isdecimal() else part.lower()
            for part in re.split(r'(\d+)', name)]


def to_single_channel(image: np.ndarray) -> np.ndarray:
    """Return one channel ``(H, W)``, its depth kept; colours become their luma."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image


class SkipCount:
    """
    Counts what could not be read, by reason; the log hears of each reason once.

    Attributes
    ----------
    counts:
        Reason to number of frames, of the latest pass over the source.

    """

    def __init__(self, source_name: str) -> None:
        self.counts: Counter[str] = Counter()
        self._source_name = source_name
        self._warned: set[str] = set()

    def add(self, reason: str, detail: object, number: int = 1) -> None:
        """Count skipped frames; ``detail`` tells which one it was or what was wrong with it."""
        self.counts[reason] += number
        self.warn_once(reason, f'{reason}, skipped: {detail}')

    def warn_once(self, reason: str, text: str) -> None:
        """Log a warning, unless one was logged for this reason."""
        if reason not in self._warned:
            self._warned.add(reason)
            logging.getLogger(__name__).warning('%s: %s', self._source_name, text)
