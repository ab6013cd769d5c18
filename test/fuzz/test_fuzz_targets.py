# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The targets of the fuzzer, without it: their seeds, and some changed ones; and the command."""

from __future__ import annotations

import logging
from pathlib import Path
import random
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the targets include messages')
pytest.importorskip('torch', reason='the targets include weight files')
pytest.importorskip('rosbags', reason='the targets include bags')
pytestmark = pytest.mark.live

import fuzz_seeds  # noqa: E402, I100
import fuzz_targets  # noqa: E402
from fuzz_targets import Target, TARGETS  # noqa: E402

COMMAND = [sys.executable, str(Path(__file__).parent / 'fuzz.py')]
# These take long for one input.
SLOW = {'simulator': 1, 'bag_source': 8, 'onnx_model': 8, 'radiometric': 8}
MANY = 40


@pytest.fixture(autouse=True)
def quiet():
    """Silence what the targets say about damaged input."""
    with np.errstate(all='ignore'):
        fuzz_targets.quiet_logs()
        yield
        logging.disable(logging.NOTSET)


def change(data: bytes, rng: random.Random) -> bytes:
    """Return an input with a few changes: bytes set, removed, repeated, the end cut off."""
    content = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(content) + 1)
        end = min(len(content), start + rng.choice((1, 2, 4, 32)))
        kind = rng.randrange(4)
        if kind == 0:
            content[start:end] = rng.choice((b'\0', b'\xff', b'\x80', b'9', b'[')) * (end - start)
        elif kind == 1:
            content[start:end] = rng.randbytes(end - start)
        elif kind == 2:
            content[start:end] = content[start:end] * rng.choice((0, 2, 3))
        else:
            del content[end:]
    return bytes(content)


@pytest.mark.parametrize('name', TARGETS)
def test_seeds_and_changed_seeds_raise_what_is_documented(name):
    target, rng = TARGETS[name], random.Random(name)
    seeds = fuzz_seeds.make_seeds(name)
    assert seeds and max(map(len, seeds)) <= target.max_bytes
    for seed in seeds[:SLOW.get(name)]:
        target.run(seed)
    for _ in range(SLOW.get(name, MANY)):
        target.run(change(rng.choice(seeds), rng)[:target.max_bytes])


def test_some_seed_of_each_function_is_read_without_an_error():
    for name, target in TARGETS.items():
        for function in target.functions:
            assert any(_succeeds(function, target, seed)
                       for seed in fuzz_seeds.make_seeds(name)), (name, function)


def _succeeds(function, target, seed) -> bool:
    try:
        function(seed)
    except target.documented:
        return False
    return True


def test_what_is_not_documented_is_a_finding():
    def read(data):
        raise KeyError(data[0]) if data else ValueError()

    target = Target('any', (read,), (ValueError,))
    with pytest.raises(KeyError):
        target.run(b'a')
    with pytest.raises(AssertionError, match='an error says what is wrong'):
        target.run(b'')


def test_the_command_runs_a_saved_input_and_knows_its_targets(tmp_path):
    (tmp_path / 'input').write_bytes(b'\0\1\0\0')
    done = subprocess.run([*COMMAND, 'cdr', '--input', str(tmp_path / 'input')],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    done = subprocess.run([*COMMAND, 'nothing'], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 2 and 'unknown target nothing; known: cdr' in done.stderr
