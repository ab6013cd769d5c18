# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Pedestrians and cyclists: skin is warm, clothes are cooler, hair and rucksacks the coolest.

Limbs are flat strips that face the RGB camera; both cameras see the same strips.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.raster import Mesh
import numpy as np

_SKINS = ((0.32, 0.42, 0.62), (0.22, 0.32, 0.52), (0.10, 0.16, 0.28), (0.05, 0.08, 0.14))
_HAIR = ((0.01, 0.01, 0.012), (0.03, 0.05, 0.10), (0.12, 0.25, 0.38), (0.35, 0.36, 0.38))
_HEAD = np.array([(0, -1), (0.5, -0.88), (0.88, -0.5), (1, 0), (0.9, 0.5), (0.55, 0.9), (0, 1.05),
                  (-0.55, 0.9), (-0.9, 0.5), (-1, 0), (-0.88, -0.5), (-0.5, -0.88)])
_HAIRCUT = np.array([(0, -1.12), (0.58, -1.0), (1.0, -0.55), (1.08, -0.05), (0.92, -0.1),
                     (0.75, -0.42), (0, -0.5), (-0.75, -0.42), (-0.92, -0.1), (-1.08, -0.05),
                     (-1.0, -0.55), (-0.58, -1.0)])
_TRUNK = np.array([(0.45, 0), (1.0, 0.06), (1.02, 0.35), (0.80, 0.72), (0.86, 1.0), (-0.86, 1.0),
                   (-0.80, 0.72), (-1.02, 0.35), (-1.0, 0.06), (-0.45, 0)])


@dataclass(frozen=True, eq=False)
class Person:
    """Appearance of one person; lengths in metres, colours linear BGR."""

    height_m: float
    skin: np.ndarray
    hair: np.ndarray
    jacket: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    skin_celsius: float
    hair_celsius: float
    jacket_celsius: float
    trousers_celsius: float
    shoes_celsius: float
    bag: np.ndarray | None
    bag_celsius: float
    long_coat: bool
    stride: float  # swing of the thigh in radians


def sample_person(rng: np.random.Generator, climate: Climate) -> Person:
    """Return a random person, dressed for the weather."""
    air = climate.air_celsius
    # Thick clothes transmit about a third of the temperature difference, thin ones more.
    transmission = rng.uniform(0.30, 0.55) if air < 12 else rng.uniform(0.45, 0.7)
    jacket = air + (32 - air) * transmission
    brightness = rng.uniform(0.02, 0.55)
    return Person(
        height_m=rng.uniform(1.55, 1.90), skin=np.array(_SKINS[rng.integers(len(_SKINS))]),
        hair=np.array(_HAIR[rng.integers(len(_HAIR))]),
        jacket=brightness * rng.uniform(0.35, 1.0, 3),
        trousers=rng.uniform(0.015, 0.18) * np.array([1.3, 1.0, 0.9]),
        shoes=np.full(3, rng.choice([0.02, 0.05, 0.5])),
        skin_celsius=min(29.5 + 0.2 * air, 34.5) + rng.normal(0, 0.4),
        hair_celsius=air + (32 - air) * 0.6, jacket_celsius=jacket,
        trousers_celsius=air + (32 - air) * rng.uniform(0.42, 0.62),
        shoes_celsius=air + (32 - air) * 0.25,
        bag=rng.uniform(0.02, 0.3, 3) if rng.random() < 0.35 else None,
        bag_celsius=air + (32 - air) * 0.12, long_coat=rng.random() < 0.3,
        stride=rng.uniform(0.38, 0.52))


def make_pedestrian(person: Person, position_m: np.ndarray, heading: np.ndarray, phase: float,
                    eye_m: np.ndarray, moving: bool = True) -> Mesh:
    """
    Return a pedestrian at ``position_m`` person walks along ``heading``.

    ``phase`` is the phase of the stride in radians. The strips of the figure face ``eye_m``.
    """
    swing = person.stride * np.sin(phase) if moving else 0.06
    legs = [_leg_angles(swing, np.cos(phase) if moving else 0.0),
            _leg_angles(-swing, -np.cos(phase) if moving else 0.0)]
    arms = [(-0.8 * swing, 0.35), (0.8 * swing, 0.35)]
    lift = 0.02 * np.cos(2 * phase) if moving else 0.0
    return _make_figure(person, position_m - (0, lift, 0), heading, eye_m, legs, arms, 0.0)


def make_cyclist(person: Person, position_m: np.ndarray, heading: np.ndarray, phase: float,
                 eye_m: np.ndarray) -> Mesh:
    """Return the rider of a bicycle at ``position_m``."""
    legs = [(0.75 + 0.35 * np.sin(pedal_phase), 1.15 + 0.35 * np.sin(pedal_phase + 0.8))
            for pedal_phase in (phase, phase + np.pi)]
    seat = position_m - heading * 0.2 - (0, 0.97 - 0.49 * person.height_m, 0)
    return _make_figure(person, seat, heading, eye_m, legs, [(0.95, 0.5), (0.95, 0.5)], 0.42)


def _leg_angles(swing: float, speed: float) -> tuple[float, float]:
    """Return swing of the thigh and bend of the knee, which bends in the forward motion."""
    return swing, 0.12 + 0.75 * max(speed, 0.0)


def _make_figure(person: Person, position_m, heading, eye_m, legs, arms, lean) -> Mesh:
    size = person.height_m
    right = np.array([heading[2], 0.0, -heading[0]])
    view = position_m - (0, 0.5 * size, 0) - eye_m
    view = view / np.linalg.norm(view)
    across = np.cross(view, (0.0, 1.0, 0.0))
    across /= np.linalg.norm(across)
    if across @ right < 0:
        across = -across
    # From the side a body is narrower than from the front.
    frontality = abs(across @ right)
    hips = position_m - (0, 0.49 * size, 0)
    spine = np.array([0.0, -np.cos(lean), 0.0]) + heading * np.sin(lean)
    shoulders = hips + spine * 0.33 * size
    parts: list[np.ndarray | int] = []  # a polygon, or the number of a limb
    limbs: list[tuple[float, ...]] = []
    colours, temperatures = [], []

    def add(part, colour, celsius):
        parts.append(part)
        colours.append(colour)
        temperatures.append(celsius)

    def add_limb(start, end, half0, half1, colour, celsius):
        add(len(limbs), colour, celsius)
        limbs.append((*start, *end, half0, half1))

    def add_leg(side, angles):
        swing, bend = angles
        hip = hips + right * side * 0.052 * size
        knee = hip + _down(heading, swing) * 0.245 * size
        ankle = knee + _down(heading, swing - bend) * 0.225 * size
        add_limb(ankle, ankle + heading * 0.09 * size + (0, 0.018 * size, 0), 0.026 * size,
                 0.022 * size, person.shoes, person.shoes_celsius)
        add_limb(hip, knee, 0.050 * size, 0.036 * size, person.trousers, person.trousers_celsius)
        add_limb(knee, ankle, 0.036 * size, 0.024 * size, person.trousers,
                 person.trousers_celsius - 0.8)

    def add_arm(side, angles):
        swing, bend = angles
        shoulder = shoulders + right * side * 0.112 * size + (0, 0.025 * size, 0)
        elbow = shoulder + _down(heading, swing + lean * 0.5) * 0.165 * size
        wrist = elbow + _down(heading, swing + bend + lean * 0.5) * 0.14 * size
        add_limb(shoulder, elbow, 0.031 * size, 0.026 * size, person.jacket,
                 person.jacket_celsius - 0.7)
        add_limb(elbow, wrist, 0.026 * size, 0.020 * size, person.jacket,
                 person.jacket_celsius - 1.2)
        add_limb(wrist, wrist + (wrist - elbow) * 0.45, 0.020 * size, 0.016 * size, person.skin,
                 person.skin_celsius - 2.5)

    def add_outline(shape, centre, width, height, colour, celsius, down=(0.0, 1.0, 0.0)):
        add(centre + shape[:, :1] * width * across + shape[:, 1:] * height * np.asarray(down),
            colour, celsius)

    far_side = 0 if right @ view < 0 else 1  # 0: the left side is farther away
    sides = ((-1, 0), (1, 1)) if far_side == 0 else ((1, 1), (-1, 0))
    is_away = heading @ view > 0.25
    first, second = sides
    add_arm(first[0], arms[first[1]])
    add_leg(first[0], legs[first[1]])
    add_leg(second[0], legs[second[1]])
    width = (0.075 + 0.045 * frontality) * size
    if person.bag is not None and not is_away:
        add_outline(_TRUNK, shoulders - heading * 0.08 * size, width * 0.8, 0.25 * size,
                    person.bag, person.bag_celsius, -spine)
    add_outline(_TRUNK, shoulders, width, (0.46 if person.long_coat else 0.36) * size,
                person.jacket, person.jacket_celsius, -spine if lean else (0.0, 1.0, 0.0))
    if person.bag is not None and is_away:
        add_outline(_TRUNK, shoulders - heading * 0.05 * size + (0, 0.02, 0), width * 0.75,
                    0.23 * size, person.bag, person.bag_celsius, -spine)
    add_arm(second[0], arms[second[1]])
    head = shoulders + (spine + heading * 0.1 * bool(lean)) * 0.095 * size
    add_limb(shoulders, head, 0.03 * size, 0.03 * size, person.skin, person.skin_celsius)
    head_celsius = 0.5 * (person.hair_celsius + person.skin_celsius) if is_away \
        else person.skin_celsius
    add_outline(_HEAD, head, 0.046 * size, 0.062 * size, person.hair if is_away else person.skin,
                head_celsius)
    add_outline(_HAIRCUT, head, 0.046 * size, 0.062 * size, person.hair, person.hair_celsius)
    strips = _make_strips(np.array(limbs), view, across)
    polygons = [strips[part] if isinstance(part, int) else part for part in parts]
    count = len(polygons)
    return Mesh(np.concatenate(polygons), np.cumsum([len(p) for p in polygons]),
                np.tile(-view, (count, 1)), np.zeros(count, bool), np.array(colours),
                np.zeros((count, 3)), np.array(temperatures))


def _make_strips(limbs: np.ndarray, view: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return outlines ``(N, 6, 3)`` of limbs ``(N, 8)``: start, end and both half widths."""
    start, end, half0, half1 = limbs[:, :3], limbs[:, 3:6], limbs[:, 6:7], limbs[:, 7:]
    along = end - start
    length = np.sqrt((along * along).sum(axis=1, keepdims=True)) + 1e-9
    along /= length
    side = np.cross(along, view)
    size = np.sqrt((side * side).sum(axis=1, keepdims=True))
    # A limb that points to the camera has no defined side.
    side = np.where(size > 0.15, side / np.maximum(size, 0.15), across)
    return np.stack([start - side * half0, start - along * half0 * 0.6, start + side * half0,
                     end + side * half1, end + along * half1 * 0.6, end - side * half1], axis=1)


def _down(heading: np.ndarray, angle: float) -> np.ndarray:
    """Return the downward unit vector, rotated by ``angle`` towards the heading."""
    return np.array([heading[0] * np.sin(angle), np.cos(angle), heading[2] * np.sin(angle)])
