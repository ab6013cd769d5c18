# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Data sets on disk, recognised by how their files are laid out.

``docs/datasets.md`` describes the layouts and what is known of each data set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
import logging
from pathlib import Path

from ivf_ros.data.datasets import detection, fusion, pairs, uav, videos
from ivf_ros.data.datasets.listing import subfolders, UnusableError
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Dataset

__all__ = ['find_datasets']

_LEVELS = 4  # below the folder that was named
_SHOWN = 6  # entries of a folder in which nothing was found

_Find = Callable[[Path, Mapping[str, Path], bool], list[Dataset]]

# Layout to what it looks like and what finds it; of several the first one counts.
_LAYOUTS: dict[str, tuple[str, _Find]] = {
    'MSRS': ('ir vi Segmentation_labels', fusion.find_msrs),
    'RoadScene': ('cropinfrared crop_LR_visible', fusion.find_roadscene),
    'M3FD': ('Ir Vis Annotation', fusion.find_m3fd),
    'LLVIP': ('infrared/train visible/train', detection.find_llvip),
    'FLIR-aligned': ('JPEGImages/*_PreviewData.jpeg', detection.find_flir_aligned),
    'KAIST': ('images/set00/V000/lwir', detection.find_kaist),
    'VTUAV': ('rgb ir rgb.txt', uav.find_vtuav),
    'VTUAV-det': ('train/rgb train/ir train_ir.json', uav.find_vtuav_det),
    'TNO': ('scene folders with IR* VIS*', fusion.find_tno),
    'videos': ('thermal.mp4 visible.mp4', videos.find),
    'pairs': ('thermal visible', pairs.find),
}


def find_datasets(path: Path, *, machine_labels: bool = False) -> list[Dataset]:
    """
    Find the data sets in a folder, which is one, a split of one, or a folder that holds several.

    Folders are searched four levels down, in natural order, and not below one that is recognised.
    Each split is a data set of its own, named ``'msrs/train'``. No image is decoded. What lies
    alone, without a partner of the other camera, is left out and said once in the log.

    Parameters
    ----------
    path:
        The folder.
    machine_labels:
        Give boxes and labels that a machine made instead of those that people made. Homographies
        and landmarks are the same either way.

    Raises
    ------
    SourceError
        There is no such folder, nothing in it is recognised, or a file that has to be read for
        the listing is malformed.

    """
    root = Path(path).expanduser().resolve()
    if not root.is_dir():
        raise SourceError(f'no such folder: {path}')
    problems: list[str] = []
    found = _search(root, _LEVELS, machine_labels, problems)
    if not found:
        raise SourceError('; '.join(problems) or _nothing_in(root))
    for problem in problems:
        logging.getLogger(__name__).warning('%s', problem)
    return _with_unique_names(found, root)


def _search(folder: Path, levels: int, machine_labels: bool,
            problems: list[str]) -> list[Dataset]:
    folders = subfolders(folder)
    try:
        for _, find in _LAYOUTS.values():
            found = find(folder, folders, machine_labels)
            if found:
                return found
    except UnusableError as error:
        problems.append(str(error))
    if not levels:
        return []
    return [dataset for below in folders.values()
            for dataset in _search(below, levels - 1, machine_labels, problems)]


def _with_unique_names(datasets: list[Dataset], root: Path) -> list[Dataset]:
    """Add where it lies to the name of each data set that is there twice."""
    counts = Counter(dataset.name for dataset in datasets)
    return [dataset if counts[dataset.name] == 1 else
            _renamed(dataset, f'{dataset.root.relative_to(root).as_posix()}: {dataset.name}')
            for dataset in datasets]


def _renamed(dataset: Dataset, name: str) -> Dataset:
    samples = tuple(replace(sample, dataset=name) for sample in dataset.samples)
    return replace(dataset, name=name, samples=samples)


def _nothing_in(root: Path) -> str:
    looked = ', '.join(f'{name} ({looks})' for name, (looks, _) in _LAYOUTS.items())
    entries = sorted(root.iterdir())
    shown = [entry.name + '/' * entry.is_dir() for entry in entries[:_SHOWN]]
    if len(entries) > len(shown):
        shown.append(f'... ({len(entries)} entries)')
    return (f'{root}: no data set found {_LEVELS} levels down; looked for {looked}; '
            f'found {", ".join(shown) or "an empty folder"}')
