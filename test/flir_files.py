# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Radiometric JPEG files with known temperatures, after the description of ExifTool."""

from __future__ import annotations

import struct

import cv2
import numpy as np

PLANCK_R1, PLANCK_B, PLANCK_F, PLANCK_O, PLANCK_R2 = 17096.453, 1428.0, 1.0, -342, 0.04660
_FREE_ENTRIES = 4
_PICTURE = np.tile(np.array([30, 200, 90], np.uint8), (24, 32, 1))


def raw_of(celsius: np.ndarray) -> np.ndarray:
    """Return raw values for an emissivity of 1 and no air in between (law of Planck)."""
    exponent = np.exp(PLANCK_B / (celsius + 273.15))
    return np.rint(PLANCK_R1 / (PLANCK_R2 * (exponent - PLANCK_F)) - PLANCK_O).astype(np.uint16)


def make_flir_jpeg(celsius: np.ndarray, visible: np.ndarray | None = None,
                   placement: tuple[float, int, int] | None = None) -> bytes:
    """
    Return a JPEG file with the temperatures.

    ``visible`` is BGR; ``placement`` is the scale and the shift (x, y) of picture in picture.
    """
    height, width = celsius.shape
    size = struct.pack('<HHH', 2, width, height)
    records = {1: size.ljust(32, b'\0') + raw_of(celsius).astype('<u2').tobytes(),
               32: _calibration()}
    if visible is not None:
        size = struct.pack('<HHH', 2, visible.shape[1], visible.shape[0])
        records[14] = size.ljust(32, b'\0') + cv2.imencode('.png', visible)[1].tobytes()
    if placement is not None:
        records[42] = struct.pack('<fhhhhhh', *placement, 0, width, 0, height)
    return insert_segments(cv2.imencode('.jpg', _PICTURE)[1].tobytes(), _file_of(records))


def insert_segments(jpeg: bytes, content: bytes, marker: bytes = b'\xff\xe1') -> bytes:
    """Insert FLIR segments of at most 64 KB after the start of a JPEG file."""
    parts = [content[start:start + 65000] for start in range(0, len(content), 65000)]
    segments = b''.join(
        marker + struct.pack('>H', len(part) + 10) + b'FLIR\0\x01'
        + bytes([number, len(parts) - 1]) + part for number, part in enumerate(parts))
    return jpeg[:2] + segments + jpeg[2:]


def _calibration() -> bytes:
    content = bytearray(900)
    # emissivity, distance, reflected, air and window temperature, transmission of the window
    struct.pack_into('<6f', content, 32, 1.0, 0.0, 293.15, 293.15, 293.15, 1.0)
    struct.pack_into('<f', content, 60, 0.5)  # humidity
    struct.pack_into('<3f', content, 88, PLANCK_R1, PLANCK_B, PLANCK_F)
    struct.pack_into('<5f', content, 112, 0.006569, 0.01262, -0.002276, -0.00667, 1.9)
    struct.pack_into('<i', content, 776, PLANCK_O)
    struct.pack_into('<f', content, 780, PLANCK_R2)
    return bytes(content)


def _file_of(records: dict[int, bytes]) -> bytes:
    """Return a FLIR file: a header of 64 bytes, the directory with free entries, the records."""
    entries, content = [], b''
    start = 64 + 32 * (len(records) + _FREE_ENTRIES)
    for kind, record in records.items():
        entries.append(struct.pack('>HHIIII', kind, 1, 100, 1, start + len(content), len(record))
                       .ljust(32, b'\0'))
        content += record
    entries.append(bytes(32 * _FREE_ENTRIES))
    header = b'FFF\0'.ljust(20, b'\0') + struct.pack('>III', 100, 64,
                                                     len(records) + _FREE_ENTRIES)
    return header.ljust(64, b'\0') + b''.join(entries) + content
