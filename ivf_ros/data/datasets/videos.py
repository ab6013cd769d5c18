# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sequences of two videos, such as M3SVD; the frames are the samples."""

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

    Frames are named by their six-digit number, starting at 0. Machine-made boxes of a frame are in
    ``boxes_silver/000010.txt``; there are no human annotations.
    """
    videos = {path: pair for path in (*folders.values(), folder) if (pair := find_videos(path))}
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

        listing.add(_frames_by_number(streams['thermal']), _frames_by_number(streams['rgb']),
                    facts_of(name), annotate, prefix=f'{path.name}/', scene=path.name)
    return [listing.dataset()]


def _frames_by_number(path: Path) -> dict[str, VideoFrame]:
    return {f'{index:06d}': VideoFrame(path, index) for index in range(frame_count(path))}
