# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The street of a seed stays the same.

Published tables and other tests depend on it. Labels and boxes are compared exactly. Images are
compared by the means of areas, because the last digit of a float differs between processors.
``python test/data/test_simulated_street.py`` prints the reference anew.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.parameters import build
import numpy as np
import pytest

REFERENCE = Path(__file__).with_name('simulated_streets.json')
CASES = {
    'day': {'condition': 'day', 'seed': 0},
    'dusk': {'condition': 'dusk', 'seed': 3},
    'night': {'condition': 'night', 'seed': 5},
    'glare': {'condition': 'glare', 'seed': 1},
    'smoke': {'condition': 'smoke', 'seed': 2},
    'rain': {'condition': 'rain', 'seed': 4},
    'rig': {'condition': 'night', 'seed': 7, 'rig.mode': 'rig', 'thermal.width': 160,
            'thermal.height': 120},
}
_AREAS = (4, 3)


def describe(values):
    """Return a hash of the labels, boxes and pose, and the means of areas of both images."""
    simulator = RigSimulator(build(SimulatorParameters, values))
    hashed, means = hashlib.sha256(), []
    for time_s, noise in ((0.0, 0), (7.3, 4)):
        thermal, rgb, truth = simulator.render(time_s, noise)
        hashed.update(truth.segmentation.labels.tobytes())
        hashed.update(repr(truth.detections).encode())
        means += [cv2.resize(image.astype(np.float32), _AREAS, interpolation=cv2.INTER_AREA)
                  .ravel().round(2).tolist() for image in (thermal, rgb)]
    hashed.update(np.round(simulator.H_thermal_to_rgb, 9).tobytes())
    return {'truth': hashed.hexdigest(), 'means': means}


@pytest.mark.parametrize('name', CASES)
def test_the_street_of_a_seed_is_the_published_one(name):
    expected = json.loads(REFERENCE.read_text())[name]
    found = describe(CASES[name])
    assert found['truth'] == expected['truth']
    for found_means, expected_means in zip(found['means'], expected['means'], strict=True):
        np.testing.assert_allclose(found_means, expected_means, atol=0.05)


if __name__ == '__main__':
    lines = (f'{json.dumps(name)}: {json.dumps(describe(CASES[name]))}' for name in CASES)
    print('{' + ',\n'.join(lines) + '}')
