# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The command ivf calibrate, from files to files."""

from __future__ import annotations

from html.parser import HTMLParser
import json
from pathlib import Path

import cv2
from ivf_ros import cli, geometry, registration
from ivf_ros.calibration.boards import Board, BoardParameters, BoardPoints
from ivf_ros.calibration.bundle_adjustment import Pose
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.report import render
from ivf_ros.calibration.rig_calibration import View
from ivf_ros.calibration.view_collection import measure_covered_area, ViewCollection
from ivf_ros.parameters import build
from ivf_ros.registration.calibrated import make_homography
from ivf_ros.types import Frame
import numpy as np
import pytest
from rendered_boards import draw_board, make_poses, RenderedCamera
from scipy.spatial.transform import Rotation
import yaml

BOARD = Board(BoardParameters(columns=4, rows=6, square_m=0.05))
THERMAL = Camera((160, 120), np.array([[152.0, 0, 81.5], [0, 151.0, 57.5], [0, 0, 1]]),
                 'plumb_bob', np.array([-0.3, 0.1, 0, 0, 0]))
RGB = Camera((480, 360), np.array([[420.0, 0, 240.0], [0, 421.0, 178.0], [0, 0, 1]]), 'plumb_bob',
             np.zeros(5))
THERMAL_TO_RGB = Pose(Rotation.from_rotvec([1.5, -2.0, 0.7], degrees=True).as_matrix(),
                      np.array([-0.05, 0.02, 0.0]))


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main(['calibrate', *(str(argument) for argument in arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def write_views(folder: Path, count: int) -> Path:
    texture = draw_board(BOARD)
    thermal = RenderedCamera(THERMAL, dark=190, bright=60)  # heated: the dark squares emit more
    rgb = RenderedCamera(RGB)
    for stream in ('thermal', 'rgb'):
        (folder / stream).mkdir(parents=True)
    for index, pose in enumerate(make_poses(count, 0.5, BOARD.points_m.mean(0), 2, shift=0.06)):
        cv2.imwrite(str(folder / 'thermal' / f'view{index}.png'), thermal.render(texture, pose))
        cv2.imwrite(str(folder / 'rgb' / f'view{index}.png'),
                    rgb.render(texture, THERMAL_TO_RGB.after(pose)))
    return folder


@pytest.fixture(scope='module')
def views(tmp_path_factory) -> Path:
    return write_views(tmp_path_factory.mktemp('views'), 8)


PATTERN = ('--pattern', '4x6', '--square', '0.05')


class Tags(HTMLParser):
    """Collects the tags and the addresses of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ('src', 'href')]


def test_a_folder_of_views_becomes_the_files_of_a_rig(views, capsys, tmp_path):
    rig = tmp_path / 'rig.yaml'
    code, out, err = run(capsys, views, *PATTERN, '--distance', 0.5, '--json', '--out', rig)
    assert code == 0, err
    summary = json.loads(out)
    assert summary['thermal_to_rgb']['pairs'] >= 6
    assert summary['cameras']['thermal']['rms_px'] < 0.08
    assert summary['cameras']['rgb']['rms_px'] < 0.15
    values = yaml.safe_load(rig.read_text())['/**/registration']['ros__parameters']
    parameters = build(registration.RegistrationStageParameters, values)
    H = make_homography(parameters.registration.calibrated)
    true_px = geometry.transform_points(geometry.from_rig(
        THERMAL.K, RGB.K, THERMAL_TO_RGB.R, THERMAL_TO_RGB.t_m, 0.5), np.array([[81.5, 57.5]]))
    assert np.abs(geometry.transform_points(H, np.array([[81.5, 57.5]])) - true_px).max() < 3
    for name, camera in (('thermal', THERMAL), ('rgb', RGB)):
        info = yaml.safe_load((tmp_path / f'{name}.yaml').read_text())
        assert (info['image_width'], info['image_height']) == camera.size
        assert info['camera_name'] == name
        assert info['camera_matrix']['data'][0] == pytest.approx(camera.K[0, 0], rel=0.05)
    page = Tags((tmp_path / 'report.html').read_text())
    assert page.tags.count('img') == 3 and 'script' not in page.tags
    assert all(address.startswith('data:') for address in page.addresses)


def test_the_command_says_what_it_did_and_repeats_over_its_own_files(views, capsys, tmp_path):
    rig = tmp_path / 'rig.yaml'
    for _ in range(2):
        code, out, _ = run(capsys, views, *PATTERN, '--out', rig, '--board-deviation', 0)
        assert code == 0
        assert 'static_transform_publisher' in out and str(rig) in out
        assert 'px RMS' in out and 'thermal to RGB, from' in out
    (tmp_path / 'rgb.yaml').write_text('mine: 1\n')
    code, _, err = run(capsys, views, *PATTERN, '--out', rig)
    assert code == 1 and 'rgb.yaml' in err and (tmp_path / 'rgb.yaml').read_text() == 'mine: 1\n'


def test_a_bag_with_counts_of_16_bits_and_other_topics(capsys, tmp_path):
    """Each place is shown twice; the board moves in between, so the second pair is the view."""
    pytest.importorskip('rosbags', reason='bags need rosbags')
    from ivf_ros.data.bag_writer import BagWriter
    from recorded_bags import write_image
    texture = draw_board(BOARD)
    cameras = {'/boson/image': RenderedCamera(THERMAL), '/zed/left': RenderedCamera(RGB)}
    with BagWriter(tmp_path / 'bag') as bag:
        for index, pose in enumerate(make_poses(6, 0.5, BOARD.points_m.mean(0), 2, shift=0.06)):
            for repeat in range(2):
                stamp_ns = 10 ** 9 + (2 * index + repeat) * 10 ** 8
                thermal = cameras['/boson/image'].render(texture, pose).astype(np.uint16)
                rgb = cameras['/zed/left'].render(texture, THERMAL_TO_RGB.after(pose))
                write_image(bag, '/boson/image', Frame(7000 + 9 * thermal, stamp_ns, 'boson'))
                write_image(bag, '/zed/left', Frame(cv2.merge([rgb] * 3), stamp_ns, 'zed'))
    code, out, err = run(capsys, tmp_path / 'bag', *PATTERN, '--every', 1, '--thermal-topic',
                         '/boson/image', '--rgb-topic', '/zed/left', '--json', '--out',
                         tmp_path / 'rig.yaml')
    assert code == 0, err
    summary = json.loads(out)
    assert summary['cameras']['thermal']['views_found'] == 6
    assert summary['cameras']['thermal']['rms_px'] < 0.08
    assert next(iter(summary['cameras']['rgb']['view_rms_px'])).endswith(' s')


@pytest.mark.parametrize('arguments, message', [
    ((), 'name the board: --pattern COLSxROWS and --square METRES'),
    (('--pattern', '4x6'), 'name the board'),
    (('--pattern', 'big', '--square', '1'), "the size must be WIDTHxHEIGHT, got 'big'"),
    ((*PATTERN, '--distortion', 'fov'), "got 'fov'"),
    ((*PATTERN, '--distortion', 'none,none,none'), "got 'none,none,none'"),
    (('--pattern', '1x6', '--square', '0.05'), 'columns'),
    ((*PATTERN, '--board', 'charuco', '--dictionary', 'DICT_X'), "no dictionary 'DICT_X'"),
    ((*PATTERN, '--out', 'nowhere/rig.yaml'), "the folder 'nowhere' does not exist"),
])
def test_a_wrong_command_line_is_one_line(views, capsys, tmp_path, monkeypatch, arguments,
                                          message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, views, *arguments)
    assert code == 1 and not out
    assert message in err and err.count('\n') == 1


def test_a_board_that_is_not_there_is_an_error_with_the_counts(capsys, tmp_path):
    for stream, shape in (('thermal', (60, 80)), ('rgb', (60, 80, 3))):
        (tmp_path / stream).mkdir()
        for index in range(2):
            cv2.imwrite(str(tmp_path / stream / f'{index}.png'), np.full(shape, 90, np.uint8))
    code, _, err = run(capsys, tmp_path, *PATTERN, '--out', tmp_path / 'rig.yaml')
    assert code == 1 and 'thermal: found the board in 0 of 2 pairs, need 5' in err
    assert not (tmp_path / 'rig.yaml').exists()


def test_a_drive_without_a_board_gives_a_prior(capsys, tmp_path):
    rig = tmp_path / 'rig.yaml'
    code, out, err = run(capsys, 'simulator:seed=3,duration_s=5', '--targetless', '--every', 8,
                         '--json', '--out', rig)
    assert code == 0, err
    values = yaml.safe_load(rig.read_text())['/**/registration']['ros__parameters']
    assert list(values) == ['registration.calibrated.H_thermal_to_rgb']
    assert values['registration.calibrated.H_thermal_to_rgb'] == pytest.approx(
        np.ravel(json.loads(out)['H_thermal_to_rgb']), rel=1e-6)


class Script:
    """A board that is found where a script says."""

    def __init__(self, positions_px) -> None:
        self.symmetries = BOARD.symmetries
        self._positions = iter(positions_px)
        self._count = 0

    def find(self, gray):
        position = next(self._positions)
        if position is None:
            return None
        grid = BOARD.points_m[:, :2] * 400 + position
        self._count += 1  # the detector begins at either end
        return BoardPoints(np.arange(len(grid)), grid[::-1] if self._count % 3 else grid)


def test_views_of_a_stream_are_still_and_differ():
    # Two images a pair: thermal, then RGB. Diagonal 200 px: still below 0.5 px, different above 6.
    places = [10.0, 10.1, 30.0, 50.0, 50.2, 50.3, 10.2, 10.1, None, 90.0, 90.0]
    script = Script([place for place in places for _ in range(2)])
    collection = ViewCollection(script, select=True)
    images = {'thermal': np.zeros((120, 160), np.uint8), 'rgb': np.zeros((120, 160, 3), np.uint8)}
    taken = [collection.add(str(index), images) for index in range(len(places))]
    assert [index for index, view in enumerate(taken) if view] == [1, 4, 10]
    assert collection.moving == 5 and collection.similar == 2
    assert collection.searched == len(places) and collection.count('rgb') == 3


def test_the_coverage_is_the_area_inside_the_boards_and_the_missing_parts_are_named():
    collection = ViewCollection(Script([]), select=False, sizes={'rgb': (300, 200)})
    corners = np.array([(0.0, 0), (3, 0), (3, 5), (0, 5)])
    for left in (10.0, 160.0):
        points = BoardPoints(np.arange(4), corners / (3, 5) * (90.0, 100.0) + (left, 50.0))
        collection.views.append(View(str(left), {'rgb': points}))
    assert measure_covered_area(collection.views, 'rgb', (300, 200)) == pytest.approx(
        2 * 90 * 100 / (300 * 200), abs=0.02)
    # Corners at x 10, 100, 160 and 250 of 300, y 50 and 150 of 200.
    assert collection.describe_missing() == 'rgb middle left, middle centre, middle right'


def test_an_image_of_another_size_is_an_error():
    collection = ViewCollection(Script([None] * 9), select=False)
    collection.add('a', {'thermal': np.zeros((6, 8), np.uint8), 'rgb': np.zeros((6, 8), np.uint8)})
    with pytest.raises(CalibrationError, match=r'thermal: b has 9x6 pixels, .* have 8x6'):
        collection.add('b', {'thermal': np.zeros((6, 9), np.uint8),
                             'rgb': np.zeros((6, 8), np.uint8)})


def test_the_page_escapes_names():
    evil = '<script>alert(1)</script>'
    camera = {'size': [8, 6], 'distortion_model': evil, 'views_found': 1, 'views_used': 1,
              'rms_px': 0.1, 'parameters': {evil: {'value': 1.0, 'deviation': 0.1,
                                                   'determined': True}},
              'view_rms_px': {evil: 0.1}, 'coverage': 0.5}
    summary = {
        'cameras': {'thermal': camera, 'rgb': camera}, 'board_distance_m': 1.0,
        'left_out': [{'images': 'rgb', 'view': evil, 'reason': evil}],
        'thermal_to_rgb': {'pairs': 3, 't_m': [0, 0, 0], 't_deviation_m': [0, 0, 0],
                           'rotation_deg': [0, 0, 0], 'rotation_deviation_deg': [0, 0, 0],
                           'static_transform': evil},
        'H_thermal_to_rgb': {'distance_m': None, 'at_distance': np.eye(3).tolist(),
                             'recorded': np.eye(3).tolist(), 'recorded_misfit_px': 0.0}}
    picture = np.zeros((4, 4, 3), np.uint8)
    page = render(summary, {'thermal': picture, 'rgb': picture}, evil)
    assert 'script' not in Tags(page).tags and '&lt;script&gt;' in page


def test_real_views_of_a_zed_and_a_lepton_are_calibrated(shared_data, capsys, tmp_path):
    rig = tmp_path / 'rig.yaml'
    source = shared_data / 'zed_lepton_calib' / 'train'
    code, out, err = run(capsys, source, '--pattern', '4x6', '--square', '0.055', '--every', 4,
                         '--json', '--out', rig)
    assert code == 0, err
    summary = json.loads(out)
    thermal, rgb = (summary['cameras'][stream] for stream in ('thermal', 'rgb'))
    assert thermal['views_found'] == rgb['views_found'] == 13
    assert thermal['rms_px'] < 0.15 and rgb['rms_px'] < 1.0
    # The ZED delivers rectified images: its principal point is at the centre.
    assert rgb['parameters']['cx']['value'] == pytest.approx(640, abs=25)
    assert rgb['parameters']['cy']['value'] == pytest.approx(360, abs=25)
    assert summary['thermal_to_rgb']['t_m'][:2] == pytest.approx([-0.060, 0.028], abs=0.005)
