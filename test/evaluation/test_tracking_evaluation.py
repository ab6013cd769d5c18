# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stage tracking measures the motion of the answers over a video, replayed as in the node."""

from __future__ import annotations

import json

import cv2
from ivf_ros import cli, geometry
from ivf_ros.evaluation.results import EvaluationError
from ivf_ros.evaluation.run import evaluate, EvaluationSettings
from ivf_ros.evaluation.stages import TrackingEvaluation
from ivf_ros.evaluation.stages.track_picture import draw_track
from ivf_ros.evaluation.stages.tracking import Track
from ivf_ros.types import Registration, RegistrationState
import numpy as np
import pytest

pytest.importorskip('tqdm', reason='ivf evaluate needs tqdm')

SIZE = (640, 480)
FROZEN = range(40, 60)  # frames
STATES = RegistrationState


def make_answer(dx_px, state=STATES.TRACKING, deviation_px=0.5):
    return Registration(geometry.translation(dx_px, 0), 0.9, 10, state, SIZE,
                        corner_deviation_px=deviation_px)


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """Write a video of 80 frames at 20 Hz whose cameras rest, and whose shutter closes once."""
    folder = tmp_path_factory.mktemp('made') / 'resting'
    folder.mkdir()
    random = np.random.default_rng(0)
    base = random.uniform(0, 1, (240, 320)).astype(np.float32)
    scene = sum(cv2.normalize(cv2.GaussianBlur(base, (0, 0), sigma), None, 0, 1, cv2.NORM_MINMAX)
                for sigma in (2, 5, 12))
    scene = cv2.normalize(scene, None, 20, 235, cv2.NORM_MINMAX)
    writers = {name: cv2.VideoWriter(str(folder / f'{name}.avi'),
                                     cv2.VideoWriter_fourcc(*'FFV1'), 20.0, (320, 240))
               for name in ('thermal', 'visible')}
    for index in range(80):
        if index not in FROZEN:
            thermal = np.clip(255 - scene + random.normal(0, 3, scene.shape), 0, 255)
        visible = np.clip(scene + random.normal(0, 3, scene.shape), 0, 255)
        for name, image in (('thermal', thermal), ('visible', visible)):
            writers[name].write(cv2.merge([image.astype(np.uint8)] * 3))
    for writer in writers.values():
        writer.release()
    return folder


def settings(videos, out, **changes):
    stage = TrackingEvaluation(('dense',), ('medium',), rate_hz=4.0)
    return EvaluationSettings(**{'sources': (str(videos),), 'stages': (stage,), 'out': out,
                                 'aligned': True, **changes})


def test_jitter_jumps_errors_and_shares_are_those_of_the_answers():
    track = Track(SIZE)
    lost = make_answer(50.0, STATES.LOST, np.inf)
    track.add(10.0, lost, None)
    for index, (dx_px, state) in enumerate([(0, 'TRACKING'), (2, 'TRACKING'), (1, 'HOLDING'),
                                            (1, 'HOLDING'), (1, 'TRACKING')]):
        raw = geometry.translation(4.0 * (index % 2), 0) if index < 2 else None
        track.add(11.0 + index, make_answer(dx_px, STATES(state)), raw)
    track.rejections.update({'acquiring': 1, 'jump': 2})
    values = track.values(geometry.translation(1, 3))
    assert values == pytest.approx({
        'TRACKING': 3 / 6, 'HOLDING': 2 / 6, 'LOST': 1 / 6, 'rejected': 3 / 6, 'lock_s': 1.0,
        'jitter_px': np.sqrt(2 / 5), 'settled_jitter_px': 0.0, 'raw_jitter_px': 2.0,
        'max_jump_px': 2.0, 'error_px': (2 * np.hypot(1, 3) + 3 * 3) / 5, 'median_error_px': 3.0,
        'predicted_px': 0.5})


def test_a_video_that_never_locks_has_shares_alone():
    track = Track(SIZE)
    for index in range(3):
        track.add(index, make_answer(0.0, STATES.LOST, np.inf), None)
    assert not track.is_locked()
    assert track.values(np.eye(3)) == {'TRACKING': 0, 'HOLDING': 0, 'LOST': 1, 'rejected': 0}
    assert track.draw().shape == (480, 640, 3)


def test_a_video_is_replayed_at_the_measuring_rate_and_its_freeze_is_seen(videos, tmp_path):
    summary = evaluate(settings(videos, tmp_path))['stages']['tracking']
    assert summary['groups'] == {'all': 1, 'medium': 1}
    values = {name: value['mean'] for name, value in
              summary['table']['all']['dense']['values'].items()}
    assert values['jitter_px'] < 0.5 and values['error_px'] < 1.5 and values['max_jump_px'] < 0.5
    assert values['LOST'] == pytest.approx(1 / 17)  # the first of 4 s at 4 Hz
    assert values['lock_s'] == pytest.approx(0.2)
    overall = summary['table']['all']['dense']['overall']
    assert 2 / 17 <= overall['rejected: thermal frozen'] <= 4 / 17
    assert overall['rejected: acquiring'] == pytest.approx(1 / 17)
    assert '79 samples left out: replayed with the first frame of their video.' in summary['notes']
    pictures = [path.parent.parent.name for path in tmp_path.rglob('*.webp')]
    assert sorted(pictures) == ['dense', 'rgb', 'thermal']


def test_the_number_of_processes_changes_nothing(videos, tmp_path):
    rows = []
    for jobs in (1, 2):
        evaluate(settings(videos, tmp_path / str(jobs), jobs=jobs, pictures=False))
        rows += json.loads((tmp_path / str(jobs) / 'rows.jsonl').read_text())['rows']
    assert rows[0]['values'] == pytest.approx(rows[1]['values'], abs=0.01)
    assert rows[0]['evidence'] == rows[1]['evidence']
    assert rows[0]['evidence']['measurements'] == 17


def test_single_images_have_no_time(tmp_path):
    for name in ('thermal', 'visible'):
        (tmp_path / 'pairs' / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'pairs' / name / '1.png'), np.zeros((48, 64), np.uint8))
    with pytest.raises(EvaluationError, match='no sample for tracking: not a frame of a video'):
        evaluate(settings(tmp_path / 'pairs', tmp_path / 'out'))


def test_videos_that_are_not_aligned_are_left_out(videos, tmp_path):
    with pytest.raises(EvaluationError, match='not aligned, so the true homography is unknown'):
        evaluate(settings(videos, tmp_path, aligned=False))


def test_the_command_writes_a_report(videos, capsys, tmp_path):
    pytest.importorskip('plotly', reason='the report needs plotly')
    code = cli.main(['evaluate', str(videos), '--stage', 'tracking', '--methods', 'dense',
                     '--sets', 'rig-exact', '--rate', '2', '--aligned', '--jobs', '1', '--out',
                     str(tmp_path)])
    printed = capsys.readouterr().out
    assert code == 0 and (tmp_path / 'report.html').is_file()
    assert 'jitter_px' in printed and 'rejected: acquiring' in printed


@pytest.mark.parametrize('arguments, message', [
    (['--every', '2'], '--stage tracking replays whole videos; leave out --every'),
    (['--methods', 'none'], "unknown method 'none'; known: dense"),
    (['--sets', 'tiny'], "unknown set 'tiny'; known: medium"),
])
def test_what_cannot_be_tracked_is_one_line(arguments, message, videos, capsys, tmp_path):
    code = cli.main(['evaluate', str(videos), '--stage', 'tracking', '--out',
                     str(tmp_path / 'out'), *arguments])
    error = capsys.readouterr().err
    assert code == 1 and message in error and len(error.splitlines()) == 1


@pytest.mark.parametrize('rate', ['0', '-1', 'fast', 'inf', 'nan'])
def test_a_rate_is_a_number_above_0(rate, videos, capsys, tmp_path):
    with pytest.raises(SystemExit):
        cli.main(['evaluate', str(videos), '--stage', 'tracking', '--rate', rate])
    assert f"must be a number above 0, got '{rate}'" in capsys.readouterr().err


def test_the_picture_shows_states_line_and_dots():
    states = [(0.0, STATES.LOST), (1.0, STATES.TRACKING), (2.0, STATES.HOLDING)]
    bare = draw_track(SIZE, states, [], [])
    drawn = draw_track(SIZE, states, [(1.0, 1.0), (2.0, 1.0)], [(1.0, 0.5), (2.0, 90.0)])
    assert bare.shape == (480, 640, 3) and bare.dtype == np.uint8
    changed = np.argwhere((bare != drawn).any(axis=2))
    assert changed.size and changed[:, 0].min() < 20  # the dot that is off lies on the edge
    strip = bare[480 - 44 + 10]
    assert {tuple(color) for color in strip[50:620:10].tolist()} == {
        (60, 60, 210), (90, 170, 60)}


def test_real_cameras_that_rest_give_answers_that_rest(shared_data, tmp_path):
    stage = TrackingEvaluation(('dense',), ('medium',), rate_hz=2.0)
    folder = shared_data / 'm3svd_sequences' / '0113_1714'
    summary = evaluate(settings(folder, tmp_path, stages=(stage,), pictures=False))
    values = {name: value['mean'] for name, value in
              summary['stages']['tracking']['table']['all']['dense']['values'].items()}
    assert values['jitter_px'] < 0.5 and values['jitter_px'] < values['raw_jitter_px']
    assert values['max_jump_px'] < 1.0 and values['TRACKING'] > 0.9
