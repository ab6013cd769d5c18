# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Positions of objects on simulated streets against the exact depth."""

from __future__ import annotations

import json
import subprocess
import sys

from ivf_ros.evaluation import position_accuracy
from ivf_ros.types import Detection
import pytest


@pytest.fixture(scope='module')
def rows() -> list[dict]:
    """Return the rows of ``ivf benchmark --positions`` for a few streets."""
    command = [sys.executable, '-m', 'ivf_ros.cli', 'benchmark', '--positions', '--streets', '3',
               '--json']
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(result.stdout)


def select(rows, **conditions):
    return [row for row in rows if all(row[name] == value for name, value in conditions.items())]


@pytest.mark.parametrize(('distance_m', 'limit_m'), [('0-10', 0.2), ('10-20', 0.3),
                                                     ('20-40', 0.8)])
@pytest.mark.parametrize('source', ['true', 'network'])
@pytest.mark.parametrize('labels', [False, True])
def test_the_median_error_is_a_few_percent_of_the_distance(rows, distance_m, limit_m, source,
                                                           labels):
    [row] = select(rows, depth='camera', boxes=source, labels=labels, distance_m=distance_m)
    assert row['objects'] >= 3 and row['left_out'] <= row['objects'] // 3
    assert 0 < row['median_error_m'] < limit_m
    assert row['below_10_percent'] >= 0.75 and row['within_95_ellipsoid'] >= 0.75


def test_a_sparse_cloud_leaves_more_objects_out(rows):
    left_out = {sensor: sum(row['left_out'] for row in select(rows, depth=sensor, boxes='true'))
                for sensor in ('camera', 'lidar')}
    assert left_out['lidar'] > left_out['camera']


def test_a_found_box_belongs_to_the_true_box_of_its_class_that_it_overlaps_most():
    def box(left, class_name, track_id=''):
        return Detection((left, 0.0, left + 10.0, 10.0), class_name, 0.5, track_id)

    true = (box(0, 'person', 'a'), box(3, 'person', 'b'), box(3, 'vehicle', 'c'))
    found = (box(3.2, 'person'), box(40, 'person'), box(0.5, 'vehicle'))
    matched = position_accuracy._match(found, true)
    assert [(item.track_id, item.box_xyxy_px[0]) for item in matched] == [('b', 3.2), ('c', 0.5)]
