# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Import rules between the subpackages."""

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
       'tf2_msgs', 'cv_bridge', 'rosgraph_msgs', 'visualization_msgs', 'foxglove_msgs')
STAGES = ('registration', 'fusion', 'segmentation', 'detection')
# Top-level modules that all subpackages may use.
FOUNDATION = ('types', 'boxes', 'parameters', 'geometry', 'thermal', 'thermal_on_rgb', 'images',
              'network_inputs', 'optional_imports', 'output', 'pace', 'pairing', 'protobuf',
              'regular_files',
              'stamps', 'camera_model', 'camera_input', 'thermal_input', 'thermal_levels',
              'palettes', 'progress', 'structure', 'worker', 'worker_process')


def package_of(path: Path) -> str:
    """Return the subpackage of a module, or its own name at top level."""
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


def packages_imported_by(path: Path) -> set[str]:
    """Return the subpackages and top-level modules of this package that a module imports."""
    return {name.split('.')[1] for name in imports_of(path)
            if name.startswith('ivf_ros.') and not name.startswith('ivf_ros.__')}


def identify(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) != 'nodes'], ids=identify)
def test_only_nodes_import_ros(path):
    assert not {name.split('.')[0] for name in imports_of(path)} & set(ROS)


@pytest.mark.parametrize('path', MODULES, ids=identify)
def test_torch_is_imported_at_module_level_only_in_network_modules(path):
    allowed = package_of(path) in ('nn', 'training') or path.stem.startswith('network')
    used = {name.split('.')[0] for name in imports_of(path, module_level_only=True)}
    assert allowed or 'torch' not in used


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) in STAGES], ids=identify)
def test_stages_import_neither_each_other_nor_higher_layers(path):
    allowed = {*FOUNDATION, 'nn', package_of(path)}
    assert packages_imported_by(path) <= allowed


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'perception'],
                         ids=identify)
def test_perception_imports_only_the_stages_that_it_joins(path):
    allowed = {*FOUNDATION, 'nn', 'perception', 'segmentation', 'detection'}
    assert packages_imported_by(path) <= allowed


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'detection3d'],
                         ids=identify)
def test_positions_of_detections_import_only_the_foundation(path):
    assert packages_imported_by(path) <= {*FOUNDATION, 'detection3d'}


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) in FOUNDATION], ids=identify)
def test_the_foundation_imports_only_itself(path):
    assert packages_imported_by(path) <= set(FOUNDATION)


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'nn'], ids=identify)
def test_nn_does_not_import_the_stages(path):
    assert packages_imported_by(path) <= {*FOUNDATION, 'nn'}


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'data'], ids=identify)
def test_data_imports_only_the_foundation(path):
    assert packages_imported_by(path) <= {*FOUNDATION, 'data'}


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'evaluation'],
                         ids=identify)
def test_evaluation_imports_neither_nodes_nor_training(path):
    assert not {'nodes', 'training', 'cli'} & packages_imported_by(path)


@pytest.mark.parametrize(
    'path', [p for p in MODULES if package_of(p) not in ('evaluation', 'cli')], ids=identify)
def test_only_the_command_line_imports_the_evaluation(path):
    assert 'evaluation' not in packages_imported_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'calibration'],
                         ids=identify)
def test_calibration_imports_only_the_foundation_data_and_registration(path):
    assert packages_imported_by(path) <= {*FOUNDATION, 'calibration', 'data', 'registration'}


@pytest.mark.parametrize(
    'path', [p for p in MODULES if package_of(p) not in ('calibration', 'cli', 'nodes')],
    ids=identify)
def test_only_the_command_line_and_nodes_import_the_calibration(path):
    assert 'calibration' not in packages_imported_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'view'], ids=identify)
def test_the_view_imports_only_the_foundation_data_and_stages(path):
    assert packages_imported_by(path) <= {*FOUNDATION, *STAGES, 'view', 'data', 'perception'}


@pytest.mark.parametrize(
    'path', [p for p in MODULES if package_of(p) not in ('view', 'cli', 'nodes')], ids=identify)
def test_only_the_command_line_and_nodes_import_the_view(path):
    assert 'view' not in packages_imported_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'labelling'],
                         ids=identify)
def test_labelling_imports_only_the_foundation_data_and_stages(path):
    assert packages_imported_by(path) <= {*FOUNDATION, *STAGES, 'labelling', 'data', 'perception'}


@pytest.mark.parametrize(
    'path', [p for p in MODULES if package_of(p) not in ('labelling', 'cli')], ids=identify)
def test_only_the_command_line_imports_the_labelling(path):
    assert 'labelling' not in packages_imported_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) != 'view'], ids=identify)
def test_only_the_view_imports_rerun(path):
    assert 'rerun' not in {name.split('.')[0] for name in imports_of(path)}


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) != 'cli'], ids=identify)
def test_no_subpackage_imports_the_command_line(path):
    assert 'cli' not in packages_imported_by(path)


@pytest.mark.parametrize('path', [p for p in MODULES if package_of(p) == 'nodes'], ids=identify)
def test_nodes_do_not_import_training(path):
    assert 'training' not in packages_imported_by(path)


@pytest.mark.parametrize('stage', STAGES)
def test_all_stages_have_the_same_structure(stage):
    folder = PACKAGE / stage
    assert {'settings.py', 'stage.py', 'methods.py'} <= {path.name for path in folder.iterdir()}
    names = imports_of(folder / '__init__.py')
    assert {f'ivf_ros.{stage}.stage.{stage.capitalize()}Stage',
            f'ivf_ros.{stage}.settings.{stage.capitalize()}StageParameters'} <= names


def test_node_modules_are_short():
    top = {path.stem: len(path.read_text().splitlines())
           for path in (PACKAGE / 'nodes').glob('*.py')}
    assert set(top) == {'__init__', 'component_container', 'replay_node', 'calibration_node',
                        'perception_node', 'detection3d_node', 'view_node',
                        *(f'{stage}_node' for stage in STAGES)}
    assert all(lines <= 200 for name, lines in top.items() if name != 'component_container')


def test_pairing_needs_only_the_standard_library():
    used = {name.split('.')[0] for name in imports_of(PACKAGE / 'pairing.py')}
    assert used <= {*sys.stdlib_module_names, 'ivf_ros'}


@pytest.mark.parametrize('module', ['ivf_ros', 'ivf_ros.registration', 'ivf_ros.fusion',
                                    'ivf_ros.segmentation', 'ivf_ros.detection',
                                    'ivf_ros.perception', 'ivf_ros.detection3d',
                                    'ivf_ros.nn.runtime', 'ivf_ros.cli',
                                    'ivf_ros.cli.pair_commands',
                                    'ivf_ros.cli.image_commands'])
def test_importing_loads_neither_ros_nor_torch(module):
    code = (f'import sys, {module}; '
            "print([m for m in ('rclpy', 'torch', 'vision_msgs') if m in sys.modules])")
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            timeout=60, check=True)
    assert loaded.stdout.strip() == '[]'


def test_the_command_line_is_parsed_without_opencv_or_numpy():
    code = 'import sys, ivf_ros.cli; print([m for m in ("cv2", "numpy") if m in sys.modules])'
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            timeout=60, check=True)
    assert loaded.stdout.strip() == '[]'


@pytest.mark.parametrize('path', MODULES, ids=identify)
def test_modules_have_a_copyright_header_and_limited_length(path):
    lines = path.read_text().splitlines()
    assert lines[:2] == ['# Copyright 2026 The ivf_ros authors',
                         '# SPDX-License-Identifier: Apache-2.0']
    assert len(lines) <= 450, f'{identify(path)} has {len(lines)} lines'
