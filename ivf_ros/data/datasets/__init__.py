# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Data sets on disk, recognised by the layout of their files.

``docs/datasets.md`` describes the layouts and the known facts of each data set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
import logging
from pathlib import Path

from ivf_ros.data.datasets import detection, fusion, pairs, uav, videos
from ivf_ros.data.datasets.listing import subfolders, UnusableError
from ivf_ros.data.files import list_folder
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Dataset

__all__ = ['find_datasets']

_MAX_DEPTH = 4  # of the search below the requested folder
_MAX_LISTED = 6  # entries of a folder in the error message

_Find = Callable[[Path, Mapping[str, Path], bool], list[Dataset]]

# Layout -> (its files, function that recognises it). The first match counts.
_LAYOUTS: dict[str, tuple[str, _Find]] = {
    'MSRS': ('ir vi Segmentation_labels', fusion.find_msrs),
    'RoadScene': ('cropinfrared crop_LR_visible', fusion.find_roadscene),
    'M3FD': ('Ir Vis Annotation', fusion.find_m3fd),
    'LLVIP': ('infrared/train visible/train', detection.find_llvip),
    'FLIR-aligned': ('JPEGImages/*_PreviewData.jpeg', detection.find_flir_aligned),
    'FLIR-ADAS': ('thermal_8_bit RGB, images_{thermal,rgb}_train', detection.find_flir_adas),
    'KAIST': ('images/set00/V000/lwir', detection.find_kaist),
    'VTUAV': ('rgb ir rgb.txt', uav.find_vtuav),
    'VTUAV-det': ('train/rgb train/ir train_ir.json', uav.find_vtuav_det),
    'TNO': ('scene folders with IR* VIS*', fusion.find_tno),
    'videos': ('thermal.mp4 visible.mp4', videos.find),
    'pairs': ('thermal visible', pairs.find),
}


def find_datasets(path: Path, *, machine_labels: bool = False) -> list[Dataset]:
    """
    Find the data sets in a folder: a data set, a split of one, or a folder with several.

    The search goes four levels deep in natural order, and not below a recognised folder. Each
    split is a separate data set, named ``'msrs/train'``. No image is decoded. Images without a
    partner of the other camera are skipped and logged once.

    Parameters
    ----------
    path:
        Folder to search.
    machine_labels:
        Use machine-made boxes and labels instead of human ones. Homographies and landmarks do not
        change.

    Raises
    ------
    SourceError
        The folder does not exist, no data set is recognised, or a file that is needed for the
        listing is malformed.

    """
    root = Path(path).expanduser().resolve()
    if not root.is_dir():
        raise SourceError(f'no such folder: {path}')
    problems: list[str] = []
    datasets = _search(root, _MAX_DEPTH, machine_labels, problems)
    if not datasets:
        raise SourceError('; '.join(problems) or _describe_failure(root))
    for problem in problems:
        logging.getLogger(__name__).warning('%s', problem)
    return _make_names_unique(datasets, root)


def _search(folder: Path, depth: int, machine_labels: bool,
            problems: list[str]) -> list[Dataset]:
    folders = subfolders(folder)
    try:
        for _, find in _LAYOUTS.values():
            datasets = find(folder, folders, machine_labels)
            if datasets:
                return datasets
    except UnusableError as error:
        problems.append(str(error))
    if not depth:
        return []
    return [dataset for subfolder in folders.values()
            for dataset in _search(subfolder, depth - 1, machine_labels, problems)]


def _make_names_unique(datasets: list[Dataset], root: Path) -> list[Dataset]:
    """Add the relative path to the name of each data set whose name occurs more than once."""
    counts = Counter(dataset.name for dataset in datasets)
    return [dataset if counts[dataset.name] == 1 else
            _rename(dataset, f'{dataset.root.relative_to(root).as_posix()}: {dataset.name}')
            for dataset in datasets]


def _rename(dataset: Dataset, name: str) -> Dataset:
    samples = tuple(replace(sample, dataset=name) for sample in dataset.samples)
    return replace(dataset, name=name, samples=samples)


def _describe_failure(root: Path) -> str:
    layouts = ', '.join(f'{name} ({files})' for name, (files, _) in _LAYOUTS.items())
    entries = list_folder(root)
    shown = [entry.name + '/' * entry.is_dir() for entry in entries[:_MAX_LISTED]]
    if len(entries) > len(shown):
        shown.append(f'... ({len(entries)} entries)')
    return (f'{root}: no data set found {_MAX_DEPTH} levels down; looked for {layouts}; '
            f'found {", ".join(shown) or "an empty folder"}')
