# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the whole graph, over DDS between three processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import DOMAIN_IDS, REPOSITORY
import pytest

pytest.importorskip('rclpy', reason='the benchmark needs rclpy')
pytestmark = pytest.mark.live


def run_benchmark(*arguments) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(next(DOMAIN_IDS)),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    return subprocess.run(
        [sys.executable, '-m', 'ivf_ros.cli', 'benchmark', '--graph', *map(str, arguments)],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=150, check=False)


def test_outputs_and_container_are_measured():
    process = run_benchmark('--size', '160x120', '--rate', 10, '--seconds', 3, '--warm-up', 1,
                            '--json')
    assert process.returncode == 0, process.stderr
    *outputs, container = json.loads(process.stdout)
    assert [row['topic'] for row in outputs] == ['fused/image', 'segmentation/labels',
                                                 'detections']
    for row in outputs:
        assert row['size'] == '160x120' and row['sent'] >= 25
        assert 0 < row['received'] <= row['sent']
        assert 0 < row['age_ms_p50'] <= row['age_ms_p95'] < 3000
        assert 0 < row['first_s'] < 120
    assert 0 < container['cores'] <= os.cpu_count()
    assert container['processor_ms'] > 0 and container['memory_mb'] > 0


def test_a_stage_that_cannot_start_ends_the_benchmark_with_its_reason(tmp_path):
    parameters = tmp_path / 'broken.yaml'
    parameters.write_text('/**/fusion:\n  ros__parameters:\n'
                          f"    fusion.network.weights: '{tmp_path / 'absent.safetensors'}'\n")
    process = run_benchmark('--size', '160x120', '--rate', 10, '--params-file', parameters)
    assert process.returncode == 1
    last_line = process.stderr.strip().splitlines()[-1]
    assert last_line.startswith('ivf benchmark: ') and 'absent.safetensors' in last_line


@pytest.mark.parametrize('mode, topics', [
    ('processes', ['fused/image', 'segmentation/labels', 'detections']),
    ('naive', ['fused/image'])])
def test_processes_and_the_yardstick_are_measured_too(mode, topics):
    process = run_benchmark('--size', '160x120', '--rate', 10, '--seconds', 2, '--warm-up', 1,
                            '--mode', mode, '--json')
    assert process.returncode == 0, process.stderr
    *outputs, nodes = json.loads(process.stdout)
    assert [row['topic'] for row in outputs] == topics
    assert all(0 < row['received'] <= row['sent'] for row in outputs)
    assert nodes['nodes'] == mode and nodes['memory_mb'] > 50
