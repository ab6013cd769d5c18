# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thermal and RGB frames from a folder, videos, a bag or the simulator, by one call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
from typing import Protocol

from ivf_ros.data.folder import find_pairs, FolderSource, image_files
from ivf_ros.data.recording import RGB_NAMES, SourceError, THERMAL_NAMES
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.data.video import find_videos, VIDEO_SUFFIXES, VideoSource
from ivf_ros.parameters import build, parse_settings
from ivf_ros.types import Event

__all__ = ['open_source', 'Source', 'SourceError']

BAG_SUFFIXES = ('.mcap', '.db3')
DEFAULT_RATE_HZ = 10.0  # of image files, which have no clock


class Source(Protocol):
    """
    Where frames come from.

    Attributes
    ----------
    name:
        What to call it in logs and reports.
    rate_hz:
        Thermal frames a second.
    skipped:
        How many frames could not be read, by reason, in the latest pass.

    """

    name: str
    rate_hz: float

    @property
    def skipped(self) -> dict[str, int]:
        """Return how many frames were left out, by reason."""

    def events(self) -> Iterator[Event]:
        """Yield the frames from the start, in the order in which the cameras delivered them."""


def open_source(spec: str | Path, *, thermal_topic: str = 'thermal/image_raw',
                rgb_topic: str = 'rgb/image_raw', rate_hz: float | None = None,
                aligned: bool = False, still_s: float = 0.0) -> Source:
    """
    Open a source of thermal and RGB frames; what kind it is shows from what is there.

    What cannot be read is left out, counted in ``skipped`` and said in the log; the source fails
    only where nothing remains. RGB frames are ``(H, W, 3)`` uint8 BGR, thermal frames ``(H, W)``
    with the depth that was recorded.

    Parameters
    ----------
    spec:
        ``'simulator'`` or ``'simulator:condition=night,seed=3'``; a folder with subfolders of
        pairs, with pairs that differ in ``_ir`` and ``_vis``, or with two videos; a rosbag2 bag,
        as its directory or its ``.mcap`` or ``.db3`` file; or two folders or videos ``'A,B'``,
        thermal first. Thermal goes by the names thermal, ir, infrared, lwir, tir, inf and visible
        by rgb, visible, vis, vi, visual, in any case.
    thermal_topic, rgb_topic:
        Image topics of a bag.
    rate_hz:
        Pairs a second of image files (default 10), or of videos instead of what they say.
    aligned:
        The two images of a pair in files show the same view: each RGB frame then has the
        homography that stretches one over the other as its truth.
    still_s:
        Image files are stills of unrelated scenes: each pair is shown for so long, as a live
        graph needs time to register it. 0 takes them for the frames of a sequence.

    Raises
    ------
    SourceError
        Nothing there can be used; the message says what was looked for and what was found.
    ParameterError
        A setting of the simulator that is not key=value, an unknown one, or a value that it does
        not take.

    """
    if rate_hz is not None and not rate_hz > 0:
        raise SourceError(f'rate_hz must be positive, got {rate_hz}')
    text = str(spec)
    kind, _, settings = text.partition(':')
    if kind == 'simulator':
        return _simulator(settings)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _from_directory(path, thermal_topic, rgb_topic, rate_hz, aligned, still_s)
    if path.is_file():
        return _from_file(path, thermal_topic, rgb_topic)
    if text.count(',') == 1:
        thermal, rgb = (Path(part.strip()).expanduser() for part in text.split(','))
        if thermal.is_dir() and rgb.is_dir():
            files = {'thermal': image_files(thermal), 'rgb': image_files(rgb)}
            return FolderSource(text, files, rate_hz or DEFAULT_RATE_HZ, aligned, still_s)
        return VideoSource(thermal, rgb, rate_hz, aligned)
    raise SourceError(f"no such source: '{text}' is no file and no folder")


def _from_directory(path: Path, thermal_topic: str, rgb_topic: str, rate_hz: float | None,
                    aligned: bool, still_s: float) -> Source:
    entries = sorted(path.iterdir())
    if (path / 'metadata.yaml').is_file():
        return _bag(path, thermal_topic, rgb_topic)
    bags = [entry for entry in entries if entry.suffix in BAG_SUFFIXES]
    if len(bags) == 1:
        return _bag(bags[0], thermal_topic, rgb_topic)
    if bags:
        raise SourceError(f'{path}: {len(bags)} bag files but no metadata.yaml; name one of them, '
                          'or run ros2 bag reindex on the folder')
    recording = _pairs_in(path, rate_hz, aligned, still_s)
    if recording is not None:
        return recording
    # Data sets often keep the two folders one level further down: in 'input', 'train', 'test'.
    below = [found for entry in entries
             if entry.is_dir()
             and (found := _pairs_in(entry, rate_hz, aligned, still_s)) is not None]
    if len(below) == 1:
        return below[0]
    if below:
        raise SourceError(f'{path}: several folders hold pairs, name one of them: '
                          + ', '.join(found.name for found in below))
    shown = [entry.name + '/' * entry.is_dir() for entry in entries[:6]]
    if len(entries) > len(shown):
        shown.append(f'... ({len(entries)} entries)')
    raise SourceError(
        f'{path}: looked for a bag (metadata.yaml, *.mcap, *.db3) and for images or videos named '
        f'{"|".join(THERMAL_NAMES)} and {"|".join(RGB_NAMES)}; '
        f'found {", ".join(shown) or "an empty folder"}')


def _pairs_in(folder: Path, rate_hz: float | None, aligned: bool,
              still_s: float) -> Source | None:
    files = find_pairs(folder)
    if files:
        return FolderSource(str(folder), files, rate_hz or DEFAULT_RATE_HZ, aligned, still_s)
    videos = find_videos(folder)
    if videos:
        return VideoSource(videos['thermal'], videos['rgb'], rate_hz, aligned)
    return None


def _from_file(path: Path, thermal_topic: str, rgb_topic: str) -> Source:
    suffix = path.suffix.lower()
    if suffix in BAG_SUFFIXES:
        return _bag(path, thermal_topic, rgb_topic)
    if suffix == '.bag':
        raise SourceError(f'{path} is a ROS 1 bag; convert it with rosbags-convert')
    if suffix in VIDEO_SUFFIXES:
        raise SourceError(f"{path} is one video; give two, as 'thermal.mp4,visible.mp4'")
    raise SourceError(f"{path}: a file can be a bag ({', '.join(BAG_SUFFIXES)}), got '{suffix}'")


def _bag(path: Path, thermal_topic: str, rgb_topic: str) -> Source:
    try:
        from ivf_ros.data.bag import BagSource
    except ModuleNotFoundError as error:
        raise SourceError(f"{path}: reading a bag needs '{error.name}'; "
                          'pip install rosbags') from None
    return BagSource(path, thermal_topic, rgb_topic)


def _simulator(settings: str) -> Source:
    """Make the simulator from ``key=value,key=value``; a list is written ``[1, 2]``."""
    values = parse_settings(re.split(r',(?![^\[]*\])', settings) if settings else ())
    return RigSimulator(build(SimulatorParameters, values))
