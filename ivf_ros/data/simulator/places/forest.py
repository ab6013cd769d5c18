# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A forest: trunks and undergrowth that hide people, a path, game, fallen trunks, tents."""

from __future__ import annotations

from ivf_ros.data.simulator.places.lookalikes import add_lookalikes
from ivf_ros.data.simulator.places.site import (
    add_floodlights,
    make_generators,
    make_lighting,
    sample_outdoor_climate,
    sample_pose,
    Site,
)
from ivf_ros.data.simulator.scene import Scene
from ivf_ros.data.simulator.surfaces.backdrop import make_forest_depths, make_sky
from ivf_ros.data.simulator.surfaces.grounds import make_ground, make_path, make_sun_spots
from ivf_ros.data.simulator.things.animals import WILD
from ivf_ros.data.simulator.things.fences import make_fence, SECTION_M
from ivf_ros.data.simulator.things.plants import (
    make_bush,
    make_conifer,
    make_log,
    make_trunk,
    make_undergrowth,
)
from ivf_ros.data.simulator.things.stalls import make_tent
import numpy as np

_END_M, _HALF_WIDTH_M = 60.0, 45.0


def build_forest(condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """Create a random forest; see ``places.build_scene``."""
    layout_rng, weather_rng, surface_rng, objects_rng = make_generators(seed, 4)
    climate = sample_outdoor_climate(condition, weather_rng)
    eye_m, angles_deg = sample_pose(layout_rng, ('low', 'eye'))
    lighting, _ = make_lighting(climate, np.empty((0, 3)), eye_m, layout_rng)
    half_path_m = layout_rng.uniform(0.5, 1.4)
    path, middle_m = make_path('soil', half_path_m, 45.0, surface_rng, climate)
    scene = Scene(climate, lighting, eye_m, angles_deg, layout_rng.uniform(6, 14),
                  (_HALF_WIDTH_M, _HALF_WIDTH_M), is_ordered_along_z=True)
    scene.surfaces = [*make_sky(surface_rng, climate),
                      *make_ground('forest floor', _HALF_WIDTH_M, _END_M, surface_rng, climate,
                                   lighting)]
    if layout_rng.random() < 0.75:
        scene.surfaces += path
    scene.surfaces += make_sun_spots(_HALF_WIDTH_M, _END_M, surface_rng, climate)
    site = Site(scene, objects_rng, people, lookalikes)
    for z in (_END_M - 5, 42.0):
        scene.add(make_forest_depths(objects_rng, climate, 2 * _HALF_WIDTH_M),
                  np.array([0.0, 0.0, z]), shadow='none')
    _add_plants(site, middle_m, half_path_m)
    _add_people(site, middle_m, half_path_m)
    add_lookalikes(site, lambda near_m: site.sample_spot(near_m, 28.0, 20.0), {
        'animal': 2.2, 'birds': 0.4, 'statue': 0.2, 'robot': 0.5}, (*WILD, 'dog'))
    for _ in range(site.count_lookalikes(0.4)):
        site.add(make_tent(objects_rng, climate), *site.sample_spot(6.0, 20.0, 12.0),
                 heading_rad=objects_rng.uniform(-0.6, 0.6), shadow='none')
    add_floodlights(site, 6, 20)
    scene.sort_objects()
    return scene


def _off_path(site: Site, middle_m, half_path_m, z: float) -> float:
    """Return a random x within the view, but not on the path."""
    x, path_x = site.sample_x(z, 30), float(np.interp(z, middle_m[:, 1], middle_m[:, 0]))
    clear_m = half_path_m + 0.3
    return x if abs(x - path_x) > clear_m else path_x + np.copysign(clear_m + 0.4, x - path_x)


def _add_plants(site: Site, middle_m, half_path_m) -> None:
    rng, climate = site.rng, site.climate

    def add(number, near_m, far_m, make):
        for _ in range(number):
            z = site.sample_z(near_m, far_m)
            site.add(make(rng, climate), _off_path(site, middle_m, half_path_m, z), z,
                     shadow='none')  # the canopy shades them all

    add(int(rng.integers(2, 6)), 3.5, 8, make_trunk)
    add(int(rng.integers(16, 30)), 8, 42, make_trunk)
    add(int(rng.integers(2, 8)), 6, 35, make_conifer)
    add(int(rng.integers(6, 16)), 3, 25, make_undergrowth)
    add(int(rng.integers(1, 5)), 5, 30, make_bush)
    add(int(rng.integers(0, 4)), 4, 20, make_log)
    if rng.random() < 0.3:
        z, x = rng.uniform(8, 20), rng.uniform(-10, 0)
        for index in range(int(rng.integers(3, 7))):
            site.add(make_fence('wire' if x < -5 else 'picket', rng, climate),
                     x + SECTION_M * index, z, shadow='none')


def _add_people(site: Site, middle_m, half_path_m) -> None:
    rng, climate = site.rng, site.climate

    def path_point(z):
        return np.interp(z, middle_m[:, 1], middle_m[:, 0]) + rng.uniform(-0.7, 0.7) \
            * half_path_m, z

    for _ in range(site.count_people(1.8)):
        z = site.sample_z(4, 30)
        site.add_walker(path_point(z), path_point(z + rng.uniform(5, 15)))
    if site.count_people(0.3):
        site.add_rider(path_point(4.0), path_point(35.0))
    for _ in range(site.count_people(2.5)):  # searched for: they lie or crouch
        z = site.sample_z(4, 28)
        site.add_person(_off_path(site, middle_m, half_path_m, z), z,
                        ('lying', 'lying', 'crouching', 'seated')[rng.integers(4)], seat_m=0.06)
    for _ in range(site.count_people(3.0)):
        z = site.sample_z(5, 40)
        site.add_person(_off_path(site, middle_m, half_path_m, z), z)
    for _ in range(site.count_people(4.0)):
        z = site.sample_z(5, 32)
        x = _off_path(site, middle_m, half_path_m, z)
        pick = rng.random()
        if pick < 0.6:
            site.add_hidden_person(x, z, make_trunk(rng, climate), 0.18)
        elif pick < 0.8:
            site.add_hidden_person(x, z, make_bush(rng, climate), 0.5, 'crouching')
        else:
            site.add_hidden_person(x, z, make_undergrowth(rng, climate), 0.2, 'lying')
