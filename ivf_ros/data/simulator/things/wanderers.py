# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""People, riders, animals and robots that go to and fro between two points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.scene import Scene, SceneObject
import numpy as np

# Position, heading, phase of the stride, position of the eye -> mesh in world coordinates.
MakeMesh = Callable[[np.ndarray, np.ndarray, float, np.ndarray], Mesh]


def carry(mesh: Mesh) -> MakeMesh:
    """Return the function that makes the mesh of something rigid, such as a bicycle."""
    def place(position_m: np.ndarray, heading: np.ndarray, _phase: float, _eye_m: np.ndarray
              ) -> Mesh:
        return mesh.transform(position_m, np.arctan2(heading[0], heading[2]))

    return place


@dataclass(frozen=True, eq=False)
class Part:
    """
    One outline of something that moves, for example the bicycle of a rider.

    Attributes
    ----------
    make_mesh:
        Makes its mesh from position, heading, phase of the stride, and position of the eye.
    class_name, identity:
        As of a ``SceneObject``.
    behind_m:
        Additional distance for the order of occlusion.
    offset_m:
        ``(3,)`` position relative to the whole.

    """

    make_mesh: MakeMesh
    class_name: str = ''
    identity: int = 0
    behind_m: float = 0.0
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Wanderer:
    """
    Something that goes to and fro.

    Attributes
    ----------
    start_m, end_m:
        ``(2,)`` turning points, x and z.
    speed:
        Metres per second.
    strides_per_m:
        Strides per metre of the way.
    travelled_m:
        Way that it has gone from ``start_m`` at time 0.
    parts:
        Its outlines.
    floor_y_m:
        Returns the y of the ground at x and z.

    """

    start_m: np.ndarray
    end_m: np.ndarray
    speed: float
    strides_per_m: float
    travelled_m: float
    parts: tuple[Part, ...]
    floor_y_m: Callable[[float, float], float]

    @property
    def classes(self) -> dict[int, str]:
        """Return the class name of each identity."""
        return {part.identity: part.class_name for part in self.parts if part.identity}

    def place(self, time_s: float, scene: Scene) -> list[SceneObject]:
        """Return the objects at a time."""
        way = self.end_m - self.start_m
        length_m = float(np.linalg.norm(way))
        travelled_m = self.travelled_m + self.speed * time_s
        lap_m = travelled_m % (2 * length_m)
        returns = lap_m > length_m
        along = way / length_m
        x, z = self.start_m + along * (2 * length_m - lap_m if returns else lap_m)
        heading = np.array([along[0], 0.0, along[1]]) * (-1 if returns else 1)
        position_m = np.array([x, self.floor_y_m(x, z), z])
        phase = 2 * np.pi * self.strides_per_m * travelled_m
        return [SceneObject(
            part.make_mesh(position_m + part.offset_m, heading, phase, scene.eye_m),
            scene.depth_m(position_m + part.offset_m) + part.behind_m, part.class_name,
            part.identity, shadow='contact') for part in self.parts]
