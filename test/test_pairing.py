# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairing by time: regular streams with known results, and invariants for any streams."""

from __future__ import annotations

from collections import Counter
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros.pairing import DROP_REASONS, Pair, PairingParameters, PairSynchronizer
from ivf_ros.parameters import build, declarations, ParameterError
import pytest

MS = 1_000_000


def _run(frames, synchronizer=None, delays_s=None, until_s=None, **parameters):
    """
    Add frames ``(stream, stamp_ns)`` in arrival order; the items are the stamps.

    Arrival is the stamp plus the delay of the stream. Returns the synchronizer and a list of
    ``(now_s, pair)``. With ``until_s`` the clock continues in 100 steps.
    """
    synchronizer = synchronizer or PairSynchronizer(PairingParameters(**parameters))
    delays_s = delays_s or {}
    arrivals = sorted((stamp_ns / 1e9 + delays_s.get(stream, 0.0), stream, stamp_ns)
                      for stream, stamp_ns in frames)
    out = []
    for now_s, stream, stamp_ns in arrivals:
        out += [(now_s, pair) for pair in synchronizer.add(stream, stamp_ns, stamp_ns, now_s)]
    now_s = arrivals[-1][0] if arrivals else 0.0
    for i in range(1, 101 if until_s is not None else 1):
        then_s = now_s + (until_s - now_s) * i / 100
        out += [(then_s, pair) for pair in synchronizer.poll(then_s)]
    _check_counts(synchronizer, [pair for _, pair in out])
    return synchronizer, out


def _is_complete(pair: Pair) -> bool:
    return pair.thermal_minus_rgb_s is not None


def _check_counts(synchronizer, out) -> None:
    assert set(synchronizer.drops) == set(DROP_REASONS)
    assert min(synchronizer.drops.values()) >= 0
    assert synchronizer.pairs == sum(_is_complete(pair) for pair in out)
    alone = sum(not _is_complete(pair) for pair in out)
    assert synchronizer.added == (2 * synchronizer.pairs + alone
                                  + sum(synchronizer.drops.values()) + synchronizer.waiting)


def _regular(stream, rate_hz, seconds, start_ms=0.0):
    return [(stream, round((start_ms + 1e3 * i / rate_hz) * MS))
            for i in range(round(seconds * rate_hz))]


def _complete_pairs(out):
    return [(pair.thermal, pair.rgb) for _, pair in out if _is_complete(pair)]


def _nonzero_drops(synchronizer):
    return {reason: count for reason, count in synchronizer.drops.items() if count}


# Regular streams


@pytest.mark.parametrize('delays_s', [{}, {'thermal': 0.02}, {'rgb': 0.3}])
def test_equal_stamps_pair_immediately(delays_s):
    frames = _regular('thermal', 30, 2) + _regular('rgb', 30, 2)
    synchronizer, out = _run(frames, delays_s=delays_s)
    assert synchronizer.pairs == 60 and not _nonzero_drops(synchronizer)
    for now_s, pair in out:
        assert pair.thermal == pair.rgb and pair.thermal_minus_rgb_s == 0
        assert now_s == pytest.approx(pair.rgb / 1e9 + max(delays_s.values(), default=0))


@pytest.mark.parametrize('shift_ms', [-12, -3, 4, 15])
def test_a_small_shift_pairs_as_soon_as_both_frames_arrive(shift_ms):
    frames = _regular('thermal', 30, 2, 100) + _regular('rgb', 30, 2, 100 + shift_ms)
    _, out = _run(frames)
    assert [rgb - thermal for thermal, rgb in _complete_pairs(out)] == [shift_ms * MS] * 60
    for now_s, pair in out[2:]:  # the period is known from the second frame on
        assert now_s == max(pair.thermal, pair.rgb) / 1e9
        assert pair.thermal_minus_rgb_s == pytest.approx(-shift_ms / 1e3)


def test_more_than_half_a_period_pairs_with_the_neighbour():
    frames = _regular('thermal', 10, 2) + _regular('rgb', 10, 2, 70)
    _, out = _run(frames, tolerance_s=0.08)
    assert [rgb - thermal for thermal, rgb in _complete_pairs(out)] == [-30 * MS] * 19


@pytest.mark.parametrize('parameters', [
    {'thermal_offset_s': -0.25}, {'rgb_offset_s': 0.25},
    {'thermal_offset_s': -0.15, 'rgb_offset_s': 0.1}])
def test_offsets_are_added_to_the_stamps(parameters):
    # Thermal stamps are a quarter of a second late.
    frames = _regular('thermal', 30, 2, 250) + _regular('rgb', 30, 2)
    synchronizer, out = _run(frames, tolerance_s=0.001, **parameters)
    assert [thermal - rgb for thermal, rgb in _complete_pairs(out)] == [250 * MS] * 60
    assert all(abs(pair.thermal_minus_rgb_s) < 1e-9 for _, pair in out)
    assert not _nonzero_drops(synchronizer)


@pytest.mark.parametrize('fast', ['thermal', 'rgb'])
def test_60_hz_against_6_hz_uses_every_tenth_frame(fast):
    slow = 'rgb' if fast == 'thermal' else 'thermal'
    frames = _regular(fast, 60, 3) + _regular(slow, 6, 3, 5)
    synchronizer, out = _run(frames)
    # The first frame comes before the period of either camera is known.
    assert [abs(thermal - rgb) for thermal, rgb in _complete_pairs(out)] == [5 * MS] * 18
    for now_s, pair in out[1:]:
        assert now_s == max(pair.thermal, pair.rgb) / 1e9
    drops = _nonzero_drops(synchronizer)
    assert set(drops) == {'unmatched', 'superseded'}
    assert sum(drops.values()) + synchronizer.waiting == 180 - 18


@pytest.mark.parametrize('seed', range(5))
def test_jitter_about_half_a_period_loses_no_frame(seed):
    jitter = random.Random(seed)
    frames = [(stream, round((1e3 * i / 30 + start_ms + jitter.uniform(-0.4, 0.4)) * MS))
              for stream, start_ms in (('thermal', 10), ('rgb', 10 + 1e3 / 60)) for i in range(90)]
    synchronizer, out = _run(frames, until_s=10)
    assert synchronizer.pairs >= 89
    assert max(abs(thermal - rgb) for thermal, rgb in _complete_pairs(out)) < 18 * MS
    assert _run(frames, until_s=10, slack_s=0.0)[0].pairs < 85  # each slip costs a frame


def test_a_frame_lost_on_one_side_costs_one_frame_on_the_other():
    frames = _regular('thermal', 30, 2) + _regular('rgb', 30, 2, 4)
    frames.remove(('rgb', round((4 + 1e3 * 20 / 30) * MS)))
    synchronizer, _ = _run(frames)
    assert synchronizer.pairs == 59 and _nonzero_drops(synchronizer) == {'unmatched': 1}


@pytest.mark.parametrize('thermal_hz, rgb_hz, tolerance_s', [
    (9, 15, 0.55 / 15), (15, 9, 0.55 / 15), (30, 30, 0.03), (9, 9, 0.55 / 9), (2, 5, 0.1)])
def test_the_tolerance_follows_the_rates(thermal_hz, rgb_hz, tolerance_s):
    synchronizer, _ = _run(_regular('thermal', thermal_hz, 8) + _regular('rgb', rgb_hz, 8, 7))
    assert synchronizer.tolerance_s == pytest.approx(tolerance_s, rel=0.01)


def test_each_frame_of_a_slower_camera_has_a_partner_at_any_phase():
    for shift_ms in range(0, 111, 10):
        frames = _regular('thermal', 9, 10, shift_ms) + _regular('rgb', 15, 10)
        pairs = _complete_pairs(_run(frames, until_s=12)[1])
        assert len(pairs) >= 85, shift_ms  # of 90; the first ones come before the rates are known
        assert len(_complete_pairs(_run(frames, until_s=12, tolerance_s=0.03)[1])) <= len(pairs)


@pytest.mark.parametrize('slack_ms, second_ms, partner_ms', [
    (0, 20, 0), (0, 19, 19),  # of two thermal frames as close to RGB at 10 ms the first one
    (2, 18, 0), (2, 17, 17),  # the second one must be closer by more than the slack
])
def test_of_equal_partners_the_first_one_is_taken(slack_ms, second_ms, partner_ms):
    frames = [('thermal', 0), ('rgb', 10 * MS), ('thermal', second_ms * MS)]
    synchronizer, out = _run(frames, tolerance_s=0.03, slack_s=slack_ms / 1e3, until_s=1)
    assert _complete_pairs(out) == [(partner_ms * MS, 10 * MS)]
    assert synchronizer.drops['superseded'] == (partner_ms > 0)


def test_beyond_the_tolerance_nothing_pairs():
    frames = _regular('thermal', 10, 2) + _regular('rgb', 10, 2, 40)
    synchronizer, out = _run(frames, tolerance_s=0.0399)
    assert not out and _nonzero_drops(synchronizer) == {'unmatched': 39}
    assert _run(frames, tolerance_s=0.04)[0].pairs == 20


# One camera is absent


@pytest.mark.parametrize('dead', ['thermal', 'rgb'])
@pytest.mark.parametrize('death_s', [0.0, 2.0])
def test_a_dead_camera_delays_the_other_only_once(dead, death_s):
    alive = 'rgb' if dead == 'thermal' else 'thermal'
    frames = _regular(alive, 30, 4) + _regular(dead, 30, death_s)
    synchronizer, out = _run(frames, timeout_s=0.5)
    assert not _nonzero_drops(synchronizer) and synchronizer.waiting == 0
    singles = [(now_s, getattr(pair, alive)) for now_s, pair in out if not _is_complete(pair)]
    assert len(singles) == 120 - 30 * death_s
    for now_s, stamp_ns in singles:
        arrived_s = stamp_ns / 1e9
        assert now_s == arrived_s if arrived_s > death_s + 0.5 else now_s <= death_s + 0.5
    assert all(getattr(pair, dead) is None and pair.thermal_minus_rgb_s is None
               for _, pair in out if not _is_complete(pair))


def test_a_returning_camera_is_paired_again():
    rgb = [frame for frame in _regular('rgb', 30, 6) if not 2e9 < frame[1] < 4e9]
    synchronizer, out = _run(_regular('thermal', 30, 6) + rgb)
    assert synchronizer.pairs == len(rgb) - synchronizer.drops['late']
    assert synchronizer.drops['late'] <= 1  # its first frame, if thermal has already been output
    assert sum(not _is_complete(pair) for _, pair in out) >= 57


def test_cameras_that_start_long_after_the_synchronizer_pair_from_the_first_frame_on():
    synchronizer = PairSynchronizer()
    synchronizer.poll(0.0)
    frames = _regular('thermal', 30, 2, start_ms=5e3) + _regular('rgb', 30, 2, start_ms=5e3)
    _, out = _run(frames, synchronizer, delays_s={'rgb': 0.005})
    assert len(_complete_pairs(out)) == 60 and not _nonzero_drops(synchronizer)


def test_a_returning_camera_is_paired_immediately():
    rgb = _regular('rgb', 30, 1) + _regular('rgb', 30, 2, start_ms=4e3)
    frames = _regular('thermal', 30, 6) + rgb
    synchronizer, out = _run(frames, delays_s={'rgb': 0.005})
    assert len(_complete_pairs(out)) >= 89
    assert synchronizer.drops['late'] <= 1


def test_without_pass_single_frames_are_dropped_as_timeout():
    synchronizer = PairSynchronizer(pass_single=False)
    _, out = _run(_regular('thermal', 30, 2), synchronizer, until_s=3)
    assert not out and _nonzero_drops(synchronizer) == {'timeout': 60}


def test_a_pair_that_waits_for_a_closer_frame_comes_out_at_the_timeout():
    # A second thermal frame might be closer to RGB than the first, but it never arrives.
    _, out = _run([('thermal', 0), ('rgb', 20 * MS)], until_s=1, timeout_s=0.5)
    (now_s, pair), = out
    assert _is_complete(pair) and now_s == pytest.approx(0.5, abs=0.021)


def test_a_stream_that_lags_beyond_the_timeout_does_not_stop_the_other():
    frames = _regular('thermal', 30, 4) + _regular('rgb', 30, 4)
    synchronizer, out = _run(frames, delays_s={'rgb': 1.0}, timeout_s=0.3, until_s=6)
    assert synchronizer.pairs == 0 and synchronizer.drops['late'] >= 85
    assert [pair.thermal for _, pair in out if pair.thermal is not None] == \
        [stamp_ns for _, stamp_ns in _regular('thermal', 30, 4)]


# Irregular streams


def test_a_bag_that_starts_again_pairs_again_at_once():
    synchronizer = PairSynchronizer(PairingParameters())
    now_s, pairs_of_loop = 0.0, []
    for _ in range(3):
        before = synchronizer.pairs
        for i in range(60):
            now_s += 1 / 30
            synchronizer.add('thermal', 10**9 + i * 33 * MS, i, now_s)
            synchronizer.add('rgb', 10**9 + (i * 33 + 2) * MS, i, now_s)
        pairs_of_loop.append(synchronizer.pairs - before)
    assert pairs_of_loop == [60, 60, 60]
    assert not _nonzero_drops(synchronizer)


def test_waiting_frames_are_dropped_when_the_clock_jumps_back():
    synchronizer = PairSynchronizer(PairingParameters(clock_jump_s=1.0))
    for i in range(5):
        synchronizer.add('thermal', 100 * 10**9 + i * 33 * MS, i, i / 30)
    synchronizer.add('thermal', 10**9, 'first', 0.2)
    assert _nonzero_drops(synchronizer) == {'clock_jump': 5} and synchronizer.waiting == 1
    assert synchronizer.add('rgb', 10**9, 'first', 0.2)[0].thermal == 'first'


def test_a_late_frame_of_the_old_loop_does_not_stop_the_new_one():
    synchronizer = PairSynchronizer(PairingParameters())
    old, new = 100 * 10**9, 10**9
    stamps = [('thermal', old), ('rgb', old), ('thermal', new), ('rgb', old + 33 * MS)]
    stamps += [(stream, new + i * 33 * MS) for i in range(1, 20) for stream in ('thermal', 'rgb')]
    for i, (stream, stamp_ns) in enumerate(stamps):
        synchronizer.add(stream, stamp_ns, stamp_ns, i / 60)
    assert synchronizer.pairs >= 19


def test_pairing_recovers_from_one_stamp_far_in_the_future():
    frames = _regular('thermal', 30, 4) + _regular('rgb', 30, 4)
    synchronizer = PairSynchronizer(PairingParameters())
    for i, (stream, stamp_ns) in enumerate(sorted(frames, key=lambda frame: frame[1])):
        glitch_ns = 10**12 if i == 101 else 0
        synchronizer.add(stream, stamp_ns + glitch_ns, stamp_ns, stamp_ns / 1e9)
    assert synchronizer.pairs >= 117


def test_duplicates_are_counted_waiting_or_decided():
    synchronizer = PairSynchronizer(PairingParameters())
    synchronizer.add('thermal', 1000, 'a', 0.0)
    synchronizer.add('thermal', 1000, 'b', 0.0)
    (pair,) = synchronizer.add('rgb', 1000, 'c', 0.0)
    synchronizer.add('rgb', 1000, 'd', 0.0)
    synchronizer.add('thermal', 1000, 'e', 0.0)
    assert (pair.thermal, pair.rgb) == ('a', 'c')
    assert _nonzero_drops(synchronizer) == {'duplicate': 3}


def test_a_frame_out_of_order_is_used_until_a_later_one_is_decided():
    synchronizer = PairSynchronizer(PairingParameters())
    for stamp_ms in (100, 166, 133):  # out of order, but still usable
        synchronizer.add('thermal', stamp_ms * MS, stamp_ms, 0.0)
    pairs = [pair for stamp_ms in (100, 133, 166)
             for pair in synchronizer.add('rgb', stamp_ms * MS, stamp_ms, 0.0)]
    assert [(pair.thermal, pair.rgb) for pair in pairs] == [(100, 100), (133, 133), (166, 166)]
    synchronizer.add('thermal', 150 * MS, 150, 0.0)
    assert _nonzero_drops(synchronizer) == {'out_of_order': 1}


def test_rgb_that_arrives_after_a_later_output_is_late():
    synchronizer = PairSynchronizer(PairingParameters(timeout_s=0.5))
    synchronizer.add('thermal', 1000 * MS, 't', 0.0)
    assert synchronizer.poll(0.6)[0].rgb is None
    assert synchronizer.add('rgb', 999 * MS, 'r', 0.7) == []
    assert _nonzero_drops(synchronizer) == {'late': 1}


def test_a_full_queue_keeps_the_newest():
    synchronizer = PairSynchronizer(PairingParameters(queue_size=3, timeout_s=60.0))
    for i in range(10):
        synchronizer.add('thermal', i * 33 * MS, i, 0.0)
    assert synchronizer.waiting == 3 and _nonzero_drops(synchronizer) == {'queue_full': 7}
    assert synchronizer.add('rgb', 9 * 33 * MS, 'r', 0.0)[0].thermal == 9


def test_frames_time_out_after_the_clock_is_set_back():
    synchronizer = PairSynchronizer(PairingParameters(timeout_s=0.5))
    synchronizer.add('thermal', 0, 't', 1000.0)
    assert synchronizer.poll(5.0) == []
    assert synchronizer.poll(5.6)[0].thermal == 't'


def test_an_unknown_stream_is_refused():
    with pytest.raises(ValueError, match="'depth'; known: thermal, rgb"):
        PairSynchronizer(PairingParameters()).add('depth', 0, None, 0.0)


def test_parameters_have_limits():
    values = {each.name: each.default for each in declarations(PairingParameters)}
    assert build(PairingParameters, values) == PairingParameters()
    with pytest.raises(ParameterError):
        build(PairingParameters, {'queue_size': 0})


# Invariants for any streams


STREAMS = st.sampled_from(['thermal', 'rgb'])


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_every_frame_is_accounted_for(data):
    parameters = PairingParameters(
        tolerance_s=data.draw(st.sampled_from([0.0, 1e-9, 0.01, 0.03, 0.2])),
        timeout_s=data.draw(st.sampled_from([0.05, 0.5])),
        queue_size=data.draw(st.integers(1, 6)),
        slack_s=data.draw(st.sampled_from([0.0, 0.002])),
        thermal_offset_s=data.draw(st.sampled_from([0.0, -0.04, 0.3])),
        clock_jump_s=data.draw(st.sampled_from([0.0, 0.1, 1.0])))
    pass_single = data.draw(st.booleans())
    synchronizer = PairSynchronizer(parameters, pass_single)
    offset_ns = round(parameters.thermal_offset_s * 1e9)
    out, now_s, stamps_ms, used = [], 0.0, {'thermal': 1000, 'rgb': 1000}, Counter()
    last = {'thermal': None, 'rgb': None, 'time': None}
    jumps, reset = [], synchronizer._reset

    def record_reset():
        jumps.append(now_s)
        reset()

    synchronizer._reset = record_reset
    for i in range(data.draw(st.integers(0, 50))):
        now_s += data.draw(st.sampled_from([0.0, 0.01, 0.03, 0.6]))
        jumps.clear()
        if data.draw(st.integers(0, 9)) == 0:
            decided = synchronizer.poll(now_s)
        else:
            stream = data.draw(STREAMS)
            stamps_ms[stream] += data.draw(st.sampled_from(
                [33, 33, 33, 16, 5, 1, 66, 0, -10, -33, -500, -2000, 3000]))
            stamp_ns = stamps_ms[stream] * MS
            corrected = stamp_ns + (offset_ns if stream == 'thermal' else 0)
            decided = synchronizer.add(stream, stamp_ns, (i, stream, corrected), now_s)
        if jumps:
            last = dict.fromkeys(last)  # the clock restarts
        for pair in decided:
            _check_pair(pair, parameters, used, last)
            assert pass_single or _is_complete(pair)
        out += decided
        _check_counts(synchronizer, out)
        assert synchronizer.waiting <= 2 * parameters.queue_size
    assert not used or max(used.values()) == 1  # each frame at most once
    # After the timeout no frame waits.
    synchronizer.poll(now_s + parameters.timeout_s + 1e-6)
    assert synchronizer.waiting == 0


def _check_pair(pair: Pair, parameters, used, last) -> None:
    """Check the streams, the tolerance and the ascending time of a pair."""
    for stream, item in (('thermal', pair.thermal), ('rgb', pair.rgb)):
        if item is None:
            continue
        assert item[1] == stream
        used[item[0]] += 1
        assert last[stream] is None or item[2] > last[stream]
        last[stream] = item[2]
    time_ns = (pair.rgb or pair.thermal)[2]
    assert last['time'] is None or time_ns > last['time']
    last['time'] = time_ns
    if _is_complete(pair):
        difference_ns = pair.thermal[2] - pair.rgb[2]
        assert abs(difference_ns) <= (parameters.tolerance_s or 0.1) * 1e9
        assert pair.thermal_minus_rgb_s == pytest.approx(difference_ns / 1e9)
    else:
        assert (pair.thermal is None) != (pair.rgb is None)


def _closest_first(thermal, rgb, tolerance):
    """Match offline: closest pair first, earliest of equal ones first, without crossings."""
    chosen = []
    for _, _, t, r in sorted((abs(t - r), t + r, t, r) for t in thermal for r in rgb):
        if abs(t - r) <= tolerance and all((t - t0) * (r - r0) > 0 for t0, r0 in chosen):
            chosen.append((t, r))
    return sorted(chosen)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_online_pairs_are_those_of_closest_first(data):
    """Use regular cameras with lost frames: no early decision may be wrong."""
    stamps = []
    for _ in range(2):
        start, period = data.draw(st.integers(0, 400)), data.draw(st.integers(20, 240))
        # The first two frames define the rate of the camera.
        kept = [True, True] + data.draw(st.lists(st.booleans(), min_size=8, max_size=8))
        stamps.append([start + period * i for i, keep in enumerate(kept) if keep])
    thermal, rgb = stamps
    tolerance = data.draw(st.sampled_from([0, 11, 61, 301]))
    frames = [('thermal', t * MS) for t in thermal] + [('rgb', r * MS) for r in rgb]
    delays_s = {'rgb': data.draw(st.sampled_from([0.0, 0.05, 0.3]))}
    synchronizer, out = _run(frames, tolerance_s=tolerance / 1e3 or 1e-9, timeout_s=50.0,
                             slack_s=0.0, delays_s=delays_s, until_s=70)
    pairs = [(t // MS, r // MS) for t, r in _complete_pairs(out)]
    assert pairs == _closest_first(thermal, rgb, tolerance)
    assert synchronizer.waiting == 0
