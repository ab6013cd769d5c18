# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The simulated street: what stands where, what moves, and from where the rig looks at it.

World axes: x right, y down, z along the street; the road lies at y = 0, the rig above z = 0.
One random generator lays everything out, so that a seed is a street.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ivf_ros.data.simulator.climate import Climate, climate, Lighting
from ivf_ros.data.simulator.furniture import (
    bin_,
    bump,
    bush,
    car_stop,
    cone,
    guardrail,
    LAMP_HEIGHT_M,
    sign,
    street_lamp,
    traffic_light,
    tree,
)
from ivf_ros.data.simulator.ground import ground, kerb
from ivf_ros.data.simulator.houses import backdrop, houses
from ivf_ros.data.simulator.layout import draw_layout, LANE_M, Layout
from ivf_ros.data.simulator.people import cycling, Person, person, walking
from ivf_ros.data.simulator.raster import Mesh, Texture
from ivf_ros.data.simulator.vehicles import bicycle, car
import numpy as np

KERB_M = 0.12
BEHIND_EVERYTHING_M = 1e3  # depth of what lies on the ground: it hides nothing that stands
_LAMP_COLOURS = ((0.30, 0.66, 1.0), (0.75, 0.95, 1.0), (0.9, 1.0, 1.0))
_ROAD_LOOP_M, _WALK_LOOP_M = (-12.0, 150.0), (-4.0, 75.0)


@dataclass(frozen=True, eq=False)
class Flare:
    """A lamp that may dazzle: place, linear BGR colour, direction it shines in or None."""

    place_m: np.ndarray
    colour: np.ndarray
    direction: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class SceneObject:
    """
    Something with an outline of its own.

    Attributes
    ----------
    mesh:
        In world coordinates.
    depth_m:
        Distance by which things hide each other.
    class_name:
        Name of its class, or '' for what has none.
    identity:
        1 to 255, or 0 for what has no class.
    flares:
        Its lamps.

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
    rider: Person | None = None  # or walker
    phase: float = 0.0
    lamps: bool = False


@dataclass(eq=False)
class Street:
    """
    A street in one condition.

    Attributes
    ----------
    surfaces:
        Fixed walls and ground, far before near, to be painted in this order.
    things:
        What stands still, far before near.
    lighting, climate:
        Light and temperatures.
    eye_m, angles_deg:
        Position of the rig, and pitch, yaw and roll of its RGB camera.
    layout:
        Measures.
    smoke_m:
        Distance of the smoke, where there is some.

    """

    climate: Climate
    layout: Layout
    eye_m: np.ndarray
    angles_deg: np.ndarray
    lighting: Lighting
    smoke_m: float
    surfaces: list[Mesh | Texture] = field(default_factory=list)
    things: list[SceneObject] = field(default_factory=list)
    _movers: list[_Mover] = field(default_factory=list)

    @property
    def classes(self) -> dict[int, str]:
        """Return the class name of every identity, still or moving."""
        names = {thing.identity: thing.class_name for thing in self.things if thing.identity}
        for mover in self._movers:
            names[mover.identity] = 'car' if mover.rider is None else 'person'
            if mover.rider is not None and mover.vehicle is not None:
                names[mover.identity + 1] = 'bike'
        return names

    def moving(self, time_s: float) -> list[SceneObject]:
        """Return what moves, where it is at that time, far before near."""
        things = [thing for mover in self._movers for thing in self._at(mover, time_s)]
        return sorted(things, key=lambda thing: -thing.depth_m)

    def _at(self, mover: _Mover, time_s: float) -> list[SceneObject]:
        axis = 2 if mover.heading[2] else 0
        low, high = mover.loop_m
        place = mover.start_m.copy()
        travelled = mover.heading[axis] * mover.speed * time_s
        place[axis] = low + (place[axis] - low + travelled) % (high - low)
        if place[2] < -3.0:
            return []  # well behind the rig
        depth = float(np.linalg.norm(place - self.eye_m))
        turn = np.arctan2(mover.heading[0], mover.heading[2])
        things = []
        if mover.vehicle is not None:
            name, behind = ('car', 0.0) if mover.rider is None else ('bike', 0.1)
            flares = _car_flares(mover.vehicle, mover.heading, place) if mover.lamps else ()
            things.append(SceneObject(mover.vehicle.moved(place, turn), depth + behind, name,
                                      mover.identity + (mover.rider is not None), flares))
        if mover.rider is not None:
            strides = 0.62 * mover.speed if mover.vehicle is None else 0.9
            phase = mover.phase + time_s * 2 * np.pi * strides
            mesh = (walking(mover.rider, place, mover.heading, phase, self.eye_m, mover.speed > 0)
                    if mover.vehicle is None
                    else cycling(mover.rider, place, mover.heading, phase, self.eye_m))
            things.append(SceneObject(mesh, depth, 'person', mover.identity))
        return things


def build_street(condition: str, seed: int) -> Street:
    """
    Lay out a street at random in one of ``climate.CONDITIONS``.

    A seed is the same street in every condition: each part has random numbers of its own.
    """
    places, weather_rng, ground_rng, houses_rng, things_rng = (
        np.random.default_rng([seed, 1, part]) for part in range(5))
    weather = climate(condition, weather_rng)
    layout = draw_layout(places)
    eye = np.array([_camera_x(layout, places), -places.uniform(1.35, 2.1), 0.0])
    angles = np.array([places.uniform(-1.5, 4.0), -0.9 * eye[0] + places.uniform(-4, 4),
                       places.uniform(-1, 1)])
    lamps = [(side, z) for side in (-1, 1)
             for z in np.arange(places.uniform(6, 18), 85, places.uniform(20, 34))]
    colour = np.array(_LAMP_COLOURS[places.integers(len(_LAMP_COLOURS))])
    lighting = _lighting(weather, layout, eye, lamps, colour, places)
    street = Street(weather, layout, eye, angles, lighting, places.uniform(9, 16))
    street.surfaces = (backdrop(houses_rng, weather, lighting)
                       + ground(layout, ground_rng, weather, lighting)
                       + houses(layout, houses_rng, weather, lighting))
    _populate(street, things_rng, lamps, colour)
    return street


def _lighting(weather, layout, eye_m, lamps, colour, rng) -> Lighting:
    power = rng.uniform(0.5, 1.6) * (4.0 if weather.condition == 'dusk' else 2.6)
    carries_lamps = rng.random() < 0.5
    if not weather.lamps_lit or weather.condition == 'rain':
        return Lighting(weather, np.empty((0, 3)), np.empty((0, 3)))
    above = np.array([(_x(layout.kerb_x, side) - side * 0.75, -LAMP_HEIGHT_M, z)
                      for side, z in lamps])
    return Lighting(weather, above, power * np.tile(colour, (len(above), 1)),
                    eye_m if carries_lamps else None)


def _x(pair: tuple[float, float], side: int) -> float:
    return side * pair[side > 0]


def _camera_x(layout: Layout, rng: np.random.Generator) -> float:
    """Return the x of the rig: on the pavement or between the lanes, clear of the traffic."""
    kerb = layout.kerb_x[1]
    return rng.choice([rng.uniform(-0.15, 0.15), kerb + 0.5, kerb - 0.7])


def _populate(street: Street, rng: np.random.Generator, lamps, colour) -> None:
    """Put everything that has an outline of its own into the street."""
    layout, weather = street.layout, street.climate
    free = list(range(255, 0, -1))  # taken from the end: 1 first

    def place_object(mesh, x, y, z, class_name='', heading=0.0, flat=False, flares=()):
        if class_name and len(free) <= 60:
            return  # identities are 8 bit, and what moves needs some
        place = np.array([x, y, z])
        depth = BEHIND_EVERYTHING_M if flat else float(np.linalg.norm(place - street.eye_m))
        street.things.append(SceneObject(mesh.moved(place, heading), depth, class_name,
                                         free.pop() if class_name else 0, flares))

    for side in (-1, 1):
        place_object(kerb(side, layout, weather), 0, 0, 0, 'curve', flat=True)
        _parked(place_object, side, street, rng)
        _pavement(place_object, side, street, rng)
    for side, z in lamps:
        x = _x(layout.kerb_x, side) + side * 0.45
        flare = Flare(np.array([x - side * 1.2, -LAMP_HEIGHT_M - 0.2, z]), colour)
        place_object(street_lamp(weather, side, colour), x, -KERB_M, z,
                     flares=(flare,) if len(street.lighting.lamps_m) else ())
    if layout.crossing_z:
        for side in (-1, 1):
            place_object(traffic_light(rng, weather), _x(layout.kerb_x, side) + side * 0.5, -KERB_M,
                         layout.crossing_z + 2.2)
    if layout.bump_z:
        place_object(bump(weather, 4 * LANE_M), 0, 0, layout.bump_z, 'bump', flat=True)
    if rng.random() < 0.45:  # road works
        x, z = layout.kerb_x[1] * rng.choice([-1, 1]), rng.uniform(7, 16)
        for step in range(int(rng.integers(3, 7))):
            place_object(cone(weather), x * 0.93 - np.sign(x) * 0.12 * step, 0, z + 1.6 * step,
                         'color_cone')
    street.things.sort(key=lambda thing: -thing.depth_m)
    street._movers = _movers(street, rng, free)


def _parked(place_object, side: int, street: Street, rng) -> None:
    layout, weather = street.layout, street.climate
    if not layout.parking[side > 0]:
        if layout.rail_side == side:
            for z in np.arange(5.0, 40.0, 4.0):
                place_object(guardrail(weather, 4.0), _x(layout.kerb_x, side) + side * 0.25, -KERB_M, z,
                             'guardrail')
        return
    x = _x(layout.kerb_x, side) - side * 1.15
    z = 8.0 if abs(x - street.eye_m[0]) < 2.5 else rng.uniform(3.0, 6.0)
    while z < 75:
        near_crossing = layout.crossing_z and abs(z - layout.crossing_z) < 5.5
        if rng.random() < 0.6 and not near_crossing:
            turn = np.pi if (side < 0) != (rng.random() < 0.1) else 0.0
            place_object(car(rng, weather, bool(rng.random() < 0.2), False), x, 0, z, 'car', turn)
        elif rng.random() < 0.35 and not near_crossing:
            place_object(car_stop(weather), x, 0, z + 1.5, 'car_stop')
        z += rng.uniform(5.2, 6.4)


def _pavement(place_object, side: int, street: Street, rng) -> None:
    layout, weather = street.layout, street.climate
    kerb, wall = _x(layout.kerb_x, side), _x(layout.wall_x, side)
    own = abs(kerb + side - street.eye_m[0]) < 2.0  # the rig stands on this pavement
    green = rng.random() < 0.7
    z = rng.uniform(9, 14) if own else rng.uniform(5, 10)
    while z < 80:
        pick = rng.random()
        if pick < 0.5 and green:
            place_object(tree(rng, weather), kerb + side * 0.8, -KERB_M, z)
        elif pick < 0.62:
            place_object(sign(rng, weather), kerb + side * 0.4, -KERB_M, z)
        elif pick < 0.75:
            place_object(bin_(weather, rng), wall - side * 0.5, -KERB_M, z)
        elif pick < 0.85:
            place_object(bush(rng, weather), wall - side * 0.7, -KERB_M, z)
        elif pick < 0.97:
            for index in range(int(rng.integers(1, 5))):
                place_object(bicycle(rng, weather), kerb + side * 0.7, -KERB_M, z + 0.9 * index, 'bike',
                             rng.uniform(1.0, 2.0))
        z += rng.uniform(4, 9)


def _movers(street: Street, rng: np.random.Generator, free: list[int]) -> list[_Mover]:
    return [*_traffic(street, rng, free), *_walkers(street, rng, free),
            *_cyclists(street, rng, free)]


def _traffic(street: Street, rng, free) -> list[_Mover]:
    layout, weather = street.layout, street.climate
    glare = weather.condition == 'glare'
    cars: list[_Mover] = []

    def drive(lane, z, speed):
        heading = np.array([0.0, 0.0, -1.0 if lane < 0 else 1.0])
        cars.append(_Mover(np.array([lane, 0.0, z]), heading, speed, _ROAD_LOOP_M, free.pop(),
                           car(rng, weather, True, weather.lamps_lit), lamps=weather.lamps_lit))

    for lane in (-LANE_M, LANE_M):
        if layout.crossing_waits:
            for index in range(int(rng.integers(0, 3)) if lane < 0 else 0):
                drive(lane, layout.crossing_z + 5.5 + 6.2 * index, 0.0)
            continue
        count = int(rng.integers(3, 6) if glare and lane < 0 else rng.integers(1, 5))
        places = np.linspace(-10, 150, count, endpoint=False) + rng.uniform(8, 150 / count)
        speed = rng.uniform(4, 8) if glare else rng.uniform(6, 13)
        for z in places:
            drive(lane, z, speed)
    return cars


def _walkers(street: Street, rng, free) -> list[_Mover]:
    layout, eye_x = street.layout, street.eye_m[0]
    walkers: list[_Mover] = []

    def walk(place, heading, speed, loop):
        walkers.append(_Mover(np.array(place), np.array(heading, np.float64), speed, loop,
                              free.pop(), rider=person(rng, street.climate),
                              phase=rng.uniform(0, 6)))

    for side in (-1, 1):
        kerb_x, wall_x = _x(layout.kerb_x, side), _x(layout.wall_x, side)
        for _ in range(int(rng.integers(2, 5))):
            x = kerb_x + (wall_x - kerb_x) * rng.uniform(0.4, 0.85)
            if abs(x - eye_x) < 0.9:
                x = eye_x + side * 1.1
            speed = 0.0 if rng.random() < 0.2 else rng.uniform(0.9, 1.6)
            walk((x, -KERB_M, rng.uniform(5, 45)), (0, 0, rng.choice([-1, 1])), speed,
                 _WALK_LOOP_M)
    if layout.crossing_waits:
        for _ in range(int(rng.integers(2, 4))):
            walk((rng.uniform(-6, 6), 0.0, layout.crossing_z + rng.uniform(-1.1, 1.1)),
                 (rng.choice([-1, 1]), 0, 0), rng.uniform(0.9, 1.5),
                 (-layout.kerb_x[0], layout.kerb_x[1]))
    return walkers


def _cyclists(street: Street, rng, free) -> list[_Mover]:
    cyclists = []
    for side in (-1, 1):
        lane = side * (2 * LANE_M - 0.15)
        if rng.random() < 0.5 and not street.layout.crossing_waits \
                and abs(lane - street.eye_m[0]) > 0.9:
            identity = free.pop()
            free.pop()  # the next one is the bicycle's
            cyclists.append(_Mover(
                np.array([lane, 0.0, rng.uniform(6, 30)]), np.array([0.0, 0.0, float(side)]),
                rng.uniform(2.5, 5), (-6, 90), identity, bicycle(rng, street.climate),
                person(rng, street.climate), rng.uniform(0, 6)))
    return cyclists


def _car_flares(vehicle: Mesh, heading: np.ndarray, place: np.ndarray) -> tuple[Flare, ...]:
    front = vehicle.points_m[:, 2].max()
    half = np.abs(vehicle.points_m[:, 0]).max() * 0.78
    return tuple(
        Flare(place + heading * ahead * front + (across, -height, 0), np.array(colour),
              heading * ahead)
        for ahead, height, colour in ((1, 0.72, (0.85, 0.97, 1.0)), (-1, 0.8, (0.05, 0.05, 0.6)))
        for across in (-half, half))
