# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Statues, mannequins and posters: they have the outline of people or cars, but not their heat.

They have no class. A poster is a picture on a flat panel, so thermal shows one even panel. A
statue follows the temperature of stone or bronze, a mannequin that of the air.
"""

from __future__ import annotations

from dataclasses import replace

from ivf_ros.data.simulator.climate import Climate
from ivf_ros.data.simulator.mesh import join_meshes, Mesh, MeshBuilder, unit_heading
from ivf_ros.data.simulator.things.animals import make_quadruped, sample_animal
from ivf_ros.data.simulator.things.people import sample_child, sample_person
from ivf_ros.data.simulator.things.poses import make_crouching, make_seated, make_standing
from ivf_ros.data.simulator.things.shapes import add_box, add_post
from ivf_ros.data.simulator.things.vehicles import make_car
import numpy as np

_STONES = ((0.38, 0.42, 0.44), (0.55, 0.58, 0.60), (0.22, 0.25, 0.26))
_BRONZES = ((0.16, 0.20, 0.10), (0.04, 0.06, 0.08))
_VIEWER_M = np.array([0.0, -1.2, -8.0])  # of a picture


def make_statue(rng: np.random.Generator, climate: Climate, position_m: np.ndarray,
                eye_m: np.ndarray) -> Mesh:
    """Return a statue on a pedestal in world coordinates: a person, or a horse with its rider."""
    is_bronze = rng.random() < 0.45
    tones = _BRONZES if is_bronze else _STONES
    tone = np.array(tones[rng.integers(len(tones))])
    celsius = climate.celsius('bronze' if is_bronze else 'stone') + rng.normal(0, 0.4)
    stone, stone_celsius = np.array(_STONES[rng.integers(3)]), climate.celsius('stone')
    height, scale = rng.uniform(0.3, 1.8), rng.choice([1.0, 1.15, 1.6])
    rides = rng.random() < 0.2
    width, depth = (1.0, 2.2) if rides else (0.8, 0.8)
    pedestal = MeshBuilder()
    add_box(pedestal, (0, 0, 0), (width + 0.4, 0.2, depth + 0.4), stone * 0.9, stone_celsius + 0.4)
    add_box(pedestal, (0, -0.2, 0), (width, height, depth), stone, stone_celsius, taper=0.94)
    if rng.random() < 0.5:  # a plate with an inscription
        z = -depth / 2 - 0.01
        pedestal.add([(-0.2, -0.35 * height - 0.2, z), (0.2, -0.35 * height - 0.2, z),
                      (0.2, -0.7 * height - 0.2, z), (-0.2, -0.7 * height - 0.2, z)],
                     (0.06, 0.08, 0.10), climate.celsius('bronze'))
    turn = rng.uniform(-0.4, 0.4) + (np.pi / 2 if rides else np.pi)
    foot = position_m - (0, 0.2 + height, 0)
    heading = unit_heading(turn)
    person = replace(sample_person(rng, climate), height_m=1.75 * scale, bag=None)
    if rides:
        horse = sample_animal('horse', rng, climate)
        figures = [make_quadruped(horse, foot, heading, 0.8, eye_m),
                   make_seated(person, foot, heading, rng, eye_m, horse.height_m)]
    else:
        make = (make_standing, make_standing, make_seated, make_crouching)[rng.integers(4)]
        figures = [make(person, foot, heading, rng, eye_m)]
    return join_meshes([pedestal.build().transform(position_m, 0.0 if not rides else turn),
                        *(_cast(figure, tone, celsius, rng) for figure in figures)])


def make_mannequin(rng: np.random.Generator, climate: Climate, position_m: np.ndarray,
                   eye_m: np.ndarray) -> Mesh:
    """Return a dressed mannequin in world coordinates, about as warm as the air."""
    person = sample_child(rng, climate) if rng.random() < 0.15 else sample_person(rng, climate)
    skin = np.array(((0.55, 0.62, 0.70), (0.02, 0.02, 0.02), (0.6, 0.6, 0.6))[rng.integers(3)])
    turn = np.pi + rng.uniform(-0.8, 0.8)
    figure = make_standing(replace(person, skin=skin, hair=skin, bag=None), position_m,
                           unit_heading(turn), rng, eye_m)
    celsius = climate.celsius('plastic') + rng.normal(0, 0.5)
    return replace(figure, celsius=celsius + rng.normal(0, 0.2, len(figure.celsius)))


def _cast(figure: Mesh, tone: np.ndarray, celsius: float, rng: np.random.Generator) -> Mesh:
    """Return a figure in one material; the tones of its parts are only hinted at."""
    luma = figure.reflectance.mean(axis=1)
    shade = 0.8 + 0.4 * luma / max(float(luma.max()), 1e-6) + rng.normal(0, 0.06, len(luma))
    return replace(figure, reflectance=tone * shade[:, None],
                   celsius=celsius + rng.normal(0, 0.25, len(luma)))


def make_poster(rng: np.random.Generator, climate: Climate, width_m: float, height_m: float,
                is_lit: bool = False) -> Mesh:
    """
    Return a poster in the plane z = 0 with its lower edge at y = 0, which faces -z.

    It shows a person, a portrait, a family or a car. A lit one glows in the dark and is warmer.
    """
    celsius = climate.celsius('paper') + rng.normal(0, 0.3) + (4.0 if is_lit else 0.0)
    panel = MeshBuilder()
    margin = 0.04
    panel.add([(-width_m / 2 - margin, margin, 0), (width_m / 2 + margin, margin, 0),
               (width_m / 2 + margin, -height_m - margin, 0),
               (-width_m / 2 - margin, -height_m - margin, 0)], (0.08, 0.08, 0.08),
              celsius + 0.4)
    panel.add([(-width_m / 2, 0, 0), (width_m / 2, 0, 0), (width_m / 2, -height_m, 0),
               (-width_m / 2, -height_m, 0)], rng.uniform(0.05, 0.7, 3), celsius)
    picture = _flatten(_make_picture(rng, climate, width_m > 1.2 * height_m))
    picture = _fit(picture, width_m * 0.92, height_m * rng.uniform(0.75, 0.92))
    text = MeshBuilder()
    for row in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(-0.45, -0.1) * width_m, height_m * (0.97 - 0.07 * row)
        text.add([(x, -y, 0), (x + rng.uniform(0.2, 0.5) * width_m, -y, 0),
                  (x + 0.2 * width_m, -y + 0.04 * height_m, 0), (x, -y + 0.04 * height_m, 0)],
                 rng.choice([0.02, 0.75]) * np.ones(3), celsius)
    mesh = join_meshes([panel.build(), picture, text.build()])
    # Ink hardly changes the emissivity, so the picture leaves a very faint trace.
    trace = 0.05 * (mesh.reflectance.mean(axis=1) - 0.3)
    mesh = replace(mesh, celsius=np.full(len(mesh.celsius), celsius) + trace)
    if is_lit and climate.lamps_lit:
        mesh = replace(mesh, glow=mesh.reflectance * (1.1 / climate.exposure))
    return mesh


def make_poster_stand(rng: np.random.Generator, climate: Climate) -> Mesh:
    """Return a free-standing poster on two posts, lit in most cases."""
    posts = MeshBuilder()
    foot = rng.uniform(0.3, 0.7)
    width, height = ((1.2, 1.75), (0.9, 1.9), (1.2, 1.75), (3.2, 2.2))[rng.integers(4)]
    for x in (-0.4 * width, 0.4 * width):
        add_post(posts, x, 0, foot + 0.1, 0.05, (0.1, 0.1, 0.1), climate.celsius('metal'))
    poster = make_poster(rng, climate, width, height, bool(rng.random() < 0.6))
    return join_meshes([posts.build(), poster.transform(np.array([0.0, -foot, -0.02]))])


def _make_picture(rng: np.random.Generator, climate: Climate, is_wide: bool) -> Mesh:
    """Return what a poster shows, in space, seen from ``_VIEWER_M``."""
    turn = np.pi + rng.uniform(-1.0, 1.0)
    heading, origin = unit_heading(turn), np.zeros(3)

    def person(make, x=0.0, child=False):
        who = sample_child(rng, climate) if child else sample_person(rng, climate)
        return make(who, origin + (x, 0, 0), heading, rng, _VIEWER_M)

    pick = rng.random()
    if is_wide and pick < 0.6:
        return make_car(rng, climate, False, False).transform(origin, rng.uniform(1.1, 2.0))
    if pick < 0.3:
        return join_meshes([person(make_standing, -0.35), person(make_standing, 0.35),
                            person(make_standing, 0.0, child=True)])
    if pick < 0.5:
        return person(make_seated)
    figure = person(make_standing)
    if pick < 0.75:
        return _clip_above(figure, 0.62 * -figure.points_m[:, 1].min())
    return figure


def _flatten(mesh: Mesh) -> Mesh:
    """Return the view of a mesh from -z, flat in the plane z = 0."""
    facing = ~mesh.one_sided | (mesh.normals[:, 2] < 0)
    starts = np.concatenate([[0], mesh.ends[:-1]])
    polygons = [mesh.points_m[start:end] * (1, 1, 0)
                for start, end, is_seen in zip(starts, mesh.ends, facing) if is_seen]
    count = len(polygons)
    return Mesh(np.concatenate(polygons), np.cumsum([len(points) for points in polygons]),
                np.tile((0.0, 0.0, -1.0), (count, 1)), np.zeros(count, bool),
                mesh.reflectance[facing], mesh.glow[facing], mesh.celsius[facing])


def _fit(picture: Mesh, width_m: float, height_m: float) -> Mesh:
    """Scale a flat picture to a rectangle, centred in x and with its lower edge at y = 0."""
    low, high = picture.points_m.min(axis=0), picture.points_m.max(axis=0)
    scale = min(width_m / (high[0] - low[0]), height_m / (high[1] - low[1]))
    origin = np.array([(low[0] + high[0]) / 2, high[1], 0.0])
    return replace(picture, points_m=(picture.points_m - origin) * scale)


def _clip_above(mesh: Mesh, height_m: float) -> Mesh:
    """Return the part of a mesh above a height."""
    starts = np.concatenate([[0], mesh.ends[:-1]])
    kept, polygons = [], []
    for index, (start, end) in enumerate(zip(starts, mesh.ends)):
        points = mesh.points_m[start:end]
        above = -points[:, 1] - height_m
        clipped = []
        for k in range(len(points)):
            if (above[k] > 0) != (above[k - 1] > 0):
                fraction = above[k - 1] / (above[k - 1] - above[k])
                clipped.append(points[k - 1] + fraction * (points[k] - points[k - 1]))
            if above[k] > 0:
                clipped.append(points[k])
        if len(clipped) >= 3:
            kept.append(index)
            polygons.append(np.array(clipped))
    return Mesh(np.concatenate(polygons), np.cumsum([len(points) for points in polygons]),
                *(getattr(mesh, name)[kept] for name in (
                    'normals', 'one_sided', 'reflectance', 'glow', 'celsius')))
