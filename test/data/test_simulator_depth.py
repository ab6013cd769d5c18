# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Exact depth of the simulated street."""

from __future__ import annotations

from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.data.simulator.mesh import MeshBuilder
from ivf_ros.data.simulator.rendering.depth import render_depth
from ivf_ros.data.simulator.rig import Camera
import numpy as np

SIZE = (80, 60)
K = np.array([[70.0, 0, 39.5], [0, 70.0, 29.5], [0, 0, 1.0]])
CAMERA = Camera(np.hstack([K, np.zeros((3, 1))]), np.zeros(3), SIZE)


def make_mesh(*polygons):
    builder = MeshBuilder()
    for points_m in polygons:
        builder.add(points_m, (1, 1, 1), 20.0)
    return builder.build()


def square(z, half=100.0):
    return [(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)]


def test_walls_and_ground_have_the_depth_of_their_planes():
    wall, ground = square(20.0), [(-100, 1.5, 0.5), (100, 1.5, 0.5), (100, 1.5, 99),
                                  (-100, 1.5, 99)]
    depth_m = render_depth([make_mesh(ground), make_mesh(wall)], CAMERA)
    rows = np.arange(SIZE[1])
    below = 1.5 * 70 / np.maximum(rows - 29.5, 1e-9)  # of a ray that hits the ground
    expected = np.minimum(20.0, np.where(rows > 29.5, below, np.inf))
    np.testing.assert_allclose(depth_m, np.broadcast_to(expected[:, None], depth_m.shape),
                               rtol=1e-6)


def test_the_nearest_polygon_counts_in_any_order_and_the_sky_is_infinite():
    near, far = make_mesh(square(5.0, 0.5)), make_mesh(square(9.0, 3.0))
    for meshes in ((near, far), (far, near)):
        depth_m = render_depth(meshes, CAMERA)
        assert depth_m[30, 40] == 5.0 and depth_m[30, 60] == 9.0 and np.isinf(depth_m[2, 2])
        assert abs(np.count_nonzero(depth_m == 5.0) - 14 ** 2) <= 14


def test_the_depth_of_an_object_is_that_of_its_mesh():
    simulator = RigSimulator(SimulatorParameters(seed=3))
    depth_m, (_, _, truth) = simulator.render_depth(1.0), simulator.render(1.0)
    assert depth_m.shape == (480, 640) and depth_m.dtype == np.float32
    assert np.isinf(depth_m[:40]).any() and np.isfinite(depth_m[-40:]).all()
    meshes = {str(item.identity): item.mesh
              for item in [*simulator._scene.objects, *simulator._scene.moving_objects(1.0)]}
    visible_m = simulator.visible_depths_m(1.0)
    assert len(truth.detections) >= 5
    for box in truth.detections:
        z = simulator.rig.rgb.depth_m(meshes[box.track_id].points_m)
        assert z.min() - 1e-3 <= visible_m[box.track_id] <= z.max() + 1e-3
