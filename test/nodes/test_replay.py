# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The replay node: rate, pauses, loops, stamps and ``/clock``."""

from __future__ import annotations

import time

from conftest import wait_until
from mcap_files import Channel, header, image, serialize, STORE, write_mcap
import numpy as np
import pytest
from recorded_bags import write_image
from scipy.spatial.transform import Rotation

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.data.bag_writer import BagWriter  # noqa: E402, I100
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters  # noqa: E402
from ivf_ros.nodes.component_container import ComponentManager  # noqa: E402
from ivf_ros.nodes.fusion_node import FusionNode  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.playhead import LateFrames, Playhead  # noqa: E402
from ivf_ros.nodes.graph.transport import Hub, LATCHED_QOS  # noqa: E402
from ivf_ros.nodes.registration_node import RegistrationNode  # noqa: E402
from ivf_ros.nodes.replay_node import ReplayNode  # noqa: E402
from ivf_ros.parameters import build  # noqa: E402
from ivf_ros.types import Event, Frame  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo  # noqa: E402
from tf2_msgs.msg import TFMessage  # noqa: E402

PAIRS, PERIOD_NS, FIRST_NS = 30, 50_000_000, 1_700_000_000_000_000_000
LENGTH_S = (PAIRS - 1) * PERIOD_NS * 1e-9
SUCCESS = TransitionCallbackReturn.SUCCESS


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Return a bag of 30 pairs at 20 Hz, with stamps of years ago."""
    path = tmp_path_factory.mktemp('bags') / 'street'
    simulator = RigSimulator(build(SimulatorParameters, {
        'seed': 2, 'thermal.width': 320, 'thermal.height': 240, 'rgb.width': 320,
        'rgb.height': 240}))
    with BagWriter(path) as writer:
        for index in range(PAIRS):
            thermal, rgb, _ = simulator.pair(index)
            for topic, frame in (('thermal/image_raw', thermal), ('rgb/image_raw', rgb)):
                write_image(writer, topic, type(frame)(
                    frame.image, FIRST_NS + index * PERIOD_NS, frame.frame_id))
    return path


class Listener:
    """Subscribes to a topic and ``/clock`` and stores stamps and times of arrival."""

    def __init__(self, graph, topic='rgb/image_raw'):
        self.node = graph.node('listener')
        self.stamps_ns, self.arrived_s, self.clock_ns = [], [], []
        self.node.create_subscription(messages.IMAGE.message_type, topic, self._on_image, 50)
        self.node.create_subscription(messages.IMAGE.message_type, 'thermal/image_raw',
                                      lambda _: None, 50)
        self.node.create_subscription(
            Clock, '/clock', lambda m: self.clock_ns.append(m.clock.sec * 10 ** 9
                                                            + m.clock.nanosec), 200)

    def _on_image(self, message):
        self.stamps_ns.append(messages.stamp_ns_of(message.header))
        self.arrived_s.append(time.monotonic())


def replay(graph, bag, **overrides):
    node = graph.add(ReplayNode, Hub(), parameter_overrides=[
        Parameter(name, value=value)
        for name, value in {'source': str(bag), 'autostart': False, 'max_lag_s': 0.0,
                            **overrides}.items()])
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    return node


def test_the_playhead_runs_at_its_rate_and_does_not_jump_after_a_pause():
    head = Playhead(rate=2.0, paused=False, now_s=100.0)
    assert head.position_s(101.5) == 3.0
    assert head.due_s(4.0) == 102.0
    head.change(2.0, True, 101.5)
    assert head.position_s(110.0) == 3.0 and head.due_s(4.0) == float('inf')
    head.change(0.5, False, 110.0)
    assert head.due_s(4.0) == 112.0 and head.position_s(111.0) == 3.5
    head.change(0.5, False, 111.0)  # no change
    assert head.due_s(4.0) == 112.0


def test_frames_are_skipped_from_the_maximum_lag_until_the_replay_has_caught_up():
    late = LateFrames(max_lag_s=0.2)
    lags_s = [0.0, 0.1, 0.2, 0.25, 0.1, 0.01, 0.0, 0.1, -0.1]
    skipped = [late.should_skip('rgb', lag_s, index * 0.01) for index, lag_s in enumerate(lags_s)]
    assert skipped == [False, False, False, True, True, True, False, False, False]
    assert late.count == 3


def test_a_replay_that_never_catches_up_plays_a_frame_of_each_camera_per_second():
    late = LateFrames(max_lag_s=0.2)
    times_s = np.arange(0, 10, 0.125)
    played_s = {stream: [now_s for now_s in times_s if not late.should_skip(stream, 5.0, now_s)]
                for stream in ('thermal', 'rgb')}
    assert played_s['thermal'] == played_s['rgb'] == list(range(1, 10))


def test_no_frame_is_skipped_without_a_maximum_lag():
    late = LateFrames(max_lag_s=0.0)
    assert not any(late.should_skip('rgb', lag_s, lag_s) for lag_s in (0.1, 1.0, 100.0))


class SlowSource:
    """Pairs at 20 Hz; each image takes longer to read than its period."""

    name, rate_hz, skipped = 'slow', 20.0, {}
    count = 60

    def __init__(self):
        self.read = []

    def events(self, is_wanted):
        for index in range(self.count):
            stamp_ns = FIRST_NS + index * PERIOD_NS
            for stream, shape in (('thermal', (24, 32)), ('rgb', (24, 32, 3))):
                if is_wanted(stream, stamp_ns):
                    time.sleep(0.1)  # the time of decoding
                    self.read.append((stream, index))
                    yield Event(stream, Frame(np.zeros(shape, np.uint8), stamp_ns, stream))


def test_a_replay_that_cannot_keep_pace_skips_pairs_and_its_stamps_stay_present(live_graph):
    lags_s = []
    source = SlowSource()
    node = live_graph.add(
        ReplayNode, Hub(), source=source,
        on_published=lambda event: lags_s.append(time.time() - event.frame.stamp_ns * 1e-9),
        parameter_overrides=[Parameter('wait_for_subscribers_s', value=0.0)])
    assert node.autostart() and node.finished.wait(30.0)
    skipped = node.diagnose()[1]['skipped.late']
    assert skipped == 2 * source.count - len(source.read) > source.count
    pairs = {index for stream, index in source.read if stream == 'thermal'} \
        & {index for stream, index in source.read if stream == 'rgb'}
    assert len(pairs) > len(source.read) // 4
    # Without skipping the last frame would be late by four times the recording, 9 s.
    assert max(lags_s) < 1.0


def test_the_simulator_publishes_the_calibration_of_its_rig(live_graph):
    received = {'thermal': [], 'rgb': [], 'tf': []}
    listener = live_graph.node('listener')
    for stream in ('thermal', 'rgb'):
        listener.create_subscription(CameraInfo, f'{stream}/camera_info', received[stream].append,
                                     50)
    listener.create_subscription(TFMessage, '/tf_static', received['tf'].append, LATCHED_QOS)
    node = replay(live_graph, 'simulator:rig.mode=rig,rgb.width=320,rgb.height=240')
    assert wait_until(lambda: all(received.values()))
    rig = node._source.rig
    for stream, K in (('thermal', rig.K_thermal), ('rgb', rig.K_rgb)):
        info = received[stream][0]
        np.testing.assert_allclose(np.reshape(info.k, (3, 3)), K)
        np.testing.assert_allclose(np.reshape(info.p, (3, 4))[:, :3], K)
    assert (received['rgb'][0].width, received['rgb'][0].height) == (320, 240)
    [transform] = received['tf'][0].transforms
    assert (transform.header.frame_id, transform.child_frame_id) == (
        received['rgb'][0].header.frame_id, received['thermal'][0].header.frame_id)
    q, t = transform.transform.rotation, transform.transform.translation
    np.testing.assert_allclose(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(),
                               rig.R_thermal_to_rgb, atol=1e-12)
    assert (t.x, t.y, t.z) == tuple(rig.t_thermal_to_rgb_m)
    assert node.trigger_deactivate() == SUCCESS and node.trigger_cleanup() == SUCCESS
    assert wait_until(lambda: not listener.count_publishers('/tf_static'))
    node.destroy_node()
    live_graph.nodes.remove(node)


@pytest.mark.parametrize('rate', [0.5, 1.0, 5.0])
def test_a_bag_plays_at_the_rate_with_the_recorded_stamps(live_graph, bag, rate):
    listener = Listener(live_graph)
    node = replay(live_graph, bag, rate=rate, restamp=False)
    assert node.finished.wait(60.0)
    assert wait_until(lambda: len(listener.stamps_ns) == PAIRS)
    assert listener.stamps_ns == [FIRST_NS + index * PERIOD_NS for index in range(PAIRS)]
    assert not listener.clock_ns
    elapsed_s = listener.arrived_s[-1] - listener.arrived_s[0]
    assert 0.8 * LENGTH_S / rate < elapsed_s < LENGTH_S / rate + 10.0


def test_restamped_pairs_keep_their_intervals_and_have_present_stamps(live_graph, bag):
    listener = Listener(live_graph)
    node = replay(live_graph, bag, rate=2.0)
    assert node.finished.wait(30.0)
    assert wait_until(lambda: len(listener.stamps_ns) == PAIRS)
    intervals_ns = {after - before for before, after in zip(listener.stamps_ns,
                                                            listener.stamps_ns[1:])}
    assert max(abs(interval_ns - PERIOD_NS // 2) for interval_ns in intervals_ns) < 1000
    assert abs(time.time_ns() - listener.stamps_ns[-1]) < 10 ** 10


def test_a_replay_pauses_with_its_clock_and_resumes_at_the_same_position(live_graph, bag):
    listener = Listener(live_graph)
    node = replay(live_graph, bag, restamp=False, clock=True)
    assert wait_until(lambda: len(listener.stamps_ns) >= 4)
    assert node.set_parameters([Parameter('paused', value=True)])[0].successful
    # Wait until the messages in transit have arrived; then no more may arrive.
    assert wait_until(lambda: node.diagnose()[1]['position_s'] > 0)
    counts = None
    while counts != (counts := (len(listener.stamps_ns), len(listener.clock_ns))):
        assert not wait_until(lambda: False, 0.3)
    assert counts[0] < PAIRS and not node.finished.is_set()
    for change in (Parameter('rate', value=4.0), Parameter('paused', value=False)):
        assert node.set_parameters([change])[0].successful
    assert node.finished.wait(30.0)
    assert wait_until(lambda: len(listener.stamps_ns) == PAIRS)
    assert listener.clock_ns == sorted(listener.clock_ns)
    assert listener.clock_ns[0] >= FIRST_NS
    assert listener.clock_ns[-1] == FIRST_NS + (PAIRS - 1) * PERIOD_NS


def test_clock_with_restamp_and_a_missing_source_fail_to_configure(live_graph, bag):
    node = live_graph.add(ReplayNode, Hub(), parameter_overrides=[
        Parameter('source', value=str(bag)), Parameter('clock', value=True)])
    assert not node.autostart()
    assert "'clock' publishes recorded time" in node._get_status().error
    other = live_graph.add(ReplayNode, Hub(), parameter_overrides=[
        Parameter('source', value='/nowhere')])
    assert not other.autostart()
    assert other._get_status().error == \
        "cannot configure: no such source: '/nowhere' is no file and no folder"


def test_the_graph_runs_by_the_clock_of_a_looping_bag(live_graph, bag):
    listener = Listener(live_graph, 'fused/image')
    hub, use_sim_time = Hub(), Parameter('use_sim_time', value=True)
    stages = [live_graph.add(cls, hub, parameter_overrides=[use_sim_time, *overrides])
              for cls, overrides in (
        (RegistrationNode, [Parameter('registration.method', value='dense'),
                            Parameter('max_rate_hz', value=10.0)]),
        (FusionNode, [Parameter('fusion.method', value='laplacian')]))]
    assert all(stage.autostart() for stage in stages)
    node = replay(live_graph, bag, restamp=False, clock=True, loop=True)

    def is_fused_in_several_loops():
        # The homography is forgotten with each jump back, and measured again.
        return node.diagnose()[1]['loops'] >= 3 \
            and stages[1].diagnose()[1]['mode_count.FUSED'] > PAIRS // 2 \
            and stages[0].diagnose()[1]['state_count.TRACKING'] >= 3

    assert wait_until(is_fused_in_several_loops, 60.0)
    last_ns = FIRST_NS + (PAIRS - 1) * PERIOD_NS
    assert set(listener.stamps_ns) <= set(range(FIRST_NS, last_ns + 1, PERIOD_NS))
    # The graph continues after each jump back of the stamps.
    jumps = sum(after < before for before, after in zip(listener.stamps_ns,
                                                        listener.stamps_ns[1:]))
    assert jumps >= 2 and len(listener.stamps_ns) > PAIRS
    assert FIRST_NS <= stages[1].get_clock().now().nanoseconds <= last_ns
    assert [stage._get_status().error for stage in stages] == ['', '']


def test_a_bag_with_other_topics_is_played_with_its_calibration(live_graph, tmp_path):
    gray = np.zeros((24, 32), np.uint8)
    info = serialize('sensor_msgs/msg/CameraInfo', header=header(1, 'lepton'), width=32, height=24,
                     distortion_model='plumb_bob', d=np.full(5, 0.1), k=np.arange(9.0),
                     r=np.eye(3).ravel(), p=np.arange(12.0), binning_x=2, binning_y=0,
                     roi=STORE.types['sensor_msgs/msg/RegionOfInterest'](
                         x_offset=3, y_offset=0, height=0, width=0, do_rectify=False))
    channels = [Channel('/left/image'), Channel('/right/image'),
                Channel('/left/camera_info', 'sensor_msgs/msg/CameraInfo')]
    messages = [(number, FIRST_NS + index * PERIOD_NS,
                 image(gray, 'mono8', FIRST_NS + index * PERIOD_NS))
                for index in range(20) for number in (0, 1)]
    file = write_mcap(tmp_path / 'a.mcap', channels, [*messages, (2, FIRST_NS, info)])
    listener = Listener(live_graph)
    received = []
    listener.node.create_subscription(CameraInfo, 'thermal/camera_info', received.append, 50)
    node = replay(live_graph, file, rate=2.0, restamp=False, thermal_topic='/left/image',
                  rgb_topic='/right/image')
    assert node.finished.wait(30.0)
    assert wait_until(lambda: len(received) >= 15)
    last = received[-1]
    stamp_ns = last.header.stamp.sec * 10**9 + last.header.stamp.nanosec
    assert wait_until(lambda: stamp_ns in listener.stamps_ns), 'the image follows its calibration'
    assert (last.header.frame_id, last.width, last.height) == ('camera', 32, 24)
    assert list(last.k) == list(range(9)) and list(last.d) == [0.1] * 5
    assert (last.binning_x, last.roi.x_offset) == (2, 3)


def test_a_replay_is_a_component(live_graph, bag):
    manager = live_graph.add(ComponentManager)
    id_ = manager.load('ivf_ros::ReplayNode', parameter_overrides=[
        Parameter('source', value=str(bag)), Parameter('wait_for_subscribers_s', value=0.0),
        Parameter('rate', value=10.0)])
    assert manager.node(id_).finished.wait(60.0)
    manager.unload(id_)


def test_a_bag_whose_cameras_have_clocks_of_their_own_is_played_as_it_was_recorded(
        live_graph, tmp_path):
    with BagWriter(tmp_path / 'uptime') as writer:
        for index in range(15):
            recorded_ns = FIRST_NS + index * PERIOD_NS
            uptime_ns = 5_000_000_000 + index * PERIOD_NS
            write_image(writer, 'thermal/image_raw',
                        Frame(np.full((24, 32), index, np.uint8), uptime_ns, 'thermal'),
                        recorded_ns)
            write_image(writer, 'rgb/image_raw',
                        Frame(np.full((24, 32, 3), index, np.uint8), recorded_ns, 'rgb'),
                        recorded_ns)
    listener = Listener(live_graph, 'thermal/image_raw')
    start_s = time.monotonic()
    node = replay(live_graph, tmp_path / 'uptime', rate=1.0, restamp=False)
    assert node.finished.wait(60.0)
    assert time.monotonic() - start_s < 15.0
    assert node.played == {'thermal': 15, 'rgb': 15} and node.is_complete
    assert wait_until(lambda: len(listener.stamps_ns) == 15)
    assert listener.stamps_ns == [FIRST_NS + index * PERIOD_NS for index in range(15)]
