# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stage identities: tracks over a stream, also where a camera fails for half a second."""

from __future__ import annotations

import json

from ivf_ros import cli
from ivf_ros.data.sample import Annotation, Origin, Sample
from ivf_ros.evaluation.stages import IdentityEvaluation
from ivf_ros.types import Detection
import numpy as np
import pytest

pytest.importorskip('tqdm', reason='ivf evaluate needs tqdm')

SOURCE = 'simulator:duration_s=2.5,seed=3,thermal.width=320,thermal.height=240,rgb.width=320,' \
    'rgb.height=240'


def test_tracks_are_measured_with_and_without_interruptions(tmp_path, capsys):
    out = tmp_path / 'out'
    assert cli.main(['evaluate', SOURCE, '--stage', 'identities', '--every', '5', '--jobs', '1',
                     '--out', str(out), '--no-pictures', '--json']) == 0
    summary = json.loads(capsys.readouterr().out)
    assert json.loads((out / 'summary.json').read_text())['stages'] == summary['stages']
    overall = summary['stages']['identities']['table']['all']['joint']['overall']
    assert 0.2 < overall['HOTA'] <= 1 and 0.2 < overall['IDF1'] <= 1
    assert overall['HOTA without thermal'] <= overall['HOTA'] + 0.05
    assert {'switches without RGB', 'fragments without images'} <= set(overall)
    rows = [json.loads(line) for line in (out / 'rows.jsonl').read_text().splitlines()]
    variants = [row['variant'] for line in rows for row in line['rows']]
    assert variants.count('without thermal') == variants.count('without RGB') > 0


def sample(**changes):
    box = Detection((0, 0, 9, 9), 'person', 1.0, '1')
    return Sample(**{'dataset': 'a', 'name': '0', 'thermal': np.zeros((9, 9), np.uint8),
                     'rgb': np.zeros((9, 9, 3), np.uint8), 'aligned': True, 'stamp_ns': 1,
                     'detections': Annotation(lambda: (box,), Origin.EXACT), **changes})


@pytest.mark.parametrize('changes, reason', [
    ({}, ''), ({'detections': None}, 'no labels'), ({'stamp_ns': None}, 'no true identities'),
    ({'detections': Annotation(lambda: (Detection((0, 0, 9, 9), 'person', 1.0),),
                               Origin.HUMAN)}, 'no true identities')])
def test_only_streams_with_identities_are_measured(changes, reason):
    assert IdentityEvaluation().skip_reason(sample(**changes)).startswith(reason)
