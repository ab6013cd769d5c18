# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Thermal, visible and fused images on disk that belong together, and their measures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivf_ros.data.folder import image_files, read_image
from ivf_ros.data.recording import natural_key, SourceError, to_single_channel
from ivf_ros.evaluation import metrics


@dataclass(frozen=True)
class Triple:
    """The files of one scene, named by what their names share."""

    name: str
    thermal: Path
    visible: Path
    fused: Path


def find_triples(thermal: Path, visible: Path, fused: Path) -> list[Triple]:
    """
    Match three files, or three folders by the stems of their images, in natural order.

    Raises
    ------
    SourceError
        Something does not exist, files and folders are mixed, or no stem is in all three.

    """
    paths = {'thermal': thermal, 'visible': visible, 'fused': fused}
    for stream, path in paths.items():
        if not path.exists():
            raise SourceError(f'no {stream} file or folder at {path}')
    if all(path.is_file() for path in paths.values()):
        return [Triple(fused.stem, thermal, visible, fused)]
    if not all(path.is_dir() for path in paths.values()):
        raise SourceError('give three files or three folders, got '
                          + ', '.join(f'{path} ({"folder" if path.is_dir() else "file"})'
                                      for path in paths.values()))
    found = {stream: {file.stem: file for file in image_files(path)}
             for stream, path in paths.items()}
    shared = set.intersection(*(set(files) for files in found.values()))
    if not shared:
        raise SourceError('no image has the same stem in all three folders; found '
                          + ', '.join(f'{len(files)} {stream}' for stream, files in found.items()))
    return [Triple(stem, *(found[stream][stem] for stream in paths))
            for stem in sorted(shared, key=natural_key)]


def measure_triples(triples: list[Triple], names: Sequence[str] | None = None
                    ) -> Iterator[tuple[str, dict[str, float]]]:
    """
    Yield the name and the fusion metrics of each triple; colour is reduced to luma.

    ``names`` are those of ``metrics.FUSION_METRICS`` to compute, all by default.

    Raises
    ------
    SourceError, MetricError
        An image cannot be read, or the three do not fit together; the message names the triple.

    """
    for triple in triples:
        thermal, visible, fused = (to_single_channel(read_image(path)) for path in
                                   (triple.thermal, triple.visible, triple.fused))
        try:
            yield triple.name, metrics.fusion(thermal, visible, fused, names)
        except metrics.MetricError as error:
            raise metrics.MetricError(f'{triple.name}: {error}') from None
