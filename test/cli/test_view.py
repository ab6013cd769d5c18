# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command ``ivf view``: a source through all stages into a recording of Rerun."""

from __future__ import annotations

import json
import socket
import sys

from conftest import REPOSITORY
import cv2
from ivf_ros import cli, geometry
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.parameters import build
import numpy as np
import pytest
from rrd_files import read_rows

SMALL = {'thermal.width': 160, 'thermal.height': 120, 'rgb.width': 320, 'rgb.height': 240}
SIMULATOR = 'simulator:' + ','.join(f'{name}={value}' for name, value in SMALL.items())


@pytest.fixture(scope='module')
def pairs(tmp_path_factory):
    """Write a folder of eight pairs, the frames of a sequence."""
    folder = tmp_path_factory.mktemp('pairs')
    simulator = RigSimulator(build(SimulatorParameters, {'seed': 4, **SMALL}))
    for stream in ('thermal', 'rgb'):
        (folder / stream).mkdir()
    for index in range(8):
        thermal, rgb, _ = simulator.render(index / 10)
        cv2.imwrite(str(folder / 'thermal' / f'{index}.png'), thermal)
        cv2.imwrite(str(folder / 'rgb' / f'{index}.png'), rgb)
    return folder


def view(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main(['view', *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def needs_rerun() -> None:
    pytest.importorskip('rerun', reason='the view needs rerun-sdk')


def check_file_of_report(path, report) -> dict:
    """Check that the file has what the report counts; return its rows."""
    rows = read_rows(path)
    lengths = {entity: len(found) for entity, found in rows.items()}
    assert lengths['/fused/image'] == report['fused']
    assert lengths['/thermal/image'] == lengths['/rgb/image'] == report['fused']
    assert lengths['/detections'] == lengths['/segmentation/labels'] == report['perceived']
    assert lengths['/registration/confidence'] == report['measured']
    assert lengths['/latency_ms/fusion'] == report['fused']
    assert report['fused'] + report['skipped'].get('fusion', 0) == report['pairs']
    assert report['perceived'] + report['skipped'].get('perception', 0) == report['fused']
    assert report['file'] == {'path': str(path), 'bytes': path.stat().st_size}
    return rows


def test_a_folder_of_pairs_is_recorded(needs_rerun, pairs, capsys, tmp_path):
    path = tmp_path / 'view.rrd'
    code, out, err = view(capsys, pairs, '--out', path, '--json', '--rate', 0.5)
    report = json.loads(out)
    assert code == 0 and report['pairs'] == 8 and not report['errors']
    rows = check_file_of_report(path, report)
    stamps_ns = [row['stamp_ns'] for row in rows['/rgb/image']]
    assert {(stamp_ns - stamps_ns[0]) % 100_000_000 for stamp_ns in stamps_ns} == {0}
    assert err.startswith(f'recording to {path}\n   0.0 s  ')
    assert '\r' not in err, 'standard error is no terminal'


def test_the_simulator_is_registered_and_the_outline_is_where_it_should_be(needs_rerun, capsys,
                                                                           tmp_path):
    path = tmp_path / 'view.rrd'
    code, out, _ = view(capsys, SIMULATOR, '--seconds', 6, '--out', path, '--json', '--set',
                        'registration:tracker.acquire_count=1', '--set',
                        'fusion:fusion.method=average')
    report = json.loads(out)
    assert code == 0 and report['seconds'] <= 6.0 and report['pairs'] > 100
    assert report['latency_ms'].keys() == {'registration', 'fusion', 'perception',
                                           'camera_to_fused', 'camera_to_detections'}
    rows = check_file_of_report(path, report)
    states = [row['StateChange:state'][0] for row in rows['/state/registration']]
    assert 'TRACKING' in states
    modes = [row['StateChange:state'][0] for row in rows['/state/fusion']]
    assert modes[0] == 'RGB_ONLY' and 'FUSED' in modes
    _, _, truth = RigSimulator(build(SimulatorParameters, SMALL)).render(0.0)
    true_px = geometry.transform_points(truth.H_thermal_to_rgb, geometry.corners_px((160, 120)))
    outline, = rows['/registration/outline'][-1]['LineStrips2D:strips']
    assert np.linalg.norm(np.array(outline[:4]) - 0.5 - true_px, axis=1).mean() < 4.0


def test_registration_begins_at_the_prior_of_a_parameter_file(needs_rerun, pairs, capsys,
                                                              tmp_path):
    rig, path = tmp_path / 'rig.yaml', tmp_path / 'view.rrd'
    rig.write_text('/**/registration:\n  ros__parameters:\n'
                   '    registration.calibrated.H_thermal_to_rgb: '
                   '[2.0, 0.0, 5.0, 0.0, 2.0, 7.0, 0.0, 0.0, 1.0]\n')
    code, _, _ = view(capsys, pairs, '--out', path, '--prior', rig, '--set',
                      'registration:registration.method=calibrated')
    assert code == 0
    rows = read_rows(path)
    assert rows['/state/registration'][0]['StateChange:state'] == ['PRIOR']
    outline, = rows['/registration/outline'][0]['LineStrips2D:strips']
    assert outline[0] == [5.5, 7.5] and outline[2] == [2 * 159 + 5.5, 2 * 119 + 7.5]


def test_stills_are_scenes_of_their_own(needs_rerun, pairs, capsys, tmp_path):
    code, out, _ = view(capsys, pairs, '--out', tmp_path / 'v.rrd', '--json', '--seconds', 1.9,
                        '--still-seconds', 1)
    report = json.loads(out)
    assert code == 0 and report['seconds'] > 1.5 and report['pairs'] > 15
    check_file_of_report(tmp_path / 'v.rrd', report)


def test_frames_that_come_too_fast_are_skipped_and_counted(needs_rerun, pairs, capsys, tmp_path):
    code, out, _ = view(capsys, pairs, '--out', tmp_path / 'v.rrd', '--json', '--rate', 1000)
    report = json.loads(out)
    assert code == 0 and report['pairs'] == 8
    assert report['skipped']['fusion'] > 0 and report['fused'] >= 1
    check_file_of_report(tmp_path / 'v.rrd', report)


def test_the_report_for_people_names_the_file(needs_rerun, pairs, capsys, tmp_path):
    code, out, _ = view(capsys, pairs, '--out', tmp_path / 'v.rrd', '--seconds', 0.25)
    assert code == 0
    assert out.startswith(f'{pairs}: 0.2 s, 3 pairs, ') and str(tmp_path / 'v.rrd') in out


def test_what_the_view_did_not_make_stays(needs_rerun, pairs, capsys, tmp_path):
    path = tmp_path / 'v.rrd'
    path.write_bytes(b'precious')
    code, _, err = view(capsys, pairs, '--out', path)
    assert code == 1 and 'was not made by ivf' in err and path.read_bytes() == b'precious'


def test_without_rerun_the_error_names_the_package(pairs, capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'rerun', None)
    code, _, err = view(capsys, pairs, '--out', tmp_path / 'v.rrd')
    assert code == 1 and err == "ivf view: the view needs 'rerun'; pip install rerun-sdk\n"


@pytest.mark.skipif(sys.platform != 'linux', reason='about the displays of Linux')
def test_without_a_display_the_error_says_what_to_do(needs_rerun, pairs, capsys, monkeypatch):
    for variable in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(variable, raising=False)
    code, _, err = view(capsys, pairs)
    assert code == 1 and err.count('\n') == 1 and 'no display' in err and '--web, ' in err


def test_a_port_in_use_is_an_error(needs_rerun, pairs, capsys):
    with socket.create_server(('127.0.0.1', 0)) as server:
        code, _, err = view(capsys, pairs, '--web', '--port', server.getsockname()[1],
                            '--web-port', 0)
    assert code == 1 and err.count('\n') == 1 and 'is in use' in err


@pytest.mark.parametrize('arguments, message', [
    ((), 'name a source'),
    ((REPOSITORY / 'launch',), 'looked for a bag'),
    (('PAIRS', '--set', 'fusion.method=average'), '--set takes STAGE:KEY=VALUE'),
    (('PAIRS', '--set', 'fusion:fusion.methud=average'), "unknown parameter 'fusion.methud'"),
    (('PAIRS', '--thermal-camera', 'rotate=45'), 'rotate'),
])
def test_an_error_is_one_line(needs_rerun, arguments, message, pairs, capsys, tmp_path):
    arguments = [pairs if argument == 'PAIRS' else argument for argument in arguments]
    code, _, err = view(capsys, *arguments, '--out', tmp_path / 'v.rrd')
    assert code == 1 and err.count('\n') == 1 and message in err
    assert not (tmp_path / 'v.rrd').exists(), 'nothing was written'


@pytest.mark.parametrize('arguments, message', [
    (('PAIRS', '--topics'), 'one of them'),
    (('PAIRS', '--namespace', 'robot'), '--namespace has no effect without --topics'),
    (('--topics', '--rate', '2'), '--rate has no effect with --topics'),
    (('--topics', '--set', 'fusion:fusion.method=average'), '--set has no effect with --topics'),
])
def test_an_option_without_effect_is_refused(arguments, message, pairs, capsys):
    arguments = [pairs if argument == 'PAIRS' else argument for argument in arguments]
    code, _, err = view(capsys, *arguments)
    assert code == 1 and err.count('\n') == 1 and message in err
