# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The options of commands that read a bag: its topics, and which of its times are the stamps."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ivf_ros.stamps import STAMPS

if TYPE_CHECKING:
    from ivf_ros.data.sources import BagOptions

_TOPICS = {
    'thermal_topic': 'image topic of the thermal camera in a bag (default: thermal/image_raw, or '
    'the one that its name shows)',
    'rgb_topic': 'image topic of the RGB camera in a bag (default: rgb/image_raw, or the one that '
    'its name shows)',
    'thermal_info_topic': 'topic of its CameraInfo (default: camera_info beside the images)',
    'rgb_info_topic': 'topic of its CameraInfo (default: camera_info beside the images)'}


def add_bag_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--thermal-topic`` and so on, which ``bag_options_of`` reads."""
    bag = parser.add_argument_group('bags')
    for name, description in _TOPICS.items():
        bag.add_argument('--' + name.replace('_', '-'), metavar='TOPIC', help=description)
    bag.add_argument('--stamps', choices=STAMPS, default='auto',
                     help='stamps of a bag: those of the headers, the time of recording, or auto: '
                     'the headers as far as their clocks can be used (default: auto)')


def bag_options_of(options: argparse.Namespace) -> BagOptions:
    """Return the options as arguments of ``open_source``."""
    return {'thermal_topic': options.thermal_topic, 'rgb_topic': options.rgb_topic,
            'thermal_info_topic': options.thermal_info_topic,
            'rgb_info_topic': options.rgb_info_topic, 'stamps': options.stamps}
