#!/usr/bin/env python3
# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Write the lock files of the set-up without ROS, with the hash of each file of each package.

    pip install uv
    python3 requirements/lock.py              # after a change of the extras in setup.cfg
    python3 requirements/lock.py --upgrade    # also take the newest versions that they allow

The versions are those for CPython 3.10 to 3.14; the test tools begin with 3.11. ``setup.cfg`` says
what is wanted, the lock files what is installed.
"""

from __future__ import annotations

from pathlib import Path
import subprocess
import sys

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from ivf_ros import bootstrap  # noqa: E402, I100

_HEADER = """\
# Made by requirements/lock.py from setup.cfg; do not edit. CONTRIBUTING.md says how to refresh it.
"""


def main() -> int:
    """Write all lock files; return the exit code."""
    for name, requirements in bootstrap.read_locked_requirements().items():
        # The versions of the libraries hold for everything else in the same environment.
        common = [] if name == 'libraries' else ['--constraint', 'libraries.lock']
        oldest = '3.11' if name == 'test' else '{}.{}'.format(*bootstrap.OLDEST_PYTHON)
        path = FOLDER / f'{name}.lock'
        subprocess.run(
            [sys.executable, '-m', 'uv', 'pip', 'compile', '-', '--output-file', path.name,
             '--universal', '--python-version', oldest, '--generate-hashes', '--no-emit-index-url',
             '--no-emit-find-links', '--no-header', '--no-annotate', '--quiet', *common,
             *sys.argv[1:]],
            cwd=FOLDER, check=True, text=True, stdout=subprocess.DEVNULL,
            input='\n'.join(requirements))
        path.write_text(_HEADER + path.read_text())
        sys.stderr.write(f'wrote {path}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
