# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worker processes the newest item; the pace limits a rate."""

from __future__ import annotations

import os
import sys
import threading
import time

from conftest import wait_until
from ivf_ros.pace import Pace
from ivf_ros.worker import Worker
import pytest


def fail(error):
    """Fail the test: its work raises nothing."""
    raise AssertionError(error)


def test_waiting_items_are_replaced_by_the_newest():
    started, proceed = threading.Event(), threading.Event()
    worked, superseded = [], []

    def work(item):
        started.set()
        assert proceed.wait(60.0)
        worked.append(item)

    worker = Worker('test', work, fail, lambda: superseded.append(1))
    worker.put(1)
    assert started.wait(60.0)
    for item in (2, 3, 4):
        worker.put(item)
    proceed.set()
    assert wait_until(lambda: len(worked) == 2)
    worker.stop()
    assert worked == [1, 4] and len(superseded) == 2


def test_an_exception_is_handed_on_and_the_next_item_is_processed():
    worked, errors = [], []

    def work(item):
        worked.append(1 / item)

    worker = Worker('test', work, errors.append)
    for item in (0, 1, 0, 2):
        worker.put(item)
        assert worker.wait_until_idle(10.0)
    assert worker.stop()
    assert worked == [1.0, 0.5]
    assert [type(error) for error in errors] == [ZeroDivisionError] * 2


def test_a_stuck_worker_shows_how_long_and_does_not_hold_up_the_end():
    started, proceed = threading.Event(), threading.Event()

    def work(item):
        started.set()
        proceed.wait(60.0)

    worker = Worker('stuck', work, fail)
    assert worker.measure_busy_s() == 0.0
    before_s = time.monotonic()
    worker.put(1)
    assert started.wait(60.0)
    first_s = worker.measure_busy_s()
    assert 0.0 <= first_s <= time.monotonic() - before_s
    [thread] = [each for each in threading.enumerate() if each.name == 'stuck']
    assert thread.daemon  # the interpreter can end without it
    assert wait_until(lambda: worker.measure_busy_s() > first_s + 0.05)
    assert not worker.stop(0.05)
    proceed.set()
    assert worker.stop(10.0)
    assert worker.measure_busy_s() == 0.0


def test_stop_finishes_the_current_item_and_discards_the_waiting_one():
    started, proceed = threading.Event(), threading.Event()
    worked = []

    def work(item):
        started.set()
        assert proceed.wait(60.0)
        worked.append(item)

    worker = Worker('test', work, fail)
    worker.put(1)
    assert started.wait(60.0)
    worker.put(2)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    assert wait_until(lambda: not worker._pending)
    proceed.set()
    stopping.join(10)
    assert not stopping.is_alive()
    assert worked == [1]


def test_a_worker_is_idle_when_nothing_waits_or_is_worked_on():
    started, proceed = threading.Event(), threading.Event()
    worked = []

    def work(item):
        started.set()
        assert proceed.wait(60.0)
        worked.append(item)

    worker = Worker('test', work, fail)
    assert worker.wait_until_idle(0.0)
    worker.put(1)
    assert not worker.wait_until_idle(0.0)
    assert started.wait(60.0)
    worker.put(2)
    assert not worker.wait_until_idle(0.01)
    proceed.set()
    assert worker.wait_until_idle(10.0)
    assert worked == [1, 2]
    worker.stop()


def test_who_waits_for_a_worker_is_told_at_once_that_it_is_idle(monkeypatch):
    started, proceed = threading.Event(), threading.Event()

    def work(item):
        started.set()
        assert proceed.wait(60.0)

    worker = Worker('test', work, fail)
    worker.put(1)
    assert started.wait(60.0)
    idle, is_waiting, wait_for = [], threading.Event(), worker._condition.wait_for

    def wait(*arguments):
        is_waiting.set()  # the worker needs the lock, which is free once the other thread waits
        return wait_for(*arguments)

    monkeypatch.setattr(worker._condition, 'wait_for', wait)
    waiting = threading.Thread(target=lambda: idle.append(worker.wait_until_idle(60.0)),
                               daemon=True)
    waiting.start()
    assert is_waiting.wait(60.0)
    proceed.set()
    waiting.join(10.0)
    assert idle == [True]
    worker.stop()


@pytest.mark.parametrize('frames_hz, rate_hz, expected', [
    (30, 10, 10),  # every third
    (15, 10, 10),  # two of three
    (5, 10, 5),  # every frame
])
def test_the_pace_keeps_the_rate_of_periodic_frames(monkeypatch, frames_hz, rate_hz,
                                                    expected):
    now_s = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now_s[0])
    pace, happened = Pace(), 0
    for frame in range(4 * frames_hz):
        now_s[0] = 100.0 + frame / frames_hz
        happened += pace.is_due(rate_hz)
    assert happened == pytest.approx(4 * expected, abs=1)


def test_the_pace_does_not_catch_up_after_a_pause(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr('time.monotonic', lambda: now_s[0])
    pace = Pace()
    assert pace.is_due(10) and not pace.is_due(10)
    now_s[0] = 160.0
    assert [pace.is_due(10) for _ in range(3)] == [True, False, False]


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux has a niceness per thread')
@pytest.mark.parametrize('is_set', [True, False])
def test_the_niceness_is_that_of_the_thread(is_set):
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    if is_set and before == 19:
        pytest.skip('no thread can give way more than this one')
    expected = before + 1 if is_set else before  # by default that of its maker
    found = []
    worker = Worker('nice', lambda item: found.append(
        os.getpriority(os.PRIO_PROCESS, threading.get_native_id())), fail,
        **({'niceness': expected} if is_set else {}))
    worker.put(None)
    assert wait_until(lambda: bool(found))
    worker.stop()
    assert found == [expected]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
