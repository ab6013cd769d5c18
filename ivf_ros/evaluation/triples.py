# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Triples of thermal, visible and fused images on disk, and their fusion metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ivf_ros.data.files import image_files
from ivf_ros.data.image_file import read_image, read_thermal, read_visible
from ivf_ros.data.recording import natural_key, SourceError, to_single_channel, to_thermal
from ivf_ros.evaluation import metrics
from ivf_ros.thermal_input import ThermalCameraParameters


@dataclass(frozen=True)
class Triple:
    """The files of one scene. The name is the stem that the files have in common."""

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
        A path does not exist, files and folders are mixed, or no stem is in all three folders.

    """
    paths = {'thermal': thermal, 'visible': visible, 'fused': fused}
    for stream, path in paths.items():
        if not path.exists():
            raise SourceError(f'no {stream} file or folder at {path}')
    if all(path.is_file() for path in paths.values()):
        return [Triple(fused.stem, thermal, visible, fused)]
    if not all(path.is_dir() for path in paths.values()):
        raise SourceError('thermal, visible and fused must be three files or three folders, got '
                          + ', '.join(f'{path} ({"folder" if path.is_dir() else "file"})'
                                      for path in paths.values()))
    images = {stream: {file.stem: file for file in image_files(path)}
              for stream, path in paths.items()}
    common = set.intersection(*(set(files) for files in images.values()))
    if not common:
        counts = ', '.join(f'{len(files)} {stream}' for stream, files in images.items())
        raise SourceError('no image has the same stem in all three folders; the folders hold '
                          f'{counts} images')
    return [Triple(stem, *(images[stream][stem] for stream in paths))
            for stem in sorted(common, key=natural_key)]


def measure_triples(triples: list[Triple], names: Sequence[str] | None = None,
                    camera: ThermalCameraParameters | None = None
                    ) -> Iterator[tuple[str, dict[str, float]]]:
    """
    Yield the name and the fusion metrics of each triple; colour becomes luma, except of thermal.

    ``names`` selects metrics of ``metrics.FUSION_METRICS``; the default is all. ``camera`` says
    what thermal images in false colours mean; see ``to_thermal``.

    Raises
    ------
    SourceError, MetricError
        An image cannot be read, or the sizes of a triple differ; the message names the triple.

    """
    for triple in triples:
        thermal = to_thermal(read_thermal(triple.thermal), camera)
        visible, fused = (to_single_channel(image) for image in
                          (read_visible(triple.visible), read_image(triple.fused)))
        try:
            yield triple.name, metrics.fusion(thermal, visible, fused, names)
        except metrics.MetricError as error:
            raise metrics.MetricError(f'{triple.name}: {error}') from None
