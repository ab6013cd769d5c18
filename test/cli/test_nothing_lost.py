# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""No command removes or overwrites a file that it did not make; each option that writes is run."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
import importlib.util
import os
from pathlib import Path
import re

import cv2
from ivf_ros import cli
from ivf_ros.cli.main import add_options, COMMANDS
from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.data.labelled_folder import write_machine_labels
import numpy as np
import pytest

USER_TEXT = 'written by the user'
# They need ROS: see test_output.py, test_recording.py and test_faults_command.py of this folder.
WITHOUT_CASES = {'demo', 'replay', 'faults'}
# Options that take a path and are only read.
READ = {'register': {'prior'}, 'fuse': {'prior'}, 'segment': {'prior'}, 'detect': {'prior'},
        'metrics': {'thermal', 'visible', 'fused'}, 'evaluate': {'networks', 'drawn_boxes'},
        'train': {'data'}, 'label': {'prior', 'imported'}, 'export': {'weights', 'data'},
        'benchmark': {'params_file'}, 'view': {'prior'}}


@dataclass(frozen=True)
class Case:
    """
    A command with one of its outputs.

    Attributes
    ----------
    arguments:
        Its arguments without the output, from the folder with the data of ``make_data``.
    option:
        The option of the output.
    suffix:
        Of the output file; '' for an output folder.
    inputs:
        Files and folders that it reads, relative to the data.
    needs:
        A module without which the command cannot run.

    """

    arguments: Callable[[Path], list[str]]
    option: str
    suffix: str
    inputs: tuple[str, ...]
    needs: str = ''

    def command(self, data: Path, out: Path) -> list[str]:
        return [*self.arguments(data), f'--{self.option}', str(out)]


def split(text: str) -> Callable[[Path], list[str]]:
    """Return a function that makes arguments of a text with names of the data in braces."""
    return lambda data: text.format(
        data=data, ir=data / IR, vi=data / VI, thermal=data / THERMAL, rgb=data / RGB).split()


IR, VI = 'test/ir', 'test/vi'
THERMAL, RGB = f'{IR}/00000D.png', f'{VI}/00000D.png'
DENSE = '--method dense --set min_confidence=0'
LABEL = '--method thermal_saliency'
EVALUATE = 'evaluate {data} --stage fusion --methods average --metrics EN --jobs 1'
TRAIN = 'train registration-fast --data {data} --set steps=1 --set simulated=2 --set batch=1'
CASES = {
    'register file': Case(split('register {thermal} {rgb} ' + DENSE), 'out', '.png',
                          (THERMAL, RGB)),
    'register folder': Case(split('register {ir} {vi} ' + DENSE), 'out', '', (IR, VI)),
    'fuse file': Case(split('fuse {thermal} {rgb} --method average'), 'out', '.png',
                      (THERMAL, RGB)),
    'fuse folder': Case(split('fuse {data} --method average'), 'out', '', (IR, VI)),
    'fuse in processes': Case(split('fuse {ir} {vi} --method average --jobs 2'), 'out', '',
                              (IR, VI)),
    'segment file': Case(split('segment {rgb} ' + LABEL), 'out', '.png', (RGB,)),
    'segment folder': Case(split('segment {vi} ' + LABEL), 'out', '', (VI,)),
    'segment overlay file': Case(split('segment {rgb} --out {data}/new.png ' + LABEL), 'overlay',
                                 '.png', (RGB,)),
    'segment overlay folder': Case(split('segment {vi} --out {data}/labels ' + LABEL), 'overlay',
                                   '', (VI,)),
    'detect file': Case(split('detect {rgb} --method hog'), 'overlay', '.png', (RGB,)),
    'detect folder': Case(split('detect {vi} --method hog'), 'overlay', '', (VI,)),
    'label': Case(split('label {data} --aligned --teacher hog@rgb'), 'out', '', (IR, VI)),
    'label export': Case(split('label {data}/../labelled --export label-studio'), 'out', '.json',
                         ()),
    'calibrate': Case(split('calibrate {data} --targetless ' + DENSE), 'out', '.yaml', ()),
    'evaluate': Case(split(EVALUATE), 'out', '', ('.', IR, VI)),
    'train': Case(split(TRAIN), 'out', '', ('.',), 'torch'),
    'train weights': Case(split(TRAIN + ' --out {data}/run'), 'weights', '.safetensors', (),
                          'torch'),
    'export': Case(split('export fusion'), 'out', '.onnx', (), 'torch'),
    'security-policy': Case(split('security-policy fusion'), 'out', '.xml', (), 'rclpy'),
    'view': Case(split('view {data} --seconds 0.2'), 'out', '.rrd', (), 'rerun'),
}
# What cannot be written: how it is made in a folder, from a suffix.
IMPOSSIBLE = {
    'below a file': lambda folder, suffix: make_file(folder / 'file') / f'out{suffix}',
    'far below a file': lambda folder, suffix: make_file(folder / 'file') / 'a' / f'out{suffix}',
    'name too long': lambda folder, suffix: folder / ('x' * 300 + suffix),
    'folder name too long': lambda folder, suffix: folder / ('x' * 300) / f'out{suffix}',
    'path too long': lambda folder, suffix: folder / '/'.join(['x' * 200] * 30) / f'out{suffix}',
    'kernel': lambda folder, suffix: Path(f'/proc/out{suffix}'),
    'device': lambda folder, suffix: make_link(folder / f'out{suffix}', '/dev/full'),
    'pipe': lambda folder, suffix: make_pipe(folder / f'out{suffix}'),
    'link to nothing': lambda folder, suffix: make_link(folder / f'out{suffix}', '/no/such/place'),
    'link to itself': lambda folder, suffix: make_link(folder / f'out{suffix}', f'out{suffix}'),
    'locked folder': lambda folder, suffix: make_locked(folder / 'locked') / f'out{suffix}',
}
IMPOSSIBLE_FILES = {
    'folder': lambda folder, suffix: make_folder(folder / f'out{suffix}'),
    'missing folder': lambda folder, suffix: folder / 'missing' / f'out{suffix}',
}
REFUSED_EARLY = re.compile('cannot write|is a folder; name a file|is not a regular file|'
                           'is a file, and the output is a folder|does not exist; create it')
REFUSALS = re.compile('exists and was not made by ivf|is an input|is a file, and the output is a '
                      'folder|holds something else|lies in the output folder')
FOLDERS = [name for name, case in CASES.items() if not case.suffix]


@pytest.fixture
def data(tmp_path) -> Path:
    """Write a data set of six aligned pairs of images, with the names of MSRS; and labels."""
    random = np.random.default_rng(0)
    folder = tmp_path / 'data' / 'test'
    for stream in ('ir', 'vi'):
        (folder / stream).mkdir(parents=True)
    for number in range(6):
        coarse = random.integers(0, 256, (12, 16), dtype=np.uint8)
        image = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / 'ir' / f'0000{number}D.png'), image)
        colour = cv2.merge([image, 255 - image, cv2.flip(image, 0)])
        cv2.imwrite(str(folder / 'vi' / f'0000{number}D.png'), colour)
    (tmp_path / 'labelled').mkdir()
    write_machine_labels(tmp_path / 'labelled', [AnnotatedImage('000000', (160, 120), ())], (),
                         {})
    return tmp_path / 'data'


def make_file(path: Path) -> Path:
    path.write_text(USER_TEXT)
    return path


def make_folder(path: Path) -> Path:
    path.mkdir()
    return path


def make_link(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_locked(path: Path) -> Path:
    if os.geteuid() == 0:
        pytest.skip('nothing is locked for root')
    path.mkdir(0o500)
    return path


def get_case(name: str) -> Case:
    case = CASES[name]
    if case.needs and importlib.util.find_spec(case.needs) is None:
        pytest.skip(f'{case.needs} is not installed')
    return case


def read_files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def check_kept(before: dict[Path, bytes]) -> None:
    """Check that all files of an earlier moment are there and the same."""
    for path, content in before.items():
        assert path.is_file() and path.read_bytes() == content, f'{path} was lost'


def check_refused(command: list[str], root: Path, capsys) -> None:
    """Check that a command fails with one line, and changes no file."""
    before = read_files(root)
    assert cli.main(command) == 1
    error, = capsys.readouterr().err.splitlines()
    assert REFUSALS.search(error), error
    assert read_files(root) == before


def test_every_option_that_writes_has_a_case():
    covered = {(case.arguments(Path())[0], case.option) for case in CASES.values()}
    for name in COMMANDS.keys() - WITHOUT_CASES:
        parser = argparse.ArgumentParser()
        add_options(name, parser)
        paths = {action.dest for action in parser._actions if action.type is Path}
        for option in paths - READ.get(name, set()):
            assert (name, option) in covered, f'ivf {name} --{option} needs a case, or READ'
        for action in parser._actions:
            assert action.dest not in ('out', 'overlay') or action.type is Path, \
                f'the output --{action.dest} of ivf {name} must be a Path'


@pytest.mark.parametrize('name', CASES)
def test_a_file_of_the_user_as_output_is_kept(name, data, tmp_path, capsys):
    case = get_case(name)
    out = tmp_path / f'mine{case.suffix}'
    out.write_text(USER_TEXT)
    check_refused(case.command(data, out), tmp_path, capsys)


@pytest.mark.parametrize('name, kind', [
    (name, kind) for name, case in CASES.items()
    for kind in {**IMPOSSIBLE, **(IMPOSSIBLE_FILES if case.suffix else {})}])
def test_an_output_that_cannot_be_written_ends_the_command_before_its_work(
        name, kind, data, tmp_path, capsys):
    case = get_case(name)
    for source in data.rglob('*.png'):  # to read one of them would be another error
        source.write_bytes(b'no image')
    unread = ['--weights', str(data / 'missing.safetensors')] if name == 'export' else []
    (tmp_path / 'out').mkdir()
    out = {**IMPOSSIBLE, **IMPOSSIBLE_FILES}[kind](tmp_path / 'out', case.suffix)
    before = sorted(tmp_path.rglob('*'))
    for overwrite in ([], ['--overwrite']) if name != 'evaluate' else ([],):
        assert cli.main([*case.command(data, out), *unread, *overwrite]) == 1
        error, = capsys.readouterr().err.splitlines()
        assert REFUSED_EARLY.search(error), error
    assert sorted(tmp_path.rglob('*')) == before


@pytest.mark.parametrize('name', FOLDERS)
def test_a_folder_of_the_user_as_output_is_kept(name, data, tmp_path, capsys):
    case = get_case(name)
    (tmp_path / 'mine').mkdir()
    for file in ('thesis.tex', '00000D.png', 'summary.json', 'checkpoint.pt'):
        (tmp_path / 'mine' / file).write_text(USER_TEXT)
    check_refused(case.command(data, tmp_path / 'mine'), tmp_path, capsys)


@pytest.mark.parametrize('name, overwrite', [
    (name, overwrite) for name, case in CASES.items() if case.inputs
    for overwrite in ((False,) if name == 'evaluate' else (False, True))])
def test_an_input_as_output_is_kept(name, overwrite, data, tmp_path, capsys):
    case = get_case(name)
    (tmp_path / 'link').symlink_to(data)
    for source in case.inputs:
        for out in (data / source, tmp_path / 'link' / source):
            check_refused([*case.command(data, out), *['--overwrite'] * overwrite], tmp_path,
                          capsys)


@pytest.mark.parametrize('name', FOLDERS)
def test_an_output_folder_that_contains_the_input_is_refused(name, data, tmp_path, capsys):
    check_refused(get_case(name).command(data, tmp_path), tmp_path, capsys)


@pytest.mark.parametrize('name', CASES)
def test_an_output_inside_the_input_changes_no_other_file(name, data, capsys):
    case = get_case(name)
    (data / 'test' / 'vi' / 'notes.txt').write_text(USER_TEXT)
    before = read_files(data)
    code = cli.main(case.command(data, data / f'made{case.suffix}'))
    error = capsys.readouterr().err
    check_kept(before)
    assert code == 0 and (data / f'made{case.suffix}').exists(), error


@pytest.mark.parametrize('name', CASES)
def test_files_of_the_user_beside_earlier_results_are_kept(name, data, tmp_path, capsys):
    case = get_case(name)
    out = tmp_path / f'made{case.suffix}'
    assert cli.main(case.command(data, out)) == 0, capsys.readouterr().err
    folder = tmp_path if case.suffix else out
    (folder / 'figures').mkdir()
    for file in ('thesis.tex', 'figures/00000D.png'):
        (folder / file).write_text(USER_TEXT)
    foreign = {path: content for path, content in read_files(tmp_path).items()
               if content == USER_TEXT.encode() or data / 'test' in path.parents}
    restart = ['--restart'] if case.arguments(data)[0] == 'evaluate' else []
    assert cli.main([*case.command(data, out), *restart]) == 0, capsys.readouterr().err
    check_kept(foreign)


@pytest.mark.parametrize('name', [name for name in FOLDERS if 'folder' in name])
def test_a_file_of_the_user_in_the_place_of_a_result_fails_that_image_only(name, data, tmp_path,
                                                                           capsys):
    case = get_case(name)
    out = tmp_path / 'made'
    assert cli.main(case.command(data, out)) == 0, capsys.readouterr().err
    (out / '00000D.png').write_text(USER_TEXT)
    (out / '00001D.png').unlink()
    assert cli.main(case.command(data, out)) == 1
    assert 'was not made by ivf' in capsys.readouterr().err
    assert (out / '00000D.png').read_text() == USER_TEXT and (out / '00001D.png').is_file()
    assert cli.main([*case.command(data, out), '--overwrite']) == 0
    assert (out / '00000D.png').read_bytes().startswith(b'\x89PNG')
