# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of ``ivf demo`` and ``ivf replay --record``: killed, full disk, bad messages."""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
import os
from pathlib import Path
import random
import resource
import subprocess
import sys
import time

from conftest import REPOSITORY, wait_until
import cv2
from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.recovery import recover
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Frame
import numpy as np
import pytest
from rosbags.highlevel import AnyReader

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402, I100
from ivf_ros.nodes.demo import sheet  # noqa: E402
from ivf_ros.nodes.demo.recorder import RECORDED_TOPICS, Recorder  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.cdr import read_stamp_ns  # noqa: E402
from rclpy.qos import QoSProfile  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402
from vision_msgs.msg import (  # noqa: E402
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesisWithPose,
    VisionClass,
)

SOURCE = ('simulator:seed=2,duration_s=60,thermal.width=160,thermal.height=120,thermal.rate_hz=5,'
          'rgb.width=160,rgb.height=120,rgb.rate_hz=5')
QOS = QoSProfile(depth=50)


@contextmanager
def start(live_graph, *arguments: object):
    """Start a command on the domain of the graph; kill it at the end."""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id()),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    with subprocess.Popen([sys.executable, '-m', 'ivf_ros.cli', *map(str, arguments)],
                          cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class Observer:
    """Receives the recorded topics as another node would, with the times of arrival."""

    def __init__(self, graph) -> None:
        self.arrivals = defaultdict(list)  # stamp in ns and time of arrival, by topic
        node = graph.node('observer')
        for topic, message_type in RECORDED_TOPICS.items():
            if topic != 'segmentation/label_info':
                node.create_subscription(message_type, topic, self._make_callback(topic), QOS,
                                         raw=True)

    def _make_callback(self, topic):
        return lambda cdr: self.arrivals[topic].append((read_stamp_ns(cdr), time.monotonic()))

    def count(self, topic: str) -> int:
        return len(self.arrivals[topic])


def read_stamps(bag: Path) -> dict[str, set[int]]:
    """Return the stamps in a bag by topic, as this package reads it."""
    found, opened = defaultdict(set), Bag(bag)
    for message in opened.messages(list(opened.counts), lambda problem: None):
        if message.topic.name != '/segmentation/label_info':
            found[message.topic.name.lstrip('/')].add(read_stamp_ns(message.data))
    return found


def check_killed_bag(bag: Path, observer: Observer, killed_s: float) -> None:
    """Check that a bag holds what was published until one second before the kill."""
    expected = {topic: {stamp_ns for stamp_ns, arrived_s in arrivals
                        if arrived_s < killed_s - 1.0}
                for topic, arrivals in observer.arrivals.items()}
    assert sum(map(len, expected.values())) >= 5, 'the test waited for images'
    found = read_stamps(bag)
    assert {topic: stamps - found[topic] for topic, stamps in expected.items()
            if stamps - found[topic]} == {}
    recovery = recover(bag)
    assert recovery.file is not None, 'the bag was not closed'
    with AnyReader([bag]) as reader:  # by rosbags, as ros2 bag play would
        recovered = defaultdict(set)
        for connection, _, data in reader.messages():
            assert reader.deserialize(data, connection.msgtype)
            if connection.topic != '/segmentation/label_info':
                recovered[connection.topic.lstrip('/')].add(read_stamp_ns(data))
    assert recovered == found


@pytest.mark.parametrize('delay_s', [1.2, *(random.uniform(1.0, 3.0) for _ in range(3))],
                         ids=['first', 'a', 'b', 'c'])
def test_a_replay_that_is_killed_leaves_all_but_the_last_second(live_graph, tmp_path, delay_s):
    observer = Observer(live_graph)
    with start(live_graph, 'replay', SOURCE, '--record', tmp_path / 'bag') as process:
        assert wait_until(lambda: observer.count('rgb/image_raw') >= 3, 60.0)
        assert process.poll() is None
        time.sleep(delay_s)  # the moment of the kill
        process.kill()
        killed_s = time.monotonic()
        process.wait(60.0)
    check_killed_bag(tmp_path / 'bag', observer, killed_s)


def test_a_demonstration_that_is_killed_leaves_all_but_the_last_second(live_graph, tmp_path):
    observer = Observer(live_graph)
    with start(live_graph, 'demo', '--source', SOURCE, '--seconds', 60, '--out',
               tmp_path / 'out') as process:
        assert wait_until(lambda: observer.count('fused/image') >= 5
                          and observer.count('segmentation/labels') >= 2, 120.0)
        [stages] = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
        time.sleep(random.uniform(1.0, 2.0))  # the moment of the kill
        process.kill()
        killed_s = time.monotonic()
        process.wait(60.0)
        assert wait_until(lambda: not Path(f'/proc/{stages}/exe').exists()), \
            'the stages end with the demonstration'
    check_killed_bag(tmp_path / 'out' / 'bag', observer, killed_s)


def test_a_recording_that_ends_is_complete_and_is_not_overwritten(live_graph, tmp_path):
    short = SOURCE.replace('duration_s=60', 'duration_s=2')
    with start(live_graph, 'replay', short, '--record', tmp_path / 'bag') as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    stamps = read_stamps(tmp_path / 'bag')
    assert len(stamps['thermal/image_raw']) == len(stamps['rgb/image_raw']) == 10
    assert recover(tmp_path / 'bag').file is None
    before = (tmp_path / 'bag' / 'bag.mcap').read_bytes()
    with start(live_graph, 'replay', short, '--record', tmp_path / 'bag') as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.strip().splitlines()[-1].endswith('give another name')
    assert 'Traceback' not in errors
    assert (tmp_path / 'bag' / 'bag.mcap').read_bytes() == before


def test_a_replay_plays_and_records_in_a_namespace(live_graph, tmp_path):
    received = []
    live_graph.node('listener').create_subscription(
        Image, '/front/rgb/image_raw', received.append, QOS)
    short = SOURCE.replace('duration_s=60', 'duration_s=10')  # discovery takes its time
    with start(live_graph, 'replay', short, '--namespace', 'front', '--record', tmp_path / 'bag'
               ) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert wait_until(lambda: len(received) >= 3)  # it is found while the replay plays
    assert len(read_stamps(tmp_path / 'bag')['rgb/image_raw']) == 50
    with start(live_graph, 'replay', short, '--namespace', 'no good') as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith('ivf replay: Invalid namespace') and len(errors.splitlines()) == 1


@pytest.mark.parametrize('command', ['replay', 'demo'])
def test_a_full_disk_ends_a_recording_with_one_line_and_the_bag_can_be_read(
        live_graph, tmp_path, command):
    observer = Observer(live_graph)
    arguments, bag = (['replay', SOURCE, '--record', tmp_path / 'bag'], tmp_path / 'bag')
    if command == 'demo':
        arguments = ['demo', '--source', SOURCE, '--seconds', 60, '--out', tmp_path / 'out']
        bag = tmp_path / 'out' / 'bag'
    with start(live_graph, *arguments) as process:
        assert wait_until(lambda: observer.count('rgb/image_raw') >= 3, 120.0)
        limit = bag.joinpath('bag.mcap').stat().st_size + 300_000
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert 'Traceback' not in errors
    [line] = [line for line in errors.splitlines() if 'File too large' in line]
    assert line.startswith(f'ivf {command}: cannot write to {bag}: ')
    assert line == errors.strip().splitlines()[-1]
    stamps = read_stamps(bag)
    assert len(stamps['rgb/image_raw']) >= 3
    assert read_stamps(recover(bag).path) == stamps


def number_image(stamp_ns: int, **fields) -> Image:
    message = messages.image_to_message(Frame(np.zeros((24, 32, 3), np.uint8), stamp_ns, 'rgb'))
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def bad_messages(stamp_ns: int) -> dict[str, list]:
    """Return messages of a stranger on the recorded topics, each invalid in another way."""
    header = messages.make_header(stamp_ns, 'stranger')
    homography = CameraInfo(header=header, width=32, height=24)
    nan, zero = (CameraInfo(header=header, width=32, height=24) for _ in range(2))
    nan.r, zero.r = np.full(9, np.nan), np.zeros(9)
    horizon = CameraInfo(header=header, width=32, height=24)
    horizon.r = np.array([1, 0, 0, 0, 1, 0, -1 / 16, 0, 1.0])
    box = Detection2D(header=header, results=[ObjectHypothesisWithPose()])
    box.bbox.center.position.x = box.bbox.size_x = np.nan
    endless = Detection2D(header=header, results=[ObjectHypothesisWithPose()])
    endless.bbox.center.position.x = endless.bbox.size_x = np.inf
    gaps = LabelInfo(header=header, class_map=[VisionClass(class_id=7, class_name='odd')])
    images = [number_image(stamp_ns, encoding='nonsense'), number_image(stamp_ns, step=1),
              number_image(stamp_ns, height=2 ** 31), number_image(stamp_ns, width=0, height=0),
              messages.image_to_message(Frame(np.zeros((5, 7), np.uint16), stamp_ns, 'x')),
              messages.image_to_message(Frame(np.zeros((2, 3), np.float32), stamp_ns, 'x'))]
    labels = messages.image_to_message(Frame(np.full((9, 9), 255, np.uint8), stamp_ns, 'x'))
    return {'registration/homography': [nan, zero, homography, horizon],
            'thermal/image_raw': images, 'rgb/image_raw': images,
            'thermal_registered/image': images, 'fused/image': images,
            'segmentation/labels': [labels, *images], 'segmentation/label_info': [gaps],
            'detections': [Detection2DArray(header=header, detections=[detection])
                           for detection in (box, endless, Detection2D(header=header))]}


def bad_diagnostics() -> DiagnosticArray:
    return DiagnosticArray(status=[
        DiagnosticStatus(name=name, level=b'\x63', values=[
            KeyValue(key=key, value='nonsense') for key in (
                'drops.busy', 'state_count.TRACKING', 'latency_ms.p50', 'latency_ms.p95', 'state',
                *extra)])
        for name, extra in (('/fusion', ()), ('/registration', ()), ('', ('lifecycle',)),
                            ('/other/fusion', ('failure',)), ('/stranger', ('failure',)))])


def test_a_recorder_goes_on_after_bad_messages_and_its_sheet_is_drawn(live_graph, tmp_path):
    with BagWriter(tmp_path / 'bag') as writer:
        recorder = live_graph.add(lambda context: Recorder(writer, context=context))
        stranger = live_graph.stranger('stranger')
        publishers = {topic: stranger.create_publisher(message_type, topic, QOS)
                      for topic, message_type in RECORDED_TOPICS.items()
                      if topic != 'segmentation/label_info'}
        publishers['segmentation/label_info'] = stranger.create_publisher(
            LabelInfo, 'segmentation/label_info', messages_qos())
        diagnostics = stranger.create_publisher(DiagnosticArray, '/diagnostics', QOS)
        assert wait_until(lambda: all(publisher.get_subscription_count() for publisher in
                                      [*publishers.values(), diagnostics]))
        for stamp_ns in (5, 2 ** 62):
            for topic, bad in bad_messages(stamp_ns).items():
                for message in bad:
                    publishers[topic].publish(message)
            diagnostics.publish(bad_diagnostics())
        good = messages.homography_to_message(messages.Stamped(
            messages.Homography(np.eye(3), (32, 24)), 77, 'thermal'))
        for topic in ('fused/image', 'rgb/image_raw', 'thermal/image_raw'):
            publishers[topic].publish(number_image(77))
        publishers['registration/homography'].publish(good)
        assert wait_until(lambda: 77 in recorder.arrivals_s['registration/homography']
                          and 77 in recorder.arrivals_s['fused/image'])
        assert wait_until(lambda: recorder.frames['thermal/image_raw'] >= 13)
        assert recorder.bad_messages['registration/homography'] >= 4
        assert wait_until(lambda: recorder.bad_messages['segmentation/label_info'] >= 1)
        assert all(np.isfinite(item.value.H_thermal_to_rgb).all()
                   for item in recorder.homographies)
        live_graph.executor.remove_node(recorder)
    sheet.write(tmp_path / 'sheet.png', tmp_path / 'bag', recorder, 'bad',
                ThermalCameraParameters(), CameraParameters())
    assert cv2.imread(str(tmp_path / 'sheet.png')).shape[0] > 240


def messages_qos() -> QoSProfile:
    from ivf_ros.nodes.graph.transport import LATCHED_QOS
    return LATCHED_QOS


def test_a_demonstration_goes_on_while_a_stranger_publishes_nonsense(live_graph, tmp_path):
    stranger = live_graph.stranger('stranger')
    publishers = {topic: stranger.create_publisher(
        message_type, topic, messages_qos() if topic == 'segmentation/label_info' else QOS)
        for topic, message_type in RECORDED_TOPICS.items()
        if not topic.endswith('image_raw')}  # those are wrong cameras, which nothing can tell
    diagnostics = stranger.create_publisher(DiagnosticArray, '/diagnostics', QOS)
    with start(live_graph, 'demo', '--source', SOURCE, '--seconds', 4, '--out', tmp_path / 'out',
               '--json') as process:
        with (tmp_path / 'errors').open('w'):
            while process.poll() is None and not (tmp_path / 'out' / 'summary.json').exists():
                for topic, publisher in publishers.items():
                    for message in bad_messages(time.time_ns())[topic]:
                        publisher.publish(message)
                stranger_only = bad_diagnostics()
                stranger_only.status[:] = stranger_only.status[2:]
                diagnostics.publish(stranger_only)
                time.sleep(0.5)  # the rate of the stranger
        _, errors = process.communicate(timeout=60)
    assert 'Traceback' not in errors and process.returncode == 0, errors
    summary = (tmp_path / 'out' / 'summary.json').read_text()
    assert 'bad_messages' in summary and 'NaN' not in summary
    assert (tmp_path / 'out' / 'contact_sheet.png').is_file()
