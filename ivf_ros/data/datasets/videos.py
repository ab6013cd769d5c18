# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences as two videos, such as M3SVD, whose frames are the samples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ivf_ros.data.datasets.boxes import read_yolo
from ivf_ros.data.datasets.facts import facts_of
from ivf_ros.data.datasets.listing import files_by_stem, Image, Listing
from ivf_ros.data.sample import Annotation, Dataset, Origin
from ivf_ros.data.video import find_videos
from ivf_ros.data.video_frame import frame_count, VideoFrame


def find(folder: Path, folders: Mapping[str, Path], machine_labels: bool) -> list[Dataset]:
    """
    Recognise a folder of a thermal and a visible video, or a folder of such sequences.

    Frames are named by their number in six digits, from 0. What a machine said of a frame is
    ``boxes_silver/000010.txt``; nobody else said anything.
    """
    videos = {path: found for path in (*folders.values(), folder) if (found := find_videos(path))}
    if not videos:
        return []
    name = folder.parent.name if list(videos) == [folder] else folder.name
    listing = Listing(name, 'videos', folder)
    for path, streams in videos.items():
        boxes = files_by_stem(path / 'boxes_silver', '.txt') if machine_labels else {}

        def annotate(key: str, rgb: Image, boxes: Mapping[str, Path] = boxes) -> dict[str, Any]:
            if key not in boxes:
                return {}
            return {'detections': Annotation(partial(read_yolo, boxes[key], rgb),
                                             Origin.MACHINE)}

        listing.add(_frames(streams['thermal']), _frames(streams['rgb']), facts_of(name),
                    annotate, prefix=f'{path.name}/', scene=path.name)
    return [listing.dataset()]


def _frames(path: Path) -> dict[str, VideoFrame]:
    return {f'{index:06d}': VideoFrame(path, index) for index in range(frame_count(path))}
