# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples of a data set, warped to the RGB grid by the true homography."""

from __future__ import annotations

from ivf_ros import geometry
from ivf_ros.data.sample import Sample
from ivf_ros.network_inputs import AlignedPair
from ivf_ros.thermal_on_rgb import ThermalWarper


def explain_unaligned(sample: Sample) -> str:
    """Return why a sample cannot be warped to one grid, or '' if it can."""
    has_homography = sample.aligned or sample.H_thermal_to_rgb is not None
    return '' if has_homography else 'thermal and RGB are not aligned and no homography is known'


def read_aligned(sample: Sample) -> AlignedPair:
    """
    Read a sample and warp thermal to the RGB grid in the same way as the nodes.

    The sample must be aligned or have a homography; see ``explain_unaligned``.

    Raises
    ------
    SourceError
        An image cannot be read.

    """
    thermal, rgb = sample.read_thermal(), sample.read_rgb()
    H = sample.true_H_thermal_to_rgb(geometry.size_of(thermal), geometry.size_of(rgb))
    assert H is not None, explain_unaligned(sample)
    warped = ThermalWarper().warp_gray(thermal, H, geometry.size_of(rgb))
    return AlignedPair(warped.image, rgb, warped.coverage)
