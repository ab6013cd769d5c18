# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stage flicker measures the change of fused videos relative to their sources."""

from __future__ import annotations

import cv2
from ivf_ros import cli
from ivf_ros.evaluation.run import evaluate, EvaluationSettings
from ivf_ros.evaluation.stages import FlickerEvaluation
from ivf_ros.evaluation.stages.flicker import _FrameChanges
import numpy as np
import pytest

pytest.importorskip('tqdm', reason='ivf evaluate needs tqdm')


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """Write a video of 6 frames; thermal rests, visible goes up and down by 20 levels."""
    folder = tmp_path_factory.mktemp('made') / 'blinking'
    folder.mkdir()
    writers = {name: cv2.VideoWriter(str(folder / f'{name}.avi'),
                                     cv2.VideoWriter_fourcc(*'FFV1'), 20.0, (64, 48))
               for name in ('thermal', 'visible')}
    for index in range(6):
        for name, level in (('thermal', 40), ('visible', 100 + 20 * (index % 2))):
            writers[name].write(np.full((48, 64, 3), level, np.uint8))
    for writer in writers.values():
        writer.release()
    return folder


def test_the_change_is_that_of_fused_luma_and_the_excess_over_the_livelier_source():
    changes = _FrameChanges()
    for thermal, rgb, fused in ((10, 50, 30), (14, 58, 42), (10, 50, 30)):
        changes.add(*(np.full((4, 6), level, np.uint8) for level in (thermal, rgb, fused)))
    assert changes.values() == {'change': 12.0, 'excess': 50.0}


def test_sources_that_never_change_have_no_excess():
    changes = _FrameChanges()
    for _ in range(3):
        changes.add(*(np.full((4, 6), 7, np.uint8) for _ in range(3)))
    assert changes.values() == {'change': 0.0, 'excess': 0.0}


def test_a_video_is_replayed_by_each_method(videos, tmp_path):
    summary = evaluate(EvaluationSettings(
        sources=(str(videos),), stages=(FlickerEvaluation(('average', 'max')),), out=tmp_path,
        aligned=True, jobs=1))
    table = summary['stages']['flicker']['table']['all']
    assert summary['stages']['flicker']['groups']['all'] == 1
    for method, excess in (('average', -50), ('max', 0)):
        assert table[method]['values']['excess']['mean'] == pytest.approx(excess, abs=3)
    assert table['average']['values']['excess']['rank'] == 1


def test_the_command_refuses_to_replay_a_part(videos, capsys, tmp_path):
    arguments = ['evaluate', str(videos), '--stage', 'flicker', '--out', str(tmp_path / 'out')]
    assert cli.main([*arguments, '--every', '2']) == 1
    assert '--stage flicker replays whole videos' in capsys.readouterr().err
    assert cli.main([*arguments, '--aligned', '--methods', 'average', '--jobs', '1']) == 0
    assert 'excess' in capsys.readouterr().out
