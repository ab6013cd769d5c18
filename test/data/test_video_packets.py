# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Packets of a video stream: all codecs of the messages, late start, damage, stamps."""

from __future__ import annotations

from fractions import Fraction
import subprocess
import sys
from unittest import mock

from ivf_ros.data.recording import SourceError
from ivf_ros.data.video_packets import PacketDecoder
from ivf_ros.images import ImageError
import numpy as np
import pytest

av = pytest.importorskip('av', reason='PyAV is not installed')

FRAME_COUNT = 12


def gray_level(index: int) -> int:
    return 20 + 18 * index


def encode(codec: str, options: dict[str, str] | None = None, gop: int = 4) -> list[bytes]:
    """Return the packets of gray images whose level tells their number."""
    try:
        encoder = av.CodecContext.create(codec, 'w')
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f'this PyAV has no encoder {codec}')
    encoder.width, encoder.height, encoder.pix_fmt = 128, 96, 'yuv420p'
    encoder.time_base, encoder.framerate = Fraction(1, 10), Fraction(10, 1)
    encoder.gop_size, encoder.options = gop, options or {}
    packets = []
    for index in range(FRAME_COUNT):
        image = np.full((96, 128, 3), gray_level(index), np.uint8)
        image[:, :64, 2] = 250  # the left half is red
        frame = av.VideoFrame.from_ndarray(image, 'bgr24')
        frame.pts = index
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in packets + encoder.encode(None)]


def level_of(image: np.ndarray) -> float:
    return float(image[20:70, 80:120].mean())


NO_DELAY = {'tune': 'zerolatency', 'preset': 'ultrafast'}


# A sequence header, and a key frame of 32x32 pixels with garbage behind it.
AV1_HEADER = bytes.fromhex('0a0a0000000227fe357c80').ljust(33, b'\0')
AV1_DAMAGED = bytes.fromhex('32111029d02b5e45341600120032123002040924927af07a0002007af07a00020000'
                            '0000084984')


@pytest.mark.parametrize('name, codec, options', [
    ('h264', 'libx264', NO_DELAY),
    ('libx264', 'libx264', NO_DELAY),
    ('h264_nvenc', 'libx264', NO_DELAY),
    ('libx264;yuv420p;bgr8;bgr8', 'libx264', NO_DELAY),
    ('h265', 'libx265', {**NO_DELAY, 'x265-params': 'log-level=none'}),
    ('hevc_vaapi', 'libx265', {**NO_DELAY, 'x265-params': 'log-level=none'}),
    ('libvpx-vp9', 'libvpx-vp9', {'deadline': 'realtime', 'lag-in-frames': '0'}),
    ('av1', 'libsvtav1', {'preset': '12'}),
    ('mpeg4', 'mpeg4', {}),
])
def test_all_images_of_a_stream_come_in_order_as_bgr(name, codec, options):
    decoder = PacketDecoder(name)
    images = [image for packet in encode(codec, options) for image in decoder.decode(packet)]
    images += decoder.flush()
    assert len(images) == FRAME_COUNT
    for index, image in enumerate(images):
        assert image.shape == (96, 128, 3) and image.dtype == np.uint8
        assert abs(level_of(image) - gray_level(index)) < 6
        assert image[40, 20, 2] > 200  # red is the last channel
    assert decoder.skipped_count == 0


def test_the_stamp_of_a_packet_stays_with_its_image_also_if_packets_are_reordered():
    packets = encode('libx264', {'preset': 'medium', 'bf': '2', 'sc_threshold': '0'}, gop=12)
    decoder = PacketDecoder('h264')
    stamped = [pair for number, packet in enumerate(packets)
               for pair in decoder.decode_stamped(packet, number)] + decoder.flush_stamped()
    stamps = [stamp for stamp, _ in stamped]
    # Packets come in the order of decoding, images in the order of display.
    assert sorted(stamps) == list(range(FRAME_COUNT)) and stamps != sorted(stamps)
    levels = [level_of(image) for _, image in stamped]
    assert levels == sorted(levels) and decoder.skipped_count == 0


@pytest.mark.parametrize('codec, options', [
    ('libx264', NO_DELAY), ('libx265', {**NO_DELAY, 'x265-params': 'log-level=none'})])
def test_packets_before_the_first_key_frame_are_counted_and_the_rest_decodes(codec, options):
    packets = encode(codec, options)
    decoder = PacketDecoder(codec)
    images = [image for packet in packets[1:] for image in decoder.decode(packet)]
    images += decoder.flush()
    assert decoder.skipped_count == 3  # of a group of four images the first is missing
    assert len(images) == FRAME_COUNT - 4
    assert abs(level_of(images[0]) - gray_level(4)) < 6


def test_a_damaged_packet_is_an_image_error_and_the_next_key_frame_decodes():
    packets = encode('libx264', NO_DELAY)
    decoder = PacketDecoder('h264')
    assert len(decoder.decode(packets[0])) == 1
    with pytest.raises(ImageError, match="'h264'"):
        decoder.decode(b'\x00\x00\x00\x01\x65\xff\xff\xff\xff')
    assert decoder.decode(b'') == []
    images = decoder.decode(packets[4])
    assert len(images) == 1 and abs(level_of(images[0]) - gray_level(4)) < 6


def test_a_damaged_packet_of_av1_does_not_hang():
    # A key frame of 32x32 pixels, and a packet of garbage.
    frame, garbage = map(bytes.fromhex, (
        '12000a0a0000000227fe357c802032111000968010408200000000100029d02b5e',
        '160012003212300204f0db927af000000200000000084984'))
    script = (f'from ivf_ros.data.video_packets import PacketDecoder\n'
              f'from ivf_ros.images import ImageError\n'
              f"decoder = PacketDecoder('av1')\n"
              f'print(*(image.shape for image in decoder.decode({frame})))\n'
              f'try:\n    decoder.decode({garbage})\n'
              f"except ImageError:\n    print('damaged')\n"
              f'decoder.flush()\ndel decoder\n')
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                          timeout=60, check=True)
    assert done.stdout == '(32, 32, 3)\ndamaged\n'


def test_a_damaged_end_is_an_image_error():
    decoder = PacketDecoder('av1')
    assert decoder.decode(AV1_HEADER) == []
    assert [image.shape for image in decoder.decode(AV1_DAMAGED)] == [(32, 32, 3)]
    with pytest.raises(ImageError, match="cannot decode the end of 'av1' video"):
        decoder.flush()


def test_garbage_alone_gives_no_image_and_counts():
    decoder = PacketDecoder('hevc')
    assert decoder.decode(b'no video at all') == [] and decoder.flush() == []
    assert decoder.skipped_count == 1


def test_an_unknown_codec_names_the_known_ones():
    with pytest.raises(SourceError, match="'theora'; known: h264"):
        PacketDecoder('theora')


def test_the_error_names_the_library_that_is_missing():
    with mock.patch.dict(sys.modules, {'av': None}), \
            pytest.raises(SourceError, match='pip install av'):
        PacketDecoder('h264')
