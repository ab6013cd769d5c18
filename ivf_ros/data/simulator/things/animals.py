# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Animals: fur and feathers insulate, so they are less warm than people, but warmer than air."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import Mesh, unit_heading
from ivf_ros.data.simulator.things.figure import FigureBuilder, swing_down
import numpy as np

_UP = np.array([0.0, -1.0, 0.0])
_ANGLES = np.linspace(0, 2 * np.pi, 12, endpoint=False)
_DISC = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_BODY_CELSIUS = 36.0


@dataclass(frozen=True, eq=False)
class Animal:
    """
    A quadruped; lengths in metres, colours linear BGR.

    Attributes
    ----------
    length_m, height_m, half_m:
        Of the trunk: its length, the height of the back, half its thickness.
    neck_m, neck_rad:
        Length of the neck, and its angle above the horizontal.
    head_m, tail_m:
        Lengths of head and tail.
    fur, celsius, head_celsius, leg_celsius:
        Colour, and temperatures of trunk, head and legs.

    """

    length_m: float
    height_m: float
    half_m: float
    neck_m: float
    neck_rad: float
    head_m: float
    tail_m: float
    fur: np.ndarray
    celsius: float = 0.0
    head_celsius: float = 0.0
    leg_celsius: float = 0.0


_BROWN, _GREY, _BLACK = (0.06, 0.12, 0.22), (0.20, 0.22, 0.24), (0.015, 0.015, 0.018)
_WHITE, _FOX = (0.55, 0.60, 0.62), (0.05, 0.16, 0.42)
_SPECIES = {
    'dog': Animal(0.62, 0.58, 0.12, 0.18, 0.8, 0.20, 0.30, np.array(_BROWN)),
    'small dog': Animal(0.36, 0.30, 0.09, 0.09, 0.8, 0.14, 0.16, np.array(_WHITE)),
    'cat': Animal(0.34, 0.26, 0.065, 0.06, 0.6, 0.09, 0.28, np.array(_GREY)),
    'fox': Animal(0.55, 0.40, 0.09, 0.12, 0.5, 0.18, 0.38, np.array(_FOX)),
    'sheep': Animal(0.85, 0.75, 0.22, 0.16, 0.6, 0.22, 0.10, np.array(_WHITE)),
    'deer': Animal(1.05, 1.10, 0.19, 0.48, 1.1, 0.26, 0.12, np.array(_BROWN)),
    'boar': Animal(1.05, 0.80, 0.24, 0.12, 0.1, 0.34, 0.15, np.array(_BLACK)),
    'horse': Animal(1.55, 1.55, 0.29, 0.70, 0.8, 0.52, 0.60, np.array(_BROWN)),
}
PETS, WILD = ('dog', 'dog', 'small dog', 'cat'), ('deer', 'deer', 'fox', 'boar')
PASTURE = ('horse', 'sheep', 'sheep', 'dog')


def sample_animal(species: str, rng: np.random.Generator, climate: Climate) -> Animal:
    """Return a random animal of a species."""
    kind, air = _SPECIES[species], climate.air_celsius
    size = rng.uniform(0.85, 1.15)
    warmth = rng.uniform(0.15, 0.28) if species == 'sheep' else rng.uniform(0.3, 0.55)
    fur = np.array((_BROWN, _GREY, _BLACK, _WHITE, _FOX)[rng.integers(5)]) \
        if species in ('dog', 'small dog', 'cat', 'horse') else kind.fur
    lengths = {name: size * getattr(kind, name) for name in (
        'length_m', 'height_m', 'half_m', 'neck_m', 'head_m', 'tail_m')}
    return replace(kind, **lengths, fur=fur * rng.uniform(0.6, 1.3),
                   celsius=air + (_BODY_CELSIUS - air) * warmth,
                   head_celsius=air + (_BODY_CELSIUS - air) * min(warmth + 0.2, 0.75),
                   leg_celsius=air + (_BODY_CELSIUS - air) * (warmth + 0.05))


def make_quadruped(animal: Animal, position_m: np.ndarray, heading: np.ndarray, phase: float,
                   eye_m: np.ndarray, moving: bool = True) -> Mesh:
    """
    Return an animal that walks along ``heading``, or stands.

    ``phase`` is the phase of the stride in radians. The strips of the figure face ``eye_m``.
    """
    half, height = animal.half_m, animal.height_m
    right = np.array([heading[2], 0.0, -heading[0]])
    back = position_m + (height - half) * _UP
    rump, chest = (back + heading * (end * (animal.length_m / 2 - half)) for end in (-1, 1))
    figure = FigureBuilder(back, eye_m, right)
    swing = 0.45 * np.sin(phase) if moving else 0.06
    far, near = (1, -1) if right @ figure.view > 0 else (-1, 1)

    def add_leg(base, side, angle):
        hip = base + right * (side * 0.55 * half) + 0.3 * half * _UP
        length_m = height - 0.7 * half
        knee = hip + swing_down(heading, angle) * 0.52 * length_m
        foot = knee + swing_down(heading, 0.4 * angle - 0.1) * 0.48 * length_m
        thin = 0.055 * height
        figure.add_limb(hip, knee, 1.7 * thin, thin, animal.fur, animal.leg_celsius)
        figure.add_limb(knee, foot, thin, 0.7 * thin, 0.8 * animal.fur, animal.leg_celsius - 1.5)

    for side, sign in ((far, 1), (near, -1)):
        add_leg(rump, side, sign * swing)
        add_leg(chest, side, -sign * swing)
    tail = rump - heading * half + 0.3 * half * _UP
    lift = 0.6 if height < 0.7 else -0.9  # the tails of large animals hang
    figure.add_limb(tail, tail + (0.5 * -heading + lift * _UP) * animal.tail_m, 0.25 * half,
                    0.15 * half, animal.fur, animal.leg_celsius - 1.0)
    for centre, scale in ((rump, 0.95), (chest, 1.0)):
        figure.add_outline(_DISC, centre, scale * half, scale * half, animal.fur, animal.celsius)
    figure.add_limb(rump, chest, 0.92 * half, half, animal.fur, animal.celsius)
    rise = heading * np.cos(animal.neck_rad) + _UP * np.sin(animal.neck_rad)
    throat = chest + 0.4 * half * _UP + heading * 0.4 * half
    poll = throat + rise * animal.neck_m
    figure.add_limb(throat, poll, 0.6 * half, 0.35 * half, animal.fur,
                    0.5 * (animal.celsius + animal.head_celsius))
    _add_head(figure, animal, poll, heading, right)
    return figure.build()


def _add_head(figure: FigureBuilder, animal: Animal, poll, heading, right) -> None:
    head = animal.head_m
    muzzle = poll + heading * 0.85 * head - 0.45 * head * _UP
    for side in (-1, 1):
        ear = poll + right * side * 0.22 * head
        figure.add_limb(ear, ear + 0.35 * head * _UP, 0.10 * head, 0.02 * head,
                        0.8 * animal.fur, animal.head_celsius - 2.0)
    figure.add_outline(_DISC, poll + heading * 0.15 * head, 0.34 * head, 0.34 * head, animal.fur,
                       animal.head_celsius)
    figure.add_limb(poll + heading * 0.2 * head, muzzle, 0.30 * head, 0.16 * head, animal.fur,
                    animal.head_celsius)
    figure.add_outline(_DISC, muzzle, 0.10 * head, 0.10 * head, (0.01, 0.01, 0.01),
                       animal.head_celsius - 4.0)  # a wet nose


def make_bird(rng: np.random.Generator, climate: Climate, position_m: np.ndarray,
              eye_m: np.ndarray) -> Mesh:
    """Return a pigeon, a duck or a crow on the ground."""
    angle, size = rng.uniform(-np.pi, np.pi), rng.uniform(0.11, 0.24)
    heading = unit_heading(angle)
    colour = np.array((_GREY, _BLACK, _WHITE, _BROWN)[rng.integers(4)])
    celsius = climate.air_celsius + (38 - climate.air_celsius) * rng.uniform(0.2, 0.4)
    body = position_m + 0.75 * size * _UP
    figure = FigureBuilder(body, eye_m, np.array([heading[2], 0.0, -heading[0]]))
    figure.add_limb(body, body - 0.75 * size * _UP, 0.06 * size, 0.05 * size, (0.1, 0.2, 0.5),
                    celsius - 2)
    chest, tail = body + heading * 0.4 * size, body - heading * 0.9 * size
    figure.add_outline(_DISC, body, 0.42 * size, 0.42 * size, colour, celsius)
    figure.add_limb(tail, chest, 0.12 * size, 0.45 * size, colour, celsius)
    head = chest + 0.75 * size * _UP + heading * 0.15 * size
    figure.add_limb(chest, head, 0.25 * size, 0.16 * size, colour, celsius + 1)
    figure.add_outline(_DISC, head, 0.24 * size, 0.24 * size, 0.7 * colour, celsius + 4)
    figure.add_limb(head, head + heading * 0.4 * size, 0.08 * size, 0.02 * size,
                    (0.05, 0.3, 0.5), celsius)
    return figure.build()
