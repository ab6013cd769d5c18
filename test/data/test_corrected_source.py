# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A source whose images are corrected as the nodes do it."""

from __future__ import annotations

from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.corrected_source import CorrectedSource
from ivf_ros.data.recording import SourceError
from ivf_ros.palettes import palette_colors
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Event, Frame, Truth
import numpy as np
import pytest

GRAY = np.tile(np.arange(0, 256, 4, np.uint8), (48, 1))
RGB = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


class Pairs:
    """A source of two pairs."""

    name, rate_hz, skipped = 'pairs', 10.0, {'unreadable': 1}

    def __init__(self, thermal):
        self._thermal = thermal

    def events(self, is_wanted=None):
        for stamp_ns in (1, 2):
            yield Event('thermal', Frame(self._thermal, stamp_ns, 'thermal'))
            yield Event('rgb', Frame(RGB, stamp_ns, 'rgb'), Truth(np.eye(3)))


PLAIN_THERMAL, PLAIN_RGB = ThermalCameraParameters(), CameraParameters()


def read(thermal, thermal_camera=PLAIN_THERMAL, rgb_camera=PLAIN_RGB):
    source = CorrectedSource(Pairs(thermal), thermal_camera, rgb_camera)
    return source, list(source.events())


def test_plain_images_and_their_truth_are_handed_on():
    source, events = read(GRAY)
    assert [event.stream for event in events] == ['thermal', 'rgb'] * 2
    assert events[0].frame.image is GRAY and events[1].frame.image is RGB
    np.testing.assert_array_equal(events[1].truth.H_thermal_to_rgb, np.eye(3))
    assert source.skipped == {'unreadable': 1}


def test_both_cameras_are_turned_and_the_truth_is_dropped():
    _, events = read(GRAY, ThermalCameraParameters(rotate=90), CameraParameters(mirror='vertical'))
    np.testing.assert_array_equal(events[0].frame.image, np.rot90(GRAY, -1))
    np.testing.assert_array_equal(events[1].frame.image, RGB[::-1])
    assert events[1].truth is None


def test_false_colours_need_a_palette():
    coloured = palette_colors('ironbow')[GRAY]
    with pytest.raises(SourceError, match=r'no thermal image can be used.*false colours'):
        read(coloured)
    _, events = read(coloured, ThermalCameraParameters(palette='auto'))
    assert np.abs(events[0].frame.image.astype(int) - GRAY).max() <= 2
