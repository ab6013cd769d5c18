# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Processes that a fault starts beside the graph: a command, a node, another container."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import subprocess
import threading
import time

from ivf_ros.nodes.demo.container_process import make_command
from ivf_ros.nodes.faults.fault import Targets

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 30.0


class SideProcess:
    """
    A process beside the graph, whose lines are heard as if the graph had said them.

    They are in the log of the graph, too, where the campaign looks for tracebacks.

    Parameters
    ----------
    targets:
        The graph and its observer.
    module:
        Module whose ``main`` runs.
    arguments:
        Arguments of the process.
    prefix:
        Command that runs the process, such as ``unshare``.

    Attributes
    ----------
    process:
        The running process.

    """

    def __init__(self, targets: Targets, module: str, arguments: Sequence[str],
                 prefix: Sequence[str] = ()) -> None:
        self._targets, self._start_s = targets, time.monotonic()
        self.process = subprocess.Popen(
            [*prefix, *make_command(module, arguments)], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace')
        self._reader = threading.Thread(target=self._read, name='side process', daemon=True)
        self._reader.start()

    def wait_for(self, text: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the process, or the graph, says a text; raise AssertionError if not."""
        observer = self._targets.observer
        if not observer.wait_for(
                lambda: observer.find_said(text, self._start_s) is not None, timeout_s):
            raise AssertionError(f"'{text}' not said within {timeout_s:g} s")

    def wait(self, exit_code: int, timeout_s: float = END_TIMEOUT_S) -> None:
        """Wait for the end; raise AssertionError if it is late, or with another exit code."""
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f'a process did not end within {timeout_s:g} s') from None
        self._reader.join()
        if code != exit_code:
            raise AssertionError(f'a process ended with exit code {code}, not {exit_code}')

    def close(self) -> None:
        """Kill the process if it still runs."""
        self.process.kill()
        self.process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._targets.graph.write_log(line)
            self._targets.observer.hear('side process', line)


@contextmanager
def run_beside(targets: Targets, module: str, *arguments: str, prefix: Sequence[str] = ()
               ) -> Iterator[SideProcess]:
    """Run a process as long as the block; see ``SideProcess``."""
    process = SideProcess(targets, module, arguments, prefix)
    try:
        yield process
    finally:
        process.close()
