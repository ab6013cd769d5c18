# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The short campaign of faults, and that its judge can say no."""

from __future__ import annotations

import os
import signal

from conftest import DOMAIN_IDS
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
# The judge looks at the clock.
pytestmark = [pytest.mark.live, pytest.mark.alone]

from ivf_ros.nodes.faults.camera_faults import stop  # noqa: E402, I100
from ivf_ros.nodes.faults.campaign import (  # noqa: E402
    CampaignSettings,
    FAULTS,
    open_campaign,
    select,
)
from ivf_ros.nodes.faults.fault import BOTH, Fault  # noqa: E402
from ivf_ros.nodes.faults.file_faults import refuse, replay  # noqa: E402
from ivf_ros.nodes.faults.process_faults import send_signal  # noqa: E402
from ivf_ros.nodes.faults.recorded_files import write_file  # noqa: E402

SHORT = select(short=True)


@pytest.fixture(scope='module')
def campaign(tmp_path_factory):
    """Run a graph in a domain of its own; the log shows what happened if a test fails."""
    log = tmp_path_factory.mktemp('campaign') / 'log.txt'
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, 'ROS_DOMAIN_ID', str(next(DOMAIN_IDS)))
        patch.setitem(os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        with open_campaign(CampaignSettings(log=log)) as running:
            yield running


@pytest.mark.parametrize('fault', SHORT, ids=[fault.name for fault in SHORT])
def test_the_graph_does_what_it_must_about_a_fault(campaign, fault):
    verdict = campaign.judge(fault)
    if verdict.obstacle:
        pytest.skip(verdict.obstacle)
    assert verdict.failures == ()


def raise_assertion(targets):
    raise AssertionError('no end')


@pytest.mark.parametrize('fault, failure', [
    (Fault('a longer log', stop('rgb'), max_lines=0), '1 lines in the log'),
    (Fault('nobody says it', lambda targets: None, seconds=0.1, said='no such words'),
     "'no such words' not said"),
    (Fault('another mode', stop('thermal'), modes=BOTH), 'RGB_ONLY'),
    (Fault('no end', stop('rgb'), lambda targets: setattr(targets.cameras, 'reset', lambda: None),
           seconds=1.5, back_within_s=0.1), 'not well: mode THERMAL_ONLY'),
    (Fault('another exit code', replay(write_file(b''), 0), seconds=0.0),
     'a process ended with exit code 1, not 0'),
    (Fault('a process with a traceback', refuse(module='ivf_ros.nowhere'), seconds=0.0),
     'traceback: ModuleNotFoundError'),
    (Fault('an end that fails', lambda targets: None, raise_assertion, seconds=0.0), 'no end'),
    (Fault('a death', send_signal(signal.SIGKILL), seconds=0.5), 'died with exit codes [-9]'),
], ids=lambda value: getattr(value, 'name', ''))
def test_the_judge_sees_what_is_wrong(campaign, fault, failure):
    try:
        failures = campaign.judge(fault).failures
        assert any(failure in said for said in failures), failures
    finally:
        vars(campaign.targets.cameras).pop('reset', None)
        campaign.targets.cameras.reset()


def test_a_fault_that_cannot_be_injected_is_omitted_with_the_reason(campaign):
    fault = Fault('locked', lambda targets: pytest.fail('injected'),
                  find_obstacle=lambda targets: 'no key')
    verdict = campaign.judge(fault)
    assert verdict.obstacle == 'no key' and verdict.failures == ()


def test_every_fault_has_a_name_of_its_own_and_can_be_selected():
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) > 100
    assert [fault.name for fault in select('thermal stop')] == ['thermal stops']
    assert 5 < len(SHORT) < len(FAULTS) / 2


def test_allocated_memory_is_a_part_of_all_resident_memory(campaign):
    measured = campaign.targets.graph.measure()
    assert 50 < measured['anonymous_mb'] < measured['memory_mb'] < 2000
    assert measured['threads'] > 5 and measured['descriptors'] > 10
