# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stamps of bags whose cameras have no clock, or one of their own."""

from __future__ import annotations

import logging

from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sources import open_source
from ivf_ros.types import Frame
import numpy as np
import pytest
from recorded_bags import write_image

T0_NS, PERIOD_NS = 1_700_000_000_000_000_000, 100_000_000
RECORDED_NS = [T0_NS + index * PERIOD_NS for index in range(20)]
UPTIME_NS = [5_000_000_000 + index * PERIOD_NS for index in range(20)]
SHAPES = {'thermal': (24, 32), 'rgb': (24, 32, 3)}


def write_bag(path, **stamps_ns):
    """Write a bag; a camera without stamps of its own has those of the recorder."""
    rng = np.random.default_rng(0)
    with BagWriter(path) as writer:
        for index, recorded_ns in enumerate(RECORDED_NS):
            for stream, shape in SHAPES.items():
                stamp_ns = stamps_ns.get(stream, RECORDED_NS)[index]
                write_image(writer, f'{stream}/image_raw',
                            Frame(rng.integers(0, 256, shape, np.uint8), stamp_ns, stream),
                            recorded_ns=recorded_ns)
    return path


def read_stamps_ns(path, **options):
    events = list(open_source(path, **options).events())
    assert [event.recorded_ns for event in events[::2]] == RECORDED_NS
    return {stream: [event.frame.stamp_ns for event in events if event.stream == stream]
            for stream in SHAPES}


def test_a_camera_that_counts_from_its_start_is_shifted_to_the_recorder_and_told(tmp_path, caplog):
    path = write_bag(tmp_path / 'uptime', thermal=UPTIME_NS)
    with caplog.at_level(logging.WARNING):
        stamps_ns = read_stamps_ns(path)
    assert stamps_ns == {'thermal': RECORDED_NS, 'rgb': RECORDED_NS}
    assert 'thermal minus RGB is -1699999995.000 s' in caplog.text
    assert '--stamps header' in caplog.text


@pytest.mark.parametrize('stamps_ns', [[0] * 20, [T0_NS - 10**18] * 20])
def test_stamps_that_tell_nothing_are_replaced(tmp_path, stamps_ns):
    path = write_bag(tmp_path / 'constant', thermal=stamps_ns, rgb=stamps_ns)
    assert read_stamps_ns(path) == {'thermal': RECORDED_NS, 'rgb': RECORDED_NS}


def test_the_stamps_can_be_chosen(tmp_path):
    path = write_bag(tmp_path / 'uptime', thermal=UPTIME_NS)
    assert read_stamps_ns(path, stamps='header') == {'thermal': UPTIME_NS, 'rgb': RECORDED_NS}
    late_ns = [stamp_ns - 50_000_000 for stamp_ns in RECORDED_NS]
    path = write_bag(tmp_path / 'late', thermal=late_ns)
    assert read_stamps_ns(path) == {'thermal': late_ns, 'rgb': RECORDED_NS}
    assert read_stamps_ns(path, stamps='recorded') == {'thermal': RECORDED_NS, 'rgb': RECORDED_NS}


def test_only_bags_have_times_of_recording():
    with pytest.raises(SourceError, match='only bags have times of recording'):
        open_source('/nonexistent', stamps='recorded')
