# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Statues, mannequins, posters, animals and robots on a site: none has a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import functools

from ivf_ros.data.simulator.mesh import unit_heading
from ivf_ros.data.simulator.places.site import Site
from ivf_ros.data.simulator.surfaces.facades import Face
from ivf_ros.data.simulator.things.animals import (
    make_bird,
    make_quadruped,
    PETS,
    sample_animal,
)
from ivf_ros.data.simulator.things.lookalikes import (
    make_mannequin,
    make_poster,
    make_poster_stand,
    make_statue,
)
from ivf_ros.data.simulator.things.robots import (
    make_cleaning_robot,
    make_tracked_robot,
    make_wheeled_robot,
    sample_walking_robot,
)
from ivf_ros.data.simulator.things.wanderers import carry
import numpy as np

_NEAR_M = {'statue': 6.0, 'mannequin': 3.5, 'poster': 5.5, 'animal': 3.5, 'roaming dog': 3.5,
           'birds': 3.0, 'robot': 3.5}


def add_lookalikes(site: Site, sample_spot: Callable[[float], tuple[float, float]],
                   usual: Mapping[str, float], species: Sequence[str] = PETS) -> None:
    """
    Add lookalikes at random spots.

    Parameters
    ----------
    site:
        The site.
    sample_spot:
        Returns a spot, x and z, that is at least so far away.
    usual:
        Usual number of 'statue', 'mannequin', 'poster', 'animal', 'roaming dog', 'birds' and
        'robot'.
    species:
        Species of the animals.

    """
    rng = site.rng
    for kind, number in usual.items():
        for _ in range(site.count_lookalikes(number)):
            x, z = sample_spot(_NEAR_M[kind])
            if kind == 'animal':
                add_animal(site, species[int(rng.integers(len(species)))], x, z)
            elif kind == 'roaming dog':
                add_roaming_animal(site, 'dog', (x, z), sample_spot(_NEAR_M[kind]))
            elif kind == 'birds':
                add_birds(site, x, z, int(rng.integers(2, 7)))
            else:
                {'statue': add_statue, 'mannequin': add_mannequin, 'poster': add_poster_stand,
                 'robot': add_robot}[kind](site, x, z)


def add_statue(site: Site, x: float, z: float) -> None:
    """Add a statue on a pedestal."""
    site.add_figure(make_statue, x, z)


def add_mannequin(site: Site, x: float, z: float) -> None:
    """Add a dressed mannequin."""
    site.add_figure(make_mannequin, x, z)


def add_birds(site: Site, x: float, z: float, number: int) -> None:
    """Add birds on the ground, close together."""
    for _ in range(number):
        dx, dz = site.rng.normal(0, 0.7, 2)
        site.add_figure(make_bird, x + dx, max(z + dz, 1.5))


def add_animal(site: Site, species: str, x: float, z: float) -> None:
    """Add an animal that stands."""
    rng = site.rng
    animal = sample_animal(species, rng, site.climate)
    heading, phase = rng.uniform(-np.pi, np.pi), rng.uniform(0, 6)
    is_walking = bool(rng.random() < 0.5)
    site.add_figure(lambda _, climate, position_m, eye_m: make_quadruped(
        animal, position_m, unit_heading(heading), phase, eye_m,
        is_walking), x, z)


def add_roaming_animal(site: Site, species: str, start_m, end_m) -> None:
    """Add an animal that goes to and fro between two points ``(2,)``, x and z."""
    animal = sample_animal(species, site.rng, site.climate)
    site.add_mover(functools.partial(make_quadruped, animal), start_m, end_m,
                   site.rng.uniform(0.6, 2.0), 0.7 / animal.height_m)


def add_robot(site: Site, x: float, z: float) -> None:
    """Add a small robot on wheels, tracks or legs, at rest or on the move."""
    rng, climate = site.rng, site.climate
    pick, turn = rng.random(), rng.uniform(-np.pi, np.pi)
    end_m = x + 3.0 * np.sin(turn), max(z + 3.0 * np.cos(turn), 2.0)
    if pick < 0.25:
        robot = sample_walking_robot(rng, climate)
        site.add_mover(functools.partial(make_quadruped, robot), (x, z), end_m, 0.8, 1.6)
        return
    make = make_wheeled_robot if pick < 0.65 else make_tracked_robot if pick < 0.85 \
        else make_cleaning_robot
    mesh = make(rng, climate)
    if rng.random() < 0.5:
        site.add(mesh, x, z, heading_rad=turn, shadow='contact')
        return
    site.add_mover(carry(mesh), (x, z), end_m, rng.uniform(0.3, 1.2), 0.1)


def add_poster_stand(site: Site, x: float, z: float) -> None:
    """Add a free-standing poster that faces the rig, more or less."""
    site.add(make_poster_stand(site.rng, site.climate), x, z,
             heading_rad=np.arctan2(x - site.scene.eye_m[0], z) + site.rng.uniform(-0.3, 0.3))


def add_wall_poster(site: Site, face: Face, low_m: float = 0.6) -> None:
    """Add a poster on a wall, which is drawn with the wall."""
    rng = site.rng
    height_m = min(rng.uniform(0.9, 2.2), face.height_m - low_m - 0.2)
    width_m = min(height_m * rng.choice([0.67, 0.7, 1.5]), face.width_m - 0.4)
    poster = make_poster(rng, site.climate, width_m, height_m, bool(rng.random() < 0.3))
    along_m = rng.uniform(width_m / 2 + 0.2, max(face.width_m - width_m / 2 - 0.2,
                                                 width_m / 2 + 0.2))
    # The poster faces -z before it is turned; 1 cm before the wall.
    turn = np.arctan2(-face.normal[0], -face.normal[2])
    site.scene.surfaces.append(poster.transform(
        face.origin_m + face.along * along_m + face.up * low_m + face.normal * 0.01, turn))
