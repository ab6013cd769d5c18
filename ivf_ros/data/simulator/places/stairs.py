# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Outdoor stairs up to a terrace with a house, with people on the steps, before and above them."""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.data.simulator.climate import UP
from ivf_ros.data.simulator.places.lookalikes import (
    add_lookalikes,
    add_poster_stand,
    add_statue,
    add_wall_poster,
)
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
from ivf_ros.data.simulator.surfaces.backdrop import make_hills, make_sky
from ivf_ros.data.simulator.surfaces.facades import Face, make_facade
from ivf_ros.data.simulator.surfaces.grounds import make_covered_face, make_ground
from ivf_ros.data.simulator.things.bicycles import make_bicycle_hoop
from ivf_ros.data.simulator.things.fences import make_fence, SECTION_M
from ivf_ros.data.simulator.things.lamps import PATH_LAMP_M
from ivf_ros.data.simulator.things.plants import make_bush, make_tree
from ivf_ros.data.simulator.things.steps import (
    Flight,
    make_handrail,
    make_side_flight,
    make_steps,
)
import numpy as np

_HALF_WIDTH_M = 35.0
_TONES = ((0.36, 0.39, 0.41), (0.26, 0.27, 0.28), (0.46, 0.48, 0.48), (0.22, 0.28, 0.36))
_ALONG_X, _ALONG_Z, _TO_RIG = np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.array([0, 0, -1.0])


def build_stairs(condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """Create random stairs; see ``places.build_scene``."""
    layout_rng, weather_rng, surface_rng, objects_rng = make_generators(seed, 4)
    climate = sample_outdoor_climate(condition, weather_rng)
    eye_m, angles_deg = sample_pose(layout_rng, ('low', 'eye'))
    angles_deg = angles_deg - (layout_rng.uniform(2, 7), 0, 0)  # looks up
    flights = _sample_flights(layout_rng)
    first, last = flights[0], flights[-1]
    lamps_m = np.array([(x, -PATH_LAMP_M, first.front_m - 0.8)
                        for x in (first.left_m - 2.3, first.right_m + 2.3)])
    lighting, colour = make_lighting(climate, lamps_m, eye_m, layout_rng)
    scene = Scene(climate, lighting, eye_m, angles_deg, layout_rng.uniform(6, 12),
                  (_HALF_WIDTH_M, _HALF_WIDTH_M), is_ordered_along_z=True)

    def floor_y_m(x, z):
        if first.left_m <= x <= first.right_m or z > last.end_m:
            return -max(flight.height_m(z) if z >= flight.front_m else 0.0 for flight in flights)
        return 0.0

    site = Site(scene, objects_rng, people, lookalikes, floor_y_m)
    scene.surfaces = [*make_sky(surface_rng, climate), make_hills(surface_rng, climate),
                      *make_ground(layout_rng.choice(['paving', 'asphalt', 'cobbles', 'gravel']),
                                   _HALF_WIDTH_M, last.end_m + 20, surface_rng, climate,
                                   lighting)]
    _add_terrace(site, flights, layout_rng, surface_rng)
    _add_steps(site, flights)
    add_path_lamps(site, lamps_m, colour)
    _add_surroundings(site, flights)
    _add_people(site, flights)
    _add_lookalikes(site, flights)
    add_floodlights(site, 3, first.front_m)
    scene.sort_objects()
    return scene


def _sample_flights(rng: np.random.Generator) -> list[Flight]:
    """Return one or two flights with a landing between them."""
    half, centre = rng.uniform(1.5, 7.0), rng.uniform(-2, 2)
    riser_m, tread_m = rng.uniform(0.14, 0.19), rng.uniform(0.28, 0.38)
    first = Flight(centre - half, centre + half, rng.uniform(4.5, 9.0), 0.0,
                   int(rng.integers(7, 18)), riser_m, tread_m)
    if rng.random() < 0.5:
        return [first]
    return [first, replace(first, front_m=first.end_m + rng.uniform(1.2, 2.5),
                           base_m=first.top_m, steps=int(rng.integers(6, 13)))]


def _add_terrace(site: Site, flights: list[Flight], layout_rng, rng) -> None:
    """Add what holds the ground beside the stairs, the house above, and a balustrade."""
    climate, lighting, surfaces = site.climate, site.scene.lighting, site.scene.surfaces
    first, last = flights[0], flights[-1]
    house_z, top_m = last.end_m + layout_rng.uniform(3, 10), last.top_m
    if -site.scene.eye_m[1] > top_m:
        surfaces += make_covered_face('paving', Face(
            np.array([-_HALF_WIDTH_M, -top_m, last.end_m]), _ALONG_X, _ALONG_Z,
            2 * _HALF_WIDTH_M, house_z - last.end_m, UP), rng, climate, lighting)
    left = -30.0
    while left < 30:
        width = layout_rng.uniform(10, 20)
        face = Face(np.array([left, -top_m, house_z]), _ALONG_X, UP, width,
                    layout_rng.uniform(6, 14), _TO_RIG)
        surfaces += make_facade(face, rng, climate, lighting,
                                layout_rng.choice(['shop', 'house', 'blind']))
        left += width
    rise, run = top_m, last.end_m - first.front_m
    is_slope = layout_rng.random() < 0.4
    cover = 'lawn' if is_slope else layout_rng.choice(['masonry', 'concrete'])
    for left, right in ((-_HALF_WIDTH_M, first.left_m), (first.right_m, _HALF_WIDTH_M)):
        up, length = (np.array([0, -rise, run]) / np.hypot(rise, run), np.hypot(rise, run)) \
            if is_slope else (UP, rise)
        normal = np.array([0, -run, -rise]) / np.hypot(rise, run) if is_slope else _TO_RIG
        surfaces += make_covered_face(cover, Face(
            np.array([left, 0.0, first.front_m]), _ALONG_X, up, right - left, length, normal),
            rng, climate, lighting)
    if not is_slope:  # the cheeks of the cut in the terrace
        for x, normal in ((first.left_m, _ALONG_X), (first.right_m, -_ALONG_X)):
            surfaces += make_covered_face(cover, Face(
                np.array([x, 0.0, first.front_m]), _ALONG_Z, UP, run, rise, normal), rng, climate,
                lighting)
    if site.rng.random() < 0.6:
        kind = ('iron', 'picket')[site.rng.integers(2)]
        edge_z = last.end_m if is_slope else first.front_m
        for x in (*np.arange(first.right_m, 14, SECTION_M),
                  *np.arange(first.left_m - SECTION_M, -14, -SECTION_M)):
            site.scene.add(make_fence(kind, site.rng, climate), np.array([x, -top_m, edge_z]))


def _add_steps(site: Site, flights: list[Flight]) -> None:
    rng, scene = site.rng, site.scene
    tone = np.array(_TONES[rng.integers(len(_TONES))]) * rng.uniform(0.8, 1.15)
    first = flights[0]
    rails = [first.left_m + 0.1, first.right_m - 0.1]
    if first.right_m - first.left_m > 5 and rng.random() < 0.6:
        rails.append((first.left_m + first.right_m) / 2)
    has_rails = rng.random() < 0.7
    for flight in flights:
        pieces = make_steps(flight, tone, 'stone', rng, site.climate)
        if has_rails:
            pieces += [piece for x in rails for piece in make_handrail(flight, x, site.climate)]
        for mesh, z in pieces:
            scene.add_placed(mesh, z - scene.eye_m[2], shadow='none')
    if rng.random() < 0.4:  # others along the terrace, seen from their side
        steps, tread_m = int(rng.integers(5, 10)), 0.3
        treads, front = make_side_flight(steps, 0.17, tread_m, 1.4, tone, site.climate)
        side = rng.choice([-1, 1])
        x = first.right_m + 1.5 if side > 0 else first.left_m - 1.5
        if side < 0:  # mirrored: both rise away from the middle
            treads, front = (replace(mesh, points_m=mesh.points_m * (-1, 1, 1),
                                     normals=mesh.normals * (-1, 1, 1))
                             for mesh in (treads, front))
        for mesh, behind_m in ((treads, 1.45), (front, 0.0)):
            position_m = np.array([x, 0.0, first.front_m - 1.5])
            scene.add_placed(mesh.transform(position_m), scene.depth_m(position_m) + behind_m,
                             shadow='none')


def _add_surroundings(site: Site, flights: list[Flight]) -> None:
    rng, climate, first = site.rng, site.climate, flights[0]
    for _ in range(int(rng.integers(0, 4))):
        side = rng.choice([-1, 1])
        x = (first.right_m if side > 0 else first.left_m) + side * rng.uniform(1.5, 7)
        site.add((make_tree if rng.random() < 0.4 else make_bush)(rng, climate), x,
                 first.front_m - rng.uniform(0.5, 1.5))
    if rng.random() < 0.5:
        side = rng.choice([-1, 1])
        x, z = (first.right_m + 0.8 if side > 0 else first.left_m - 3.0), first.front_m - 1.2
        for index in range(3):
            site.add(make_bicycle_hoop(climate), x + 0.8 * index, z)
        site.add_parked_bicycles(x + 0.1, z, int(rng.integers(1, 6)), rng.uniform(-0.5, 0.5),
                                 (0.45, 0.0))


def _add_people(site: Site, flights: list[Flight]) -> None:
    rng, first, last = site.rng, flights[0], flights[-1]

    def across():
        return rng.uniform(first.left_m + 0.4, first.right_m - 0.4)

    for _ in range(site.count_people(2.0)):  # up and down
        site.add_walker((across(), first.front_m - rng.uniform(0.5, 2.5)),
                        (across(), last.end_m + 0.4))
    for _ in range(site.count_people(2.5)):  # on the steps
        flight = flights[rng.integers(len(flights))]
        step = rng.integers(flight.steps)
        site.add_person(across(), flight.front_m + (step + 0.5) * flight.tread_m,
                        ('standing', 'walking')[rng.integers(2)])
    for _ in range(site.count_people(2.0)):  # seated; the feet are two steps lower
        step = rng.integers(2, first.steps)
        site.add_person(across(), first.front_m + (step + 0.3) * first.tread_m, 'seated',
                        heading_rad=np.pi + rng.uniform(-0.6, 0.6), seat_m=2 * first.riser_m,
                        lower_m=2 * first.riser_m, behind_m=-2.3 * first.tread_m)
    for _ in range(site.count_people(1.5)):  # above
        site.add_person(rng.uniform(-9, 9), last.end_m + rng.uniform(0.5, 2.5))
    for _ in range(site.count_people(1.5)):  # before the stairs
        z = rng.uniform(3.0, first.front_m - 0.5)
        site.add_person(site.sample_x(z, 12), z, ('standing', 'walking', 'crouching',
                                                  'lying')[rng.integers(4)])
    if rng.random() < 0.5:
        z = rng.uniform(3.0, first.front_m)
        site.add_group(site.sample_x(z, 8), z, site.count_people(2.0))
    if site.count_people(0.3):
        z = first.front_m - 1.8
        site.add_rider((-9.0, z), (9.0, z))


def _add_lookalikes(site: Site, flights: list[Flight]) -> None:
    rng, first, last = site.rng, flights[0], flights[-1]
    for add, usual in ((add_statue, 0.8), (add_poster_stand, 0.4)):  # beside the stairs
        for _ in range(site.count_lookalikes(usual)):
            side = rng.choice([-1, 1])
            x = (first.right_m if side > 0 else first.left_m) + side * rng.uniform(1.1, 4.0)
            add(site, x, first.front_m - rng.uniform(0.7, 1.1))
    for _ in range(site.count_lookalikes(0.6)):
        height_m = last.top_m
        if height_m > 1.8 and first.right_m < 20:
            add_wall_poster(site, Face(np.array([first.right_m + 0.5, 0.0, first.front_m]),
                                       _ALONG_X, UP, 6.0, height_m, _TO_RIG), 0.4)
    add_lookalikes(site, lambda near_m: site.sample_spot(
        min(near_m, 0.7 * first.front_m), first.front_m - 0.6, 8.0), {
            'animal': 0.7, 'birds': 0.5, 'robot': 0.5})
