# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ivf command on files: results, exit codes, one line per error."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from conftest import REPOSITORY
import cv2
from flir_files import make_flir_jpeg
from ivf_ros import cli, dds, doctor, geometry, registration
from ivf_ros.data.image_file import read_prior
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
import numpy as np
import pytest


@pytest.fixture(scope='module')
def pair(tmp_path_factory):
    """Write one simulated pair to disk; return the files and the true homography."""
    folder = tmp_path_factory.mktemp('pair')
    thermal, rgb, truth = RigSimulator(SimulatorParameters(seed=4)).render(0.0)
    cv2.imwrite(str(folder / 'thermal.png'), thermal)
    cv2.imwrite(str(folder / 'rgb.png'), rgb)
    return folder / 'thermal.png', folder / 'rgb.png', truth.H_thermal_to_rgb


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_register_finds_the_homography_and_writes_the_registered_image(pair, capsys, tmp_path):
    thermal, rgb, H_true = pair
    code, out, _ = run(capsys, 'register', thermal, rgb, '--json', '--out', tmp_path / 'r.png')
    assert code == 0
    found = json.loads(out)
    assert geometry.corner_error_px(np.array(found['H_thermal_to_rgb']), H_true, (640, 480)) < 2
    registered = cv2.imread(str(tmp_path / 'r.png'), cv2.IMREAD_UNCHANGED)
    assert registered.shape == (480, 640) and registered.dtype == np.uint16


def test_register_of_unrelated_images_fails_with_a_reason(pair, capsys, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'noise.png'), noise)
    code, out, _ = run(capsys, 'register', tmp_path / 'noise.png', pair[1], '--json')
    assert code == 1 and json.loads(out)['reason']


def test_fuse_registers_first_if_requested(pair, capsys, tmp_path):
    code, _, _ = run(capsys, 'fuse', pair[0], pair[1], '--register', '--out', tmp_path / 'f.png')
    assert code == 0
    fused = cv2.imread(str(tmp_path / 'f.png'))
    assert fused.shape == (480, 640, 3)
    assert not np.array_equal(fused, cv2.imread(str(pair[1])))


def test_segment_and_detect_read_the_fused_image(pair, capsys, tmp_path):
    code, out, _ = run(capsys, 'segment', pair[1], '--json', '--out', tmp_path / 'labels.png')
    labels = cv2.imread(str(tmp_path / 'labels.png'), cv2.IMREAD_UNCHANGED)
    assert code == 0 and sum(json.loads(out).values()) == labels.size == 640 * 480
    code, out, _ = run(capsys, 'detect', pair[1], '--json', '--overlay', tmp_path / 'o.png')
    assert code == 0 and isinstance(json.loads(out), list)
    assert cv2.imread(str(tmp_path / 'o.png')).shape == (480, 640, 3)


def test_registration_begins_at_the_prior_of_a_parameter_file(pair, capsys, tmp_path):
    thermal, rgb, H_true = pair
    numbers = ', '.join(repr(float(value)) for value in H_true.ravel())
    rig = tmp_path / 'rig.yaml'
    rig.write_text('/**/registration:\n  ros__parameters:\n'
                   f'    registration.calibrated.H_thermal_to_rgb: [{numbers}]\n')
    code, out, _ = run(capsys, 'register', thermal, rgb, '--prior', rig, '--json',
                       '--method', 'calibrated')
    assert code == 0, 'the method calibrated returns the prior'
    np.testing.assert_allclose(json.loads(out)['H_thermal_to_rgb'], H_true, atol=1e-9)
    code, out, _ = run(capsys, 'register', thermal, rgb, '--prior', rig, '--json',
                       '--set', 'global_search=never')
    assert code == 0
    assert geometry.corner_error_px(np.array(json.loads(out)['H_thermal_to_rgb']), H_true,
                                    (640, 480)) < 2


@pytest.mark.parametrize('command', (('register',), ('fuse', '--register')))
def test_registration_begins_at_the_placement_of_a_radiometric_file_unless_pixels_move(
        command, capsys, monkeypatch, tmp_path):
    pytest.importorskip('flyr', reason='flyr is not installed')
    thermal, rgb, _ = RigSimulator(SimulatorParameters(seed=4)).render(0.0)
    celsius = np.interp(thermal, (thermal.min(), thermal.max()), (0, 60))
    file = tmp_path / 'FLIR0001.jpg'
    file.write_bytes(make_flir_jpeg(celsius, rgb, (1.0, 3, -2)))
    registrar_type = type(registration.create())
    priors, register = [], registrar_type.register

    def record(registrar, thermal, rgb, prior=None):
        priors.append(prior)
        return register(registrar, thermal, rgb, prior)
    monkeypatch.setattr(registrar_type, 'register', record)
    for options in ((), ('--thermal-camera', 'rotate=180')):
        run(capsys, *command, file, file, '--out', tmp_path / 'out.png', '--overwrite', *options)
    with_placement, turned = priors
    np.testing.assert_array_equal(with_placement, read_prior(file, file))
    assert with_placement is not None and turned is None


def test_metrics_of_folders_are_matched_by_stem_and_averaged(capsys, tmp_path):
    random = np.random.default_rng(0)
    for folder in ('ir', 'vi', 'fused'):
        (tmp_path / folder).mkdir()
        for stem in ('2', '10', folder):  # the last one has no partners
            channels = () if folder == 'ir' else (3,)
            image = random.integers(0, 256, (48, 56, *channels), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / folder / f'{stem}.png'), image)
    folders = ('--thermal', tmp_path / 'ir', '--visible', tmp_path / 'vi',
               '--fused', tmp_path / 'fused')
    code, out, _ = run(capsys, 'metrics', *folders, '--json')
    result = json.loads(out)
    assert code == 0 and list(result['images']) == ['2', '10']
    assert result['mean']['SD'] == pytest.approx(
        np.mean([values['SD'] for values in result['images'].values()]))
    code, out, _ = run(capsys, 'metrics', *folders, '--metrics', 'Qabf,EN', '--json')
    assert code == 0 and list(json.loads(out)['mean']) == ['EN', 'Qabf']
    code, out, _ = run(capsys, 'metrics', *folders)
    assert code == 0 and f"{result['mean']['Qabf']:.4f}" in out


@pytest.mark.parametrize('arguments, message', [
    (['register', 'missing.png', 'RGB'], 'cannot read missing.png: No such file'),
    (['register', 'THERMAL', 'TRUNCATED'], 'is truncated at 100 bytes'),
    (['register', 'RGB', 'RGB'], 'the thermal image is in false colours'),
    (['register', 'THERMAL', 'THERMAL'], 'must have 8 bits per channel, got uint16'),
    (['register', 'THERMAL', 'RGB', '--method', 'magic'],
     "one of calibrated, dense, fast, dfa, rift, got 'magic'"),
    (['register', 'THERMAL', 'RGB', '--set', 'work=3'], "unknown parameter 'work'"),
    (['register', 'THERMAL', 'RGB', '--set', 'work'], "key=value, got 'work'"),
    (['fuse', 'THERMAL', 'RGB', '--out', '/nonexistent/f.png'],
     "cannot write '/nonexistent/f.png'"),
    (['fuse', 'RGB', 'RGB', '--out', 'f.png'], 'the thermal image is in false colours'),
    (['fuse', 'RGB', 'RGB', '--out', 'f.png', '--thermal-camera', 'palette=sepia'],
     "parameter 'palette' must be one of none, auto, luma, ironbow"),
    (['fuse', 'THERMAL', 'SMALL', '--out', 'f.png'], 'grid of rgb'),
    (['register', 'THERMAL', 'RGB', '--prior', 'nowhere.yaml'], "cannot read 'nowhere.yaml'"),
    (['demo', '--source', 'nowhere'], "no such source: 'nowhere'"),
    (['demo', '--source', 'simulator:wheather=1'], "unknown parameter 'wheather'"),
    (['replay', 'nowhere'], "no such source: 'nowhere'"),
    (['info', 'nowhere'], "no such source: 'nowhere'"),
    (['evaluate', 'simulator', '--thermal-topic', 'ir'], 'none of these sources is a bag'),
    (['replay', 'simulator', '--rate', '1000'], "'rate' must be at most 100"),
    (['metrics', '--thermal', 'THERMAL', '--visible', 'RGB', '--fused', 'nowhere'],
     'no fused file or folder at nowhere'),
    (['metrics', '--thermal', 'GRAY', '--visible', 'RGB', '--fused', 'SMALL'],
     'small: thermal, rgb and fused must have the same size'),
    (['metrics', '--thermal', '.', '--visible', 'RGB', '--fused', 'RGB'],
     'must be three files or three folders'),
    (['metrics', '--thermal', 'THERMAL', '--visible', 'RGB', '--fused', 'RGB', '--metrics', 'XY'],
     'unknown fusion metric XY'),
    (['metrics', '--thermal', 'RGB', '--visible', 'RGB', '--fused', 'RGB'],
     'the thermal image is in false colours'),
    (['evaluate', 'nowhere'], 'nowhere'),
    (['calibrate', 'simulator', '--pattern', '4x6', '--square', '0.05', '--thermal-camera',
      'rotate=90'], 'is of the images as the cameras send them'),
    (['time-offset', 'simulator:duration_s=1,thermal.width=160,thermal.height=120,rgb.width=160,'
      'rgb.height=120'], 'changes between thermal images'),
    (['benchmark', '--size', '640'], "the size must be WIDTHxHEIGHT, got '640'"),
])
@pytest.mark.live
def test_an_error_is_one_line_and_exit_code_1(arguments, message, pair, capsys, tmp_path,
                                              monkeypatch):
    pytest.importorskip('rclpy', reason='demo and benchmark need rclpy')
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'truncated.png').write_bytes(pair[1].read_bytes()[:100])
    cv2.imwrite(str(tmp_path / 'small.png'), np.zeros((10, 10, 3), np.uint8))
    cv2.imwrite(str(tmp_path / 'gray.png'), np.zeros((480, 640), np.uint8))
    files = {'THERMAL': pair[0], 'RGB': pair[1], 'TRUNCATED': tmp_path / 'truncated.png',
             'SMALL': tmp_path / 'small.png', 'GRAY': tmp_path / 'gray.png'}
    code, _, err = run(capsys, *[files.get(argument, argument) for argument in arguments])
    lines = [line for line in err.splitlines() if line.startswith('ivf ')]
    assert code == 1 and len(lines) == 1 and message in lines[0]
    assert 'Traceback' not in err


@pytest.mark.live
def test_doctor_names_every_part(capsys):
    code, out, _ = run(capsys, 'doctor', '--json')
    findings = {finding['name']: finding for finding in json.loads(out)}
    assert {'python', 'ros', 'rmw', 'dds_profile', 'cpu', 'torch', 'weights'} <= set(findings)
    assert code == (0 if all(f['ok'] or not f['required'] for f in findings.values()) else 1)


def test_doctor_works_without_any_library():
    bare = subprocess.run([sys.executable, '-S', '-m', 'ivf_ros.cli', 'doctor', '--json'],
                          cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert bare.returncode == 1, bare.stderr
    findings = {finding['name']: finding for finding in json.loads(bare.stdout)}
    assert 'cv2 is missing' in findings['opencv']['problem']
    assert 'numpy is missing' in findings['numpy']['problem']
    other = subprocess.run([sys.executable, '-S', '-m', 'ivf_ros.cli', 'fuse', 'a', 'b', '--out',
                            'c'], cwd=REPOSITORY, capture_output=True, text=True, timeout=60,
                           check=False)
    assert other.returncode == 1
    assert other.stderr.strip() == (
        "ivf fuse: 'cv2' is not installed; in the checkout: pip install '.[all]'")


def test_doctor_reports_an_opencv_that_cannot_be_imported(tmp_path):
    (tmp_path / 'cv2.py').write_text("raise ImportError('libGL.so.1: cannot open')")
    broken = subprocess.run([sys.executable, '-S', '-m', 'ivf_ros.cli', 'doctor'], cwd=REPOSITORY,
                            env={**os.environ, 'PYTHONPATH': str(tmp_path)}, timeout=60,
                            capture_output=True, text=True, check=False)
    assert 'cv2 cannot be imported (libGL.so.1: cannot open)' in broken.stdout


@pytest.mark.live
def test_doctor_reads_the_shared_memory_from_the_profile_in_force(monkeypatch, tmp_path):
    monkeypatch.setenv(dds.profile_variable(), str(dds.profile_path()))
    finding = {f.name: f for f in doctor.examine()}['dds_profile']
    assert finding.ok and 'shared memory 65536 KB' in finding.found
    for content in ('<dds><segment_size>1024</segment_size></dds>', '<dds>', '<dds/>'):
        (tmp_path / 'bad.xml').write_text(content)
        monkeypatch.setenv(dds.profile_variable(), str(tmp_path / 'bad.xml'))
        assert not {f.name: f for f in doctor.examine()}['dds_profile'].ok


@pytest.mark.parametrize('rclpy, variable, read', [
    ('3.3.15', 'FASTRTPS_DEFAULT_PROFILES_FILE', False),
    ('7.1.5', 'FASTRTPS_DEFAULT_PROFILES_FILE', False),
    ('9.1.2', 'FASTDDS_DEFAULT_PROFILES_FILE', True),
    ('10.0.9', 'FASTDDS_DEFAULT_PROFILES_FILE', True),
])
def test_each_generation_of_fast_dds_is_told_by_a_variable_that_it_reads(
        monkeypatch, rclpy, variable, read):
    monkeypatch.setattr(dds.metadata, 'version', lambda name: {'rclpy': rclpy}[name])
    assert dds.profile_variable() == variable
    other = next(name for name in dds.PROFILE_VARIABLES if name != variable)
    monkeypatch.setenv(variable, '')
    monkeypatch.setenv(other, 'other.xml')
    assert dds.profile_in_force() == ('other.xml' if read else '')
    dds.use_profile()
    assert dds.profile_in_force() == ('other.xml' if read else str(dds.profile_path()))


def test_a_profile_that_the_user_has_chosen_stays(monkeypatch):
    for name in dds.PROFILE_VARIABLES:
        monkeypatch.setenv(name, '')  # so that what is set below is undone
    dds.use_profile()
    assert dds.profile_in_force() == str(dds.profile_path())
    monkeypatch.setenv(dds.profile_variable(), 'mine.xml')
    dds.use_profile()
    assert dds.profile_in_force() == 'mine.xml'


def test_the_memory_of_fast_dds_is_that_of_the_profile_of_the_package_alone(monkeypatch, tmp_path):
    name = 'RMW_FASTRTPS_USE_QOS_FROM_XML'

    def decide(profile, **environment):
        for variable in (name, 'RMW_FASTRTPS_PUBLICATION_MODE', *dds.PROFILE_VARIABLES):
            monkeypatch.setenv(variable, '')  # so that what is set below is undone
            monkeypatch.delenv(variable)
        for variable, value in {dds.profile_variable(): str(profile), **environment}.items():
            monkeypatch.setenv(variable, value)
        dds.use_memory_of_profile()
        return os.environ.get(name)

    assert decide(dds.profile_path()) == '1'
    assert decide(dds.profile_path(), **{name: '0'}) == '0'
    assert decide(dds.profile_path(), RMW_FASTRTPS_PUBLICATION_MODE='ASYNCHRONOUS') is None
    (tmp_path / 'mine.xml').write_text('<dds/>')
    assert decide(tmp_path / 'mine.xml') is None
    assert decide(tmp_path / 'missing.xml') is None and decide('') is None


@pytest.mark.parametrize('command', ['doctor', 'info', 'demo', 'replay', 'register', 'fuse',
                                     'segment', 'detect', 'metrics', 'evaluate', 'benchmark'])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([command, '--help'])
    assert ended.value.code == 0
    assert f'example: ivf {command}' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, message', [
    (['fly'], "invalid choice: 'fly'"),
    (['demo', '--seconds', '0'], "must be a number above 0, got '0'"),
    (['demo', '--rate', 'fast'], "must be a number above 0, got 'fast'"),
    (['replay', 'simulator', '--rate', '-1'], "must be a number above 0, got '-1'"),
    (['evaluate', 'a', '--jobs', '0'], "must be an integer above 0, got '0'"),
    (['evaluate', 'a', '--methods', 'a,,b'], 'must be different names separated by commas'),
])
def test_a_wrong_option_is_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    line, = capsys.readouterr().err.splitlines()
    assert message in line


def test_benchmark_times_each_stage(capsys):
    code, out, _ = run(capsys, 'benchmark', '--stages', '--size', '320x240', '--seconds', '0.01',
                       '--json')
    rows = json.loads(out)
    assert code == 0
    assert [row['stage'].split(',')[0] for row in rows] == [
        'registration', 'registration', 'fusion', 'segmentation', 'segmentation', 'detection',
        'detection', 'perception', 'perception', 'yardstick: SIFT and RANSAC',
        'yardstick: SeAFusion in float32', 'yardstick: copy of both images']
    assert all(row['median_ms'] > 0 and row['size'] == '320x240' for row in rows)


def test_methods_for_both_cameras_take_a_thermal_image(pair, capsys, tmp_path):
    registered = tmp_path / 'registered.png'
    assert run(capsys, 'register', *pair[:2], '--out', registered)[0] == 0
    both = ('--thermal', registered)
    assert run(capsys, 'detect', pair[1], *both, '--json')[0] == 0
    assert run(capsys, 'segment', pair[1], *both, '--out', tmp_path / 'labels.png')[0] == 0
    code, _, error = run(capsys, 'detect', pair[1], *both, '--method', 'hog')
    assert code == 1 and 'hog takes one image' in error
