# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The walls between the rooms of the package hold."""

from __future__ import annotations

import ast
from pathlib import Path
import subprocess
import sys

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / 'ivf_ros'
MODULES = sorted(PACKAGE.rglob('*.py'))
ROS = ('rclpy', 'sensor_msgs', 'std_msgs', 'geometry_msgs', 'diagnostic_msgs', 'lifecycle_msgs',
       'rcl_interfaces', 'builtin_interfaces', 'vision_msgs', 'composition_interfaces', 'tf2_ros',
       'cv_bridge', 'rosgraph_msgs')
STAGES = ('registration', 'fusion', 'segmentation', 'detection')
# Each room may use the rooms of its own row and those above it.
FOUNDATION = ('types', 'parameters', 'geometry', 'thermal', 'thermal_on_rgb', 'images',
              'network_inputs', 'optional_imports', 'output', 'pace', 'pairing')


def room_of(path: Path) -> str:
    """Return the room that a module belongs to: its package, or its own name at top level."""
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imports_of(path: Path, *, module_level_only: bool = False) -> set[str]:
    """Return the dotted names that a module imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if module_level_only else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f'{node.module}.{alias.name}' for alias in node.names)
    return names


def rooms_used_by(path: Path) -> set[str]:
    """Return the rooms of this package that a module imports from."""
    return {name.split('.')[1] for name in imports_of(path)
            if name.startswith('ivf_ros.') and not name.startswith('ivf_ros.__')}


def identify(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) != 'nodes'], ids=identify)
def test_only_nodes_import_ros(path):
    assert not {name.split('.')[0] for name in imports_of(path)} & set(ROS)


@pytest.mark.parametrize('path', MODULES, ids=identify)
def test_torch_is_imported_at_module_level_only_where_networks_live(path):
    allowed = room_of(path) in ('nn', 'training') or path.stem.startswith('network')
    used = {name.split('.')[0] for name in imports_of(path, module_level_only=True)}
    assert allowed or 'torch' not in used


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) in STAGES], ids=identify)
def test_stages_do_not_know_each_other_nor_what_drives_them(path):
    allowed = {*FOUNDATION, 'nn', room_of(path)}
    assert rooms_used_by(path) <= allowed


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) in FOUNDATION], ids=identify)
def test_the_foundation_knows_only_itself(path):
    assert rooms_used_by(path) <= set(FOUNDATION)


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) == 'nn'], ids=identify)
def test_networks_are_shared_by_stages_that_they_do_not_know(path):
    assert rooms_used_by(path) <= {*FOUNDATION, 'nn'}


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) == 'data'], ids=identify)
def test_data_knows_what_it_reads_and_writes_but_not_what_that_is_for(path):
    assert rooms_used_by(path) <= {*FOUNDATION, 'data'}


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) == 'evaluation'], ids=identify)
def test_evaluation_reaches_neither_into_the_nodes_nor_into_the_trainings(path):
    assert not {'nodes', 'training', 'cli'} & rooms_used_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) not in ('evaluation', 'cli')],
                         ids=identify)
def test_only_the_command_line_knows_the_evaluation(path):
    assert 'evaluation' not in rooms_used_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) != 'cli'], ids=identify)
def test_nobody_knows_the_command_line(path):
    assert 'cli' not in rooms_used_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if room_of(p) == 'nodes'], ids=identify)
def test_nodes_know_no_training(path):
    assert 'training' not in rooms_used_by(path)


@pytest.mark.parametrize('stage', STAGES)
def test_the_stages_have_one_shape(stage):
    folder = PACKAGE / stage
    assert {'settings.py', 'stage.py', 'methods.py'} <= {path.name for path in folder.iterdir()}
    names = imports_of(folder / '__init__.py')
    assert {f'ivf_ros.{stage}.stage.{stage.capitalize()}Stage',
            f'ivf_ros.{stage}.settings.{stage.capitalize()}StageParameters'} <= names


def test_the_nodes_are_short_files_on_top_of_their_room():
    top = {path.stem: len(path.read_text().splitlines())
           for path in (PACKAGE / 'nodes').glob('*.py')}
    assert set(top) == {'__init__', 'component_container', 'replay_node',
                        *(f'{stage}_node' for stage in STAGES)}
    assert all(lines <= 200 for name, lines in top.items() if name != 'component_container')


def test_pairing_needs_nothing_but_the_standard_library():
    used = {name.split('.')[0] for name in imports_of(PACKAGE / 'pairing.py')}
    assert used <= {*sys.stdlib_module_names, 'ivf_ros'}


@pytest.mark.parametrize('module', ['ivf_ros', 'ivf_ros.registration', 'ivf_ros.fusion',
                                    'ivf_ros.segmentation', 'ivf_ros.detection', 'ivf_ros.cli',
                                    'ivf_ros.cli.stages'])
def test_importing_loads_neither_ros_nor_torch(module):
    code = (f'import sys, {module}; '
            "print([m for m in ('rclpy', 'torch', 'vision_msgs') if m in sys.modules])")
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            timeout=60, check=True)
    assert loaded.stdout.strip() == '[]'


def test_the_command_line_is_read_without_opencv_or_numpy():
    code = 'import sys, ivf_ros.cli; print([m for m in ("cv2", "numpy") if m in sys.modules])'
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            timeout=60, check=True)
    assert loaded.stdout.strip() == '[]'


@pytest.mark.parametrize('path', MODULES, ids=identify)
def test_modules_say_who_owns_them_and_can_be_read_in_one_sitting(path):
    lines = path.read_text().splitlines()
    assert lines[:2] == ['# Copyright 2026 The ivf_ros authors',
                         '# SPDX-License-Identifier: Apache-2.0']
    assert len(lines) <= 450, f'{identify(path)} has {len(lines)} lines'
