# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is in a source: topics, images, times, and what is damaged."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
from ivf_ros.data.bags.files import is_bag
from ivf_ros.data.folder import FolderSource
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sources import BagOptions, open_source
from ivf_ros.data.video import find_videos, VideoSource
from ivf_ros.optional_imports import explain_missing
from ivf_ros.stamps import examine_clock, MessageTimes

_SECONDS_PER_DAY = 86400


def describe_source(spec: str, bag_options: BagOptions) -> dict[str, Any]:
    """
    Describe a source for people and for ``--json``.

    Of a bag only its index and the first images of each image topic are read, of other sources
    the first frame of each camera.

    Parameters
    ----------
    spec:
        A source, as for ``open_source``.
    bag_options:
        Arguments of ``open_source`` that are for bags.

    Raises
    ------
    SourceError, ParameterError
        Nothing of the source can be read.

    """
    path = Path(spec).expanduser()
    if is_bag(path):
        with explain_missing(f'{path}: reading a bag', SourceError, 'rosbags'):
            return _describe_bag(path, bag_options)
    return _describe_frames(spec, bag_options)


def _describe_bag(path: Path, bag_options: BagOptions) -> dict[str, Any]:
    from ivf_ros.data.bags.bag import Bag
    from ivf_ros.data.bags.source import choose_cameras
    from ivf_ros.data.bags.summary import summarize_topic, TopicSummary
    from ivf_ros.data.bags.topics import TopicRequest

    bag = Bag(path)
    summaries = {topic: summarize_topic(bag, topic) for topic in sorted(bag.counts)}

    def describe(summary: TopicSummary) -> dict[str, Any]:
        facts: dict[str, Any] = {
            'name': summary.name, 'type': summary.msgtype,
            'serialization': summary.serialization, 'messages': summary.count,
            'rate_hz': summary.rate_hz}
        if summary.encoding:
            facts['encoding'] = summary.encoding
        if summary.size:
            facts['width'], facts['height'] = summary.size
        if summary.times_ns:
            clock = examine_clock(MessageTimes('', *times_ns) for times_ns in summary.times_ns)
            facts['first_stamp_ns'], facts['first_recorded_ns'] = summary.times_ns[0]
            facts['stamp_minus_recorded_s'] = clock.offset_s
            facts['stamps'] = _describe_clock(clock.fault, clock.offset_s, facts['first_stamp_ns'])
        if summary.problem:
            facts['problem'] = summary.problem
        return facts

    report: dict[str, Any] = {
        'source': str(path), 'kind': 'bag', 'bytes': bag.n_bytes,
        'start': None if bag.start_ns is None else _to_utc(bag.start_ns),
        'duration_s': None if bag.start_ns is None or bag.end_ns is None
        else (bag.end_ns - bag.start_ns) * 1e-9,
        'topics': [describe(summary) for summary in summaries.values()],
        'problems': list(bag.problems)}
    try:
        cameras = choose_cameras(bag, TopicRequest(
            bag_options.get('thermal_topic'), bag_options.get('rgb_topic'),
            bag_options.get('thermal_info_topic'), bag_options.get('rgb_info_topic')), summaries)
    except SourceError as error:
        report['cameras'] = {}
        report['problems'].append(str(error))
    else:
        report['cameras'] = {
            stream: {'topic': topic.name, 'reason': cameras.choice.reasons[stream],
                     'camera_info': cameras.info_topics[stream].name
                     if stream in cameras.info_topics else None}
            for stream, topic in cameras.choice.topics.items()}
    return report


def _describe_frames(spec: str, bag_options: BagOptions) -> dict[str, Any]:
    source = open_source(spec, **bag_options)
    cameras: dict[str, Any] = {}
    for event in source.events():
        width, height = event.frame.size
        cameras.setdefault(event.stream, {
            'width': width, 'height': height, 'dtype': str(event.frame.image.dtype)})
        if len(cameras) == 2:
            break
    report = {'source': source.name, 'kind': type(source).__name__.removesuffix('Source').lower(),
              'rate_hz': source.rate_hz, 'cameras': cameras,
              'problems': [f'{reason}: {count}' for reason, count in source.skipped.items()]}
    if isinstance(source, FolderSource):
        report['pairs'] = len(source.pairs)
        report['duration_s'] = len(source.pairs) / source.rate_hz
    if isinstance(source, VideoSource):
        folder = Path(source.name)
        thermal, rgb = find_videos(folder).values() if folder.is_dir() else source.name.split(',')
        cameras['thermal'].update(_describe_video(thermal))
        cameras['rgb'].update(_describe_video(rgb))
    return report


def _describe_video(path: Path | str) -> dict[str, Any]:
    """Return what a video states about itself."""
    video = cv2.VideoCapture(str(path))
    try:
        frames, rate_hz = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
        codec = int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, 'little').decode(errors='replace')
    finally:
        video.release()
    return {'file': str(path), 'codec': codec, 'frames': frames, 'rate_hz': rate_hz,
            'duration_s': frames / rate_hz if rate_hz > 0 else None}


def _describe_clock(fault: str, offset_s: float, first_stamp_ns: int) -> str:
    """Return whether the stamps of a camera can be used."""
    if fault:
        return f'unusable, they {fault}'
    if abs(offset_s) > 1:
        if first_stamp_ns * 1e-9 < 365 * _SECONDS_PER_DAY:
            return 'count from the start of a clock, not from 1970'
        return f'differ by {offset_s:.1f} s from the time of recording'
    return 'usable'


def _to_utc(time_ns: int) -> str:
    """Return a time in ISO 8601, or the number if it is no date."""
    try:
        return datetime.fromtimestamp(time_ns * 1e-9, timezone.utc).isoformat(
            timespec='milliseconds')
    except (OverflowError, ValueError, OSError):
        return f'{time_ns} ns'
