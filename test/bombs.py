# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files that are small and state, or hold, far more than a computer can take."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack('>I', len(content)) + kind + content \
        + struct.pack('>I', zlib.crc32(kind + content))


def make_png(width: int, height: int, *, more_chunks: bytes = b'') -> bytes:
    """Make a black PNG file in colour; of 30000x30000 pixels it has 2.6 MB and takes 2.7 GB."""
    n_bytes = (1 + 3 * width) * height
    block_bytes = 1 << 24
    compressor = zlib.compressobj(9, wbits=-15)
    # The same block again and again, which takes less time than to compress all of them.
    block = compressor.compress(bytes(block_bytes)) + compressor.flush(zlib.Z_FULL_FLUSH)
    end = compressor.compress(bytes(n_bytes % block_bytes)) + compressor.flush()
    checksum = n_bytes % 65521 << 16 | 1  # Adler-32 of zeros
    content = b'\x78\xda' + block * (n_bytes // block_bytes) + end \
        + struct.pack('>I', checksum)
    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', header) + more_chunks \
        + png_chunk(b'IDAT', content) + png_chunk(b'IEND', b'')


def state_size(suffix: str, width: int, height: int) -> bytes:
    """
    Make an image file whose header states a size.

    The file is a real one of 64x64 pixels, apart from its header.
    """
    options = {'.webp': (cv2.IMWRITE_WEBP_QUALITY, 80),
               'lossless.webp': (cv2.IMWRITE_WEBP_QUALITY, 101)}.get(suffix, ())
    image = np.arange(4096, dtype=np.uint16).astype(np.uint8).reshape(64, 64)
    image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if suffix != '.pgm' else image
    file = bytearray(cv2.imencode(suffix[suffix.rindex('.'):], image, options)[1].tobytes())

    def write(form: str, *places: int, order: tuple[int, int] = (width, height)) -> None:
        for place, side in zip(places, order, strict=True):
            struct.pack_into(form, file, place, side)

    if suffix == '.png':
        write('>I', 16, 20)
        file[29:33] = struct.pack('>I', zlib.crc32(file[12:29]))
    elif suffix in ('.jpg', 'progressive.jpg'):
        if suffix == 'progressive.jpg':
            file[:] = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
        frame = file.index(b'\xff\xc2' if suffix == 'progressive.jpg' else b'\xff\xc0')
        write('>H', frame + 7, frame + 5)
    elif suffix == '.tiff':
        for tag, side in ((256, width), (257, height)):
            entry = file.index(struct.pack('<HHI', tag, 4, 1)) \
                if struct.pack('<HHI', tag, 4, 1) in file else file.index(
                    struct.pack('<HHI', tag, 3, 1))
            file[entry:entry + 12] = struct.pack('<HHII', tag, 4, 1, side)
    elif suffix == '.webp':
        write('<H', 26, 28)
    elif suffix == 'lossless.webp':
        struct.pack_into('<I', file, 21, (width - 1) | (height - 1) << 14)
    elif suffix == '.jp2':
        start = file.index(b'\xff\x4f\xff\x51')
        write('>I', start + 8, start + 12)
    elif suffix == '.bmp':
        write('<i', 18, 22)
    else:
        head, _, rest = bytes(file).partition(b'\n64 64\n')
        file[:] = head + b'\n%d %d\n' % (width, height) + rest
    return bytes(file)


# Suffix -> the greatest size that the header can state, not square.
GREATEST_SIZES = {'.png': (30000, 29000), '.jpg': (65500, 65000),
                  'progressive.jpg': (65500, 65000), '.tiff': (2 ** 31, 2 ** 31 - 1),
                  '.webp': (16383, 16000),
                  'lossless.webp': (16384, 16000), '.jp2': (2 ** 31, 2 ** 31 - 1),
                  '.bmp': (2 ** 31 - 1, -2 ** 31), '.ppm': (99999, 88888), '.pgm': (99999, 88888)}
