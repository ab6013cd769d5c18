# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Source of frames from pairs of image files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
from ivf_ros import geometry, images
from ivf_ros.data.recording import (
    FRAME_IDS,
    natural_key,
    SkipCount,
    SourceError,
    split_stem,
    stream_of,
    to_single_channel,
)
from ivf_ros.types import Event, Frame, Truth
import numpy as np

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')

# End markers of complete files. Decoders return the readable part of a truncated file silently.
_ENDINGS = {b'\xff\xd8': b'\xff\xd9', b'\x89PNG': b'IEND\xaeB`\x82'}
_TRAILER = 1024  # bytes; some cameras append data after the end marker


class FolderSource:
    """
    Source of image pairs, in natural order of their names and at a constant rate.

    Files pair up by stem, in two folders (``thermal/7.png``, ``visible/7.jpg``) or in one folder
    (``7_ir.png``, ``7_vis.png``). Thermal frames keep 16 bits and float; colour is converted to
    luma. RGB frames are always ``(H, W, 3)`` uint8 BGR; a gray visible image gets three equal
    channels. Both frames of a pair have the same stamp. The first stamp is one period, not 0,
    because ROS treats 0 as 'no time'.

    Parameters
    ----------
    name:
        Name of the source.
    files:
        Image files by stream name.
    rate_hz:
        Pairs per second.
    aligned:
        Both images of a pair show the same view. The true homography is then the plain resize of
        thermal to the RGB size.
    still_s:
        Duration in seconds for which each pair is repeated at ``rate_hz``; 0 yields it once.

    Raises
    ------
    SourceError
        No thermal and visible file have the same stem, or two files of one stream have.

    """

    def __init__(self, name: str, files: Mapping[str, list[Path]], rate_hz: float,
                 aligned: bool, still_s: float = 0.0) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self.aligned = aligned
        self._repeats = max(1, round(still_s * rate_hz))
        self._skip_count = SkipCount(name)
        thermal, rgb = (_map_by_key(files[stream], name) for stream in ('thermal', 'rgb'))
        keys = sorted(thermal.keys() & rgb.keys(), key=natural_key)
        if not keys:
            raise SourceError(
                f'{name}: no thermal and visible file have the same stem; found '
                f'{len(thermal)} thermal ({_example_name(thermal)}), {len(rgb)} visible '
                f'({_example_name(rgb)})')
        self.pairs = tuple((thermal[key], rgb[key]) for key in keys)
        self._unpaired = sorted(thermal.keys() ^ rgb.keys(), key=natural_key)

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of skipped files of the latest pass, by reason."""
        return dict(self._skip_count.counts)

    def events(self) -> Iterator[Event]:
        """
        Read the pairs in order and yield thermal, then RGB.

        Raises
        ------
        SourceError
            No pair could be read.

        """
        self._skip_count.counts.clear()
        if self._unpaired:
            self._skip_count.add('no partner', self._unpaired[0], len(self._unpaired))
        period_ns = 1e9 / self.rate_hz
        n_read = 0
        for index, paths in enumerate(self.pairs):
            try:
                thermal, rgb = to_single_channel(read_image(paths[0])), _read_bgr8(paths[1])
            except SourceError as error:
                self._skip_count.add('unreadable', error)
                continue
            n_read += 1
            truth = Truth(geometry.stretch(geometry.size_of(thermal), geometry.size_of(rgb))
                          if self.aligned else None)
            for repeat in range(self._repeats):
                stamp_ns = round((index * self._repeats + repeat + 1) * period_ns)
                yield Event('thermal', Frame(thermal, stamp_ns, FRAME_IDS['thermal']))
                yield Event('rgb', Frame(rgb, stamp_ns, FRAME_IDS['rgb']), truth)
        if not n_read:
            raise SourceError(f'{self.name}: none of {len(self.pairs)} pairs can be read')


def find_pairs(folder: Path) -> dict[str, list[Path]]:
    """
    Find the files of both streams in a folder of pairs.

    Returns the image files by stream name. The streams are two subfolders with a stream word as
    their name, or else files with a stream word at the start or end of their names. The result is
    empty if there are no pairs.

    Raises
    ------
    SourceError
        Two subfolders have names for the same stream, or one of them contains no images.

    """
    subfolders: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stream = stream_of(path.name)
        if stream and path.is_dir():
            if stream in subfolders:
                raise SourceError(f"{folder}: both '{subfolders[stream].name}' and '{path.name}' "
                                  f'are names for {stream}; give the two folders as A,B')
            subfolders[stream] = path
    if len(subfolders) == 2:
        files = {stream: image_files(path) for stream, path in subfolders.items()}
        for stream, path in subfolders.items():
            if not files[stream]:
                raise SourceError(f"{folder}: '{path.name}' holds no images "
                                  f'({", ".join(IMAGE_SUFFIXES)})')
        return files
    flat: dict[str, list[Path]] = {}
    for path in image_files(folder):
        stream = split_stem(path.stem)[0]
        if stream:
            flat.setdefault(stream, []).append(path)
    return flat if len(flat) == 2 else {}


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder in natural order."""
    return sorted((path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES),
                  key=lambda path: natural_key(path.name))


def read_image(path: Path) -> np.ndarray:
    """
    Read an image with its bit depth: ``(H, W)`` or ``(H, W, 3)`` BGR, without transparency.

    Raises
    ------
    SourceError
        The file cannot be read, is truncated or is not an image.

    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None
    for start, end in _ENDINGS.items():
        if data.startswith(start) and end not in data[-_TRAILER:]:
            raise SourceError(f'{path} is truncated at {len(data)} bytes')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8),
                             cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None:
        raise SourceError(f'{path} cannot be decoded as an image ({len(data)} bytes)')
    return image


def _read_bgr8(path: Path) -> np.ndarray:
    try:
        return images.as_bgr8(read_image(path))
    except images.ImageError as error:
        raise SourceError(f'{path}: {error}') from None


def _map_by_key(files: list[Path], name: str) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in files:
        key = split_stem(path.stem)[1]
        if key in paths:
            raise SourceError(f"{name}: '{paths[key].name}' and '{path.name}' claim the same pair")
        paths[key] = path
    return paths


def _example_name(files: dict[str, Path]) -> str:
    return next(iter(files.values())).name if files else 'none'
