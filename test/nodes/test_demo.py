# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demonstration as a whole: two processes, bag, contact sheet and summary."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

from conftest import DOMAIN_IDS, REPOSITORY
import cv2
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.data.sources import open_source
from ivf_ros.palettes import palette_colors
from ivf_ros.parameters import build
from ivf_ros.thermal import Agc, AgcParameters
from ivf_ros.types import Frame
import numpy as np
import pytest
from recorded_bags import write_image
from rosbags.highlevel import AnyReader
from rrd_files import read_rows

pytest.importorskip('rclpy', reason='the demonstration needs rclpy')
pytestmark = pytest.mark.live

from ivf_ros.nodes.demo.replay import check_played, ReplayError  # noqa: E402, I100
from ivf_ros.nodes.graph import messages  # noqa: E402


def run_demo(*arguments, timeout_s=150) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(next(DOMAIN_IDS)),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    return subprocess.run([sys.executable, '-m', 'ivf_ros.cli', 'demo', *map(str, arguments)],
                          cwd=REPOSITORY, env=environment, capture_output=True, text=True,
                          timeout=timeout_s, check=False)


@pytest.fixture(scope='module')
def demo_result(tmp_path_factory) -> tuple[Path, dict]:
    """Run the demonstration on small simulated cameras; return its folder and its summary."""
    out = tmp_path_factory.mktemp('demo') / 'out'
    source = ('simulator:seed=2,thermal.width=320,thermal.height=240,thermal.rate_hz=10,'
              'rgb.width=320,rgb.height=240,rgb.rate_hz=10')
    process = run_demo('--source', source, '--seconds', 5, '--out', out, '--json')
    assert process.returncode == 0, process.stderr
    return out, json.loads(process.stdout)


def test_the_summary_counts_published_and_received_frames(demo_result):
    out, report = demo_result
    assert report == json.loads((out / 'summary.json').read_text())
    topics = report['topics']
    for stream in ('thermal', 'rgb'):
        assert topics[f'{stream}/image_raw']['published'] == \
            topics[f'{stream}/image_raw']['frames'] >= 20  # 50, if the machine has time
    assert topics['fused/image']['frames'] >= 10
    assert topics['detections']['frames'] >= 3
    assert topics['registration/homography']['frames'] >= 2
    assert topics['segmentation/label_info']['frames'] == 1


def test_the_summary_contains_latency_drops_states_and_error(demo_result):
    _, report = demo_result
    for stage in ('registration', 'fusion', 'perception', 'end_to_end'):
        assert 0 < report['latency_ms'][stage]['p50'] <= report['latency_ms'][stage]['p95']
    assert all(count > 0 for count in report['drops'].values())
    assert report['registration']['states']['TRACKING'] >= 1
    assert report['registration']['corner_error_px']['median'] < 2.0


def test_the_bag_can_be_replayed_as_a_source(demo_result):
    out, report = demo_result
    events = list(open_source(out / 'bag').events())
    for stream in ('thermal', 'rgb'):
        assert sum(event.stream == stream for event in events) == \
            report['topics'][f'{stream}/image_raw']['frames']
    with AnyReader([out / 'bag']) as reader:  # by the message definitions in the bag
        detections = [reader.deserialize(cdr, connection.msgtype) for connection, _, cdr
                      in reader.messages() if connection.topic == '/detections']
    assert len(detections) == report['topics']['detections']['frames']
    assert detections[0].header.frame_id == 'rgb_optical_frame'
    thermal = next(event.frame for event in events if event.stream == 'thermal')
    assert thermal.image.dtype.name == 'uint16' and thermal.frame_id


def test_the_contact_sheet_is_an_image_with_a_row_for_each_moment(demo_result):
    sheet = cv2.imread(str(demo_result[0] / 'contact_sheet.png'))
    assert sheet.shape[0] > 6 * 240 and sheet.shape[1] > 6 * 320


def test_the_demonstration_replays_its_own_bag_twice_into_one_folder(demo_result, tmp_path):
    bag = demo_result[0] / 'bag'
    for _ in range(2):  # the second run replaces the results of the first one
        process = run_demo('--source', bag, '--seconds', 2, '--out', tmp_path / 'again', '--json')
        assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout)['topics']['fused/image']['frames'] > 0


@pytest.mark.parametrize('arguments, message', [
    (['--params-file', 'missing.yaml'], 'missing.yaml'),
    (['--source', REPOSITORY / 'launch'], 'looked for a bag'),
])
def test_an_error_is_reported_in_one_line(arguments, message, tmp_path):
    process = run_demo('--seconds', 1, '--out', tmp_path / 'out', *arguments)
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith('ivf demo: ') and message in last
    assert 'Traceback' not in process.stderr


def test_a_parameter_file_reaches_the_nodes_and_a_typo_in_it_is_reported(tmp_path):
    (tmp_path / 'typo.yaml').write_text('/**:\n  ros__parameters:\n    fusion.methud: average\n')
    process = run_demo('--seconds', 1, '--out', tmp_path / 'out',
                       '--params-file', tmp_path / 'typo.yaml')
    assert process.returncode == 1
    assert "unknown parameter 'fusion.methud'" in process.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize('dtype, outside', [(np.uint16, 0), (np.float32, np.nan)])
def test_registered_thermal_keeps_its_contrast_on_the_sheet(dtype, outside):
    from ivf_ros.nodes.demo.sheet import _apply_gain

    registered = np.full((40, 60), outside, dtype)
    registered[5:35, 10:50] = np.linspace(7000, 7100, 40)
    gray = _apply_gain(Agc(AgcParameters(mode='minmax')), registered)
    assert np.ptp(gray[5:35, 10:50]) == 255
    assert not gray[:5].any()


def test_tiles_say_which_camera_they_show():
    from ivf_ros.nodes.demo.sheet import draw_mode

    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (120, 160, 3), np.uint8)
    gray = np.repeat(random.integers(0, 256, (120, 160, 1), np.uint8), 3, 2)
    fused = np.clip(rgb.astype(int) + 20, 0, 255).astype(np.uint8)
    marked = {name: draw_mode(image, rgb) for name, image in
              {'fused': fused, 'rgb': rgb.copy(), 'thermal': gray}.items()}
    assert marked['fused'] is fused
    changed = [int((after != before).any(2).sum()) for after, before in
               ((marked['rgb'], rgb), (marked['thermal'], gray))]
    assert changed[1] > changed[0] > 20  # THERMAL ONLY is longer
    assert draw_mode(gray, None) is not gray


def test_stills_are_recognised_and_a_pair_that_is_aligned_is_fused_as_it_is(tmp_path):
    random = np.random.default_rng(0)
    for stream, channels in (('ir', 1), ('vis', 3)):
        (tmp_path / 'stills' / stream).mkdir(parents=True)
        for number in range(3):
            image = random.integers(0, 256, (12, 16, channels), np.uint8)
            cv2.imwrite(str(tmp_path / 'stills' / stream / f'{number}.png'),
                        cv2.resize(image, (320, 240), interpolation=cv2.INTER_NEAREST))
    out = tmp_path / 'out'
    process = run_demo('--source', tmp_path / 'stills', '--aligned', '--seconds', 4, '--out', out)
    assert process.returncode == 0, process.stderr
    assert 'the files show unrelated scenes: each is played for 1.5 s' in process.stderr
    summary = json.loads((out / 'summary.json').read_text())
    states = summary['registration']['states']
    assert states['PRIOR'] > 0 == states['TRACKING'] == states['LOST']
    assert 'corner_error_px' not in summary['registration']
    homography, = {tuple(message.value.H_thermal_to_rgb.ravel()) for message in [
        messages.HOMOGRAPHY.from_serialized(bytes(cdr)) for cdr in read_topic(
            out / 'bag', 'registration/homography')]}
    np.testing.assert_allclose(np.reshape(homography, (3, 3)), np.eye(3), atol=1e-9)
    assert summary['topics']['fused/image']['frames'] > 20


def read_topic(bag, topic):
    with AnyReader([bag]) as reader:
        return [cdr for connection, _, cdr in reader.messages()
                if connection.topic.lstrip('/') == topic]


def test_a_demonstration_that_ends_lost_says_why_and_what_to_try(tmp_path):
    random = np.random.default_rng(0)
    for stream in ('ir', 'vis'):  # two cameras that look elsewhere
        (tmp_path / 'pairs' / stream).mkdir(parents=True)
        for number in range(80):
            image = random.integers(0, 256, (24, 32), np.uint8)
            cv2.imwrite(str(tmp_path / 'pairs' / stream / f'{number}.png'),
                        cv2.resize(image, (320, 240)))
    process = run_demo('--source', tmp_path / 'pairs', '--still-seconds', 0, '--seconds', 8,
                       '--out', tmp_path / 'out')
    assert process.returncode == 0, process.stderr
    advice = json.loads((tmp_path / 'out' / 'summary.json').read_text())['registration']['advice']
    assert advice.startswith('at the end: not registered: ') and 'ivf calibrate' in advice
    assert advice.endswith('--aligned') and advice in process.stdout


def write_bag(path, thermal_delay_ns=0, false_colours=False):
    """Write two seconds of a street at 10 Hz; thermal may be late or in false colours."""
    simulator = RigSimulator(build(SimulatorParameters, {
        'seed': 2, 'thermal.width': 320, 'thermal.height': 240, 'rgb.width': 320,
        'rgb.height': 240}))
    agc = Agc()
    with BagWriter(path) as writer:
        for index in range(20):
            thermal, rgb, _ = simulator.pair(index)
            image = thermal.image
            if false_colours:
                image = palette_colors('jet')[agc(image)]
            stamp_ns = 1_700_000_000_000_000_000 + index * 100_000_000
            write_image(writer, 'thermal/image_raw',
                        Frame(image, stamp_ns + thermal_delay_ns, 'thermal'))
            write_image(writer, 'rgb/image_raw', Frame(rgb.image, stamp_ns, 'rgb'))
    return path


def test_false_colours_are_refused_and_a_palette_converts_them(tmp_path):
    bag = write_bag(tmp_path / 'jet', false_colours=True)
    process = run_demo('--source', bag, '--seconds', 2, '--out', tmp_path / 'refused')
    assert process.returncode == 1
    last = process.stderr.strip().splitlines()[-1]
    assert 'pairs were fused; ' in last and 'false colours' in last
    process = run_demo('--source', bag, '--seconds', 2, '--out', tmp_path / 'out',
                       '--thermal-camera', 'palette=auto', '--json')
    assert process.returncode == 0, process.stderr
    report = json.loads(process.stdout)
    assert report['topics']['fused/image']['frames'] >= 10
    assert report['registration']['states']['TRACKING'] >= 1


def test_a_demonstration_of_clocks_that_differ_is_no_success(tmp_path):
    # A tolerance that follows the rates pairs cameras of one rate at any offset.
    (tmp_path / 'set.yaml').write_text('/**/fusion:\n  ros__parameters:\n'
                                       '    pairing.tolerance_s: 0.03\n')
    bag = write_bag(tmp_path / 'late', thermal_delay_ns=160_000_000)
    process = run_demo('--source', bag, '--seconds', 2, '--out', tmp_path / 'out',
                       '--params-file', tmp_path / 'set.yaml')
    assert process.returncode == 1
    assert 'pairs were fused; ' in process.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize('played, skipped, message', [
    ({}, {'undecodable image': 40},
     'no frame of thermal and rgb was played; left out: undecodable image 40'),
    ({'rgb': 20}, {}, 'no frame of thermal was played; left out: nothing'),
    ({'thermal': 2, 'rgb': 2}, {'unreadable': 36}, 'only 4 of 40 frames were played'),
])
def test_a_replay_of_nothing_or_a_tenth_is_no_success(played, skipped, message):
    with pytest.raises(ReplayError, match=message):
        check_played(played, skipped)
    check_played({'thermal': 10, 'rgb': 10}, {'unreadable': 20})


def test_the_demonstration_records_a_view(tmp_path):
    pytest.importorskip('rerun', reason='the view needs rerun-sdk')
    process = run_demo('--seconds', 2, '--out', tmp_path / 'out', '--view', 'file', '--json')
    assert process.returncode == 0, process.stderr
    published = json.loads(process.stdout)['topics']['rgb/image_raw']['published']
    rows = read_rows(tmp_path / 'out' / 'view.rrd')
    assert 0 < len(rows['/fused/image']) <= published
    assert rows['/detections'] and rows['/state/registration']
