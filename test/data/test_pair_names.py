# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which files belong together: hidden files, names of cameras and data sets, time stamps."""

from __future__ import annotations

from pathlib import Path

import cv2
from hypothesis import given
from hypothesis import strategies as st
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.files import image_files, is_hidden
from ivf_ros.data.folder import find_pairs
from ivf_ros.data.pair_names import pair_files, select_lens, stamp_of
from ivf_ros.data.recording import SourceError, split_folder, split_stem
from ivf_ros.data.sources import open_source
from ivf_ros.data.video import find_videos
from ivf_ros.evaluation.samples import SampleList
from ivf_ros.evaluation.triples import find_triples
import numpy as np
import pytest

JUNK = b'\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ' + bytes(4000)


def save(path: Path, value: int = 7) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((12, 16), value, np.uint8))
    return path


def save_all(folder: Path, *names: str) -> Path:
    for name in names:
        save(folder / name)
    return folder


def names_of(folder: Path, **options) -> list[tuple[str, str]]:
    """Return the names of the pairs that a source finds in a folder."""
    return [(thermal.name, rgb.name) for thermal, rgb in open_source(folder, **options).pairs]


def pair(thermal: list[str], rgb: list[str], **options) -> list[tuple[str, str]]:
    pairs, unpaired, _ = pair_files([Path(name) for name in thermal],
                                    [Path(name) for name in rgb], 'test', **options)
    used = [path for both in pairs.values() for path in both]
    left = [path for paths in unpaired.values() for path in paths]
    assert sorted([*used, *left]) == sorted(Path(name) for name in [*thermal, *rgb])
    return [(first.name, second.name) for first, second in pairs.values()]


# --- hidden files -------------------------------------------------------------------------------


@pytest.fixture
def from_a_mac(tmp_path) -> Path:
    """Return a folder of six pairs with what macOS, Windows and network drives add."""
    folder = tmp_path / 'mac'
    for name, suffix in (('thermal', 'png'), ('visible', 'jpg')):
        for index in range(6):
            save(folder / name / f'{index:04}.{suffix}', 10 * index)
            (folder / name / f'._{index:04}.{suffix}').write_bytes(JUNK)
        (folder / name / 'Thumbs.db').write_bytes(JUNK)
        (folder / name / '.DS_Store').write_bytes(JUNK)
        for hidden in ('.thumbnails', '@eaDir', '__MACOSX'):
            save(folder / name / hidden / f'0000.{suffix}')
        (folder / f'._{name}').write_bytes(JUNK)
    save_all(folder / '@eaDir', 'thermal/1.png', 'visible/1.png')
    (folder / '._recording.mcap').write_bytes(JUNK)
    return folder


def test_hidden_files_are_not_there_for_a_source(from_a_mac):
    source = open_source(from_a_mac)
    assert sum(1 for _ in source.events()) == 12 and source.skipped == {}


def test_hidden_files_are_not_there_for_the_evaluation(from_a_mac):
    assert [sample.name for sample in SampleList([str(from_a_mac)])] \
        == [f'{index:04}' for index in range(6)]
    assert len(find_triples(*(from_a_mac / name for name in ('thermal', 'visible', 'thermal')))) \
        == 6
    [dataset] = find_datasets(from_a_mac.parent)
    assert len(dataset.samples) == 6


def test_hidden_videos_and_flat_pairs_are_not_there(tmp_path):
    for name in ('thermal.mp4', 'visible.mp4', '._thermal.mp4', '._visible.mp4'):
        (tmp_path / name).write_bytes(JUNK)
    assert {path.name for path in find_videos(tmp_path).values()} == {'thermal.mp4', 'visible.mp4'}
    folder = save_all(tmp_path / 'flat', '1_ir.png', '1_vis.png')
    (folder / '._1_ir.png').write_bytes(JUNK)
    assert names_of(folder) == [('1_ir.png', '1_vis.png')]
    assert [path.name for path in image_files(folder)] == ['1_ir.png', '1_vis.png']


@pytest.mark.parametrize('name, hidden', [
    ('._0001.png', True), ('.DS_Store', True), ('Thumbs.db', True), ('.thumbnails', True),
    ('@eaDir', True), ('desktop.ini', True), ('0001.png', False), ('thumbs', False)])
def test_names_that_are_hidden(name, hidden):
    assert is_hidden(name) == hidden


# --- names of cameras and data sets -------------------------------------------------------------


@pytest.mark.parametrize('stem, expected', [
    ('DJI_20230501120000_0001_T', ('thermal', 'DJI_20230501120000_0001')),
    ('DJI_20230501120000_0001_W', ('rgb', 'DJI_20230501120000_0001')),
    ('DJI_0012_V', ('rgb', 'DJI_0012')),
    ('DJI_20210805152101_0001_THRM', ('thermal', 'DJI_20210805152101_0001')),
    ('DJI_20210805152101_0001_WIDE', ('rgb', 'DJI_20210805152101_0001')),
    ('dji_0012_t', ('thermal', 'dji_0012')),
    ('DJI_20230501120000_0001_Z_Waypoint1', ('rgb', 'DJI_20230501120000_0001')),
    ('DJI_0012', (None, 'DJI_0012')),
    ('0012_T', (None, '0012_T')),  # only DJI names a camera by a letter
    ('video-2SReBn5LtAkL5HMj2-frame-005072-MA7NCLQGoqq9aHaiL',
     (None, 'video-2SReBn5LtAkL5HMj2-frame-005072')),
])
def test_names_of_dji_and_flir_have_a_stream_and_a_key(stem, expected):
    assert split_stem(stem) == expected


@pytest.mark.parametrize('name, expected', [
    ('thermal', ('thermal', '')), ('Ir', ('thermal', '')), ('Vis', ('rgb', '')),
    ('RGB', ('rgb', '')), ('lwir', ('thermal', '')), ('infrared', ('thermal', '')),
    ('thermal_8_bit', ('thermal', '')), ('thermal_16_bit', ('thermal', '')),
    ('images_thermal_train', ('thermal', 'train')), ('images_rgb_val', ('rgb', 'val')),
    ('video_rgb_test', ('rgb', 'test')), ('nir', (None, '')), ('thermal16', (None, '')),
    ('thermal_warped', (None, '')), ('labels', (None, ''))])
def test_names_of_folders_have_a_stream_and_a_split(name, expected):
    assert split_folder(name) == expected


def test_dji_pairs_by_number_although_the_shots_are_a_second_apart(tmp_path):
    folder = save_all(
        tmp_path, 'DJI_20230501120000_0001_T.JPG', 'DJI_20230501120001_0001_W.JPG',
        'DJI_20230501120001_0001_Z.JPG', 'DJI_20230501120010_0002_T.JPG',
        'DJI_20230501120010_0002_W.JPG', 'DJI_20230501120010_0002_Z.JPG',
        'DJI_20230501120020_0003_T.JPG',
        'DJI_20230501150000_0001_T.JPG', 'DJI_20230501150000_0001_W.JPG')  # another flight
    source = open_source(folder)
    assert [(thermal.name, rgb.name) for thermal, rgb in source.pairs] == [
        ('DJI_20230501120000_0001_T.JPG', 'DJI_20230501120001_0001_W.JPG'),
        ('DJI_20230501120010_0002_T.JPG', 'DJI_20230501120010_0002_W.JPG'),
        ('DJI_20230501150000_0001_T.JPG', 'DJI_20230501150000_0001_W.JPG')]
    list(source.events())
    assert source.skipped == {'no partner': 1, 'other lens': 2}


def test_of_the_lenses_of_dji_the_widest_counts():
    stems = [f'DJI_000{number}_{lens}' for number in (1, 2) for lens in 'VZW']
    assert [path.name for path in select_lens([Path(stem) for stem in stems])] \
        == ['DJI_0001_W', 'DJI_0002_W']
    assert [path.name for path in select_lens([Path('DJI_0001_V'), Path('DJI_0001_Z')])] \
        == ['DJI_0001_V']
    assert select_lens([Path('7_rgb'), Path('8_rgb')]) == [Path('7_rgb'), Path('8_rgb')]


def test_the_videos_of_a_drone_are_thermal_and_its_widest_lens(tmp_path):
    for lens in ('T', 'Z', 'W'):
        (tmp_path / f'DJI_20230501120000_0001_{lens}.MP4').write_bytes(JUNK)
    assert {stream: path.stem[-1] for stream, path in find_videos(tmp_path).items()} \
        == {'thermal': 'T', 'rgb': 'W'}


def test_flir_adas_of_the_first_edition(tmp_path):
    folder = save_all(tmp_path / 'train', 'thermal_8_bit/FLIR_00001.jpeg',
                      'thermal_8_bit/FLIR_00002.jpeg', 'RGB/FLIR_00001.jpg', 'RGB/FLIR_00003.jpg')
    assert names_of(folder) == [('FLIR_00001.jpeg', 'FLIR_00001.jpg')]
    [dataset] = find_datasets(tmp_path)
    assert (dataset.name, dataset.layout) == ('flir_adas/train', 'FLIR-ADAS')
    assert [sample.name for sample in dataset.samples] == ['FLIR_00001']
    save(folder / 'thermal_16_bit' / 'FLIR_00001.tiff')
    assert names_of(folder) == [('FLIR_00001.tiff', 'FLIR_00001.jpg')]


def test_flir_adas_of_the_second_edition_pairs_frames_whose_hash_differs(tmp_path):
    for split, frame in (('train', '000123'), ('val', '000007')):
        save_all(tmp_path, f'images_thermal_{split}/data/video-Ab1-frame-{frame}-hashA.jpg',
                 f'images_rgb_{split}/data/video-Ab1-frame-{frame}-hashB.jpg',
                 f'images_rgb_{split}/data/video-Cd2-frame-{frame}-hashC.jpg')
    datasets = find_datasets(tmp_path)
    assert [dataset.name for dataset in datasets] == ['flir_adas/train', 'flir_adas/val']
    assert [[sample.name for sample in dataset.samples] for dataset in datasets] \
        == [['video-Ab1-frame-000123'], ['video-Ab1-frame-000007']]
    with pytest.raises(SourceError, match='several pairs of folders, give one as A,B: images_the'):
        find_pairs(tmp_path)
    both = f'{tmp_path}/images_thermal_train/data,{tmp_path}/images_rgb_train/data'
    assert len(open_source(both).pairs) == 1


@pytest.mark.parametrize('thermal, rgb', [
    ('Ir', 'Vis'), ('lwir', 'visible'), ('infrared', 'RGB'), ('THERMAL', 'Visual')])
def test_folders_of_published_data_sets_are_sources(tmp_path, thermal, rgb):
    save_all(tmp_path, f'{thermal}/I00000.PNG', f'{rgb}/I00000.png')
    assert names_of(tmp_path) == [('I00000.PNG', 'I00000.png')]


# --- time stamps --------------------------------------------------------------------------------

T0 = 1_700_000_000  # 2023-11-14 22:13:20 UTC


@pytest.mark.parametrize('stem, time_s, numbers', [
    (f'{T0}', T0, ()), (f'{T0}123', T0 + .123, ()), (f'{T0}123456', T0 + .123456, ()),
    (f'{T0}123456789', T0 + .123456789, ()), (f'{T0}.123456', T0 + .123456, ()),
    (f'{T0}_123456789', T0 + .123456789, ()), (f'frame_0012_{T0}250', T0 + .25, ()),
    ('20231114_221320', T0, ()), ('20231114221320', T0, ()), ('20231114_221320_250', T0 + .25, ()),
    ('2023-11-14T22-13-20.250', T0 + .25, ()),
    ('cam2_2023-11-14_22-13-20_0007', T0, ('2', '0007')),
])
def test_time_stamps_in_names(stem, time_s, numbers):
    found_s, found_numbers = stamp_of(stem)
    assert abs(found_s - time_s) < 1e-6 and found_numbers == numbers


def test_names_of_the_cameras_and_running_numbers_do_not_matter_beside_exact_time_stamps():
    assert len(pair([f'lepton_0007_{T0}100.png'], [f'cam0_0019_{T0}130.jpg'])) == 1
    # Within one second only the running number tells which shot it is.
    assert pair(['20231114_221320_0001.png'], ['20231114_221320_0002.png']) == []
    assert len(pair(['IR-20231114_221320_0001.png'], ['photo20231114_221320_0001.png'])) == 1


@pytest.mark.parametrize('stem', ['', '0001', '000123', '20231114', 'FLIR_00001', '2023111499',
                                  '20231399_221320', '99999999', '170000000012', 'a1'])
def test_names_without_a_time_stamp(stem):
    assert stamp_of(stem) is None


def test_files_pair_by_the_nearest_time_stamp_within_the_tolerance(tmp_path):
    thermal = [f'{T0 * 1000 + 100 * index}.png' for index in range(5)]
    rgb = [f'{T0 * 1000 + 100 * index + offset}.jpg'
           for index, offset in ((0, 12), (1, -30), (1, 20), (3, 49), (4, 60))]
    assert pair(thermal, rgb) == [
        (thermal[0], rgb[0]), (thermal[1], rgb[2]), (thermal[3], rgb[3])]
    assert len(pair(thermal, rgb, tolerance_s=0.07)) == 4
    assert len(pair(thermal, rgb, tolerance_s=0.001)) == 0
    folder = save_all(tmp_path, *(f'thermal/{name}' for name in thermal),
                      *(f'rgb/{name}' for name in rgb))
    source = open_source(folder)
    list(source.events())
    assert len(source.pairs) == 3 and source.skipped == {'no partner': 4}
    assert len(open_source(folder, name_tolerance_s=0.07).pairs) == 4


def test_the_log_tells_how_many_files_have_no_partner_and_names_one_of_each(tmp_path, caplog):
    save_all(tmp_path, 'thermal/1.png', 'thermal/2.png', 'thermal/3.png', 'rgb/1.png', 'rgb/9.png')
    list(open_source(tmp_path).events())
    assert caplog.records[0].getMessage().endswith(
        'no partner, skipped: 2 thermal (such as 2.png) and 1 visible (such as 9.png)')


def test_stamps_of_different_units_pair_in_one_folder(tmp_path):
    folder = save_all(tmp_path, f'thermal_{T0}123456789.png', f'rgb_{T0}.130.png',
                      f'ir_{T0 + 9}000.png', f'rgb_{T0 + 9}_010000.png')
    assert len(names_of(folder)) == 2


@pytest.mark.parametrize('thermal, rgb', [
    (['1', '3', '5'], ['2', '4', '6']), (['0001', '0003'], ['0002', '0004']),
    (['1000000001', '1000000003'], ['1000000002', '1000000004']),
    (['FLIR_00001'], ['FLIR_00002']), (['IMG_20231114_0001'], ['IMG_20231114_0002']),
    (['20231114'], ['20231115']), (['123456789012'], ['123456789013'])])
def test_running_numbers_never_pair_unless_they_are_equal(thermal, rgb):
    assert pair([f'{name}.png' for name in thermal], [f'{name}.png' for name in rgb]) == []
    assert len(pair([f'{name}.png' for name in thermal], [f'{name}.jpg' for name in thermal])) \
        == len(thermal)


def test_two_files_with_one_key_are_named():
    with pytest.raises(SourceError, match=r"'1\.png' and '1\.jpg' claim the same pair"):
        pair(['1.png', '1.jpg'], ['1.png'])


@given(st.lists(st.integers(0, 3000), unique=True, max_size=30),
       st.lists(st.integers(0, 3000), unique=True, max_size=30))
def test_each_file_is_used_once_and_no_pair_is_out_of_tolerance(thermal, rgb):
    pairs = pair([f't{T0 * 1000 + ms}.png' for ms in thermal],
                 [f't{T0 * 1000 + ms}.jpg' for ms in rgb])
    assert len({first for first, _ in pairs}) == len({second for _, second in pairs}) == len(pairs)
    differences_ms = [abs(int(first[1:14]) - int(second[1:14])) for first, second in pairs]
    assert all(difference <= 50 for difference in differences_ms)
    # Equal stamps are partners. Nothing that could pair is left on both sides.
    assert sum(not difference for difference in differences_ms) == len({*thermal} & {*rgb})
    left = [{*times} - {int(name[which][1:14]) - T0 * 1000 for name in pairs}
            for which, times in ((0, thermal), (1, rgb))]
    assert not any(abs(one - other) <= 50 for one in left[0] for other in left[1])
