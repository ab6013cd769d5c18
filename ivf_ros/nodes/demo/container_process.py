# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The container with all stages as a child process."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any, Sequence

from ivf_ros.types import GRAPH_NODES

_STOP_TIMEOUT_S = 10.0


def start_container(ros_arguments: Sequence[str], **options: Any) -> subprocess.Popen:
    """Start all stages in one process; ``options`` are those of ``subprocess.Popen``."""
    return subprocess.Popen([sys.executable, '-m', 'ivf_ros.nodes.component_container', *GRAPH_NODES,
                             '--ros-args', *ros_arguments], **options)


def stop_container(container: subprocess.Popen) -> None:
    """Interrupt the process and wait for its end; kill it if it does not end."""
    container.send_signal(signal.SIGINT)
    try:
        container.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        container.kill()
        container.wait()
