# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A park: lawns, a winding path, trees, benches, a pond, people near and far, and their pets."""

from __future__ import annotations

from ivf_ros.data.simulator.places.lookalikes import add_lookalikes
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
from ivf_ros.data.simulator.surfaces.backdrop import make_hills, make_sky, make_tree_line
from ivf_ros.data.simulator.surfaces.grounds import make_ground, make_path, make_pond
from ivf_ros.data.simulator.things.animals import PASTURE, PETS
from ivf_ros.data.simulator.things.fences import KINDS, make_fence, SECTION_M
from ivf_ros.data.simulator.things.furniture import make_bin, make_sign
from ivf_ros.data.simulator.things.lamps import PATH_LAMP_M
from ivf_ros.data.simulator.things.plants import make_bush, make_conifer, make_tree
from ivf_ros.data.simulator.things.seats import make_bench
import numpy as np

_END_M, _HALF_WIDTH_M = 110.0, 75.0


def build_park(condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """Create a random park; see ``places.build_scene``."""
    layout_rng, weather_rng, surface_rng, objects_rng = make_generators(seed, 4)
    climate = sample_outdoor_climate(condition, weather_rng)
    eye_m, angles_deg = sample_pose(layout_rng)
    half_path_m = layout_rng.uniform(0.8, 2.0)
    path, middle_m = make_path(layout_rng.choice(['gravel', 'asphalt', 'paving', 'soil']),
                               half_path_m, _END_M - 20, surface_rng, climate)
    lamps_z = np.arange(layout_rng.uniform(6, 14), 70, layout_rng.uniform(14, 22))
    lamps_m = np.array([(_path_x(middle_m, z) + half_path_m + 0.8, -PATH_LAMP_M, z)
                        for z in lamps_z])
    lighting, colour = make_lighting(climate, lamps_m, eye_m, layout_rng)
    scene = Scene(climate, lighting, eye_m, angles_deg, layout_rng.uniform(7, 18),
                  (_HALF_WIDTH_M, _HALF_WIDTH_M), is_ordered_along_z=True)
    scene.surfaces = [*make_sky(surface_rng, climate), make_hills(surface_rng, climate),
                      *make_ground('lawn', _HALF_WIDTH_M, _END_M, surface_rng, climate, lighting)]
    if layout_rng.random() < 0.35:
        scene.surfaces += make_pond(_sample_pond(layout_rng), surface_rng, climate)
    scene.surfaces += path
    site = Site(scene, objects_rng, people, lookalikes)
    scene.add(make_tree_line(objects_rng, climate, 2 * _HALF_WIDTH_M),
              np.array([0.0, 0.0, _END_M - 8]), shadow='none')
    add_path_lamps(site, lamps_m, colour)
    _add_plants(site, middle_m, half_path_m)
    _add_furniture(site, middle_m, half_path_m)
    _add_people(site, middle_m, half_path_m)
    add_lookalikes(site, lambda near_m: site.sample_spot(near_m, 35.0, 35.0), {
        'statue': 0.9, 'poster': 0.4, 'animal': 1.5, 'roaming dog': 0.8, 'birds': 0.7,
        'robot': 0.7}, (*PETS, *PASTURE[:2]))
    add_floodlights(site, 12, 40)
    scene.sort_objects()
    return scene


def _path_x(middle_m: np.ndarray, z: float) -> float:
    return float(np.interp(z, middle_m[:, 1], middle_m[:, 0]))


def _sample_pond(rng: np.random.Generator) -> np.ndarray:
    centre = np.array([rng.choice([-1, 1]) * rng.uniform(9, 20), rng.uniform(20, 40)])
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    radius = rng.uniform(4, 8) * (1 + 0.2 * np.sin(2 * angles + rng.uniform(0, 6)))
    return centre + np.column_stack([np.cos(angles), np.sin(angles)]) * radius[:, None]


def _beside_path(site: Site, middle_m, half_path_m, z: float, low_m: float, high_m: float
                 ) -> float:
    side = site.rng.choice([-1, 1])
    return _path_x(middle_m, z) + side * (half_path_m + site.rng.uniform(low_m, high_m))


def _add_plants(site: Site, middle_m, half_path_m) -> None:
    rng, climate = site.rng, site.climate
    for _ in range(int(rng.integers(6, 14))):
        z = site.sample_z(7, 85)
        side_m = _beside_path(site, middle_m, half_path_m, z, 1.0, 6.0)
        x = side_m if rng.random() < 0.5 else site.sample_x(z, 60)
        make = make_conifer if rng.random() < 0.15 else make_tree
        site.add(make(rng, climate), x, z)
    for _ in range(int(rng.integers(3, 9))):
        z = site.sample_z(5, 60)
        site.add(make_bush(rng, climate), _beside_path(site, middle_m, half_path_m, z, 0.8, 8), z)
    if rng.random() < 0.5:  # a fence across, or along the path
        kind = KINDS[rng.integers(len(KINDS))]
        z, x = rng.uniform(8, 30), rng.uniform(-14, 2)
        across = rng.random() < 0.7
        for index in range(int(rng.integers(4, 9))):
            if across:
                site.add(make_fence(kind, rng, climate), x + SECTION_M * index, z)
            else:
                far_z = 6 + SECTION_M * index
                site.add(make_fence(kind, rng, climate),
                         _path_x(middle_m, far_z) - half_path_m - 0.5, far_z,
                         heading_rad=-np.pi / 2)


def _add_furniture(site: Site, middle_m, half_path_m) -> None:
    rng, climate = site.rng, site.climate
    for _ in range(int(rng.integers(1, 4))):
        z = site.sample_z(5, 30)
        x = _beside_path(site, middle_m, half_path_m, z, 0.5, 1.2)
        site.add_bench_sitters(make_bench(rng, climate), x, z, 3)
        if rng.random() < 0.5:
            site.add(make_bin(climate, rng), x + 1.6, z + 0.2)
    for _ in range(int(rng.integers(0, 4))):
        z = site.sample_z(4, 35)
        x = _beside_path(site, middle_m, half_path_m, z, 0.2, 2.5)
        site.add_parked_bicycles(x, z, int(rng.integers(1, 5)), rng.uniform(0.8, 2.3),
                                 (0.1, 0.55))
    if rng.random() < 0.4:
        z = site.sample_z(8, 40)
        site.add(make_sign(rng, climate), _beside_path(site, middle_m, half_path_m, z, 0.4, 1), z)


def _add_people(site: Site, middle_m, half_path_m) -> None:
    rng, climate = site.rng, site.climate

    def path_point(z):
        return _path_x(middle_m, z) + rng.uniform(-0.8, 0.8) * half_path_m, z

    for _ in range(site.count_people(3.0)):
        z = site.sample_z(4, 45)
        site.add_walker(path_point(z), path_point(z + rng.uniform(6, 20)))
    for _ in range(site.count_people(0.8)):
        z = rng.uniform(3, 20)
        site.add_rider(path_point(z), path_point(z + rng.uniform(15, 40)))
    for _ in range(site.count_people(1.2)):
        site.add_group(*site.sample_spot(5, 35, 40), int(rng.integers(2, 5)))
    for _ in range(site.count_people(3.5)):  # on the lawn
        site.add_person(*site.sample_spot(4, 40, 40),
                        ('lying', 'lying', 'seated', 'seated', 'crouching')[rng.integers(5)],
                        seat_m=0.05)
    for _ in range(site.count_people(6.0)):  # 10 to 30 pixels high at a width of 640
        z = rng.uniform(30, 85)
        site.add_person(site.sample_x(z, 60), z, 'walking')
    for _ in range(site.count_people(1.5)):  # children at play
        x, z = site.sample_spot(4, 25, 25)
        site.add_walker((x, z), (x + rng.uniform(-6, 6), z + rng.uniform(-2, 5) + 2.5),
                        is_child=True, speed=rng.uniform(1.2, 2.5))
    for _ in range(site.count_people(2.0)):
        x, z = site.sample_spot(6, 40, 40)
        screen, half_m = (make_bush(rng, climate), 0.6) if rng.random() < 0.5 \
            else (make_tree(rng, climate), 0.15)
        site.add_hidden_person(x, z, screen, half_m)
