# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""No command removes or overwrites files of other origin."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
import subprocess
import sys

from conftest import DOMAIN_IDS, REPOSITORY
import cv2
from ivf_ros import cli, output
from ivf_ros.output import check_file, check_folder, OutputError
import numpy as np
import pytest

USER_TEXT = 'written by the user'


@pytest.fixture
def pair(tmp_path):
    """Write a pair of images; return their paths as texts."""
    random = np.random.default_rng(0)
    paths = []
    for name in ('thermal.png', 'rgb.png'):
        coarse = random.integers(0, 256, (12, 16), dtype=np.uint8)
        paths.append(str(tmp_path / name))
        cv2.imwrite(paths[-1], cv2.resize(coarse, (160, 120)))
    return paths


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


# Folders


def test_a_new_or_empty_folder_is_marked_and_can_be_reused_by_the_same_command(tmp_path):
    output.open_folder(tmp_path / 'a' / 'b', 'demo')
    output.open_folder(tmp_path / 'a' / 'b', 'demo')
    (tmp_path / 'empty').mkdir()
    output.open_folder(tmp_path / 'empty', 'train')
    with pytest.raises(OutputError, match='results of ivf train, which ivf demo does not'):
        output.open_folder(tmp_path / 'empty', 'demo')


@pytest.mark.parametrize('mark', [None, '', 'no json', '[]', '{"made": 1}'])
def test_an_unmarked_folder_is_rejected(mark, tmp_path):
    (tmp_path / 'thesis.tex').write_text(USER_TEXT)
    if mark is not None:
        (tmp_path / output.MARK).write_text(mark)
    before = read_files(tmp_path)
    with pytest.raises(OutputError, match='holds something else'):
        output.open_folder(tmp_path, 'demo')
    assert read_files(tmp_path) == before


@pytest.mark.parametrize('source', ['{0}', '{0}/bag', '{0}/ir,{0}/vi', '{0}/../out/bag'])
def test_a_source_inside_the_output_folder_is_refused(source, tmp_path):
    out = tmp_path / 'out'
    output.open_folder(out, 'demo')
    for name in ('bag', 'ir', 'vi'):
        (out / name).mkdir()
    with pytest.raises(OutputError, match='lies in the output folder'):
        output.open_folder(out, 'demo', [source.format(out)])


def test_a_source_outside_the_output_folder_is_allowed(tmp_path):
    (tmp_path / 'data').mkdir()
    output.open_folder(tmp_path / 'data' / 'out', 'demo',
                       [tmp_path / 'data', 'simulator:seed=1', 'a,b'])


def test_only_marked_folders_are_removed(tmp_path):
    output.remove_marked_folder(tmp_path / 'nothing')
    bag = tmp_path / 'bag'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text(USER_TEXT)
    with pytest.raises(OutputError, match='was not made by ivf'):
        output.remove_marked_folder(bag)
    assert (bag / 'metadata.yaml').read_text() == USER_TEXT
    output.write_mark(bag, 'demo')
    output.remove_marked_folder(bag)
    assert not bag.exists()


# Files


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_marked_images_read_as_before_and_are_overwritten(suffix, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    encoded = cv2.imencode(suffix, image)[1].tobytes()
    marked = output.mark_image(encoded)
    assert len(marked) > len(encoded)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(marked, np.uint8), 1),
                                  cv2.imdecode(np.frombuffer(encoded, np.uint8), 1))
    path = tmp_path / f'image{suffix}'
    path.write_bytes(encoded)
    with pytest.raises(OutputError, match='was not made by ivf'):
        output.check_file(path)
    output.check_file(path, overwrite=True)
    path.write_bytes(marked)
    output.check_file(path)
    with pytest.raises(OutputError, match='is an input'):
        output.check_file(path, [path], overwrite=True)


# Commands; all that write files are in cli/test_nothing_lost.py


def test_two_outputs_do_not_overwrite_each_other(pair, tmp_path, capsys):
    out = str(tmp_path / 'out.png')
    assert cli.main(['segment', pair[1], '--method', 'thermal_saliency', '--out', out,
                     '--overlay', out]) == 1
    assert 'two outputs have the same name' in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec('rclpy') is None, reason='the demo needs rclpy')
@pytest.mark.parametrize('out', ['file/out', 'x' * 300, '/proc/out'])
def test_the_demo_ends_before_it_reads_its_source_if_it_cannot_write(out, tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert cli.main(['demo', '--source', str(tmp_path / 'missing.mcap'),
                     '--out', str(tmp_path / out)]) == 1
    error, = capsys.readouterr().err.splitlines()
    assert 'cannot write' in error or 'is a file' in error


@pytest.mark.skipif(importlib.util.find_spec('rclpy') is None, reason='the demo needs rclpy')
@pytest.mark.parametrize('command', ['demo --source simulator --out {0}/out',
                                     'benchmark --graph'])
def test_parameters_are_read_from_regular_files_only(command, tmp_path, capsys):
    os.mkfifo(tmp_path / 'pipe')
    arguments = [*command.format(tmp_path).split(), '--params-file', str(tmp_path / 'pipe')]
    assert cli.main(arguments) == 1
    *_, error = capsys.readouterr().err.splitlines()
    assert 'it is a named pipe, not a regular file' in error


def test_a_file_in_a_folder_that_the_command_creates_is_allowed(tmp_path):
    out = tmp_path / 'new' / 'run'
    check_file(out / 'w.safetensors', folders=[out])
    with pytest.raises(OutputError, match='does not exist; create it'):
        check_file(out / 'other' / 'w.safetensors', folders=[out])


def test_a_check_leaves_nothing_behind(tmp_path):
    check_file(tmp_path / 'new.png')
    check_folder(tmp_path / 'a' / 'b', 'demo')
    check_folder(tmp_path, 'demo')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.live
@pytest.mark.skipif(importlib.util.find_spec('rclpy') is None, reason='the demo needs rclpy')
def test_the_demo_does_not_touch_its_source_or_files_of_the_user(tmp_path):
    bag = tmp_path / 'bag'
    bag.mkdir()
    (bag / 'metadata.yaml').write_text(USER_TEXT)
    before = read_files(tmp_path)
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(next(DOMAIN_IDS)),
                   'PYTHONPATH': str(REPOSITORY)}

    def demo(*arguments):
        return subprocess.run(
            [sys.executable, '-m', 'ivf_ros.cli', 'demo', '--seconds', '1', *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
            check=False)

    for arguments in (('--source', 'bag', '--out', '.'), ('--out', '.'), ('--out', 'bag')):
        result = demo(*arguments)
        assert result.returncode == 1 and len(result.stderr.strip().splitlines()) <= 2
        assert read_files(tmp_path) == before
