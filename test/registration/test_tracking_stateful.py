# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The tracker under any sequence of measurements, stamps and sizes keeps its documented states."""

from __future__ import annotations

import math

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, RuleBasedStateMachine
from ivf_ros import geometry
from ivf_ros.registration import RegistrationTracker, TrackerParameters
from ivf_ros.types import Registration, RegistrationState
from machine_settings import machine_settings
import numpy as np

TRACKING, HOLDING, PRIOR, LOST = RegistrationState
MEASURED = (TRACKING, HOLDING)
THERMAL_SIZES = ((160, 128), (320, 256), (160, 120))
RGB_SIZES = ((640, 480), (320, 240), (640, 360))
TOLERANCE_S = 1e-6


class ScriptedRegistrar:
    """Returns what the test sets: a homography of thermal 160x128 to RGB 640x480, or a reason."""

    measurement: np.ndarray | str = ''
    state = TRACKING
    confidence = 1.0

    def register(self, thermal, rgb, prior=None) -> Registration:
        """Return the measurement at the sizes of these images."""
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        assert prior is None or (prior.shape == (3, 3) and np.isfinite(prior).all())
        if isinstance(self.measurement, str):
            return Registration(geometry.stretch(*sizes), 0.0, 0, LOST, sizes[1],
                                reason=self.measurement)
        to_rgb = geometry.stretch((640, 480), sizes[1])
        H = to_rgb @ self.measurement @ geometry.stretch(sizes[0], (160, 128))
        H = geometry.normalize_homography(H)
        reason = geometry.check(H, *sizes)
        assert not reason, reason
        return Registration(H, self.confidence, 40, self.state, sizes[1], age_s=0.0)


@st.composite
def homographies(draw) -> np.ndarray:
    """Return a plausible homography: a resize with a shift, a turn and a change of scale."""
    dx_px, dy_px = (draw(st.integers(-60, 60)) for _ in 'xy')
    turn = geometry.rotation(draw(st.floats(-0.1, 0.1)), (320, 240))
    scale = draw(st.floats(0.8, 1.2))
    return geometry.translation(dx_px, dy_px) @ turn @ geometry.scaling(scale, scale) \
        @ geometry.stretch((160, 128), (640, 480))


class TrackingMachine(RuleBasedStateMachine):
    """A rig with a scripted registrar, any clock, any image sizes, and what the states mean."""

    @initialize(
        has_prior=st.booleans(), fresh_s=st.sampled_from([0.0, 0.5, 2.0]),
        hold_s=st.sampled_from([10.0, 2.0, 0.0]), acquire_count=st.sampled_from([2, 1, 3]),
        relock_count=st.sampled_from([1, 3, 5]), relock_s=st.sampled_from([0.0, 2.0]),
        max_jump_px=st.sampled_from([0.0, 16.0]), start_s=st.sampled_from([0.0, 1.7e9]))
    def start(self, has_prior, start_s, **parameters):
        self.parameters = TrackerParameters(**parameters)
        self.prior = geometry.stretch((160, 128), (640, 480)) if has_prior else None
        self.tracker, self.registrar = self.make_tracker()
        self.now_s = self.start_s = start_s
        self.thermal = np.zeros((128, 160), np.uint8)
        self.rgb = np.zeros((480, 640, 3), np.uint8)
        self.calls: list[tuple] = []
        self.results: list[Registration] = []
        self.accepted_s: float | None = None  # stamp of the latest accepted measurement

    def make_tracker(self):
        registrar = ScriptedRegistrar()
        return RegistrationTracker(registrar, self.parameters, self.prior), registrar

    @rule(delta_s=st.sampled_from([0.001, 0.1, 1.0, 3.0, 60.0]))
    def wait(self, delta_s):
        self.now_s += delta_s

    @rule(H=homographies(), confidence=st.floats(0.0, 1.0), count=st.integers(1, 8),
          period_s=st.sampled_from([0.0, 0.1, 0.7]),
          delta_s=st.sampled_from([0.4, 1.9, 2.1, 9.0]))
    def the_method_measures(self, H, confidence, count, period_s, delta_s):
        for _ in range(count):
            self.now_s += period_s
            self.update(H, confidence)
        self.ask_without_a_measurement(delta_s)

    @rule(H=homographies(), count=st.integers(1, 4))
    def the_method_alternates(self, H, count):
        for _ in range(count):
            self.now_s += 0.1
            self.update(H, 0.9)
            self.update('textureless', 0.0)

    @rule(count=st.integers(1, 4), reason=st.sampled_from(['textureless', 'few matches: 3']))
    def the_method_refuses(self, count, reason):
        for _ in range(count):
            self.now_s += 0.1
            self.update(reason, 0.0)

    @rule(count=st.integers(1, 4))
    def thermal_freezes(self, count):
        for _ in range(count):
            self.now_s += 0.1
            self.update('', 0.0, is_live=False)

    @rule(back_s=st.sampled_from([0.001, 1.0, 3600.0]))
    def the_clock_goes_back(self, back_s):
        """Nothing is left of the measurements before a stamp that goes back."""
        if not self.results:
            return
        self.now_s = self.latest_s - back_s
        result = self.update('textureless', 0.0)
        assert result.state in (PRIOR, LOST), result
        assert math.isinf(result.age_s)

    @rule(thermal_size=st.sampled_from(THERMAL_SIZES), rgb_size=st.sampled_from(RGB_SIZES))
    def the_images_change_their_size(self, thermal_size, rgb_size):
        """Another resolution rescales what is known; another aspect ratio forgets it."""
        before = self.results[-1] if self.results else None
        old = geometry.size_of(self.thermal), geometry.size_of(self.rgb)
        self.thermal = np.zeros(thermal_size[::-1], np.uint8)
        self.rgb = np.zeros((*rgb_size[::-1], 3), np.uint8)
        result = self.update('textureless', 0.0)
        if before is None or (thermal_size, rgb_size) == old:
            return
        if any(a[0] * b[1] != a[1] * b[0] for a, b in zip(old, (thermal_size, rgb_size))):
            assert result.state in (PRIOR, LOST), result
            self.accepted_s = None
        elif result.state in MEASURED:
            expected = geometry.rescale_homography(before.H_thermal_to_rgb, *(
                (new[0] / then[0], new[1] / then[1])
                for then, new in zip(old, (thermal_size, rgb_size))))
            assert geometry.corner_error_px(result.H_thermal_to_rgb, expected,
                                            thermal_size) < 1e-3 * rgb_size[0]

    @rule(delta_s=st.sampled_from([0.0, 0.4, 1.9, 5.0, 100.0]))
    def ask_without_a_measurement(self, delta_s):
        """Only age and what follows from it change without a measurement."""
        if not self.results:
            return
        now, later = (self.tracker.current(self.now_s + t_s) for t_s in (0.0, delta_s))
        self.check(now, self.now_s)
        self.check(later, self.now_s + delta_s)
        order = list(RegistrationState)
        assert order.index(later.state) >= order.index(now.state)
        if later.state in MEASURED:
            assert later.confidence <= now.confidence and later.age_s >= now.age_s
            np.testing.assert_array_equal(later.H_thermal_to_rgb, now.H_thermal_to_rgb)

    @rule()
    def discard_the_measurements(self):
        """Nothing is left after a reset."""
        self.calls.append(('reset',))
        self.tracker.reset()
        self.accepted_s = None
        if self.results:
            assert self.tracker.current(self.now_s).state in (PRIOR, LOST)

    def update(self, measurement, confidence, is_live=True):
        images = self.thermal, self.rgb
        self.calls.append(('update', measurement, confidence, *images, self.now_s, is_live))
        self.registrar.measurement, self.registrar.confidence = measurement, confidence
        if self.results and self.now_s < self.latest_s:
            self.accepted_s = None
        self.latest_s = self.now_s
        n_states, n_rejections = (sum(counter.values()) for counter in (
            self.tracker.states, self.tracker.rejections))
        result = self.tracker.update(*images, self.now_s, thermal_live=is_live)
        assert sum(self.tracker.states.values()) == n_states + 1
        assert sum(self.tracker.rejections.values()) == n_rejections + bool(result.reason)
        if isinstance(measurement, str) or not is_live:
            assert result.reason
            assert result.state is not TRACKING or self.accepted_s is not None
        if not result.reason:
            self.accepted_s = self.now_s
        self.results.append(result)
        self.check(result, self.now_s)
        return result

    def check(self, result, stamp_s):
        """Compare a result with the table of the states."""
        p, sizes = self.parameters, (geometry.size_of(self.thermal), geometry.size_of(self.rgb))
        assert result.rgb_size == sizes[1]
        assert 0.0 <= result.confidence <= 1.0 and result.inliers >= 0
        assert result.corner_deviation_px > 0 and result.age_s >= 0
        assert not geometry.check(result.H_thermal_to_rgb, *sizes)
        if self.accepted_s is None:
            assert result.state not in MEASURED and math.isinf(result.age_s)
            return
        age_s = stamp_s - self.accepted_s
        assert result.state not in MEASURED or abs(result.age_s - age_s) < TOLERANCE_S
        if result.state is TRACKING:
            assert age_s <= p.fresh_s + TOLERANCE_S
        if result.state is HOLDING:
            assert age_s <= p.hold_s + TOLERANCE_S
        if result.state is LOST:
            assert result.confidence == 0.0

    def teardown(self):
        """Check that the same calls give the same results."""
        if not hasattr(self, 'calls'):
            return
        tracker, registrar = self.make_tracker()
        results = []
        for name, *arguments in self.calls:
            if name == 'reset':
                tracker.reset()
                continue
            registrar.measurement, registrar.confidence, *images_and_time = arguments
            results.append(tracker.update(*images_and_time))
        for result, expected in zip(results, self.results, strict=True):
            assert (result.state, result.reason) == (expected.state, expected.reason)
            np.testing.assert_array_equal(result.H_thermal_to_rgb, expected.H_thermal_to_rgb)


TestTracking = TrackingMachine.TestCase
TestTracking.settings = machine_settings(30, stateful_step_count=20)
