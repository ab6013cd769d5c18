# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Consistency of package.xml, setup.py, setup.cfg and the package."""

from __future__ import annotations

import ast
from configparser import ConfigParser
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree

import ivf_ros
from ivf_ros.bootstrap import LINTERS
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
MANIFEST = ElementTree.parse(REPOSITORY / 'package.xml').getroot()
SETUP_CFG = ConfigParser()
SETUP_CFG.read(REPOSITORY / 'setup.cfg')
MODULES = sorted((REPOSITORY / 'ivf_ros').rglob('*.py'))
SOURCES = [*MODULES, *sorted((REPOSITORY / 'test').glob('*.py')),
           *sorted((REPOSITORY / 'launch').glob('*.py')), REPOSITORY / 'setup.py']
# ROS packages that may be imported without a depend entry, because rclpy depends on them. tf2_ros
# and cv_bridge are used only if they are installed.
INDIRECT_DEPENDENCIES = {'builtin_interfaces', 'rosgraph_msgs'}
OPTIONAL_DEPENDENCIES = {'foxglove_msgs'}
ROS_MODULES = re.compile(r'rclpy|launch|launch_ros|\w+_msgs|\w+_interfaces')


@pytest.fixture(scope='module')
def setup_arguments(tmp_path_factory) -> dict[str, str]:
    """Return the metadata in setup.py, as evaluated by setuptools."""
    fields = ['name', 'version', 'license', 'maintainer', 'maintainer-email']
    result = subprocess.run(
        [sys.executable, 'setup.py', '-q', *(f'--{field}' for field in fields)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True)
    return dict(zip(fields, result.stdout.strip().splitlines()[-len(fields):], strict=True))


def depends(tag: str) -> set[str]:
    return {element.text or '' for element in MANIFEST.findall(tag)}


def entry_points() -> dict[str, str]:
    """Return the console scripts that setup.py declares."""
    script = ('import json, setuptools\n'
              'setuptools.setup = lambda **options: print(json.dumps(options["entry_points"]))\n'
              'exec(open("setup.py").read())\n')
    result = subprocess.run([sys.executable, '-c', script], cwd=REPOSITORY, capture_output=True,
                            text=True, timeout=60, check=True)
    lines = ast.literal_eval(result.stdout)['console_scripts']
    return dict(line.split(' = ') for line in lines)


def test_setup_and_manifest_agree(setup_arguments):
    maintainer = MANIFEST.find('maintainer')
    assert setup_arguments == {
        'name': MANIFEST.findtext('name'), 'version': MANIFEST.findtext('version'),
        'license': MANIFEST.findtext('license'), 'maintainer': maintainer.text,
        'maintainer-email': maintainer.get('email')}


def test_the_package_knows_its_version():
    assert ivf_ros.__version__ == MANIFEST.findtext('version')


def test_the_manifest_is_of_format_3_and_builds_with_ament_python():
    assert MANIFEST.get('format') == '3'
    assert MANIFEST.findtext('export/build_type') == 'ament_python'


def test_every_ros_package_that_is_imported_is_declared():
    imported = set()
    for path in [*MODULES, *(REPOSITORY / 'launch').glob('*.py')]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported.update(alias.name.split('.')[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split('.')[0])
    used = {name for name in imported if ROS_MODULES.fullmatch(name)} \
        - INDIRECT_DEPENDENCIES - OPTIONAL_DEPENDENCIES
    assert used <= depends('exec_depend')


def test_every_entry_point_exists():
    for name, target in entry_points().items():
        module, function = target.split(':')
        path = REPOSITORY / (module.replace('.', '/') + '.py')
        assert path.is_file(), f'{name} needs {path}'
        functions = {node.name for node in ast.parse(path.read_text()).body
                     if isinstance(node, ast.FunctionDef)}
        assert function in functions, f'{name} needs {target}'


def test_executables_are_installed_for_ros2_run():
    directory = f'$base/lib/{MANIFEST.findtext("name")}'
    assert SETUP_CFG['develop']['script_dir'] == directory
    assert SETUP_CFG['install']['install_scripts'] == directory


def test_the_ament_index_marker_is_there():
    assert (REPOSITORY / 'resource' / 'ivf_ros').is_file()


def test_wheels_and_torch_are_pinned_exactly():
    extras = SETUP_CFG['options.extras_require']
    pinned = [extras[name] for name in extras if name == 'torch' or name.startswith('wheels_')]
    for requirement in ' '.join(pinned).split():
        assert re.fullmatch(r'[\w-]+==[\d.]+', requirement), requirement


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_file_names_its_licence(path):
    lines = path.read_text().splitlines()
    assert lines[:2] == ['# Copyright 2026 The ivf_ros authors',
                         '# SPDX-License-Identifier: Apache-2.0']


@pytest.mark.parametrize('linter', LINTERS, ids=lambda linter: linter[0])
def test_linters_find_nothing(linter):
    pytest.importorskip(linter[0], reason=f'{linter[0]} is not installed')
    result = subprocess.run([sys.executable, '-m', *linter], cwd=REPOSITORY,
                            capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_pre_commit_hook_runs_what_ci_runs():
    config = yaml.safe_load((REPOSITORY / '.pre-commit-config.yaml').read_text())
    hook, = config['repos'][0]['hooks']
    assert hook['entry'] == 'python3 -m ivf_ros.bootstrap check'
