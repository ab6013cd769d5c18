# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correction of the stamps of a recording, with clocks of known faults."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st
from ivf_ros.stamps import examine_clock, MessageTimes, StampCorrector
import pytest

T0_NS, PERIOD_NS, S_NS = 1_700_000_000_000_000_000, 100_000_000, 1_000_000_000
RECORDED_NS = [T0_NS + i * PERIOD_NS for i in range(20)]


def correct(thermal_ns, rgb_ns, mode='auto', recorded_ns=None):
    """Correct the stamps of two cameras; return them, and the warnings by reason."""
    recorded_ns = recorded_ns or RECORDED_NS
    times = [MessageTimes(stream, stamp_ns, time_ns)
             for *stamps_ns, time_ns in zip(thermal_ns, rgb_ns, recorded_ns)
             for stream, stamp_ns in zip(('thermal', 'rgb'), stamps_ns)]
    warnings: dict[str, str] = {}
    corrector = StampCorrector(mode, times[:16], warnings.setdefault)
    corrected_ns = [corrector.correct(item) for item in times]
    return corrected_ns[::2], corrected_ns[1::2], warnings


def delayed(delay_ns=3_000_000):
    return [time_ns - delay_ns for time_ns in RECORDED_NS]


def test_good_stamps_stay():
    thermal, rgb, warnings = correct(delayed(), delayed(5_000_000))
    assert (thermal, rgb, warnings) == (delayed(), delayed(5_000_000), {})


def test_a_common_clock_that_is_not_that_of_the_recorder_stays():
    uptime = [time_ns - T0_NS + 5 * S_NS for time_ns in RECORDED_NS]
    assert correct(uptime, uptime) == (uptime, uptime, {})


@pytest.mark.parametrize('stamps_ns', [[0] * 20, [1_650_000_000 * S_NS] * 20],
                         ids=['zero', 'constant'])
def test_the_time_of_recording_replaces_stamps_that_tell_nothing(stamps_ns):
    thermal, rgb, warnings = correct(stamps_ns, delayed())
    assert (thermal, rgb) == (RECORDED_NS, delayed())
    assert list(warnings) == ['thermal stamps']


def test_a_clock_since_boot_is_shifted_to_that_of_the_recorder():
    uptime = [i * PERIOD_NS + 5 * S_NS + (i % 3) * 1_000_000 for i in range(20)]
    thermal, rgb, warnings = correct(uptime, delayed())
    assert rgb == delayed()
    assert [b - a for a, b in pairwise(thermal)] == \
        [b - a for a, b in pairwise(uptime)], 'the intervals of the camera stay'
    assert max(abs(a - b) for a, b in zip(thermal, RECORDED_NS)) <= 2_000_000
    assert f'{5 - T0_NS / S_NS + 0.004:+.3f}' in warnings['clocks differ']


@pytest.mark.parametrize('number', [1, 2, 3])
def test_stale_first_stamps_are_replaced(number):
    stale = [ns - 3 * 86400 * S_NS for ns in delayed()[:number]] + delayed()[number:]
    thermal, _, warnings = correct(stale, delayed())
    assert thermal == delayed()
    assert list(warnings) == ['thermal stamps jump']


@pytest.mark.parametrize('jump_s', [-7200, -2, 2, 1e6])
def test_time_continues_over_a_jump_of_the_clock(jump_s):
    jumped = [ns + (i >= 12) * round(jump_s * S_NS) for i, ns in enumerate(delayed())]
    thermal, _, warnings = correct(jumped, delayed())
    assert thermal == delayed()
    assert f'{jump_s:+.3f} s' in warnings['thermal stamps jump']


def test_a_gap_that_the_recorder_saw_too_is_none_of_the_clock():
    recorded = [ns + (i >= 10) * 60 * S_NS for i, ns in enumerate(RECORDED_NS)]
    stamps = [ns - 3_000_000 for ns in recorded]
    assert correct(stamps, stamps, recorded_ns=recorded) == (stamps, stamps, {})


def test_a_recorder_that_waited_for_its_disk_does_not_discredit_the_stamps():
    stamps = delayed()
    recorded = [max(ns, RECORDED_NS[5] + 4 * S_NS) if i > 5 else ns
                for i, ns in enumerate(RECORDED_NS)]
    assert correct(stamps, stamps, recorded_ns=recorded) == (stamps, stamps, {})


@pytest.mark.parametrize('jump_s', [-1e9, 1e9])
def test_a_clock_of_the_recorder_that_jumps_does_not_discredit_the_stamps(jump_s):
    recorded = [ns + (i == 12) * round(jump_s * S_NS) for i, ns in enumerate(RECORDED_NS)]
    assert correct(delayed(), delayed(), recorded_ns=recorded) == (delayed(), delayed(), {})


def test_a_single_zero_is_filled_in():
    stamps = [0 if i == 7 else ns for i, ns in enumerate(delayed())]
    assert correct(stamps, delayed())[0] == delayed()


def test_modes_header_and_recorded():
    uptime = [0, *(i * PERIOD_NS + 5 * S_NS for i in range(1, 20))]
    assert correct(uptime, delayed(), 'header')[:2] == (
        [RECORDED_NS[0], *uptime[1:]], delayed())
    assert correct(uptime, delayed(), 'recorded') == (RECORDED_NS, RECORDED_NS, {})


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=20))
def test_any_stamps_give_times_that_pass_as_fast_as_those_of_recording(stamps_ns):
    recorded = RECORDED_NS[:len(stamps_ns)]
    thermal, _, _ = correct(stamps_ns, recorded, recorded_ns=recorded)
    assert abs((thermal[-1] - thermal[0]) - (recorded[-1] - recorded[0])) \
        <= (len(stamps_ns) + 1) * (S_NS + PERIOD_NS), 'a frame can deviate by the tolerance'


def test_examination_of_a_clock():
    times = [MessageTimes('rgb', ns + 2 * S_NS, ns) for ns in RECORDED_NS]
    assert examine_clock(times).offset_s == 2.0
    assert examine_clock([]).fault
