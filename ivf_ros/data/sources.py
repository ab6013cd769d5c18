# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One entry point for all frame sources: folder, videos, bag or simulator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Protocol, TypedDict

from ivf_ros.data.bags.files import BAG_SUFFIXES, is_bag
from ivf_ros.data.files import image_files, list_folder
from ivf_ros.data.folder import find_pairs, FolderSource
from ivf_ros.data.pair_names import TOLERANCE_S
from ivf_ros.data.recording import (
    every_frame,
    FrameFilter,
    RGB_NAMES,
    SourceError,
    THERMAL_NAMES,
)
from ivf_ros.data.video import find_videos, VIDEO_SUFFIXES, VideoSource
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import build, parse_settings
from ivf_ros.regular_files import check_regular
from ivf_ros.types import Event

__all__ = ['BagOptions', 'open_source', 'Source', 'SourceError']

DEFAULT_RATE_HZ = 10.0  # of image files, which have no clock
# The scene of 'simulator' without settings, also of the demonstration: two cores can simulate, run
# all stages and record at 15 Hz.
DEMO_SCENE = 'condition=night,seed=2,thermal.rate_hz=15,rgb.rate_hz=15'


class Source(Protocol):
    """
    A source of thermal and RGB frames.

    Attributes
    ----------
    name:
        Name in logs and reports.
    rate_hz:
        Thermal frames per second.
    skipped:
        Number of unreadable frames of the latest pass, by reason.

    """

    name: str
    rate_hz: float

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of skipped frames, by reason."""

    def events(self, is_wanted: FrameFilter = every_frame) -> Iterator[Event]:
        """
        Yield all frames from the start, in the order of delivery by the cameras.

        ``is_wanted`` is asked once for each frame, right before the frame is read. A frame that it
        refuses is left out and, where the format permits, not decoded.
        """


class BagOptions(TypedDict, total=False):
    """The arguments of ``open_source`` that are for bags."""

    thermal_topic: str | None
    rgb_topic: str | None
    thermal_info_topic: str | None
    rgb_info_topic: str | None
    stamps: str


def open_source(spec: str | Path, *, thermal_topic: str | None = None,
                rgb_topic: str | None = None, thermal_info_topic: str | None = None,
                rgb_info_topic: str | None = None, stamps: str = 'auto',
                rate_hz: float | None = None, aligned: bool = False, still_s: float = 0.0,
                name_tolerance_s: float = TOLERANCE_S) -> Source:
    """
    Open a source of thermal and RGB frames; the type of the source is detected.

    Unreadable frames are skipped, counted in ``skipped`` and logged. The source fails only if no
    frame remains. RGB frames are ``(H, W, 3)`` uint8 BGR, thermal frames ``(H, W)`` with the
    recorded depth.

    Parameters
    ----------
    spec:
        One of:

        - ``'simulator'`` (``DEMO_SCENE``) or ``'simulator:condition=night,seed=3'``;
        - a folder with two subfolders of pairs, with pairs that differ in ``_ir`` and ``_vis``,
          or with two videos;
        - a bag: its directory or its ``.mcap``, ``.db3`` or ``.bag`` file, also with ``.zstd``;
        - two folders or videos ``'A,B'``, thermal first.

        Thermal folders and files are named thermal, ir, infrared, lwir, tir or inf, visible ones
        rgb, visible, vis, vi or visual, in upper or lower case.
    thermal_topic, rgb_topic:
        Image topics of a bag. None takes ``thermal/image_raw`` and ``rgb/image_raw``, and if
        they do not exist the topics that must be meant by their names; a log line says them.
    thermal_info_topic, rgb_info_topic:
        Topics of CameraInfo in a bag; None takes ``camera_info`` beside the images.
    stamps:
        Which times of a bag become the stamps: ``'auto'``, ``'header'`` or ``'recorded'``. See
        ``StampCorrector``.
    rate_hz:
        Pairs per second of image files (default 10), or of videos instead of the stated rate.
    aligned:
        Both images of a pair of files show the same view. The true homography of each RGB frame is
        then the plain resize of thermal to the RGB size.
    still_s:
        Duration in seconds for which each pair of image files is repeated. Use it for unrelated
        scenes, because a live graph needs time to register each one. 0 treats the files as the
        frames of a sequence.
    name_tolerance_s:
        Greatest difference in seconds of the time stamps in the names of two image files of a
        pair, where their stems are not equal.

    Raises
    ------
    SourceError
        No usable source exists; the message states what was expected and what was found.
    ParameterError
        A setting of the simulator is not key=value, is unknown, or has an invalid value.

    """
    if rate_hz is not None and not rate_hz > 0:
        raise SourceError(f'rate_hz must be positive, got {rate_hz}')
    text = str(spec)
    scheme, _, settings = text.partition(':')
    if scheme == 'simulator':
        return _make_simulator(settings)
    path = Path(spec).expanduser()
    topics = (thermal_topic or None, rgb_topic or None, thermal_info_topic or None,
              rgb_info_topic or None)
    if is_bag(path):
        return _open_bag(path, topics, stamps)
    if stamps == 'recorded':
        raise SourceError(f"only bags have times of recording, and '{text}' is none")
    if any(topics):
        raise SourceError(f"only bags have topics, and '{text}' is none; got the topics "
                          f"{', '.join(filter(None, topics))}")
    if path.is_dir():
        return _open_directory(path, rate_hz, aligned, still_s, name_tolerance_s)
    if path.exists():
        raise _file_error(path)
    if text.count(',') == 1:
        thermal, rgb = (Path(part.strip()).expanduser() for part in text.split(','))
        if thermal.is_dir() and rgb.is_dir():
            files = {'thermal': image_files(thermal), 'rgb': image_files(rgb)}
            return FolderSource(text, files, rate_hz or DEFAULT_RATE_HZ, aligned, still_s,
                                name_tolerance_s)
        return VideoSource(thermal, rgb, rate_hz, aligned)
    raise SourceError(f"no such source: '{text}' is no file and no folder")


def _open_directory(path: Path, rate_hz: float | None, aligned: bool, still_s: float,
                    name_tolerance_s: float) -> Source:
    entries = list_folder(path)
    recording = _open_pairs(path, rate_hz, aligned, still_s, name_tolerance_s)
    if recording is not None:
        return recording
    # Data sets often have the two folders one level deeper: in 'input', 'train', 'test'.
    nested = [source for entry in entries
              if entry.is_dir()
              and (source := _open_pairs(entry, rate_hz, aligned, still_s,
                                         name_tolerance_s)) is not None]
    if len(nested) == 1:
        return nested[0]
    if nested:
        raise SourceError(f'{path}: several folders hold pairs, name one of them: '
                          + ', '.join(source.name for source in nested))
    bags = [entry for entry in entries if entry.is_dir() and is_bag(entry)]
    if bags:
        raise SourceError(f'{path} is no bag but holds some; name one: '
                          + ', '.join(map(str, bags)))
    shown = [entry.name + '/' * entry.is_dir() for entry in entries[:6]]
    if len(entries) > len(shown):
        shown.append(f'... ({len(entries)} entries)')
    raise SourceError(
        f'{path}: looked for a bag (metadata.yaml, *.mcap, *.db3, *.bag) and for images or videos '
        f'named {"|".join(THERMAL_NAMES)} and {"|".join(RGB_NAMES)}; '
        f'found {", ".join(shown) or "an empty folder"}')


def _open_pairs(folder: Path, rate_hz: float | None, aligned: bool,
                still_s: float, name_tolerance_s: float) -> Source | None:
    files = find_pairs(folder)
    if files:
        return FolderSource(str(folder), files, rate_hz or DEFAULT_RATE_HZ, aligned, still_s,
                            name_tolerance_s)
    videos = find_videos(folder)
    if videos:
        return VideoSource(videos['thermal'], videos['rgb'], rate_hz, aligned)
    return None


def _file_error(path: Path) -> SourceError:
    """Return the error for a file, pipe or device that is no source by itself."""
    try:
        check_regular(path)
    except OSError as error:
        return SourceError(f'{path} is no source: {error.strerror}')
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return SourceError(f"{path} is one video; give two, as 'thermal.mp4,visible.mp4'")
    return SourceError(f"{path}: a source file must be a bag ({', '.join(BAG_SUFFIXES)}), "
                       f"got '{path.suffix.lower()}'")


def _open_bag(path: Path, topics: tuple[str | None, ...], stamps: str) -> Source:
    with explain_missing(f'{path}: reading a bag', SourceError, 'rosbags'):
        from ivf_ros.data.bags.source import BagSource
        from ivf_ros.data.bags.topics import TopicRequest
    return BagSource(path, TopicRequest(*topics), stamps)


def _make_simulator(settings: str) -> Source:
    """Create the simulator from ``key=value,key=value``; a list is written ``[1, 2]``."""
    from ivf_ros.data.simulator import RigSimulator, SimulatorParameters  # takes 0.05 s
    values = parse_settings(re.split(r',(?![^\[]*\])', settings or DEMO_SCENE))
    return RigSimulator(build(SimulatorParameters, values))
