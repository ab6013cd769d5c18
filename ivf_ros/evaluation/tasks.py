# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tasks of an evaluation, done by worker processes: one sample of one stage each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
import multiprocessing
import os
from pathlib import Path
import threading

import cv2
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.evaluation.results import EvaluationError, Row, SampleResult, Stage, write_atomically

_PICTURE_WIDTH_PX = 480
_PICTURE_QUALITY = 80


@dataclass(frozen=True, eq=False)
class Task:
    """One sample for one stage; None where it was done in an earlier run or does not suit."""

    stage_index: int
    stage_name: str
    sample: Sample | None
    key: str


def list_tasks(samples: Iterable[Sample], stages: Sequence[Stage], done: set[str],
               unsuitable: dict[str, dict[str, int]]) -> Iterator[Task]:
    """
    Yield a task for each sample and stage.

    Parameters
    ----------
    samples, stages:
        What is measured how.
    done:
        Keys of the tasks that an earlier run did.
    unsuitable:
        Stage to reason to the number of samples that it does not measure; counted up here.

    Raises
    ------
    EvaluationError
        Two samples have the same name.

    """
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
            yield Task(index, stage.name, sample if waits else None, key)


def perform_tasks(tasks: Iterable[Task], stages: Sequence[Stage], jobs: int,
                  pictures: Path | None) -> Iterator[tuple[Task, list[Row]]]:
    """
    Do the tasks, by so many processes; the order in which they end is that of chance.

    Parameters
    ----------
    tasks:
        Those without a sample come back with no rows.
    stages:
        By their index in the tasks.
    jobs:
        Number of processes; 1 does all in this one.
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
                             (stages, pictures, os.getpid())) as pool:
        running: dict[Future, Task] = {}
        try:
            for task in tasks:
                if task.sample is None:
                    yield task, []
                    continue
                running[pool.submit(_run_task, task)] = task
                if len(running) >= 2 * jobs:
                    yield from _completed(running)
            while running:
                yield from _completed(running)
        except BrokenProcessPool:
            raise EvaluationError('a worker process was killed, perhaps for lack of memory; the '
                                  'same command goes on where it stopped') from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _completed(running: dict[Future, Task]) -> Iterator[tuple[Task, list[Row]]]:
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


def _run_task(task: Task) -> list[Row]:
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


def _keep_pictures(folder: Path, sample: Sample, measured: SampleResult) -> None:
    for (method, variant), image in measured.pictures.items():
        width = min(_PICTURE_WIDTH_PX, image.shape[1])
        size = width, max(1, round(image.shape[0] * width / image.shape[1]))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        encoded = cv2.imencode('.webp', small, [cv2.IMWRITE_WEBP_QUALITY, _PICTURE_QUALITY])[1]
        name = f'{sample.name}@{variant}' if variant else sample.name
        write_atomically(folder / method / sample.dataset / f'{name}.webp', encoded.tobytes())
