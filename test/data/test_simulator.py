# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rig simulator: exact geometry, exact labels, plausible radiometry, correct stamps."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby

import cv2
from ivf_ros import geometry
from ivf_ros.data.simulator import RigSimulator, SimulatorError, SimulatorParameters
from ivf_ros.data.simulator.climate import CONDITIONS
from ivf_ros.data.sources import open_source
from ivf_ros.parameters import build, declarations, ParameterError
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import pytest

SMALL = {'thermal.width': 160, 'thermal.height': 120, 'rgb.width': 176, 'rgb.height': 133}
CLEAN = {'thermal.noise_kelvin': 0.0, 'thermal.pattern_kelvin': 0.0, 'thermal.blur_px': 0.0,
         'thermal.vignetting_kelvin': 0.0, 'thermal.drift_kelvin': 0.0, 'rgb.noise': 0.0,
         'rgb.vignetting': 0.0}
NIGHT_SEED = 5  # a cold night with people near the rig


@lru_cache(maxsize=None)
def _cached(items):
    return RigSimulator(build(SimulatorParameters, dict(items)))


def simulator(**values):
    """Return a simulator; parameters are dotted names with '__' for the dot."""
    return _cached(tuple((name.replace('__', '.'), value) for name, value in values.items()))


def small(**values):
    return _cached(tuple({**SMALL, **{name.replace('__', '.'): value
                                      for name, value in values.items()}}.items()))


def clean(**values):
    return _cached(tuple({**CLEAN, **values}.items()))


def fingerprint(source):
    return [(event.stream, event.frame.stamp_ns, event.frame.image.tobytes(),
             event.truth and (event.truth.detections, event.truth.segmentation.labels.tobytes()))
            for event in source.events()]


# Determinism

def test_same_seed_gives_the_same_bytes():
    values = {**SMALL, 'duration_s': 0.2, 'condition': 'night', 'seed': 3, 'jitter_s': 0.002}
    first, second = (RigSimulator(build(SimulatorParameters, values)) for _ in range(2))
    expected = fingerprint(first)
    assert expected == fingerprint(second)
    assert expected == fingerprint(first)  # a second pass restarts


def test_other_seeds_give_other_streets_and_rigs():
    renders = [small(seed=seed).render(0.0) for seed in range(3)]
    for index in range(3):
        for other in range(index):
            assert np.abs(small(seed=index).H_thermal_to_rgb
                          - small(seed=other).H_thermal_to_rgb).max() > 1e-3
            for image, image2 in zip(renders[index][:2], renders[other][:2]):
                assert (image != image2).mean() > 0.5


def test_a_seed_is_the_same_street_in_every_condition():
    labels = [small(condition=condition, seed=5).render(0.0)[2].segmentation.labels
              for condition in ('day', 'night', 'smoke')]
    assert np.array_equal(labels[0], labels[1])
    assert np.array_equal(labels[0], labels[2])


def test_random_access_gives_the_same_frames_as_the_events():
    source = small(seed=1, duration_s=0.3)
    frames = [event for event in source.events() if event.stream == 'rgb']
    thermal, rgb, truth = source.pair(5)
    assert np.array_equal(rgb.image, frames[5].frame.image)
    assert rgb.stamp_ns == frames[5].frame.stamp_ns == thermal.stamp_ns
    assert truth.detections == frames[5].truth.detections
    source.pair(2)
    assert np.array_equal(source.pair(5)[0].image, thermal.image)


def test_noise_is_new_in_each_frame():
    source = small(seed=1)
    first, second = (source.render(0.0, index) for index in range(2))
    difference = (first[0].astype(float) - second[0]) * source.radiometry.scale
    assert 0.06 < difference.std() < 0.12  # 0.06 K, plus a little per row, twice
    assert (first[1] != second[1]).mean() > 0.4


# Geometry

@pytest.mark.parametrize('condition, seed, thermal_size, rgb_size', [
    ('day', 0, (640, 480), (640, 480)),  # equal grids
    ('day', 5, (320, 256), (640, 480)),  # coarser thermal
    ('day', 7, (333, 251), (501, 377)),  # odd sizes
    ('night', 3, (640, 480), (640, 480)),
])
def test_true_homography_explains_the_images(condition, seed, thermal_size, rgb_size):
    source = clean(condition=condition, seed=seed, **{
        'thermal.shows': 'luminance', 'thermal.width': thermal_size[0],
        'thermal.height': thermal_size[1], 'rgb.width': rgb_size[0], 'rgb.height': rgb_size[1]})
    residual = _residual(source, thermal_size, rgb_size)
    coarseness = max(1.0, rgb_size[0] / thermal_size[0])
    assert geometry.corner_error_px(residual, np.eye(3), rgb_size) < 0.3 * coarseness


def test_the_residual_of_a_wrong_homography_is_measured():
    # The previous test must be able to fail: a known error is measured to a fraction of a pixel.
    source = clean(seed=0, **{'thermal.shows': 'luminance'})
    wrong = geometry.translation(1.5, -0.8)
    residual = _residual(source, (640, 480), (640, 480), wrong)
    assert geometry.corner_error_px(residual, wrong, (640, 480)) < 0.3


def _residual(source, thermal_size, rgb_size, wrong=None):
    """Return the residual homography from RGB to the registered thermal image."""
    thermal, rgb, truth = source.render(2.0)
    H = truth.H_thermal_to_rgb if wrong is None else wrong @ truth.H_thermal_to_rgb
    assert geometry.check(truth.H_thermal_to_rgb, thermal_size, rgb_size) == ''
    registered = geometry.warp(thermal.astype(np.float32), H, rgb_size)
    coverage = geometry.coverage(H, thermal_size, rgb_size).astype(np.uint8)
    coverage = cv2.erode(coverage, np.ones((15, 15), np.uint8)) > 0
    gray = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY).astype(np.float32)
    sigma_px = 1.2 * max(1.0, rgb_size[0] / thermal_size[0])
    return _gauss_newton(*(cv2.GaussianBlur(image, (0, 0), sigma_px)
                           for image in (gray, registered)), coverage)


def _gauss_newton(template, image, mask):
    """Return the least-squares M with ``image(M x)`` = gain ``template(x)`` + offset."""
    height, width = template.shape
    to_unit = np.array([[2 / width, 0, -1], [0, 2 / width, -height / width], [0, 0, 1]])
    y, x = np.nonzero(mask)
    u, v = to_unit[0, 0] * x - 1, to_unit[1, 1] * y - height / width
    dx, dy = (cv2.Scharr(template, cv2.CV_32F, *order)[mask] / 32 * width / 2
              for order in ((1, 0), (0, 1)))
    radial = dx * u + dy * v
    columns = np.stack([dx * u, dx * v, dx, dy * u, dy * v, dy, -radial * u, -radial * v,
                        template[mask], np.ones(len(x))])
    normal = columns @ columns.T
    M = np.eye(3)
    for _ in range(6):
        warped = cv2.warpPerspective(image, M, (width, height),
                                     flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        step = np.linalg.solve(normal, columns @ warped[mask])
        change = np.append(step[:8] / step[8], 0.0).reshape(3, 3)
        # warped(x) = template((I + change) x), so the inverse change aligns them.
        M = geometry.normalize_homography(M @ np.linalg.inv(
            np.linalg.inv(to_unit) @ (np.eye(3) + change) @ to_unit))
    return M


def test_labels_lie_where_warm_things_lie_in_thermal():
    # On a cold night people differ from their surroundings, so their outline is visible in both.
    source = clean(condition='night', seed=NIGHT_SEED)
    thermal, _, truth = source.render(1.0)
    celsius = source.radiometry.to_celsius(thermal)
    registered = geometry.warp(celsius.astype(np.float32), truth.H_thermal_to_rgb, (640, 480),
                               border_value=float('nan'))
    people = [box for box in truth.detections if box.class_name == 'person'
              and box.box_xyxy_px[3] - box.box_xyxy_px[1] > 40]
    assert people
    for box in people:
        left, top, right, bottom = map(int, box.box_xyxy_px)
        mask = truth.segmentation.labels[top:bottom, left:right] == MFNET_CLASSES.index('person')
        inside = registered[top:bottom, left:right][mask]
        around = registered[top:bottom, left:right][~mask]
        assert np.nanmedian(inside) > np.nanmedian(around) + 2


def test_a_configured_homography_is_the_truth():
    H = geometry.normalize_homography(geometry.translation(7, -4) @ geometry.scaling(1.1, 1.08))
    source = small(rig__H_thermal_to_rgb=tuple(H.ravel().tolist()), seed=2)
    assert np.allclose(source.H_thermal_to_rgb, H)
    assert np.array_equal(source.render(0.0)[2].H_thermal_to_rgb, source.H_thermal_to_rgb)


@pytest.mark.parametrize('values', [
    {'rig__H_thermal_to_rgb': (1.0, 0.0, 0.0)},  # three numbers
    {'rig__H_thermal_to_rgb': (-1.0, 0, 0, 0, 1, 0, 0, 0, 1)},  # mirrored
    {'rig__H_thermal_to_rgb': (1.0, 0, 0, 0, 1, 0, 0, 0, 1), 'rig__mode': 'rig'},
    {'thermal__bits': 14, 'thermal__radiometry': 'tlinear_0_01K'},
])
def test_impossible_combinations_are_rejected(values):
    with pytest.raises(SimulatorError):
        small(**values)


@pytest.mark.parametrize('name', ['no_such_parameter', 'thermal.no_such_parameter'])
def test_unknown_parameters_are_rejected(name):
    with pytest.raises(ParameterError, match='unknown parameter'):
        build(SimulatorParameters, {name: 1})


@pytest.mark.parametrize('distance_m', [float('inf'), 12.0])
def test_rig_truth_follows_from_its_calibration(distance_m):
    source = small(rig__mode='rig', rig__plane_distance_m=distance_m, seed=4)
    rig = source.rig
    expected = geometry.from_rig(rig.K_thermal, rig.K_rgb, rig.R_thermal_to_rgb,
                                 rig.t_thermal_to_rgb_m, distance_m)
    assert np.allclose(source.H_thermal_to_rgb, expected)
    assert np.isclose(np.linalg.norm(rig.t_thermal_to_rgb_m), 0.12)


def test_rig_cameras_project_according_to_their_calibration():
    rig = small(rig__mode='rig', seed=4).rig
    points_m = np.array([[1.0, -1.0, 8.0], [-3.0, -2.0, 30.0], [2.0, 0.0, 11.0]])
    rgb_px, thermal_px = rig.rgb.project(points_m), rig.thermal.project(points_m)
    # Lift RGB pixels to the known depth, then go through the calibration to thermal pixels.
    rays = np.column_stack([rgb_px, np.ones(3)]) @ np.linalg.inv(rig.K_rgb).T
    in_rgb = rays * rig.rgb.depth_m(points_m)[:, None]
    in_thermal = (in_rgb - rig.t_thermal_to_rgb_m) @ rig.R_thermal_to_rgb
    projected = in_thermal @ rig.K_thermal.T
    assert np.allclose(projected[:, :2] / projected[:, 2:], thermal_px, atol=1e-6)


def test_parallax_shrinks_with_distance():
    rig = small(rig__mode='rig', rig__baseline_m=0.3, seed=4).rig
    points_m = np.array([[0.3, -1.5, z] for z in (5.0, 10.0, 20.0, 1000.0)])
    registered = geometry.transform_points(rig.H_thermal_to_rgb, rig.thermal.project(points_m))
    parallax = np.linalg.norm(registered - rig.rgb.project(points_m), axis=1)
    assert parallax[0] == pytest.approx(2 * parallax[1], rel=0.2)
    assert (np.diff(parallax) < 0).all()
    assert parallax[0] > 3 and parallax[-1] < 0.1


# Labels and boxes

@pytest.mark.parametrize('condition', CONDITIONS)
def test_every_condition_renders_valid_truth(condition):
    source = small(condition=condition, seed=11)
    thermal, rgb, truth = source.render(1.0)
    assert thermal.shape == (120, 160) and thermal.dtype == np.uint16
    assert rgb.shape == (133, 176, 3) and rgb.dtype == np.uint8
    labels = truth.segmentation.labels
    assert labels.shape == (133, 176) and labels.dtype == np.uint8
    assert labels.max() < len(MFNET_CLASSES) == len(truth.segmentation.class_names)


def test_every_class_exists_somewhere():
    labels = set()
    for seed in (0, 2):
        labels |= set(np.unique(small(seed=seed).render(2.0)[2].segmentation.labels))
    assert labels == set(range(len(MFNET_CLASSES)))


@pytest.mark.parametrize('seed', [0, 2, 8])
def test_boxes_enclose_label_pixels(seed):
    truth = simulator(seed=seed, min_visible=0.0, min_box_px=1.0).render(2.0)[2]
    labels = truth.segmentation.labels
    assert truth.detections
    outside = np.isin(labels, [MFNET_CLASSES.index(name) for name in ('car', 'person', 'bike')])
    for box in truth.detections:
        left, top, right, bottom = map(int, box.box_xyxy_px)
        assert 0 <= left < right <= 640 and 0 <= top < bottom <= 480
        inside = labels[top:bottom, left:right] == MFNET_CLASSES.index(box.class_name)
        # Tight: each side of the box touches the object.
        assert inside[0].any() and inside[-1].any()
        assert inside[:, 0].any() and inside[:, -1].any()
        outside[top:bottom, left:right] = False
    assert not outside.any()  # no object with a class is outside all boxes


def test_occluded_objects_have_no_box():
    everything = simulator(seed=8, min_visible=0.0, min_box_px=1.0).render(2.0)[2]
    visible = simulator(seed=8, min_visible=0.6, min_box_px=1.0).render(2.0)[2]
    assert 0 < len(visible.detections) < len(everything.detections)
    assert set(visible.detections) <= set(everything.detections)


# Light and temperature

def test_people_are_warm_on_a_cold_night():
    source = clean(condition='night', seed=NIGHT_SEED)
    thermal, _, truth = source.render(1.0)
    celsius = source.radiometry.to_celsius(thermal)
    to_thermal = np.linalg.inv(source.H_thermal_to_rgb)
    person = (truth.segmentation.labels == MFNET_CLASSES.index('person')).astype(np.uint8)
    person = cv2.warpPerspective(person, to_thermal, (640, 480), flags=cv2.INTER_NEAREST)
    core = cv2.erode(person, np.ones((3, 3), np.uint8)) > 0
    ring = (cv2.dilate(person, np.ones((15, 15), np.uint8)) > 0) & (person == 0)
    assert core.sum() > 100
    assert np.median(thermal[core]) > np.median(thermal[ring]) + 2 / source.radiometry.scale
    assert 5 < np.median(celsius[core]) < 35
    assert 27 < np.percentile(celsius[core], 99.5) < 36  # skin temperature


@pytest.mark.parametrize('radiometry, kelvin', [('tlinear_0_04K', 0.04), ('tlinear_0_01K', 0.01)])
def test_counts_are_linear_in_kelvin(radiometry, kelvin):
    source = small(seed=1, thermal__radiometry=radiometry)
    celsius = source.radiometry.to_celsius(source.render(0.0)[0])
    assert source.radiometry.scale == kelvin
    assert celsius.min() > -60 and celsius.max() < 90
    assert np.median(celsius) == pytest.approx(20, abs=18)


def test_fourteen_bits_are_enough_for_a_street():
    counts = small(seed=1, thermal__bits=14).render(0.0)[0]
    assert counts.min() > 0 and counts.max() < 2 ** 14 - 1


def test_smoke_reduces_rgb_contrast_but_not_thermal():
    thick, none = (_cached((('condition', 'smoke'), ('seed', 6), ('smoke_density', density),
                            *CLEAN.items())) for density in (1.5, 0.0))
    thermal, rgb, _ = thick.render(1.0)
    thermal_clear, rgb_clear, _ = none.render(1.0)
    assert np.array_equal(thermal, thermal_clear)
    rows = slice(150, 260)  # the far half of the street
    assert _edges(rgb[rows]) < 0.5 * _edges(rgb_clear[rows])


def test_night_is_darker_and_noisier_than_day():
    day, night = (small(condition=condition, seed=9) for condition in ('day', 'night'))
    assert night.render(0.0)[1].mean() < 0.7 * day.render(0.0)[1].mean()
    noise = [np.std(source.render(0.0, 0)[1] - source.render(0.0, 1)[1].astype(float))
             for source in (day, night)]
    assert noise[1] > 2 * noise[0]


@pytest.mark.parametrize('condition', ['day', 'dusk', 'night', 'glare', 'rain'])
def test_both_cameras_share_edges_but_not_their_contrast(condition):
    equal_views = tuple(np.eye(3).ravel().tolist())
    source = clean(condition=condition, seed=12, **{'rig.H_thermal_to_rgb': equal_views})
    thermal, rgb, _ = source.render(1.0)
    gray = cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY).astype(np.float32)
    first = cv2.spatialGradient(cv2.GaussianBlur(gray, (0, 0), 1.0).astype(np.uint8))
    counts = thermal.astype(np.float32)
    low, high = np.percentile(counts, (2, 99.5))
    mapped = np.clip((counts - low) / (high - low) * 255, 0, 255)
    second = cv2.spatialGradient(cv2.GaussianBlur(mapped, (0, 0), 1.0).astype(np.uint8))
    dot = sum(a.astype(float) * b for a, b in zip(first, second))
    size = [np.hypot(*(part.astype(float) for part in pair)) for pair in (first, second)]
    strong = (size[0] > 20) & (size[1] > 20)
    assert strong.mean() > 0.01  # edges in both images
    cosine = dot[strong] / (size[0] * size[1])[strong]
    assert np.mean(np.abs(cosine) > 0.8) > 0.6  # with the same orientation
    assert 0.05 < np.mean(cosine < 0) < 0.95  # and partly inverted contrast


def _edges(image):
    return np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean()


# Stamps

def stamps(source, stream):
    return np.array([event.frame.stamp_ns for event in source.events() if event.stream == stream])


def test_streams_have_rates_and_a_common_start():
    source = small(thermal__rate_hz=9.0, rgb__rate_hz=20.0, duration_s=1.0, start_ns=1000)
    thermal, rgb = stamps(source, 'thermal'), stamps(source, 'rgb')
    assert len(thermal) == 9 and len(rgb) == 20
    assert thermal[0] == rgb[0] == 1000
    assert source.rate_hz == 9.0
    assert np.abs(np.diff(rgb) - 5e7).max() <= 1
    assert np.abs(np.diff(thermal) - 1e9 / 9).max() <= 1


def test_offset_and_jitter_have_the_configured_values():
    source = small(duration_s=8.0, thermal__rate_hz=25.0, rgb__rate_hz=25.0, time_offset_s=0.12,
                   jitter_s=0.003)
    schedule = [list(source._schedule(stream)) for stream in range(2)]
    nominal = source.parameters.start_ns + np.arange(200) * 40_000_000
    errors_s = [(np.array([stamp for stamp, _, _ in rows]) - nominal) * 1e-9 for rows in schedule]
    for error_s, offset_s in zip(errors_s, (0.12, 0.0)):
        assert error_s.mean() == pytest.approx(offset_s, abs=0.001)
        assert error_s.std() == pytest.approx(0.003, rel=0.25)
    assert abs(np.corrcoef(*errors_s)[0, 1]) < 0.3


def test_events_are_in_order_even_with_large_jitter():
    source = small(duration_s=0.5, jitter_s=1.0, time_offset_s=0.05)
    events = list(source.events())
    all_stamps = [event.frame.stamp_ns for event in events]
    assert all_stamps == sorted(all_stamps)
    for stream in ('thermal', 'rgb'):
        assert (np.diff(stamps(source, stream)) > 0).all()
    assert all((event.truth is None) == (event.stream == 'thermal') for event in events)


def test_dropped_frames_leave_gaps():
    source = small(duration_s=20.0, dropped=0.3)
    rows = list(source._schedule(0))
    assert len(rows) == pytest.approx(0.7 * 600, rel=0.1)
    assert np.all(np.diff([index for _, _, index in rows]) >= 1)


# Shutter

SHUTTER = {'thermal__rate_hz': 10.0, 'rgb__rate_hz': 1.0, 'duration_s': 3.5,
           'thermal__shutter_period_s': 1.0, 'thermal__shutter_s': 0.3}


def thermal_frames(source):
    return [event.frame.image for event in source.events() if event.stream == 'thermal']


def test_shutter_freezes_thermal_on_schedule():
    frames = thermal_frames(small(seed=1, **SHUTTER))
    runs = [len(list(group)) for _, group in groupby(frame.tobytes() for frame in frames)]
    # Frames 0-8 differ; frame 9 is repeated while the shutter is closed at 10-12, and so on.
    assert runs == [*[1] * 9, 4, *[1] * 6, 4, *[1] * 6, 4, 1, 1]


def test_the_flat_shutter_image_has_little_contrast():
    frames = thermal_frames(small(seed=1, thermal__shutter_shows='flat', **SHUTTER))
    spread = np.array([np.ptp(cv2.GaussianBlur(frame, (0, 0), 5)) for frame in frames])
    closed = [index for index in range(35) if index >= 10 and index % 10 < 3]
    opened = sorted(set(range(35)) - set(closed))
    assert spread[closed].max() < 0.3 * spread[opened].min()


def test_offset_steps_after_a_shutter_event():
    values = {**SHUTTER, 'thermal__noise_kelvin': 0.0, 'thermal__drift_kelvin': 0.5}
    source = small(seed=1, **values)
    sensor = source._thermal_sensor
    flat = np.full((120, 160), 20.0, np.float32)
    means = [sensor.read(flat, 0, time_s).mean() * source.radiometry.scale
             for time_s in (0.5, 0.9, 1.4, 1.9, 2.4)]
    steps = np.diff(means)
    assert np.abs(steps[[0, 2]]).max() < 0.03  # drift within a period
    assert np.abs(steps[[1, 3]]).min() > 0.03  # a step between periods


def test_without_period_there_is_no_shutter():
    frames = thermal_frames(small(duration_s=1.5, thermal__shutter_period_s=0.0,
                                  thermal__rate_hz=10.0, rgb__rate_hz=1.0))
    assert len({frame.tobytes() for frame in frames}) == 15


def test_simulator_is_a_source():
    source = open_source('simulator:condition=night,seed=3,duration_s=0.1,thermal.width=160,'
                         'thermal.height=120,rgb.width=160,rgb.height=120')
    events = list(source.events())
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 3
    assert 'night' in source.name and source.skipped == {}
    with pytest.raises(ParameterError):
        open_source('simulator:weather=fine')


# Settings of any size

NUMBERS = [declared.name for declared in declarations(SimulatorParameters)
           if type(declared.default) in (int, float)]
ENDLESS = {'duration_s', 'rig.plane_distance_m'}  # infinity has a meaning


@pytest.mark.parametrize('text', ['nan', 'NaN', '-inf', '-1e400', '-1e308', '9' * 5000,
                                  '-' + '9' * 400, '[' * 5000, '[[1]]', '{}', 'null', '', 'true'])
@pytest.mark.parametrize('name', NUMBERS)
def test_a_number_of_the_settings_is_a_parameter_error_of_one_line(name, text):
    with pytest.raises(ParameterError) as caught:
        open_source(f'simulator:{name}={text}')
    assert '\n' not in str(caught.value) and len(str(caught.value)) < 300


@pytest.mark.parametrize('text', ['1e400', 'inf', '1e308', '1' + '0' * 400, str(2 ** 63)])
@pytest.mark.parametrize('name', NUMBERS)
def test_a_huge_number_of_the_settings_is_an_error_or_an_endless_recording(name, text):
    if name in ENDLESS:
        events = small(**{name: 1e308 if len(text) > 300 else float(text)}).events()
        assert [next(events).stream for _ in range(2)] == ['thermal', 'rgb']
    else:
        with pytest.raises(ParameterError):
            open_source(f'simulator:{name}={text}')


def test_an_endless_recording_without_frames_is_refused():
    with pytest.raises(SimulatorError, match='dropped must be below 1'):
        open_source('simulator:dropped=1,duration_s=inf')
    assert list(small(dropped=1.0).events()) == []


def test_stamps_fit_into_messages():
    last = next(declared for declared in declarations(SimulatorParameters)
                if declared.name == 'start_ns')
    *_, event = small(start_ns=int(last.maximum), duration_s=0.1).events()
    assert event.frame.stamp_ns // 10 ** 9 < 2 ** 31
