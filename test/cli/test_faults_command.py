# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command ``ivf faults``: its selection, and what it refuses before a graph is started."""

from __future__ import annotations

import re

from conftest import REPOSITORY
from ivf_ros import cli
import pytest

pytest.importorskip('rclpy', reason='the command needs rclpy')
pytestmark = pytest.mark.live


def test_the_faults_are_listed_and_selected_by_a_part_of_the_name(capsys):
    assert cli.main(['faults', '--list']) == 0
    names = capsys.readouterr().out.splitlines()
    assert len(names) > 50 and 'thermal stops' in names
    assert cli.main(['faults', '--list', '--only', 'SHUTTER']) == 0
    assert capsys.readouterr().out.splitlines() == [name for name in names if 'shutter' in name]


def test_the_table_of_the_documentation_has_all_faults():
    from ivf_ros.nodes.faults.campaign import FAULTS

    text = (REPOSITORY / 'docs' / 'faults.md').read_text()
    rows = re.findall(r'^\| (.+?) \| [^|]*\| [\d.]+ \| .*\|$', text, re.MULTILINE)
    assert rows == [fault.name for fault in FAULTS]
    assert f'All {len(rows)} faults' in text


@pytest.mark.parametrize('arguments, message', [
    (['--only', 'earthquake'], "no fault has 'earthquake' in its name; ivf faults --list shows "
                               'all'),
    (['--soak', '1'], '--soak needs --out DIR for its table and its plot'),
    (['--soak', '1', '--out', '{foreign}'], 'holds something else'),
    (['--log', '{foreign}/notes.txt'], 'exists and was not made by ivf')])
def test_what_cannot_be_done_is_refused_before_a_graph_is_started(
        tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.setattr('ivf_ros.nodes.faults.campaign.open_campaign',
                        lambda settings: pytest.fail('a graph was started'))
    notes = tmp_path / 'notes.txt'
    notes.write_text('mine')
    assert cli.main(['faults', *(text.format(foreign=tmp_path) for text in arguments)]) == 1
    error, = capsys.readouterr().err.splitlines()
    assert error.startswith('ivf faults: ') and message in error
    assert list(tmp_path.iterdir()) == [notes] and notes.read_text() == 'mine'


def test_the_growth_of_memory_is_that_after_the_warm_up():
    from ivf_ros.nodes.faults.soak import Sample, Soak, WARM_UP_S

    times_s = range(0, 1200, 60)
    grows = tuple(Sample(at_s, 900.0 - at_s if at_s < WARM_UP_S else 300 + at_s / 60 * 0.5, 200.0,
                         20, 30, 0) for at_s in times_s)
    assert Soak(grows, ()).memory_slope_mb_per_min() == pytest.approx(0.5)
    assert Soak(grows, ()).memory_slope_mb_per_min('anonymous_mb') == pytest.approx(0.0)
    assert Soak(grows[:5], ()).memory_slope_mb_per_min() is None


def test_each_round_of_a_soak_has_each_fault_once_in_another_order():
    from ivf_ros.nodes.faults.campaign import FAULTS
    from ivf_ros.nodes.faults.soak import shuffle_rounds

    faults = shuffle_rounds(FAULTS, seed=0)
    first, second = ([next(faults).name for _ in FAULTS] for _ in range(2))
    assert sorted(first) == sorted(second) == sorted(fault.name for fault in FAULTS)
    assert first != second
