# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The lock files of the set-up without ROS: complete, hashed, and in agreement with setup.cfg."""

from __future__ import annotations

import re
from typing import NamedTuple

from ivf_ros import bootstrap
import pytest

requirements = pytest.importorskip('packaging.requirements', reason='packaging is not installed')

NAMES = sorted(bootstrap.read_locked_requirements())
PYTHONS = [f'3.{minor}' for minor in range(bootstrap.OLDEST_PYTHON[1],
                                           bootstrap.NEWEST_PYTHON[1] + 1)]
ENTRY = re.compile(r'(?P<requirement>[a-z0-9][a-z0-9-]*==[^\\\s]+(?: ; [^\\]+?)?) \\\n'
                   r'(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)')


class Pin(NamedTuple):
    """A package of a lock file, for the Pythons of its marker."""

    requirement: requirements.Requirement
    hashes: int

    @property
    def version(self) -> str:
        """Return the version."""
        return str(self.requirement.specifier).removeprefix('==')


def read(name: str) -> list[Pin]:
    """Return the packages of a lock file; fail if it contains anything else but comments."""
    text = re.sub(r'^#.*\n', '', bootstrap.lock_path(name).read_text(), flags=re.MULTILINE)
    entries = list(ENTRY.finditer(text))
    assert ''.join(entry.group() for entry in entries) == text
    return [Pin(requirements.Requirement(entry['requirement']), entry['hashes'].count('--hash'))
            for entry in entries]


def environment(python: str) -> dict[str, str]:
    """Return the values of markers for a Python on x86-64 Linux."""
    return {'python_version': python, 'python_full_version': f'{python}.5',
            'sys_platform': 'linux', 'platform_system': 'Linux', 'platform_machine': 'x86_64',
            'implementation_name': 'cpython', 'platform_python_implementation': 'CPython',
            'os_name': 'posix', 'extra': ''}


def versions(name: str, python: str) -> dict[str, str]:
    """Return the version of each package that a lock file installs for a Python."""
    chosen: dict[str, str] = {}
    for pin in read(name):
        marker = pin.requirement.marker
        if marker is None or marker.evaluate(environment(python)):
            assert pin.requirement.name not in chosen, 'one version for a Python'
            chosen[pin.requirement.name] = pin.version
    return chosen


def pythons(name: str) -> list[str]:
    """Return the Pythons of a lock file; flake8 needs 3.11."""
    return PYTHONS[1:] if name == 'test' else PYTHONS


@pytest.mark.parametrize('name', NAMES)
def test_every_package_has_a_version_and_a_hash_and_nothing_comes_from_elsewhere(name):
    pins = read(name)
    assert pins and all(pin.hashes >= 1 for pin in pins)
    assert not any(pin.requirement.url for pin in pins)
    assert not any(pin.version.endswith('.*') for pin in pins)


@pytest.mark.parametrize('name', NAMES)
def test_the_lock_file_agrees_with_setup_cfg(name):
    for python in pythons(name):
        locked = versions(name, python)
        for text in bootstrap.read_locked_requirements()[name]:
            wanted = requirements.Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate(environment(python)):
                version = locked.get(wanted.name.lower().replace('_', '-'))
                assert version, f'{text} is not locked for Python {python}: run ' \
                    'requirements/lock.py'
                assert wanted.specifier.contains(version, prereleases=True), \
                    f'{text} is locked as {version}: run requirements/lock.py'


@pytest.mark.parametrize('distribution', bootstrap.ENVIRONMENTS)
def test_the_lock_files_of_one_environment_agree(distribution):
    for python in PYTHONS:
        common: dict[str, str] = {}
        for name in ('pip', distribution, 'libraries', *(['test'] if python != '3.10' else [])):
            for package, version in versions(name, python).items():
                assert common.setdefault(package, version) == version, f'{package}, {python}'
        other, = set(bootstrap.ENVIRONMENTS) - {distribution}
        assert not [package for package in common if package.startswith(f'ros-{other}-')]


def test_what_has_no_wheel_is_locked():
    locked = {pin.requirement.name for name in NAMES for pin in read(name)}
    assert set(bootstrap.WITHOUT_WHEEL.split(',')) <= locked
