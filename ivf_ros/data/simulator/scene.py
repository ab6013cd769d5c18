# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
A simulated scene: static surfaces, static objects, things that move, light, and the rig.

World axes: x right, y down, z along the main direction of view. The ground is at y = 0, the rig at
z = 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ivf_ros.data.simulator.climate import Climate, Lighting
from ivf_ros.data.simulator.mesh import Mesh, Texture
import numpy as np

GROUND_DEPTH_M = 1e3  # depth of flat objects on the ground: they occlude no other objects
_MAX_IDENTITY = 255  # identities are 8 bit
SHADOWS = ('none', 'sun', 'contact')


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
    shadow:
        'sun': it casts a shadow in the sun; 'contact': also just below it without sun; 'none'.

    """

    mesh: Mesh
    depth_m: float
    class_name: str = ''
    identity: int = 0
    flares: tuple[Flare, ...] = ()
    shadow: str = 'sun'


class Mover(Protocol):
    """
    Something that moves.

    Attributes
    ----------
    classes:
        Class name of each of its identities.

    """

    @property
    def classes(self) -> Mapping[int, str]:
        """Return the class name of each of its identities."""

    def place(self, time_s: float, scene: Scene) -> list[SceneObject]:
        """Return its objects at a time; none where it is out of the scene."""


@dataclass(eq=False)
class Scene:
    """
    A place in one condition.

    Attributes
    ----------
    climate, lighting:
        Temperatures and light.
    eye_m, angles_deg:
        Position of the rig, and pitch, yaw and roll of its RGB camera in degrees.
    smoke_m:
        Distance of the smoke in condition 'smoke'.
    shadow_x_m:
        Shadows end at these walls, left and right.
    is_indoors:
        No rain falls before the cameras.
    is_ordered_along_z:
        Objects occlude each other in the order of z, not of the distance. This is exact for wide
        objects across the view.
    surfaces:
        Static walls and ground in painting order, from far to near.
    objects:
        Static objects, from far to near.
    movers:
        Things that move.

    """

    climate: Climate
    lighting: Lighting
    eye_m: np.ndarray
    angles_deg: np.ndarray
    smoke_m: float
    shadow_x_m: tuple[float, float]
    is_indoors: bool = False
    is_ordered_along_z: bool = False
    surfaces: list[Mesh | Texture] = field(default_factory=list)
    objects: list[SceneObject] = field(default_factory=list)
    movers: list[Mover] = field(default_factory=list)
    _used_identities: int = 0

    @property
    def classes(self) -> dict[int, str]:
        """Return the class name of every identity, static or moving."""
        names = {item.identity: item.class_name for item in self.objects if item.identity}
        for mover in self.movers:
            names.update(mover.classes)
        return names

    @property
    def free_identities(self) -> int:
        """Return the number of objects with a class that the scene can still take."""
        return _MAX_IDENTITY - self._used_identities

    def take_identity(self) -> int:
        """Return an identity that no other object has; there must be a free one."""
        assert self.free_identities > 0, 'check free_identities before placing an object'
        self._used_identities += 1
        return self._used_identities

    def depth_m(self, position_m: np.ndarray) -> float:
        """Return the distance of a point ``(3,)`` that determines the occlusion order."""
        offset_m = position_m - self.eye_m
        return float(offset_m[2] if self.is_ordered_along_z else np.linalg.norm(offset_m))

    def add(self, mesh: Mesh, position_m: np.ndarray, class_name: str = '',
            heading_rad: float = 0.0, *, is_flat: bool = False, flares: tuple[Flare, ...] = (),
            shadow: str = 'sun') -> None:
        """
        Add a static object at ``position_m`` ``(3,)``, turned by its heading.

        A flat object lies on the ground and occludes nothing. ``sort_objects`` brings all into
        order.
        """
        self.add_placed(mesh.transform(position_m, heading_rad),
                        GROUND_DEPTH_M if is_flat else self.depth_m(position_m), class_name,
                        flares=flares, shadow=shadow)

    def add_placed(self, mesh: Mesh, depth_m: float, class_name: str = '', *,
                   flares: tuple[Flare, ...] = (), shadow: str = 'sun') -> None:
        """Add a static object whose mesh is in world coordinates."""
        assert shadow in SHADOWS, shadow
        self.objects.append(SceneObject(
            mesh, depth_m, class_name, self.take_identity() if class_name else 0, flares, shadow))

    def sort_objects(self) -> None:
        """Put the static objects in order, from far to near."""
        self.objects.sort(key=lambda item: -item.depth_m)

    def moving_objects(self, time_s: float) -> list[SceneObject]:
        """Return the moving objects at a time, from far to near."""
        objects = [item for mover in self.movers for item in mover.place(time_s, self)]
        return sorted(objects, key=lambda item: -item.depth_m)
