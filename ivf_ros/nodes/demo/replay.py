# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The replay of one source in this process, and whether it was one."""

from __future__ import annotations

from collections.abc import Mapping
import threading

from ivf_ros import dds
from ivf_ros.data.sources import Source
from ivf_ros.nodes.graph.node_parameters import ReplayNodeParameters
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.replay_node import ReplayNode
from ivf_ros.parameters import build
from rclpy.parameter import Parameter

# A replay or a result of fewer frames than this part is no success.
MIN_PART = 0.2


class ReplayError(RuntimeError):
    """A replay played nothing, or only a small part of its source."""


def check_played(played: Mapping[str, int], skipped: Mapping[str, int]) -> None:
    """
    Check that a replay was a replay of its source.

    Parameters
    ----------
    played:
        Number of published frames by camera.
    skipped:
        Number of frames that could not be read, by reason.

    Raises
    ------
    ReplayError
        A camera has no frame, or less than a fifth of all frames were played.

    """
    reasons = ', '.join(f'{reason} {n}' for reason, n in skipped.items()) or 'nothing'
    missing = [stream for stream in ('thermal', 'rgb') if not played.get(stream)]
    if missing:
        raise ReplayError(f'no frame of {" and ".join(missing)} was played; left out: {reasons}')
    total = sum(played.values()) + sum(skipped.values())
    if sum(played.values()) < MIN_PART * total:
        raise ReplayError(f'only {sum(played.values())} of {total} frames were played; '
                          f'left out: {reasons}')


def run(source: Source, *, rate: float, loop: bool, restamp: bool, clock: bool) -> int:
    """
    Replay one source in this process until its end; return the exit code.

    Raises
    ------
    ParameterError
        The rate is out of range.
    ReplayError, SourceError
        Nothing or only a small part of the source could be played.

    """
    dds.use_profile()
    values = {'source': source.name, 'rate': rate, 'loop': loop, 'restamp': restamp,
              'clock': clock}
    build(ReplayNodeParameters, values)
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    finished = threading.Event()
    nodes: list[ReplayNode] = []

    def make_node() -> ReplayNode:
        nodes.append(ReplayNode(source=source, finished=finished, parameter_overrides=overrides))
        return nodes[0]

    exit_code = run_node(make_node, [], until=finished.is_set)
    if nodes[0].failure is not None:
        raise nodes[0].failure
    if exit_code == 0 and nodes[0].is_complete:
        check_played(nodes[0].played, source.skipped)
    return exit_code
