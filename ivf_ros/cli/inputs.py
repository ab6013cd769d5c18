# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a command works on: files, folders, patterns, videos and recordings, as items in order."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
import glob
from itertools import islice
from pathlib import Path

from ivf_ros import images
from ivf_ros.camera_input import CameraGeometry
from ivf_ros.cli.bag_options import bag_options_of
from ivf_ros.cli.cameras import rgb_camera_of, thermal_camera_of
from ivf_ros.cli.false_colours import explain_colours
from ivf_ros.cli.output import CommandError, UsageError
from ivf_ros.data.bags.files import is_bag
from ivf_ros.data.corrected_source import CorrectedSource
from ivf_ros.data.files import IMAGE_SUFFIXES
from ivf_ros.data.folder import find_pairs, FolderSource, stream_files
from ivf_ros.data.frame_pairs import pair_events
from ivf_ros.data.pair_names import FilePairs, pair_by_order, pair_files
from ivf_ros.data.radiometric import has_visible_image, HEADER_BYTES
from ivf_ros.data.recording import natural_key, SourceError
from ivf_ros.data.sources import open_source, Source
from ivf_ros.data.video import find_videos, VIDEO_SUFFIXES, VideoSource
from ivf_ros.data.video_file import VideoFile
import numpy as np


@dataclass(frozen=True, eq=False)
class Item:
    """
    An RGB image, or the one to work on, and the thermal image that belongs to it, if any.

    A file is read and corrected by whoever works on the item; the arrays of a recording are
    corrected already. ``index`` counts the selected items, ``name`` is that of the output, without
    a suffix.
    """

    index: int
    name: str
    rgb: Path | np.ndarray
    thermal: Path | np.ndarray | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files that the item is read from."""
        return tuple(image for image in (self.rgb, self.thermal) if isinstance(image, Path))


@dataclass(frozen=True, eq=False)
class Inputs:
    """
    The items of one call of a command.

    Attributes
    ----------
    items:
        The items in order, to be iterated once.
    total:
        Their number; None if it is unknown.
    sources:
        What they are read from, for the check of the outputs.
    is_single:
        The user named one image, or one pair of images.
    is_sequence:
        The items are the frames of a recording, in order of time.
    has_thermal:
        The items have a thermal image.
    notes:
        Lines about what is left out.
    skipped:
        Returns the number of unreadable frames by reason, after the iteration.

    """

    items: Iterable[Item]
    total: int | None
    sources: tuple[str | Path, ...]
    is_single: bool = False
    is_sequence: bool = False
    has_thermal: bool = True
    notes: tuple[str, ...] = ()
    skipped: Callable[[], dict[str, int]] = dict


def find_pair_inputs(options: argparse.Namespace) -> Inputs:
    """
    Return the pairs that ``source``, or ``--thermal`` and ``--rgb``, name.

    Raises
    ------
    UsageError
        The arguments do not name pairs.
    SourceError
        A source cannot be read, or nothing in it belongs together.

    """
    if options.thermal or options.rgb:
        if options.source or not (options.thermal and options.rgb):
            raise UsageError('--thermal and --rgb go together, without other images')
        return _find_pairs(options, options.thermal, options.rgb, by_order=True)
    if len(options.source) == 1:
        return _open_recording(options, options.source[0])
    if len(options.source) != 2:
        raise UsageError(
            'give thermal and RGB, or one recording' if not options.source else
            f'got {len(options.source)} paths; give two, with patterns in quotes, or --thermal '
            'FILES --rgb FILES')
    return _find_pairs(options, options.source[:1], options.source[1:], by_order=False)


def find_image_inputs(options: argparse.Namespace) -> Inputs:
    """Return the images that ``image`` names, with those of ``--thermal``; see above."""
    specs = options.image
    if not specs:
        raise UsageError('give an image, a folder, a video or a recording')
    if options.thermal:
        return _find_pairs(options, options.thermal, specs, by_order=True)
    path = Path(specs[0]).expanduser()
    if len(specs) == 1 and path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        return _open_video(options, path)
    if len(specs) == 1 and _is_recording(specs[0]):
        return _open_recording(options, specs[0])
    files = _expand(specs)
    names: dict[str, Path] = {}
    for file in files:
        if names.setdefault(file.stem, file) != file:
            raise SourceError(f"'{names[file.stem]}' and '{file}' have the same name, which their "
                              'outputs get; give them in two calls')
    return _select(options, (Item(index, file.stem, file) for index, file in enumerate(files)),
                   len(files), tuple(files), is_single=_is_one_file(specs), has_thermal=False)


def _find_pairs(options: argparse.Namespace, thermal: Sequence[str], rgb: Sequence[str],
                by_order: bool) -> Inputs:
    files = {'thermal': _expand(thermal), 'rgb': _expand(rgb)}
    name = f'{thermal[0]},{rgb[0]}'
    if _is_one_file(thermal) and _is_one_file(rgb):
        paths = files['thermal'][0], files['rgb'][0]
        if all(path.suffix.lower() in VIDEO_SUFFIXES for path in paths):
            return _open_source(options, VideoSource(*paths, None, aligned=False), paths)
        item = Item(0, paths[1].stem, paths[1], paths[0])
        return _select(options, [item], 1, paths, is_single=True)
    found = pair_files(files['thermal'], files['rgb'], name)
    notes: tuple[str, ...] = ()
    if not found.pairs and by_order:
        found = pair_by_order(files['thermal'], files['rgb'], name)
        notes = ('the names do not tell the pairs; the files are paired by their order',)
    if not found.pairs:
        raise SourceError(
            f'{name}: no thermal and RGB file have the same stem, or time stamps in their names '
            f'that agree, such as {files["thermal"][0].name} and {files["rgb"][0].name}; '
            '--thermal PATH --rgb PATH pairs by order')
    return _list_file_pairs(options, found, notes)


def _open_recording(options: argparse.Namespace, spec: str) -> Inputs:
    path = Path(spec).expanduser()
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        with path.open('rb') as file:
            if not has_visible_image(file.read(HEADER_BYTES)):
                raise UsageError(f"'{spec}' is one image; give thermal and RGB")
        return _select(options, [Item(0, path.stem, path, path)], 1, (path,), is_single=True)
    source = open_source(spec, **bag_options_of(options))
    if isinstance(source, FolderSource):
        return _list_file_pairs(options, source.file_pairs)
    return _open_source(options, source, (spec,))


def _list_file_pairs(options: argparse.Namespace, found: FilePairs,
                     notes: tuple[str, ...] = ()) -> Inputs:
    left_out = [(f'{stream} without a partner', paths)
                for stream, paths in found.unpaired.items()]
    left_out.append(('visible of another lens', found.other_lenses))
    notes += tuple(f'left out: {len(paths)} {reason}, such as {paths[0].name}'
                   for reason, paths in left_out if paths)
    items = (Item(index, key or rgb.stem, rgb, thermal)
             for index, (key, (thermal, rgb)) in enumerate(found.pairs.items()))
    sources = tuple(dict.fromkeys(path for pair in found.pairs.values() for path in pair))
    return _select(options, items, len(found.pairs), sources, notes=notes)


def _open_source(options: argparse.Namespace, source: Source, sources: tuple[str | Path, ...]
                 ) -> Inputs:
    thermal_camera = thermal_camera_of(options)
    if thermal_camera.palette == 'none':
        _check_colours(source)
    corrected = CorrectedSource(source, thermal_camera, rgb_camera_of(options))

    def read() -> Iterator[Item]:
        for index, (thermal, rgb) in enumerate(pair_events(corrected)):
            yield Item(index, f'{index:06d}', rgb.frame.image, thermal.frame.image)

    return _select(options, read(), None, sources, is_sequence=True,
                   skipped=lambda: dict(corrected.skipped))


def _check_colours(source: Source) -> None:
    """Raise CommandError if the first thermal image of a source is in colour."""
    first: dict[str, np.ndarray] = {}
    for event in source.events():
        first.setdefault(event.stream, event.frame.image)
        if len(first) == 2:
            break
    if len(first) == 2 and first['thermal'].ndim == 3:
        raise CommandError(explain_colours(first['thermal'], first['rgb']))


def _open_video(options: argparse.Namespace, path: Path) -> Inputs:
    video = VideoFile(path)
    camera = CameraGeometry(rgb_camera_of(options))
    n_read = 0

    def read() -> Iterator[Item]:
        nonlocal n_read
        try:
            while (frame := video.read()) is not None:
                yield Item(n_read, f'{n_read:06d}', camera.apply(images.as_bgr8(frame)))
                n_read += 1
            n_missing = video.frame_count - n_read
            if n_missing > 0:
                skipped['undecodable'] = n_missing
        finally:
            video.close()

    skipped: dict[str, int] = {}
    return _select(options, read(), None, (path,), is_sequence=True, has_thermal=False,
                   skipped=lambda: skipped)


def _select(options: argparse.Namespace, items: Iterable[Item], total: int | None,
            sources: tuple[str | Path, ...], *, is_single: bool = False,
            is_sequence: bool = False, has_thermal: bool = True, notes: tuple[str, ...] = (),
            skipped: Callable[[], dict[str, int]] = dict) -> Inputs:
    """Return the inputs with the items that ``--every`` and ``--limit`` select."""
    stop = None if options.limit is None else options.limit * options.every
    if total is not None:
        total = len(range(0, total if stop is None else min(stop, total), options.every))
    numbered = (replace(item, index=index)
                for index, item in enumerate(islice(items, 0, stop, options.every)))
    return Inputs(numbered, total, sources, is_single, is_sequence, has_thermal, notes, skipped)


def _is_recording(spec: str) -> bool:
    """Return whether a path is more than images of one kind: a bag, pairs, the simulator."""
    path = Path(spec).expanduser()
    if path.is_dir():
        return is_bag(path) or not stream_files(path) or bool(find_pairs(path)
                                                              or find_videos(path))
    is_image = path.suffix.lower() in IMAGE_SUFFIXES
    return not (is_image or glob.has_magic(spec)) or spec.startswith('simulator:')


def _is_one_file(specs: Sequence[str]) -> bool:
    path = Path(specs[0]).expanduser()
    return len(specs) == 1 and not path.is_dir() and (path.exists()
                                                      or not glob.has_magic(specs[0]))


def _expand(specs: Sequence[str]) -> list[Path]:
    """Return the images of folders and patterns, and other paths as they are, by name."""
    paths: list[Path] = []
    for spec in specs:
        path = Path(spec).expanduser()
        found = [path]
        if path.is_dir():
            found = stream_files(path)
            if not found:
                raise SourceError(f"'{path}' holds no images ({', '.join(IMAGE_SUFFIXES)})")
        elif not path.exists() and glob.has_magic(spec):
            found = [Path(name) for name in glob.glob(str(path), recursive=True)
                     if Path(name).suffix.lower() in IMAGE_SUFFIXES]
            if not found:
                raise SourceError(f"no image fits the pattern '{spec}'")
        paths += found
    return sorted(paths, key=lambda path: natural_key(str(path)))
