# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of serialised images: the fields that rclpy reads, as views."""

from __future__ import annotations

from array import array

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='messages need rclpy')
pytestmark = pytest.mark.live

from ivf_ros.nodes.graph import cdr, messages  # noqa: E402, I100
from ivf_ros.types import Frame  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

STAMP_NS = 1_700_000_000_123_456_789
RANDOM = np.random.default_rng(0)

# Version 1, big endian: a 2 x 1 image of 16 bit, frame 'ab', as DDSI-RTPS lays it out.
BIG_ENDIAN = bytes.fromhex(
    '00000000'           # plain CDR, big endian
    '00000005' '00000007'                # 5 s, 7 ns
    '00000003' '616200' '00'             # 'ab', aligned to the next number
    '00000001' '00000002'                # height, width
    '00000007' '6d6f6e6f313600' '01'     # 'mono16', is_bigendian
    '00000004' '00000004' '01020304')    # step, length and bytes of the data


def make_image(encoding='mono8', frame_id='camera', size=(5, 7), is_bigendian=0) -> Image:
    message = Image(header=messages.make_header(STAMP_NS, frame_id), height=size[0],
                    width=size[1], encoding=encoding, step=size[1], is_bigendian=is_bigendian)
    message.data = array('B', RANDOM.integers(0, 256, size[0] * size[1], dtype=np.uint8).tobytes())
    return message


@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'abcd', 'wärmebild', 'x' * 300])
@pytest.mark.parametrize('encoding', ['mono8', '8UC1', 'yuv422_yuy2', 'bayer_rggb8'])
def test_the_fields_are_those_of_the_message_at_every_alignment(frame_id, encoding):
    message = make_image(encoding, frame_id, is_bigendian=1)
    fields = cdr.read_image(serialize_message(message))
    assert (fields.stamp_ns, fields.frame_id, fields.encoding) == (STAMP_NS, frame_id, encoding)
    assert (fields.height, fields.width, fields.step, fields.is_bigendian) == (5, 7, 7, True)
    assert bytes(fields.data) == message.data.tobytes()


@pytest.mark.parametrize('frame_id', ['', 'abc', 'abcd'])
def test_the_fields_of_a_compressed_image(frame_id):
    message = CompressedImage(header=messages.make_header(STAMP_NS, frame_id),
                              format='mono16; png compressed ')
    message.data = array('B', b'\x89PNG and so on')
    fields = cdr.read_compressed_image(serialize_message(message))
    assert (fields.stamp_ns, fields.frame_id) == (STAMP_NS, frame_id)
    assert fields.message_format == 'mono16; png compressed '
    assert bytes(fields.data) == message.data.tobytes()


def test_the_pixels_are_a_view_of_the_message():
    serialized = serialize_message(make_image())
    frame = messages.IMAGE.from_serialized(serialized)
    assert np.shares_memory(frame.image, np.frombuffer(serialized, np.uint8))
    assert not frame.image.flags.writeable


@pytest.mark.parametrize('image', [
    RANDOM.integers(0, 65536, (3, 5), dtype=np.uint16), RANDOM.random((3, 5), dtype=np.float32),
    RANDOM.random((3, 5)), RANDOM.integers(0, 256, (3, 5, 3), dtype=np.uint8),
], ids=['mono16', '32FC1', '64FC1', 'bgr8'])
@pytest.mark.parametrize('frame_id', ['', 'abcd'])
def test_a_frame_is_that_of_the_deserialised_message(image, frame_id):
    serialized = serialize_message(messages.image_to_message(Frame(image, STAMP_NS, frame_id)))
    frame = messages.IMAGE.from_serialized(serialized)
    expected = messages.image_from_message(deserialize_message(serialized, Image))
    np.testing.assert_array_equal(frame.image, expected.image)
    assert frame.image.dtype == image.dtype and frame.image.flags.aligned
    assert (frame.stamp_ns, frame.frame_id) == (expected.stamp_ns, expected.frame_id)


def test_a_message_of_a_big_endian_computer():
    frame = messages.IMAGE.from_serialized(BIG_ENDIAN)
    assert (frame.stamp_ns, frame.frame_id) == (5_000_000_007, 'ab')
    np.testing.assert_array_equal(frame.image, np.array([[0x0102, 0x0304]], np.uint16))


def test_a_message_that_is_cut_anywhere_is_refused():
    serialized = serialize_message(make_image(size=(1, 4)))
    for length in range(len(serialized) - 3):  # a serialiser may add up to 3 bytes of padding
        with pytest.raises(cdr.CdrError, match='truncated' if length >= 2 else 'plain CDR'):
            cdr.read_image(serialized[:length])


def test_another_representation_is_refused():
    serialized = bytearray(serialize_message(make_image()))
    serialized[:2] = b'\0\3'  # a parameter list
    with pytest.raises(cdr.CdrError, match="plain CDR, got the representation '0003'"):
        cdr.read_stamp_ns(bytes(serialized))
