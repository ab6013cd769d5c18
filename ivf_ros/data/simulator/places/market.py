# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A square with a market: stalls, a crowd, a monument, mannequins, bicycles, barriers."""

from __future__ import annotations

from ivf_ros.data.simulator.climate import UP
from ivf_ros.data.simulator.places.lookalikes import add_lookalikes, add_mannequin
from ivf_ros.data.simulator.places.site import (
    add_floodlights,
    add_path_lamps,
    make_flare,
    make_generators,
    make_lighting,
    sample_outdoor_climate,
    sample_pose,
    Site,
)
from ivf_ros.data.simulator.scene import Scene
from ivf_ros.data.simulator.surfaces.backdrop import make_hills, make_sky
from ivf_ros.data.simulator.surfaces.facades import Face, make_facade
from ivf_ros.data.simulator.surfaces.grounds import make_ground
from ivf_ros.data.simulator.things.bicycles import make_bicycle_hoop
from ivf_ros.data.simulator.things.fences import make_fence, SECTION_M
from ivf_ros.data.simulator.things.furniture import make_bin
from ivf_ros.data.simulator.things.lamps import PATH_LAMP_M
from ivf_ros.data.simulator.things.plants import make_tree
from ivf_ros.data.simulator.things.stalls import BACK_Z_M, COUNTER_Z_M, make_stall, ROOF_Z_M
from ivf_ros.data.simulator.things.vehicles import make_car
import numpy as np

_ALONG_X, _ALONG_Z = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
_STALL_COLOUR = np.array((0.45, 0.75, 1.0))


def build_market(condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """Create a random market square; see ``places.build_scene``."""
    layout_rng, weather_rng, surface_rng, objects_rng = make_generators(seed, 4)
    climate = sample_outdoor_climate(condition, weather_rng)
    eye_m, angles_deg = sample_pose(layout_rng)
    half_m, end_m = layout_rng.uniform(16, 28), layout_rng.uniform(32, 60)
    rows = _sample_rows(layout_rng)
    lamps_m = np.array([*((x, -2.06, z + 1.0) for x, z, _ in rows),
                        *((side * 9.0, -PATH_LAMP_M, z) for side in (-1, 1)
                          for z in (8.0, 20.0, 32.0))])
    lighting, colour = make_lighting(climate, lamps_m, eye_m, layout_rng)
    scene = Scene(climate, lighting, eye_m, angles_deg, layout_rng.uniform(6, 16),
                  (half_m, half_m), is_ordered_along_z=True)
    scene.surfaces = [*make_sky(surface_rng, climate), make_hills(surface_rng, climate),
                      *make_ground(layout_rng.choice(['cobbles', 'paving', 'asphalt']), half_m,
                                   end_m, surface_rng, climate, lighting)]
    _add_houses(scene, half_m, end_m, layout_rng, surface_rng)
    site = Site(scene, objects_rng, people, lookalikes)
    for x, z, width in rows:
        _add_stall(site, x, z, width)
    add_path_lamps(site, lamps_m[len(rows):], colour)
    _add_furniture(site, half_m, end_m)
    _add_crowd(site, rows, half_m, end_m)
    for _ in range(site.count_lookalikes(2.0) if rows else 0):  # beside the stalls
        x, z, width = rows[objects_rng.integers(len(rows))]
        add_mannequin(site, x + objects_rng.choice([-1, 1]) * (width / 2 + 0.35),
                      z + objects_rng.uniform(-0.6, 0.3))
    add_lookalikes(site, lambda near_m: site.sample_spot(near_m, 25.0, 12.0), {
        'statue': 1.0, 'poster': 0.8, 'animal': 0.9, 'birds': 0.9, 'robot': 0.5})
    add_floodlights(site, 10, 30)
    scene.sort_objects()
    return scene


def _sample_rows(rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return x, z and width of each stall, in rows across the view."""
    stalls = []
    z = rng.uniform(6, 10)
    for _ in range(int(rng.integers(1, 4))):
        x, end = rng.uniform(-14, -8), rng.uniform(7, 14)
        gap = rng.uniform(-3, 3)  # a way through the row
        while x < end:
            width = rng.uniform(1.8, 3.2)
            if abs(x + width / 2 - gap) > 2.2:
                stalls.append((x + width / 2, z, width))
            x += width + rng.uniform(0.3, 1.5)
        z += rng.uniform(5.5, 9)
    return stalls


def _add_houses(scene: Scene, half_m: float, end_m: float, layout_rng, rng) -> None:
    climate, lighting = scene.climate, scene.lighting
    left = -half_m
    while left < half_m:
        width = min(layout_rng.uniform(9, 16), half_m - left + 0.1)
        face = Face(np.array([left, 0.0, end_m]), _ALONG_X, UP, max(width, 3.0),
                    layout_rng.uniform(7, 16), -_ALONG_Z)
        scene.surfaces += make_facade(face, rng, climate, lighting,
                                      layout_rng.choice(['shop', 'shop', 'house']))
        left += width
    for side in (-1, 1):
        z = end_m
        while z > 2:
            width = layout_rng.uniform(9, 18)
            face = Face(np.array([side * half_m, 0.0, z - width]), _ALONG_Z, UP, width,
                        layout_rng.uniform(7, 15), np.array([-float(side), 0, 0]))
            scene.surfaces += make_facade(face, rng, climate, lighting,
                                          layout_rng.choice(['shop', 'house']))
            z -= width


def _add_stall(site: Site, x: float, z: float, width: float) -> None:
    rng, climate = site.rng, site.climate
    back, counter, roof = make_stall(rng, climate, width)
    lamp_m = np.array([x, -2.06, z + BACK_Z_M - 0.5])
    site.add(back, x, z + BACK_Z_M, flares=make_flare(lamp_m, _STALL_COLOUR, climate))
    site.add(counter, x, z + COUNTER_Z_M, shadow='contact')
    site.scene.add_placed(roof.transform(np.array([x, 0.0, z - 0.2])),
                          site.scene.depth_m(site.position(x, z + ROOF_Z_M)))
    for _ in range(int(rng.integers(0, 3)) if site.people else 0):
        site.add_person(x + rng.uniform(-0.4, 0.4) * width, z + 1.15,
                        heading_rad=np.pi + rng.uniform(-0.6, 0.6), is_child=False)


def _add_furniture(site: Site, half_m: float, end_m: float) -> None:
    rng, climate = site.rng, site.climate
    for _ in range(int(rng.integers(1, 5))):
        z = rng.uniform(6, end_m - 4)
        site.add(make_tree(rng, climate), rng.choice([-1, 1]) * rng.uniform(7, half_m - 2), z)
    for _ in range(int(rng.integers(1, 4))):
        site.add(make_bin(climate, rng), *site.sample_spot(4, 25, 12))
    for _ in range(int(rng.integers(1, 4))):  # bicycle stands
        (x, z), number = site.sample_spot(4, 25, half_m - 6), int(rng.integers(2, 9))
        for index in range(0, number, 2):
            site.add(make_bicycle_hoop(climate), x + 0.5 * index, z)
        site.add_parked_bicycles(x, z, number, rng.uniform(-0.7, 0.7), (0.5, 0.0))
    if rng.random() < 0.5:
        x, z = rng.uniform(-9, 0), rng.uniform(4, 6)
        for index in range(int(rng.integers(2, 5))):
            site.add(make_fence('barrier', rng, climate), x + SECTION_M * index, z)
    for _ in range(int(rng.poisson(0.8))):
        z = rng.uniform(12, end_m - 3)
        side = rng.choice([-1, 1])
        site.add(make_car(rng, climate, bool(rng.random() < 0.4), False),
                 side * rng.uniform(10, half_m - 3), z, 'car', rng.uniform(-np.pi, np.pi),
                 shadow='contact')


def _add_crowd(site: Site, rows, half_m: float, end_m: float) -> None:
    rng = site.rng
    for _ in range(site.count_people(14.0) if rows else 0):  # customers
        stall_x, stall_z, width = rows[rng.integers(len(rows))]
        x, z = stall_x + rng.uniform(-0.6, 0.6) * width, stall_z - rng.uniform(0.3, 1.2)
        if site.is_free(x, z):
            site.add_person(x, z, heading_rad=rng.uniform(-0.9, 0.9))
    for _ in range(site.count_people(3.0)):
        site.add_group(*site.sample_spot(5, end_m - 4, half_m - 3), int(rng.integers(2, 7)))
    for _ in range(site.count_people(8.0)):
        site.add_person(*site.sample_spot(3.5, end_m - 2, half_m - 2), 'walking')
    for _ in range(site.count_people(5.0)):
        x, z = site.sample_spot(3.5, end_m - 6, half_m - 4)
        site.add_walker((x, z), (x + rng.uniform(-8, 8), z + rng.uniform(-1, 4) + 1.5))
    for _ in range(site.count_people(0.8)):
        z = rng.uniform(4, 20)
        site.add_rider((-half_m + 3, z), (half_m - 3, z + rng.uniform(-2, 4)))
    for _ in range(site.count_people(0.8)):
        site.add_person(*site.sample_spot(4, 20, 8),
                        ('lying', 'crouching', 'seated')[rng.integers(3)], seat_m=0.05)
