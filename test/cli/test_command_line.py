# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: help, version, completion, JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from conftest import DOMAIN_IDS, REPOSITORY
import cv2
import ivf_ros
from ivf_ros import cli
from ivf_ros.cli.main import add_options, COMMANDS
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.thermal import Agc
import numpy as np
import pytest

SMALL = 'thermal.width=160,thermal.height=120,rgb.width=160,rgb.height=120'
OF_OTHERS = {'demo'}  # tested with the graph

# A command line of each command that prints its result soon; {d} is a folder of pairs.
JSON_COMMANDS = {
    'doctor': 'doctor',
    'info': 'info {d}',
    'time-offset': f'time-offset simulator:duration_s=12,{SMALL}',
    'replay': f'replay simulator:duration_s=1,{SMALL}',
    'register': 'register {d}/thermal/0.png {d}/rgb/0.png',
    'fuse': 'fuse {d}/thermal/0.png {d}/rgb/0.png --method average --out {d}/fused.png',
    'segment': 'segment {d}/rgb/0.png --method thermal_saliency --out {d}/labels.png',
    'detect': 'detect {d}/rgb/0.png --method hog',
    'label': f'label simulator:duration_s=1,{SMALL} --teacher hog@rgb --out {{d}}/labels',
    'calibrate': 'calibrate {d} --targetless --method dense --out {d}/rig.yaml',
    'metrics': 'metrics --thermal {d}/rgb --visible {d}/rgb --fused {d}/rgb --metrics EN '
               '--thermal-camera palette=luma',
    'evaluate': 'evaluate {d} --aligned --methods average --metrics EN --jobs 1 --out {d}/results',
    'train': 'train fusion --list',
    'export': 'export fusion --out {d}/fusion.onnx',
    'view': f'view simulator:duration_s=1,{SMALL} --out {{d}}/view.rrd',
    'security-policy': 'security-policy fusion --ros-args -p fusion.method:=average',
    'faults': 'faults --list',
    'benchmark': 'benchmark --stages --size 160x120 --seconds 0.01',
}
NEEDS = {'replay': 'rclpy', 'faults': 'rclpy', 'security-policy': 'rclpy', 'export': 'torch',
         'view': 'rerun'}


def run_process(*arguments, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, '-m', 'ivf_ros.cli', *arguments], capture_output=True, text=True,
        timeout=60, check=False, cwd=REPOSITORY,
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY), **environment})


def actions_of(name: str) -> list[argparse.Action]:
    parser = argparse.ArgumentParser()
    add_options(name, parser)
    return parser._actions


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(['--version'])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f'ivf {ivf_ros.__version__}\n'


def test_without_a_command_the_help_is_printed_and_the_exit_code_is_2(capsys):
    assert cli.main([]) == 2
    out = capsys.readouterr().out
    assert all(name in out for name in COMMANDS)


def test_version_and_help_import_no_library():
    code = ("import sys; sys.argv = ['ivf']; from ivf_ros.cli import main; main(); "
            "print([m for m in ('cv2', 'numpy', 'yaml', 'onnxruntime') if m in sys.modules])")
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                          timeout=60, check=True, cwd=REPOSITORY)
    assert done.stdout.splitlines()[-1] == '[]'


def test_fusing_one_pair_imports_only_what_it_needs(tmp_path):
    for name, channels in (('thermal', ()), ('rgb', (3,))):
        cv2.imwrite(str(tmp_path / f'{name}.png'), np.random.default_rng(0).integers(
            0, 256, (48, 64, *channels), dtype=np.uint8))
    code = ('import sys; from ivf_ros.cli import main; assert main(sys.argv[1:]) == 0; '
            "print([m for m in ('torch', 'scipy', 'rclpy', 'yaml', 'concurrent.futures', "
            "'ivf_ros.detection', 'ivf_ros.data.simulator') if m in sys.modules])")
    done = subprocess.run(
        [sys.executable, '-c', code, 'fuse', tmp_path / 'thermal.png', tmp_path / 'rgb.png',
         '--method', 'fast', '--out', tmp_path / 'fused.png'],
        capture_output=True, text=True, timeout=60, check=False, cwd=REPOSITORY)
    assert done.stdout.splitlines()[-1] == '[]', done.stderr


@pytest.mark.parametrize('name', sorted(COMMANDS.keys() - OF_OTHERS))
def test_every_help_states_its_defaults(name):
    for action in actions_of(name):
        if action.default not in (None, False, [], '', argparse.SUPPRESS) \
                and action.nargs != 0 and action.default != float('inf'):
            assert 'default' in (action.help or ''), f'ivf {name} {action.option_strings}'
        assert action.help, f'ivf {name} {action.option_strings or action.dest}'


def test_the_help_of_train_fits_a_terminal():
    lines = run_process('train', '--help', COLUMNS='80').stdout.splitlines()
    assert 10 < len(lines) <= 24 and max(map(len, lines)) <= 80


@pytest.mark.parametrize('arguments, settings', [
    (['fusion'], {'steps', 'flicker'}), (['fusion', '--method', 'seafusion'], {'round_steps'}),
    (['registration-dfa'], {'sfm', 'fem'})])
def test_train_lists_its_settings(arguments, settings, capsys):
    assert cli.main(['train', *arguments, '--list']) == 0
    listed = {line.partition('=')[0] for line in capsys.readouterr().out.splitlines()}
    assert cli.main(['train', *arguments, '--list', '--json']) == 0
    found = json.loads(capsys.readouterr().out)
    assert settings <= listed == set(found)
    assert all(setting['description'] for setting in found.values())


def test_train_without_data_is_one_line(capsys):
    assert cli.main(['train', 'fusion']) == 2
    line, = capsys.readouterr().err.splitlines()
    assert 'give --data and --out' in line


@pytest.mark.parametrize('line, expected', [
    ('ivf ', {'fuse', 'evaluate', 'info'}), ('ivf eva', {'evaluate '}),
    ('ivf fuse --reg', {'--register '}), ('ivf train fusion --method s', {'seafusion '})])
def test_the_shell_completes_commands_and_options(line, expected, tmp_path):
    pytest.importorskip('argcomplete', reason='argcomplete is not installed')
    answer = tmp_path / 'answer'
    done = run_process(_ARGCOMPLETE='1', COMP_LINE=line, COMP_POINT=str(len(line)),
                       _ARGCOMPLETE_STDOUT_FILENAME=str(answer), _ARGCOMPLETE_IFS='\n')
    assert answer.is_file(), done.stderr
    assert expected <= set(answer.read_text().split('\n'))


def test_every_command_has_a_case_of_json():
    assert JSON_COMMANDS.keys() == COMMANDS.keys() - OF_OTHERS


@pytest.mark.live
@pytest.mark.parametrize('name', JSON_COMMANDS)
def test_every_command_prints_json(name, tmp_path):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f'ivf {name} needs {NEEDS[name]}')
    simulator = RigSimulator(SimulatorParameters(seed=4))
    for stream in ('thermal', 'rgb'):
        (tmp_path / stream).mkdir()
    for number in range(6):
        thermal, rgb, _ = simulator.render(0.2 * number)
        cv2.imwrite(str(tmp_path / 'thermal' / f'{number}.png'), Agc()(thermal))
        cv2.imwrite(str(tmp_path / 'rgb' / f'{number}.png'), rgb)
    command, *arguments = JSON_COMMANDS[name].format(d=tmp_path).split()
    done = run_process(command, '--json', *arguments, ROS_DOMAIN_ID=str(next(DOMAIN_IDS)),
                       ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')
    assert done.returncode in ((0, 1) if name == 'doctor' else (0,)), done.stderr
    assert json.loads(done.stdout) is not None
