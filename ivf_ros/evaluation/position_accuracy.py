# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Accuracy of the positions of objects in space, on simulated streets with exact depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ivf_ros.boxes import iou
from ivf_ros.camera_model import CameraModel
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.detection import CLASS_NAMES
from ivf_ros.detection3d import CalibratedCamera, Detection3d, Detection3dStage
from ivf_ros.perception import JointPerception
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.types import Detection, Segmentation
import numpy as np

DISTANCES_M = (0.0, 10.0, 20.0, 40.0, 80.0)  # limits of the groups in the table
_TIMES_S = (0.5, 4.0)  # of the scenes of one street
_FIRST_SEED = 500  # streets that no other part of the package uses
_LIDAR_ROWS, _LIDAR_COLUMNS = 8, 3  # one pixel of these has a point
_NOISE_RATIO = 0.01  # of the depth, of both depth sensors; that of the default parameters
_MIN_IOU = 0.5  # of a found box and a true one
_CHI_SQUARED_95 = 7.815  # of three degrees of freedom


@dataclass(frozen=True, eq=False)
class _Scene:
    camera: CalibratedCamera
    depth_m: np.ndarray  # exact
    true_boxes: tuple[Detection, ...]
    true_labels: Segmentation
    true_positions_m: dict[str, np.ndarray]  # by the id of the true box
    found_boxes: tuple[Detection, ...]  # by the network, with the ids of the true boxes
    found_labels: Segmentation


def measure_positions(streets: int, condition: str = 'night') -> list[dict[str, Any]]:
    """
    Measure the positions of people, vehicles and bicycles on streets of the simulator.

    The true position is the centre of the true box at the median depth of the visible pixels of
    the object. Boxes are the true ones, or those of the perception network that match a true box.

    Parameters
    ----------
    streets:
        Number of streets; each has two moments.
    condition:
        Light and weather, as in ``SimulatorParameters``.

    Returns
    -------
    list[dict]
        For each source of the boxes, use of labels, depth sensor and range of distance: the number
        of ``objects``, those ``left_out``, median and 90 % quantile of the error in metres, the
        fraction with an error below 10 % of the distance, and the fraction of errors within the
        95 % ellipsoid of the covariance.

    """
    scenes = list(_make_scenes(streets, condition))
    rows = []
    for sensor in ('camera', 'lidar'):
        for source, uses_labels in (('true', False), ('true', True), ('network', False),
                                    ('network', True)):
            measured = [values for index, scene in enumerate(scenes)
                        for values in _measure(scene, source, uses_labels, sensor, index)]
            rows += [{'depth': sensor, 'boxes': source, 'labels': uses_labels, **values}
                     for values in _summarize(np.array(measured).reshape(-1, 3))]
    return rows


def _make_scenes(streets: int, condition: str) -> Iterator[_Scene]:
    network = JointPerception()
    for seed in range(_FIRST_SEED, _FIRST_SEED + streets):
        simulator = RigSimulator(SimulatorParameters(seed=seed, condition=condition))
        camera = CalibratedCamera(CameraModel(simulator.rig.rgb.size, simulator.rig.K_rgb))
        for time_s in _TIMES_S:
            thermal, rgb, truth = simulator.render(time_s)
            assert truth.detections is not None and truth.segmentation is not None
            boxes = tuple(box for box in map_class_names(truth.detections, CLASS_NAMES)
                          if box.class_name in CLASS_NAMES)
            depths_m = simulator.visible_depths_m(time_s)
            registered = ThermalWarper().warp_gray(thermal, simulator.H_thermal_to_rgb,
                                                   camera.size).image
            found, labels = network.perceive(rgb, registered)
            yield _Scene(camera, simulator.render_depth(time_s), boxes, truth.segmentation,
                         {box.track_id: _center_ray(box, camera) * depths_m[box.track_id]
                          for box in boxes}, _match(found, boxes), labels)


def _center_ray(box: Detection, camera: CalibratedCamera) -> np.ndarray:
    left, top, right, bottom = box.box_xyxy_px
    return camera.rays(np.array([((left + right - 1) / 2, (top + bottom - 1) / 2)]))[0]


def _match(found: Sequence[Detection], true: Sequence[Detection]) -> tuple[Detection, ...]:
    """Return the found boxes that overlap a true box of their class, with its id."""
    matched, remaining = [], list(true)
    for box in sorted(found, key=lambda item: -item.score):
        best = max((other for other in remaining if other.class_name == box.class_name),
                   key=lambda other: iou(box, other), default=None)
        if best is not None and iou(box, best) >= _MIN_IOU:
            remaining.remove(best)
            matched.append(replace(box, track_id=best.track_id))
    return tuple(matched)


def _measure(scene: _Scene, source: str, uses_labels: bool, sensor: str, seed: int
             ) -> Iterator[tuple[float, float, float]]:
    """Yield true distance, error in metres (NaN if left out) and squared Mahalanobis distance."""
    random = np.random.default_rng(seed)
    noise = 1 + random.normal(0, _NOISE_RATIO, scene.depth_m.shape)
    stage = Detection3dStage()
    depth_m = stage.depth_from_registered(scene.depth_m * noise, scene.camera)
    if sensor == 'lidar':
        sparse = np.full_like(depth_m, np.nan)
        grid = slice(None, None, _LIDAR_ROWS), slice(None, None, _LIDAR_COLUMNS)
        sparse[grid] = depth_m[grid]
        depth_m = sparse
    boxes, labels = (scene.true_boxes, scene.true_labels) if source == 'true' \
        else (scene.found_boxes, scene.found_labels)
    found: dict[str, Detection3d] = {
        item.detection.track_id: item
        for item in stage.step(boxes, depth_m, scene.camera, labels if uses_labels else None)}
    for box in boxes:
        true_m = scene.true_positions_m[box.track_id]
        item = found.get(box.track_id)
        if item is None:
            yield float(true_m[2]), np.nan, np.nan
            continue
        error = item.position_m - true_m
        yield (float(true_m[2]), float(np.linalg.norm(error)),
               float(error @ np.linalg.inv(item.covariance_m2) @ error))


def _summarize(measured: np.ndarray) -> Iterator[dict[str, Any]]:
    for low, high in pairwise(DISTANCES_M):
        group = measured[(measured[:, 0] >= low) & (measured[:, 0] < high)]
        located = group[np.isfinite(group[:, 1])]
        if not len(located):
            continue
        distances, errors, mahalanobis = located.T
        yield {'distance_m': f'{low:g}-{high:g}', 'objects': len(group),
               'left_out': len(group) - len(located),
               'median_error_m': round(float(np.median(errors)), 3),
               'p90_error_m': round(float(np.percentile(errors, 90)), 2),
               'below_10_percent': round(float(np.mean(errors < 0.1 * distances)), 3),
               'within_95_ellipsoid': round(float(np.mean(mahalanobis < _CHI_SQUARED_95)), 3)}
