# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Set up the checkout on a machine without ROS 2, then run it.

    python3 -m ivf_ros.bootstrap demo [arguments of ivf demo]
    python3 -m ivf_ros.bootstrap test [arguments of pytest]
    python3 -m ivf_ros.bootstrap check
    python3 -m ivf_ros.bootstrap setup

All commands create ``.venv/`` in the checkout. It contains the ROS 2 wheels, the message
packages that are missing in the wheels, the libraries and the command ``.venv/bin/ivf``. ``test``
and ``check`` add PyTorch for the CPU, which only the training of networks needs, and the packages
of ``ivf evaluate``. Finished steps are not repeated. An interrupted set-up is repaired by the next
one. The versions are those of the lock files in ``requirements/``, which have the hash of each
file that pip may install. They are made from the extras in ``setup.cfg``. The default wheels are
those of ROS 2 Kilted. With ``--distribution jazzy`` before the command they are those of Jazzy, in
``.venv-jazzy/``.
"""

# This file must run under an old Python in order to report the required version. It uses only the
# syntax and the standard library of Python 3.6: no `annotations` import and no `X | None`.

from configparser import ConfigParser
from contextlib import contextmanager
import errno
import fcntl
import hashlib
import importlib.util
import json
import os
from pathlib import Path
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENTS = {'kilted': '.venv', 'jazzy': '.venv-jazzy'}
DEFAULT_DISTRIBUTION = 'kilted'

OLDEST_PYTHON = (3, 10)
NEWEST_PYTHON = (3, 14)
# Disk space that a step needs, with the files that pip downloads for it.
NEEDED_DISK_BYTES = {'libraries': 1.5e9, 'torch': 1.5e9, 'test': 1.2e9}
PIP = 'pip>=25.3'
# They are built by the locked setuptools.
WITHOUT_WHEEL = 'empy,flake8-blind-except,flake8-quotes,flyr'
UV = 'uv>=0.8'  # knows the package indices of the PyTorch builds

_CHECKED = ('ivf_ros', 'test', 'launch', 'setup.py')
# The linters that ``check``, the tests and the pre-commit hook run.
LINTERS = (('flake8', *_CHECKED), ('ruff', 'check', '--no-cache', *_CHECKED),
           ('mypy', '--cache-dir', '/dev/null'))

_NETWORK_FAILURE = re.compile(
    'NewConnectionError|ConnectTimeout|ReadTimeout|name resolution|Name or service not known|'
    'Network is unreachable|Connection refused|ProxyError|Max retries exceeded|'
    'IncompleteRead|Connection broken|dns error|error sending request')
_ROS_VARIABLES = (
    'AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'PYTHONHOME', 'PYTHONPATH',
    'RMW_IMPLEMENTATION', 'ROS_DISTRO', 'ROS_ETC_DIR', 'ROS_PYTHON_VERSION', 'ROS_VERSION',
    'VIRTUAL_ENV', '_ROS_WHEELS_BOOTSTRAP_COMPLETE')

_STARTED = time.monotonic()


class BootstrapError(RuntimeError):
    """The set-up cannot continue; the message states the cause and the remedy in one line."""


class Step(NamedTuple):
    """One step of the set-up."""

    name: str
    title: str  # progress message
    key: str  # changes if this step or an earlier one must be repeated
    action: Callable[[], None]


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one command; on failure print one line to stderr and return 1."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    distribution = DEFAULT_DISTRIBUTION
    if words[:1] == ['--distribution']:
        distribution = ''.join(words[1:2])
        words = words[2:]
    command = words.pop(0) if words else ''
    if command in ('-h', '--help'):
        print((__doc__ or '').strip())
        return 0
    if distribution not in ENVIRONMENTS:
        return _print_failure("--distribution takes {}, not '{}'".format(
            ' or '.join(ENVIRONMENTS), distribution))
    if command not in ('demo', 'test', 'check', 'setup'):
        return _print_failure(
            "say demo, test, check or setup, not '{}'; --help explains them".format(command))
    try:
        check_platform()
        environment = Environment(distribution)
        _report_sourced_ros(environment.folder)
        environment.set_up(tests=command in ('test', 'check'))
        if command == 'demo':
            _replace_process([environment.folder / 'bin' / 'ivf', 'demo', *words])
        elif command == 'test':
            os.chdir(str(ROOT))
            if not any(word.startswith(('-n', '--numprocesses', '--pdb')) for word in words):
                words[:0] = ['-n', str(min(len(os.sched_getaffinity(0)), 4)), '--dist', 'loadfile']
            _replace_process([environment.python, '-m', 'pytest', *words])
        elif command == 'check':
            return _run_linters(environment.python)
    except BootstrapError as error:
        return _print_failure(str(error))
    except KeyboardInterrupt:
        return _print_failure('interrupted; the same command starts the set-up again')
    except OSError as error:
        return _print_failure(_describe_os_error(error))
    return 0


def _run_linters(python: Path) -> int:
    """Run every linter, also after one that found something; return 1 if any did."""
    codes = [subprocess.run([str(python), '-m', *linter], cwd=str(ROOT), check=False).returncode
             for linter in LINTERS]
    return 1 if any(codes) else 0


def check_platform() -> None:
    """
    Check that the ROS 2 wheels run on this machine.

    Raises
    ------
    BootstrapError
        Python, the operating system or the processor is not supported, or the file is not in a
        checkout.

    """
    version = sys.version_info[:2]
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        raise BootstrapError('Python {}.{} to {}.{} is needed, this is Python {}.{}'.format(
            *OLDEST_PYTHON, *NEWEST_PYTHON, *version))
    system = (platform.python_implementation(), platform.system(), platform.machine(),
              platform.libc_ver()[0])
    if system != ('CPython', 'Linux', 'x86_64', 'glibc'):
        raise BootstrapError('the ROS 2 wheels need CPython on x86-64 Linux with glibc, this is '
                             '{} on {} {} {}'.format(*system).strip())
    if not (ROOT / 'setup.cfg').is_file() or not (ROOT / 'resource' / 'interfaces').is_dir():
        raise BootstrapError('{} is not a checkout of ivf_ros'.format(ROOT))


class Environment:
    """The virtual environment with the wheels of one distribution, and its set-up."""

    def __init__(self, distribution: str) -> None:
        self.distribution = distribution
        self.folder = ROOT / ENVIRONMENTS[distribution]
        self.python = self.folder / 'bin' / 'python'
        self.log = self.folder / 'bootstrap.log'
        # Its presence also shows that this command created the folder and may delete it.
        self.state = self.folder / 'bootstrap.json'

    def set_up(self, tests: bool) -> None:
        """
        Bring the environment up to date.

        Raises
        ------
        BootstrapError
            A requirement is missing on this machine, or a step failed.
        OSError
            The checkout is not writable, or the disk is full.

        """
        if not self.pending(tests):
            return
        with _lock_checkout():
            self._prepare(tests)
            for step in self.pending(tests):
                _log_progress(step.title)
                if step.name != 'messages':  # pip may leave a partial package, rosidl does not
                    self._write_state(unfinished=step.name)
                step.action()
                self._write_state(done=step)
        _log_progress('ready: {}'.format(self.folder / 'bin' / 'ivf'))

    def pending(self, tests: bool) -> List[Step]:
        """Return the steps that are not done, or whose inputs have changed."""
        done = self._read_state().get('done', {})
        return [step for step in self._steps(tests) if done.get(step.name) != step.key]

    def _steps(self, tests: bool) -> List[Step]:
        pins = read_pins()
        interfaces = ROOT / 'resource' / 'interfaces'
        definitions = sorted(path for path in interfaces.rglob('*') if path.is_file())
        table = [
            ('venv', 'creating {}'.format(self.folder), [sys.version, sys.base_prefix],
             self._make_venv),
            ('wheels', 'installing the wheels of ROS 2 {}'.format(self.distribution.title()),
             [lock_path(self.distribution).read_text()],
             lambda: self._install_locked(self.distribution, 'the ROS 2 wheels')),
            ('libraries', 'installing NumPy, OpenCV and other libraries',
             [lock_path('libraries').read_text()],
             lambda: self._install_locked('libraries', 'the libraries')),
            ('messages', 'building the messages that the wheels lack',
             [path.read_text() for path in [ROOT / 'ivf_ros' / 'rosidl.py', *definitions]],
             lambda: self._build_messages(interfaces)),
            ('ivf', 'installing ivf',
             [(ROOT / name).read_text() for name in ('setup.py', 'setup.cfg', 'package.xml')],
             self._install_ivf),
        ]
        if tests:
            table += [('torch', 'installing PyTorch for the CPU', pins['torch'],
                       lambda: self._install_torch(pins['torch'])),
                      ('test', 'installing the test tools', [lock_path('test').read_text()],
                       lambda: self._install_locked('test', 'the test tools'))]
        steps = []  # type: List[Step]
        key = str(ROOT)
        for name, title, inputs, action in table:
            key = hashlib.sha256('\0'.join([key, name, *inputs]).encode()).hexdigest()
            steps.append(Step(name, title, key, action))
        return steps

    def _prepare(self, tests: bool) -> None:
        """Clear an environment that cannot be repaired; check the system requirements."""
        if self.folder.is_dir() and any(self.folder.iterdir()):
            if not self.state.is_file():
                raise BootstrapError('{} was not made by this command; move it away'.format(
                    self.folder))
            if 'unfinished' in self._read_state() or self.pending(tests)[0].name == 'venv':
                _log_progress('clearing {}, which is unfinished or outdated'.format(self.folder))
                self._clear()
        names = [step.name for step in self.pending(tests)]
        missing = find_missing_packages(names)
        if missing:
            raise BootstrapError(describe_missing_packages(missing))
        free = shutil.disk_usage(str(ROOT)).free
        needed = sum(NEEDED_DISK_BYTES.get(name, 0) for name in names)
        if free < needed:
            raise BootstrapError(
                'the set-up needs {:.1f} GB of disk space, {} has {:.1f} GB'.format(
                    needed / 1e9, ROOT, free / 1e9))

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(str(path))
            elif path != self.state:
                path.unlink()
        self._write_state()

    def _make_venv(self) -> None:
        if self._run([sys.executable, '-m', 'venv', self.folder]):
            raise BootstrapError('python3 -m venv failed; the log is {}'.format(self.log))
        self._install_locked('pip', 'pip')

    def _install_locked(self, lock: str, name: str) -> None:
        """Install files with the hashes of a lock file, and nothing else."""
        self._pip(['-r', lock_path(lock)], name, '--require-hashes', '--no-build-isolation',
                  '--only-binary', ':all:', '--no-binary', WITHOUT_WHEEL)

    def _install_torch(self, requirements: Sequence[str]) -> None:
        """Install the CPU build of PyTorch; the PyPI build needs gigabytes of CUDA libraries."""
        try:
            self._pip([requirement + '+cpu' for requirement in requirements], 'PyTorch')
        except BootstrapError:  # the index of pip on this machine has no CPU build
            self._pip([UV], 'uv')
            log_length = len(self._read_log())
            if self._run([self.folder / 'bin' / 'uv', 'pip', 'install', '--python', self.python,
                          '--torch-backend', 'cpu', *requirements]):
                raise self._pip_error(log_length, 'PyTorch') from None

    def _build_messages(self, interfaces: Path) -> None:
        if self._run([self.python, '-m', 'ivf_ros.rosidl', interfaces]):
            raise BootstrapError(self._read_log().strip().split('\n')[-1])

    def _install_ivf(self) -> None:
        self._pip(['--editable', ROOT], 'ivf', '--no-deps', '--no-build-isolation')

    def _pip(self, requirements: Sequence[object], name: str, *options: object) -> None:
        command = [self.python, '-m', 'pip', 'install', '--no-input', '--retries', '3',
                   '--disable-pip-version-check', '--progress-bar', 'off']  # type: List[object]
        log_length = len(self._read_log())
        if self._run([*command, *options, *requirements]):
            raise self._pip_error(log_length, name)

    def _pip_error(self, log_start: int, name: str) -> BootstrapError:
        reason = describe_pip_failure(self._read_log()[log_start:], name)
        return BootstrapError('{}; the log is {}'.format(reason, self.log))

    def _run(self, command: Sequence[object]) -> int:
        words = [str(word) for word in command]
        with self.log.open('a') as log:
            log.write('$ {}\n'.format(' '.join(words)))
            log.flush()
            return subprocess.call(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                cwd=str(ROOT), env=child_environment())

    def _read_log(self) -> str:
        return self.log.read_text(errors='replace') if self.log.is_file() else ''

    def _read_state(self) -> dict:
        try:
            return json.loads(self.state.read_text())
        except FileNotFoundError:
            return {}
        except ValueError:
            return {'unfinished': 'unknown'}

    def _write_state(self, done: Optional[Step] = None, unfinished: Optional[str] = None) -> None:
        """Record a finished or a started step; without either, discard the whole state."""
        state = self._read_state() if done or unfinished else {}
        state.pop('unfinished', None)
        if done:
            state.setdefault('done', {})[done.name] = done.key
        if unfinished:
            state['unfinished'] = unfinished
        self.folder.mkdir(exist_ok=True)
        temporary = self.state.with_suffix('.new')
        temporary.write_text(json.dumps(state))
        os.replace(str(temporary), str(self.state))


def read_pins() -> Dict[str, List[str]]:
    """Return the requirements of each extra in ``setup.cfg``."""
    config = ConfigParser()
    config.read(str(ROOT / 'setup.cfg'))
    extras = config['options.extras_require']
    return {name: extras[name].strip().split('\n') for name in extras}


def read_locked_requirements() -> Dict[str, List[str]]:
    """Return what each lock file must contain, from ``setup.cfg``, by the name of the file."""
    pins = read_pins()
    return {'libraries': pins['libraries'], 'pip': [PIP, 'setuptools'],
            **{name: pins['wheels_' + name] for name in ENVIRONMENTS},
            'test': pins['evaluation'] + pins['docs'] + pins['test']}


def lock_path(name: str) -> Path:
    """Return the path of a lock file: packages, their versions and the hashes of their files."""
    return ROOT / 'requirements' / (name + '.lock')


def child_environment() -> Dict[str, str]:
    """Return the current environment variables without those of another ROS installation."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in _ROS_VARIABLES}
    foreign = tuple(filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)))
    for name in ('LD_LIBRARY_PATH', 'PATH'):
        kept = [path for path in os.environ.get(name, '').split(os.pathsep)
                if path and not path.startswith(foreign)]
        environment[name] = os.pathsep.join(kept)
    return {name: value for name, value in environment.items() if value}


def find_missing_packages(steps: Sequence[str]) -> List[str]:
    """Return the names of the Debian packages that the steps need and that are missing."""
    system_python = os.path.basename(os.path.realpath('/usr/bin/python3'))
    python = 'python{}.{}'.format(*sys.version_info[:2])
    prefix = 'python3' if python == system_python else python
    missing = []
    if 'venv' in steps and not (importlib.util.find_spec('ensurepip')
                                and importlib.util.find_spec('venv')):
        missing.append(prefix + '-venv')
    if 'messages' in steps:
        if not (shutil.which('gcc') and shutil.which('g++')):
            missing.append('g++')
        if not os.path.isfile(os.path.join(sysconfig.get_paths()['include'], 'Python.h')):
            missing.append(prefix + '-dev')
    return missing


def describe_missing_packages(packages: Sequence[str]) -> str:
    """Return one line with the missing Debian packages and the command to install them."""
    if shutil.which('apt-get') is None:
        remedy = 'install the equivalent packages of this system'
    else:
        sudo = '' if os.geteuid() == 0 else 'sudo '
        remedy = 'run: {}apt install {}'.format(sudo, ' '.join(packages))
    return 'missing: {}; {}'.format(', '.join(packages), remedy)


def describe_pip_failure(output: str, name: str) -> str:
    """Return the cause of a pip failure in one line, from the output of pip."""
    if 'No space left on device' in output:
        return 'the disk is full while installing {}'.format(name)
    if _NETWORK_FAILURE.search(output):
        names = re.findall(r'No matching distribution found for (\S+)|/simple/([\w.-]+)/', output)
        package = (names[-1][0] or names[-1][1]) if names else name
        return 'no network: pip could not fetch {}'.format(package)
    errors = re.findall(r'^ERROR: (.*)', output, re.MULTILINE)
    reason = ': ' + errors[-1] if errors else ''
    return 'pip could not install {}{}'.format(name, reason)


@contextmanager
def _lock_checkout() -> Iterator[None]:
    """Lock the checkout; a second set-up waits."""
    directory = os.open(str(ROOT), os.O_RDONLY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log_progress('waiting for another set-up of this checkout')
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _replace_process(command: Sequence[object]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    words = [str(word) for word in command]
    os.execve(words[0], words, child_environment())


def _report_sourced_ros(folder: Path) -> None:
    distribution = os.environ.get('ROS_DISTRO')
    if distribution and importlib.util.find_spec('rclpy'):
        _log_progress(
            'ROS 2 {} is sourced: on a robot, build this package with colcon; this set-up does '
            'not use that ROS 2 but the wheels in {}'.format(distribution, folder))


def _describe_os_error(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 'the disk is full: {}'.format(error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return 'the checkout is not writable: {}'.format(error)
    return str(error)


def _log_progress(text: str) -> None:
    print('[{:6.1f} s] {}'.format(time.monotonic() - _STARTED, text), file=sys.stderr, flush=True)


def _print_failure(reason: str) -> int:
    print('ivf_ros: {}'.format(reason), file=sys.stderr, flush=True)
    return 1


if __name__ == '__main__':
    sys.exit(main())
