# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed images: the codecs of image_transport, ends of files, damage."""

from __future__ import annotations

import gzip
import struct
import zlib

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import images
from ivf_ros.images import ImageError
from ivf_ros.images.depth_codec import decode_rvl
from ivf_ros.images.file_ends import find_end
import numpy as np
import pytest

RNG = np.random.default_rng(5)
NOISE = RNG.integers(0, 255, (64, 48), np.uint8)
COLOUR = np.dstack([NOISE, NOISE[::-1], np.full_like(NOISE, 9)])
CENTIKELVIN = (NOISE.astype(np.uint16) * 8 + 28800)
CELSIUS = CENTIKELVIN.astype(np.float32) * np.float32(0.01) - np.float32(273.15)
CELSIUS[3, 4] = np.nan


def encode(suffix: str, image: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, image, options)[1].tobytes()


def encode_unsigned_tiff(image: np.ndarray, states_format: bool = True) -> bytes:
    """Return a TIFF file of uint32, which says so or leaves it to the default."""
    file = bytearray(encode('.tiff', image.view(np.int32)))
    entry = file.index(struct.pack('<HHIHH', 339, 3, 1, 2, 0))  # the samples are signed
    # An entry of an unknown kind is ignored, and unsigned is the default.
    file[entry:entry + 12] = struct.pack('<HHIHH', 339 if states_format else 65000, 3, 1, 1, 0)
    return bytes(file)


@pytest.mark.parametrize('message_format, image', [
    ('16UC1; tiff compressed ', CENTIKELVIN), ('mono16; tiff compressed ', CENTIKELVIN),
    ('32FC1; tiff compressed ', CELSIUS), ('mono8; tiff compressed ', NOISE),
    ('64FC1; tiff compressed ', CELSIUS.astype(np.float64)), ('tiff', CENTIKELVIN),
    ('bgr8; tiff compressed ', COLOUR)])
def test_tiff_keeps_its_depth_and_its_gaps(message_format, image):
    decoded = images.decode_compressed(message_format, encode('.tiff', image))
    assert decoded.dtype == image.dtype
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize('dtype', [np.int8, np.int16, np.int32])
def test_tiff_of_signed_integers_becomes_float32_of_the_same_values(dtype):
    image = NOISE.astype(np.int32).astype(dtype) - dtype(5)
    decoded = images.decode_compressed('tiff', encode('.tiff', image))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, image)


def test_tiff_of_rgb_is_stored_as_if_it_were_bgr():
    decoded = images.decode_compressed('rgb8; tiff compressed ', encode('.tiff', COLOUR))
    np.testing.assert_array_equal(decoded, COLOUR[..., ::-1])


@pytest.mark.parametrize('states_format', [True, False])
def test_tiff_of_unsigned_32_bits_becomes_float32_of_the_same_values(states_format):
    image = NOISE.astype(np.uint32) * 10_000_000 + 2 ** 30
    file = encode_unsigned_tiff(image, states_format)
    decoded = images.decode_compressed('tiff', file)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, image.astype(np.float32))


def test_a_damaged_tiff_of_unsigned_32_bits_is_refused():
    file = bytearray(encode_unsigned_tiff(NOISE.astype(np.uint32)))
    file[8:1000] = b'\xff' * 992  # the first samples
    with pytest.raises(ImageError, match='cannot decode the image file: it is damaged'):
        images.decode_file(bytes(file))


@pytest.mark.parametrize('suffix, options', [
    ('.webp', (cv2.IMWRITE_WEBP_QUALITY, 101)), ('.bmp', ()),
    ('.jp2', (cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000))])
def test_other_lossless_files_of_opencv_decode(suffix, options):
    decoded = images.decode_compressed(suffix[1:], encode(suffix, COLOUR, *options))
    np.testing.assert_array_equal(decoded, COLOUR)


# Files that end: a plain and a progressive JPEG with several scans, one with restart markers, one
# with a thumbnail (a JPEG of its own) in EXIF, and a PNG of several chunks.
def with_thumbnail(file: bytes) -> bytes:
    content = b'Exif\0\0' + encode('.jpg', NOISE[:16, :16]) + b'\xff\xd9'
    return file[:2] + b'\xff\xe1' + struct.pack('>H', len(content) + 2) + content + file[2:]


JPEG = encode('.jpg', COLOUR)
FILES = {
    'jpeg': JPEG,
    'progressive': encode('.jpg', COLOUR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    'restarts': encode('.jpg', COLOUR, cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    'thumbnail': with_thumbnail(JPEG),
    'fill bytes': JPEG[:2] + b'\xff\xff' + JPEG[2:],
    'png': encode('.png', np.tile(CENTIKELVIN, (4, 4))),
    'gray': encode('.jpg', NOISE),
}
TAILS = {
    'vendor': b'dhav\x59\x19\x01\x00', 'leftover': b'\x00\x1a\x55' * 200, 'fill': b'\xff' * 64,
    'zeros': bytes(8000), 'end marker': b'xy\xff\xd9' + bytes(3) + b'\xff\xd9', 'jpeg': JPEG,
    'half a jpeg': JPEG[:len(JPEG) // 2], 'start': b'\xff', 'zip': RNG.bytes(9000),
}


@pytest.mark.parametrize('tail', TAILS.values(), ids=TAILS)
@pytest.mark.parametrize('file', FILES.values(), ids=FILES)
def test_what_follows_the_end_of_a_file_is_ignored(file, tail):
    assert find_end(memoryview(file)) == len(file) == find_end(memoryview(file + tail))
    expected = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(images.decode_compressed('', file + tail), expected)


@pytest.mark.parametrize('tail', ['', 'zeros', 'fill', 'jpeg'])
@pytest.mark.parametrize('file', FILES.values(), ids=FILES)
@pytest.mark.parametrize('keep', [0.1, 0.5, 0.9, -1])
def test_a_truncated_file_is_refused_also_with_something_after_it(file, tail, keep):
    kept = file[:int(len(file) * keep) if keep > 0 else -1]
    with pytest.raises(ImageError, match=r'truncated'):
        images.decode_compressed('', kept + TAILS.get(tail, b''))


@pytest.mark.parametrize('data, words', [
    (b'', 'empty'), (b'GARBAGE', r"begins with b'GARBAGE'"), (b'\xff\xd8\xff\xd9', 'damaged')])
def test_what_is_no_image_is_refused(data, words):
    with pytest.raises(ImageError, match=words):
        images.decode_compressed('jpeg', data)


@pytest.mark.parametrize('image', [NOISE, COLOUR])
def test_a_file_is_turned_by_its_exif_orientation_and_a_message_is_not(image):
    upside_down = struct.pack('<HHIHH', 0x112, 3, 1, 3, 0)  # orientation, one SHORT of value 3
    content = b'Exif\0\0II*\0' + struct.pack('<IH', 8, 1) + upside_down + bytes(4)
    plain = encode('.jpg', image)
    file = plain[:2] + b'\xff\xe1' + struct.pack('>H', len(content) + 2) + content + plain[2:]
    stored = images.decode_file(plain)
    assert stored.shape == image.shape
    np.testing.assert_array_equal(images.decode_file(file), stored[::-1, ::-1])
    np.testing.assert_array_equal(images.decode_file(file, ignore_orientation=True), stored)
    np.testing.assert_array_equal(images.decode_compressed('jpeg', file), stored)


def test_a_file_that_is_damaged_inside_is_refused():
    data = bytearray(FILES['png'])
    data[8:25] = bytes(17)  # the header chunk
    with pytest.raises(ImageError, match='image file'):
        images.decode_compressed('png', data)


def test_the_error_of_a_stream_does_not_depend_on_the_length_of_its_messages():
    errors = set()
    for length in (300, 400, 500):
        with pytest.raises(ImageError) as error:
            images.decode_compressed('jpeg', JPEG[:length])
        errors.add(str(error.value))
    assert len(errors) == 1


# RVL, written number by number as the paper describes it.
def encode_rvl(image: np.ndarray) -> bytes:
    nibbles: list[int] = []

    def write(number: int) -> None:
        while True:
            number, bits = number >> 3, number & 7
            nibbles.append(bits | 8 * (number > 0))
            if not number:
                return

    pixels = [int(value) for value in image.ravel()]
    position = previous = 0
    while position < len(pixels):
        first = position
        while position < len(pixels) and not pixels[position]:
            position += 1
        write(position - first)
        last = position
        while last < len(pixels) and pixels[last]:
            last += 1
        write(last - position)
        for value in pixels[position:last]:
            delta = value - previous
            write(2 * delta if delta >= 0 else -2 * delta - 1)
            previous = value
        position = last
    nibbles += [0] * (-len(nibbles) % 8)
    words = [sum(nibble << 4 * (7 - place) for place, nibble in enumerate(nibbles[at:at + 8]))
             for at in range(0, len(nibbles), 8)]
    height, width = image.shape
    return struct.pack('<II', width, height) + struct.pack(f'<{len(words)}I', *words)


def depth_message(content: bytes, a: float = 0.0, b: float = 0.0) -> bytes:
    return struct.pack('<iff', 0, a, b) + content


def with_holes(image: np.ndarray, share: float) -> np.ndarray:
    return np.where(RNG.random(image.shape) < share, 0, image).astype(np.uint16)


EXTREMES = np.array([[0, 65535, 1, 0, 0, 32768, 65535, 0]], np.uint16)


@pytest.mark.parametrize('image', [
    CENTIKELVIN, with_holes(CENTIKELVIN, 0.5), np.zeros_like(CENTIKELVIN), EXTREMES, EXTREMES.T,
    np.full((1, 1), 7, np.uint16), RNG.integers(0, 65536, (30, 31), np.uint16)])
def test_rvl_and_png_depth_images_keep_all_bits(image):
    for name, content in (('rvl', encode_rvl(image)), ('png', encode('.png', image))):
        decoded = images.decode_compressed(f'16UC1; compressedDepth {name}',
                                           depth_message(content))
        assert decoded.dtype == np.uint16
        np.testing.assert_array_equal(decoded, image)


def test_rvl_of_two_pixels_by_hand():
    # 1 zero; 1 value; 5 - 0 = 5, as 10 = 1 010b: nibbles 1, 1, 8 + 2, 1
    data = struct.pack('<II', 2, 1) + bytes.fromhex('11A10000')[::-1]
    np.testing.assert_array_equal(decode_rvl(memoryview(data)), [[0, 5]])


@pytest.mark.parametrize('message_format', [
    '16UC1; compressedDepth', '16UC1', '16UC1;compressedDepth png', 'mono16; compressedDepth png'])
def test_formats_without_the_codec_are_png(message_format):
    data = depth_message(encode('.png', CENTIKELVIN))
    np.testing.assert_array_equal(images.decode_compressed(message_format, data), CENTIKELVIN)


@pytest.mark.parametrize('codec', ['png', 'rvl'])
def test_a_depth_image_of_floats_is_quantised_by_its_inverse(codec):
    depth = np.linspace(0.5, 9.5, NOISE.size, dtype=np.float32).reshape(NOISE.shape)
    a = 100.0 * 101.0
    b = 1 - a / 10.0
    inverse = (a / depth + b).astype(np.uint16)
    inverse[2, 3] = 0
    content = encode_rvl(inverse) if codec == 'rvl' else encode('.png', inverse)
    decoded = images.decode_compressed(f'32FC1; compressedDepth {codec}',
                                       depth_message(content, a, b))
    assert decoded.dtype == np.float32 and np.isnan(decoded[2, 3])
    expected = depth.copy()
    expected[2, 3] = np.nan
    # One step of q is depth^2 / A.
    np.testing.assert_allclose(decoded, expected, atol=10.0 ** 2 / a)


@pytest.mark.parametrize('message_format, data, words', [
    ('16UC1; compressedDepth png', b'abc', 'header is incomplete'),
    ('16UC1; compressedDepth rvl', depth_message(b'1234'), 'header is incomplete'),
    ('8UC1; compressedDepth png', depth_message(b''), "16UC1, mono16 or 32FC1, got '8UC1'"),
    ('16UC1; compressedDepth png', depth_message(encode('.png', NOISE)), '16 bits, got'),
    ('16UC1; compressedDepth png', depth_message(FILES['png'][:-20]), 'truncated'),
    ('16UC1; compressedDepth rvl', depth_message(encode_rvl(CENTIKELVIN)[:-40]), 'truncated'),
    ('16UC1; compressedDepth rvl', depth_message(struct.pack('<II', 0, 5) + bytes(8)), '0x5'),
    ('16UC1; compressedDepth rvl', depth_message(struct.pack('<II', 2 ** 31, 9) + bytes(8)),
     'image of 2147483648x9 pixels is too large'),
    ('16UC1; compressedDepth rvl', depth_message(struct.pack('<II', 4, 4) + b'\xff' * 400),
     'truncated'),
    ('16UC1; compressedDepth rvl', depth_message(struct.pack('<III', 1, 1, 0x70000000)),
     'do not fit'),
])
def test_damaged_depth_images_are_refused(message_format, data, words):
    with pytest.raises(ImageError, match=words):
        images.decode_compressed(message_format, data)


def zstd_message(image: np.ndarray, encoding: str, compress) -> bytes:
    height, width = image.shape
    step = width * image.itemsize
    header = struct.pack('<IIBII', height, width, 0, step, len(encoding)) + encoding.encode()
    return header + compress(image.tobytes())


def compress_zstd(data: bytes) -> bytes:
    zstd = pytest.importorskip('backports.zstd', reason='backports.zstd is not installed')
    return zstd.compress(data)


@pytest.mark.parametrize('compress', [zlib.compress, gzip.compress, compress_zstd])
@pytest.mark.parametrize('image, encoding', [(CENTIKELVIN, 'mono16'), (CELSIUS, '32FC1')])
def test_zstd_messages_hold_the_fields_of_an_image(compress, image, encoding):
    data = zstd_message(image, encoding, compress)
    np.testing.assert_array_equal(images.decode_compressed('zstd', data), image)
    for broken in (data[:10], data[:20], data[:-30], data[:40] + bytes(40)):
        with pytest.raises(ImageError):
            images.decode_compressed('zstd', broken)


SEEDS = [*FILES.values(), encode('.tiff', CENTIKELVIN), encode('.webp', COLOUR),
         encode('.bmp', NOISE), depth_message(encode_rvl(with_holes(CENTIKELVIN, 0.3))),
         depth_message(encode('.png', CENTIKELVIN)),
         zstd_message(CENTIKELVIN, 'mono16', zlib.compress)]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_bytes_are_an_image_or_an_image_error(data):
    if data.draw(st.booleans()):
        buffer = bytearray(data.draw(st.sampled_from(SEEDS)))
        for _ in range(data.draw(st.integers(1, 6))):
            buffer[data.draw(st.integers(0, len(buffer) - 1))] = data.draw(st.integers(0, 255))
        buffer = buffer[:data.draw(st.integers(0, len(buffer)))]
    else:
        buffer = data.draw(st.sampled_from([b'', b'\xff\xd8', b'\x89PNG\r\n\x1a\n', bytes(12)])) \
            + data.draw(st.binary(max_size=200))
    message_format = data.draw(st.sampled_from([
        '', 'jpeg', '16UC1; compressedDepth rvl', '32FC1; compressedDepth rvl', 'zstd',
        '32FC1; compressedDepth png', '16UC1; tiff compressed ', 'rgb8; jpeg compressed ']))
    try:
        image = images.decode_compressed(message_format, bytes(buffer))
    except ImageError as error:
        assert '\n' not in str(error)
        return
    assert image.dtype in (np.uint8, np.uint16, np.float32, np.float64)
    assert image.ndim == 2 or image.shape[2] == 3
