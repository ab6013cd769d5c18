# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Live cameras whose stamps are zero, constant, or by clocks that differ."""

from __future__ import annotations

import time

from conftest import wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402, I100
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages, topic_checks, transport  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

RANDOM = np.random.default_rng(0)
THERMAL = RANDOM.integers(0, 256, (48, 64), np.uint8)
RGB = RANDOM.integers(0, 256, (48, 64, 3), np.uint8)
CONSTANT_NS = 1_650_000_000_000_000_000


class CameraPair:
    """A fusion node, and two cameras at 20 Hz with clocks of their own."""

    def __init__(self, graph, monkeypatch, **overrides) -> None:
        monkeypatch.setattr(topic_checks, 'SILENCE_TIMEOUT_S', 1.0)
        self.statuses: list[DiagnosticStatus] = []
        self.fused: list[int] = []
        observer = graph.node('observer')
        observer.create_subscription(DiagnosticArray, '/diagnostics',
                                     lambda m: self.statuses.extend(m.status), 10)
        observer.create_subscription(
            messages.IMAGE.message_type, 'fused/image',
            lambda m: self.fused.append(messages.stamp_ns_of(m.header)), 10)
        self.node = graph.add(FusionNode, parameter_overrides=[
            Parameter(name, value=value)
            for name, value in {'fusion.method': 'average', **overrides}.items()])
        assert self.node.autostart()
        cameras = graph.stranger('cameras')
        self._publishers = [cameras.create_publisher(messages.IMAGE.message_type, topic, 5)
                            for topic in ('thermal/image_raw', 'rgb/image_raw')]
        assert wait_until(lambda: all(p.get_subscription_count() for p in self._publishers))

    def publish_until(self, condition, thermal_clock, rgb_clock=time.time_ns, timeout_s=60.0):
        """Publish pairs with stamps by these clocks until the condition is true."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            for publisher, image, clock in zip(self._publishers, (THERMAL, RGB),
                                               (thermal_clock, rgb_clock)):
                noisy = image ^ RANDOM.integers(0, 4, image.shape, np.uint8)
                publisher.publish(messages.image_to_message(Frame(noisy, clock(), 'camera')))
            if wait_until(condition, 0.05):
                return True
        return False

    def has_warned(self, text):
        return any(text in status.message for status in self.statuses)

    def read_value(self, key):
        return next((value.value for status in reversed(self.statuses)
                     for value in status.values if value.key == key), None)


def test_the_time_of_arrival_stands_in_for_stamps_of_zero(live_graph, monkeypatch):
    pair = CameraPair(live_graph, monkeypatch)
    before_ns = time.time_ns()
    assert pair.publish_until(lambda: len(pair.fused) >= 5, lambda: 0, lambda: 0)
    assert all(before_ns < stamp_ns < time.time_ns() for stamp_ns in pair.fused)
    assert len(set(pair.fused)) == len(pair.fused)
    for topic in ('/thermal/image_raw', '/rgb/image_raw'):
        assert pair.publish_until(
            lambda t=topic: pair.has_warned(f"the stamps of '{t}' are 0: the time of arrival"),
            lambda: 0, lambda: 0)
    # That is about the present: with real stamps the warning ends.
    monkeypatch.setattr(transport, '_UNSTAMPED_PERIOD_S', 0.5)
    assert pair.publish_until(
        lambda: 'are 0' not in [status for status in pair.statuses
                                if status.name == '/fusion'][-1].message, time.time_ns)


def test_constant_stamps_are_named_and_can_be_paired_by_arrival(live_graph, monkeypatch):
    pair = CameraPair(live_graph, monkeypatch)
    assert pair.publish_until(
        lambda: pair.has_warned("the stamps of '/thermal/image_raw' do not advance; set "
                                "pairing.match to 'arrival'"), lambda: CONSTANT_NS)
    assert not pair.has_warned("'/rgb/image_raw' do not advance")


def test_pairing_by_arrival_does_not_look_at_the_stamps(live_graph, monkeypatch):
    pair = CameraPair(live_graph, monkeypatch, **{'pairing.match': 'arrival'})
    assert pair.publish_until(lambda: len(pair.fused) >= 10, lambda: CONSTANT_NS)
    assert pair.node.diagnose()[1].get('thermal_minus_rgb_ms.p50', 1e9) < 30.0


def test_the_offset_of_two_clocks_is_proposed_and_can_be_set(live_graph, monkeypatch):
    def count_since_boot() -> int:
        return time.monotonic_ns() - start_ns + 5_000_000_000

    start_ns = time.monotonic_ns()
    offset_s = 5.0 - time.time()  # of the thermal clock
    pair = CameraPair(live_graph, monkeypatch)
    assert pair.publish_until(
        lambda: pair.has_warned('stamps of the two cameras differ by more than'), count_since_boot)
    warning = next(status.message for status in pair.statuses if 'differ by' in status.message)
    proposed_s = float(warning.split('pairing.thermal_offset_s to ')[1].split(',')[0])
    assert proposed_s == pytest.approx(-offset_s, abs=0.2)
    assert float(pair.read_value('stamp_offset_s')) == pytest.approx(offset_s, abs=0.2)

    pair.node.destroy_node()
    live_graph.nodes.remove(pair.node)
    set_right = CameraPair(live_graph, monkeypatch, **{'pairing.thermal_offset_s': proposed_s})
    assert set_right.publish_until(lambda: len(set_right.fused) >= 5, count_since_boot)
