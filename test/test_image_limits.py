# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Images that are too large are refused by their headers, before anything is decoded."""

from __future__ import annotations

import struct
import zlib

from bombs import GREATEST_SIZES, make_png, png_chunk, state_size
import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import images
from ivf_ros.images import codecs, ImageError, limits
from ivf_ros.images.depth_codec import decode_rvl
from ivf_ros.images.file_headers import _READERS, check_header
import numpy as np
import pytest

SUFFIXES = ('.png', '.jpg', '.tiff', '.webp', '.jp2', '.bmp', '.ppm', '.pgm')


def read_header(file: bytes):
    """Return width, height and bytes per pixel, as they are checked before decoding."""
    return next(read(memoryview(file)) for start, read in _READERS.items()
                if file.startswith(start))


def encode(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def make_image(width: int, height: int, suffix: str, dtype=np.uint8) -> np.ndarray:
    shape = (height, width) if suffix == '.pgm' else (height, width, 3)
    return np.full(shape, 7, dtype)


@pytest.fixture
def no_decoder(monkeypatch):
    """Make the decoder fail the test."""
    def decode(*_):
        raise AssertionError('the image was decoded')

    monkeypatch.setattr(codecs.cv2, 'imdecode', decode)


@pytest.mark.parametrize('tag', [256, 257, 258, 277])  # width, height, bits, samples
def test_a_tiff_file_with_a_value_that_is_no_number_is_refused(tag, no_decoder):
    file = bytearray(encode('.tiff', make_image(16, 16, '.tiff', np.uint8)))
    (start,) = struct.unpack_from('<I', file, 4)
    (count,) = struct.unpack_from('<H', file, start)
    [entry] = [place for place in range(start + 2, start + 2 + 12 * count, 12)
               if struct.unpack_from('<H', file, place) == (tag,)]
    struct.pack_into('<H', file, entry + 2, 7)  # bytes of no meaning
    with pytest.raises(ImageError, match='cannot decode the image file'):
        images.decode_file(bytes(file))


@pytest.mark.parametrize('suffix', SUFFIXES)
@settings(max_examples=15, deadline=None)
@given(width=st.integers(1, 700), height=st.integers(1, 300))
def test_the_header_states_the_size_that_is_decoded(suffix, width, height):
    if suffix == '.jp2':  # OpenCV encodes no smaller ones
        width, height = max(width, 32), max(height, 32)
    file = encode(suffix, make_image(width, height, suffix))
    assert read_header(file)[:2] == (width, height)
    assert images.decode_file(file).shape[:2] == (height, width)


@pytest.mark.parametrize('suffix, dtype, options, pixel_bytes', [
    ('.png', np.uint8, (), 3), ('.png', np.uint16, (), 6), ('.jpg', np.uint8, (), 3),
    ('.tiff', np.uint8, (), 3), ('.tiff', np.uint16, (), 6), ('.tiff', np.float32, (), 12),
    ('.tiff', np.float64, (), 24), ('.jp2', np.uint8, (), 12), ('.jp2', np.uint16, (), 12),
    ('.jpg', np.uint8, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), 3),
    ('.webp', np.uint8, (cv2.IMWRITE_WEBP_QUALITY, 101), 4)])
def test_the_header_states_the_bytes_of_a_pixel(suffix, dtype, options, pixel_bytes):
    file = encode(suffix, make_image(50, 40, suffix, dtype), *options)
    assert read_header(file) == (50, 40, pixel_bytes)


@pytest.mark.parametrize('suffix', GREATEST_SIZES)
def test_files_of_too_large_images_are_refused_before_decoding(suffix, no_decoder):
    width, height = GREATEST_SIZES[suffix]
    file = state_size(suffix, width, height)
    with pytest.raises(ImageError) as error:
        images.decode_file(file)
    assert str(error.value) == (f'an image file of {width}x{abs(height)} pixels is too large; '
                                'allowed are sides of 32766 and 100 megapixels')
    with pytest.raises(ImageError, match='is too large'):
        images.decode_compressed('bgr8; any compressed bgr8', file)


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_only_the_size_decides(suffix):
    file = state_size(suffix, 64, 64)
    assert images.decode_file(file).shape[:2] == (64, 64)


def test_a_real_bomb_is_refused_at_once(no_decoder):
    file = make_png(30000, 30000)
    assert len(file) < 3_000_000
    with pytest.raises(ImageError, match='30000x30000 pixels is too large'):
        images.decode_file(file)
    depth = struct.pack('<iff', 0, 1.0, 0.0) + file
    with pytest.raises(ImageError, match='30000x30000 pixels is too large'):
        images.decode_compressed('16UC1; compressedDepth png', depth)


def test_cameras_of_8k_are_allowed():
    file = encode('.png', np.zeros((8192, 8192), np.uint8), cv2.IMWRITE_PNG_COMPRESSION, 1)
    assert images.decode_compressed('mono8; png compressed ', file).shape == (8192, 8192)
    check_header(memoryview(state_size('.png', 10000, 10000)))
    for size in ((10001, 10000), (32767, 1), (1, 32767)):
        with pytest.raises(ImageError, match='is too large'):
            check_header(memoryview(state_size('.png', *size)))


def test_many_bytes_of_a_pixel_lower_the_limit(no_decoder):
    file = bytearray(encode('.tiff', make_image(16, 16, '.tiff', np.float64)))
    for tag in (256, 257):
        entry = file.index(struct.pack('<HHIHH', tag, 3, 1, 16, 0))
        file[entry:entry + 12] = struct.pack('<HHII', tag, 4, 1, 8000)
    with pytest.raises(ImageError) as error:
        images.decode_file(bytes(file))
    assert str(error.value) == ('an image file of 8000x8000 pixels is too large: it takes 1536 MB '
                                'decoded; allowed are 600 MB')


def test_components_of_jpeg_2000_count(no_decoder):
    file = bytearray(state_size('.jp2', 4000, 4000))
    struct.pack_into('>H', file, file.index(b'\xff\x4f\xff\x51') + 40, 16384)
    with pytest.raises(ImageError, match='too large: it takes 1048576 MB decoded'):
        images.decode_file(bytes(file))


def test_a_tile_of_a_tiff_file_may_not_be_larger_than_an_image(no_decoder):
    entries = [(256, 16), (257, 16), (258, 8), (259, 1), (262, 1), (277, 1), (322, 30000),
               (323, 30000), (324, 8), (325, 16)]
    file = b'II*\0' + struct.pack('<IH', 8, len(entries)) + b''.join(
        struct.pack('<HHII', tag, 4, 1, value) for tag, value in entries) + bytes(4)
    with pytest.raises(ImageError, match='a tile of a TIFF file of 30000x30000 pixels is too'):
        images.decode_file(file)


@pytest.mark.parametrize('file', [
    # OpenCV takes the first of two sizes in a TIFF file.
    b'II*\0' + struct.pack('<IH', 8, 3) + b''.join(struct.pack('<HHII', tag, 4, 1, value)
                                                   for tag, value in ((256, 60000), (256, 16),
                                                                      (257, 16))) + bytes(4),
    b'MM\0+' + struct.pack('>HHQQ', 8, 0, 16, 2) + b''.join(
        struct.pack('>HHQQ', tag, 16, 1, 60000) for tag in (256, 257)) + bytes(8),
    # FF 01 in a JPEG file has no content in which the true size could hide.
    b'\xff\xd8\xff\x01' + state_size('.jpg', 60000, 16)[2:],
    b'P6 #16 16\n60000 #\n 16 255 ' + bytes(768),
    b'RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0' + b'\xff\xff\0\xff\xff\0',
])
def test_a_size_cannot_hide(file, no_decoder):
    with pytest.raises(ImageError, match=r'(60000|65536)x.* pixels is too large'):
        images.decode_file(file)


@pytest.mark.parametrize('file', [
    b'GIF89a' + struct.pack('<HH', 16, 16) + bytes(40), b'P7\nWIDTH 9\n', b'Pf\n16 16\n-1\n',
    b'#?RADIANCE\n\n-Y 60000 +X 60000\n', b'\x59\xa6\x6a\x95' + bytes(40), b'\x76\x2f\x31\x01',
    b'RIFF\x16\0\0\0WAVE', b'II*\0\xff\xff\xff\xff', b'BM', b'P5 16#\n16 255 ' + bytes(256),
    b'\0\0\0\x0cjP  \r\n\x87\n' + bytes(8), b'\xff\x4f\xff\x51\0', b'II*\0\x08\0\0\0\0\0'])
def test_what_is_of_another_format_is_refused_before_decoding(file, no_decoder):
    with pytest.raises(ImageError, match='of an unknown format; it begins with'):
        images.decode_file(file)


@pytest.mark.parametrize('suffix', SUFFIXES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_header_is_an_image_error_or_states_a_bounded_size(suffix, data):
    file = bytearray(state_size(suffix, 64, 64))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(file), 400) - 1))
        file[place] = data.draw(st.integers(0, 255))
    try:
        check_header(memoryview(bytes(file)))
    except ImageError:
        return
    header = read_header(bytes(file))
    assert header.width * header.height <= limits.MAX_PIXELS


def test_many_scans_of_a_jpeg_file_are_refused(no_decoder):
    file = encode('.jpg', np.zeros((64, 64), np.uint8), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = file[file.rindex(b'\xff\xda'):-2]
    with pytest.raises(ImageError, match='a JPEG file of more than 100 scans'):
        images.decode_file(file[:-2] + scan * 2000 + b'\xff\xd9')


@pytest.mark.parametrize('chunk', [
    png_chunk(b'zTXt', b'Comment\0\0' + zlib.compress(bytes(300_000_000), 9)),
    png_chunk(b'iCCP', b'Comment\0\0' + zlib.compress(bytes(300_000_000), 9)),
    png_chunk(b'tEXt', b'Comment\0' + bytes(20_000_000)),
    png_chunk(b'tEXt', b'Comment\0a') * 100_000], ids=['zTXt', 'iCCP', 'tEXt', 'many'])
def test_chunks_beside_the_image_of_a_png_file_cost_nothing(chunk):
    # The result of OpenCV, whose libpng has limits of its own.
    assert images.decode_file(make_png(32, 24, more_chunks=chunk)).shape == (24, 32, 3)


@pytest.mark.parametrize('encoding, width, height, step, words', [
    ('mono8', 2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1, 'too large; allowed are sides'),
    ('bgr8', 20000, 20000, 60000, 'too large; allowed are sides'),
    ('mono8', 0, 2 ** 31, 0, 'must be at least 1')])
def test_messages_of_too_large_images_are_refused(encoding, width, height, step, words):
    with pytest.raises(ImageError, match=words):
        images.decode(encoding, b'', width, height, step)


def make_zstd_message(encoding: str, width: int, height: int, step: int, data: bytes) -> bytes:
    return struct.pack('<IIBII', height, width, 0, step, len(encoding)) + encoding.encode() + data


@pytest.mark.parametrize('encoding, width, height, step, words', [
    ('mono8', 2 ** 31, 2 ** 31, 2 ** 31, 'too large; allowed are sides'),
    ('mono8', 4, 4, 2 ** 32 - 1, 'step of 4294967295 is too large: it takes 17180 MB'),
    ('64FC3', 9000, 9000, 0, 'it takes 1944 MB decoded; allowed are 600 MB'),
    ('magic', 4, 4, 4, 'unknown image encoding'), ('mono8', 0, 4, 4, 'must be at least 1')])
def test_zstd_messages_are_refused_before_decompression(monkeypatch, encoding, width, height,
                                                        step, words):
    def decompress(*_):
        raise AssertionError('the data was decompressed')

    monkeypatch.setattr(codecs, '_decompress', decompress)
    with pytest.raises(ImageError, match=words):
        images.decode_compressed('zstd', make_zstd_message(encoding, width, height, step, b''))


def test_zstd_messages_are_decompressed_up_to_their_size():
    bomb = zlib.compress(bytes(200_000_000), 9)
    with pytest.raises(ImageError, match=r'expected 16 bytes .*, got 17'):
        images.decode_compressed('zstd', make_zstd_message('mono8', 4, 4, 4, bomb))


@pytest.mark.parametrize('numbers', [
    bytes(1_000_000),  # runs of no zeros and no values
    b'\x01\x01\x01\x01' * 250_000])  # runs of one zero and no values
def test_rvl_data_without_pixels_is_refused_at_its_start(numbers):
    with pytest.raises(ImageError, match='a run of length 0'):
        decode_rvl(memoryview(struct.pack('<II', 9000, 9000) + numbers))


def test_rvl_data_behind_the_image_is_not_read():
    with pytest.raises(ImageError, match='damaged RVL image'):
        decode_rvl(memoryview(struct.pack('<II', 1, 1) + bytes(100_000_000)))


def test_headers_of_real_images_state_the_size_that_is_decoded(shared_data):
    files = [path for path in sorted(shared_data.rglob('*'))
             if path.suffix.lower() in ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.bmp')]
    assert files
    for path in files[::max(1, len(files) // 60)]:
        file = path.read_bytes()
        height, width = images.decode_file(file, ignore_orientation=True).shape[:2]
        assert read_header(file)[:2] == (width, height), path
