# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The view of a running graph: real messages over DDS into a recording of Rerun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from conftest import DOMAIN_IDS, REPOSITORY, wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytest.importorskip('rerun', reason='the view needs rerun-sdk')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402, I100
from ivf_ros import geometry  # noqa: E402
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.nodes.graph.messages import Homography, Stamped  # noqa: E402
from ivf_ros.nodes.graph.transport import LATCHED_QOS  # noqa: E402
from ivf_ros.nodes.view_node import ViewNode  # noqa: E402
from ivf_ros.types import Detection, Frame, Segmentation  # noqa: E402
from ivf_ros.view.viewer import open_viewer, ViewerSettings  # noqa: E402
from rrd_files import read_rows, read_static  # noqa: E402

IMAGES = ('thermal/image_raw', 'rgb/image_raw', 'thermal_registered/image_8bit', 'fused/image')
COLOUR = np.full((48, 64, 3), (40, 90, 200), np.uint8)


class Graph:
    """Publishes what the nodes of a graph in a namespace publish."""

    def __init__(self, node, namespace='') -> None:
        self.node, self._namespace = node, namespace
        self._publishers = {}
        for topic in IMAGES:
            self._advertise(topic, messages.IMAGE)
        for topic, adapter in (('registration/homography', messages.HOMOGRAPHY),
                               ('segmentation/labels', messages.LABELS),
                               ('detections', messages.DETECTIONS)):
            self._advertise(topic, adapter)
        self._advertise('segmentation/label_info', messages.LABEL_INFO, LATCHED_QOS)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', 10)

    def _advertise(self, topic, adapter, qos=10):
        self._publishers[topic] = adapter, self.node.create_publisher(
            adapter.message_type, f'{self._namespace}/{topic}'.lstrip('/'), qos)

    def wait_for_view(self):
        assert wait_until(lambda: all(publisher.get_subscription_count() for _, publisher in
                                      self._publishers.values()))

    def publish(self, topic, item):
        adapter, publisher = self._publishers[topic]
        publisher.publish(adapter.to_message(item))

    def publish_images(self, stamp_ns):
        for topic, image in zip(IMAGES, (COLOUR[..., 0].astype(np.uint16) * 100, COLOUR,
                                         COLOUR[..., 1], COLOUR), strict=True):
            self.publish(topic, Frame(image, stamp_ns, 'camera'))

    def diagnose(self, node, **values):
        self._diagnostics.publish(DiagnosticArray(status=[DiagnosticStatus(
            name=f'/{self._namespace}/{node}'.replace('//', '/'),
            values=[KeyValue(key=key.replace('__', '.'), value=str(value))
                    for key, value in values.items()])]))


def test_images_results_and_diagnostics_are_logged_at_their_stamps(live_graph, tmp_path):
    path = tmp_path / 'view.rrd'
    stamp_ns = time.time_ns()
    with open_viewer(ViewerSettings(file=path), 'graph') as viewer:
        view = live_graph.add(ViewNode, viewer.log)
        graph = Graph(live_graph.stranger('graph'))
        graph.wait_for_view()
        for index in range(3):
            graph.publish_images(stamp_ns + index)
            assert wait_until(lambda count=index + 1: all(view.frames[topic] == count
                                                          for topic in IMAGES))
        graph.publish('registration/homography', Stamped(
            Homography(geometry.translation(2, 1), (64, 48)), stamp_ns, 'thermal'))
        graph.publish('segmentation/label_info', Stamped(('unlabelled', 'car'), stamp_ns, ''))
        graph.publish('segmentation/labels', Stamped(Segmentation(COLOUR[..., 0] // 40, ()),
                                                     stamp_ns, 'rgb'))
        graph.publish('detections', Stamped([Detection((1, 2, 11, 22), 'person', 0.9, '7')],
                                            stamp_ns, 'rgb'))
        graph.diagnose('registration', state='HOLDING', confidence=0.5, corner_deviation_px=2.5,
                       latency_ms__p50=80.0)
        status = 'FUSED since 18:09:05'
        graph.diagnose('fusion', mode='FUSED', status=status, mode_count__RGB_ONLY=3)
        assert wait_until(lambda: view.states == {'registration': 'HOLDING', 'fusion': status}
                          and view.frames['detections'] and view.frames['segmentation/labels']
                          and view.frames['registration/homography']
                          and view.frames['segmentation/label_info'])
        assert not view.errors and not view.find_problems()
    rows = read_rows(path)
    for entity in ('/thermal/image', '/rgb/image', '/thermal_registered/image', '/fused/image'):
        assert [row['stamp_ns'] - stamp_ns for row in rows[entity]] == [0, 1, 2]
    outline, = rows['/registration/outline'][0]['LineStrips2D:strips']
    assert outline[0] == [2.5, 1.5]
    assert rows['/detections'][0]['Boxes2D:labels'] == ['person #7']
    assert rows['/segmentation/labels'][0]['stamp_ns'] == stamp_ns
    assert read_static(path)['/segmentation/labels']['AnnotationContext:context']
    latest_ns = stamp_ns + 2
    for entity, value in (('/registration/confidence', 0.5), ('/latency_ms/registration', 80.0),
                          ('/registration/corner_deviation_px', 2.5)):
        row, = rows[entity]
        assert (row['stamp_ns'], row['Scalars:scalars']) == (latest_ns, [value])
    assert rows['/state/fusion'][0]['StateChange:state'] == ['FUSED']
    assert len(rows['/latency_ms/camera_to_fused']) == 3


def test_a_bad_message_and_a_foreign_status_are_counted_and_the_view_goes_on(
        live_graph, tmp_path):
    with open_viewer(ViewerSettings(file=tmp_path / 'view.rrd'), 'graph') as viewer:
        view = live_graph.add(ViewNode, viewer.log)
        graph = Graph(live_graph.stranger('graph'))
        graph.wait_for_view()
        bad = messages.image_to_message(Frame(COLOUR, 1, ''))
        bad.encoding = 'unheard_of'
        graph._publishers['rgb/image_raw'][1].publish(bad)
        graph.publish_images(2)
        assert wait_until(lambda: all(view.frames[topic] == 1 for topic in IMAGES))
        graph.diagnose('registration', state='DANCING', confidence=1, corner_deviation_px=1)
        assert wait_until(lambda: len(view.errors) == 2)
        bad_image, bad_status = sorted(view.errors, reverse=True)
        assert 'rgb/image_raw' in bad_image and 'unheard_of' in bad_image
        assert bad_status.startswith('/diagnostics') and 'DANCING' in bad_status
        graph.publish_images(3)
        assert wait_until(lambda: all(view.frames[topic] == 2 for topic in IMAGES))


def run_view(domain_id, *arguments) -> subprocess.Popen:
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain_id), 'PYTHONPATH': str(REPOSITORY),
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    return subprocess.Popen(
        [sys.executable, '-m', 'ivf_ros.cli', 'view', '--topics', *map(str, arguments)],
        cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_command_shows_the_graph_of_a_namespace(live_graph, tmp_path):
    path = tmp_path / 'view.rrd'
    process = run_view(live_graph.context.get_domain_id(), '--namespace', 'robot', '--seconds', 5,
                       '--rgb-topic', '/camera/image', '--out', path, '--json')
    try:
        graph = Graph(live_graph.node('graph'), 'robot')
        graph._advertise('rgb/image_raw', messages.IMAGE)
        remapped = live_graph.node('camera').create_publisher(
            messages.IMAGE.message_type, '/camera/image', 10)
        assert wait_until(remapped.get_subscription_count, 60.0)
        image = messages.image_to_message(Frame(COLOUR, time.time_ns(), 'rgb'))
        while process.poll() is None:
            remapped.publish(image)
            graph.publish('fused/image', Frame(COLOUR, time.time_ns(), 'rgb'))
            time.sleep(0.1)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report['frames']['fused/image'] > 5 and report['frames']['rgb/image_raw'] > 5
    assert len(read_rows(path)['/fused/image']) == report['frames']['fused/image']


def test_the_command_fails_with_the_reason_if_nothing_arrives(tmp_path):
    process = run_view(next(DOMAIN_IDS), '--seconds', 1, '--out', tmp_path / 'view.rrd')
    out, err = process.communicate(timeout=120)
    last_line = err.strip().splitlines()[-1]
    assert process.returncode == 1 and not out
    assert "nothing received on '/thermal/image_raw' (nobody publishes it)" in last_line
