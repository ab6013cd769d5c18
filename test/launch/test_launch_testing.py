# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs the launch test of this folder by launch_testing, where that is installed."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess

import pytest

pytest.importorskip('launch_testing_ros', reason='launch_testing_ros is not installed')

from ament_index_python import get_package_share_path, PackageNotFoundError  # noqa: E402, I100

TIMEOUT_S = 240.0


@pytest.mark.parametrize('mode', ['composed', 'processes'])
def test_the_graph_passes_its_launch_test(live_graph, monkeypatch, mode):
    try:
        get_package_share_path('ivf_ros')
    except (PackageNotFoundError, OSError):  # OSError if no prefix is set
        pytest.skip('ivf_ros is not in the ament index; build it with colcon and source it')
    if shutil.which('launch_test') is None:
        pytest.skip('the command launch_test is not installed')
    monkeypatch.setenv('ROS_DOMAIN_ID', str(live_graph.context.get_domain_id()))
    command = ['launch_test', str(Path(__file__).with_name('graph.launch.py')), f'mode:={mode}']
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S,
                            check=False)
    assert result.returncode == 0, result.stdout + result.stderr
