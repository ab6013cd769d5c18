# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A courtyard between houses: bicycle stands, tables, bins, doorsteps, children, cats."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import UP
from ivf_ros.data.simulator.places.lookalikes import add_lookalikes, add_wall_poster
from ivf_ros.data.simulator.places.site import (
    add_floodlights,
    add_path_lamps,
    make_generators,
    make_lighting,
    sample_outdoor_climate,
    sample_pose,
    Site,
)
from ivf_ros.data.simulator.scene import Scene
from ivf_ros.data.simulator.surfaces.backdrop import make_sky
from ivf_ros.data.simulator.surfaces.facades import Face, make_facade
from ivf_ros.data.simulator.surfaces.grounds import make_area, make_ground
from ivf_ros.data.simulator.things.bicycles import make_bicycle_hoop
from ivf_ros.data.simulator.things.fences import KINDS, make_fence, SECTION_M
from ivf_ros.data.simulator.things.furniture import make_bin
from ivf_ros.data.simulator.things.indoor import make_boxes, make_potted_plant
from ivf_ros.data.simulator.things.lamps import PATH_LAMP_M
from ivf_ros.data.simulator.things.plants import make_bush, make_hedge, make_tree
from ivf_ros.data.simulator.things.seats import make_bench
from ivf_ros.data.simulator.things.steps import Flight, make_steps
from ivf_ros.data.simulator.things.vehicles import make_car
import numpy as np

_ALONG_X, _ALONG_Z, _NEAR_M = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), -3.0


def build_courtyard(condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """Create a random courtyard; see ``places.build_scene``."""
    layout_rng, weather_rng, surface_rng, objects_rng = make_generators(seed, 4)
    climate = sample_outdoor_climate(condition, weather_rng)
    eye_m, angles_deg = sample_pose(layout_rng)
    left_m, right_m = layout_rng.uniform(5, 13, 2)
    end_m = layout_rng.uniform(14, 32)
    lamps_m = np.array([(side * (wall - 0.6), -PATH_LAMP_M, z) for side, wall in
                        ((-1, left_m), (1, right_m)) for z in np.arange(5.0, end_m, 9.0)])
    lighting, colour = make_lighting(climate, lamps_m, eye_m, layout_rng)
    scene = Scene(climate, lighting, eye_m, angles_deg, layout_rng.uniform(5, end_m - 3),
                  (left_m, right_m), is_ordered_along_z=True)
    scene.surfaces = [*make_sky(surface_rng, climate), *make_ground(
        layout_rng.choice(['cobbles', 'paving', 'asphalt', 'concrete', 'gravel']),
        max(left_m, right_m), end_m, surface_rng, climate, lighting)]
    if layout_rng.random() < 0.4:  # a lawn in the middle
        x, z = layout_rng.uniform(-3, 3), layout_rng.uniform(6, end_m - 5)
        half = layout_rng.uniform(1.5, 3.5)
        scene.surfaces += make_area('lawn', np.array([
            (x - half, z), (x + half, z), (x + half, z + half), (x - half, z + half)]),
            surface_rng, climate)
    walls = [Face(np.array([-left_m, 0.0, end_m]), _ALONG_X, UP, left_m + right_m,
                  layout_rng.uniform(6, 15), -_ALONG_Z),
             Face(np.array([-left_m, 0.0, _NEAR_M]), _ALONG_Z, UP, end_m - _NEAR_M,
                  layout_rng.uniform(5, 15), _ALONG_X),
             Face(np.array([right_m, 0.0, _NEAR_M]), _ALONG_Z, UP, end_m - _NEAR_M,
                  layout_rng.uniform(5, 15), -_ALONG_X)]
    for face in walls:
        scene.surfaces += make_facade(face, surface_rng, climate, lighting,
                                      layout_rng.choice(['house', 'house', 'blind']))
    site = Site(scene, objects_rng, people, lookalikes)
    for _ in range(site.count_lookalikes(1.2)):
        add_wall_poster(site, walls[objects_rng.integers(3)])
    add_path_lamps(site, lamps_m, colour)
    _add_bicycles(site, left_m, right_m, end_m)
    _add_furniture(site, left_m, right_m, end_m)
    _add_people(site, left_m, right_m, end_m)
    half_m = min(left_m, right_m) - 0.8
    add_lookalikes(site, lambda near_m: site.sample_spot(near_m, end_m - 1.5, half_m), {
        'statue': 0.5, 'animal': 1.2, 'roaming dog': 0.5, 'birds': 0.5, 'robot': 0.7})
    add_floodlights(site, min(left_m, right_m) - 1, end_m - 2)
    scene.sort_objects()
    return scene


def _sample_wall_spot(site: Site, left_m: float, right_m: float, end_m: float, inset_m: float
                      ) -> tuple[float, float]:
    """Return a random spot, x and z, along one of the side walls."""
    side = site.rng.choice([-1, 1])
    return side * ((right_m if side > 0 else left_m) - inset_m), site.rng.uniform(4, end_m - 1.5)


def _add_bicycles(site: Site, left_m: float, right_m: float, end_m: float) -> None:
    rng, climate = site.rng, site.climate
    for _ in range(int(rng.integers(1, 4))):
        number = int(rng.integers(3, 9))
        if rng.random() < 0.5:  # in a row across the view, at the end or in the middle
            x, z = rng.uniform(-left_m + 0.6, right_m - 0.55 * number), rng.uniform(5, end_m - 1.2)
            step_m, heading = (rng.uniform(0.35, 0.6), 0.0), rng.uniform(-0.5, 0.5)
        else:
            x, z = _sample_wall_spot(site, left_m, right_m, end_m, 1.2)
            step_m, heading = (0.0, rng.uniform(0.4, 0.6)), np.pi / 2
            z = min(z, max(end_m - 1.2 - 0.6 * number, 4.0))
        for index in range(0, number, 2):
            site.add(make_bicycle_hoop(climate), x + step_m[0] * index, z + step_m[1] * index,
                     heading_rad=heading)
        site.add_parked_bicycles(x, z, int(rng.integers(1, number + 1)), heading, step_m)


def _add_furniture(site: Site, left_m: float, right_m: float, end_m: float) -> None:
    rng, climate = site.rng, site.climate

    def along_wall(inset_m):
        return _sample_wall_spot(site, left_m, right_m, end_m, inset_m)

    for _ in range(int(rng.integers(1, 6))):
        x, z = along_wall(0.7)
        site.add(make_bin(climate, rng), x, z)
    for make, usual in ((make_tree, 0.9), (make_bush, 1.5), (make_potted_plant, 2.0),
                        (make_boxes, 1.0)):
        for _ in range(int(rng.poisson(usual))):
            z = rng.uniform(4.5, end_m - 1)
            x = along_wall(1.0)[0] if rng.random() < 0.6 else site.sample_x(
                z, min(left_m, right_m) - 1)
            site.add(make(rng, climate), x, z)
    for _ in range(int(rng.poisson(1.0))):
        site.add_bench_sitters(make_bench(rng, climate), *site.sample_spot(
            4.5, end_m - 1.5, min(left_m, right_m) - 1.5), 3)
    if rng.random() < 0.45:
        x, z = along_wall(1.4)
        site.add(make_car(rng, climate, bool(rng.random() < 0.3), False), x, max(z, 7.0), 'car',
                 rng.choice([0.0, np.pi]), shadow='contact')
    if rng.random() < 0.5:
        z, x = rng.uniform(6, end_m - 2), rng.uniform(-left_m, 0)
        kind = KINDS[rng.integers(len(KINDS))]
        for index in range(int(rng.integers(2, 5))):
            mesh = make_hedge(rng, climate, SECTION_M, 1.1) if kind == 'board' \
                else make_fence(kind, rng, climate)
            if x + SECTION_M * (index + 1) < right_m:
                site.add(mesh, x + SECTION_M * index, z)
    if rng.random() < 0.6:  # doorsteps
        x, steps = rng.uniform(-left_m + 1.5, right_m - 1.5), int(rng.integers(2, 7))
        flight = Flight(x - 1.0, x + 1.0, end_m - 0.3 * steps, 0.0, steps, 0.17, 0.3)
        for mesh, z in make_steps(flight, np.array((0.34, 0.36, 0.37)), 'stone', rng, climate):
            site.scene.add_placed(mesh, z, shadow='none')


def _add_people(site: Site, left_m: float, right_m: float, end_m: float) -> None:
    rng, half_m = site.rng, min(left_m, right_m) - 0.6

    def spot(near_m: float = 3.5) -> tuple[float, float]:
        return site.sample_spot(near_m, end_m - 1, half_m)

    for _ in range(site.count_people(2.0)):
        site.add_walker(spot(), (rng.uniform(-half_m, half_m), rng.uniform(4, end_m - 1)))
    for _ in range(site.count_people(3.0)):
        site.add_person(*spot(), (
            'standing', 'standing', 'crouching', 'lying', 'seated')[rng.integers(5)], seat_m=0.05)
    for _ in range(site.count_people(0.8)):
        site.add_group(*spot(), int(rng.integers(2, 5)))
    for _ in range(site.count_people(1.5)):
        site.add_walker(spot(), spot(), is_child=True, speed=rng.uniform(1.0, 2.5))
    for _ in range(site.count_people(0.4)):
        start_x, end_x = rng.uniform(-half_m, half_m, 2)
        site.add_rider((start_x, 3.0), (end_x, end_m - 1))
    for _ in range(site.count_people(1.0)):
        site.add_hidden_person(*spot(6.0), make_bush(rng, site.climate), 0.5)
