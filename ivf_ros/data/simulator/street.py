# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The simulated street: static and moving objects, and the position of the rig.

World axes: x right, y down, z along the street. The road is at y = 0, the rig at z = 0. The layout
depends only on the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ivf_ros.data.simulator.climate import Climate, Lighting, sample_climate
from ivf_ros.data.simulator.furniture import (
    LAMP_HEIGHT_M,
    make_bin,
    make_bump,
    make_bush,
    make_car_stop,
    make_cone,
    make_guardrail,
    make_sign,
    make_street_lamp,
    make_traffic_light,
    make_tree,
)
from ivf_ros.data.simulator.ground import make_ground, make_kerb
from ivf_ros.data.simulator.houses import make_backdrop, make_houses
from ivf_ros.data.simulator.layout import LANE_M, Layout, sample_layout
from ivf_ros.data.simulator.people import make_cyclist, make_pedestrian, Person, sample_person
from ivf_ros.data.simulator.raster import Mesh, Texture
from ivf_ros.data.simulator.vehicles import make_bicycle, make_car
import numpy as np

KERB_M = 0.12
GROUND_DEPTH_M = 1e3  # depth of flat objects on the ground: they occlude no other objects
_LAMP_COLOURS = ((0.30, 0.66, 1.0), (0.75, 0.95, 1.0), (0.9, 1.0, 1.0))
_ROAD_LOOP_M, _WALK_LOOP_M = (-12.0, 150.0), (-4.0, 75.0)


@dataclass(frozen=True, eq=False)
class Flare:
    """A lamp with a halo: position, linear BGR colour, and direction of light or None."""

    position_m: np.ndarray
    colour: np.ndarray
    direction: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class SceneObject:
    """
    An object with its own outline.

    Attributes
    ----------
    mesh:
        Mesh in world coordinates.
    depth_m:
        Distance that determines the occlusion order.
    class_name:
        Name of its class, or '' without a class.
    identity:
        1 to 255, or 0 without a class.
    flares:
        Lamps of the object.

    """

    mesh: Mesh
    depth_m: float
    class_name: str = ''
    identity: int = 0
    flares: tuple[Flare, ...] = ()


@dataclass(frozen=True, eq=False)
class _Mover:
    start_m: np.ndarray
    heading: np.ndarray
    speed: float
    loop_m: tuple[float, float]
    identity: int
    vehicle: Mesh | None = None
    rider: Person | None = None  # a pedestrian without a vehicle
    phase: float = 0.0
    lamps: bool = False


@dataclass(eq=False)
class Street:
    """
    A street in one condition.

    Attributes
    ----------
    surfaces:
        Static walls and ground in painting order, from far to near.
    objects:
        Static objects, from far to near.
    lighting, climate:
        Light and temperatures.
    eye_m, angles_deg:
        Position of the rig, and pitch, yaw and roll of its RGB camera in degrees.
    layout:
        Dimensions of the street.
    smoke_m:
        Distance of the smoke in condition 'smoke'.

    """

    climate: Climate
    layout: Layout
    eye_m: np.ndarray
    angles_deg: np.ndarray
    lighting: Lighting
    smoke_m: float
    surfaces: list[Mesh | Texture] = field(default_factory=list)
    objects: list[SceneObject] = field(default_factory=list)
    _movers: list[_Mover] = field(default_factory=list)

    @property
    def classes(self) -> dict[int, str]:
        """Return the class name of every identity, static or moving."""
        names = {item.identity: item.class_name for item in self.objects if item.identity}
        for mover in self._movers:
            names[mover.identity] = 'car' if mover.rider is None else 'person'
            if mover.rider is not None and mover.vehicle is not None:
                names[mover.identity + 1] = 'bike'
        return names

    def moving_objects(self, time_s: float) -> list[SceneObject]:
        """Return the moving objects at a time, from far to near."""
        objects = [item for mover in self._movers for item in self._place_mover(mover, time_s)]
        return sorted(objects, key=lambda item: -item.depth_m)

    def _place_mover(self, mover: _Mover, time_s: float) -> list[SceneObject]:
        axis = 2 if mover.heading[2] else 0
        low, high = mover.loop_m
        position = mover.start_m.copy()
        travelled = mover.heading[axis] * mover.speed * time_s
        position[axis] = low + (position[axis] - low + travelled) % (high - low)
        if position[2] < -3.0:
            return []  # behind the rig
        depth = float(np.linalg.norm(position - self.eye_m))
        heading_rad = np.arctan2(mover.heading[0], mover.heading[2])
        objects = []
        if mover.vehicle is not None:
            name, depth_offset = ('car', 0.0) if mover.rider is None else ('bike', 0.1)
            flares = _car_flares(mover.vehicle, mover.heading, position) if mover.lamps else ()
            objects.append(SceneObject(mover.vehicle.transform(position, heading_rad),
                                       depth + depth_offset, name,
                                       mover.identity + (mover.rider is not None), flares))
        if mover.rider is not None:
            strides_per_s = 0.62 * mover.speed if mover.vehicle is None else 0.9
            phase = mover.phase + time_s * 2 * np.pi * strides_per_s
            if mover.vehicle is None:
                mesh = make_pedestrian(mover.rider, position, mover.heading, phase, self.eye_m,
                                       mover.speed > 0)
            else:
                mesh = make_cyclist(mover.rider, position, mover.heading, phase, self.eye_m)
            objects.append(SceneObject(mesh, depth, 'person', mover.identity))
        return objects


def build_street(condition: str, seed: int) -> Street:
    """
    Create a random street in one of ``climate.CONDITIONS``.

    A seed gives the same street in every condition, because each part has its own generator.
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
    street = Street(weather, layout, eye, angles, lighting, layout_rng.uniform(9, 16))
    street.surfaces = (make_backdrop(houses_rng, weather, lighting)
                       + make_ground(layout, ground_rng, weather, lighting)
                       + make_houses(layout, houses_rng, weather, lighting))
    _populate(street, objects_rng, lamps, colour)
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


def _populate(street: Street, rng: np.random.Generator, lamps, colour) -> None:
    """Place all objects with their own outline in the street."""
    layout, weather = street.layout, street.climate
    free_identities = list(range(255, 0, -1))  # popped from the end: 1 first

    def place_object(mesh, x, y, z, class_name='', heading=0.0, flat=False, flares=()):
        if class_name and len(free_identities) <= 60:
            return  # identities are 8 bit; the rest is reserved for moving objects
        position = np.array([x, y, z])
        depth = GROUND_DEPTH_M if flat else float(np.linalg.norm(position - street.eye_m))
        street.objects.append(SceneObject(mesh.transform(position, heading), depth, class_name,
                                          free_identities.pop() if class_name else 0, flares))

    for side in (-1, 1):
        place_object(make_kerb(side, layout, weather), 0, 0, 0, 'curve', flat=True)
        _place_parked_cars(place_object, side, street, rng)
        _furnish_pavement(place_object, side, street, rng)
    for side, z in lamps:
        x = _x(layout.kerb_x, side) + side * 0.45
        flare = Flare(np.array([x - side * 1.2, -LAMP_HEIGHT_M - 0.2, z]), colour)
        place_object(make_street_lamp(weather, side, colour), x, -KERB_M, z,
                     flares=(flare,) if len(street.lighting.lamps_m) else ())
    if layout.crossing_z:
        for side in (-1, 1):
            place_object(make_traffic_light(rng, weather), _x(layout.kerb_x, side) + side * 0.5,
                         -KERB_M, layout.crossing_z + 2.2)
    if layout.bump_z:
        place_object(make_bump(weather, 4 * LANE_M), 0, 0, layout.bump_z, 'bump', flat=True)
    if rng.random() < 0.45:  # road works
        x, z = layout.kerb_x[1] * rng.choice([-1, 1]), rng.uniform(7, 16)
        for step in range(int(rng.integers(3, 7))):
            place_object(make_cone(weather), x * 0.93 - np.sign(x) * 0.12 * step, 0,
                         z + 1.6 * step, 'color_cone')
    street.objects.sort(key=lambda item: -item.depth_m)
    street._movers = _make_movers(street, rng, free_identities)


def _place_parked_cars(place_object, side: int, street: Street, rng) -> None:
    layout, weather = street.layout, street.climate
    if not layout.parking[side > 0]:
        if layout.rail_side == side:
            for z in np.arange(5.0, 40.0, 4.0):
                place_object(make_guardrail(weather, 4.0), _x(layout.kerb_x, side) + side * 0.25,
                             -KERB_M, z, 'guardrail')
        return
    x = _x(layout.kerb_x, side) - side * 1.15
    z = 8.0 if abs(x - street.eye_m[0]) < 2.5 else rng.uniform(3.0, 6.0)
    while z < 75:
        near_crossing = layout.crossing_z and abs(z - layout.crossing_z) < 5.5
        if rng.random() < 0.6 and not near_crossing:
            heading = np.pi if (side < 0) != (rng.random() < 0.1) else 0.0
            place_object(make_car(rng, weather, bool(rng.random() < 0.2), False), x, 0, z, 'car',
                         heading)
        elif rng.random() < 0.35 and not near_crossing:
            place_object(make_car_stop(weather), x, 0, z + 1.5, 'car_stop')
        z += rng.uniform(5.2, 6.4)


def _furnish_pavement(place_object, side: int, street: Street, rng) -> None:
    layout, weather = street.layout, street.climate
    kerb, wall = _x(layout.kerb_x, side), _x(layout.wall_x, side)
    has_rig = abs(kerb + side - street.eye_m[0]) < 2.0  # the rig is on this pavement
    has_trees = rng.random() < 0.7
    z = rng.uniform(9, 14) if has_rig else rng.uniform(5, 10)
    while z < 80:
        pick = rng.random()
        if pick < 0.5 and has_trees:
            place_object(make_tree(rng, weather), kerb + side * 0.8, -KERB_M, z)
        elif pick < 0.62:
            place_object(make_sign(rng, weather), kerb + side * 0.4, -KERB_M, z)
        elif pick < 0.75:
            place_object(make_bin(weather, rng), wall - side * 0.5, -KERB_M, z)
        elif pick < 0.85:
            place_object(make_bush(rng, weather), wall - side * 0.7, -KERB_M, z)
        elif pick < 0.97:
            for index in range(int(rng.integers(1, 5))):
                place_object(make_bicycle(rng, weather), kerb + side * 0.7, -KERB_M,
                             z + 0.9 * index, 'bike', rng.uniform(1.0, 2.0))
        z += rng.uniform(4, 9)


def _make_movers(street: Street, rng: np.random.Generator,
                 free_identities: list[int]) -> list[_Mover]:
    return [*_make_traffic(street, rng, free_identities),
            *_make_pedestrians(street, rng, free_identities),
            *_make_cyclists(street, rng, free_identities)]


def _make_traffic(street: Street, rng, free_identities) -> list[_Mover]:
    layout, weather = street.layout, street.climate
    glare = weather.condition == 'glare'
    cars: list[_Mover] = []

    def add_car(lane, z, speed):
        heading = np.array([0.0, 0.0, -1.0 if lane < 0 else 1.0])
        cars.append(_Mover(np.array([lane, 0.0, z]), heading, speed, _ROAD_LOOP_M,
                           free_identities.pop(), make_car(rng, weather, True, weather.lamps_lit),
                           lamps=weather.lamps_lit))

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
    return cars


def _make_pedestrians(street: Street, rng, free_identities) -> list[_Mover]:
    layout, eye_x = street.layout, street.eye_m[0]
    pedestrians: list[_Mover] = []

    def add_pedestrian(position, heading, speed, loop):
        pedestrians.append(_Mover(np.array(position), np.array(heading, np.float64), speed, loop,
                                  free_identities.pop(), rider=sample_person(rng, street.climate),
                                  phase=rng.uniform(0, 6)))

    for side in (-1, 1):
        kerb_x, wall_x = _x(layout.kerb_x, side), _x(layout.wall_x, side)
        for _ in range(int(rng.integers(2, 5))):
            x = kerb_x + (wall_x - kerb_x) * rng.uniform(0.4, 0.85)
            if abs(x - eye_x) < 0.9:
                x = eye_x + side * 1.1
            speed = 0.0 if rng.random() < 0.2 else rng.uniform(0.9, 1.6)
            add_pedestrian((x, -KERB_M, rng.uniform(5, 45)), (0, 0, rng.choice([-1, 1])), speed,
                           _WALK_LOOP_M)
    if layout.crossing_waits:
        for _ in range(int(rng.integers(2, 4))):
            add_pedestrian((rng.uniform(-6, 6), 0.0, layout.crossing_z + rng.uniform(-1.1, 1.1)),
                           (rng.choice([-1, 1]), 0, 0), rng.uniform(0.9, 1.5),
                           (-layout.kerb_x[0], layout.kerb_x[1]))
    return pedestrians


def _make_cyclists(street: Street, rng, free_identities) -> list[_Mover]:
    cyclists = []
    for side in (-1, 1):
        lane = side * (2 * LANE_M - 0.15)
        if rng.random() < 0.5 and not street.layout.crossing_waits \
                and abs(lane - street.eye_m[0]) > 0.9:
            identity = free_identities.pop()
            free_identities.pop()  # the next identity is that of the bicycle
            cyclists.append(_Mover(
                np.array([lane, 0.0, rng.uniform(6, 30)]), np.array([0.0, 0.0, float(side)]),
                rng.uniform(2.5, 5), (-6, 90), identity, make_bicycle(rng, street.climate),
                sample_person(rng, street.climate), rng.uniform(0, 6)))
    return cyclists


def _car_flares(vehicle: Mesh, heading: np.ndarray,
                position: np.ndarray) -> tuple[Flare, ...]:
    front = vehicle.points_m[:, 2].max()
    half_width = np.abs(vehicle.points_m[:, 0]).max() * 0.78
    return tuple(
        Flare(position + heading * ahead * front + (across, -height, 0), np.array(colour),
              heading * ahead)
        for ahead, height, colour in ((1, 0.72, (0.85, 0.97, 1.0)), (-1, 0.8, (0.05, 0.05, 0.6)))
        for across in (-half_width, half_width))
