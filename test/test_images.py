# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All encodings against known pixels, inconsistent sizes, compressed images."""

from __future__ import annotations

from array import array
import re

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
from ivf_ros import images
from ivf_ros.images import ImageError
import numpy as np
import pytest

BUFFERS = {  # types of message data
    'bytes': bytes,
    'bytearray': bytearray,
    'memoryview': memoryview,
    'array': lambda data: array('B', data),
    'ndarray': lambda data: np.frombuffer(data, np.uint8),
}

GRAY = {
    'mono8': np.uint8, '8UC1': np.uint8, 'mono16': np.uint16, '16UC1': np.uint16,
    '32FC1': np.float32, '64FC1': np.float64,
}

# encoding -> bytes of one pixel with red 10, green 20, blue 30 (and alpha 99)
COLOUR_PIXEL = {
    'bgr8': [30, 20, 10], '8UC3': [30, 20, 10], 'rgb8': [10, 20, 30],
    'bgra8': [30, 20, 10, 99], 'rgba8': [10, 20, 30, 99],
}


def _padded(image: np.ndarray, padding: int) -> tuple[bytes, int]:
    """Return the bytes of an image with garbage after each row, and the step."""
    rows = np.ascontiguousarray(image).reshape(image.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    return rows.tobytes(), rows.shape[1]


def _gray(dtype, shape=(4, 6)) -> np.ndarray:
    return (np.arange(np.prod(shape)).reshape(shape) * 7 + 3).astype(dtype)


@pytest.mark.parametrize('encoding, dtype', GRAY.items())
@pytest.mark.parametrize('padding', [0, 8, 5])  # 5: rows that are not aligned for 16 bit
@pytest.mark.parametrize('bigendian', [False, True])
def test_gray_keeps_its_values_and_type(encoding, dtype, padding, bigendian):
    expected = _gray(dtype)
    wire = expected.astype(expected.dtype.newbyteorder('>' if bigendian else '<'))
    data, step = _padded(wire, padding)
    image = images.decode(encoding, data, 6, 4, step, bigendian)
    assert image.dtype == dtype and image.dtype.isnative
    np.testing.assert_array_equal(image, expected)
    cv2.resize(image, (3, 2))  # OpenCV accepts it


@pytest.mark.parametrize('encoding, pixel', COLOUR_PIXEL.items())
@pytest.mark.parametrize('padding', [0, 7])
def test_colour_becomes_bgr(encoding, pixel, padding):
    data, step = _padded(np.tile(np.array(pixel, np.uint8), (4, 6, 1)), padding)
    image = images.decode(encoding, data, 6, 4, step)
    assert image.shape == (4, 6, 3) and image.dtype == np.uint8
    assert (image == [30, 20, 10]).all()


@pytest.mark.parametrize('encoding, pixel', [
    ('bgr16', [300, 200, 100]), ('rgb16', [100, 200, 300])])
@pytest.mark.parametrize('order', ['<', '>'])
def test_16_bit_colour_stays_16_bit(encoding, pixel, order):
    data = np.tile(np.array(pixel, order + 'u2'), (3, 5, 1)).tobytes()
    image = images.decode(encoding, data, 5, 3, is_bigendian=order == '>')
    assert image.dtype == np.uint16
    assert (image == [300, 200, 100]).all()


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
@pytest.mark.parametrize('bits, order', [(8, '<'), (16, '<'), (16, '>')])
def test_a_mosaic_of_one_colour_becomes_that_colour(pattern, bits, order):
    value = {'r': 10, 'g': 20, 'b': 30 if bits == 8 else 3000}
    tile = np.array([value[letter] for letter in pattern]).reshape(2, 2)
    mosaic = np.tile(tile, (4, 5)).astype(np.uint8 if bits == 8 else order + 'u2')
    data, step = _padded(mosaic, 4)
    image = images.decode(f'bayer_{pattern}{bits}', data, 10, 8, step, order == '>')
    assert image.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert (image == [value['b'], value['g'], value['r']]).all()


# BT.601 with limited range: red is Y 82, U 90, V 240. U and V differ, which reveals a swap.
RED = {'y': 82, 'u': 90, 'v': 240}


@pytest.mark.parametrize('encoding, layout', [
    ('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')])
@pytest.mark.parametrize('padding', [0, 12])
def test_yuv422_red_is_red(encoding, layout, padding):
    row = np.array([RED[letter] for letter in layout] * 3, np.uint8)
    data, step = _padded(np.tile(row, (4, 1)), padding)
    image = images.decode(encoding, data, 6, 4, step)
    assert image.shape == (4, 6, 3)
    np.testing.assert_allclose(image.reshape(-1, 3), np.tile([0, 0, 255], (24, 1)), atol=2)


@pytest.mark.parametrize('encoding, order, factor', [
    ('nv16', 'uv', 1), ('nv61', 'vu', 1), ('nv24', 'uv', 2)])
@pytest.mark.parametrize('padding', [0, 10])
def test_planes_of_chroma_for_each_row_keep_the_colour(encoding, order, factor, padding):
    chroma = np.array([RED[letter] for letter in order], np.uint8)
    chroma = np.tile(chroma, (4, 3 * factor))
    chroma[:, chroma.shape[1] // 3 * 2:] = 128  # the right third is gray
    # A row of chroma of nv24 is as long as two rows of luma.
    planes = [_padded(np.full((4, 6), RED['y'], np.uint8), padding)[0],
              _padded(chroma, factor * padding)[0]]
    image = images.decode(encoding, b''.join(planes), 6, 4, 6 + padding)
    assert image.shape == (4, 6, 3)
    np.testing.assert_allclose(image[:, :4], np.tile([0, 0, 255], (4, 4, 1)), atol=2)
    assert np.ptp(image[:, 4:], axis=2).max() <= 1 and image[0, 5, 0] in (76, 77, 78)


def test_nv24_has_the_colours_of_the_other_formats():
    rng = np.random.default_rng(3)
    luma, chroma = (rng.integers(16, 236, shape, np.uint8) for shape in ((4, 6), (4, 3, 2)))
    both = np.repeat(chroma, 2, axis=1)  # two neighbours share their chroma
    nv16 = images.decode('nv16', luma.tobytes() + chroma.tobytes(), 6, 4)
    nv24 = images.decode('nv24', luma.tobytes() + both.tobytes(), 6, 4)
    np.testing.assert_allclose(nv24.astype(int), nv16, atol=2)


@pytest.mark.parametrize('encoding, order', [('nv12', 'uv'), ('nv21', 'vu')])
@pytest.mark.parametrize('padding', [0, 10])
def test_yuv420_red_is_red(encoding, order, padding):
    luma = np.full((4, 6), RED['y'], np.uint8)
    chroma = np.tile(np.array([RED[letter] for letter in order], np.uint8), (2, 3))
    data, step = _padded(np.vstack([luma, chroma]), padding)
    image = images.decode(encoding, data, 6, 4, step)
    assert image.shape == (4, 6, 3)
    np.testing.assert_allclose(image.reshape(-1, 3), np.tile([0, 0, 255], (24, 1)), atol=2)


SAMPLE_BYTES = {'8': 1, '16': 2, '32': 4, '64': 8}


def bytes_per_pixel(encoding: str) -> float:
    """Return the size of a pixel from the rules of sensor_msgs/image_encodings."""
    planes = {'nv12': 1.5, 'nv21': 1.5, 'nv16': 2, 'nv61': 2, 'nv24': 3, 'uyvy': 2, 'yuyv': 2}
    if encoding in planes or encoding.startswith('yuv'):
        return planes.get(encoding, 2)
    if typed := re.fullmatch(r'(8|16|32|64)[USF]C(\d?)', encoding):
        return SAMPLE_BYTES[typed[1]] * int(typed[2] or 1)
    name, bits = re.fullmatch(r'([a-z_]+?)(8|16)', encoding).groups()
    channels = {'mono': 1, 'rgb': 3, 'bgr': 3, 'rgba': 4, 'bgra': 4}.get(name, 1)
    return channels * SAMPLE_BYTES[bits]


# The names in sensor_msgs/image_encodings, from Humble to Rolling.
STANDARD = [
    *(f'{order}{bits}' for order in ('rgb', 'rgba', 'bgr', 'bgra', 'mono') for bits in (8, 16)),
    *(f'{kind}C{channels}' for kind in ('8U', '8S', '16U', '16S', '32S', '32F', '64F')
      for channels in (1, 3, 4)),
    *(f'bayer_{pattern}{bits}' for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')
      for bits in (8, 16)),
    'uyvy', 'yuyv', 'yuv422', 'yuv422_yuy2', 'nv21', 'nv24']


@pytest.mark.parametrize('encoding', sorted({*STANDARD, *images.ENCODINGS}))
@pytest.mark.parametrize('big', [False, True])
def test_every_encoding_becomes_an_image_that_the_stages_and_an_rgb_camera_take(encoding, big):
    data = bytes(range(48)) * int(8 * 6 * bytes_per_pixel(encoding) / 48 + 1)
    data = data[:int(8 * 6 * bytes_per_pixel(encoding))]
    image = images.decode(encoding, data, 8, 6, is_bigendian=big)
    assert image.shape in ((6, 8), (6, 8, 3)) and image.dtype.isnative
    assert image.dtype in (np.uint8, np.uint16, np.float32, np.float64)
    bgr = images.as_bgr8(image)
    assert bgr.shape == (6, 8, 3) and bgr.dtype == np.uint8


@pytest.mark.parametrize('name, dtype', [
    ('8S', np.int8), ('16S', np.int16), ('32S', np.int32), ('32U', np.uint32)])
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('padding', [0, 3])
def test_integers_that_the_stages_do_not_take_become_floats_of_the_same_values(
        name, dtype, order, padding):
    expected = (np.arange(24).reshape(4, 6) - (0 if name == '32U' else 12)) * 7
    data, step = _padded(expected.astype(np.dtype(dtype).newbyteorder(order)), padding)
    for encoding in (f'{name}C1', f'{name}C'):
        image = images.decode(encoding, data, 6, 4, step, order == '>')
        assert image.dtype == np.float32
        np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize('encoding, values, expected', [
    ('8SC3', [-5, 0, 100], np.array([0, 0, 100], np.uint8)),
    ('16SC3', [-5, 300, 32000], np.array([0, 300, 32000], np.uint16)),
    ('32SC4', [-5, 300, 70000, 9], np.array([0, 300, 65535], np.uint16)),
    ('32FC3', [-.5, .25, 1.5], np.array([-.5, .25, 1.5], np.float32)),
    ('64FC4', [-.5, .25, 1.5, 9], np.array([-.5, .25, 1.5], np.float64)),
    ('16UC4', [1, 2, 3, 4], np.array([1, 2, 3], np.uint16)),
    ('rgba16', [1, 2, 3, 4], np.array([3, 2, 1], np.uint16)),
    ('bgra16', [1, 2, 3, 4], np.array([1, 2, 3], np.uint16)),
])
def test_colour_of_other_types_is_bgr_without_alpha(encoding, values, expected):
    sample = {'8S': np.int8, '16S': np.int16, '32S': np.int32, '32F': np.float32,
              '64F': np.float64}.get(encoding.partition('C')[0], np.uint16)
    data = np.tile(np.array(values, sample), (3, 5, 1)).tobytes()
    image = images.decode(encoding, data, 5, 3)
    assert image.dtype == expected.dtype
    np.testing.assert_array_equal(image, np.broadcast_to(expected, (3, 5, 3)))


@pytest.mark.parametrize('encoding', ['8UC2', '16SC2', '32FC2'])
def test_two_channels_are_refused_in_one_line(encoding):
    with pytest.raises(ImageError, match=f"'{encoding}' has two channels; an image has one"):
        images.decode(encoding, bytes(200), 4, 4)


@pytest.mark.parametrize('buffer', BUFFERS.values(), ids=BUFFERS)
@pytest.mark.parametrize('encoding, dtype, shape, padding', [
    ('mono8', np.uint8, (4, 6), 0), ('mono8', np.uint8, (4, 6), 3),
    ('mono16', np.uint16, (4, 6), 0), ('mono16', np.uint16, (4, 6), 4),
    ('32FC1', np.float32, (4, 6), 8), ('bgr8', np.uint8, (4, 6, 3), 0),
    ('bgr8', np.uint8, (4, 6, 3), 2),
])
def test_native_layouts_are_read_only_views(buffer, encoding, dtype, shape, padding):
    expected = _gray(dtype, shape)
    data, step = _padded(expected, padding)
    data = buffer(data)
    image = images.decode(encoding, data, 6, 4, step)
    assert np.shares_memory(image, np.frombuffer(data, np.uint8))
    np.testing.assert_array_equal(image, expected)
    with pytest.raises(ValueError):
        image[0, 0] = 0


def test_a_padded_view_works_in_opencv():
    expected = _gray(np.uint8, (4, 6, 3))
    data, step = _padded(expected, 5)
    image = images.decode('bgr8', data, 6, 4, step)
    np.testing.assert_array_equal(cv2.flip(image, 1), expected[:, ::-1])


@pytest.mark.parametrize('arguments, words', [
    (('mono7', b'', 2, 2), ["'mono7'", 'known: mono8', 'nv21']),  # unknown encoding
    (('mono8', bytes(0), 0, 2), ['0x2', 'at least 1']),  # no columns
    (('mono8', bytes(0), 2, 0), ['2x0', 'at least 1']),  # no rows
    (('mono16', bytes(16), 4, 2, 7), ['8 bytes', 'step is 7']),  # step below a row
    (('mono8', bytes(11), 4, 3), ['expected 12', 'got 11']),  # truncated
    (('mono8', bytes(13), 4, 3), ['expected 12', 'got 13']),  # too long
    (('bgr8', bytes(12), 4, 3), ['expected 36', 'got 12']),  # gray data labelled as colour
    (('mono8', bytes(0), 4, 3), ['expected 12', 'got 0']),  # empty
    (('mono8', bytes(22), 4, 3, 8), ['expected 24', '3 rows of 8', 'got 22']),  # last row unpadded
    (('yuv422', bytes(30), 5, 3), ['5x3', 'even']),  # odd width
    (('nv12', bytes(27), 6, 3), ['6x3', 'even']),  # odd height
    (('nv21', bytes(24), 6, 4), ['expected 36', 'got 24']),  # no colour plane
    (('bayer_rggb8', bytes(4), 2, 2), ['2x2', '3x3']),  # no neighbours to interpolate from
    (('mono8', [1, 2, 3, 4], 2, 2), ['list']),  # not a buffer
    (('mono8', np.zeros((4, 4), np.uint8)[:, ::2], 2, 4), ['contiguous']),  # strided buffer
])
def test_inconsistent_messages_are_rejected_with_both_numbers(arguments, words):
    with pytest.raises(ImageError) as error:
        images.decode(*arguments)
    for word in words:
        assert word in str(error.value)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(images.ENCODINGS + ('8UC2', '')), st.binary(max_size=200),
       st.integers(-1, 12), st.integers(-1, 12), st.integers(-1, 40), st.booleans())
def test_any_message_gives_an_image_or_an_image_error(encoding, data, width, height, step, big):
    try:
        image = images.decode(encoding, data, width, height, step, big)
    except ImageError:
        return
    assert image.shape[:2] == (height, width)


@pytest.mark.parametrize('image, encoding, published', [
    (_gray(np.uint8), None, 'mono8'),
    (_gray(np.uint8), '8UC1', '8UC1'),
    (_gray(np.uint16), None, 'mono16'),
    (_gray(np.uint16), '16UC1', '16UC1'),
    (_gray(np.float32), None, '32FC1'),
    (_gray(np.float64), None, '64FC1'),
    (_gray(np.uint8, (4, 6, 3)), None, 'bgr8'),
    (_gray(np.uint8, (4, 6, 3)), 'rgb8', 'rgb8'),
    (_gray(np.uint16, (4, 6, 3)), None, 'bgr16'),
    (_gray(np.uint8, (4, 12))[:, ::2], None, 'mono8'),  # not contiguous
])
def test_encode_then_decode_is_the_identity(image, encoding, published):
    name, data, step = images.encode(image, encoding)
    assert (name, step) == (published, image.itemsize * image[0].size)
    message = array('B')
    message.frombytes(data)
    np.testing.assert_array_equal(images.decode(name, message, 6, 4, step), image)


def test_encode_does_not_copy():
    image = _gray(np.uint8, (4, 6, 3))
    assert np.shares_memory(np.frombuffer(images.encode(image).data, np.uint8), image)


@pytest.mark.parametrize('image, encoding', [
    (_gray(np.int32), None),  # no such encoding
    (_gray(np.uint8, (4, 6, 4)), None),  # alpha is never published
    (_gray(np.uint8, (0, 6)), None),  # empty
    (_gray(np.uint8), 'mono16'),  # the dtype contradicts the name
    (_gray(np.float32, (4, 6, 3)), None),
])
def test_encode_rejects_arrays_without_an_encoding(image, encoding):
    described = f'cannot publish an array of shape {image.shape} and dtype {image.dtype}'
    with pytest.raises(ImageError, match=re.escape(described)):
        images.encode(image, encoding)


def _smooth(dtype, shape, top) -> np.ndarray:
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])) * top / sum(shape)
    return ramp.astype(dtype) if len(shape) == 2 else \
        np.dstack([ramp, ramp[::-1], ramp[:, ::-1]]).astype(dtype)


@pytest.mark.parametrize('image', [
    _smooth(np.uint8, (20, 30), 250), _smooth(np.uint16, (20, 30), 60000),
    _smooth(np.uint8, (20, 30, 3), 250), _smooth(np.uint16, (20, 30, 3), 60000),
])
def test_png_is_lossless(image):
    message_format, data = images.encode_compressed(image, 'png')
    message = array('B')
    message.frombytes(data)
    decoded = images.decode_compressed(message_format, message)
    assert decoded.dtype == image.dtype
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize('shape', [(40, 60), (40, 60, 3)])
def test_jpeg_is_close_and_preserves_gray(shape):
    image = _smooth(np.uint8, shape, 250)
    decoded = images.decode_compressed(*images.encode_compressed(image, 'jpeg', quality=95))
    assert decoded.shape == shape
    assert np.abs(decoded.astype(int) - image).mean() < 3


BLUE = np.tile(np.array([255, 0, 0], np.uint8), (16, 16, 1))


@pytest.mark.parametrize('message_format, blue_channel', [
    ('jpeg', 0), ('png', 0), ('', 0),  # cameras that state only the codec
    ('bgr8; jpeg compressed bgr8', 0), ('rgb8; jpeg compressed bgr8', 0),  # image_transport
    ('rgb8; png compressed bgr8', 0), ('bgra8; png compressed bgr8', 0),
    ('rgb8; jpeg compressed ', 2),  # the file holds red and blue exchanged
    ('bgr8; jpeg compressed rgb8', 2),
])
@pytest.mark.parametrize('codec', ['jpeg', 'png'])
def test_channel_order_follows_image_transport(message_format, blue_channel, codec):
    data = images.encode_compressed(BLUE, codec).data
    decoded = images.decode_compressed(message_format, data)
    assert decoded[8, 8, blue_channel] > 250 and decoded[8, 8, 2 - blue_channel] < 5


def test_alpha_of_a_png_is_dropped():
    file = cv2.imencode('.png', np.dstack([BLUE, np.full((16, 16), 77, np.uint8)]))[1]
    np.testing.assert_array_equal(images.decode_compressed('png', file.tobytes()), BLUE)
    np.testing.assert_array_equal(images.decode_file(file.tobytes()), BLUE)


def test_a_compressed_mosaic_becomes_bgr():
    mosaic = np.tile(np.array([[10, 20], [20, 30]], np.uint8), (4, 4))
    data = images.encode_compressed(mosaic, 'png').data
    assert (images.decode_compressed('bayer_rggb8; png compressed ', data) == [30, 20, 10]).all()


@pytest.mark.parametrize('image, codec', [
    (_gray(np.uint16), 'jpeg'), (_gray(np.float32), 'png'), (_gray(np.uint8), 'webp')])
def test_encode_compressed_rejects_unsupported_arrays(image, codec):
    with pytest.raises(ImageError):
        images.encode_compressed(image, codec)


def test_as_bgr8_returns_a_bgr8_image_without_a_copy():
    assert images.as_bgr8(BLUE) is BLUE


@pytest.mark.parametrize('image, white_level, expected', [
    (np.full((2, 2), 7, np.uint8), 65535, 7),
    (np.full((2, 2), 65535, np.uint16), 65535, 255),
    (np.full((2, 2, 3), 257 * 100, np.uint16), 65535, 100),
    (np.full((2, 2, 3), 4095, np.uint16), 4095, 255),  # 12-bit camera
    (np.full((2, 2, 3), 5000, np.uint16), 4095, 255),  # saturates
    (np.full((2, 2, 3), 0.2, np.float32), 65535, 51),
    (np.full((2, 2), 1.3, np.float64), 65535, 255),  # brighter than white
    (np.full((2, 2, 3), 51.2, np.float32), 65535, 51),  # counts of 8 bits
    (np.full((2, 2, 3), np.nan, np.float32), 65535, 0),
    (np.full((2, 2, 3), -np.inf, np.float32), 65535, 0),
    (np.full((2, 2, 3), np.inf, np.float32), 65535, 255),
])
def test_as_bgr8_scales_to_8_bit(image, white_level, expected):
    bgr = images.as_bgr8(image, white_level)
    assert bgr.shape == (2, 2, 3) and bgr.dtype == np.uint8 and (bgr == expected).all()


@pytest.mark.parametrize('image', [_gray(np.int16), _gray(np.uint8, (4, 6, 4))])
def test_as_bgr8_rejects_other_arrays(image):
    described = f'got an array of shape {image.shape} and dtype {image.dtype}'
    with pytest.raises(ImageError, match=re.escape(described)):
        images.as_bgr8(image)


@pytest.mark.parametrize('shape', [(4, 6), (4, 6, 3), (1, 1)])
def test_gray_and_bgr_of_8_bits_pass_the_check(shape):
    images.check_8bit(np.zeros(shape, np.uint8), 'rgb')


@pytest.mark.parametrize('image, got', [
    (None, 'a numpy array, got NoneType'), ([[1, 2]], 'a numpy array, got list'),
    (np.zeros(6, np.uint8), 'got (6,) uint8'),
    (np.zeros((4, 6, 1), np.uint8), 'got (4, 6, 1) uint8'),
    (np.zeros((4, 6, 2), np.uint8), 'got (4, 6, 2) uint8'),
    (np.zeros((4, 6, 4), np.uint8), 'got (4, 6, 4) uint8'),
    (np.zeros((4, 6, 3, 1), np.uint8), 'got (4, 6, 3, 1) uint8'),
    (np.zeros((4, 6), np.uint16), 'got (4, 6) uint16'),
    (np.zeros((4, 6, 3), np.float32), 'got (4, 6, 3) float32'),
    (np.zeros((0, 6), np.uint8), 'got (0, 6) uint8'),
    (np.zeros((4, 0, 3), np.uint8), 'got (4, 0, 3) uint8'),
])
def test_other_images_fail_the_check_with_the_error_of_the_stage(image, got):
    class StageError(ValueError):
        pass

    with pytest.raises(StageError, match=f'^rgb must be .*{re.escape(got)}$'):
        images.check_8bit(image, 'rgb', StageError)
    with pytest.raises(ImageError, match=re.escape(got)):
        images.check_8bit(image, 'rgb')


@pytest.mark.parametrize('encoding', ['mono8', 'mono16', '32FC1', 'bgr8', 'rgb8', 'bgra8',
                                      'rgba8', 'bayer_rggb8', 'bayer_gbrg8', 'yuv422',
                                      'yuv422_yuy2'])
def test_agrees_with_cv_bridge(encoding):
    cv_bridge = pytest.importorskip('cv_bridge', reason='cv_bridge is not installed')
    messages = pytest.importorskip('sensor_msgs.msg', reason='sensor_msgs is not installed')
    bytes_per_pixel = {'mono8': 1, 'mono16': 2, '32FC1': 4, 'bgr8': 3, 'rgb8': 3, 'bgra8': 4,
                       'rgba8': 4, 'yuv422': 2, 'yuv422_yuy2': 2}.get(encoding, 1)
    pixels = np.random.default_rng(1).integers(0, 128, 12 * 8 * bytes_per_pixel, np.uint8)
    message = messages.Image(height=8, width=12, encoding=encoding, step=12 * bytes_per_pixel)
    message.data = array('B', pixels.tobytes())
    gray = encoding in GRAY
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(message, encoding if gray else 'bgr8')
    image = images.decode(encoding, message.data, 12, 8, message.step)
    np.testing.assert_array_equal(image, np.asarray(expected).reshape(image.shape))
