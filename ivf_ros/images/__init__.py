# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Image encodings and codecs, to arrays and back, without ROS.

Gray images are ``(H, W)`` arrays of the dtype that was sent. Colour images are ``(H, W, 3)``
arrays in BGR order; an alpha channel is dropped. Samples are uint8, uint16, float32 or float64:
see ``to_sample_type`` for signed and 32-bit integers.
"""

from ivf_ros.images.arrays import (
    as_bgr8,
    check_8bit,
    ImageError,
    to_sample_type,
    TruncatedFileError,
)
from ivf_ros.images.codecs import Compressed, decode_compressed, decode_file, encode_compressed
from ivf_ros.images.encodings import decode, encode, Encoded, ENCODINGS

__all__ = ['as_bgr8', 'check_8bit', 'Compressed', 'decode', 'decode_compressed', 'decode_file',
           'encode', 'encode_compressed', 'Encoded', 'ENCODINGS', 'ImageError', 'to_sample_type',
           'TruncatedFileError']
