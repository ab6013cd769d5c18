# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Source of frames from pairs of image files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from pathlib import Path

import cv2
from ivf_ros import geometry
from ivf_ros.data.files import image_files, IMAGE_SUFFIXES, list_folder
from ivf_ros.data.image_file import read_rgb, read_thermal
from ivf_ros.data.pair_names import pair_files, TOLERANCE_S
from ivf_ros.data.radiometric import has_visible_image, HEADER_BYTES, is_flir
from ivf_ros.data.recording import (
    every_frame,
    FRAME_IDS,
    FrameFilter,
    SkipCount,
    SourceError,
    split_folder,
    split_stem,
    to_single_channel,
)
from ivf_ros.regular_files import open_regular
from ivf_ros.types import Event, Frame, Truth
import numpy as np

_TRIED_FILES = 100  # of a folder, to find a radiometric file

# Of ten data sets, stills correlate by 0.7 at most and sequences by 0.98 or more.
_MIN_SEQUENCE_CORRELATION = 0.8
_COMPARED_PAIRS = 8


class FolderSource:
    """
    Source of image pairs, in natural order of their names and at a constant rate.

    Files pair up by stem, in two folders (``thermal/7.png``, ``visible/7.jpg``) or in one folder
    (``7_ir.png``, ``7_vis.png``), or by the time stamps in their names: see ``pair_files``. A
    radiometric JPEG file is both images of a pair. Thermal frames keep 16 bits and float; colour
    is converted to luma. RGB frames are always ``(H, W, 3)`` uint8 BGR; a gray visible image gets
    three equal channels. Both frames of a pair have the same stamp. The first stamp is one period,
    not 0, because ROS treats 0 as 'no time'.

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
    name_tolerance_s:
        Greatest difference in seconds of the time stamps in the names of two partners.

    Attributes
    ----------
    pairs:
        The thermal and the visible file of each pair, in order.
    file_pairs:
        The same by name, and the files without a partner.

    Raises
    ------
    SourceError
        No thermal and visible file belong together, or two files of one stream have the same key.

    """

    def __init__(self, name: str, files: Mapping[str, list[Path]], rate_hz: float,
                 aligned: bool, still_s: float = 0.0,
                 name_tolerance_s: float = TOLERANCE_S) -> None:
        self.name = name
        self.rate_hz = rate_hz
        self.aligned = aligned
        self._repeats = max(1, round(still_s * rate_hz))
        self._skip_count = SkipCount(name)
        self.file_pairs = pair_files(files['thermal'], files['rgb'], name, name_tolerance_s)
        if not self.file_pairs.pairs:
            raise SourceError(
                f'{name}: no thermal and visible file have the same stem, or time stamps in their '
                f'names that agree; found {len(files["thermal"])} thermal '
                f'({_example_name(files["thermal"])}), {len(files["rgb"])} visible '
                f'({_example_name(files["rgb"])})')
        self.pairs = tuple(self.file_pairs.pairs.values())

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of skipped files of the latest pass, by reason."""
        return dict(self._skip_count.counts)

    def events(self, is_wanted: FrameFilter = every_frame) -> Iterator[Event]:
        """
        Read the pairs in order and yield thermal, then RGB.

        A pair is wanted or not as a whole; see ``Source.events``.

        Raises
        ------
        SourceError
            No pair could be read.

        """
        self._skip_count.counts.clear()
        self._count_left_out()
        period_ns = 1e9 / self.rate_hz
        n_read, n_refused, first_error = 0, 0, ''
        for index, paths in enumerate(self.pairs):
            stamps_ns = (round((index * self._repeats + repeat + 1) * period_ns)
                         for repeat in range(self._repeats))
            first_ns = next((stamp_ns for stamp_ns in stamps_ns
                             if is_wanted('thermal', stamp_ns)), None)
            if first_ns is None:
                n_refused += 1
                continue
            try:
                thermal, rgb = read_thermal(paths[0]), read_rgb(paths[1])
            except SourceError as error:
                self._skip_count.add('unreadable', error)
                first_error = first_error or str(error)
                continue
            n_read += 1
            truth = Truth(geometry.stretch(geometry.size_of(thermal), geometry.size_of(rgb))
                          if self.aligned else None)
            wanted_ns = (stamp_ns for stamp_ns in stamps_ns if is_wanted('thermal', stamp_ns))
            for stamp_ns in chain([first_ns], wanted_ns):
                yield Event('thermal', Frame(thermal, stamp_ns, FRAME_IDS['thermal']))
                yield Event('rgb', Frame(rgb, stamp_ns, FRAME_IDS['rgb']), truth)
        if not n_read and not n_refused:
            raise SourceError(f'{self.name}: none of {len(self.pairs)} pairs can be read; the '
                              f'first: {first_error}')

    def shows_unrelated_scenes(self) -> bool:
        """
        Return whether the pairs are stills of unrelated scenes rather than frames of a sequence.

        It compares the first image pairs in their order. The images of both cameras correlate
        little from one still to the next; from frame to frame of a sequence those of one camera
        at least correlate by 0.9 or more. Pairs that cannot be read are left out.
        """
        thumbnails: dict[str, list[np.ndarray]] = {'thermal': [], 'rgb': []}
        for paths in self.pairs[:_COMPARED_PAIRS]:
            try:
                images = read_thermal(paths[0]), read_rgb(paths[1])
            except SourceError:
                continue
            for stream, image in zip(thumbnails, images):
                thumbnails[stream].append(_make_thumbnail(image))
        medians = [np.median([float((a * b).mean()) for a, b in pairwise(images)])
                   for images in thumbnails.values() if len(images) > 1]
        return bool(medians) and bool(max(medians) < _MIN_SEQUENCE_CORRELATION)

    def _count_left_out(self) -> None:
        unpaired = {name: self.file_pairs.unpaired[stream]
                    for stream, name in (('thermal', 'thermal'), ('rgb', 'visible'))
                    if self.file_pairs.unpaired[stream]}
        if unpaired:
            self._skip_count.add(
                'no partner', ' and '.join(f'{len(paths)} {name} (such as {paths[0].name})'
                                           for name, paths in unpaired.items()),
                sum(map(len, unpaired.values())))
        lenses = self.file_pairs.other_lenses
        if lenses:
            self._skip_count.add('other lens', f'{len(lenses)} visible (such as {lenses[0].name})',
                                 len(lenses))


def _make_thumbnail(image: np.ndarray) -> np.ndarray:
    """Return a small gray image with mean 0 and standard deviation 1."""
    small = cv2.resize(to_single_channel(image).astype(np.float32), (32, 24),
                       interpolation=cv2.INTER_AREA)
    return (small - small.mean()) / (small.std() + 1e-6)


def find_pairs(folder: Path) -> dict[str, list[Path]]:
    """
    Find the files of both streams in a folder of pairs.

    Returns the image files by stream name. The streams are two subfolders with a stream word as
    their name, or else files with a stream word at the start or end of their names, or else
    radiometric JPEG files that hold both images. The result is empty if there are no pairs.

    Raises
    ------
    SourceError
        Two subfolders have names for the same stream, one of them contains no images, or there are
        several pairs of subfolders.

    """
    splits = find_stream_folders(folder)
    if len(splits) > 1:
        names = ', '.join(f'{streams["thermal"].name},{streams["rgb"].name}'
                          for streams in splits.values())
        raise SourceError(f'{folder}: several pairs of folders, give one as A,B: {names}')
    for streams in splits.values():
        files = {stream: stream_files(path) for stream, path in streams.items()}
        for stream, path in streams.items():
            if not files[stream]:
                raise SourceError(f"{folder}: '{path.name}' holds no images "
                                  f'({", ".join(IMAGE_SUFFIXES)})')
        return files
    flat: dict[str, list[Path]] = {}
    paths = image_files(folder)
    for path in paths:
        word = split_stem(path.stem)[0]
        if word:
            flat.setdefault(word, []).append(path)
    return flat if len(flat) == 2 else _find_radiometric(paths)


def find_stream_folders(folder: Path) -> dict[str, dict[str, Path]]:
    """
    Return the pairs of subfolders of both streams, by split and stream name.

    The split of folders such as ``thermal`` and ``rgb`` is ``''``, that of ``images_rgb_train`` is
    ``'train'``. Of ``thermal_8_bit`` and ``thermal_16_bit`` the latter counts.

    Raises
    ------
    SourceError
        Two subfolders have names for the same stream.

    """
    splits: dict[str, dict[str, Path]] = {}
    for path in list_folder(folder):
        stream, split = split_folder(path.name)
        if not stream or not path.is_dir():
            continue
        other = splits.setdefault(split, {}).setdefault(stream, path)
        if {other.name.lower(), path.name.lower()} == {'thermal_8_bit', 'thermal_16_bit'}:
            splits[split][stream] = next(each for each in (other, path) if '16' in each.name)
        elif other != path:
            raise SourceError(f"{folder}: both '{other.name}' and '{path.name}' are names for "
                              f'{stream}; give the two folders as A,B')
    return {split: streams for split, streams in splits.items() if len(streams) == 2}


def stream_files(folder: Path) -> list[Path]:
    """Return the images in a folder of one stream, or in its subfolder ``data``."""
    files = image_files(folder)
    return image_files(folder / 'data') if not files and (folder / 'data').is_dir() else files


def _find_radiometric(paths: list[Path]) -> dict[str, list[Path]]:
    """Return the radiometric files, and as visible ones those that hold a visible image."""
    paths = [path for path in paths if path.suffix.lower() in ('.jpg', '.jpeg')]
    if not any(has_visible_image(_read_header(path)) for path in paths[:_TRIED_FILES]):
        return {}
    headers = [(path, _read_header(path)) for path in paths]
    return {'thermal': [path for path, header in headers if is_flir(header)],
            'rgb': [path for path, header in headers if has_visible_image(header)]}


def _read_header(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(HEADER_BYTES)
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror}') from None


def _example_name(files: list[Path]) -> str:
    return files[0].name if files else 'none'
