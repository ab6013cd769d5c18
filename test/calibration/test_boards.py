# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Detection of boards in rendered and in recorded images."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
from ivf_ros.calibration.boards import Board, BoardParameters
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.checkerboards import find_checkerboard, is_checkerboard
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.saddle_points import refine_corners
from ivf_ros.parameters import build, ParameterError
import numpy as np
import pytest
from rendered_boards import draw_board, make_poses, RenderedCamera

THERMAL = Camera((160, 120), np.array([[152.0, 0, 81.5], [0, 151.0, 57.5], [0, 0, 1]]),
                 'plumb_bob', np.array([-0.3, 0.1, 0, 0, 0]))
RGB = Camera((480, 360), np.array([[420.0, 0, 240.0], [0, 421.0, 178.0], [0, 0, 1]]), 'none',
             np.zeros(0))
BOARDS = {
    'checkerboard': Board(BoardParameters(columns=4, rows=6, square_m=0.05)),
    'circles': Board(BoardParameters(kind='circles', columns=4, rows=7, square_m=0.035)),
    'aprilgrid': Board(BoardParameters(kind='aprilgrid', columns=3, rows=3, square_m=0.08)),
    'charuco': Board(BoardParameters(kind='charuco', columns=5, rows=6, square_m=0.06)),
}
DISTANCE_M = {'checkerboard': 0.5, 'circles': 0.5, 'aprilgrid': 0.5, 'charuco': 0.45}


def measure_errors(board: Board, camera: RenderedCamera, count: int = 3
                   ) -> list[tuple[int, float]]:
    """Return number and RMS error in pixels of the points that are found in each view."""
    texture = draw_board(board)
    measured = []
    for pose in make_poses(count, DISTANCE_M[board.parameters.kind], board.points_m.mean(0), 4,
                           max_tilt_deg=25.0, shift=0.05):
        found = board.find(camera.render(texture, pose))
        if found is None:
            measured.append((0, np.inf))
            continue
        errors = [np.linalg.norm(camera.camera.project(
            pose.transform(board.points_m[symmetry][found.ids]))[0] - found.points_px, axis=1)
            for symmetry in board.symmetries]
        best = min(errors, key=np.mean)
        measured.append((len(best), float(np.sqrt((best ** 2).mean()))))
    return measured


@pytest.mark.parametrize('kind, limit_px', [('checkerboard', 0.05), ('circles', 0.2),
                                            ('aprilgrid', 0.15)])
@pytest.mark.parametrize('heated', [False, True])
def test_a_board_is_found_in_a_small_thermal_image(kind, limit_px, heated):
    levels = {'dark': 190.0, 'bright': 60.0} if heated else {}
    board = BOARDS[kind]
    for count, error_px in measure_errors(board, RenderedCamera(THERMAL, **levels)):
        assert count >= 0.6 * len(board.points_m)
        assert error_px < limit_px


@pytest.mark.parametrize('kind, limit_px', [('checkerboard', 0.08), ('circles', 0.7),
                                            ('aprilgrid', 0.15), ('charuco', 0.2)])
def test_a_board_is_found_in_an_rgb_image(kind, limit_px):
    board = BOARDS[kind]
    for count, error_px in measure_errors(board, RenderedCamera(RGB), 2):
        assert count >= 0.8 * len(board.points_m)
        assert error_px < limit_px


def test_a_charuco_board_in_part_is_found_in_part():
    board = BOARDS['charuco']
    camera = RenderedCamera(RGB)
    pose = make_poses(1, 0.45, board.points_m.mean(0), 4, max_tilt_deg=5.0, shift=0.0)[0]
    image = camera.render(draw_board(board), pose)
    image[:, :200] = 128
    found = board.find(image)
    assert found is not None and 6 <= len(found.ids) < len(board.points_m)
    true_px = camera.camera.project(pose.transform(board.points_m[found.ids]))[0]
    assert np.abs(true_px - found.points_px).max() < 0.5


def test_sub_pixel_refinement_recovers_shifts_of_a_drawn_corner():
    for shift in (0.0, 0.2, 0.5, 0.8):
        y, x = np.mgrid[0:40, 0:60].astype(np.float64)
        dx, dy = x - 20.3 - shift, y - 19.6
        smooth = np.tanh(dx / 1.1) * np.tanh(dy / 1.1)
        image = (100 + 40 * smooth + 0.8 * x).astype(np.float32)  # with a gradient of heat
        grid = np.array([(20.0, 20.0), (40.0, 20.0), (20.0, 35.0), (40.0, 35.0)])
        refined = refine_corners(np.pad(image, 8, mode='edge'), grid + 8, (2, 2))
        # The other three positions are no corners: they may give anything, or refuse.
        if refined is not None:
            assert refined[0] - 8 == pytest.approx((20.3 + shift, 19.6), abs=0.02)


def test_an_image_without_contrast_has_no_corners():
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(6)), -1).reshape(-1, 2) * 8.0 + 20
    assert refine_corners(np.full((120, 160), 7.0, np.float32), grid, (4, 6)) is None
    assert find_checkerboard(np.full((96, 128), 7, np.uint8), (4, 6)) is None


@pytest.mark.parametrize('margin', [50, 90, 150])
def test_corners_that_are_shifted_by_a_square_are_no_board(margin):
    squares = np.indices((7, 5)).sum(0) % 2 * 100.0 + 50
    image = np.pad(np.kron(squares, np.ones((20, 20))), 60,
                   constant_values=margin).astype(np.float32)
    corners = np.stack(np.meshgrid(np.arange(1, 5), np.arange(1, 7)), -1) * 20.0 + 59.5
    assert is_checkerboard(image, corners.reshape(-1, 2), (4, 6))
    for shift in ((20.0, 0.0), (-20.0, 0.0), (0.0, 20.0), (0.0, -20.0), (40.0, 0.0), (20.0, 20.0)):
        assert not is_checkerboard(image, corners.reshape(-1, 2) + shift, (4, 6))
    assert not is_checkerboard(image, corners.reshape(-1, 2) + (10.0, 10.0), (4, 6))
    bent = corners.reshape(-1, 2).copy()
    bent[0] += 12
    assert not is_checkerboard(image, bent, (4, 6))


def test_noise_is_no_board():
    noise = np.random.default_rng(0).integers(0, 256, (96, 128), dtype=np.uint8)
    assert all(board.find(noise) is None for board in BOARDS.values())


def test_impossible_boards_are_errors():
    with pytest.raises(CalibrationError, match='must be smaller than its square'):
        Board(BoardParameters(kind='charuco', square_m=0.05, marker_m=0.06))
    with pytest.raises(CalibrationError, match="no dictionary 'DICT_X'"):
        Board(BoardParameters(kind='charuco', dictionary='DICT_X'))
    with pytest.raises(ParameterError):
        build(BoardParameters, {'kind': 'chess'})


@pytest.fixture(scope='module')
def views(shared_data) -> Path:
    return shared_data / 'zed_lepton_calib' / 'train'


def test_real_boards_are_found_where_another_detector_found_them(views):
    """The other detector is wrong at single corners of RGB: foil squares reflect the room."""
    for path in sorted((views / 'thermal').iterdir())[::13]:
        given = json.loads((views / 'corners' / f'{path.stem}.json').read_text())
        for stream, folder, suffix, limit_px in (('thermal', 'thermal', 'png', 0.3),
                                                 ('visible', 'visible', 'jpg', 1.5)):
            gray = cv2.imread(str(views / folder / f'{path.stem}.{suffix}'), cv2.IMREAD_GRAYSCALE)
            found = find_checkerboard(gray, (4, 6))
            assert found is not None, (path.stem, stream)
            other = np.array(given[f'corners_{stream}_px'])
            errors = min((np.linalg.norm(found - order, axis=1)
                          for order in (other, other[::-1])), key=np.median)
            assert np.median(errors) < limit_px
