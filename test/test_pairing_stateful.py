# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Pairing under any sequence of frames, stamps and times keeps what its documentation says."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule, RuleBasedStateMachine
from ivf_ros.pairing import DROP_REASONS, Pair, PairingParameters, PairSynchronizer, STREAMS
from machine_settings import machine_settings
import pytest

MS = 1_000_000
REJECTIONS = ('late', 'out_of_order', 'duplicate')  # of a frame when it is added


def other_of(stream: str) -> str:
    """Return the other camera."""
    return STREAMS[1 - STREAMS.index(stream)]


class PairingMachine(RuleBasedStateMachine):
    """
    Two cameras with any stamps, and a model of what the synchronizer has promised.

    An item is the number of its frame; ``frames`` has its stream and its corrected time.
    """

    @initialize(
        tolerance_s=st.sampled_from([0.0, 0.0, 0.005, 0.05]),
        timeout_s=st.sampled_from([0.05, 0.5, 5.0]), queue_size=st.sampled_from([60, 60, 4, 1]),
        match=st.sampled_from(['stamps', 'stamps', 'stamps', 'arrival']),
        offsets_s=st.sampled_from([(0.0, 0.0), (0.0, 0.0), (0.04, 0.0), (1e9, 1e9), (0.0, -0.25)]),
        clock_jump_s=st.sampled_from([1.0, 1.0, 0.2, 0.0]),
        slack_s=st.sampled_from([0.002, 0.0, 0.1]),
        pass_single=st.booleans(), first_ns=st.sampled_from([0, 10 ** 9, 1_700_000_000 * 10 ** 9]))
    def start(self, offsets_s, pass_single, first_ns, **parameters):
        self.parameters = PairingParameters(
            thermal_offset_s=offsets_s[0], rgb_offset_s=offsets_s[1], **parameters)
        self.pass_single = pass_single
        self.synchronizer = PairSynchronizer(self.parameters, pass_single)
        self.now_s = 100.0
        self.latest_ns = dict.fromkeys(STREAMS, first_ns)  # stamp of the latest frame
        self.period_ns = {'thermal': 33 * MS, 'rgb': 33 * MS}
        self.frames: list[tuple[str, int]] = []
        self.output: list[Pair] = []
        self.calls: list[tuple] = []
        self.drops = dict(self.synchronizer.drops)
        self.forget()

    def forget(self):
        """Begin anew, as the synchronizer does where a stamp jumps back."""
        self.newest_ns = dict.fromkeys(STREAMS, None)  # of the accepted frames
        self.last_ns = dict.fromkeys(STREAMS, None)  # of the frames that were output
        self.last_output_ns = None

    # What cameras and clocks do.

    @rule(stream=st.sampled_from(STREAMS), period_ms=st.sampled_from([8, 33, 40, 111]))
    def change_rate(self, stream, period_ms):
        self.period_ns[stream] = period_ms * MS

    @rule(delta_s=st.sampled_from([0.0, 0.004, 0.033, 0.3, 6.0]))
    def wait(self, delta_s):
        self.now_s += delta_s

    @rule()
    def set_the_clock_back(self):
        self.now_s -= 50.0

    @rule(count=st.integers(1, 6), jitter_ms=st.integers(-10, 10), first=st.sampled_from(STREAMS))
    def both_cameras_deliver(self, count, jitter_ms, first):
        for _ in range(count):
            for stream in (first, other_of(first)):
                self.add(stream, self.latest_ns[stream] + self.period_ns[stream] + jitter_ms * MS)
            self.now_s += self.period_ns[first] / 1e9

    @rule(stream=st.sampled_from(STREAMS), count=st.integers(1, 6))
    def one_camera_delivers(self, stream, count):
        for _ in range(count):
            self.add(stream, self.latest_ns[stream] + self.period_ns[stream])
            self.now_s += self.period_ns[stream] / 1e9

    @rule(stream=st.sampled_from(STREAMS), is_first=st.booleans())
    def a_frame_comes_twice(self, stream, is_first):
        """Send the copy after the frame of the other camera, or before it."""
        stamp_ns = self.latest_ns[stream] + self.period_ns[stream]
        for _ in range(2):
            self.add(stream, stamp_ns)
            if not is_first:
                self.one_camera_delivers(other_of(stream), 1)

    @rule(stream=st.sampled_from(STREAMS))
    def frames_overtake_each_other(self, stream):
        """Check that frames of equal stamps are paired, in whatever order they arrive."""
        p = self.parameters
        self.wait_for_the_timeout()
        n_before, start_ns = len(self.output), max(self.latest_ns.values()) + 10 ** 10
        for sender, numbers in ((stream, (2, 1, 3)), (other_of(stream), (1, 2, 3))):
            for number in numbers:
                self.add(sender, start_ns + number * 33 * MS)
        self.wait_for_the_timeout()
        if p.match == 'stamps' and p.thermal_offset_s == p.rgb_offset_s and p.queue_size >= 3 \
                and p.clock_jump_s >= 0.2:
            pairs = self.output[n_before:]
            assert [pair.thermal_minus_rgb_s for pair in pairs] == [0.0] * 3

    @rule(stream=st.sampled_from(STREAMS))
    def a_frame_of_the_past_comes_before_the_next_of_the_other_camera(self, stream):
        self.both_cameras_deliver(2, 0, stream)
        self.add(stream, self.latest_ns[stream] - MS)
        self.add(other_of(stream), self.latest_ns[other_of(stream)] + 8 * MS)
        self.wait_for_the_timeout()

    @rule(stream=st.sampled_from(STREAMS))
    def a_camera_is_late_by_more_than_the_timeout(self, stream):
        """Let the other camera be output alone, then send frames of the same stamps."""
        other = other_of(stream)
        self.latest_ns[stream] = self.latest_ns[other]
        self.period_ns[stream] = self.period_ns[other]
        self.one_camera_delivers(other, 2)
        self.wait_for_the_timeout()
        self.one_camera_delivers(stream, 3)
        self.wait_for_the_timeout()

    @rule(stream=st.sampled_from(STREAMS))
    def a_stamp_is_zero(self, stream):
        self.add(stream, 0)

    @rule(stream=st.sampled_from(STREAMS), back_ms=st.sampled_from([1, 50, 150, 250, 3_600_000]))
    def a_stamp_goes_back(self, stream, back_ms):
        self.add(stream, self.latest_ns[stream] - back_ms * MS)

    @rule(stream=st.sampled_from(STREAMS), ahead_s=st.sampled_from([0.2, 2, 86400]))
    def a_stamp_is_in_the_future(self, stream, ahead_s):
        self.add(stream, self.latest_ns[stream] + round(ahead_s * 1e9))

    @rule()
    def poll(self):
        self.calls.append(('poll', self.now_s))
        self.check_output(self.synchronizer.poll(self.now_s))

    @rule()
    def wait_for_the_timeout(self):
        """Nothing waits for longer than the timeout."""
        self.poll()  # which starts the timeouts again if the clock was set back
        self.now_s += self.parameters.timeout_s + 1e-3
        self.poll()
        assert self.synchronizer.waiting == 0

    def add(self, stream, stamp_ns):
        item = len(self.frames)
        time_ns = round(self.now_s * 1e9) if self.parameters.match == 'arrival' else stamp_ns
        time_ns += round(getattr(self.parameters, f'{stream}_offset_s') * 1e9)
        self.frames.append((stream, time_ns))
        self.latest_ns[stream] = stamp_ns
        newest_ns = self.newest_ns[stream]
        if newest_ns is not None and newest_ns - time_ns > self.parameters.clock_jump_s * 1e9:
            self.forget()
        self.calls.append(('add', stream, stamp_ns, item, self.now_s))
        is_first = self.last_output_ns is None
        n_late = self.synchronizer.drops['late']
        rejected = [self.synchronizer.drops[reason] for reason in REJECTIONS]
        decided = self.synchronizer.add(stream, stamp_ns, item, self.now_s)
        if rejected == [self.synchronizer.drops[reason] for reason in REJECTIONS]:
            newest_ns = self.newest_ns[stream]
            self.newest_ns[stream] = time_ns if newest_ns is None else max(newest_ns, time_ns)
        # Nothing is late before the first output, also after a reset.
        assert not is_first or self.synchronizer.drops['late'] == n_late
        self.check_output(decided)

    # What the synchronizer promises.

    def check_output(self, decided):
        for pair in decided:
            present = [(name, self.frames[item][1]) for name, item
                       in (('thermal', pair.thermal), ('rgb', pair.rgb)) if item is not None]
            assert [self.frames[item][0] for item in (pair.thermal, pair.rgb)
                    if item is not None] == [name for name, _ in present]
            if len(present) == 2:
                difference_ns = present[0][1] - present[1][1]
                assert abs(difference_ns) <= round(self.synchronizer.tolerance_s * 1e9)
                assert pair.thermal_minus_rgb_s == difference_ns / 1e9
            else:
                assert self.pass_single and pair.thermal_minus_rgb_s is None
            for name, time_ns in present:  # the frames of a camera keep their order
                assert self.last_ns[name] is None or time_ns > self.last_ns[name]
                self.last_ns[name] = time_ns
            output_ns = present[-1][1]  # of RGB, or of thermal alone
            assert self.last_output_ns is None or output_ns > self.last_output_ns
            self.last_output_ns = output_ns
            self.output.append(pair)

    @invariant()
    def every_frame_is_in_exactly_one_place(self):
        synchronizer = self.synchronizer
        items = [item for pair in self.output for item in (pair.thermal, pair.rgb)
                 if item is not None]
        assert len(items) == len(set(items))
        assert synchronizer.pairs == sum(pair.thermal_minus_rgb_s is not None
                                         for pair in self.output)
        assert synchronizer.added == len(self.frames)
        assert len(self.frames) == len(items) + sum(synchronizer.drops.values()) \
            + synchronizer.waiting

    @invariant()
    def drops_are_counted_under_known_reasons(self):
        assert tuple(self.synchronizer.drops) == DROP_REASONS
        assert all(self.synchronizer.drops[reason] >= before
                   for reason, before in self.drops.items())
        self.drops = dict(self.synchronizer.drops)

    @invariant()
    def memory_is_bounded(self):
        assert self.synchronizer.waiting <= 2 * self.parameters.queue_size

    @invariant()
    def the_tolerance_is_the_set_one_or_follows_the_rates(self):
        tolerance_s = self.synchronizer.tolerance_s
        assert tolerance_s == pytest.approx(self.parameters.tolerance_s) \
            if self.parameters.tolerance_s else 0.03 <= tolerance_s <= 0.1

    def teardown(self):
        """Check that the same calls give the same pairs."""
        if not hasattr(self, 'calls'):
            return
        again = PairSynchronizer(self.parameters, self.pass_single)
        output = [pair for name, *arguments in self.calls
                  for pair in getattr(again, name)(*arguments)]
        assert [(pair.thermal, pair.rgb) for pair in output] == \
            [(pair.thermal, pair.rgb) for pair in self.output]


TestPairing = PairingMachine.TestCase
TestPairing.settings = machine_settings(80, stateful_step_count=30)
