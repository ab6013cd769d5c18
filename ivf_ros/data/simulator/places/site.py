# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What all places but the street share: the rig, light, and the placing of people and things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
import functools

from ivf_ros.data.simulator.climate import Climate, Lighting, sample_climate
from ivf_ros.data.simulator.mesh import Mesh, unit_heading
from ivf_ros.data.simulator.scene import Flare, Scene
from ivf_ros.data.simulator.things.bicycles import make_bicycle
from ivf_ros.data.simulator.things.lamps import make_floodlight, make_path_lamp
from ivf_ros.data.simulator.things.people import Person, sample_child, sample_person
from ivf_ros.data.simulator.things.poses import (
    make_crouching,
    make_cyclist,
    make_lying,
    make_pedestrian,
    make_seated,
    make_standing,
)
from ivf_ros.data.simulator.things.wanderers import carry, Part, Wanderer
import numpy as np

# Range of the air temperature: wider than in the street, from frost to heat.
_AIR_CELSIUS = {'day': (2, 33), 'smoke': (2, 30), 'rain': (3, 24), 'dusk': (0, 26),
                'night': (-6, 22), 'glare': (-5, 20)}
_LAMP_COLOURS = ((0.30, 0.66, 1.0), (0.75, 0.95, 1.0), (0.9, 1.0, 1.0))
_RESERVED_IDENTITIES = 40  # for things that move
_CYCLIST_IDENTITIES = 2
_SEAT_FACES_RIG = np.pi
_TRIES, _CLEAR_M, _PERSON_RADIUS_M = 8, 0.25, 0.2  # of the search for a free spot
_HEAD_M, _MAX_RADIUS_M = 1.9, 1.6  # what is higher, or farther out, is in nobody's way


@dataclass(eq=False)
class Site:
    """
    A scene while it is built.

    Attributes
    ----------
    scene:
        The scene.
    rng:
        Random generator for all objects.
    people, lookalikes:
        Factors of their usual numbers.
    floor_y_m:
        Returns the y of the ground at x and z.

    """

    scene: Scene
    rng: np.random.Generator
    people: float
    lookalikes: float
    floor_y_m: Callable[[float, float], float] = lambda x, z: 0.0
    _occupied: list[tuple[float, float, float]] = field(default_factory=list)  # x, z, radius

    @property
    def climate(self) -> Climate:
        """Return the climate of the scene."""
        return self.scene.climate

    def count_people(self, usual: float) -> int:
        """Return a random number of people with a mean of ``usual`` times the factor."""
        return int(self.rng.poisson(usual * self.people))

    def count_lookalikes(self, usual: float) -> int:
        """Return a random number of lookalikes with a mean of ``usual`` times the factor."""
        return int(self.rng.poisson(usual * self.lookalikes))

    def sample_z(self, near_m: float, far_m: float) -> float:
        """Return a random distance; all apparent sizes are about equally frequent."""
        return float(np.exp(self.rng.uniform(np.log(near_m), np.log(far_m))))

    def sample_x(self, z: float, half_width_m: float) -> float:
        """Return a random x within the view of the rig and within +-``half_width_m``."""
        centre = self.scene.eye_m[0] + z * np.tan(np.radians(self.scene.angles_deg[1]))
        x = centre + self.rng.uniform(-0.62, 0.62) * max(z, 4.0)
        return float(np.clip(x, -half_width_m, half_width_m))

    def sample_spot(self, near_m: float, far_m: float, half_width_m: float
                    ) -> tuple[float, float]:
        """Return a random free spot, x and z; any spot where a free one is hard to find."""
        for _ in range(_TRIES):
            z = self.sample_z(near_m, far_m)
            x = self.sample_x(z, half_width_m)
            if self.is_free(x, z):
                break
        return x, z

    def is_free(self, x: float, z: float) -> bool:
        """Return whether nothing else stands at a spot, of what was added until now."""
        return all((x - other_x) ** 2 + (z - other_z) ** 2 > (radius_m + _CLEAR_M) ** 2
                   for other_x, other_z, radius_m in self._occupied)

    def position(self, x: float, z: float) -> np.ndarray:
        """Return the point of the ground at x and z."""
        return np.array([x, self.floor_y_m(x, z), z])

    def has_room(self) -> bool:
        """Return whether the scene can take another static object with a class."""
        return self.scene.free_identities > _RESERVED_IDENTITIES

    def add(self, mesh: Mesh, x: float, z: float, class_name: str = '', heading_rad: float = 0.0,
            **options) -> None:
        """Add a static object on the ground; nothing where no identity is left for it."""
        if not class_name or self.has_room():
            low = mesh.points_m[mesh.points_m[:, 1] > -_HEAD_M]
            radius_m = float(np.abs(low[:, [0, 2]]).max()) if len(low) else 0.0
            self._occupied.append((x, z, min(radius_m, _MAX_RADIUS_M)))
            self.scene.add(mesh, self.position(x, z), class_name, heading_rad, **options)

    def add_figure(self, make: Callable[..., Mesh], x: float, z: float) -> None:
        """Add a static lookalike that ``make(rng, climate, position_m, eye_m)`` makes."""
        position_m = self.position(x, z)
        self._occupied.append((x, z, _PERSON_RADIUS_M))
        self.scene.add_placed(make(self.rng, self.climate, position_m, self.scene.eye_m),
                              self.scene.depth_m(position_m), shadow='contact')

    def add_person(self, x: float, z: float, pose: str = 'standing', *,
                   heading_rad: float | None = None, is_child: bool | None = None,
                   seat_m: float = 0.45, lower_m: float = 0.0, behind_m: float = 0.0) -> None:
        """
        Add somebody who stays; nobody where no identity is left.

        Parameters
        ----------
        x, z:
            Position.
        pose:
            'standing', 'walking', 'seated', 'crouching' or 'lying'.
        heading_rad:
            Direction from z towards x; None: random.
        is_child:
            None: sometimes.
        seat_m:
            Height of the seat above the feet.
        lower_m:
            Depth of the feet below the ground at x and z.
        behind_m:
            Additional distance for the order of occlusion.

        """
        if not self.has_room():
            return
        rng, eye_m = self.rng, self.scene.eye_m
        person = self._sample_person(is_child)
        if heading_rad is None:
            heading_rad = rng.uniform(-np.pi, np.pi)
            if pose == 'lying':  # across the view, within 50 degrees
                heading_rad = np.arctan2(x, z) + rng.choice([-1, 1]) * np.pi / 2 \
                    + rng.uniform(-0.87, 0.87)
        heading = unit_heading(heading_rad)
        position_m = self.position(x, z) + (0, lower_m, 0)
        if pose == 'walking':
            mesh = make_pedestrian(person, position_m, heading, rng.uniform(0, 6), eye_m)
        elif pose == 'seated':
            mesh = make_seated(person, position_m, heading, rng, eye_m, seat_m)
        else:
            make = {'standing': make_standing, 'crouching': make_crouching,
                    'lying': make_lying}[pose]
            mesh = make(person, position_m, heading, rng, eye_m)
        self._occupied.append((x, z, _PERSON_RADIUS_M))
        self.scene.add_placed(mesh, self.scene.depth_m(position_m) + behind_m, 'person',
                              shadow='contact')

    def add_group(self, x: float, z: float, number: int) -> None:
        """Add people who stand close together, so that some hide others."""
        for _ in range(number):
            for _ in range(_TRIES):
                dx, dz = self.rng.normal(0, 0.35 + 0.08 * number, 2)
                if self.is_free(x + dx, z + dz):
                    break
            self.add_person(x + dx, max(z + dz, 2.0), 'standing' if self.rng.random() < 0.8
                            else 'walking')

    def add_bench_sitters(self, bench: Mesh, x: float, z: float, seats: int,
                          spacing_m: float = 0.6) -> None:
        """Add a seat that faces the rig, more or less, with people on some of its places."""
        turn = self.rng.uniform(-0.25, 0.25)
        self.add(bench, x, z + 0.1, heading_rad=turn)
        for place in range(seats):
            if self.rng.random() < min(0.5 * self.people, 0.9):
                along = (place - (seats - 1) / 2) * spacing_m
                self.add_person(x + along * np.cos(turn), z - along * np.sin(turn), 'seated',
                                heading_rad=_SEAT_FACES_RIG + turn + self.rng.uniform(-0.2, 0.2))

    def add_hidden_person(self, x: float, z: float, screen: Mesh, screen_half_m: float,
                          pose: str = 'standing') -> None:
        """Add somebody who is partly hidden behind an object that stands before."""
        self.add_person(x, z, pose)
        nearer = self.rng.uniform(0.82, 0.94)
        eye_x = self.scene.eye_m[0]
        aside = self.rng.choice([-1, 1]) * (screen_half_m + self.rng.uniform(-0.12, 0.22))
        self.add(screen, eye_x + (x - eye_x) * nearer + aside, z * nearer)

    def add_walker(self, start_m, end_m, *, is_child: bool | None = None,
                   companions: tuple[Part, ...] = (), speed: float | None = None) -> None:
        """Add somebody who walks to and fro between two points ``(2,)``, x and z."""
        if self.scene.free_identities < 1:
            return
        person = self._sample_person(is_child)
        speed = self.rng.uniform(0.7, 1.6) * person.height_m / 1.75 if speed is None else speed
        parts = (Part(functools.partial(make_pedestrian, person), 'person',
                      self.scene.take_identity()), *companions)
        self._add_wanderer(start_m, end_m, speed, 0.62 * 1.75 / person.height_m, parts)

    def add_rider(self, start_m, end_m) -> None:
        """Add a cyclist, whose boxes, person and bicycle, overlap."""
        if self.scene.free_identities < _CYCLIST_IDENTITIES:
            return
        person, bicycle = self._sample_person(False), make_bicycle(self.rng, self.climate)
        parts = (Part(carry(bicycle), 'bike', self.scene.take_identity(), behind_m=0.1),
                 Part(functools.partial(make_cyclist, person), 'person',
                      self.scene.take_identity()))
        self._add_wanderer(start_m, end_m, self.rng.uniform(1.5, 5.0), 0.25, parts)

    def add_mover(self, make_mesh, start_m, end_m, speed: float, strides_per_m: float) -> None:
        """Add an animal or a robot, which has no class, that goes to and fro."""
        self._add_wanderer(start_m, end_m, speed, strides_per_m, (Part(make_mesh),))

    def add_parked_bicycles(self, x: float, z: float, number: int, heading_rad: float,
                            step_m: tuple[float, float]) -> None:
        """Add bicycles side by side, so close that they overlap; ``step_m`` is along x and z."""
        for index in range(number):
            turn = heading_rad + self.rng.normal(0, 0.12) + np.pi * (self.rng.random() < 0.4)
            self.add(make_bicycle(self.rng, self.climate), x + step_m[0] * index,
                     z + step_m[1] * index + self.rng.uniform(-0.08, 0.08), 'bike', turn)

    def _add_wanderer(self, start_m, end_m, speed, strides_per_m, parts) -> None:
        start, end = np.asarray(start_m, np.float64), np.asarray(end_m, np.float64)
        way_m = self.rng.uniform(0, 2 * np.linalg.norm(end - start))
        self.scene.movers.append(Wanderer(start, end, speed, strides_per_m, way_m, parts,
                                          self.floor_y_m))

    def _sample_person(self, is_child: bool | None) -> Person:
        if is_child is None:
            is_child = self.rng.random() < 0.12
        return (sample_child if is_child else sample_person)(self.rng, self.climate)


def make_generators(seed: int, number: int) -> list[np.random.Generator]:
    """Return independent generators, so that the layout is the same in every condition."""
    return [np.random.default_rng([seed, 1, part]) for part in range(number)]


def sample_outdoor_climate(condition: str, rng: np.random.Generator) -> Climate:
    """Return a climate with any air temperature between frost and heat."""
    return replace(sample_climate(condition, rng),
                   air_celsius=rng.uniform(*_AIR_CELSIUS[condition]))


def sample_pose(rng: np.random.Generator, heights: tuple[str, ...] = ('low', 'eye', 'mast')
                ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return position, and pitch, yaw and roll in degrees, of the RGB camera.

    'low' is a small robot, 'eye' a person or a vehicle, 'mast' a camera above all heads.
    """
    weights = np.array([{'low': 0.2, 'eye': 0.6, 'mast': 0.2}[name] for name in heights])
    height = rng.choice(heights, p=weights / weights.sum())
    low, high, pitch_low, pitch_high = {
        'low': (0.35, 0.9, -5.0, 2.0), 'eye': (1.2, 2.0, -2.0, 5.0),
        'mast': (2.8, 5.0, 8.0, 18.0)}[height]
    eye_m = np.array([rng.uniform(-0.5, 0.5), -rng.uniform(low, high), 0.0])
    return eye_m, np.array([rng.uniform(pitch_low, pitch_high), rng.uniform(-12, 12),
                            rng.uniform(-1.5, 1.5)])


def make_lighting(climate: Climate, lamps_m: np.ndarray, eye_m: np.ndarray,
                  rng: np.random.Generator) -> tuple[Lighting, np.ndarray]:
    """Return the light of lamps ``(L, 3)``, and their colour in linear BGR."""
    colour = np.array(_LAMP_COLOURS[rng.integers(len(_LAMP_COLOURS))])
    power = rng.uniform(0.5, 1.6) * (3.0 if climate.condition == 'dusk' else 1.6)
    has_headlight = rng.random() < 0.3
    if not climate.lamps_lit or climate.condition == 'rain':
        return Lighting(climate, np.empty((0, 3)), np.empty((0, 3))), colour
    lamps_m = np.reshape(lamps_m, (-1, 3))
    return Lighting(climate, lamps_m, power * np.tile(colour, (len(lamps_m), 1)),
                    eye_m if has_headlight else None), colour


def make_flare(position_m: np.ndarray, colour: np.ndarray, climate: Climate
               ) -> tuple[Flare, ...]:
    """Return the halo of a lamp that is lit."""
    return (Flare(position_m, colour),) if climate.lamps_lit else ()


def add_path_lamps(site: Site, lamps_m: np.ndarray, colour: np.ndarray) -> None:
    """Add posts with lamps at ``(L, 3)`` whose light has a colour in linear BGR."""
    for lamp_m in lamps_m:
        x, _, z = lamp_m
        site.add(make_path_lamp(site.climate, colour), x, z,
                 flares=make_flare(lamp_m, colour, site.climate))


def add_floodlights(site: Site, half_width_m: float, far_m: float) -> None:
    """Add lamps that shine at the rig in condition 'glare'."""
    rng, eye_m = site.rng, site.scene.eye_m
    for _ in range(int(rng.integers(1, 4))):
        z, height_m = rng.uniform(0.5, 1.0) * far_m, rng.uniform(1.0, 3.0)
        x = site.sample_x(z, half_width_m)
        if site.climate.condition != 'glare':
            continue
        lamp_m = site.position(x, z) - (0, height_m + 0.15, 0.1)
        to_eye = eye_m - lamp_m
        site.add(make_floodlight(site.climate, height_m), x, z, flares=(
            Flare(lamp_m, np.array((0.85, 0.97, 1.0)), to_eye / np.linalg.norm(to_eye)),))
