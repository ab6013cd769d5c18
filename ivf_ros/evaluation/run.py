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

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
import hashlib
import json
import multiprocessing
import os
from pathlib import Path
import sys
import threading
from typing import Any

import cv2
import ivf_ros
from ivf_ros.data.recording import natural_key, SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.evaluation.results import (
    EvaluationError,
    FORMAT,
    frames_csv,
    json_bytes,
    Measured,
    Row,
    Stage,
    summarised,
    write_atomically,
)
from ivf_ros.evaluation.samples import SampleList
from ivf_ros.output import open_folder
import numpy as np

_PICTURE_WIDTH_PX = 480
_PICTURE_QUALITY = 80


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
    store = _RowStore(settings.out, _plan(settings), settings.restart)
    unsuitable: dict[str, dict[str, int]] = {stage.name: {} for stage in settings.stages}
    tasks = _tasks(samples, settings.stages, store.done, unsuitable)
    with _progress(samples.total, len(settings.stages)) as bar:
        for task, rows in _performed(tasks, settings):
            if rows:
                store.add(task, rows)
            bar.update()
    return _written(settings, samples.names, store.rows(), unsuitable, command)


@dataclass(frozen=True, eq=False)
class _Task:
    """One sample for one stage; None where it was done in an earlier run or does not suit."""

    stage_index: int
    stage_name: str
    sample: Sample | None
    key: str


def _tasks(samples: SampleList, stages: Sequence[Stage], done: set[str],
           unsuitable: dict[str, dict[str, int]]) -> Iterator[_Task]:
    seen: set[str] = set()
    for sample in samples:
        for index, stage in enumerate(stages):
            key = f'{stage.name}/{sample.dataset}/{sample.name}'
            if key in seen:
                raise EvaluationError(f"two samples are called '{sample.dataset}/{sample.name}'")
            seen.add(key)
            reason = stage.unsuitable(sample)
            if reason:
                counts = unsuitable[stage.name]
                counts[reason] = counts.get(reason, 0) + 1
            waits = not reason and key not in done
            yield _Task(index, stage.name, sample if waits else None, key)


def _performed(tasks: Iterator[_Task], settings: EvaluationSettings
               ) -> Iterator[tuple[_Task, list[Row]]]:
    """Do the tasks; the order in which they end is that of chance where jobs are many."""
    folder = settings.out / 'pictures' if settings.pictures else None
    if settings.jobs == 1:
        _start_worker(settings.stages, folder)
        for task in tasks:
            yield task, _perform(task) if task.sample else []
        return
    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(settings.jobs, context, _start_worker,
                             (settings.stages, folder, os.getpid())) as pool:
        running: dict[Future, _Task] = {}
        try:
            for task in tasks:
                if task.sample is None:
                    yield task, []
                    continue
                running[pool.submit(_perform, task)] = task
                if len(running) >= 2 * settings.jobs:
                    yield from _ended(running)
            while running:
                yield from _ended(running)
        except BrokenProcessPool:
            raise EvaluationError('a worker process was killed, perhaps for lack of memory; the '
                                  'same command goes on where it stopped') from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _ended(running: dict[Future, _Task]) -> Iterator[tuple[_Task, list[Row]]]:
    ended, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in ended:
        yield running.pop(future), future.result()


# What a worker process needs for every task; set once, as it starts.
_stages: Sequence[Stage] = ()
_pictures: Path | None = None


def _start_worker(stages: Sequence[Stage], pictures: Path | None,
                  parent_pid: int | None = None) -> None:
    global _stages, _pictures  # noqa: PLW0603 -- the only state of a worker
    _stages, _pictures = stages, pictures
    cv2.setNumThreads(1)  # the processes share the cores
    os.environ['OMP_NUM_THREADS'] = '1'  # for PyTorch, which methods load when they are made
    if parent_pid is not None:
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the parent: a pool does not notice that it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _perform(task: _Task) -> list[Row]:
    stage, sample = _stages[task.stage_index], task.sample
    assert sample is not None
    try:
        measured = stage.measure(sample)
    except SourceError as error:  # the file cannot be read: no method has a result
        return [Row(stage.name, method, sample.dataset, sample.name, sample.light).failed(error)
                for method in stage.methods]
    if _pictures is not None:
        _keep_pictures(_pictures / stage.name, sample, measured)
    return measured.rows


def _keep_pictures(folder: Path, sample: Sample, measured: Measured) -> None:
    for (method, variant), image in measured.pictures.items():
        width = min(_PICTURE_WIDTH_PX, image.shape[1])
        size = width, max(1, round(image.shape[0] * width / image.shape[1]))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode('.webp', small, [cv2.IMWRITE_WEBP_QUALITY, _PICTURE_QUALITY])[1]
        name = f'{sample.name}@{variant}' if variant else sample.name
        write_atomically(folder / method / sample.dataset / f'{name}.webp', encoded.tobytes())


class _RowStore:
    """
    The lines of ``rows.jsonl``.

    Attributes
    ----------
    done:
        Keys of the tasks that are there.

    Raises
    ------
    EvaluationError
        The folder holds an evaluation of something else.

    """

    def __init__(self, out: Path, plan: dict[str, Any], restart: bool) -> None:
        self._path = out / 'rows.jsonl'
        plan_path = out / 'plan.json'
        if plan_path.is_file() and not restart:
            changed = _changed(json.loads(plan_path.read_text()), plan)
            if changed:
                raise EvaluationError(f'{out} holds another evaluation: {", ".join(changed)} '
                                      'changed; give another --out, or --restart')
        elif self._path.exists():
            self._path.unlink()
        write_atomically(plan_path, json_bytes(plan))
        self._lines = self._read()
        self.done = set(self._lines)

    def add(self, task: _Task, rows: Sequence[Row]) -> None:
        """Keep what came of a task, on disk before this returns."""
        rows_as_json = [row.to_json() for row in rows]
        record = {'task': task.key, 'rows': rows_as_json}
        with self._path.open('a') as file:
            file.write(json.dumps(record) + '\n')
            file.flush()
            os.fsync(file.fileno())
        self._lines[task.key] = rows_as_json

    def rows(self) -> list[Row]:
        """Return all rows there are."""
        return [Row.from_json(record) for records in self._lines.values() for record in records]

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        if not self._path.is_file():
            return {}
        lines: dict[str, list[dict[str, Any]]] = {}
        whole = 0
        data = self._path.read_bytes()
        for line in data.splitlines(keepends=True):
            if not line.endswith(b'\n'):
                break  # the kill came while it was written
            record = json.loads(line)
            lines[record['task']] = record['rows']
            whole += len(line)
        if whole < len(data):
            with self._path.open('r+b') as file:
                file.truncate(whole)
        return lines


def _plan(settings: EvaluationSettings) -> dict[str, Any]:
    """Return all that the results depend on."""
    plan = {
        'format': FORMAT,
        'sources': list(settings.sources),
        'stages': {stage.name: asdict(stage) for stage in settings.stages},  # type: ignore
        'every': settings.every, 'limit': settings.limit, 'held_back': settings.held_back,
        'aligned': settings.aligned,
        'machine_labels': settings.machine_labels, 'pictures': settings.pictures,
        'version': ivf_ros.__version__, 'code': _fingerprint(),
    }
    return json.loads(json_bytes(plan))


def _changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    names = {'code': 'the package itself'}
    return [names.get(name, name) for name in new if old.get(name) != new[name]]


def _fingerprint() -> str:
    """Return a digest of the code and the weights of this package."""
    root = Path(ivf_ros.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*root.rglob('*.py'), *root.rglob('*.safetensors')]):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _written(settings: EvaluationSettings, names: Sequence[str], rows: list[Row],
             unsuitable: dict[str, dict[str, int]], command: str) -> dict[str, Any]:
    # Sorted before anything is added up, so that sums come out the same to the last digit.
    order = {stage.name: (index, {method: place for place, method in enumerate(stage.methods)})
             for index, stage in enumerate(settings.stages)}
    rows.sort(key=lambda row: (order[row.stage][0], order[row.stage][1][row.method],
                               natural_key(row.dataset), natural_key(row.case), row.variant))
    several = len({row.dataset for row in rows}) > 1
    stages: dict[str, Any] = {}
    columns: dict[str, None] = {}  # an ordered set
    nothing = []
    for stage in settings.stages:
        own = [row for row in rows if row.stage == stage.name]
        left_out = unsuitable[stage.name]
        if not own:
            reasons = '; '.join(f'{reason} ({count})' for reason, count in left_out.items())
            nothing.append(f'no sample for {stage.name}: {reasons or "there are none"}')
            continue
        stages[stage.name] = summarised(stage, own, several_datasets=several)
        stages[stage.name]['notes'] += [f'{count} samples left out: {reason}.'
                                        for reason, count in left_out.items()]
        columns.update(dict.fromkeys(stages[stage.name]['metrics']))
    if not stages:
        raise EvaluationError('; '.join(nothing))
    for summarised_stage in stages.values():
        summarised_stage['notes'] += [f'{sentence}.' for sentence in nothing]
    summary = {'format': FORMAT, 'version': ivf_ros.__version__, 'sources': list(names),
               'command': command, 'stages': stages}
    write_atomically(settings.out / 'frames.csv',
                     frames_csv(rows, list(columns), several_datasets=several).encode())
    write_atomically(settings.out / 'summary.json', json_bytes(summary))
    write_atomically(settings.out / 'timings.json', json_bytes(_timings(rows)))
    return summary


def _timings(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return stage to method to the median of the processor time in milliseconds."""
    spent: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.cpu_s:
            spent.setdefault(row.stage, {}).setdefault(row.method, []).append(1e3 * row.cpu_s)
    return {stage: {method: round(float(np.median(values)), 3)
                    for method, values in methods.items()} for stage, methods in spent.items()}


def _progress(total: int | None, stages: int) -> Any:
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        raise EvaluationError("evaluate needs 'tqdm'; pip install tqdm") from None
    watched = sys.stderr.isatty()
    return tqdm(total=None if total is None else total * stages, unit='case', leave=False,
                mininterval=0.2 if watched else 30.0, maxinterval=0.2 if watched else 30.0,
                file=sys.stderr)
