# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Set-up without ROS 2: steps, repairs and error messages."""

from __future__ import annotations

import ast
from configparser import ConfigParser
import errno
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace

from ivf_ros import bootstrap
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
ALL_STEPS = ['venv', 'wheels', 'libraries', 'messages', 'ivf', 'torch', 'test']
COPIED = ('setup.py', 'setup.cfg', 'package.xml', 'ivf_ros/__init__.py', 'ivf_ros/bootstrap.py',
          'ivf_ros/rosidl.py')
LOCKS = ('pip', 'libraries', 'kilted', 'jazzy', 'test')


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """Copy the parts of the checkout that the bootstrap reads."""
    root = tmp_path / 'checkout'
    shutil.copytree(REPOSITORY / 'resource', root / 'resource')
    for folder in ('ivf_ros', 'requirements'):
        (root / folder).mkdir()
    for name in (*COPIED, *(f'requirements/{lock}.lock' for lock in LOCKS)):
        shutil.copy(REPOSITORY / name, root / name)
    monkeypatch.setattr(bootstrap, 'ROOT', root)
    monkeypatch.setattr(bootstrap, 'find_missing_packages', lambda steps: [])
    return root


@pytest.fixture
def commands(monkeypatch) -> list[str]:
    """Record the commands instead of running them."""
    recorded: list[str] = []

    def run(environment, command):
        recorded.append(' '.join(str(word) for word in command))
        return 0

    monkeypatch.setattr(bootstrap.Environment, '_run', run)
    return recorded


@pytest.fixture
def environment(checkout, commands) -> bootstrap.Environment:
    """Return the environment of the default distribution."""
    return bootstrap.Environment(bootstrap.DEFAULT_DISTRIBUTION)


def pending(environment: bootstrap.Environment, tests: bool = True) -> list[str]:
    return [step.name for step in environment.pending(tests)]


@pytest.mark.parametrize('module', ['__init__.py', 'bootstrap.py'])
def test_an_old_python_can_read_the_file(module):
    tree = ast.parse((REPOSITORY / 'ivf_ros' / module).read_text(), feature_version=(3, 6))
    imported = {node.module or '' if isinstance(node, ast.ImportFrom) else alias.name
                for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in node.names}
    assert {name.split('.')[0] for name in imported} <= sys.stdlib_module_names - {'__future__'}


@pytest.mark.parametrize('changed, expected', [
    ({'version': (3, 9)}, 'Python 3.10 to 3.14 is needed, this is Python 3.9'),
    ({'version': (3, 15)}, 'Python 3.10 to 3.14 is needed, this is Python 3.15'),
    ({'machine': 'aarch64'}, 'CPython on Linux aarch64 glibc'),
    ({'system': 'Darwin'}, 'CPython on Darwin x86_64 glibc'),
    ({'libc_ver': ('', '')}, 'need CPython on x86-64 Linux with glibc'),
    ({'python_implementation': 'PyPy'}, 'PyPy on Linux'),
])
def test_unsupported_platforms_are_rejected(checkout, monkeypatch, capsys, changed, expected):
    machine = {'version': (3, 12), 'machine': 'x86_64', 'system': 'Linux',
               'libc_ver': ('glibc', '2.35'), 'python_implementation': 'CPython', **changed}
    version = machine.pop('version')
    monkeypatch.setattr(bootstrap, 'sys', SimpleNamespace(version_info=version, stderr=sys.stderr))
    for name, value in machine.items():
        monkeypatch.setattr(bootstrap.platform, name, lambda value=value: value)
    assert bootstrap.main(['setup']) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


def test_running_outside_a_checkout_is_rejected(checkout, capsys):
    (checkout / 'setup.cfg').unlink()
    assert bootstrap.main(['setup']) == 1
    assert 'is not a checkout of ivf_ros' in capsys.readouterr().err


@pytest.mark.parametrize('words', [[], ['install']])
def test_an_unknown_command_is_one_line(words, capsys):
    assert bootstrap.main(words) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert 'demo, test, check or setup' in line


@pytest.mark.parametrize('words, expected', [
    (['--distribution', 'humble', 'test'], "takes kilted or jazzy, not 'humble'"),
    (['--distribution', 'test'], "takes kilted or jazzy, not 'test'"),
    (['--distribution'], "takes kilted or jazzy, not ''"),
    (['--distribution=jazzy', 'test'],
     "say demo, test, check or setup, not '--distribution=jazzy'"),
    (['--distribution', 'jazzy'], "say demo, test, check or setup, not ''"),
])
def test_a_wrong_distribution_is_one_line(words, expected, capsys):
    assert bootstrap.main(words) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert expected in line


def test_each_distribution_has_separate_wheels_and_environment(checkout, commands, capsys):
    for distribution, folder in bootstrap.ENVIRONMENTS.items():
        count = len(commands)
        assert bootstrap.main(['--distribution', distribution, 'setup']) == 0
        assert f'wheels of ROS 2 {distribution.title()}' in capsys.readouterr().err
        assert {lock for command in commands[count:] for lock in re.findall(
            r'requirements/(\w+)\.lock', command)} == {'pip', 'libraries', distribution}
        assert (checkout / folder / 'bootstrap.json').is_file()
    count = len(commands)
    assert bootstrap.main(['setup']) == 0
    assert len(commands) == count


def test_git_and_flake8_ignore_every_environment():
    ignored = (REPOSITORY / '.gitignore').read_text().splitlines()
    flake8 = ConfigParser()
    flake8.read(REPOSITORY / 'setup.cfg')
    assert {f'/{folder}/' for folder in bootstrap.ENVIRONMENTS.values()} <= set(ignored)
    assert set(bootstrap.ENVIRONMENTS.values()) <= set(flake8['flake8']['exclude'].split(','))


def test_every_step_runs_once_and_the_test_tools_only_for_tests(environment, commands):
    assert pending(environment, tests=False) == ALL_STEPS[:-2]
    environment.set_up(tests=False)
    assert pending(environment) == ['torch', 'test']
    environment.set_up(tests=True)
    assert not pending(environment)
    count = len(commands)
    environment.set_up(tests=True)
    assert len(commands) == count


@pytest.mark.parametrize('changed, redone', [
    ('resource/interfaces/vision_msgs/msg/Point2D.msg', ['messages', 'ivf', 'torch', 'test']),
    ('package.xml', ['ivf', 'torch', 'test']),
    ('setup.cfg', ['ivf', 'torch', 'test']),
    ('requirements/kilted.lock', ALL_STEPS[ALL_STEPS.index('wheels'):]),
    ('requirements/libraries.lock', ALL_STEPS[ALL_STEPS.index('libraries'):]),
    ('requirements/test.lock', ['test']),
])
def test_a_change_redoes_its_step_and_those_after_it(checkout, environment, changed, redone):
    environment.set_up(tests=True)
    with (checkout / changed).open('a') as file:
        file.write('\n')
    assert pending(environment) == redone


def test_a_new_python_starts_over(checkout, environment, monkeypatch):
    environment.set_up(tests=False)
    (checkout / '.venv' / 'lib').mkdir()
    monkeypatch.setattr(sys, 'version', 'another')
    environment.set_up(tests=False)
    assert not (checkout / '.venv' / 'lib').exists()
    assert not pending(environment, tests=False)


def test_an_interrupted_set_up_starts_over(checkout, environment, commands, monkeypatch, capsys):
    def interrupt(environment):
        (checkout / '.venv' / 'half').mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(bootstrap.Environment, '_install_ivf', interrupt)
        assert bootstrap.main(['setup']) == 1
    assert 'interrupted' in capsys.readouterr().err.splitlines()[-1]
    environment.set_up(tests=False)
    assert not (checkout / '.venv' / 'half').exists()
    assert sum('-m venv' in command for command in commands) == 2
    assert not pending(environment, tests=False)


def test_a_foreign_environment_is_not_touched(checkout, environment, commands):
    (checkout / '.venv' / 'bin').mkdir(parents=True)
    with pytest.raises(bootstrap.BootstrapError, match='was not made by this command'):
        environment.set_up(tests=False)
    assert (checkout / '.venv' / 'bin').is_dir()
    assert not commands


def test_every_package_is_installed_by_its_hash_except_pytorch_and_the_checkout(
        checkout, environment, commands):
    environment.set_up(tests=True)
    installed = [command for command in commands if ' pip install ' in command]
    assert len(installed) == 6
    unlocked = [command for command in installed if '--require-hashes' not in command]
    [ivf, torch] = unlocked
    assert f'--editable {checkout}' in ivf and '--no-deps' in ivf
    assert ' torch==' in torch
    for command in set(installed) - set(unlocked):
        assert re.search(r'--only-binary :all: .*-r \S+/requirements/\w+\.lock$', command)


@pytest.mark.parametrize('pip_has_cpu_build', [True, False])
def test_pytorch_is_installed_without_cuda(environment, commands, monkeypatch, pip_has_cpu_build):
    record = bootstrap.Environment._run

    def run(environment, command):
        record(environment, command)
        is_torch = ' torch==' in commands[-1]
        return int(is_torch and not pip_has_cpu_build and 'uv pip' not in commands[-1])

    monkeypatch.setattr(bootstrap.Environment, '_run', run)
    environment.set_up(tests=True)
    tries = [command for command in commands if ' torch==' in command]
    assert tries[0].endswith('+cpu')
    assert [' --torch-backend cpu torch==' in command for command in tries[1:]] == \
        ([] if pip_has_cpu_build else [True])
    assert not pending(environment)


def test_a_failed_message_build_names_the_log_and_repeats_no_other_step(
        checkout, environment, commands, monkeypatch, capsys):
    record = bootstrap.Environment._run

    def run(environment, command):
        record(environment, command)
        if 'ivf_ros.rosidl' not in commands[-1]:
            return 0
        (checkout / '.venv' / 'bootstrap.log').write_text('$ ...\nlinking failed; the log is X\n')
        return 1

    monkeypatch.setattr(bootstrap.Environment, '_run', run)
    assert bootstrap.main(['setup']) == 1
    assert capsys.readouterr().err.splitlines()[-1] == 'ivf_ros: linking failed; the log is X'
    monkeypatch.setattr(bootstrap.Environment, '_run', record)
    environment.set_up(tests=False)
    assert sum('-m venv' in command for command in commands) == 1


@pytest.mark.parametrize('absent, expected', [
    (['ensurepip'], 'missing: python3.99-venv; run: sudo apt install python3.99-venv'),
    (['g++'], 'missing: g++; run: sudo apt install g++'),
    (['ensurepip', 'g++', 'Python.h'],
     'missing: python3.99-venv, g++, python3.99-dev; '
     'run: sudo apt install python3.99-venv g++ python3.99-dev'),
])
def test_missing_system_packages_are_named_in_one_line(monkeypatch, tmp_path, absent, expected):
    if 'Python.h' not in absent:
        (tmp_path / 'Python.h').touch()
    monkeypatch.setattr(bootstrap, 'sys', SimpleNamespace(version_info=(3, 99)))
    monkeypatch.setattr(bootstrap.importlib.util, 'find_spec', lambda name: name not in absent)
    monkeypatch.setattr(bootstrap.shutil, 'which', lambda name: name not in absent or None)
    monkeypatch.setattr(bootstrap.sysconfig, 'get_paths', lambda: {'include': str(tmp_path)})
    monkeypatch.setattr(bootstrap.os, 'geteuid', lambda: 1000)
    missing = bootstrap.find_missing_packages(ALL_STEPS)
    assert bootstrap.describe_missing_packages(missing) == expected


@pytest.mark.parametrize('output, expected', [
    ("WARNING: Retrying after connection broken by 'NewConnectionError'\n"
     'ERROR: No matching distribution found for pip>=25.3\n',
     'no network: pip could not fetch pip>=25.3'),
    ("WARNING: Retrying ... ReadTimeoutError('Read timed out'): /simple/numpy/\n",
     'no network: pip could not fetch numpy'),
    ('ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device\n',
     'the disk is full while installing the libraries'),
    ('ERROR: first\nERROR: No matching distribution found for ros-x==1\n',
     'pip could not install the libraries: No matching distribution found for ros-x==1'),
])
def test_a_pip_failure_is_described_in_one_line(output, expected):
    assert bootstrap.describe_pip_failure(output, 'the libraries').startswith(expected)


@pytest.mark.parametrize('number, expected', [
    (errno.ENOSPC, 'the disk is full'),
    (errno.EACCES, 'the checkout is not writable'),
    (errno.EROFS, 'the checkout is not writable'),
])
def test_an_error_of_the_file_system_is_one_line(checkout, monkeypatch, capsys, number, expected):
    def fail(*arguments, **options):
        raise OSError(number, os.strerror(number), str(checkout))

    monkeypatch.setattr(bootstrap.Environment, '_write_state', fail)
    assert bootstrap.main(['setup']) == 1
    lines = capsys.readouterr().err.splitlines()
    assert expected in lines[-1]
    assert not any('Traceback' in line for line in lines)


def test_insufficient_disk_space_is_reported_before_the_installation(
        checkout, environment, commands, monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, 'disk_usage', lambda path: SimpleNamespace(free=10 ** 8))
    with pytest.raises(bootstrap.BootstrapError, match=r'needs 1\.5 GB .* has 0\.1 GB'):
        environment.set_up(tests=False)
    assert not commands


def test_variables_of_another_ros_are_removed_from_the_environment(monkeypatch):
    monkeypatch.setenv('AMENT_PREFIX_PATH', '/opt/ros/jazzy')
    monkeypatch.setenv('PYTHONPATH', '/opt/ros/jazzy/lib/python3.12/site-packages')
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')
    monkeypatch.setenv('LD_LIBRARY_PATH', '/opt/ros/jazzy/lib:/usr/local/cuda/lib64')
    environment = bootstrap.child_environment()
    assert 'jazzy' not in ''.join(environment.values())
    assert 'RMW_IMPLEMENTATION' not in environment
    assert environment['LD_LIBRARY_PATH'] == '/usr/local/cuda/lib64'


@pytest.mark.parametrize('words, replaced_by', [
    (['demo', '--seconds', '2'], ['.venv/bin/ivf', 'demo', '--seconds', '2']),
    (['test', '-k', 'thermal'], ['.venv/bin/python', '-m', 'pytest', '-n', '3', '--dist',
                                 'loadfile', '-k', 'thermal']),
    (['test', '-n', '0', '-x'], ['.venv/bin/python', '-m', 'pytest', '-n', '0', '-x']),
    (['test', '--pdb'], ['.venv/bin/python', '-m', 'pytest', '--pdb']),
    (['--distribution', 'jazzy', 'test', '-m', 'live'],
     ['.venv-jazzy/bin/python', '-m', 'pytest', '-n', '3', '--dist', 'loadfile', '-m', 'live']),
])
def test_the_program_is_started_with_all_arguments(checkout, commands, monkeypatch, words,
                                                   replaced_by):
    started = []
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(bootstrap.os, 'execve', lambda path, argv, env: started.append(argv))
    monkeypatch.setattr(bootstrap.os, 'sched_getaffinity', lambda pid: {0, 1, 5})
    assert bootstrap.main(words) == 0
    [argv] = started
    assert argv == [str(checkout / replaced_by[0]), *replaced_by[1:]]


def test_a_sourced_ros_is_reported(checkout, commands, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    monkeypatch.setattr(bootstrap.importlib.util, 'find_spec', lambda name: name == 'rclpy')
    assert bootstrap.main(['setup']) == 0
    assert 'ROS 2 jazzy is sourced' in capsys.readouterr().err


def test_without_a_network_the_missing_package_is_named(checkout):
    environment = {**os.environ, 'PIP_INDEX_URL': 'http://127.0.0.1:9/simple',
                   'PIP_CONFIG_FILE': os.devnull, 'PIP_FIND_LINKS': '', 'PIP_RETRIES': '0'}
    result = subprocess.run([sys.executable, '-m', 'ivf_ros.bootstrap', 'setup'], cwd=checkout,
                            env=environment, capture_output=True, text=True, timeout=120,
                            check=False)
    if 'missing:' in result.stderr:
        pytest.skip(result.stderr.strip())
    assert result.returncode == 1
    assert 'no network: pip could not fetch pip' in result.stderr.splitlines()[-1]
