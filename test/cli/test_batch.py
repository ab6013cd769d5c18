# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands on folders, patterns, videos and recordings, and what they say about wrong inputs."""

from __future__ import annotations

import json
from pathlib import Path
import re

import cv2
from ivf_ros import cli, fusion
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.images import as_bgr8
from ivf_ros.thermal import Agc
from ivf_ros.types import Frame
import numpy as np
import pytest
from recorded_bags import write_image

FUSE = ('fuse', '--method', 'average')
COUNT = 4


@pytest.fixture(scope='module')
def scene():
    """Return thermal uint8, moved onto RGB, and RGB of one simulated view."""
    thermal, rgb, truth = RigSimulator(SimulatorParameters(seed=4)).render(0.0)
    size = rgb.shape[1], rgb.shape[0]
    return cv2.warpPerspective(Agc()(thermal), truth.H_thermal_to_rgb, size,
                               borderMode=cv2.BORDER_REFLECT), rgb


def write_pairs(folder: Path, scene, names=None) -> Path:
    """Write pairs in two folders; ``names`` are those of thermal and of RGB."""
    names = names or [[f'{number}.png' for number in range(COUNT)]] * 2
    for stream, image, stream_names in zip(('thermal', 'rgb'), scene, names):
        (folder / stream).mkdir(parents=True)
        for number, name in enumerate(stream_names):
            cv2.imwrite(str(folder / stream / name), np.roll(image, 8 * number, axis=1))
    return folder


@pytest.fixture
def pairs(tmp_path, scene) -> Path:
    return write_pairs(tmp_path / 'pairs', scene)


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith('.'))


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def test_each_pair_of_a_folder_is_fused_as_by_itself_and_the_method_is_made_once(
        pairs, tmp_path, capsys, monkeypatch):
    made, create = [], fusion.create
    monkeypatch.setattr(fusion, 'create', lambda *args, **kwargs: made.append(args) or create(
        *args, **kwargs))
    assert run(capsys, 'fuse', pairs / 'thermal', pairs / 'rgb', '--out', tmp_path / 'out')[0] == 0
    assert len(made) == 1
    assert names_in(tmp_path / 'out') == [f'{number}.png' for number in range(COUNT)]
    for number in (0, 3):
        single = tmp_path / f'single{number}.png'
        assert run(capsys, 'fuse', pairs / 'thermal' / f'{number}.png',
                   pairs / 'rgb' / f'{number}.png', '--out', single)[0] == 0
        np.testing.assert_array_equal(read(single), read(tmp_path / 'out' / f'{number}.png'))


def test_processes_write_the_same_files_as_one(pairs, tmp_path, capsys):
    for jobs in ('1', '2', 'auto'):
        code, out, err = run(capsys, *FUSE, pairs, '--out', tmp_path / jobs, '--jobs', jobs)
        assert code == 0 and out == f'{COUNT} of {COUNT} images done\n' and not err
    for name in names_in(tmp_path / '1'):
        assert (tmp_path / '1' / name).read_bytes() == (tmp_path / '2' / name).read_bytes() \
            == (tmp_path / 'auto' / name).read_bytes()


@pytest.mark.parametrize('thermal, rgb, expected', [
    (['1_ir.png', '2_ir.png'], ['1_vis.png', '2_vis.png'], ['1', '2']),
    (['1700000000.100.png', '1700000001.100.png'], ['1700000000.120.png', '1700000001.090.png'],
     ['1700000000.120', '1700000001.090']),
])
def test_pairs_are_made_by_name_and_by_time_stamp(thermal, rgb, expected, scene, tmp_path, capsys):
    folder = write_pairs(tmp_path / 'pairs', scene, (thermal, rgb))
    code, _, err = run(capsys, *FUSE, folder / 'thermal', folder / 'rgb', '--out',
                       tmp_path / 'out')
    assert code == 0, err
    assert names_in(tmp_path / 'out') == [f'{name}.png' for name in expected]


def test_pairs_are_made_by_order_where_names_do_not_tell(scene, tmp_path, capsys):
    folder = write_pairs(tmp_path / 'pairs', scene, (['a2.png', 'a10.png'], ['b3.png', 'b11.png']))
    thermal, rgb = folder / 'thermal', folder / 'rgb'
    code, _, err = run(capsys, *FUSE, thermal, rgb, '--out', tmp_path / 'out')
    assert code == 1 and '--thermal PATH --rgb PATH pairs by order' in err
    code, _, err = run(capsys, *FUSE, '--thermal', thermal, '--rgb', rgb, '--out',
                       tmp_path / 'out')
    assert code == 0 and 'paired by their order' in err
    expected = fusion.create('average').fuse(read(thermal / 'a10.png'), read(rgb / 'b11.png'))
    np.testing.assert_array_equal(read(tmp_path / 'out' / 'b11.png'), expected)
    (rgb / 'b12.png').write_bytes((rgb / 'b11.png').read_bytes())
    code, _, err = run(capsys, *FUSE, '--thermal', thermal, '--rgb', rgb, '--out',
                       tmp_path / 'other')
    assert code == 1 and '2 thermal and 3 visible files do not pair by order' in err


def test_patterns_and_selections(pairs, tmp_path, capsys):
    assert run(capsys, *FUSE, pairs / 'thermal' / '[0-2].png', pairs / 'rgb' / '*.png', '--out',
               tmp_path / 'a')[0] == 0
    assert names_in(tmp_path / 'a') == ['0.png', '1.png', '2.png']
    assert run(capsys, *FUSE, pairs, '--every', 2, '--limit', 1, '--suffix', '.jpg', '--out',
               tmp_path / 'b')[0] == 0
    assert names_in(tmp_path / 'b') == ['0.jpg']
    assert 'no image fits the pattern' in run(capsys, *FUSE, 'x*.png', 'y*.png', '--out', 'c')[2]


def write_videos(folder: Path, scene) -> tuple[Path, Path]:
    folder.mkdir()
    paths = folder / 'thermal.avi', folder / 'rgb.avi'
    for path, image in zip(paths, scene):
        video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (640, 480))
        for number in range(COUNT):
            video.write(as_bgr8(np.roll(image, 8 * number, axis=1)))
        video.release()
    return paths


def test_videos_and_other_sources_are_sequences(scene, tmp_path, capsys):
    thermal, rgb = write_videos(tmp_path / 'videos', scene)
    expected = [f'{number:06d}.png' for number in range(COUNT)]
    for number, source in enumerate(((thermal, rgb), (tmp_path / 'videos',),
                                     (f'{thermal},{rgb}',))):
        out = tmp_path / str(number)
        code, _, err = run(capsys, *FUSE, *source, '--out', out)
        assert code == 0, err
        assert names_in(out) == expected
    code, _, err = run(capsys, *FUSE, rgb, thermal, '--out', tmp_path / 'exchanged')
    assert code == 1 and 'exchange the two arguments' in err
    assert run(capsys, 'detect', rgb, '--method', 'hog', '--overlay', tmp_path / 'boxes')[0] == 0
    assert names_in(tmp_path / 'boxes') == expected
    code, _, err = run(capsys, *FUSE, 'simulator:duration_s=0.2', '--register', '--out',
                       tmp_path / 'simulated', '--jobs', 2)
    assert code == 0 and 'in one process' in err
    assert len(names_in(tmp_path / 'simulated')) >= 3


def test_a_bag_is_a_sequence_whose_topics_may_be_named(scene, tmp_path, capsys):
    bag = BagWriter(tmp_path / 'bag')
    for number in range(COUNT):
        for topic, image in zip(('/a/image', '/b/image'), scene):
            write_image(bag, topic, Frame(np.roll(image, 8 * number, axis=1),
                                          1_700_000_000_000_000_000 + 100_000_000 * number, topic))
    bag.close()
    topics = ('--thermal-topic', '/a/image', '--rgb-topic', '/b/image')
    code, _, err = run(capsys, *FUSE, tmp_path / 'bag', *topics, '--out', tmp_path / 'out')
    assert code == 0, err
    assert names_in(tmp_path / 'out') == [f'{number:06d}.png' for number in range(COUNT)]
    expected = fusion.create('average').fuse(*(np.roll(image, 8, axis=1) for image in scene))
    np.testing.assert_array_equal(read(tmp_path / 'out' / '000001.png'), expected)
    before = {path: path.read_bytes() for path in (tmp_path / 'bag').iterdir()}
    code, _, err = run(capsys, *FUSE, tmp_path / 'bag', *topics, '--out', tmp_path / 'bag')
    assert code == 1 and 'lies in the output folder' in err
    assert before == {path: path.read_bytes() for path in (tmp_path / 'bag').iterdir()}


@pytest.mark.parametrize('jobs', [1, 2])
def test_an_error_of_one_pair_is_one_line_and_the_rest_goes_on(jobs, pairs, tmp_path, capsys):
    (pairs / 'rgb' / '1.png').write_bytes(b'no image')
    arguments = (*FUSE, pairs, '--jobs', jobs, '--out')
    code, out, err = run(capsys, *arguments, tmp_path / 'out')
    first, last = err.splitlines()
    assert code == 1 and out == '3 of 4 images done\n'
    assert first.startswith('ivf fuse: 1: ') and '1.png' in first
    assert last == 'ivf fuse: 1 of 4 failed'
    assert names_in(tmp_path / 'out') == ['0.png', '2.png', '3.png']
    code, out, _ = run(capsys, *arguments, tmp_path / 'out', '--json')
    found = json.loads(out)
    assert code == 1 and list(found['images']) == ['0', '2', '3']
    assert list(found['failed']) == ['1']


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_wrong_parameter_ends_a_batch_with_one_line(jobs, pairs, tmp_path, capsys):
    code, out, err = run(capsys, *FUSE, pairs, '--set', 'speed=2', '--jobs', jobs, '--out',
                         tmp_path / 'out')
    line, = err.splitlines()
    assert code == 1 and not out and "unknown parameter 'speed'" in line


def test_results_of_each_image_are_printed(pairs, tmp_path, capsys):
    code, out, _ = run(capsys, 'register', pairs, '--json', '--limit', 2)
    found = json.loads(out)['images']
    assert code == 0 and list(found) == ['0', '1']
    assert np.array(found['1']['H_thermal_to_rgb']).shape == (3, 3)
    code, out, _ = run(capsys, 'register', pairs, '--limit', 1)
    assert re.match(r'0: TRACKING confidence \d', out)
    code, out, _ = run(capsys, 'segment', pairs / 'rgb', '--thermal', pairs / 'thermal', '--json',
                       '--out', tmp_path / 'labels', '--overlay', tmp_path / 'drawn')
    assert code == 0
    assert all(sum(labels.values()) == 640 * 480
               for labels in json.loads(out)['images'].values())
    assert len(names_in(tmp_path / 'labels')) == len(names_in(tmp_path / 'drawn')) == COUNT
    code, out, err = run(capsys, 'detect', pairs, '--register', '--json', '--limit', 1)
    assert code == 0 and list(json.loads(out)['images']) == ['0'] and not err
    assert 'only the RGB images are used' in run(capsys, 'detect', pairs, '--limit', 1)[2]


def test_float_images_in_folders_become_tiff(scene, tmp_path, capsys):
    folder = write_pairs(tmp_path / 'pairs', scene)
    for path in (folder / 'thermal').iterdir():
        cv2.imwrite(str(path.with_suffix('.tif')), read(path).astype(np.float32) / 8)
        path.unlink()
    assert run(capsys, 'register', folder, '--out', tmp_path / 'out', '--limit', 1)[0] == 0
    assert read(tmp_path / 'out' / '0.tif').dtype == np.float32


# Inputs that are not what they should be


def test_unregistered_pairs_are_noticed_and_registered_ones_are_not(scene, tmp_path, capsys):
    thermal, rgb = scene
    moved = cv2.warpAffine(thermal, np.float32([[1.1, 0, 30], [0, 1.1, -60]]), (640, 480),
                           borderMode=cv2.BORDER_REFLECT)
    note = 'does not seem to be registered'
    for name, image, expected in (('registered', thermal, 0), ('moved', moved, 1)):
        folder = write_pairs(tmp_path / name, (image, rgb))
        for arguments in ((folder,), (folder / 'thermal' / '1.png', folder / 'rgb' / '1.png')):
            out = tmp_path / f'{name}{len(arguments)}{".png" * (len(arguments) - 1)}'
            code, _, err = run(capsys, *FUSE, *arguments, '--out', out)
            assert code == 0 and err.count(note) == expected, (name, err)
            assert not expected or '--register registers it first' in err
    code, _, err = run(capsys, *FUSE, folder, '--register', '--out', tmp_path / 'registering')
    assert code == 0 and note not in err
    code, _, err = run(capsys, 'detect', folder / 'rgb', '--thermal', folder / 'thermal')
    assert code == 0 and err.count(note) == 1


def test_exchanged_cameras_false_colours_and_other_sizes_name_what_to_do(scene, tmp_path, capsys):
    thermal, rgb = scene
    files = {'thermal': thermal, 'rgb': rgb, 'counts': thermal.astype(np.uint16) * 9,
             'coloured': cv2.applyColorMap(thermal, cv2.COLORMAP_INFERNO),
             'small': cv2.resize(thermal, (160, 120))}
    for name, image in files.items():
        cv2.imwrite(str(tmp_path / f'{name}.png'), image)

    def fuse(first, second, *options):
        return run(capsys, *FUSE, tmp_path / f'{first}.png', tmp_path / f'{second}.png', '--out',
                   tmp_path / 'fused.png', *options)
    for exchanged in (('rgb', 'thermal'), ('rgb', 'counts'), ('rgb', 'coloured')):
        code, _, err = fuse(*exchanged)
        assert code == 1 and 'exchange the two arguments' in err, exchanged
    code, _, err = fuse('coloured', 'rgb')
    assert code == 1 and '--thermal-camera palette=auto' in err and 'exchange' not in err
    assert fuse('coloured', 'rgb', '--thermal-camera', 'palette=auto')[0] == 0
    code, _, err = fuse('small', 'rgb')
    assert code == 1 and 'got 160x120 and 640x480; --register registers it first' in err


@pytest.mark.parametrize('arguments, suffixes', [
    (('fuse', 'no.png', 'no.png', '--out'), '.png, .jpg'),
    (('register', 'no.png', 'no.png', '--out'), '.png, .tif'),
    (('segment', 'no.png', '--out'), '.png, .tif'),
    (('detect', 'no.png', '--overlay'), '.png, .jpg'),
    (('calibrate', 'nowhere', '--targetless', '--out'), '.yaml'),
    (('export', 'fusion', '--out'), '.onnx'),
])
@pytest.mark.parametrize('name', ['out', 'out.xyz', 'out.gif'])
def test_an_output_without_a_known_suffix_is_one_line_before_any_work(
        arguments, suffixes, name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments, name)
    line, = err.splitlines()
    assert code == 1 and f"cannot write '{name}': the name must end in {suffixes}" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('arguments, message', [
    (('fuse', '--out', 'o'), 'give thermal and RGB, or one recording'),
    (('fuse', 'a', 'b', 'c', '--out', 'o'), 'got 3 paths'),
    (('fuse', 'RGB', '--out', 'o'), 'is one image; give thermal and RGB'),
    (('register', '--thermal', 'a'), '--thermal and --rgb go together'),
    (('detect',), 'give an image'),
])
def test_arguments_that_name_no_images_are_one_line_and_exit_code_2(arguments, message, pairs,
                                                                    capsys):
    code, _, err = run(capsys, *[pairs / 'rgb' / '0.png' if argument == 'RGB' else argument
                                 for argument in arguments])
    line, = err.splitlines()
    assert code == 2 and message in line


@pytest.mark.parametrize('arguments, message', [
    (('fuse', '{0}', '--out', 'o.png'), '--out is a folder for several images'),
    (('fuse', '{0}', '--out', 'o', '--suffix', '.gif'), "cannot write '.gif'"),
    (('segment', '{0}/rgb', '--out', 'o', '--suffix', '.jpg'), "cannot write '.jpg'"),
    (('detect', '{0}/rgb', '--register'), '--register needs thermal images'),
    (('detect', '{0}/rgb', '--thermal', '{0}/thermal', '--method', 'hog'), 'hog takes one image'),
])
def test_an_option_that_does_not_fit_is_one_line(arguments, message, pairs, tmp_path, capsys,
                                                 monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *[argument.format(pairs) for argument in arguments])
    line, = err.splitlines()
    assert code == 1 and message in line


def test_paths_may_stand_on_both_sides_of_an_option(pairs, tmp_path, capsys):
    assert run(capsys, 'fuse', pairs / 'thermal', '--method', 'average', pairs / 'rgb', '--out',
               tmp_path / 'out')[0] == 0
