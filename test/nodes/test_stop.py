# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Every process ends within two seconds of SIGINT or SIGTERM, whatever it does at that moment.

``IVF_STOP_ROUNDS=20`` repeats each case more often than a run of all tests can.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

from conftest import REPOSITORY, wait_until
import pytest

pytest.importorskip('rclpy', reason='live tests need rclpy')
pytestmark = pytest.mark.live

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402, I100
from ivf_ros.nodes.demo.container_process import start_modules  # noqa: E402
from ivf_ros.nodes.graph import process  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

LIMIT_S = 2.0
START_TIMEOUT_S = 60.0
ROUNDS = int(os.environ.get('IVF_STOP_ROUNDS', '2'))
STAGES = ('registration', 'fusion', 'perception')
# More than two cores can render and fuse, without an end.
OVERLOAD = ('simulator:duration_s=inf,rgb.width=1280,rgb.height=960,rgb.rate_hz=60,'
            'thermal.rate_hz=60')
REPLAYS = {'idle': None, 'overloaded': {'source': OVERLOAD},
           'paused': {'source': 'simulator', 'paused': True, 'wait_for_subscribers_s': 0.0}}


class Observer:
    """Needs all results, so that every stage works, and hears which nodes are active."""

    def __init__(self, graph):
        self._node = graph.node('observer')
        self.active, self.fused_count = set(), 0
        self._node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 50)
        self._node.create_subscription(Image, 'fused/image', self._on_fused, 5)
        self._node.create_subscription(Detection2DArray, 'detections', lambda _: None, 5)

    def _on_diagnostics(self, message):
        for status in message.status:
            if {'lifecycle': 'active'}.items() <= {v.key: v.value for v in status.values}.items():
                self.active.add(status.name.lstrip('/'))

    def _on_fused(self, _):
        self.fused_count += 1


def start(graph, mode, replay):
    """Start the stages, and a replay if there is one, in one process or in several."""
    names = [*STAGES, *(['replay'] if replay else [])]
    arguments = [word for name, value in (replay or {}).items()
                 for word in ('-p', f'replay:{name}:={value}')]
    options = {'cwd': REPOSITORY, 'stderr': subprocess.PIPE, 'text': True,
               'env': {**os.environ, 'ROS_DOMAIN_ID': str(graph.context.get_domain_id())}}
    if mode == 'processes':
        return names, start_modules([f'ivf_ros.nodes.{name}_node' for name in names], arguments,
                                    **options)
    return names, [subprocess.Popen(
        [sys.executable, '-m', 'ivf_ros.nodes.component_container', *names, '--ros-args',
         *arguments], **options)]


def stop(processes, number):
    """Send a signal to all processes; return their exit codes, or fail after the limit."""
    started_s = time.monotonic()
    for each in processes:
        each.send_signal(number)
    codes, errors = [], []
    for each in processes:
        try:
            # ``communicate`` empties the pipe, so that no process waits for its reader.
            errors.append(each.communicate(
                timeout=max(0.01, started_s + LIMIT_S - time.monotonic()))[1])
        except subprocess.TimeoutExpired:
            pytest.fail(f'{each.args} still runs {LIMIT_S:g} s after {number.name}')
        codes.append(each.returncode)
    return codes, ''.join(errors)


def run_until_active_and_stop(graph, mode, load, number):
    observer = Observer(graph)
    names, processes = start(graph, mode, REPLAYS[load])
    try:
        assert wait_until(lambda: observer.active >= set(names), START_TIMEOUT_S)
        if load == 'overloaded':
            assert wait_until(lambda: observer.fused_count > 3, START_TIMEOUT_S)
        codes, errors = stop(processes, number)
        # What computes at that moment may be ended without its clean-up.
        allowed = {0, 128 + number} if load == 'overloaded' else {0}
        assert set(codes) <= allowed and 'Traceback' not in errors, errors
    finally:
        for each in processes:
            each.kill()


@pytest.mark.parametrize('mode', ['composed', 'processes'])
@pytest.mark.parametrize('load', REPLAYS)
def test_a_graph_ends_after_a_signal(live_graph, mode, load):
    for index in range(ROUNDS):
        run_until_active_and_stop(live_graph, mode, load,
                                  (signal.SIGINT, signal.SIGTERM)[index % 2])


# Imports of the process, then loading of the networks.
@pytest.mark.parametrize('delay_s', [0.3, 1.0, 2.0])
def test_a_graph_ends_while_it_still_starts(live_graph, delay_s):
    _, processes = start(live_graph, 'composed', None)
    try:
        assert not wait_until(lambda: processes[0].poll() is not None, delay_s)
        stop(processes, signal.SIGTERM)
    finally:
        processes[0].kill()


def test_a_process_that_is_stuck_ends_without_clean_up(monkeypatch):
    code = ('import time; from ivf_ros.nodes.graph import process; process.init([])\n'
            'with process.stop_on_signals() as stop_requested:\n'
            '    print("ready", flush=True)\n'
            '    stop_requested.wait()\n'
            '    print("asked", flush=True)\n'
            '    time.sleep(60)\n')
    with subprocess.Popen([sys.executable, '-c', code], cwd=REPOSITORY, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        killer = threading.Timer(30.0, child.kill)
        killer.start()
        assert child.stdout.readline() == 'ready\n'
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate()
        killer.cancel()
    assert (output, child.returncode) == ('asked\n', 128 + signal.SIGINT)
    assert errors == (f'error: still busy {process.STOP_LIMIT_S:g} s after a signal; ended '
                      'without clean-up\n')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_demonstration_ends_with_its_child_processes(live_graph, tmp_path, number):
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(live_graph.context.get_domain_id())}
    observer = Observer(live_graph)
    with subprocess.Popen(
            [sys.executable, '-m', 'ivf_ros.cli', 'demo', '--seconds', '60', '--out',
             str(tmp_path / 'out')], cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE,
            text=True, start_new_session=True) as command:
        try:
            assert wait_until(lambda: observer.fused_count > 3, START_TIMEOUT_S)
            command.send_signal(number)
            errors = command.communicate(timeout=3 * LIMIT_S)[1]
        finally:
            command.kill()
    assert errors.splitlines()[-1] == 'ivf demo: interrupted' and 'Traceback' not in errors
    assert command.returncode == 130
    with pytest.raises(ProcessLookupError):  # nobody is left in its process group
        os.killpg(command.pid, 0)


def test_handlers_and_watchdog_are_gone_after_the_block():
    import rclpy
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    process.init([])
    with process.stop_on_signals() as stop_requested:
        assert not stop_requested.is_set()
    assert not rclpy.ok()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert not any(thread.name == 'signals' for thread in threading.enumerate())
