# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""People who walk, ride, stand, sit, crouch and lie."""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.things.figure import add_head, FigureBuilder, make_figure, Pose
from ivf_ros.data.simulator.things.people import Person
import numpy as np

_UP = np.array([0.0, -1.0, 0.0])
_ANGLES = np.linspace(0, 2 * np.pi, 10, endpoint=False)
_DISC = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])


def make_pedestrian(person: Person, position_m: np.ndarray, heading: np.ndarray, phase: float,
                    eye_m: np.ndarray, moving: bool = True) -> Mesh:
    """
    Return a pedestrian at ``position_m`` who walks along ``heading``.

    ``phase`` is the phase of the stride in radians. The strips of the figure face ``eye_m``.
    """
    swing = person.stride * np.sin(phase) if moving else 0.06
    legs = (_leg_angles(swing, np.cos(phase) if moving else 0.0),
            _leg_angles(-swing, -np.cos(phase) if moving else 0.0))
    arms = (-0.8 * swing, 0.35), (0.8 * swing, 0.35)
    lift = 0.02 * np.cos(2 * phase) if moving else 0.0
    return make_figure(person, position_m - (0, lift, 0), heading, eye_m, Pose(legs, arms))


def make_cyclist(person: Person, position_m: np.ndarray, heading: np.ndarray, phase: float,
                 eye_m: np.ndarray) -> Mesh:
    """Return the rider of a bicycle at ``position_m``."""
    left, right = ((0.75 + 0.35 * np.sin(pedal_phase), 1.15 + 0.35 * np.sin(pedal_phase + 0.8))
                   for pedal_phase in (phase, phase + np.pi))
    seat = position_m - heading * 0.2 - (0, 0.97 - 0.49 * person.height_m, 0)
    return make_figure(person, seat, heading, eye_m,
                       Pose((left, right), ((0.95, 0.5), (0.95, 0.5)), 0.42))


def _leg_angles(swing: float, speed: float) -> tuple[float, float]:
    """Return swing of the thigh and bend of the knee, which bends in the forward motion."""
    return swing, 0.12 + 0.75 * max(speed, 0.0)


def make_standing(person: Person, position_m: np.ndarray, heading: np.ndarray,
                  rng: np.random.Generator, eye_m: np.ndarray) -> Mesh:
    """Return a person who stands, at times with a raised arm or bent forwards."""
    sway = rng.uniform(-0.1, 0.1)
    arms = [(rng.uniform(-0.2, 0.4), rng.uniform(0.1, 1.4)) for _ in range(2)]
    pick = rng.random()
    if pick < 0.2:
        arms[int(rng.integers(2))] = rng.uniform(1.2, 2.8), rng.uniform(0.1, 0.8)
    lean = rng.uniform(0.5, 1.2) if pick > 0.88 else 0.0
    legs = (sway, 0.1), (-sway, 0.1)
    return make_figure(person, position_m, heading, eye_m,
                       Pose(legs, (arms[0], arms[1]), lean))


def make_seated(person: Person, position_m: np.ndarray, heading: np.ndarray,
                rng: np.random.Generator, eye_m: np.ndarray, seat_m: float = 0.45) -> Mesh:
    """Return a person who sits at a height above the ground at ``position_m``."""
    if seat_m > 0.2:
        legs = [(rng.uniform(1.3, 1.5), rng.uniform(1.1, 1.5)) for _ in range(2)]
    else:
        raised = rng.uniform(1.5, 2.2)
        legs = [(raised, 2 * raised - 2.9), (raised + 0.1, 2 * raised - 2.8)]
    arms = [(rng.uniform(0.2, 0.8), rng.uniform(0.3, 1.3)) for _ in range(2)]
    hips_m = np.array([0.0, 0.49 * person.height_m - seat_m - 0.05 * person.height_m, 0.0])
    return make_figure(replace(person, long_coat=False), position_m + hips_m, heading, eye_m,
                       Pose((legs[0], legs[1]), (arms[0], arms[1]), rng.uniform(0.02, 0.3)))


def make_crouching(person: Person, position_m: np.ndarray, heading: np.ndarray,
                   rng: np.random.Generator, eye_m: np.ndarray) -> Mesh:
    """Return a person who squats, or kneels on one knee."""
    squat = (rng.uniform(1.9, 2.1), rng.uniform(2.2, 2.5))
    kneels = rng.random() < 0.4
    hips = 0.25 if kneels else 0.17  # of the height of the body
    legs = ((1.5, 1.6), (0.1, 1.6)) if kneels else (squat, squat)
    arms = (rng.uniform(0.3, 0.9), rng.uniform(0.2, 1.0)), (rng.uniform(0.3, 0.9), 0.5)
    lower_m = np.array([0.0, (0.49 - hips) * person.height_m, 0.0])
    return make_figure(replace(person, long_coat=False), position_m + lower_m, heading, eye_m,
                       Pose(legs, arms, rng.uniform(0.2, 0.7)))


def make_lying(person: Person, position_m: np.ndarray, heading: np.ndarray,
               rng: np.random.Generator, eye_m: np.ndarray) -> Mesh:
    """
    Return a person who lies on the ground, with the hips at ``position_m``.

    ``heading`` is a horizontal unit vector ``(3,)`` from the hips to the head.
    """
    size = person.height_m
    right = np.array([heading[2], 0.0, -heading[0]])
    hips = position_m + 0.065 * size * _UP
    shoulders, head = hips + 0.32 * size * heading, hips + 0.42 * size * heading
    figure = FigureBuilder(hips, eye_m, right)
    side = figure.find_across(heading)
    sine = float(np.linalg.norm(np.cross(heading, figure.view)))
    # A body is wider from above than from its side.
    from_above = abs(float(figure.view @ _UP)) / max(sine, 0.15)
    half = size * (0.062 + 0.050 * min(from_above, 1.0))

    def add_arm(which):
        spread = rng.uniform(0.2, 2.2)
        shoulder = shoulders + right * which * 0.1 * size
        out = right * which * np.sin(spread) - heading * np.cos(spread)
        elbow = shoulder + out * 0.165 * size
        wrist = elbow + (out + heading * rng.uniform(-0.6, 0.6)) * 0.13 * size
        figure.add_limb(shoulder, elbow, 0.031 * size, 0.026 * size, person.jacket,
                        person.jacket_celsius - 0.7)
        figure.add_limb(elbow, wrist, 0.026 * size, 0.018 * size, person.jacket,
                        person.jacket_celsius - 1.2)
        figure.add_limb(wrist, wrist + (wrist - elbow) * 0.4, 0.020 * size, 0.016 * size,
                        person.skin, person.skin_celsius - 2.5)

    def add_leg(which):
        lift = rng.uniform(0.5, 0.9) if rng.random() < 0.25 else 0.0  # of a drawn-up knee
        hip = hips + right * which * 0.05 * size
        apart = right * which * rng.uniform(0.0, 0.25)
        knee = hip + (apart - heading * np.cos(lift) + _UP * np.sin(lift)) * 0.245 * size
        ankle = knee + (-heading * 0.9 * np.cos(lift) - _UP * np.sin(lift)) * 0.235 * size
        figure.add_limb(ankle, ankle + 0.08 * size * _UP, 0.024 * size, 0.02 * size, person.shoes,
                        person.shoes_celsius)
        figure.add_limb(hip, knee, 0.050 * size, 0.036 * size, person.trousers,
                        person.trousers_celsius)
        figure.add_limb(knee, ankle, 0.036 * size, 0.026 * size, person.trousers,
                        person.trousers_celsius - 0.8)

    far, near = (1, -1) if right @ figure.view > 0 else (-1, 1)
    add_arm(far)
    add_leg(far)
    add_leg(near)
    for centre, scale in ((hips, 0.85), (shoulders, 1.0)):  # round ends, seen along the body
        figure.add_outline(_DISC, centre, scale * half, scale * half, person.jacket,
                           person.jacket_celsius, side, np.cross(side, figure.view))
    figure.add_limb(hips, shoulders, 0.9 * half, half, person.jacket, person.jacket_celsius)
    add_arm(near)
    add_head(figure, person, head, bool(rng.random() < 0.4), -heading if sine > 0.5 else -_UP,
             side if sine > 0.5 else figure.across)
    return figure.build()
