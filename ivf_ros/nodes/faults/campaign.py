# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A campaign of faults: each is injected into a running graph, and judged.

A fault passes if no process ends, no traceback is in the log, the diagnostics say what is wrong in
time, fusion shows nothing that is old or wrong as good, the log stays short, and all is well soon
after the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import tempfile
import threading
import time
from typing import NamedTuple

from ivf_ros import dds
from ivf_ros.nodes.faults.camera_faults import CAMERA_FAULTS
from ivf_ros.nodes.faults.cameras import Cameras
from ivf_ros.nodes.faults.component_faults import COMPONENT_FAULTS, prepare_container
from ivf_ros.nodes.faults.fault import Fault, Targets
from ivf_ros.nodes.faults.file_faults import FILE_FAULTS
from ivf_ros.nodes.faults.graph import Graph, MODES
from ivf_ros.nodes.faults.message_faults import MESSAGE_FAULTS
from ivf_ros.nodes.faults.observer import Observer
from ivf_ros.nodes.faults.process_faults import PROCESS_FAULTS
from ivf_ros.nodes.faults.weight_faults import WEIGHT_FAULTS
from ivf_ros.nodes.graph.process import init, make_executor
from ivf_ros.nodes.graph.spinner import Spinner
import rclpy
from rclpy.node import Node

FAULTS = (*CAMERA_FAULTS, *MESSAGE_FAULTS, *FILE_FAULTS, *WEIGHT_FAULTS, *COMPONENT_FAULTS,
          *PROCESS_FAULTS)

_NAMESPACE = f'/ivf_faults_{os.getpid()}'  # two campaigns on a machine do not see each other
_START_TIMEOUT_S = 60.0
_FALSE_TRACKING_S = 1.0  # the period of the diagnostics
_WELL_S = 0.7


class CampaignError(RuntimeError):
    """The graph did not start, or did not come back after a fault."""


class Verdict(NamedTuple):
    """
    What a fault did.

    Attributes
    ----------
    failures:
        What was not as it should be, in words; empty for a fault that passed.
    said_s, back_s:
        Time until the fault was said, and from its end until all was well; None if never.
    modes:
        Modes of fusion while the fault lasted.
    log_lines:
        Warnings and errors in the log.
    obstacle:
        Why the fault was not injected; empty if it was.

    """

    name: str
    mode: str
    failures: tuple[str, ...]
    said_s: float | None
    back_s: float | None
    modes: tuple[str, ...]
    log_lines: int
    obstacle: str = ''


@dataclass(frozen=True)
class CampaignSettings:
    """
    Settings of a campaign.

    Attributes
    ----------
    mode:
        ``composed``: all nodes in one process. ``processes``: a process each.
    size:
        Width and height of the images in pixels.
    rate_hz:
        Rate of both cameras.
    log:
        File that gets the output of the nodes; None for a temporary one.

    """

    mode: str = MODES[0]
    size: tuple[int, int] = (320, 240)
    rate_hz: float = 15.0
    log: Path | None = None


def select(pattern: str = '', short: bool = False) -> list[Fault]:
    """Return the faults whose name contains ``pattern``, or those of the short campaign."""
    return [fault for fault in FAULTS
            if pattern.lower() in fault.name.lower() and (fault.is_short or not short)]


@contextmanager
def open_campaign(settings: CampaignSettings) -> Iterator[Campaign]:
    """Start the cameras and the graph; end both after the block."""
    dds.use_profile()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    init([])
    nodes = [Node(name, namespace=_NAMESPACE) for name in ('cameras', 'observer', 'stranger')]
    spinner = Spinner(make_executor(), lambda error: False, 'campaign')
    cameras = Cameras(nodes[0], settings.size, settings.rate_hz)
    observer = Observer(nodes[1], cameras)
    with tempfile.TemporaryDirectory(prefix='ivf_faults_') as folder:
        files = Path(folder, 'files')
        files.mkdir()
        arguments, environment = prepare_container(Path(folder))
        graph = Graph(settings.mode, ['-r', f'__ns:={_NAMESPACE}', *arguments],
                      settings.log or Path(folder, 'log.txt'), environment)
        try:
            for node in nodes:
                spinner.add(node)
            cameras.start()
            campaign = Campaign(settings, Targets(cameras, graph, observer, nodes[2], files))
            campaign.start_graph()
            yield campaign
        finally:
            graph.close()
            cameras.stop()
            with spinner.pause() as executor:
                for node in nodes:
                    executor.remove_node(node)
                    node.destroy_node()
            spinner.stop()
            rclpy.try_shutdown()


class Campaign:
    """A running graph, and the judge of what it does about faults."""

    def __init__(self, settings: CampaignSettings, targets: Targets) -> None:
        self._settings, self.targets = settings, targets

    def start_graph(self) -> None:
        """
        Start the graph and wait until it fuses.

        Raises
        ------
        CampaignError
            It does not fuse in time.

        """
        self.targets.observer.forget_all()
        self.targets.graph.start()
        if self._wait_until_well(_START_TIMEOUT_S) is None:
            raise CampaignError(f'the graph does not fuse after {_START_TIMEOUT_S:g} s: '
                                f'{self.targets.observer.find_unhealthy()}')

    def judge(self, fault: Fault) -> Verdict:
        """Inject a fault, end it, and return what it did."""
        targets = self.targets
        graph, observer, cameras = targets.graph, targets.observer, targets.cameras
        if obstacle := fault.find_obstacle(targets):
            return Verdict(fault.name, self._settings.mode, (), None, None, (), 0, obstacle)
        observer.forget()
        failures: list[str] = []
        log_start, begin_s = graph.log_length(), time.monotonic()
        self._act(fault.inject, failures)
        threading.Event().wait(max(0.0, begin_s + fault.seconds - time.monotonic()))
        said = observer.find_said(fault.said, begin_s) if fault.said else None
        end_s = time.monotonic()
        self._act(fault.end, failures)
        cameras.reset()
        if fault.restarts:
            self.start_graph()
        elif not graph.is_alive():
            failures.append(f'died with exit codes {graph.stop()}')
            self.start_graph()
        back_s = self._wait_until_well(max(fault.back_within_s * 4, 10.0), since_s=end_s)
        modes = observer.modes_between(begin_s + fault.settled_after_s, end_s) \
            if end_s > begin_s + fault.settled_after_s else set()
        said_s = said.at_s - begin_s if said is not None else None
        lines = observer.count_lines(begin_s, end_s)
        if fault.said and (said_s is None or said_s > fault.said_within_s):
            failures.append(f"'{fault.said}' " + (
                'not said' if said_s is None else f'said after {said_s:.1f} s'))
        if not modes <= fault.modes:
            failures.append(f'showed {", ".join(sorted(modes - fault.modes))}')
        false_s = observer.find_false_tracking_s(begin_s, end_s)
        if false_s > _FALSE_TRACKING_S:
            failures.append(f'TRACKING with a wrong homography after {false_s:.1f} s')
        if lines > fault.max_lines:
            failures.append(f'{lines} lines in the log')
        if traceback := graph.find_traceback(log_start):
            failures.append(f'traceback: {traceback}')
        if not fault.restarts and (back_s is None or back_s > fault.back_within_s):
            failures.append(f'not well: {observer.find_unhealthy()}' if back_s is None
                            else f'well after {back_s:.1f} s')
        return Verdict(fault.name, self._settings.mode, tuple(failures), said_s, back_s,
                       tuple(sorted(modes)), lines)

    def _act(self, action: Callable[[Targets], None], failures: list[str]) -> None:
        """Begin or end a fault; add what was not as it should be."""
        try:
            action(self.targets)
        except AssertionError as error:
            failures.append(str(error))

    def _wait_until_well(self, timeout_s: float, since_s: float | None = None) -> float | None:
        """Wait until all is well for a while; return after which time, None if not in time."""
        observer = self.targets.observer
        start_s = time.monotonic() if since_s is None else since_s
        while time.monotonic() - start_s < timeout_s:
            if not observer.wait_for(lambda: not observer.find_unhealthy(), timeout_s):
                return None
            well_s = time.monotonic()
            # What a fault leaves behind may show only with the next images.
            if not observer.wait_for(lambda: bool(observer.find_unhealthy()), _WELL_S):
                return well_s - start_s
        return None
