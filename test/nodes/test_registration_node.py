# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The live registration tells the present, and fusion draws no thermal that it contradicts."""

from __future__ import annotations

from dataclasses import replace
import time

from conftest import wait_until
import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402, I100
from ivf_ros import geometry  # noqa: E402
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from test_nodes import Cameras, H_TRUE, make_info, publish_infos, SIZE, start  # noqa: E402


def start_graph(live_graph, **parameters):
    """Return cameras, and registration and fusion that run."""
    cameras, hub = Cameras(live_graph), Hub()
    cameras.listen('fused/image', messages.IMAGE)
    cameras.listen('registration/homography', messages.HOMOGRAPHY)
    registration = start(live_graph, RegistrationNode, hub=hub, max_rate_hz=20.0, **parameters)
    fusion = start(live_graph, FusionNode, hub=hub, **{'fusion.method': 'average'})
    cameras.wait_for_subscribers(2)
    return cameras, registration, fusion


def state_of(node):
    return node.diagnose()[1].get('state')


def test_silent_cameras_let_the_state_in_the_diagnostics_age(live_graph):
    cameras, registration, _ = start_graph(live_graph, **{
        'tracker.hold_s': 6.0})
    assert cameras.publish_until(lambda: registration.stage.tracker.states['TRACKING'] >= 3)
    seen = []

    def is_lost():
        seen.append((state_of(registration), registration.diagnose()[1]['age_s']))
        return seen[-1][0] == 'LOST'

    assert cameras.publish_until(is_lost, streams=('rgb',))  # one silent camera is enough
    assert 'HOLDING' in dict(seen)
    assert seen[-1][1] > 6.0 and registration.diagnose()[1]['confidence'] == 0
    assert cameras.publish_until(lambda: state_of(registration) == 'TRACKING')


@pytest.mark.parametrize('turn', [lambda image: image[::-1, ::-1], lambda image: image[:, ::-1]],
                         ids=['upside down', 'mirrored'])
def test_thermal_that_turns_is_not_drawn_any_more_and_said(live_graph, turn):
    # a contradiction ends the homography, and not its age
    cameras, registration, fusion = start_graph(live_graph, **{'tracker.hold_s': 3600.0})
    assert cameras.publish_until(
        lambda: state_of(registration) == 'TRACKING' and fusion.diagnose()[1].get('mode')
        == 'FUSED')
    upright, cameras.thermal = cameras.thermal, np.ascontiguousarray(turn(cameras.thermal))
    assert cameras.publish_until(lambda: fusion.diagnose()[1]['mode'] == 'RGB_ONLY')
    assert 3 <= registration.stage.tracker.disagreement.count < 20
    assert cameras.publish_until(
        lambda: registration.diagnose()[0].startswith('registration lost: contradicted'))
    assert fusion.diagnose()[0] == ('RGB_ONLY: registration LOST: withdrawn, see the '
                                    'registration node')
    assert cameras.publish_until(
        lambda: cameras.diagnostics['registration'].level == DiagnosticStatus.WARN)
    cameras.thermal = upright
    assert cameras.publish_until(
        lambda: state_of(registration) == 'TRACKING' and fusion.diagnose()[1]['mode'] == 'FUSED')


def test_stamps_that_jump_back_end_the_fusion_with_the_old_homography(live_graph):
    cameras, registration, fusion = start_graph(live_graph)
    assert cameras.publish_until(
        lambda: state_of(registration) == 'TRACKING' and fusion.diagnose()[1].get('mode')
        == 'FUSED')
    cameras.thermal = np.ascontiguousarray(cameras.thermal[::-1, ::-1])
    jumped = []

    def publish_in_the_past():
        cameras.publish(stamp_ns=time.time_ns() - 3_600_000_000_000)
        jumped.append(fusion.diagnose()[1]['mode'])
        return jumped[-1] == 'RGB_ONLY' and len(jumped) >= 40

    assert wait_until(publish_in_the_past)
    assert 'FUSED' not in jumped[jumped.index('RGB_ONLY'):]
    assert wait_until(lambda: publish_in_the_past() and state_of(registration) == 'LOST')


def test_frames_of_another_shape_do_not_end_the_prior_of_the_calibration(live_graph):
    cameras, registration, _ = start_graph(live_graph)
    thermal = np.full_like(cameras.thermal, 7000)
    rgb = cameras.rgb
    cameras.thermal = thermal
    publish_infos(cameras, {'thermal': make_info(SIZE, 300.0), 'rgb': make_info(SIZE, 330.0)})
    received = cameras.received['registration/homography']
    assert cameras.publish_until(lambda: received and state_of(registration) == 'PRIOR')
    prior = received[-1].value.H_thermal_to_rgb
    cameras.rgb = np.ascontiguousarray(rgb[:, 40:280])
    assert cameras.publish_until(lambda: state_of(registration) == 'LOST')
    assert 'which has another aspect ratio' in registration.diagnose()[0]
    assert cameras.publish_until(lambda: received[-1].value.is_lost)
    cameras.rgb = rgb
    assert cameras.publish_until(lambda: state_of(registration) == 'PRIOR'
                                 and not received[-1].value.is_lost)
    np.testing.assert_allclose(received[-1].value.H_thermal_to_rgb, prior, atol=1e-9)
    # and at another resolution the CameraInfo is scaled, as for the first images
    cameras.rgb = cv2.resize(rgb, (640, 480), interpolation=cv2.INTER_AREA)
    assert cameras.publish_until(lambda: received[-1].value.rgb_size == (640, 480)
                                 and state_of(registration) == 'PRIOR')
    np.testing.assert_allclose(received[-1].value.H_thermal_to_rgb,
                               geometry.rescale_homography(prior, 1, 2), atol=0.6)


def test_an_outlier_is_no_tracking_and_several_are_said(live_graph, monkeypatch):
    cameras, registration, _ = start_graph(live_graph, **{'tracker.relock_s': 3600.0})
    assert cameras.publish_until(lambda: state_of(registration) == 'TRACKING')
    registrar = registration.stage.method
    register = registrar.register
    H_elsewhere = geometry.translation(40, -30) @ H_TRUE

    def register_elsewhere(thermal, rgb, prior=None):
        return replace(register(thermal, rgb, prior), H_thermal_to_rgb=H_elsewhere)

    monkeypatch.setattr(registrar, 'register', register_elsewhere)
    assert cameras.publish_until(lambda: state_of(registration) == 'HOLDING')
    assert cameras.publish_until(
        lambda: 'measurements in a row contradict the homography: jump'
        in registration.diagnose()[0])
    monkeypatch.setattr(registrar, 'register', register)
    assert cameras.publish_until(lambda: state_of(registration) == 'TRACKING')
    assert not registration.diagnose()[0]
