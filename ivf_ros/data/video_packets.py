# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Decoding of video that arrives packet by packet, as in messages of a camera driver."""

from __future__ import annotations

from typing import Any

from ivf_ros.data.recording import SourceError
from ivf_ros.images import ImageError
from ivf_ros.images.limits import check_size, MAX_PIXELS
from ivf_ros.optional_imports import explain_missing
import numpy as np

# Decoder of libavcodec -> names of the codec: of the standard, and of encoders without the prefix
# 'lib' and without the hardware suffix (h264_nvenc).
_CODEC_NAMES = {
    'h264': ('h264', 'h.264', 'avc', 'avc1', 'x264', 'x264rgb', 'openh264'),
    'hevc': ('hevc', 'h265', 'h.265', 'hvc1', 'x265', 'kvazaar'),
    'libdav1d': ('av1', 'dav1d', 'aom-av1', 'svtav1', 'rav1e'),
    'vp9': ('vp9', 'vpx-vp9'),
    'vp8': ('vp8', 'vpx'),
    'mpeg4': ('mpeg4', 'xvid'),
    'mjpeg': ('mjpeg',),
}
# Of libavcodec, as texts.
DECODER_OPTIONS = {'max_pixels': str(MAX_PIXELS)}

_DECODERS = {name: decoder for decoder, names in _CODEC_NAMES.items() for name in names}


class PacketDecoder:
    """
    Decodes the packets of one video stream in order; a packet depends on those before it.

    The packets are those of ``ffmpeg_image_transport_msgs/FFMPEGPacket`` and
    ``foxglove_msgs/CompressedVideo``: one packet holds one coded image, H.264 and H.265 in Annex B
    format with the parameter sets in front of each key frame.

    Parameters
    ----------
    codec:
        Name of a codec or of an encoder, such as ``'h264'``, ``'hevc'``, ``'libx264'`` or
        ``'h264_nvenc'``. What follows a ``;`` or ``/`` is ignored, because FFMPEGPacket appends
        the pixel format.

    Attributes
    ----------
    skipped_count:
        Number of packets before the first key frame, which cannot be decoded.

    Raises
    ------
    SourceError
        The codec is unknown, or PyAV is not installed.

    """

    def __init__(self, codec: str) -> None:
        name = codec.replace('/', ';').split(';')[0].strip().lower()
        decoder = _DECODERS.get(name.removeprefix('lib').split('_')[0])
        if decoder is None:
            raise SourceError(f"unknown video codec '{codec}'; known: {', '.join(_DECODERS)}")
        with explain_missing(f"decoding '{codec}' video", SourceError, 'av'):
            import av
        self._av = av
        self._codec = codec
        self._context: Any = av.CodecContext.create(decoder, 'r')
        self._context.options = DECODER_OPTIONS
        # Threads over frames would delay each image by the number of threads.
        self._context.thread_type = 'SLICE'
        if decoder == 'libdav1d':  # with more threads it waits for ever after a damaged packet
            self._context.thread_count = 1
        self._packet_count = 0
        self._is_started = False
        self._first_stamps_ns: list[int] = []  # of the packets up to the first image
        self.skipped_count = 0

    def decode(self, data: Any) -> list[np.ndarray]:
        """
        Decode one packet.

        ``data`` is a contiguous buffer of bytes. The images are ``(H, W, 3)`` BGR uint8, or
        ``(H, W)`` uint8 or uint16 if the stream is gray. There is one image for each packet,
        except before the first key frame (none) and in a stream with bidirectional prediction
        (later).

        Raises
        ------
        ImageError
            The packet is damaged, or its image is larger than ``images.limits`` allows. The next
            packets can be decoded nevertheless.

        """
        return [image for _, image in self.decode_stamped(data, self._packet_count)]

    def decode_stamped(self, data: Any, stamp_ns: int) -> list[tuple[int, np.ndarray]]:
        """Decode one packet as ``decode`` does, and return each image with its own stamp."""
        self._packet_count += 1
        packet = self._av.Packet(bytes(data))
        packet.pts = stamp_ns
        if not self._is_started:
            self._first_stamps_ns.append(stamp_ns)
        try:
            return self._to_arrays(self._context.decode(packet)) if packet.size else []
        except self._av.FFmpegError as error:
            if self._context.width and self._context.height:
                check_size(self._context.width, self._context.height, f"'{self._codec}' video")
            elif isinstance(error, (self._av.error.ArgumentError, MemoryError, OverflowError)):
                raise ImageError(f"cannot decode a packet of '{self._codec}' video: it is damaged "
                                 f'or has more than {MAX_PIXELS // 10 ** 6} megapixels') from None
            if self._is_started:
                raise ImageError(f"cannot decode a packet of '{self._codec}' video: "
                                 f'{error.strerror}') from None
            self.skipped_count += 1
            return []

    def flush(self) -> list[np.ndarray]:
        """
        Return the images that are still held back at the end of the stream.

        Raises
        ------
        ImageError
            They are damaged.

        """
        return [image for _, image in self.flush_stamped()]

    def flush_stamped(self) -> list[tuple[int, np.ndarray]]:
        """Return the images that are still held back, each with its own stamp."""
        try:
            return self._to_arrays(self._context.decode(None))
        except self._av.FFmpegError as error:
            raise ImageError(f"cannot decode the end of '{self._codec}' video: "
                             f'{error.strerror}') from None

    def _to_arrays(self, frames: list[Any]) -> list[tuple[int, np.ndarray]]:
        if frames and not self._is_started:
            self._is_started = True
            self.skipped_count = self._first_stamps_ns.index(frames[0].pts)
        return [(frame.pts, to_array(frame)) for frame in frames]


def to_array(frame: Any) -> np.ndarray:
    """
    Convert a frame of PyAV to ``(H, W)`` uint8 or uint16 if it is gray, else ``(H, W, 3)`` BGR.

    Counts of gray frames with more than 8 bits are not scaled. BGR is uint8.
    """
    components = frame.format.components
    if len(components) > 1 or frame.format.name.startswith(('mono', 'pal', 'bayer')):
        return frame.to_ndarray(format='bgr24')
    image = frame.to_ndarray()
    return image.astype(image.dtype.newbyteorder('='), copy=False)
