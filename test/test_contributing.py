# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The worked examples of CONTRIBUTING.md do what the page says."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

from conftest import REPOSITORY, wait_until
import numpy as np
import pytest

PAGE = (REPOSITORY / 'CONTRIBUTING.md').read_text()
_BLOCK = re.compile(r'<!-- (\w+)(?:: (\S+?))?(?:: (.+?))? -->\n```python\n(.*?)```\n', re.DOTALL)


def blocks_below(heading: str) -> list[tuple[str, str, str, str]]:
    """Return action, path, anchor and code of the blocks of one section."""
    section = PAGE.split(f'### {heading}\n')[1].split('\n### ')[0]
    return _BLOCK.findall(section)


def perform(blocks, root: Path) -> list[str]:
    """Write the code of a section into the files below ``root``; return what is to be run."""
    programs = []
    for action, name, anchor, code in blocks:
        path = root / name
        if action == 'run':
            programs.append(code)
        elif action == 'append':
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open('a') as file:
                file.write(code)
        else:
            text = path.read_text()
            assert text.count(anchor) == 1, f'{name} has no single {anchor!r}'
            new = code.rstrip('\n')
            path.write_text(text.replace(
                anchor, new if action == 'replace' else f'{anchor}\n{new}'))
    return programs


@pytest.fixture
def copied_package(tmp_path) -> Path:
    shutil.copytree(REPOSITORY / 'ivf_ros', tmp_path / 'ivf_ros',
                    ignore=shutil.ignore_patterns('*.safetensors', '__pycache__'))
    shutil.copy(REPOSITORY / 'setup.cfg', tmp_path)
    return tmp_path


@pytest.mark.parametrize('heading', ['A fusion rule', 'A registration method'])
def test_a_method_is_added_as_the_page_says(heading, copied_package):
    programs = perform(blocks_below(heading), copied_package)
    assert programs
    environment = {**os.environ, 'PYTHONPATH': str(copied_package)}
    for program in programs:
        ended = subprocess.run([sys.executable, '-c', program], cwd=copied_package,
                               env=environment, capture_output=True, text=True, timeout=120,
                               check=False)
        assert ended.returncode == 0, ended.stderr
    for arguments in (['-m', 'flake8', 'ivf_ros'],
                      ['-m', 'ivf_ros.cli', 'fuse' if 'fusion' in heading else 'register',
                       '--help']):
        ended = subprocess.run([sys.executable, *arguments], cwd=copied_package, env=environment,
                               capture_output=True, text=True, timeout=120, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_new_registration_method_is_a_parameter_of_the_node(copied_package):
    perform(blocks_below('A registration method'), copied_package)
    program = ('from ivf_ros.parameters import declarations\n'
               'from ivf_ros.registration import RegistrationStageParameters\n'
               'names = [one.name for one in declarations(RegistrationStageParameters)]\n'
               'assert "registration.phase_correlation.min_response" in names')
    ended = subprocess.run([sys.executable, '-c', program], cwd=copied_package, timeout=60,
                           env={**os.environ, 'PYTHONPATH': str(copied_package)},
                           capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.live
def test_a_node_of_ones_own_runs_in_the_graph(live_graph, tmp_path, monkeypatch):
    from ivf_ros.nodes.graph import messages
    from ivf_ros.nodes.graph.transport import Hub
    from ivf_ros.types import Frame
    from rclpy.parameter import Parameter

    perform(blocks_below('A node in a package of your own'), tmp_path)
    (tmp_path / 'my_robot' / '__init__.py').touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    node_class = importlib.import_module('my_robot.hotspot_node').HotspotNode
    node = live_graph.add(node_class, Hub())
    assert node.autostart()
    outside, received = live_graph.node('outside'), []
    outside.create_subscription(messages.IMAGE.message_type, 'hotspots', lambda message:
                                received.append(messages.image_from_message(message)), 5)
    publisher = outside.create_publisher(messages.IMAGE.message_type,
                                         'thermal_registered/image_8bit', 5)
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)

    def marked(level) -> bool:
        publisher.publish(messages.image_to_message(Frame(gray, len(received) + 1, 'rgb')))
        return any(np.array_equal(frame.image, np.where(gray > level, 255, 0))
                   for frame in received)

    assert wait_until(lambda: wait_until(lambda: marked(200), 0.1))
    assert node.set_parameters([Parameter('level', value=99)])[0].successful
    assert wait_until(lambda: wait_until(lambda: marked(99), 0.1))
    assert not node.set_parameters([Parameter('level', value=300)])[0].successful
