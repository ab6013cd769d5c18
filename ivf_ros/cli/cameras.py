# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The options that say how the cameras of a recording are built in, and what thermal means."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ivf_ros.camera_input import CameraParameters
    from ivf_ros.thermal_input import ThermalCameraParameters


def add_thermal_camera_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--thermal-camera``, which ``thermal_camera_of`` reads."""
    parser.add_argument('--thermal-camera', action='append', default=[], metavar='KEY=VALUE',
                        help='a parameter thermal.KEY of the nodes, such as palette=auto, '
                        'polarity=black_hot, rotate=180 or crop=[0,0,0,2]; may be repeated')


def add_camera_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--thermal-camera`` and ``--rgb-camera``."""
    add_thermal_camera_option(parser)
    parser.add_argument('--rgb-camera', action='append', default=[], metavar='KEY=VALUE',
                        help='a parameter rgb.KEY of the nodes, likewise')


def thermal_camera_of(options: argparse.Namespace) -> ThermalCameraParameters:
    """Return the parameters of the thermal camera; raise ParameterError for a wrong one."""
    from ivf_ros.parameters import build, parse_settings
    from ivf_ros.thermal_input import ThermalCameraParameters
    return build(ThermalCameraParameters, parse_settings(options.thermal_camera))


def rgb_camera_of(options: argparse.Namespace) -> CameraParameters:
    """Return the parameters of the RGB camera; raise ParameterError for a wrong one."""
    from ivf_ros.camera_input import CameraParameters
    from ivf_ros.parameters import build, parse_settings
    return build(CameraParameters, parse_settings(options.rgb_camera))
