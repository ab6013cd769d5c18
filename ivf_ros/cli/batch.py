# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs a command on one item, or on many: in processes, with progress; an error ends no batch."""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
import os
import sys
from typing import Any

from ivf_ros.cli.inputs import Inputs, Item
from ivf_ros.cli.output import (
    CommandError,
    describe_error,
    expected_errors,
    print_json,
    print_line,
    print_note,
    read_count,
)
from ivf_ros.progress import Progress
from ivf_ros.registration.alignment import Alignment
from ivf_ros.worker_process import start_worker_process

EXAMINED_PAIRS = 5  # of a batch, whether they are registered


@dataclass(frozen=True)
class Result:
    """
    What a command found for one item.

    Attributes
    ----------
    values:
        For ``--json``.
    lines:
        For a person.
    problem:
        Why the item failed, although there is a result.
    alignment:
        Whether thermal seems to lie on RGB, of the items that were examined.

    """

    values: Any
    lines: tuple[str, ...] = ()
    problem: str = ''
    alignment: Alignment | None = None


@dataclass(frozen=True)
class _Outcome:
    """The result of an item, or its error, or the error that ends the batch."""

    item_name: str
    result: Result | None = None
    error: str = ''
    fatal: str = ''


# Makes the function that works on one item; called once in each process, and sent there.
Maker = Callable[[], Callable[[Item], Result]]


@dataclass
class _Summary:
    """The results of a batch so far."""

    results: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    alignments: list[Alignment] = field(default_factory=list)
    n_items: int = 0


def add_batch_options(parser: argparse.ArgumentParser, writes: str) -> None:
    """Add the options for folders and recordings; ``writes`` names the outputs."""
    batch = parser.add_argument_group('folders, patterns, videos and recordings')
    batch.add_argument('--jobs', type=_read_jobs, default=1, metavar='N',
                       help='processes for image files; auto: one per core (default: 1)')
    batch.add_argument('--suffix', default='', metavar='.SUFFIX',
                       help=f'of the files in {writes} (default: .png; .tif of float images)')
    batch.add_argument('--every', type=read_count, default=1, metavar='N',
                       help='use every Nth image or pair (default: 1)')
    batch.add_argument('--limit', type=read_count, metavar='N',
                       help='stop after N images or pairs (default: all)')


def run_items(options: argparse.Namespace, inputs: Inputs, make: Maker) -> int:
    """Run a command on its inputs, print the results, and return the exit code."""
    if inputs.is_single:
        item, = inputs.items
        result = make()(item)
        if options.json:
            print_json(result.values)
        else:
            for line in result.lines:
                print_line(line)
        if result.alignment is not None and result.alignment.is_doubtful:
            print_note(options, _describe_doubt([result.alignment]))
        return 1 if result.problem else 0
    return _run_batch(options, inputs, make)


def _run_batch(options: argparse.Namespace, inputs: Inputs, make: Maker) -> int:
    for note in inputs.notes:
        print_note(options, note)
    jobs = options.jobs
    if inputs.is_sequence and jobs > 1:
        print_note(options, 'the frames of a recording are read in order, in one process')
        jobs = 1
    summary = _Summary()
    with Progress(inputs.total, 'image') as progress:
        for outcome in _work(inputs.items, make, jobs):
            if outcome.fatal:
                raise CommandError(outcome.fatal)
            _add(options, summary, outcome, progress)
            progress.update()
    if not summary.n_items:
        raise CommandError('there is no pair of images in the recording')
    if len(summary.alignments) < EXAMINED_PAIRS:
        _report_alignment(options, summary)
    skipped = inputs.skipped()
    for reason, count in skipped.items():
        print_note(options, f'frames left out: {count} {reason}')
    if options.json:
        print_json({'images': summary.results, 'failed': summary.failed, 'skipped': skipped})
    else:
        print_line(f'{summary.n_items - len(summary.failed)} of {summary.n_items} images done')
    if summary.failed:
        print_note(options, f'{len(summary.failed)} of {summary.n_items} failed')
    return 1 if summary.failed else 0


def _add(options: argparse.Namespace, summary: _Summary, outcome: _Outcome, progress: Progress
         ) -> None:
    """Add the outcome of an item to the summary, and print it."""
    summary.n_items += 1
    result, error = outcome.result, outcome.error
    if result is not None:
        summary.results[outcome.item_name] = result.values
        error = result.problem
        for line in () if options.json or error else result.lines:
            progress.write(f'{outcome.item_name}: {line}', sys.stdout)
        if result.alignment is not None:
            summary.alignments.append(result.alignment)
            if len(summary.alignments) == EXAMINED_PAIRS:
                _report_alignment(options, summary)
    if error:
        summary.failed[outcome.item_name] = error
        progress.write(f'ivf {options.command}: {outcome.item_name}: {error}', sys.stderr)


def _report_alignment(options: argparse.Namespace, summary: _Summary) -> None:
    """Print a note if more than half of the examined pairs do not seem to be registered."""
    doubtful = [alignment for alignment in summary.alignments if alignment.is_doubtful]
    if 2 * len(doubtful) > len(summary.alignments):
        print_note(options, _describe_doubt(doubtful))


def _describe_doubt(doubtful: list[Alignment]) -> str:
    x, y = doubtful[0].best_shift
    return ('thermal does not seem to be registered onto RGB: the outlines fit better with '
            f'thermal shifted by {100 * x:+.0f} % and {100 * y:+.0f} % of the width and scaled by '
            f'{doubtful[0].best_scale:.2f}; --register registers it first')


def _work(items: Iterable[Item], make: Maker, jobs: int) -> Iterator[_Outcome]:
    """Yield the outcomes in the order of the items."""
    if jobs == 1:
        process = make()
        for item in items:
            yield _attempt(process, item)
    else:
        yield from _work_in_processes(items, make, jobs)


def _work_in_processes(items: Iterable[Item], make: Maker, jobs: int) -> Iterator[_Outcome]:
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    import multiprocessing

    context = multiprocessing.get_context('spawn')  # threads of OpenCV do not survive a fork
    with ProcessPoolExecutor(jobs, context, _start_worker, (make,)) as pool:
        running: deque[Future[_Outcome]] = deque()
        try:
            for item in items:
                running.append(pool.submit(_attempt_in_worker, item))
                if len(running) > 4 * jobs:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        except BrokenProcessPool:
            raise CommandError('a process was killed, possibly for lack of memory; use fewer '
                               '--jobs') from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


# State of a worker process.
_make: Maker | None = None
_process: Callable[[Item], Result] | None = None


def _start_worker(make: Maker) -> None:
    global _make  # noqa: PLW0603 -- the state of a worker
    _make = make
    start_worker_process()


def _attempt_in_worker(item: Item) -> _Outcome:
    global _process  # noqa: PLW0603 -- the network is loaded once per process
    if _process is None:
        assert _make is not None
        try:
            _process = _make()
        except expected_errors() as error:
            return _Outcome(item.name, fatal=describe_error(error))
    return _attempt(_process, item)


def _attempt(process: Callable[[Item], Result], item: Item) -> _Outcome:
    try:
        return _Outcome(item.name, process(item))
    except expected_errors() as error:
        return _Outcome(item.name, error=describe_error(error))


def _read_jobs(text: str) -> int:
    return os.cpu_count() or 1 if text == 'auto' else read_count(text)
