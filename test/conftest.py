# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fixtures that several test modules share."""

from __future__ import annotations

import fcntl
import itertools
import os
from pathlib import Path
import threading
import time
from typing import Callable, Iterator

import pytest

# Threads of PyTorch that wait actively take the cores of the other worker: some tests of the
# trainings took 25 s, and take less than 4 s. It must be set before PyTorch is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

REPOSITORY = Path(__file__).resolve().parent.parent


def cycle_domain_ids() -> Iterator[int]:
    """
    Return the ids of the ROS domains of this process, one for each live test.

    The workers of pytest-xdist have different ones. Other runs on this machine, which have other
    process ids, most likely begin elsewhere.
    """
    worker = int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw'))
    ids = range(1, 101)[worker::int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))]
    start = os.getpid() % len(ids)
    return itertools.cycle([*ids[start:], *ids[:start]])


DOMAIN_IDS = cycle_domain_ids()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests that use the live graph; other tests with rclpy have an explicit mark."""
    for item in items:
        if 'live_graph' in getattr(item, 'fixturenames', ()):
            item.add_marker(pytest.mark.live)


@pytest.fixture(autouse=True)
def share_machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
                  ) -> Iterator[None]:
    """Let a test with the mark ``alone`` wait for those of the other workers, and these for it."""
    lock = fcntl.LOCK_EX if request.node.get_closest_marker('alone') else fcntl.LOCK_SH
    # The workers of one run have folders below the same one.
    with (tmp_path_factory.getbasetemp().parent / 'share_machine').open('w') as file:
        fcntl.flock(file, lock)
        yield


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder of real recordings; skip the test if it is absent."""
    folder = Path(os.environ.get('IVF_DATA', REPOSITORY.parent / 'shared' / 'data'))
    if not (folder / 'index.csv').is_file():
        pytest.skip(f'no real recordings at {folder}; set IVF_DATA to where they are')
    return folder


class LiveGraph:
    """Real nodes on a separate domain, spun in a background thread; always torn down."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.context = rclpy.Context()
        rclpy.init(args=[], context=self.context, domain_id=next(DOMAIN_IDS))
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes: list = []
        self._strangers: list = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def add(self, make_node: Callable, *args, **kwargs):
        """Create a node on the domain of this graph and spin it."""
        node = make_node(*args, context=self.context, **kwargs)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def node(self, name: str):
        """Create a plain node that observes the graph."""
        from rclpy.node import Node

        return self.add(Node, name)

    def stranger(self, name: str):
        """Create a plain node with a separate DDS participant, as in another process."""
        import rclpy
        from rclpy.node import Node

        context = rclpy.Context()
        rclpy.init(args=[], context=context, domain_id=self.context.get_domain_id())
        self._strangers.append(Node(name, context=context))
        return self._strangers[-1]

    def close(self) -> None:
        for node in self._strangers:
            node.destroy_node()
            node.context.try_shutdown()
        for node in self.nodes:
            node.destroy_node()
        self._is_closing = True
        self.executor.shutdown()
        self.context.try_shutdown()
        self._thread.join(10.0)

    def _spin(self) -> None:
        from ivf_ros.nodes.graph.spinner import spin_turn

        # A test changes the state of a node from its own thread. What that destroys may just be
        # waited for here, which must not end this thread.
        while not self._is_closing and spin_turn(self.executor, self._fail):
            pass

    def _fail(self, error: BaseException) -> bool:
        if not self._is_closing:  # then the context may end during a turn
            raise error
        return False


@pytest.fixture
def live_graph(monkeypatch) -> Iterator[LiveGraph]:
    """Provide a separate graph; skip the test if ROS is not installed."""
    pytest.importorskip('rclpy', reason='live tests need rclpy')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    graph = LiveGraph()
    yield graph
    graph.close()


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> bool:
    """
    Poll until ``condition()`` is true; return False after the timeout.

    The timeout only ends a test that fails. It is long, because the machine may be busy.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.005)
    return True
