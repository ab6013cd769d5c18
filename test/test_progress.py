# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Progress on standard error, with tqdm and without."""

from __future__ import annotations

import io
import sys

from ivf_ros import progress
from ivf_ros.progress import Progress, track
import pytest


class Terminal(io.StringIO):

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """Replace the clock; each step of a test takes one second."""
    times = iter(range(1000))
    monkeypatch.setattr(progress.time, 'monotonic', lambda: float(next(times)))


def run(monkeypatch, stream, total, **options) -> str:
    monkeypatch.setattr(sys, 'stderr', stream)
    with Progress(total, 'image', **options) as counter:
        for _ in range(4):
            counter.update()
    return stream.getvalue()


def test_nothing_is_shown_where_standard_error_is_no_terminal(monkeypatch, clock):
    assert run(monkeypatch, io.StringIO(), 4) == ''


def test_lines_take_the_place_of_the_bar_without_tqdm(monkeypatch, clock):
    monkeypatch.setitem(sys.modules, 'tqdm', None)
    assert run(monkeypatch, Terminal(), 4).splitlines() == [
        '2 of 4 images, 1 per second, 2 s left', '4 of 4 images, 1 per second, 0 s left']
    assert run(monkeypatch, Terminal(), None).splitlines()[0] == '2 images, 1 per second'


def test_a_long_run_can_log_its_progress(monkeypatch, clock):
    assert run(monkeypatch, io.StringIO(), 4, log_interval_s=3.0).splitlines() == [
        '3 of 4 images, 1 per second, 1 s left']


def test_the_bar_of_tqdm_is_used_on_a_terminal_and_removed_at_the_end(monkeypatch):
    pytest.importorskip('tqdm', reason='tqdm is not installed')
    monkeypatch.setattr(progress, '_DELAY_S', 0.0)
    terminal, output = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, 'stderr', terminal)
    with Progress(4, 'image') as counter:
        counter.update()
        counter.write('0: person', output)
    assert '/4' in terminal.getvalue() and terminal.getvalue().rstrip(' ').endswith('\r')
    assert output.getvalue() == '0: person\n'


def test_track_yields_the_items():
    assert list(track('abc', 3, 'letter')) == ['a', 'b', 'c']
