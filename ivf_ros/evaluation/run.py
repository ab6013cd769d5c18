# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Runs an evaluation: in parallel, and so that a kill loses next to nothing.

Each sample is one task of each stage. What came of a task is one line of ``rows.jsonl``, written
at once; a second run of the same evaluation in the same folder does what is not there yet. The
other files are made from these lines at the end, in an order of their own, so that they do not
depend on how many processes there were or how often they were killed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
import json
from pathlib import Path
import sys
from typing import Any

import ivf_ros
from ivf_ros.evaluation.result_files import write_results
from ivf_ros.evaluation.results import EvaluationError, FORMAT, json_bytes, Stage
from ivf_ros.evaluation.row_store import fingerprint_code, RowStore
from ivf_ros.evaluation.samples import SampleList
from ivf_ros.evaluation.tasks import list_tasks, perform_tasks
from ivf_ros.output import open_folder


@dataclass(frozen=True)
class EvaluationSettings:
    """
    What is evaluated, and where the results go.

    Attributes
    ----------
    sources:
        See ``SampleList``.
    stages:
        Each with its methods.
    out:
        Folder for the results, or the one of an evaluation that was interrupted.
    jobs:
        Processes.
    every, limit:
        Of each data set or stream: every so many pairs, at most so many.
    held_back:
        Take only pairs that no training has seen.
    aligned:
        Take all pairs for aligned.
    machine_labels:
        Take machine-made labels instead of human ones.
    pictures:
        Keep pictures of the outputs, which the report shows.
    restart:
        Forget what is in ``out``.

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
    pictures: bool = True
    restart: bool = False


def evaluate(settings: EvaluationSettings, command: str = '') -> dict[str, Any]:
    """
    Measure what is not measured yet and write ``frames.csv``, ``summary.json``, ``timings.json``.

    Parameters
    ----------
    settings:
        What to do.
    command:
        How the user said so, for the record.

    Returns
    -------
    dict
        What ``summary.json`` holds, see docs/evaluation.md.

    Raises
    ------
    EvaluationError
        The folder holds another evaluation, no sample suits a stage, or a process was killed.
    SourceError
        A source cannot be used.
    OutputError
        The folder holds something that is no evaluation, or one of the sources.

    """
    samples = SampleList(settings.sources, every=settings.every, limit=settings.limit,
                         held_back=settings.held_back, aligned=settings.aligned,
                         machine_labels=settings.machine_labels)
    open_folder(settings.out, 'evaluate', settings.sources)
    store = RowStore(settings.out, _plan_of(settings), settings.restart)
    unsuitable: dict[str, dict[str, int]] = {stage.name: {} for stage in settings.stages}
    tasks = list_tasks(samples, settings.stages, store.done, unsuitable)
    pictures = settings.out / 'pictures' if settings.pictures else None
    with _progress(samples.total, len(settings.stages)) as bar:
        for task, rows in perform_tasks(tasks, settings.stages, settings.jobs, pictures):
            if rows:
                store.add(task.key, rows)
            bar.update()
    return write_results(settings.out, settings.stages, samples.names, store.rows(), unsuitable,
                         command)


def _plan_of(settings: EvaluationSettings) -> dict[str, Any]:
    """Return all that the results depend on."""
    plan = {
        'format': FORMAT,
        'sources': list(settings.sources),
        'stages': {stage.name: asdict(stage) for stage in settings.stages},  # type: ignore
        'every': settings.every, 'limit': settings.limit, 'held_back': settings.held_back,
        'aligned': settings.aligned,
        'machine_labels': settings.machine_labels, 'pictures': settings.pictures,
        'version': ivf_ros.__version__, 'code': fingerprint_code(),
    }
    return json.loads(json_bytes(plan))


def _progress(total: int | None, stages: int) -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        raise EvaluationError("evaluate needs 'tqdm'; pip install tqdm") from None
    watched = sys.stderr.isatty()
    return tqdm(total=None if total is None else total * stages, unit='case', leave=False,
                mininterval=0.2 if watched else 30.0, maxinterval=0.2 if watched else 30.0,
                file=sys.stderr)
