# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Gray videos of more than 8 bits: all counts, the missing library, damage."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
import sys
from unittest import mock

from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sources import open_source
from ivf_ros.data.video_file import VideoFile
from ivf_ros.data.video_frame import VideoFrame
import numpy as np
import pytest

av = pytest.importorskip('av', reason='PyAV is not installed')

FRAME_COUNT = 6
RAMP = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint16)


def counts_of(index: int, bits: int) -> np.ndarray:
    """Return counts that use all bits."""
    return (RAMP * ((1 << bits) // 128) + index).astype(np.uint16)


def save_video(path: Path, bits: int, byte_order: str = 'le', count: int = FRAME_COUNT,
               codec: str = 'ffv1') -> Path:
    """Write a gray video without loss; 8 bits are BGR here, because OpenCV reads them so."""
    pixel_format = f'gray{bits}{byte_order}' if bits > 8 else 'gray'
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixel_format
        for index in range(count):
            frame = av.VideoFrame(64, 48, pixel_format)
            plane = frame.planes[0]
            dtype = np.dtype(np.uint8) if bits == 8 else \
                np.dtype(np.uint16).newbyteorder('<' if byte_order == 'le' else '>')
            rows = np.zeros((48, plane.line_size // dtype.itemsize), dtype)
            rows[:, :64] = counts_of(index, bits)
            plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize('suffix, bits, byte_order, codec', [
    ('.mkv', 10, 'le', 'ffv1'), ('.mkv', 12, 'le', 'ffv1'), ('.mkv', 16, 'le', 'ffv1'),
    ('.avi', 10, 'le', 'ffv1'), ('.avi', 12, 'le', 'ffv1'), ('.avi', 16, 'le', 'ffv1'),
    ('.avi', 16, 'be', 'png')])
def test_all_bits_of_a_gray_video_are_read(tmp_path, suffix, bits, byte_order, codec):
    video = VideoFile(save_video(tmp_path / f'a{suffix}', bits, byte_order, codec=codec))
    assert (video.frame_count, video.rate_hz) == (FRAME_COUNT, 25.0)
    for index in range(FRAME_COUNT):
        image = video.read()
        assert image.dtype == np.uint16 and image.dtype.isnative
        np.testing.assert_array_equal(image, counts_of(index, bits))
    assert video.read() is None
    video.close()


def test_a_gray_video_of_8_bits_needs_no_library(tmp_path):
    with mock.patch.dict(sys.modules, {'av': None}):
        video = VideoFile(save_video(tmp_path / 'a.avi', 8))
        image = video.read()
    assert image.shape == (48, 64, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 0], counts_of(0, 8))


def test_a_deep_thermal_video_is_a_source_and_a_data_set(tmp_path):
    save_video(tmp_path / 'thermal.mkv', 16)
    save_video(tmp_path / 'visible.avi', 8)
    source = open_source(tmp_path)
    thermal = [event.frame.image for event in source.events() if event.stream == 'thermal']
    assert len(thermal) == FRAME_COUNT and source.skipped == {}
    np.testing.assert_array_equal(thermal[4], counts_of(4, 16))
    [dataset] = find_datasets(tmp_path)
    np.testing.assert_array_equal(dataset.samples[3].read_thermal(), counts_of(3, 16))
    assert dataset.samples[3].read_rgb().shape == (48, 64, 3)


def test_frames_of_a_deep_video_are_reached_in_any_order(tmp_path):
    path = save_video(tmp_path / 'thermal.mkv', 12)
    for index in (4, 4, 1, 5, 0):
        np.testing.assert_array_equal(VideoFrame(path, index).read(), counts_of(index, 12))
    with pytest.raises(SourceError, match='has no frame 6: 6 frames can be decoded'):
        VideoFrame(path, 6).read()


def test_without_pyav_a_deep_video_is_an_error_and_not_read_with_8_bits(tmp_path):
    save_video(tmp_path / 'thermal.mkv', 16)
    save_video(tmp_path / 'visible.avi', 8)
    with mock.patch.dict(sys.modules, {'av': None}), \
            pytest.raises(SourceError, match=r'thermal\.mkv: .* more than 8 bits .* install av'):
        open_source(tmp_path)


@pytest.mark.parametrize('fraction', [0.5, 0.9])
def test_a_truncated_deep_video_ends_early_with_a_count(tmp_path, fraction):
    path = save_video(tmp_path / 'thermal.avi', 16, count=40)
    save_video(tmp_path / 'visible.avi', 8, count=40)
    path.write_bytes(path.read_bytes()[:int(fraction * path.stat().st_size)])
    source = open_source(tmp_path)
    frames = sum(event.stream == 'thermal' for event in source.events())
    assert 0 < frames < 40 and source.skipped == {'undecodable': 40 - frames}
