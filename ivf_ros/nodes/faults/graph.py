# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The processes of a graph under test, and what they leave in their log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
import re
import signal
import subprocess
import time
from typing import IO

from ivf_ros.nodes.demo.container_process import measure_memory_mb, start_graph

MODES = ('composed', 'processes')
_ANONYMOUS = re.compile(r'^RssAnon:\s+(\d+) kB$', re.MULTILINE)
_STOP_TIMEOUT_S = 5.0


class Graph:
    """
    Runs the nodes of the graph in one process or a process each.

    Parameters
    ----------
    mode:
        One of ``MODES``.
    ros_arguments:
        Arguments of each process.
    log:
        File for the output of the processes.
    environment:
        Environment of the processes; None for that of this one.

    Attributes
    ----------
    mode:
        As above.
    processes:
        The running processes.

    """

    def __init__(self, mode: str, ros_arguments: Sequence[str], log: Path,
                 environment: Mapping[str, str] | None = None) -> None:
        self.mode, self._ros_arguments, self._log_path = mode, ros_arguments, log
        self._environment = environment
        self._log: IO[str] = log.open('a')
        self.processes: list[subprocess.Popen] = []

    def start(self) -> None:
        """Start the processes."""
        self.processes = start_graph(self.mode, self._ros_arguments, stdout=self._log,
                                     stderr=subprocess.STDOUT, env=self._environment)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all processes."""
        for process in self.processes:
            process.send_signal(number)

    def is_alive(self) -> bool:
        """Return whether all processes run."""
        return all(process.poll() is None for process in self.processes)

    def wait(self, timeout_s: float) -> list[int | None]:
        """Return the exit codes; None for a process that does not end in time."""
        deadline_s = time.monotonic() + timeout_s
        codes: list[int | None] = []
        for process in self.processes:
            try:
                codes.append(process.wait(max(0.0, deadline_s - time.monotonic())))
            except subprocess.TimeoutExpired:
                codes.append(None)
        return codes

    def stop(self) -> list[int | None]:
        """Interrupt the processes and return their exit codes; kill what does not end."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGINT)
        codes = self.wait(_STOP_TIMEOUT_S)
        for process in self.processes:
            process.kill()
            process.wait()
        return codes

    def close(self) -> None:
        """Stop the processes and close the log."""
        self.stop()
        self._log.close()

    def write_log(self, text: str) -> None:
        """Add a line of another process to the log."""
        self._log.write(text)
        self._log.flush()

    def log_length(self) -> int:
        """Return the length of the log, for ``find_traceback``."""
        return self._log_path.stat().st_size

    def find_traceback(self, since: int) -> str:
        """Return the last line of a traceback in the log after a length, or ''."""
        with self._log_path.open(errors='replace') as log:
            log.seek(since)
            lines = log.read().splitlines()
        starts = [index for index, line in enumerate(lines) if line.startswith('Traceback')]
        if not starts:
            return ''
        return next((line for line in lines[starts[0] + 1:] if line[:1].strip()), 'Traceback')

    def measure(self) -> dict[str, float]:
        """
        Return memory in MB, threads and open descriptors of all processes (Linux).

        ``memory_mb`` is all resident memory. ``anonymous_mb`` is what the processes allocated,
        without libraries and shared memory.
        """
        folders = [Path(f'/proc/{process.pid}') for process in self.processes]
        anonymous_kb = sum(int(_ANONYMOUS.findall((folder / 'status').read_text())[0])
                           for folder in folders)
        return {'memory_mb': measure_memory_mb(self.processes),
                'anonymous_mb': anonymous_kb * 1024 * 1e-6,
                **{name: float(sum(len(list((folder / entries).iterdir())) for folder in folders))
                   for name, entries in (('threads', 'task'), ('descriptors', 'fd'))}}
