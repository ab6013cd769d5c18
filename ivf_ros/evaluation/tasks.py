# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks of an evaluation, run by worker processes: one sample of one stage each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
import multiprocessing
from pathlib import Path

import cv2
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.evaluation.results import EvaluationError, Row, SampleResult, Stage
from ivf_ros.output import write_atomically
from ivf_ros.worker_process import start_worker_process, use_one_thread

_PICTURE_WIDTH_PX = 480
_PICTURE_QUALITY = 80


@dataclass(frozen=True, eq=False)
class Task:
    """One sample for one stage; None if an earlier run did it or the stage skips it."""

    stage_index: int
    stage_name: str
    sample: Sample | None
    key: str


def list_tasks(samples: Iterable[Sample], stages: Sequence[Stage], done: set[str],
               skipped: dict[str, dict[str, int]]) -> Iterator[Task]:
    """
    Yield a task for each sample and stage.

    Parameters
    ----------
    samples, stages:
        All combinations are tasks.
    done:
        Keys of the tasks that an earlier run has done.
    skipped:
        Stage to reason to number of samples that the stage skips; this function counts them.

    Raises
    ------
    EvaluationError
        Two samples have the same name.

    """
    keys: set[str] = set()
    for sample in samples:
        for index, stage in enumerate(stages):
            key = f'{stage.name}/{sample.dataset}/{sample.name}'
            if key in keys:
                raise EvaluationError('two samples have the same name '
                                      f"'{sample.dataset}/{sample.name}'")
            keys.add(key)
            reason = stage.skip_reason(sample)
            if reason:
                counts = skipped[stage.name]
                counts[reason] = counts.get(reason, 0) + 1
            is_pending = not reason and key not in done
            yield Task(index, stage.name, sample if is_pending else None, key)


def run_tasks(tasks: Iterable[Task], stages: Sequence[Stage], jobs: int,
              pictures: Path | None) -> Iterator[tuple[Task, list[Row]]]:
    """
    Run the tasks in parallel and yield each with its rows, in the order in which they finish.

    Parameters
    ----------
    tasks:
        A task without a sample is yielded with no rows.
    stages:
        By their index in the tasks.
    jobs:
        Number of processes; with 1 all tasks run in this process.
    pictures:
        Folder for pictures of the outputs, or None.

    Raises
    ------
    EvaluationError
        A worker process was killed.

    """
    if jobs == 1:
        _start_worker(stages, pictures)
        for task in tasks:
            yield task, _run_task(task) if task.sample else []
        return
    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(jobs, context, _start_worker,
                             (stages, pictures, True)) as pool:
        running: dict[Future, Task] = {}
        try:
            for task in tasks:
                if task.sample is None:
                    yield task, []
                    continue
                running[pool.submit(_run_task, task)] = task
                if len(running) >= 2 * jobs:
                    yield from _collect_completed(running)
            while running:
                yield from _collect_completed(running)
        except BrokenProcessPool:
            raise EvaluationError('a worker process was killed, possibly for lack of memory; run '
                                  'the same command again to continue') from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _collect_completed(running: dict[Future, Task]) -> Iterator[tuple[Task, list[Row]]]:
    completed, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in completed:
        yield running.pop(future), future.result()


# State of a worker process, set once at its start.
_stages: Sequence[Stage] = ()
_pictures: Path | None = None


def _start_worker(stages: Sequence[Stage], pictures: Path | None, in_child: bool = False) -> None:
    global _stages, _pictures  # noqa: PLW0603 -- the only state of a worker
    _stages, _pictures = stages, pictures
    if in_child:
        start_worker_process()
    else:
        use_one_thread()


def _run_task(task: Task) -> list[Row]:
    stage, sample = _stages[task.stage_index], task.sample
    assert sample is not None
    try:
        result = stage.measure(sample)
    except SourceError as error:  # the file cannot be read: no method has a result
        return [Row(stage.name, method, sample.dataset, sample.name, sample.light).failed(error)
                for method in stage.methods]
    if _pictures is not None:
        _write_pictures(_pictures / stage.name, sample, result)
    return result.rows


def _write_pictures(folder: Path, sample: Sample, result: SampleResult) -> None:
    for (method, variant), image in result.pictures.items():
        width = min(_PICTURE_WIDTH_PX, image.shape[1])
        size = width, max(1, round(image.shape[0] * width / image.shape[1]))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode('.webp', small, [cv2.IMWRITE_WEBP_QUALITY, _PICTURE_QUALITY])[1]
        name = f'{sample.name}@{variant}' if variant else sample.name
        write_atomically(folder / method / sample.dataset / f'{name}.webp', encoded.tobytes())
