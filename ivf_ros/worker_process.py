# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a process of a pool does at its start."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import cv2


def start_worker_process() -> None:
    """
    Prepare a process that shares the cores with others of its kind.

    OpenCV, and PyTorch if it is imported later, take one thread. The process ends with its
    parent, which also handles an interrupt from the keyboard.
    """
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def use_one_thread() -> None:
    """Let OpenCV, and PyTorch if it is imported later, take one thread."""
    cv2.setNumThreads(1)
    os.environ['OMP_NUM_THREADS'] = '1'


def _exit_with_parent() -> None:
    """Exit when the parent process ends; a pool does not notice if the parent is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
