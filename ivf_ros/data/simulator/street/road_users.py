# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Cars, cyclists and pedestrians that move along or across the street, round and round."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.scene import Flare, Scene, SceneObject
from ivf_ros.data.simulator.things.people import Person
from ivf_ros.data.simulator.things.poses import make_cyclist, make_pedestrian
import numpy as np


@dataclass(frozen=True, eq=False)
class RoadUser:
    """
    A car, a cyclist or a pedestrian on a straight loop along x or z.

    Attributes
    ----------
    start_m, heading:
        Position at time 0 and unit vector of the motion, ``(3,)`` each.
    speed:
        Metres per second.
    loop_m:
        Both ends of the loop on the axis of the motion.
    identity:
        Of the car or the person; the next one is that of the bicycle.
    vehicle, rider:
        A car has no rider, a pedestrian no vehicle.
    phase:
        Phase of the stride at time 0 in radians.
    lamps:
        The lamps of the car are on.

    """

    start_m: np.ndarray
    heading: np.ndarray
    speed: float
    loop_m: tuple[float, float]
    identity: int
    vehicle: Mesh | None = None
    rider: Person | None = None
    phase: float = 0.0
    lamps: bool = False

    @property
    def classes(self) -> dict[int, str]:
        """Return the class name of each identity."""
        names = {self.identity: 'car' if self.rider is None else 'person'}
        if self.rider is not None and self.vehicle is not None:
            names[self.identity + 1] = 'bike'
        return names

    def place(self, time_s: float, scene: Scene) -> list[SceneObject]:
        """Return the objects at a time; none behind the rig."""
        axis = 2 if self.heading[2] else 0
        low, high = self.loop_m
        position = self.start_m.copy()
        travelled = self.heading[axis] * self.speed * time_s
        position[axis] = low + (position[axis] - low + travelled) % (high - low)
        if position[2] < -3.0:
            return []
        depth_m = scene.depth_m(position)
        heading_rad = np.arctan2(self.heading[0], self.heading[2])
        objects = []
        if self.vehicle is not None:
            is_car = self.rider is None
            flares = _car_flares(self.vehicle, self.heading, position) if self.lamps else ()
            objects.append(SceneObject(
                self.vehicle.transform(position, heading_rad), depth_m + (0.0 if is_car else 0.1),
                'car' if is_car else 'bike', self.identity + (not is_car), flares,
                'contact' if is_car else 'sun'))
        if self.rider is not None:
            strides_per_s = 0.62 * self.speed if self.vehicle is None else 0.9
            phase = self.phase + time_s * 2 * np.pi * strides_per_s
            if self.vehicle is None:
                mesh = make_pedestrian(self.rider, position, self.heading, phase, scene.eye_m,
                                       self.speed > 0)
            else:
                mesh = make_cyclist(self.rider, position, self.heading, phase, scene.eye_m)
            objects.append(SceneObject(mesh, depth_m, 'person', self.identity, shadow='contact'))
        return objects


def _car_flares(vehicle: Mesh, heading: np.ndarray,
                position: np.ndarray) -> tuple[Flare, ...]:
    front = vehicle.points_m[:, 2].max()
    half_width = np.abs(vehicle.points_m[:, 0]).max() * 0.78
    return tuple(
        Flare(position + heading * ahead * front + (across, -height, 0), np.array(colour),
              heading * ahead)
        for ahead, height, colour in ((1, 0.72, (0.85, 0.97, 1.0)), (-1, 0.8, (0.05, 0.05, 0.6)))
        for across in (-half_width, half_width))
