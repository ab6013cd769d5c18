# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Image files as images of the two cameras: depth, ends, radiometric JPEG."""

from __future__ import annotations

from pathlib import Path
import struct
import sys
from unittest import mock

import cv2
from flir_files import insert_segments, make_flir_jpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.image_file import (
    read_image,
    read_prior,
    read_rgb,
    read_thermal,
    read_visible,
)
from ivf_ros.data.radiometric import find_flir_records, FlirImage, is_dji, is_flir
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sources import open_source
import numpy as np
import pytest

GRAY = np.add.outer(np.arange(24), np.arange(32)).astype(np.uint8)
COLOUR = np.dstack([GRAY, GRAY + 50, 255 - GRAY])
CELSIUS = np.linspace(-20, 120, 48 * 64).reshape(48, 64)
VISIBLE = np.full((96, 128, 3), (10, 20, 200), np.uint8)
PLACEMENT = (1.6, 3, -2)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize('dtype, expected', [
    (np.int8, np.float32), (np.int16, np.float32), (np.int32, np.float32),
    (np.uint8, np.uint8), (np.uint16, np.uint16), (np.float32, np.float32),
    (np.float64, np.float64)])
def test_a_tiff_file_of_each_type_becomes_one_that_the_stages_take(tmp_path, dtype, expected):
    image = (GRAY.astype(np.int32) - (20 if np.dtype(dtype).kind != 'u' else 0)).astype(dtype)
    path = save(tmp_path / 'a.tiff', image)
    for read in (read_image, read_thermal):
        assert read(path).dtype == expected
        np.testing.assert_array_equal(read(path), image)
    assert read_rgb(path).dtype == np.uint8 and read_rgb(path).shape == (24, 32, 3)


@pytest.mark.parametrize('dtype', [np.int16, np.int32])
def test_a_folder_of_signed_temperatures_is_a_source_and_a_data_set(tmp_path, dtype):
    tenths = (GRAY.astype(dtype) - 10) * 3
    for index in range(3):
        save(tmp_path / 'thermal' / f'{index}.tiff', tenths + dtype(index))
        save(tmp_path / 'rgb' / f'{index}.jpg', COLOUR)
    source = open_source(tmp_path)
    thermal = [event.frame.image for event in source.events() if event.stream == 'thermal']
    assert len(thermal) == 3 and thermal[2].dtype == np.float32 and source.skipped == {}
    np.testing.assert_array_equal(thermal[2], tenths + 2)
    [dataset] = find_datasets(tmp_path)
    assert dataset.samples[0].read_thermal().dtype == np.float32


@pytest.mark.parametrize('tail', [b'dhav\x59\x19\x01\x00', b'\xff' * 64, bytes(8000),
                                  b'ab\xff\xd9' * 900])
@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_what_a_vendor_appends_to_a_file_is_ignored(tmp_path, suffix, tail):
    path = save(tmp_path / f'a{suffix}', COLOUR)
    expected = read_image(path)
    path.write_bytes(path.read_bytes() + tail)
    np.testing.assert_array_equal(read_image(path), expected)
    path.write_bytes(path.read_bytes()[:300] + bytes(5000))
    with pytest.raises(SourceError, match='is truncated at 5300 bytes'):
        read_image(path)


def test_a_file_that_is_no_image_is_named_with_its_size(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(b'no image')
    with pytest.raises(SourceError, match=r"a\.png \(8 bytes\): cannot decode .* b'no image'"):
        read_image(path)
    with pytest.raises(SourceError, match='cannot read'):
        read_image(tmp_path / 'absent.png')


# --- radiometric JPEG ---------------------------------------------------------------------------


@pytest.fixture
def flir(tmp_path) -> Path:
    pytest.importorskip('flyr', reason='flyr is not installed')
    path = tmp_path / 'FLIR0001.jpg'
    path.write_bytes(make_flir_jpeg(CELSIUS, VISIBLE, PLACEMENT))
    return path


def test_a_radiometric_file_holds_temperatures_a_visible_image_and_a_picture(flir):
    thermal = read_thermal(flir)
    assert thermal.dtype == np.float32 and thermal.shape == CELSIUS.shape
    np.testing.assert_allclose(thermal, CELSIUS, atol=0.05)  # a raw value is 0.02 K or more
    np.testing.assert_array_equal(read_visible(flir), VISIBLE)
    np.testing.assert_array_equal(read_rgb(flir), VISIBLE)
    assert read_image(flir).shape == (24, 32, 3)


def test_the_placement_is_a_prior_that_maps_centre_to_shifted_centre(flir):
    prior = FlirImage('x', flir.read_bytes()).read_prior()
    scale, shift_x, shift_y = PLACEMENT
    scale = 128 / 64 / scale
    np.testing.assert_allclose(prior[:2, :2], scale * np.eye(2))
    centre = prior @ [(64 - 1) / 2, (48 - 1) / 2, 1]
    np.testing.assert_allclose(centre, [(128 - 1) / 2 + shift_x, (96 - 1) / 2 + shift_y, 1])
    without = FlirImage('x', make_flir_jpeg(CELSIUS, VISIBLE))
    assert without.read_prior() is None
    np.testing.assert_array_equal(read_prior(flir, flir), prior)
    other = save(flir.parent / 'other.jpg', COLOUR)
    assert read_prior(flir, other) is None and read_prior(other, other) is None


def test_a_folder_of_radiometric_files_is_a_source_of_pairs_and_a_data_set(flir):
    folder = flir.parent
    (folder / 'FLIR0002.jpg').write_bytes(make_flir_jpeg(CELSIUS + 10, VISIBLE, PLACEMENT))
    (folder / 'FLIR0003.jpg').write_bytes(make_flir_jpeg(CELSIUS))  # without a visible image
    (folder / 'photo.jpg').write_bytes(cv2.imencode('.jpg', COLOUR)[1].tobytes())
    source = open_source(folder)
    events = list(source.events())
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 2
    np.testing.assert_allclose(events[2].frame.image, CELSIUS + 10, atol=0.05)
    np.testing.assert_array_equal(events[1].frame.image, VISIBLE)
    assert source.skipped == {'no partner': 1}
    [dataset] = find_datasets(folder)
    assert [sample.name for sample in dataset.samples] == ['FLIR0001', 'FLIR0002']
    np.testing.assert_allclose(dataset.samples[0].read_thermal(), CELSIUS, atol=0.05)
    np.testing.assert_array_equal(dataset.samples[0].read_rgb(), VISIBLE)


def test_a_radiometric_file_beside_a_visible_one_is_a_pair(flir):
    folder = flir.parent
    (folder / 'ir').mkdir()
    flir.rename(folder / 'ir' / '1.jpg')
    save(folder / 'visible' / '1.jpg', COLOUR)
    [thermal, rgb] = open_source(folder).events()
    np.testing.assert_allclose(thermal.frame.image, CELSIUS, atol=0.05)
    assert rgb.frame.image.shape == COLOUR.shape


def test_without_flyr_a_radiometric_file_says_what_to_install(tmp_path):
    path = tmp_path / 'FLIR0001.jpg'
    path.write_bytes(make_flir_jpeg(CELSIUS, VISIBLE))
    with mock.patch.dict(sys.modules, {'flyr': None}):
        for read in (read_thermal, read_visible):
            with pytest.raises(SourceError, match=r'^[^ ]+ is a radiometric JPEG file; its '
                               r"temperature image needs 'flyr'; pip install flyr$"):
                read(path)
        assert read_image(path).shape == (24, 32, 3)


def test_a_radiometric_file_without_a_visible_image_is_none_of_an_rgb_camera(tmp_path):
    pytest.importorskip('flyr', reason='flyr is not installed')
    path = tmp_path / 'FLIR0001.jpg'
    path.write_bytes(make_flir_jpeg(CELSIUS))
    with pytest.raises(SourceError, match='without a visible image'):
        read_rgb(path)


@pytest.mark.parametrize('damage', ['raw', 'calibration', 'directory', 'short'])
def test_damaged_records_are_an_error_or_none(tmp_path, damage):
    pytest.importorskip('flyr', reason='flyr is not installed')
    records = bytearray(make_flir_jpeg(CELSIUS))
    start = records.index(b'FFF\0')
    if damage == 'short':
        path = tmp_path / 'a.jpg'
        path.write_bytes(insert_segments(cv2.imencode('.jpg', COLOUR)[1].tobytes(),
                                         bytes(records[start:start + 500])))
    else:
        place = {'raw': start + 64 + 32 * 6, 'calibration': start + 64 + 32,
                 'directory': start + 64}[damage]
        records[place:place + 32] = b'\xee' * 32
        path = tmp_path / 'a.jpg'
        path.write_bytes(records)
    try:
        thermal = read_thermal(path)
    except SourceError as error:
        assert 'damaged radiometric records' in str(error) and '\n' not in str(error)
    else:  # no raw values are left: only the picture can be read
        assert damage in ('directory', 'short') and thermal.dtype == np.uint8


def test_a_little_endian_directory_is_an_error_at_once():
    pytest.importorskip('flyr', reason='flyr is not installed')
    data = bytearray(make_flir_jpeg(CELSIUS))
    start = data.index(b'FFF\0')
    *_, count = struct.unpack_from('>III', data, start + 20)
    struct.pack_into('<III', data, start + 20, 100, 64, count)
    for entry in range(start + 64, start + 64 + 32 * count, 32):
        struct.pack_into('<H10xII', data, entry, *struct.unpack_from('>H10xII', data, entry))
    assert is_flir(bytes(data))
    with pytest.raises(SourceError, match=f'states {count << 24} records, at most 256'):
        FlirImage('a.jpg', bytes(data)).read_celsius()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12), st.floats(0.2, 1))
def test_any_radiometric_file_is_read_or_an_error_of_the_source(changes, keep):
    pytest.importorskip('flyr', reason='flyr is not installed')
    data = bytearray(make_flir_jpeg(CELSIUS[:12, :16], VISIBLE[:24, :32], PLACEMENT))
    start = data.index(b'FLIR')
    for place, value in changes:  # most of them in the directory and the calibration
        data[start + int(place ** 3 * (len(data) - start - 1))] = value
    data = bytes(data[:int(keep * len(data))])
    if not is_flir(data):
        return
    image = FlirImage('a.jpg', data)
    try:
        assert image.read_celsius().dtype == np.float32
        image.read_prior()
        assert image.read_visible().dtype == np.uint8
    except SourceError as error:
        assert str(error).startswith('a.jpg') and '\n' not in str(error)


def test_a_jpeg_with_other_metadata_of_flir_is_a_plain_picture(tmp_path):
    path = tmp_path / 'a.jpg'
    jpeg = cv2.imencode('.jpg', COLOUR)[1].tobytes()
    path.write_bytes(insert_segments(jpeg, b'nothing that is known'))
    assert find_flir_records(path.read_bytes()) == {}
    np.testing.assert_array_equal(read_visible(path), read_image(path))


def test_a_radiometric_file_of_dji_is_read_as_a_picture_and_the_log_says_so_once(tmp_path, caplog):
    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack('>H', len(content) + 2) + content

    plain = cv2.imencode('.jpg', COLOUR)[1].tobytes()
    dji = plain[:2] + segment(0xE1, b'Exif\0\0MM\0*DJI\0M3T') + segment(0xE3, bytes(500)) \
        + plain[2:]
    assert is_dji(dji) and not is_dji(plain)
    for index in range(3):
        path = tmp_path / f'DJI_000{index}_T.JPG'
        path.write_bytes(dji)
        assert read_thermal(path).shape == (24, 32, 3)  # false colours
    assert [record.getMessage() for record in caplog.records] == [
        f'{tmp_path}: radiometric JPEG files of DJI; their picture is read, not the temperatures. '
        'Convert them to TIFF with the SDK of DJI to have temperatures']


def test_real_radiometric_files_have_the_temperatures_of_the_reference(shared_data):
    pytest.importorskip('flyr', reason='flyr is not installed')
    folder = shared_data / 'flir_rjpeg' / 'train'
    if not folder.is_dir():
        pytest.skip(f'{folder} is absent')
    paths = sorted((folder / 'rjpeg').glob('*.jpg'))
    assert len(paths) == 19
    for path in paths:
        expected = read_image(folder / 'temperature_centikelvin' / f'{path.stem}.png')
        kelvin = read_thermal(path) + 273.15
        assert np.abs(kelvin * 100 - expected).max() < 0.55  # the reference is rounded
    source = open_source(folder / 'rjpeg')
    assert sum(event.stream == 'rgb' for event in source.events()) == 2
    assert source.skipped == {'no partner': 17}
    for stem in ('04', '18'):
        np.testing.assert_array_equal(read_rgb(folder / 'rjpeg' / f'{stem}.jpg').shape,
                                      read_image(folder / 'visible' / f'{stem}.jpg').shape)
        assert FlirImage(stem, (folder / 'rjpeg' / f'{stem}.jpg').read_bytes()).read_prior() \
            is not None
