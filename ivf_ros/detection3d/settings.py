# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the positions in space."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import group, parameter, ParameterError
from ivf_ros.thermal import RadiometryParameters


@dataclass(frozen=True)
class DepthParameters:
    """Which depths are used, and where the depth sensor is."""

    min_m: float = parameter(
        0.1, 'Smaller depths are not used.', minimum=0.0, maximum=1000.0)
    max_m: float = parameter(
        150.0, 'Greater depths are not used.', minimum=0.1, maximum=10000.0)
    R_depth_to_rgb: tuple = parameter(
        (), 'Nine numbers, row-major: rotation from the frame of the depth sensor to the optical '
        'frame of RGB. Empty for none. Not used for registered depth.')
    t_depth_to_rgb_m: tuple = parameter(
        (), 'Three numbers: translation from the frame of the depth sensor to the optical frame '
        'of RGB in metres. Empty for none. Not used for registered depth.')

    def __post_init__(self) -> None:
        for name, length in (('R_depth_to_rgb', 9), ('t_depth_to_rgb_m', 3)):
            if len(getattr(self, name)) not in (0, length):
                raise ParameterError(f'depth.{name} must have {length} numbers or none, got '
                                     f'{len(getattr(self, name))}')


@dataclass(frozen=True)
class PositionParameters:
    """How the position of an object follows from the depths in its box."""

    min_pixels: int = parameter(
        5, 'An object with fewer pixels that have a depth is left out.', minimum=1,
        maximum=1000000)
    central_fraction: float = parameter(
        0.6, 'Width and height of the central part of a box in which the depth of the object is '
        'searched, as a fraction of the box. With labels the pixels of the class are taken '
        'instead.', minimum=0.05, maximum=1.0)
    bin_ratio: float = parameter(
        0.05, 'Width of the bins of depth, as a fraction of the depth. Depths that are closer '
        'than this belong together.', minimum=0.005, maximum=0.5)
    min_label_fraction: float = parameter(
        0.1, 'The labels are used if at least this fraction of the pixels in the box has the '
        'class of the object.', minimum=0.0, maximum=1.0)
    depth_error_ratio: float = parameter(
        0.01, 'Standard deviation of the depth sensor as a fraction of the depth. It enters the '
        'covariance.', minimum=0.0, maximum=1.0)
    box_error_ratio: float = parameter(
        0.06, 'Standard deviation of the centre of a box as a fraction of its width or height. '
        'It enters the covariance.', minimum=0.0, maximum=1.0)
    box_error_px: float = parameter(
        1.0, 'Standard deviation of the centre of a box in pixels, which is added to that as a '
        'fraction.', minimum=0.0, maximum=1000.0)


@dataclass(frozen=True)
class Detection3dStageParameters:
    """Parameters of the positions of objects, and of the coloured point cloud."""

    depth: DepthParameters = group(DepthParameters)
    position: PositionParameters = group(PositionParameters)
    radiometry: RadiometryParameters = group(RadiometryParameters)
