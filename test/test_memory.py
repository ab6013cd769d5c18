# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The allocator: freed memory is kept for the next image, but not once for each thread."""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

from conftest import REPOSITORY
import pytest

pytestmark = pytest.mark.skipif(not Path('/proc/self/statm').is_file(), reason='needs /proc')

MEASURE = """
import os, threading
import numpy as np
from ivf_ros import memory

def resident_mb():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') * 1e-6

def work():
    images = [np.ones((480, 640, 3), np.uint8) for _ in range(12)]
    barrier.wait()  # all threads hold their images at once, so none can use those of another one

memory.retain_freed()
for count in (1, 12):
    barrier = threading.Barrier(count)
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    {then}
    print(resident_mb())
"""


def measure_mb(then: str) -> list[float]:
    """Return the resident memory after one thread with 11 MB of images, and after 12 of them."""
    result = subprocess.run([sys.executable, '-c', MEASURE.format(then=then)], cwd=REPOSITORY,
                            capture_output=True, text=True, timeout=60, check=True)
    return [float(line) for line in result.stdout.split()]


def test_memory_that_threads_have_freed_is_returned_when_asked():
    one_mb, many_mb = measure_mb('memory.release_unused()')
    assert many_mb - one_mb < 15


def test_memory_that_threads_have_freed_is_kept_while_images_flow():
    one_mb, many_mb = measure_mb('pass')
    assert many_mb - one_mb > 60  # of 121


def test_large_blocks_are_returned_and_smaller_ones_kept():
    code = MEASURE.partition('memory.retain_freed()')[0] + """
memory.retain_freed(32 << 20)
for size_mb in (60, 20):
    before_mb = resident_mb()
    blocks = [np.ones(size_mb << 20, np.uint8) for _ in range(4)]
    del blocks
    print(resident_mb() - before_mb)
"""
    result = subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True,
                            text=True, timeout=60, check=True)
    large_mb, small_mb = map(float, result.stdout.split())
    assert large_mb < 5
    assert small_mb > 60  # of 84


def test_memory_of_a_peak_is_returned_and_that_of_a_stream_only_seldom():
    code = MEASURE.partition('memory.retain_freed()')[0] + """
import time

def work_on_images():
    blocks = [np.ones(10 << 20, np.uint8) for _ in range(20)]

memory.retain_freed(32 << 20)
trims = []
trim = memory._LIBC.malloc_trim
memory._LIBC.malloc_trim = lambda pad: trims.append(1) or trim(pad)
before_mb = resident_mb()
work_on_images()
peak_mb = resident_mb()
thread = memory.release_after_peaks(0.1)
assert memory.release_after_peaks(0.1) is thread
deadline_s = time.monotonic() + 10.0
while resident_mb() - before_mb > 40 and time.monotonic() < deadline_s:
    time.sleep(0.05)
print(peak_mb - before_mb, resident_mb() - before_mb)
deadline_s = time.monotonic() + 3.0
while time.monotonic() < deadline_s:
    work_on_images()
    time.sleep(0.01)
print(len(trims))
"""
    result = subprocess.run([sys.executable, '-c', code], cwd=REPOSITORY, capture_output=True,
                            text=True, timeout=60, check=True)
    peak_mb, after_mb, n_trims = map(float, result.stdout.split())
    assert peak_mb > 150 and after_mb < 40
    assert 2 <= n_trims <= 6, 'of 30 periods'
