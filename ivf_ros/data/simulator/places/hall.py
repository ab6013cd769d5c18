# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A hall indoors: a concourse, an office, a warehouse or a museum, with lamps and windows."""

from __future__ import annotations

import itertools

from ivf_ros.data.simulator.climate import Lighting, sample_indoor_climate, UP
from ivf_ros.data.simulator.places.lookalikes import add_lookalikes, add_wall_poster
from ivf_ros.data.simulator.places.site import (
    add_floodlights,
    make_generators,
    sample_pose,
    Site,
)
from ivf_ros.data.simulator.scene import Scene
from ivf_ros.data.simulator.surfaces.facades import Face
from ivf_ros.data.simulator.surfaces.rooms import make_lamps_m, make_room, Room
from ivf_ros.data.simulator.things.fences import make_fence, SECTION_M
from ivf_ros.data.simulator.things.indoor import (
    make_boxes,
    make_pillar,
    make_potted_plant,
    make_screen,
    make_shelf,
    make_vending_machine,
)
from ivf_ros.data.simulator.things.seats import make_bench, make_chair, make_table
from ivf_ros.data.simulator.things.steps import Flight, make_steps
import numpy as np

_USES = ('concourse', 'office', 'warehouse', 'museum')
# Light of a lamp at a distance of 1 m, relative to the ambient light, when lamps are lit.
_LAMP_POWER = 9.0


def build_hall(condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """Create a random hall; see ``places.build_scene``."""
    layout_rng, weather_rng, surface_rng, objects_rng = make_generators(seed, 4)
    climate = sample_indoor_climate(condition, weather_rng)
    use = _USES[layout_rng.integers(len(_USES))]
    height_m = layout_rng.uniform(2.7, 3.4) if use == 'office' else layout_rng.uniform(3.5, 7.5)
    room = Room(layout_rng.uniform(3.5, 11), layout_rng.uniform(3.5, 11),
                layout_rng.uniform(12, 38), height_m,
                layout_rng.choice(['concrete', 'asphalt'] if use == 'warehouse'
                                  else ['tiles', 'wood floor', 'concrete']),
                (bool(layout_rng.random() < 0.5), bool(layout_rng.random() < 0.5),
                 bool(layout_rng.random() < 0.35)))
    eye_m, angles_deg = sample_pose(layout_rng, ('low', 'eye') if height_m < 3.6
                                    else ('low', 'eye', 'mast'))
    eye_m[1] = max(eye_m[1], 0.6 - height_m)
    lamps_m = make_lamps_m(room, layout_rng)
    power = _LAMP_POWER * climate.ambient.mean() * layout_rng.uniform(0.7, 1.6)
    lit = lamps_m if climate.lamps_lit else np.empty((0, 3))
    lighting = Lighting(climate, lit, power * np.tile((0.85, 0.97, 1.0), (len(lit), 1)),
                        eye_m if layout_rng.random() < 0.25 and not climate.lamps_lit else None)
    scene = Scene(climate, lighting, eye_m, angles_deg, layout_rng.uniform(4, room.end_m - 4),
                  (room.left_m, room.right_m), is_indoors=True, is_ordered_along_z=True)
    scene.surfaces = make_room(room, lamps_m, surface_rng, climate, lighting)
    site = Site(scene, objects_rng, people, lookalikes)
    for face in _blind_walls(room):
        for _ in range(site.count_lookalikes(0.7)):
            add_wall_poster(site, face)
    half_m = min(room.left_m, room.right_m) - 0.5
    _furnish(site, use, room, half_m)
    _add_people(site, room, half_m)
    add_lookalikes(site, lambda near_m: site.sample_spot(near_m, room.end_m - 1, half_m), {
        'statue': 2.0 if use == 'museum' else 0.2, 'mannequin': 1.5 if use == 'concourse' else 0.3,
        'poster': 0.6, 'robot': 0.8, 'animal': 0.3})
    add_floodlights(site, half_m, room.end_m - 2)
    scene.sort_objects()
    return scene


def _blind_walls(room: Room) -> list[Face]:
    """Return the walls without windows."""
    along_x, along_z = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
    walls = (Face(np.array([-room.left_m, 0.0, 0.0]), along_z, UP, room.end_m, room.height_m,
                  along_x),
             Face(np.array([room.right_m, 0.0, 0.0]), along_z, UP, room.end_m, room.height_m,
                  -along_x),
             Face(np.array([-room.left_m, 0.0, room.end_m]), along_x, UP,
                  room.left_m + room.right_m, room.height_m, -along_z))
    return [face for face, has_windows in zip(walls, room.windowed) if not has_windows]


def _furnish(site: Site, use: str, room: Room, half_m: float) -> None:
    rng, climate = site.rng, site.climate
    if use != 'office' and rng.random() < 0.5:
        for x, z in itertools.product((-0.6 * half_m, 0.6 * half_m), np.arange(
                rng.uniform(5, 8), room.end_m - 1, rng.uniform(4, 7))):
            site.add(make_pillar(rng, climate, room.height_m), x, z)
    if use == 'warehouse':
        for x, z in _sample_grid(rng, (-half_m + 1.2, half_m - 1.2), (5.0, room.end_m - 1), 4.0):
            if abs(x) > 1.6 and rng.random() < 0.6:  # a way is left
                site.add(make_shelf(rng, climate), x, z)
    if use == 'office':
        for x, z in _sample_grid(rng, (-half_m + 1, half_m - 0.8), (4.0, room.end_m - 1.5), 3.0):
            if rng.random() < 0.7:
                _add_desk(site, x, z)
    if use in ('concourse', 'museum'):
        _furnish_concourse(site, room, half_m)
    _add_machines(site, use, room, half_m)
    if use != 'warehouse' and rng.random() < 0.3:  # stairs to a gallery
        x, steps = rng.uniform(-half_m + 1.2, half_m - 1.2), int(rng.integers(5, 14))
        flight = Flight(x - 1.2, x + 1.2, room.end_m - 0.3 * steps, 0.0, steps, 0.17, 0.3)
        tone = rng.uniform(0.2, 0.5) * np.array((0.95, 1.0, 1.0))
        for mesh, z in make_steps(flight, tone, 'stone', rng, climate):
            site.scene.add_placed(mesh, z, shadow='none')


def _sample_grid(rng: np.random.Generator, x_m: tuple[float, float], z_m: tuple[float, float],
                 step_m: float) -> list[tuple[float, float]]:
    """Return the spots of rows across the view, between two x and two z."""
    rows = np.arange(z_m[0] + rng.uniform(0, 0.5 * step_m), z_m[1], step_m * rng.uniform(0.8, 1.2))
    columns = np.arange(*x_m, rng.uniform(2.3, 3.0))
    return [(float(x), float(z)) for z in rows for x in columns]


def _furnish_concourse(site: Site, room: Room, half_m: float) -> None:
    rng, climate = site.rng, site.climate
    _add_rows_of_chairs(site, room, half_m)
    for _ in range(int(rng.poisson(1.0))):
        site.add_bench_sitters(make_bench(rng, climate), *site.sample_spot(
            4.5, room.end_m - 1.5, half_m), 3)
    if rng.random() < 0.4:
        x, z = rng.uniform(-half_m, 0), rng.uniform(5, room.end_m - 2)
        for index in range(int(rng.integers(2, 4))):
            site.add(make_fence('barrier', rng, climate), x + SECTION_M * index, z)


def _add_machines(site: Site, use: str, room: Room, half_m: float) -> None:
    rng = site.rng
    for make, usual in ((make_boxes, 4.0 if use == 'warehouse' else 1.0),
                        (make_potted_plant, 0.3 if use == 'warehouse' else 1.5),
                        (make_screen, 0.8), (make_vending_machine, 0.5)):
        for _ in range(int(rng.poisson(usual))):
            x, z = site.sample_spot(4.5, room.end_m - 0.6, half_m)
            by_wall = rng.choice([-room.left_m + 0.6, room.right_m - 0.6])
            site.add(make(rng, site.climate), by_wall if rng.random() < 0.5 else x, z)


def _add_desk(site: Site, x: float, z: float) -> None:
    """Add a table, and chairs before and behind it with people on some."""
    rng = site.rng
    site.add(make_table(rng, site.climate), x, z)
    for faces_rig, chair_z in ((True, z + 0.75), (False, z - 0.75)):
        if rng.random() < 0.7:
            _add_chair(site, x + rng.uniform(-0.3, 0.3), chair_z, faces_rig)


def _add_rows_of_chairs(site: Site, room: Room, half_m: float) -> None:
    rng = site.rng
    faces_rig, colour = bool(rng.random() < 0.5), rng.uniform(0.03, 0.5, 3)
    x0, count = rng.uniform(-half_m + 0.5, 0), int(rng.integers(2, 8))
    z = rng.uniform(4.5, 8)
    for _ in range(int(rng.integers(1, 4))):
        if z > room.end_m - 1.5:
            return
        for index in range(count):
            if x0 + 0.6 * index < half_m:
                _add_chair(site, x0 + 0.6 * index, z, faces_rig, colour)
        z += rng.uniform(1.0, 1.6)


def _add_chair(site: Site, x: float, z: float, faces_rig: bool, colour=None) -> None:
    rng = site.rng
    turn = (0.0 if faces_rig else np.pi) + rng.uniform(-0.15, 0.15)
    # Its back is behind who looks towards the rig, and before who looks away.
    site.add(make_chair(rng, site.climate, colour), x, z + (0.1 if faces_rig else -0.1),
             heading_rad=turn)
    if rng.random() < min(0.35 * site.people, 0.9):
        site.add_person(x, z, 'seated', heading_rad=np.pi + turn)


def _add_people(site: Site, room: Room, half_m: float) -> None:
    rng, climate = site.rng, site.climate

    def spot(near_m: float = 3.0) -> tuple[float, float]:
        return site.sample_spot(near_m, room.end_m - 1, half_m)

    for _ in range(site.count_people(2.5)):
        site.add_walker(spot(), (rng.uniform(-half_m, half_m), rng.uniform(3.5, room.end_m - 1)))
    for _ in range(site.count_people(3.5)):
        site.add_person(*spot(), ('standing', 'walking')[rng.integers(2)])
    for _ in range(site.count_people(0.8)):
        site.add_group(*spot(), int(rng.integers(2, 6)))
    for _ in range(site.count_people(1.3)):
        site.add_person(*spot(), ('lying', 'crouching', 'seated')[rng.integers(3)], seat_m=0.05)
    for _ in range(site.count_people(0.8)):
        site.add_hidden_person(*spot(6.0), make_boxes(rng, climate), 0.35)
    for _ in range(int(rng.poisson(0.3))):
        site.add_parked_bicycles(*spot(5.0), int(rng.integers(1, 3)), rng.uniform(0.8, 2.3),
                                 (0.0, 0.5))
