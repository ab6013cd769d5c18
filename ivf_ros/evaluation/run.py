# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs an evaluation in parallel and continues an interrupted one.

A task is one sample of one stage. The result of each task is written at once, as one line of
``rows.jsonl``. A second run of the same evaluation in the same folder runs only the missing tasks.
The other files are computed from these lines at the end, in a fixed order. So they do not depend
on the number of processes or on interruptions.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
import hashlib
import json
from pathlib import Path
from typing import Any

import ivf_ros
from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.sources import BagOptions
from ivf_ros.evaluation.result_files import write_results
from ivf_ros.evaluation.results import EvaluationError, FORMAT, json_bytes, Stage
from ivf_ros.evaluation.row_store import fingerprint_code, RowStore
from ivf_ros.evaluation.samples import SampleList
from ivf_ros.evaluation.tasks import list_tasks, run_tasks
from ivf_ros.output import check_folder, open_folder
from ivf_ros.progress import Progress
from ivf_ros.thermal_input import ThermalCameraParameters


@dataclass(frozen=True)
class EvaluationSettings:
    """
    Settings of an evaluation.

    Attributes
    ----------
    sources:
        See ``SampleList``.
    stages:
        Stages to measure; each holds its methods.
    out:
        Folder for the results. If it holds the same evaluation, interrupted, this run continues
        it.
    jobs:
        Number of processes.
    every, limit:
        Of each data set or stream: use every n-th pair; maximum number of pairs.
    held_back:
        Use only pairs that no training has used.
    aligned:
        Treat all pairs as aligned.
    machine_labels:
        Use machine-made labels instead of human ones.
    drawn_boxes, half:
        File of boxes that the developers drew, and the half of it to use; see ``SampleList``.
    pictures:
        Store pictures of the outputs for the report.
    restart:
        Discard the results in ``out``.
    bag_options:
        Arguments of ``open_source`` that are for bags.
    thermal_camera, rgb_camera:
        How the cameras are built in.

    """

    sources: tuple[str, ...]
    stages: tuple[Stage, ...]
    out: Path
    jobs: int = 1
    every: int = 1
    limit: int | None = None
    held_back: bool = False
    aligned: bool = False
    machine_labels: bool = False
    drawn_boxes: Path | None = None
    half: str = ''
    pictures: bool = True
    restart: bool = False
    bag_options: BagOptions = field(default_factory=BagOptions)
    thermal_camera: ThermalCameraParameters = field(default_factory=ThermalCameraParameters)
    rgb_camera: CameraParameters = field(default_factory=CameraParameters)


def evaluate(settings: EvaluationSettings, command: str = '') -> dict[str, Any]:
    """
    Run the missing tasks and write ``frames.csv``, ``summary.json`` and ``timings.json``.

    Parameters
    ----------
    settings:
        Settings of the evaluation.
    command:
        Command line of the user, stored in the summary.

    Returns
    -------
    dict
        Content of ``summary.json``, see docs/evaluation.md.

    Raises
    ------
    EvaluationError
        The folder holds another evaluation, no sample suits any stage, all results failed, or a
        worker process was killed.
    SourceError
        A source cannot be read.
    OutputError
        The folder holds other files, or it is one of the sources.

    """
    check_folder(settings.out, 'evaluate', settings.sources)
    samples = SampleList(settings.sources, every=settings.every, limit=settings.limit,
                         held_back=settings.held_back, aligned=settings.aligned,
                         machine_labels=settings.machine_labels, drawn_boxes=settings.drawn_boxes,
                         half=settings.half, bag_options=settings.bag_options,
                         thermal_camera=settings.thermal_camera, rgb_camera=settings.rgb_camera)
    open_folder(settings.out, 'evaluate', settings.sources)
    store = RowStore(settings.out, _make_plan(settings), settings.restart)
    skipped: dict[str, dict[str, int]] = {stage.name: {} for stage in settings.stages}
    tasks = list_tasks(samples, settings.stages, store.done, skipped)
    pictures = settings.out / 'pictures' if settings.pictures else None
    total = None if samples.total is None else samples.total * len(settings.stages)
    with Progress(total, 'case', log_interval_s=30.0) as progress:
        for task, rows in run_tasks(tasks, settings.stages, settings.jobs, pictures):
            if rows:
                store.add(task.key, rows)
            progress.update()
    results = store.rows()
    summary = write_results(settings.out, settings.stages, samples.names, results, skipped,
                            command)
    if results and all(row.error for row in results):
        raise EvaluationError(f'all {len(results)} results failed, the first with: '
                              f'{results[0].error}')
    return summary


def _make_plan(settings: EvaluationSettings) -> dict[str, Any]:
    """Return everything that the results depend on."""
    drawn_boxes = hashlib.sha256(settings.drawn_boxes.read_bytes()).hexdigest() \
        if settings.drawn_boxes else ''
    plan = {
        'format': FORMAT,
        'sources': list(settings.sources),
        'bag_options': {'stamps': 'auto', **{name: value for name, value
                                             in settings.bag_options.items() if value}},
        'thermal_camera': asdict(settings.thermal_camera),
        'rgb_camera': asdict(settings.rgb_camera),
        'stages': {stage.name: asdict(stage) for stage in settings.stages},  # type: ignore
        'every': settings.every, 'limit': settings.limit, 'held_back': settings.held_back,
        'aligned': settings.aligned,
        'machine_labels': settings.machine_labels,
        'drawn_boxes': drawn_boxes,
        'half': settings.half, 'pictures': settings.pictures,
        'version': ivf_ros.__version__, 'code': fingerprint_code(),
    }
    return json.loads(json_bytes(plan))
