# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Single things of the simulator, each on an empty ground: outline, class and temperature."""

from __future__ import annotations

import cv2
from ivf_ros.data.simulator.climate import Lighting, sample_climate
from ivf_ros.data.simulator.mesh import join_meshes, MeshBuilder
from ivf_ros.data.simulator.places import lookalikes
from ivf_ros.data.simulator.places.site import Site
from ivf_ros.data.simulator.rendering.view import SceneView
from ivf_ros.data.simulator.rig import build_rig, RigParameters
from ivf_ros.data.simulator.scene import Scene
from ivf_ros.data.simulator.things.fences import KINDS, make_fence
from ivf_ros.data.simulator.things.lookalikes import make_mannequin, make_poster, make_statue
from ivf_ros.data.simulator.things.people import sample_child, sample_person
from ivf_ros.data.simulator.things.poses import make_standing
from ivf_ros.data.simulator.things.steps import Flight, make_steps
import numpy as np
import pytest

EYE_M = np.array([0.0, -1.6, 0.0])
TO_RIG = np.array([0.0, 0.0, -1.0])
SIZE = (320, 240)


def make_site(seed=0, condition='night'):
    """Return an empty site."""
    rng = np.random.default_rng(seed)
    climate = sample_climate(condition, rng)
    lighting = Lighting(climate, np.empty((0, 3)), np.empty((0, 3)))
    scene = Scene(climate, lighting, EYE_M, np.zeros(3), 10.0, (50.0, 50.0),
                  is_ordered_along_z=True)
    ground = MeshBuilder()
    ground.add([(-50, 0, 1), (50, 0, 1), (50, 0, 60), (-50, 0, 60)], (0.3, 0.3, 0.3),
               climate.celsius('pavement'))
    scene.surfaces = [ground.build()]
    return Site(scene, rng, 1.0, 1.0)


def render(site, modality='rgb', time_s=0.0):
    site.scene.sort_objects()
    rig = build_rig(RigParameters(), SIZE, SIZE, EYE_M, np.array([4.0, 0.0, 0.0]),
                    np.random.default_rng(0))
    return SceneView(site.scene, rig.rgb, modality).render_frame(
        site.scene.moving_objects(time_s))


def bounds_of(rendered, identity=1):
    """Return x, y, width and height of the visible part of an object."""
    return cv2.boundingRect((rendered.identities == identity).astype(np.uint8))


# People

@pytest.mark.parametrize('seed', range(8))
def test_who_lies_is_wider_than_high(seed):
    site = make_site(seed)
    site.add_person(site.rng.uniform(-3, 3), site.rng.uniform(4, 25), 'lying', is_child=False)
    _, _, width, height = bounds_of(render(site))
    assert width > 1.2 * height > 0


@pytest.mark.parametrize('heading', np.linspace(0, 2 * np.pi, 5))
def test_who_stands_sits_squats_and_lies_is_lower_and_lower(heading):
    heights = []
    for pose in ('standing', 'seated', 'crouching', 'lying'):
        measured = []
        for seed in range(5):
            site = make_site(seed)
            site.add_person(0.5, 8.0, pose, heading_rad=heading, is_child=False, seat_m=0.45)
            measured.append(bounds_of(render(site))[3])
        heights.append(np.median(measured))
    assert heights == sorted(heights, reverse=True)
    assert heights[0] > 1.1 * heights[1] and heights[3] < 0.5 * heights[0]


def test_children_are_smaller_with_larger_heads():
    site = make_site()
    adult, child = (sample(site.rng, site.climate) for sample in (sample_person, sample_child))
    assert child.height_m < 1.45 < adult.height_m and child.head_scale > 1.1
    heights = [-make_standing(person, np.zeros(3), TO_RIG, np.random.default_rng(1), EYE_M
                              - (0, 0, 8)).points_m[:, 1].min() for person in (adult, child)]
    assert heights[0] == pytest.approx(adult.height_m, rel=0.12)
    assert heights[1] == pytest.approx(child.height_m, rel=0.2)


def test_a_rider_is_a_person_and_a_bicycle_that_overlap():
    site = make_site()
    site.add_rider((-4.0, 8.0), (4.0, 8.0))
    assert site.scene.classes == {1: 'bike', 2: 'person'}
    rendered = render(site)
    bike, person = bounds_of(rendered, 1), bounds_of(rendered, 2)
    assert bike[0] < person[0] + person[2] and person[0] < bike[0] + bike[2]
    assert person[1] < bike[1] < person[1] + person[3] < bike[1] + bike[3] + 3


def test_a_walker_goes_to_and_fro_on_its_floor():
    site = make_site()
    site.floor_y_m = lambda x, z: -0.1 * z
    site.add_walker((1.0, 6.0), (1.0, 10.0), speed=1.0)
    walker = site.scene.movers[0]
    feet = [walker.place(time_s, site.scene)[0].mesh.points_m for time_s in np.arange(0, 8, 0.25)]
    z = np.array([points[:, 2].mean() for points in feet])
    assert z.min() < 6.5 and z.max() > 9.5
    low = np.array([points[:, 1].max() for points in feet])
    np.testing.assert_allclose(low, -0.1 * z, atol=0.12)
    again = walker.place(8.0, site.scene)[0].mesh.points_m  # one lap later
    assert abs(again[:, 2].mean() - z[0]) < 0.1


# Lookalikes

@pytest.mark.parametrize('add', [
    lookalikes.add_statue, lookalikes.add_mannequin, lookalikes.add_poster_stand,
    lookalikes.add_robot, lambda site, x, z: lookalikes.add_animal(site, 'dog', x, z),
    lambda site, x, z: lookalikes.add_birds(site, x, z, 3)])
def test_a_lookalike_is_visible_but_has_no_class(add):
    for seed in range(3):
        site = make_site(seed, 'day')
        before = render(site).image.copy()
        add(site, 0.0, 6.0)
        rendered = render(site)
        assert (rendered.image != before).any(axis=2).sum() > 30
        assert not rendered.identities.any() and not site.scene.classes


def test_who_stands_behind_a_lookalike_is_hidden_by_it():
    site = make_site()
    lookalikes.add_mannequin(site, 0.0, 5.0)
    site.add_person(0.0, 7.0, is_child=False)
    rendered = render(site)
    visible_px = np.count_nonzero(rendered.identities == 1)
    assert visible_px < 0.7 * rendered.unoccluded_px[1]


@pytest.mark.parametrize('condition', ['day', 'night', 'smoke'])
def test_statues_mannequins_and_posters_are_about_as_warm_as_their_surroundings(condition):
    for seed in range(6):
        site = make_site(seed, condition)
        air = site.climate.air_celsius
        position_m = np.array([0.0, 0.0, 6.0])
        for make in (make_statue, make_mannequin):
            mesh = make(site.rng, site.climate, position_m, EYE_M)
            assert np.abs(mesh.celsius - air).max() < 11  # bronze in the sun
        poster = make_poster(site.rng, site.climate, 1.2, 1.8)
        assert abs(poster.celsius.mean() - air) < 6
        assert np.ptp(poster.celsius) < 0.2  # the picture is invisible in thermal
        assert np.ptp(poster.reflectance.mean(axis=1)) > 0.05  # but not in RGB


def test_by_night_people_are_warm_animals_less_and_statues_cold():
    values = {}
    for seed in range(5):
        site = make_site(seed, 'night')
        air = site.climate.air_celsius
        for kind, add in (('person', lambda site, x, z: site.add_person(x, z, is_child=False)),
                          ('dog', lambda site, x, z: lookalikes.add_animal(site, 'dog', x, z)),
                          ('statue', lookalikes.add_statue)):
            site.scene.objects.clear()
            add(site, 0.0, 6.0)
            celsius = site.scene.objects[0].mesh.celsius
            values.setdefault(kind, []).append(celsius - air)
    person, dog, statue = (np.concatenate(values[kind]) for kind in ('person', 'dog', 'statue'))
    assert min(np.median(person), np.median(dog)) > np.median(statue) + 3
    assert person.max() > dog.max() > 8 and np.abs(statue).max() < 6


# Stairs and fences

def test_stairs_rise_step_by_step():
    flight = Flight(-2.0, 2.0, 5.0, 0.0, 8, 0.17, 0.3)
    assert [flight.height_m(z) for z in (4.9, 5.01, 5.31, 7.39, 20.0)] == pytest.approx(
        [0.0, 0.17, 0.34, 1.36, 1.36])
    site = make_site()
    steps = make_steps(flight, np.full(3, 0.3), 'stone', site.rng, site.climate)
    assert [z for _, z in steps] == pytest.approx(5.0 + 0.3 * np.arange(8))
    tops = [-mesh.points_m[:, 1].min() for mesh, _ in steps]
    assert tops == pytest.approx(0.17 * np.arange(1, 9))


def test_nearer_steps_hide_the_feet_of_who_is_above():
    flight = Flight(-2.0, 2.0, 5.0, 0.0, 14, 0.17, 0.3)  # higher than the eye
    site = make_site()
    site.floor_y_m = lambda x, z: -flight.height_m(z)
    site.add_person(0.0, flight.end_m + 1.5, is_child=False)
    whole_px = np.count_nonzero(render(site).identities)
    for mesh, z in make_steps(flight, np.full(3, 0.3), 'stone', site.rng, site.climate):
        site.scene.add_placed(mesh, z, shadow='none')
    visible_px = np.count_nonzero(render(site).identities)
    assert 0.3 * whole_px < visible_px < 0.95 * whole_px


@pytest.mark.parametrize('kind', KINDS)
def test_people_are_seen_through_fences_but_not_through_boards(kind):
    site = make_site()
    site.add_person(1.0, 6.0, is_child=False)
    alone = np.count_nonzero(render(site).identities)
    site.scene.add(make_fence(kind, site.rng, site.climate), np.array([0.0, 0.0, 5.0]))
    visible = np.count_nonzero(render(site).identities) / alone
    assert visible < 0.45 if kind == 'board' else 0.4 < visible <= 1.0


# Meshes

def test_joined_meshes_keep_their_polygons():
    builders = [MeshBuilder() for _ in range(2)]
    for index, builder in enumerate(builders):
        for corners in (3, 4, 5)[index:]:
            angles = np.linspace(0, 6, corners)
            builder.add(np.column_stack([np.cos(angles), np.sin(angles), np.full(corners, 2.0)]),
                        (0.1 * corners,) * 3, float(corners))
    first, second = (builder.build() for builder in builders)
    joined = join_meshes([first, second])
    assert np.diff(joined.ends, prepend=0).tolist() == [3, 4, 5, 4, 5]
    assert joined.celsius.tolist() == [3.0, 4.0, 5.0, 4.0, 5.0]
    np.testing.assert_array_equal(joined.centres_m, np.concatenate([first.centres_m,
                                                                    second.centres_m]))
