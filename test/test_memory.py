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
