# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The street: parked cars, pavements with furniture, traffic, pedestrians and cyclists.

The road is at y = 0 and leads along z. The layout depends only on the seed.
"""

from __future__ import annotations

from ivf_ros.data.simulator.climate import Lighting, sample_climate
from ivf_ros.data.simulator.scene import Flare, Scene
from ivf_ros.data.simulator.street.ground import make_ground, make_kerb
from ivf_ros.data.simulator.street.houses import make_backdrop, make_houses
from ivf_ros.data.simulator.street.layout import LANE_M, Layout, sample_layout
from ivf_ros.data.simulator.street.road_users import RoadUser
from ivf_ros.data.simulator.things.bicycles import make_bicycle
from ivf_ros.data.simulator.things.furniture import (
    LAMP_HEIGHT_M,
    make_bin,
    make_bump,
    make_car_stop,
    make_cone,
    make_guardrail,
    make_sign,
    make_street_lamp,
    make_traffic_light,
)
from ivf_ros.data.simulator.things.people import sample_person
from ivf_ros.data.simulator.things.plants import make_bush, make_tree
from ivf_ros.data.simulator.things.vehicles import make_car
import numpy as np

_KERB_M = 0.12
_RESERVED_IDENTITIES, _MAX_CYCLISTS = 60, 2  # the identities are for things that move
_LAMP_COLOURS = ((0.30, 0.66, 1.0), (0.75, 0.95, 1.0), (0.9, 1.0, 1.0))
_ROAD_LOOP_M, _WALK_LOOP_M = (-12.0, 150.0), (-4.0, 75.0)


def build_street(condition: str, seed: int, people: float = 1.0) -> Scene:
    """
    Create a random street in one of ``climate.CONDITIONS``.

    A seed gives the same street in every condition, because each part has its own generator.
    ``people`` is a factor of the usual number of pedestrians.
    """
    layout_rng, weather_rng, ground_rng, houses_rng, objects_rng = (
        np.random.default_rng([seed, 1, part]) for part in range(5))
    weather = sample_climate(condition, weather_rng)
    layout = sample_layout(layout_rng)
    eye = np.array([_camera_x(layout, layout_rng), -layout_rng.uniform(1.35, 2.1), 0.0])
    angles = np.array([layout_rng.uniform(-1.5, 4.0), -0.9 * eye[0] + layout_rng.uniform(-4, 4),
                       layout_rng.uniform(-1, 1)])
    lamps = [(side, z) for side in (-1, 1)
             for z in np.arange(layout_rng.uniform(6, 18), 85, layout_rng.uniform(20, 34))]
    colour = np.array(_LAMP_COLOURS[layout_rng.integers(len(_LAMP_COLOURS))])
    lighting = _make_lighting(weather, layout, eye, lamps, colour, layout_rng)
    street = Scene(weather, lighting, eye, angles, layout_rng.uniform(9, 16), layout.wall_x)
    street.surfaces = (make_backdrop(houses_rng, weather, lighting)
                       + make_ground(layout, ground_rng, weather, lighting)
                       + make_houses(layout, houses_rng, weather, lighting))
    _add_objects(street, layout, objects_rng, lamps, colour)
    street.sort_objects()
    _add_traffic(street, layout, objects_rng)
    _add_pedestrians(street, layout, objects_rng, people)
    _add_cyclists(street, layout, objects_rng)
    return street


def _make_lighting(weather, layout, eye_m, lamps, colour, rng) -> Lighting:
    power = rng.uniform(0.5, 1.6) * (4.0 if weather.condition == 'dusk' else 2.6)
    rig_has_headlights = rng.random() < 0.5
    if not weather.lamps_lit or weather.condition == 'rain':
        return Lighting(weather, np.empty((0, 3)), np.empty((0, 3)))
    lamps_m = np.array([(_x(layout.kerb_x, side) - side * 0.75, -LAMP_HEIGHT_M, z)
                        for side, z in lamps])
    return Lighting(weather, lamps_m, power * np.tile(colour, (len(lamps_m), 1)),
                    eye_m if rig_has_headlights else None)


def _x(pair: tuple[float, float], side: int) -> float:
    return side * pair[side > 0]


def _camera_x(layout: Layout, rng: np.random.Generator) -> float:
    """Return the x of the rig: on the pavement or between the lanes, off the traffic."""
    kerb = layout.kerb_x[1]
    return rng.choice([rng.uniform(-0.15, 0.15), kerb + 0.5, kerb - 0.7])


def _add_objects(street: Scene, layout: Layout, rng: np.random.Generator, lamps, colour) -> None:
    """Place all static objects with their own outline in the street."""
    weather = street.climate

    def place_object(mesh, x, y, z, class_name='', heading=0.0, **options):
        if not class_name or street.free_identities > _RESERVED_IDENTITIES:
            street.add(mesh, np.array([x, y, z]), class_name, heading, **options)

    for side in (-1, 1):
        place_object(make_kerb(side, layout, weather), 0, 0, 0, 'curve', is_flat=True,
                     shadow='none')
        _place_parked_cars(place_object, side, street, layout, rng)
        _furnish_pavement(place_object, side, street, layout, rng)
    for side, z in lamps:
        x = _x(layout.kerb_x, side) + side * 0.45
        flare = Flare(np.array([x - side * 1.2, -LAMP_HEIGHT_M - 0.2, z]), colour)
        place_object(make_street_lamp(weather, side, colour), x, -_KERB_M, z,
                     flares=(flare,) if len(street.lighting.lamps_m) else ())
    if layout.crossing_z:
        for side in (-1, 1):
            place_object(make_traffic_light(rng, weather), _x(layout.kerb_x, side) + side * 0.5,
                         -_KERB_M, layout.crossing_z + 2.2)
    if layout.bump_z:
        place_object(make_bump(weather, 4 * LANE_M), 0, 0, layout.bump_z, 'bump',
                     is_flat=True)
    if rng.random() < 0.45:  # road works
        x, z = layout.kerb_x[1] * rng.choice([-1, 1]), rng.uniform(7, 16)
        for step in range(int(rng.integers(3, 7))):
            place_object(make_cone(weather), x * 0.93 - np.sign(x) * 0.12 * step, 0,
                         z + 1.6 * step, 'color_cone')


def _place_parked_cars(place_object, side: int, street: Scene, layout: Layout, rng) -> None:
    weather = street.climate
    if not layout.parking[side > 0]:
        if layout.rail_side == side:
            for z in np.arange(5.0, 40.0, 4.0):
                place_object(make_guardrail(weather, 4.0), _x(layout.kerb_x, side) + side * 0.25,
                             -_KERB_M, z, 'guardrail')
        return
    x = _x(layout.kerb_x, side) - side * 1.15
    z = 8.0 if abs(x - street.eye_m[0]) < 2.5 else rng.uniform(3.0, 6.0)
    while z < 75:
        near_crossing = layout.crossing_z and abs(z - layout.crossing_z) < 5.5
        if rng.random() < 0.6 and not near_crossing:
            heading = np.pi if (side < 0) != (rng.random() < 0.1) else 0.0
            place_object(make_car(rng, weather, bool(rng.random() < 0.2), False), x, 0, z, 'car',
                         heading, shadow='contact')
        elif rng.random() < 0.35 and not near_crossing:
            place_object(make_car_stop(weather), x, 0, z + 1.5, 'car_stop')
        z += rng.uniform(5.2, 6.4)


def _furnish_pavement(place_object, side: int, street: Scene, layout: Layout, rng) -> None:
    weather = street.climate
    kerb, wall = _x(layout.kerb_x, side), _x(layout.wall_x, side)
    has_rig = abs(kerb + side - street.eye_m[0]) < 2.0  # the rig is on this pavement
    has_trees = rng.random() < 0.7
    z = rng.uniform(9, 14) if has_rig else rng.uniform(5, 10)
    while z < 80:
        pick = rng.random()
        if pick < 0.5 and has_trees:
            place_object(make_tree(rng, weather), kerb + side * 0.8, -_KERB_M, z)
        elif pick < 0.62:
            place_object(make_sign(rng, weather), kerb + side * 0.4, -_KERB_M, z)
        elif pick < 0.75:
            place_object(make_bin(weather, rng), wall - side * 0.5, -_KERB_M, z)
        elif pick < 0.85:
            place_object(make_bush(rng, weather), wall - side * 0.7, -_KERB_M, z)
        elif pick < 0.97:
            for index in range(int(rng.integers(1, 5))):
                place_object(make_bicycle(rng, weather), kerb + side * 0.7, -_KERB_M,
                             z + 0.9 * index, 'bike', rng.uniform(1.0, 2.0))
        z += rng.uniform(4, 9)


def _add_traffic(street: Scene, layout: Layout, rng: np.random.Generator) -> None:
    weather = street.climate
    glare = weather.condition == 'glare'

    def add_car(lane, z, speed):
        heading = np.array([0.0, 0.0, -1.0 if lane < 0 else 1.0])
        street.movers.append(RoadUser(
            np.array([lane, 0.0, z]), heading, speed, _ROAD_LOOP_M, street.take_identity(),
            make_car(rng, weather, True, weather.lamps_lit), lamps=weather.lamps_lit))

    for lane in (-LANE_M, LANE_M):
        if layout.crossing_waits:
            for index in range(int(rng.integers(0, 3)) if lane < 0 else 0):
                add_car(lane, layout.crossing_z + 5.5 + 6.2 * index, 0.0)
            continue
        count = int(rng.integers(3, 6) if glare and lane < 0 else rng.integers(1, 5))
        positions = np.linspace(-10, 150, count, endpoint=False) + rng.uniform(8, 150 / count)
        speed = rng.uniform(4, 8) if glare else rng.uniform(6, 13)
        for z in positions:
            add_car(lane, z, speed)


def _add_pedestrians(street: Scene, layout: Layout, rng: np.random.Generator,
                     people: float) -> None:
    eye_x = street.eye_m[0]

    def add_pedestrian(position, heading, speed, loop):
        if street.free_identities <= _MAX_CYCLISTS * 2:
            return
        street.movers.append(RoadUser(
            np.array(position), np.array(heading, np.float64), speed, loop,
            street.take_identity(), rider=sample_person(rng, street.climate),
            phase=rng.uniform(0, 6)))

    for side in (-1, 1):
        kerb_x, wall_x = _x(layout.kerb_x, side), _x(layout.wall_x, side)
        for _ in range(round(people * int(rng.integers(2, 5)))):
            x = kerb_x + (wall_x - kerb_x) * rng.uniform(0.4, 0.85)
            if abs(x - eye_x) < 0.9:
                x = eye_x + side * 1.1
            speed = 0.0 if rng.random() < 0.2 else rng.uniform(0.9, 1.6)
            add_pedestrian((x, -_KERB_M, rng.uniform(5, 45)), (0, 0, rng.choice([-1, 1])), speed,
                           _WALK_LOOP_M)
    if layout.crossing_waits:
        for _ in range(round(people * int(rng.integers(2, 4)))):
            add_pedestrian((rng.uniform(-6, 6), 0.0, layout.crossing_z + rng.uniform(-1.1, 1.1)),
                           (rng.choice([-1, 1]), 0, 0), rng.uniform(0.9, 1.5),
                           (-layout.kerb_x[0], layout.kerb_x[1]))


def _add_cyclists(street: Scene, layout: Layout, rng: np.random.Generator) -> None:
    for side in (-1, 1):
        lane = side * (2 * LANE_M - 0.15)
        if rng.random() < 0.5 and not layout.crossing_waits \
                and abs(lane - street.eye_m[0]) > 0.9:
            identity = street.take_identity()
            street.take_identity()  # the next identity is that of the bicycle
            street.movers.append(RoadUser(
                np.array([lane, 0.0, rng.uniform(6, 30)]), np.array([0.0, 0.0, float(side)]),
                rng.uniform(2.5, 5), (-6, 90), identity, make_bicycle(rng, street.climate),
                sample_person(rng, street.climate), rng.uniform(0, 6)))
