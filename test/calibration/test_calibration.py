# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of cameras that are known, from rendered and from computed views of a board."""

from __future__ import annotations

from itertools import pairwise

import cv2
from ivf_ros import geometry
from ivf_ros.calibration.boards import Board, BoardParameters, BoardPoints
from ivf_ros.calibration.bundle_adjustment import Pose
from ivf_ros.calibration.cameras import Camera, COEFFICIENTS, DISTORTION_MODELS
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.intrinsics import calibrate_camera
from ivf_ros.calibration.orientation import match_orientations, order_points, relabel
from ivf_ros.calibration.outlying import find_outlying
from ivf_ros.calibration.rig_calibration import calibrate_rig, RigCalibration, View
import numpy as np
import pytest
from rendered_boards import draw_board, make_poses, RenderedCamera
from scipy.spatial.transform import Rotation

SIZES = {'thermal': (160, 120), 'rgb': (640, 480)}
THERMAL_K = np.array([[152.0, 0, 81.5], [0, 151.0, 57.5], [0, 0, 1]])
RGB_K = np.array([[520.0, 0, 318.0], [0, 522.0, 243.0], [0, 0, 1]])
CAMERAS = {
    'thermal': Camera(SIZES['thermal'], THERMAL_K, 'plumb_bob', np.array([-0.34, 0.1, 0, 0, 0])),
    'rgb': Camera(SIZES['rgb'], RGB_K, 'plumb_bob', np.array([0.09, -0.2, 0, 0, 0]))}
THERMAL_TO_RGB = Pose(Rotation.from_rotvec([1.5, -2.0, 0.7], degrees=True).as_matrix(),
                      np.array([-0.06, 0.028, -0.005]))
BOARD = Board(BoardParameters(columns=4, rows=6, square_m=0.05))


def project(board: Board, stream: str, pose: Pose, noise_px: float, rng: np.random.Generator
            ) -> BoardPoints | None:
    """Return the noisy points that lie in the image of a camera, or None if one is missing."""
    if stream == 'rgb':
        pose = THERMAL_TO_RGB.after(pose)
    points_px = CAMERAS[stream].project(pose.transform(board.points_m))[0]
    if not ((points_px > 2) & (points_px < np.array(SIZES[stream]) - 3)).all():
        return None
    return BoardPoints(np.arange(len(points_px)),
                       points_px + rng.normal(0, noise_px, points_px.shape))


def make_views(count: int = 30, seed: int = 0, flip: bool = False, board: Board = BOARD,
               noise_px: dict[str, float] | None = None) -> list[View]:
    """Return computed views; with ``flip`` the points of a view may begin at the other end."""
    noise_px = noise_px or {'thermal': 0.06, 'rgb': 0.2}
    rng = np.random.default_rng(seed)
    views = []
    for index, pose in enumerate(make_poses(count, 0.55, board.points_m.mean(0), seed)):
        found = {}
        for stream in SIZES:
            points = project(board, stream, pose, noise_px[stream], rng)
            if points is not None:
                found[stream] = relabel(points, board.symmetries[int(rng.integers(2))]) \
                    if flip else points
        if found:
            views.append(View(f'view{index}', found))
    return views


@pytest.fixture(scope='module')
def calibrated() -> RigCalibration:
    return calibrate_rig(BOARD, make_views(), SIZES, dict.fromkeys(SIZES, 'plumb_bob'))


@pytest.mark.parametrize('distortion', DISTORTION_MODELS)
def test_the_derivatives_of_a_projection_are_its_differences(distortion):
    coefficients = np.array([-0.2, 0.05, 0.002, -0.001, 0.01, 0.02, 0.01, 0.003])
    camera = Camera((160, 120), THERMAL_K, distortion,
                    coefficients[:len(COEFFICIENTS[distortion])])
    points = np.random.default_rng(0).uniform((-0.3, -0.3, 0.8), (0.3, 0.3, 1.2), (5, 3))
    at, by_point, by_camera = camera.project(points)
    step = 1e-6
    for axis in range(3):
        moved = camera.project(points + step * np.eye(3)[axis])[0]
        assert (moved - at) / step == pytest.approx(by_point[:, :, axis], abs=1e-2)
    for index in range(len(camera.names)):
        changed = camera.with_vector(camera.vector + step * np.eye(len(camera.names))[index])
        assert (changed.project(points)[0] - at).ravel() / step \
            == pytest.approx(by_camera[:, index], abs=1e-2)


@pytest.mark.parametrize('distortion', DISTORTION_MODELS)
def test_a_ray_of_a_pixel_projects_to_the_pixel(distortion):
    coefficients = np.array([-0.2, 0.05, 0.002, -0.001, 0.01, 0.02, 0.01, 0.003])
    camera = Camera((160, 120), THERMAL_K, distortion,
                    coefficients[:len(COEFFICIENTS[distortion])])
    pixels = np.random.default_rng(0).uniform((0, 0), (159, 119), (20, 2))
    assert camera.project(2.5 * camera.rays(pixels))[0] == pytest.approx(pixels, abs=1e-3)


def test_the_cameras_and_their_pose_are_recovered(calibrated):
    for stream, tolerance in (('thermal', 0.02), ('rgb', 0.01)):
        true, found = CAMERAS[stream], calibrated.cameras[stream]
        assert found.vector[:2] == pytest.approx(true.vector[:2], rel=tolerance)
        assert found.K[:2, 2] == pytest.approx(true.K[:2, 2], abs=0.01 * true.size[0])
    angle = Rotation.from_matrix(calibrated.thermal_to_rgb.R @ THERMAL_TO_RGB.R.T).magnitude()
    assert np.degrees(angle) < 0.4
    assert calibrated.thermal_to_rgb.t_m == pytest.approx(THERMAL_TO_RGB.t_m, abs=0.006)
    assert not calibrated.left_out


def test_the_reprojection_error_is_the_noise(calibrated):
    for stream, noise_px in (('thermal', 0.06), ('rgb', 0.2)):
        assert calibrated.single[stream].fit.rms_px(stream) == pytest.approx(
            np.sqrt(2) * noise_px, rel=0.1)


def test_exact_points_give_the_exact_calibration():
    views = make_views(noise_px={'thermal': 0.0, 'rgb': 0.0})
    found = calibrate_rig(BOARD, views, SIZES, dict.fromkeys(SIZES, 'plumb_bob'))
    for stream, camera in CAMERAS.items():
        assert found.cameras[stream].vector == pytest.approx(camera.vector, rel=1e-3, abs=1e-3)
    assert np.abs(found.thermal_to_rgb.R - THERMAL_TO_RGB.R).max() < 1e-5
    assert found.thermal_to_rgb.t_m == pytest.approx(THERMAL_TO_RGB.t_m, abs=1e-5)


@pytest.mark.parametrize('distortion, coefficients', [
    ('plumb_bob', (-0.35, 0.12, 0.002, -0.003, 0.0)),
    ('rational_polynomial', (0.4, 0.1, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0)),
    ('equidistant', (-0.03, 0.01, 0.0, 0.0)),
    ('none', ()),
])
def test_each_lens_model_recovers_a_camera_of_its_kind(distortion, coefficients):
    camera = Camera((160, 120), np.array([[95.0, 0, 81.0], [0, 96.0, 58.0], [0, 0, 1]]),
                    distortion, np.array(coefficients))
    rng, found = np.random.default_rng(0), {}
    for index, pose in enumerate(make_poses(60, 0.4, BOARD.points_m.mean(0), 8, shift=0.5)):
        points_px = camera.project(pose.transform(BOARD.points_m))[0]
        if ((points_px > 0) & (points_px < (159, 119))).all():
            found[str(index)] = BoardPoints(
                np.arange(24), points_px + rng.normal(0, 0.02, points_px.shape))
    single = calibrate_camera('thermal', camera.size, BOARD.points_m, found, distortion)
    assert single.fit.rms_px('thermal') == pytest.approx(0.02 * np.sqrt(2), rel=0.15)
    pixels = np.stack(np.meshgrid(np.linspace(20, 139, 7), np.linspace(15, 104, 7)),
                      -1).reshape(-1, 2)
    error_px = single.camera.project(camera.rays(pixels))[0] - pixels
    assert np.abs(error_px).max() < 0.6


def test_the_stated_deviations_are_those_of_repeated_calibrations():
    errors = []
    for seed in range(12):
        found = calibrate_rig(BOARD, make_views(16, seed), SIZES,
                              dict.fromkeys(SIZES, 'plumb_bob'))
        rotation = Rotation.from_matrix(found.thermal_to_rgb.R @ THERMAL_TO_RGB.R.T).as_rotvec()
        errors.append(np.concatenate([rotation, found.thermal_to_rgb.t_m - THERMAL_TO_RGB.t_m])
                      / found.pose_deviations)
        errors.append([(found.cameras[stream].K[0, 0] - CAMERAS[stream].K[0, 0])
                       / found.single[stream].fit.deviation(stream, 'fx')
                       for stream in SIZES for _ in range(3)])
    spread = np.sqrt(np.mean(np.square(errors)))
    assert 0.5 < spread < 1.6


def test_each_view_may_begin_at_either_end_of_the_board():
    straight = calibrate_rig(BOARD, make_views(), SIZES, dict.fromkeys(SIZES, 'plumb_bob'))
    turned = calibrate_rig(BOARD, make_views(flip=True), SIZES, dict.fromkeys(SIZES, 'plumb_bob'))
    assert np.abs(turned.thermal_to_rgb.R - THERMAL_TO_RGB.R).max() < 0.01
    assert turned.thermal_to_rgb.t_m == pytest.approx(straight.thermal_to_rgb.t_m, abs=0.01)
    assert not turned.left_out


def test_a_thermal_camera_that_is_mounted_upside_down_is_matched_by_the_tilted_views():
    roll = Pose(Rotation.from_rotvec([0, 0, 180], degrees=True).as_matrix(), np.zeros(3))
    pairs = []
    for pose in make_poses(8, 0.55, BOARD.points_m.mean(0), 3):
        rgb = project(BOARD, 'rgb', pose, 0.0, np.random.default_rng(0))
        thermal = BoardPoints(np.arange(24), CAMERAS['thermal'].project(
            roll.after(pose).transform(BOARD.points_m))[0])
        if rgb is not None:
            pairs.append({'rgb': order_points(BOARD, rgb),
                          'thermal': order_points(BOARD, thermal)})
    _, found = match_orientations(BOARD, CAMERAS, pairs)
    assert np.abs(found.R - THERMAL_TO_RGB.after(roll.inverse()).R).max() < 1e-3


def test_boards_look_alike_after_the_turns_that_map_them_to_themselves():
    def turns(**values):
        return len(Board(BoardParameters(**values)).symmetries)

    assert turns(columns=4, rows=6) == 2
    assert turns(columns=5, rows=5) == 4
    assert turns(kind='circles', columns=4, rows=11) == 1
    assert turns(kind='circles', columns=4, rows=10) == 2
    assert turns(kind='aprilgrid', columns=6, rows=6) == 1
    assert turns(kind='charuco', columns=5, rows=7) == 1


def test_a_view_that_lies_off_is_left_out_by_name():
    views = make_views()
    wrong = dict(views[4].found)
    wrong['rgb'] = BoardPoints(wrong['rgb'].ids, wrong['rgb'].points_px
                               + np.random.default_rng(0).normal(0, 3, (24, 2)))
    views[4] = View('blurred', wrong)
    found = calibrate_rig(BOARD, views, SIZES, dict.fromkeys(SIZES, 'plumb_bob'))
    assert set(found.left_out) == {('rgb', 'blurred')}
    assert 'limit' in found.left_out['rgb', 'blurred']
    assert 'blurred' not in found.names


def test_a_board_that_moved_between_the_images_of_a_pair_spoils_no_camera(calibrated):
    views = make_views()
    moved = []
    for index, (first, second) in enumerate(pairwise(list(views[:6]))):
        if 'rgb' in second.found and len(first.found) == 2:
            views[index] = View(first.name, {**first.found, 'rgb': second.found['rgb']})
            moved.append(('pair', first.name))
    found = calibrate_rig(BOARD, views, SIZES, dict.fromkeys(SIZES, 'plumb_bob'))
    assert len(moved) == 4 and set(found.left_out) == set(moved)
    assert found.thermal_to_rgb.t_m == pytest.approx(calibrated.thermal_to_rgb.t_m, abs=0.001)
    assert found.single['rgb'].fit.rms_px('rgb') == pytest.approx(0.28, rel=0.1)


def test_a_bent_board_is_estimated_and_not_taken_for_lens_distortion():
    bent_m = BOARD.points_m.copy()
    bent_m[:, 2] += 0.002 * np.cos(2 * np.pi * bent_m[:, 1] / 0.25)
    rng = np.random.default_rng(1)
    found = {}
    for index, pose in enumerate(make_poses(40, 0.5, BOARD.points_m.mean(0), 5, shift=0.15)):
        points_px = Camera(SIZES['rgb'], RGB_K, 'none', np.zeros(0)).project(
            pose.transform(bent_m))[0]
        found[str(index)] = BoardPoints(np.arange(24),
                                        points_px + rng.normal(0, 0.05, points_px.shape))
    exact, estimated = (calibrate_camera('rgb', SIZES['rgb'], BOARD.points_m, found, 'plumb_bob',
                                         deviation_m) for deviation_m in (0.0, 0.002))
    assert estimated.fit.rms_px('rgb') < 0.08 < 0.16 < exact.fit.rms_px('rgb')
    # A plane in the offsets would be another pose of the board.
    plane = np.hstack([np.ones((24, 1)), BOARD.points_m[:, :2]])
    offset_m = estimated.fit.points_m[:, 2] - bent_m[:, 2]
    offset_m -= plane @ np.linalg.lstsq(plane, offset_m, rcond=None)[0]
    assert np.abs(offset_m).max() < 0.0003
    assert estimated.camera.K[0, 0] == pytest.approx(520, abs=2)
    assert set(estimated.not_determined) == {'k1', 'k2', 'p1', 'p2', 'k3'}


def test_coefficients_that_the_lens_does_not_have_are_not_determined():
    found = {view.name: view.found['rgb'] for view in make_views() if 'rgb' in view.found}
    plain = Camera(SIZES['rgb'], RGB_K, 'none', np.zeros(0))
    rng = np.random.default_rng(2)
    for name, pose in zip(found, make_poses(len(found), 0.5, BOARD.points_m.mean(0), 7)):
        points_px = plain.project(pose.transform(BOARD.points_m))[0]
        found[name] = BoardPoints(np.arange(24), points_px + rng.normal(0, 0.2, (24, 2)))
    for distortion in ('plumb_bob', 'rational_polynomial', 'equidistant'):
        single = calibrate_camera('rgb', SIZES['rgb'], BOARD.points_m, found, distortion)
        # A fisheye lens without coefficients is no pinhole camera, so it needs some.
        needed = distortion == 'equidistant'
        assert (len(single.not_determined) < len(COEFFICIENTS[distortion])) == needed


def test_views_without_tilt_do_not_determine_the_focal_length():
    rng = np.random.default_rng(0)
    found = {}
    for index, pose in enumerate(make_poses(12, 0.6, BOARD.points_m.mean(0), 1, max_tilt_deg=0.0)):
        points_px = CAMERAS['rgb'].project(pose.transform(BOARD.points_m))[0]
        found[str(index)] = BoardPoints(np.arange(24), points_px + rng.normal(0, 0.3, (24, 2)))
    with pytest.raises(CalibrationError, match=r'do not determine the focal length.*tilt'):
        calibrate_camera('rgb', SIZES['rgb'], BOARD.points_m, found, 'none')


def test_too_few_views_are_an_error():
    with pytest.raises(CalibrationError, match='found the board in 4 of 4 views, need 5'):
        calibrate_rig(BOARD, [view for view in make_views() if len(view.found) == 2][:4], SIZES,
                      dict.fromkeys(SIZES, 'plumb_bob'))
    alone = [View(view.name, {stream: view.found[stream]})
             for view in make_views() if len(view.found) == 2 for stream in SIZES]
    alone = [View(f'{view.name} {next(iter(view.found))}', view.found) for view in alone]
    with pytest.raises(CalibrationError, match='both cameras see the board in 0 views'):
        calibrate_rig(BOARD, alone, SIZES, dict.fromkeys(SIZES, 'none'))


def test_errors_lie_off_by_three_deviations_and_by_half():
    errors = np.array([1.0, 1.1, 0.9, 1.0, 1.6, 1.05, 0.95])
    assert find_outlying(list('abcdefg'), errors) == {'e': pytest.approx(1.5)}
    assert find_outlying(list('abcdefg'), errors, accepted=2.0) == {}
    assert find_outlying(list('ab'), np.array([1.0, 1.0])) == {}


def test_the_homography_maps_a_plane_as_the_cameras_do(calibrated):
    for distance_m in (1.0, np.inf):
        H = calibrated.homography(distance_m)
        centre = np.array([[80.0, 60.0]])
        rays = np.linalg.inv(calibrated.cameras['thermal'].K) @ [80.0, 60.0, 1.0]
        scene = rays if np.isinf(distance_m) else rays * distance_m
        shift = 0.0 if np.isinf(distance_m) else calibrated.thermal_to_rgb.t_m
        image = calibrated.cameras['rgb'].K @ (calibrated.thermal_to_rgb.R @ scene + shift)
        assert geometry.transform_points(H, centre)[0] == pytest.approx(image[:2] / image[2])


def test_the_homography_of_the_recorded_images_includes_the_lenses(calibrated):
    recorded, misfit_px = calibrated.recorded_homography(0.6)
    rectified = calibrated.homography(0.6)
    grid = np.stack(np.meshgrid(np.linspace(20, 139, 7), np.linspace(15, 104, 7)),
                    -1).reshape(-1, 2)
    true = calibrated.map_pixels(grid, 0.6)
    error_px, rectified_error_px = (
        np.linalg.norm(geometry.transform_points(H, grid) - true, axis=1).mean()
        for H in (recorded, rectified))
    assert error_px < 0.7 * rectified_error_px
    assert 0 < misfit_px < 15


def test_cameras_that_look_elsewhere_have_no_homography(calibrated):
    away = Pose(Rotation.from_rotvec([0, 100, 0], degrees=True).as_matrix(), np.zeros(3))
    rig = RigCalibration(calibrated.cameras, away, calibrated.pose_deviations, calibrated.fit,
                         calibrated.names, calibrated.single, {}, calibrated.views)
    with pytest.raises(CalibrationError, match='do not look in the same direction'):
        rig.recorded_homography()


def test_a_rendered_rig_is_calibrated_from_its_images():
    cameras = {stream: RenderedCamera(camera) for stream, camera in CAMERAS.items()}
    texture = draw_board(BOARD)
    views = []
    for index, pose in enumerate(make_poses(8, 0.5, BOARD.points_m.mean(0), 2, shift=0.06)):
        found = {}
        for stream, camera in cameras.items():
            image = camera.render(texture,
                                  pose if stream == 'thermal' else THERMAL_TO_RGB.after(pose))
            points = BOARD.find(image if stream == 'rgb' else 255 - image)
            if points is not None:
                found[stream] = points
        views.append(View(str(index), found))
    found = calibrate_rig(BOARD, views, SIZES, dict.fromkeys(SIZES, 'plumb_bob'))
    assert found.single['thermal'].fit.rms_px('thermal') < 0.08
    true = RigCalibration(CAMERAS, THERMAL_TO_RGB, found.pose_deviations, found.fit, found.names,
                          found.single, {}, found.views)
    error_px = np.abs(found.map_pixels(geometry.corners_px((160, 120)) * 0.6 + 20, 0.5)
                      - true.map_pixels(geometry.corners_px((160, 120)) * 0.6 + 20, 0.5))
    assert error_px.max() < 4.0


def test_opencv_gives_the_same_camera_where_nothing_is_given_up():
    found = {view.name: view.found['thermal'] for view in make_views(40)
             if 'thermal' in view.found}
    single = calibrate_camera('thermal', SIZES['thermal'], BOARD.points_m, found, 'plumb_bob')
    fixed = [flag for name, flag in (('k2', cv2.CALIB_FIX_K2), ('k3', cv2.CALIB_FIX_K3),
                                     ('p1', cv2.CALIB_ZERO_TANGENT_DIST))
             if name in single.not_determined]
    rms_px, K, *_ = cv2.calibrateCamera(
        [BOARD.points_m.astype(np.float32)] * len(single.kept),
        [found[name].points_px.astype(np.float32) for name in single.kept], SIZES['thermal'],
        None, None, flags=sum(fixed))
    assert single.fit.rms_px('thermal') == pytest.approx(rms_px, rel=1e-3)
    assert np.abs(single.camera.K - K).max() < 0.3
