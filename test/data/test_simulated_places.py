# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Places of the simulator other than the street: exact labels, lookalikes without a class."""

from __future__ import annotations

from functools import lru_cache
import itertools

import cv2
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.data.simulator.climate import CONDITIONS, sample_indoor_climate
from ivf_ros.data.simulator.places import build_scene, choose_place
from ivf_ros.data.simulator.settings import PLACES
from ivf_ros.data.sources import open_source
from ivf_ros.parameters import build, ParameterError
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import pytest

NEW_PLACES = PLACES[1:]
SMALL = {'thermal.width': 160, 'thermal.height': 120, 'rgb.width': 176, 'rgb.height': 133}
CLEAN = {'thermal.noise_kelvin': 0.0, 'thermal.pattern_kelvin': 0.0, 'thermal.blur_px': 0.0,
         'thermal.vignetting_kelvin': 0.0, 'thermal.drift_kelvin': 0.0, 'rgb.noise': 0.0,
         'rgb.vignetting': 0.0, 'rig.H_thermal_to_rgb': (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)}


@lru_cache(maxsize=None)
def _cached(items):
    return RigSimulator(build(SimulatorParameters, dict(items)))


def make_simulator(base=(), **values):
    """Return a simulator; parameters are dotted names with '__' for the dot."""
    return _cached(tuple({**dict(base), **{name.replace('__', '.'): value
                                           for name, value in values.items()}}.items()))


def people_of(truth):
    return [box for box in truth.detections if box.class_name == 'person']


def height_of(box):
    return box.box_xyxy_px[3] - box.box_xyxy_px[1]


# The choice of a place

def test_mixed_is_each_place_for_some_seed():
    chosen = [choose_place('mixed', seed) for seed in range(60)]
    assert set(chosen) == set(PLACES)
    assert chosen == [choose_place('mixed', seed) for seed in range(60)]
    assert all(choose_place(place, 3) == place for place in PLACES)


def test_a_source_takes_the_place_and_its_name_says_it():
    seed = next(seed for seed in range(100) if choose_place('mixed', seed) == 'hall')
    for settings, name in ((f'place=mixed,seed={seed}', 'hall day'), ('place=park', 'park day'),
                           ('seed=1', 'simulator day seed 1')):
        source = open_source(f'simulator:{settings},thermal.width=80,thermal.height=60,'
                             'rgb.width=80,rgb.height=60')
        assert name in source.name
    with pytest.raises(ParameterError, match='must be one of street, park'):
        open_source('simulator:place=moon')


@pytest.mark.parametrize('place', NEW_PLACES)
def test_a_seed_is_the_same_scene_again_and_in_every_condition(place):
    values = {**SMALL, 'place': place, 'seed': 3, 'condition': 'night'}
    first, second = (RigSimulator(build(SimulatorParameters, values)) for _ in range(2))
    for time_s in (1.0, 0.0):
        for one, other in zip(first.render(time_s)[:2], second.render(time_s)[:2]):
            assert one.tobytes() == other.tobytes()
    day = make_simulator(SMALL, place=place, seed=3).render(1.0)[2].segmentation.labels
    assert np.array_equal(day, first.render(1.0)[2].segmentation.labels)
    assert not np.array_equal(
        day, make_simulator(SMALL, place=place, seed=4).render(1.0)[2].segmentation.labels)


@pytest.mark.parametrize('condition', CONDITIONS)
@pytest.mark.parametrize('place', NEW_PLACES)
def test_every_place_renders_in_every_condition(place, condition):
    source = make_simulator(SMALL, place=place, condition=condition, seed=11)
    thermal, rgb, truth = source.render(1.0)
    assert thermal.shape == (120, 160) and thermal.dtype == np.uint16
    assert rgb.shape == (133, 176, 3) and rgb.dtype == np.uint8
    assert truth.segmentation.labels.max() < len(MFNET_CLASSES)
    celsius = source.radiometry.to_celsius(thermal)
    assert celsius.min() > -70 and celsius.max() < 160
    assert celsius.std() > 0.3 and rgb.std() > 3


@pytest.mark.parametrize('place', NEW_PLACES)
def test_the_fullest_scene_has_identities_for_all(place):
    scene = build_scene(place, 'day', 2, people=5.0, lookalikes=5.0)
    identities = [item.identity for item in [*scene.objects, *scene.moving_objects(0.0)]
                  if item.identity]
    assert len(identities) == len(set(identities)) and max(identities) <= 255
    assert set(scene.classes) >= set(identities)


# Labels

@pytest.mark.parametrize('place', NEW_PLACES)
def test_each_box_is_the_bound_of_its_visible_mask(place):
    source = make_simulator(place=place, seed=5, min_visible=0.0, min_box_px=1.0)
    truth = source.render(2.0)[2]
    identities = source._rgb_view.render_frame(source._scene.moving_objects(2.0)).identities
    labels = truth.segmentation.labels
    assert truth.detections
    assert {box.track_id for box in truth.detections} == {
        str(identity) for identity in np.unique(identities) if identity}
    for box in truth.detections:
        mask = (identities == int(box.track_id)).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        assert box.box_xyxy_px == (x, y, x + width, y + height)
        assert (labels[mask > 0] == MFNET_CLASSES.index(box.class_name)).all()
    assert np.array_equal(labels > 0, identities > 0)


@pytest.mark.parametrize('place', NEW_PLACES)
def test_depth_is_that_of_the_objects(place):
    source = make_simulator(place=place, seed=5)
    meshes = {str(item.identity): item.mesh for item in [*source._scene.objects,
                                                         *source._scene.moving_objects(1.0)]}
    visible_m, truth = source.visible_depths_m(1.0), source.render(1.0)[2]
    depth_m = source.render_depth(1.0)
    assert np.isfinite(depth_m[-20:]).all()
    assert np.isinf(depth_m).any() == (place != 'hall' and bool(np.isinf(depth_m[:60]).any()))
    inside = []
    for box in truth.detections:
        z = source.rig.rgb.depth_m(meshes[box.track_id].points_m)
        inside.append(z.min() - 0.01 <= visible_m[box.track_id] <= z.max() + 0.01)
    # Things that touch are painted in the order of their middles: a few are off by centimetres.
    assert len(inside) >= 2 and np.mean(inside) >= 0.9


@pytest.mark.parametrize('place', NEW_PLACES)
def test_lookalikes_have_no_class(place):
    full = make_simulator(place=place, seed=6, people=0.0, lookalikes=5.0)
    empty = build_scene(place, 'day', 6, people=0.0, lookalikes=0.0)
    added = len(full._scene.objects) + len(full._scene.movers) \
        - len(empty.objects) - len(empty.movers)
    assert added >= 4
    truth = full.render(1.0)[2]
    assert not people_of(truth)
    assert not (truth.segmentation.labels == MFNET_CLASSES.index('person')).any()


def test_the_number_of_people_follows_its_factor():
    counts = [sum(list(build_scene(place, 'day', 1, factor, 0.0).classes.values()).count('person')
                  for place in PLACES) for factor in (0.0, 1.0, 3.0)]
    assert counts[0] <= 2  # cyclists of the street
    assert 2 * counts[1] < counts[2] < 4.5 * counts[1]


def test_parks_have_people_of_10_to_30_px_and_near_ones():
    heights = [height_of(box) for seed in range(3) for box in people_of(
        make_simulator(place='park', seed=seed).render(1.0)[2])]
    small = [height for height in heights if 10 <= height <= 30]
    assert len(small) >= 8 and min(small) < 14 and max(heights) > 100


def test_people_of_a_crowd_overlap_and_are_kept_apart():
    truth = make_simulator(place='market', seed=4, people=2.0).render(1.0)[2]
    people = people_of(truth)
    overlapping = [pair for pair in itertools.combinations(people, 2) if _iou(*pair) > 0.2]
    assert len(people) >= 20 and len(overlapping) >= 5
    assert len({box.track_id for box in people}) == len(people)


def _iou(first, second):
    a, b = (np.array(box.box_xyxy_px) for box in (first, second))
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = np.prod(np.maximum(sides, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def test_some_people_are_half_hidden_and_some_bicycles_are_parked():
    hidden = parked = 0
    for place, seed in itertools.product(('park', 'forest', 'courtyard', 'market'), range(2)):
        source = make_simulator(place=place, seed=seed)
        rendered = source._rgb_view.render_frame(source._scene.moving_objects(1.0))
        for identity, whole_px in rendered.unoccluded_px.items():
            visible_px = np.count_nonzero(rendered.identities == identity)
            hidden += source._scene.classes[identity] == 'person' \
                and 0.3 < visible_px / max(whole_px, 1) < 0.8
        parked += sum(item.class_name == 'bike' for item in source._scene.objects)
    assert hidden >= 10 and parked >= 15


# Weather and sensors

def test_it_rains_outdoors_only():
    for place, is_dry in (('hall', True), ('park', False)):
        source = make_simulator({**SMALL, **CLEAN}, place=place, condition='rain', seed=1)
        assert np.array_equal(source.render(0.0, 0)[1], source.render(0.0, 1)[1]) == is_dry


def test_the_sky_is_cold_and_windows_of_a_hall_are_colder_than_its_walls():
    park = make_simulator(CLEAN, place='park', condition='night', seed=1)
    celsius = park.radiometry.to_celsius(park.render(0.0)[0])
    sky = np.isinf(park.render_depth(0.0))
    sky[60:] = False
    assert celsius[sky].mean() < park._scene.climate.air_celsius - 10
    glass, walls = [], []
    for seed in range(4):
        climate = sample_indoor_climate('day', np.random.default_rng(seed))
        glass.append(climate.celsius('glass'))
        walls.append(climate.celsius('wall'))
    assert (np.array(glass) < np.array(walls) - 2).all()


@pytest.mark.parametrize('size', [(80, 60), (160, 120), (1280, 1024)])
def test_thermal_cameras_of_any_size(size):
    source = make_simulator(place='courtyard', seed=2, thermal__width=size[0],
                            thermal__height=size[1], rgb__width=320, rgb__height=240)
    assert source.render(0.0)[0].shape == size[::-1]


@pytest.mark.parametrize('mode', ['percentile', 'plateau', 'clahe', 'minmax', 'fixed_range'])
def test_a_camera_with_its_own_gain_gives_8_bit(mode):
    counts, gray = (make_simulator(SMALL, place='park', seed=2, thermal__agc=agc).render(0.0)[0]
                    for agc in ('none', mode))
    assert gray.dtype == np.uint8 and gray.shape == counts.shape
    assert make_simulator(SMALL, place='park', seed=2, thermal__agc=mode).radiometry is None
    if mode != 'clahe':  # the only one that is not monotone
        order = np.argsort(counts.ravel(), kind='stable')
        assert (np.diff(gray.ravel()[order].astype(int)) >= 0).all()


def test_variants_of_the_gain():
    values = {**SMALL, **CLEAN, 'place': 'market', 'seed': 2, 'thermal.agc': 'percentile'}
    white, black, sharp, hard = (make_simulator(values, **change).render(0.0)[0] for change in (
        {}, {'thermal__agc_black_hot': True}, {'thermal__agc_sharpening': 1.5},
        {'thermal__agc_saturated_percent': 10.0}))
    assert np.array_equal(black, 255 - white)
    edges = [cv2.Laplacian(image, cv2.CV_32F).std() for image in (white, sharp)]
    assert edges[1] > 1.5 * edges[0]
    assert (hard == 255).mean() > 0.08 > (white == 255).mean()
