# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One large image among those of a camera leaves no memory behind in a process of nodes."""

from __future__ import annotations

import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

from conftest import REPOSITORY, wait_until
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')

from ivf_ros import dds  # noqa: E402, I100
from ivf_ros.nodes.graph import messages  # noqa: E402
from ivf_ros.types import Frame  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.skipif(
    not Path('/proc/self/status').is_file(), reason='needs /proc')]

GRAY = np.random.default_rng(0).integers(0, 256, (240, 320)).astype(np.uint8)
COLOUR = np.dstack([GRAY, GRAY[::-1], GRAY[:, ::-1]])
LARGE = (3000, 4000, 3)  # 36 MB


def resident_mb(pid: int, name: str = 'RssAnon') -> float:
    """Return the memory of a process without files and without the shared memory of DDS."""
    return int(re.search(rf'{name}:\s+(\d+)',
                         Path(f'/proc/{pid}/status').read_text())[1]) / 1000


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_memory_of_one_large_image_is_returned(live_graph, transport):
    process = subprocess.Popen(
        [sys.executable, '-m', 'ivf_ros.nodes.component_container', 'fusion', 'registration',
         '--ros-args', '-p', 'fusion:fusion.method:=average', '-p', f'rgb_transport:={transport}',
         '-p', 'qos_overrides./rgb/image_raw.subscription.reliability:=reliable'],
        cwd=REPOSITORY, stderr=subprocess.DEVNULL,
        env={**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id()),
             'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
             dds.profile_variable(): str(dds.profile_path())})
    try:
        camera = live_graph.node('camera')
        adapter, topic = {'raw': (messages.IMAGE, 'rgb/image_raw'),
                          'compressed': (messages.COMPRESSED, 'rgb/image_raw/compressed')
                          }[transport]
        thermal = camera.create_publisher(messages.IMAGE.message_type, 'thermal/image_raw', 5)
        rgb = camera.create_publisher(adapter.message_type, topic, 5)
        fused = []
        live_graph.node('viewer').create_subscription(messages.IMAGE.message_type, 'fused/image',
                                                      lambda message: fused.append(message.width),
                                                      5)
        assert wait_until(lambda: thermal.get_subscription_count() == 2
                          and rgb.get_subscription_count() == 2, 30.0)
        large = adapter.to_message(Frame(np.zeros(LARGE, np.uint8), 1, 'rgb'))

        def publish(message):
            stamp_ns = time.time_ns()
            thermal.publish(messages.image_to_message(Frame(GRAY, stamp_ns, 'thermal')))
            message.header = messages.make_header(stamp_ns, 'rgb')
            rgb.publish(message)

        small = adapter.to_message(Frame(COLOUR, 1, 'rgb'))

        def publish_until_fused(count):
            before = len(fused)
            return wait_until(lambda: publish(small) or time.sleep(0.02)
                              or len(fused) - before >= count, 30.0)

        assert publish_until_fused(40)
        before_mb = resident_mb(process.pid)
        peak_mb = resident_mb(process.pid, 'VmHWM')
        # An image that is lost on the way is sent again. One that arrives was in memory.
        assert wait_until(lambda: publish(large) or time.sleep(0.5) or publish(small)
                          or resident_mb(process.pid, 'VmHWM') - peak_mb > 25, 30.0)
        assert publish_until_fused(60)
        # Blocks below 32 MB are returned later, by ``memory.release_after_peaks``.
        assert wait_until(lambda: resident_mb(process.pid) - before_mb < 20), \
            'one image has 36 MB'
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60.0)
