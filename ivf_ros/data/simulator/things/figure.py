# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The figure of a person in a pose.

Limbs are flat strips that face the RGB camera; both cameras see the same strips.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.things.people import Person
import numpy as np

_BENT_RAD = 0.5  # the trunk of a body that is bent further is across its spine
_ON_END_SINE = 0.15  # of the angle between an axis and the view
# Outlines, x to the right and y down.
HEAD = np.array([(0, -1), (0.5, -0.88), (0.88, -0.5), (1, 0), (0.9, 0.5), (0.55, 0.9), (0, 1.05),
                 (-0.55, 0.9), (-0.9, 0.5), (-1, 0), (-0.88, -0.5), (-0.5, -0.88)])
HAIRCUT = np.array([(0, -1.12), (0.58, -1.0), (1.0, -0.55), (1.08, -0.05), (0.92, -0.1),
                    (0.75, -0.42), (0, -0.5), (-0.75, -0.42), (-0.92, -0.1), (-1.08, -0.05),
                    (-1.0, -0.55), (-0.58, -1.0)])
TRUNK = np.array([(0.45, 0), (1.0, 0.06), (1.02, 0.35), (0.80, 0.72), (0.86, 1.0), (-0.86, 1.0),
                  (-0.80, 0.72), (-1.02, 0.35), (-1.0, 0.06), (-0.45, 0)])


@dataclass(frozen=True)
class Pose:
    """
    Angles of a body in radians.

    Attributes
    ----------
    legs, arms:
        Of the left and the right limb: the angle of its upper part from straight down towards the
        heading, and the bend of its joint: knees bend backwards, elbows forwards.
    lean:
        Angle of the spine from upright towards the heading.

    """

    legs: tuple[tuple[float, float], tuple[float, float]]
    arms: tuple[tuple[float, float], tuple[float, float]]
    lean: float = 0.0


class FigureBuilder:
    """
    Collects strips and outlines that face the eye, in painting order.

    Attributes
    ----------
    view:
        ``(3,)`` unit vector from the eye to the middle of the figure.
    across:
        ``(3,)`` horizontal unit vector across the view, to the right of ``right``.

    """

    def __init__(self, middle_m: np.ndarray, eye_m: np.ndarray, right: np.ndarray) -> None:
        view = middle_m - eye_m
        self.view = view / np.linalg.norm(view)
        across = np.cross(self.view, (0.0, 1.0, 0.0))
        across /= np.linalg.norm(across)
        self.across = -across if across @ right < 0 else across
        self._parts: list[np.ndarray | int] = []  # a polygon, or the number of a limb
        self._limbs: list[tuple[float, ...]] = []
        self._colours: list = []
        self._temperatures: list[float] = []

    def find_across(self, axis: np.ndarray) -> np.ndarray:
        """Return the unit vector across an axis and the view; ``across`` for an axis on end."""
        across = np.cross(axis, self.view)
        sine = float(np.linalg.norm(across))
        if sine < _ON_END_SINE:
            return self.across
        return across / (-sine if across @ self.across < 0 else sine)

    def add(self, part: np.ndarray | int, colour, celsius: float) -> None:
        """Add a polygon ``(N, 3)``, or a limb by its number."""
        self._parts.append(part)
        self._colours.append(colour)
        self._temperatures.append(celsius)

    def add_limb(self, start, end, half0: float, half1: float, colour, celsius: float) -> None:
        """Add a straight limb with the half widths of its ends."""
        self.add(len(self._limbs), colour, celsius)
        self._limbs.append((*start, *end, half0, half1))

    def add_outline(self, shape: np.ndarray, centre, width: float, height: float, colour,
                    celsius: float, down=(0.0, 1.0, 0.0), across=None) -> None:
        """Add an outline ``(N, 2)``, scaled, with its x along ``across`` and its y ``down``."""
        across = self.across if across is None else across
        self.add(centre + shape[:, :1] * width * across
                 + shape[:, 1:] * height * np.asarray(down), colour, celsius)

    def build(self) -> Mesh:
        """Return the mesh, whose polygons face the eye."""
        strips = _make_strips(np.array(self._limbs), self.view, self.across)
        polygons = [strips[part] if isinstance(part, int) else part for part in self._parts]
        count = len(polygons)
        return Mesh(np.concatenate(polygons), np.cumsum([len(p) for p in polygons]),
                    np.tile(-self.view, (count, 1)), np.zeros(count, bool),
                    np.array(self._colours), np.zeros((count, 3)), np.array(self._temperatures))


def make_figure(person: Person, position_m: np.ndarray, heading: np.ndarray, eye_m: np.ndarray,
                pose: Pose) -> Mesh:
    """
    Return an upright or leaning person whose hips are above ``position_m`` by half the height.

    ``heading`` is a horizontal unit vector ``(3,)``. The strips of the figure face ``eye_m``.
    """
    size = person.height_m
    right = np.array([heading[2], 0.0, -heading[0]])
    figure = FigureBuilder(position_m - (0, 0.5 * size, 0), eye_m, right)
    view, lean = figure.view, pose.lean
    # From the side a body is narrower than from the front.
    frontality = abs(figure.across @ right)
    hips = position_m - (0, 0.49 * size, 0)
    spine = np.array([0.0, -np.cos(lean), 0.0]) + heading * np.sin(lean)
    shoulders = hips + spine * 0.33 * size
    trunk_across = figure.across if lean < _BENT_RAD else figure.find_across(spine)

    def add_leg(side, angles):
        swing, bend = angles
        hip = hips + right * side * 0.052 * size
        knee = hip + swing_down(heading, swing) * 0.245 * size
        ankle = knee + swing_down(heading, swing - bend) * 0.225 * size
        figure.add_limb(ankle, ankle + heading * 0.09 * size + (0, 0.018 * size, 0), 0.026 * size,
                        0.022 * size, person.shoes, person.shoes_celsius)
        figure.add_limb(hip, knee, 0.050 * size, 0.036 * size, person.trousers,
                        person.trousers_celsius)
        figure.add_limb(knee, ankle, 0.036 * size, 0.024 * size, person.trousers,
                        person.trousers_celsius - 0.8)

    def add_arm(side, angles):
        swing, bend = angles
        shoulder = shoulders + right * side * 0.112 * size + (0, 0.025 * size, 0)
        elbow = shoulder + swing_down(heading, swing + lean * 0.5) * 0.165 * size
        wrist = elbow + swing_down(heading, swing + bend + lean * 0.5) * 0.14 * size
        figure.add_limb(shoulder, elbow, 0.031 * size, 0.026 * size, person.jacket,
                        person.jacket_celsius - 0.7)
        figure.add_limb(elbow, wrist, 0.026 * size, 0.020 * size, person.jacket,
                        person.jacket_celsius - 1.2)
        figure.add_limb(wrist, wrist + (wrist - elbow) * 0.45, 0.020 * size, 0.016 * size,
                        person.skin, person.skin_celsius - 2.5)

    far_side = 0 if right @ view < 0 else 1  # 0: the left side is farther away
    sides = ((-1, 0), (1, 1)) if far_side == 0 else ((1, 1), (-1, 0))
    is_away = heading @ view > 0.25
    first, second = sides
    add_arm(first[0], pose.arms[first[1]])
    add_leg(first[0], pose.legs[first[1]])
    add_leg(second[0], pose.legs[second[1]])
    width = (0.075 + 0.045 * frontality) * size
    if person.bag is not None and not is_away:
        figure.add_outline(TRUNK, shoulders - heading * 0.08 * size, width * 0.8, 0.25 * size,
                           person.bag, person.bag_celsius, -spine, trunk_across)
    figure.add_outline(TRUNK, shoulders, width, (0.46 if person.long_coat else 0.36) * size,
                       person.jacket, person.jacket_celsius, -spine if lean else (0.0, 1.0, 0.0),
                       trunk_across)
    if person.bag is not None and is_away:
        figure.add_outline(TRUNK, shoulders - heading * 0.05 * size + (0, 0.02, 0), width * 0.75,
                           0.23 * size, person.bag, person.bag_celsius, -spine, trunk_across)
    add_arm(second[0], pose.arms[second[1]])
    head = shoulders + (spine + heading * 0.1 * bool(lean)) * 0.095 * size * person.head_scale
    figure.add_limb(shoulders, head, 0.03 * size, 0.03 * size, person.skin, person.skin_celsius)
    add_head(figure, person, head, is_away)
    return figure.build()


def add_head(figure: FigureBuilder, person: Person, centre_m: np.ndarray, is_away: bool,
             down=(0.0, 1.0, 0.0), across=None) -> None:
    """Add a head, seen from behind where ``is_away``."""
    size = person.height_m * person.head_scale
    celsius = 0.5 * (person.hair_celsius + person.skin_celsius) if is_away else person.skin_celsius
    figure.add_outline(HEAD, centre_m, 0.046 * size, 0.062 * size,
                       person.hair if is_away else person.skin, celsius, down, across)
    figure.add_outline(HAIRCUT, centre_m, 0.046 * size, 0.062 * size, person.hair,
                       person.hair_celsius, down, across)


def swing_down(heading: np.ndarray, angle: float) -> np.ndarray:
    """Return the downward unit vector, rotated by ``angle`` towards the heading."""
    return np.array([heading[0] * np.sin(angle), np.cos(angle), heading[2] * np.sin(angle)])


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
