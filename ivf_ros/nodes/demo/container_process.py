# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The nodes of the graph as child processes: in one container, or a process each."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any, Sequence

from ivf_ros.types import GRAPH_NODES

_PR_SET_PDEATHSIG = 1
_STOP_TIMEOUT_S = 3.0  # a node ends within 2 s of a signal


def start_container(ros_arguments: Sequence[str], **options: Any) -> subprocess.Popen:
    """Start all stages in one process; ``options`` are those of ``subprocess.Popen``."""
    return subprocess.Popen(make_command('ivf_ros.nodes.component_container', [
        *GRAPH_NODES, '--ros-args', *ros_arguments]), **options)


def start_modules(modules: Sequence[str], ros_arguments: Sequence[str], **options: Any
                  ) -> list[subprocess.Popen]:
    """Start a process that runs ``main`` of each module; ``options`` as in ``start_container``."""
    return [subprocess.Popen(make_command(module, ['--ros-args', *ros_arguments]), **options)
            for module in modules]


def start_graph(mode: str, ros_arguments: Sequence[str], **options: Any
                ) -> list[subprocess.Popen]:
    """
    Start all stages, ``composed`` in one process or as ``processes``, one each.

    ``options`` as in ``start_container``.
    """
    if mode == 'composed':
        return [start_container(ros_arguments, **options)]
    return start_modules([f'ivf_ros.nodes.{name}_node' for name in GRAPH_NODES], ros_arguments,
                         **options)


def measure_memory_mb(processes: Sequence[subprocess.Popen]) -> float:
    """Return the resident memory of processes in megabytes (Linux)."""
    pages = sum(int(Path(f'/proc/{process.pid}/statm').read_text().split()[1])
                for process in processes)
    return pages * os.sysconf('SC_PAGE_SIZE') * 1e-6


def make_command(module: str, arguments: Sequence[str]) -> list[str]:
    """Return the command of a process that runs ``main`` of a module and ends with this one."""
    code = (f'import sys; from {__name__} import end_with_parent; end_with_parent({os.getpid()}); '
            f'from {module} import main; sys.exit(main())')
    return [sys.executable, '-c', code, *arguments]


def end_with_parent(parent: int) -> None:
    """Let this process be interrupted when its parent, of this id, ends or is killed (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it has ended before
        sys.exit(1)


def stop_process(process: subprocess.Popen) -> None:
    """Interrupt a process and wait for its end; kill it if it does not end."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
