# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of each node: its own, and those of the stages that it drives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivf_ros.detection import DetectionStageParameters
from ivf_ros.fusion import FusionStageParameters
from ivf_ros.pairing import PairingParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.registration import RegistrationStageParameters
from ivf_ros.segmentation import SegmentationStageParameters

TRANSPORTS = ('raw', 'compressed')


def _autostart() -> Any:
    return parameter(True, 'Configure and activate at start.', live=False)


def _looks_at() -> Any:
    return parameter('rgb+thermal', 'What is looked at: both cameras by a network that takes both '
                     '(the fused image where one is missing, or by methods that take one image), '
                     'or the fused image only.', choices=('rgb+thermal', 'fused'))


def _transport(images: str) -> Any:
    return parameter('raw', f'How {images} images come; compressed subscribes to '
                     '<topic>/compressed. JPEG ruins 16-bit thermal images, PNG keeps them.',
                     choices=TRANSPORTS, live=False)


@dataclass(frozen=True)
class RegistrationNodeParameters(RegistrationStageParameters):
    """Parameters of the registration node."""

    autostart: bool = _autostart()
    thermal_transport: str = _transport('thermal')
    rgb_transport: str = _transport('RGB')
    extrinsics: str = parameter(
        'parameters', 'Where rotation and translation between the cameras come from: the '
        'parameters registration.calibrated.R_ and t_thermal_to_rgb, or tf, between the frames '
        'of the two CameraInfos.', choices=('parameters', 'tf'), live=False)
    rectified: bool = parameter(
        False, 'The images are rectified: P of CameraInfo is their pinhole matrix, not K.',
        live=False)
    pairing: PairingParameters = group(PairingParameters)


@dataclass(frozen=True)
class FusionNodeParameters(FusionStageParameters):
    """Parameters of the fusion node."""

    autostart: bool = _autostart()
    thermal_transport: str = _transport('thermal')
    rgb_transport: str = _transport('RGB')
    pairing: PairingParameters = group(PairingParameters)


@dataclass(frozen=True)
class SegmentationNodeParameters(SegmentationStageParameters):
    """Parameters of the segmentation node."""

    autostart: bool = _autostart()
    max_rate_hz: float = parameter(
        10.0, 'Most images a second that are segmented.', minimum=0.01, maximum=1000.0)
    looks_at: str = _looks_at()
    fused_transport: str = _transport('fused')
    rgb_transport: str = _transport('RGB')
    thermal_transport: str = _transport('registered thermal')


@dataclass(frozen=True)
class DetectionNodeParameters(DetectionStageParameters):
    """Parameters of the detection node."""

    autostart: bool = _autostart()
    max_rate_hz: float = parameter(
        10.0, 'Most images a second that are searched.', minimum=0.01, maximum=1000.0)
    looks_at: str = _looks_at()
    fused_transport: str = _transport('fused')
    rgb_transport: str = _transport('RGB')
    thermal_transport: str = _transport('registered thermal')


@dataclass(frozen=True)
class ReplayNodeParameters:
    """What to replay, and how."""

    autostart: bool = _autostart()
    source: str = parameter(
        'simulator', 'Folder of pairs, two videos, bag, or simulator[:key=value,...].', live=False)
    rate: float = parameter(
        1.0, 'Speed as a multiple of that of the recording.', minimum=0.01, maximum=100.0)
    paused: bool = parameter(False, 'Stand still until this is false.')
    loop: bool = parameter(False, 'Start again at the end.')
    restamp: bool = parameter(
        True, 'Give frames the present time, spaced as recorded, instead of the recorded stamps.',
        live=False)
    clock: bool = parameter(
        False, 'Publish recorded time on /clock, for nodes with use_sim_time; without restamp.',
        live=False)
    max_duration_s: float = parameter(
        0.0, 'Stop after this much recorded time; 0 replays all.', minimum=0.0, live=False)
    wait_for_subscribers_s: float = parameter(
        5.0, 'Wait up to this long for a subscription to both topics before the first frame.',
        minimum=0.0, live=False)


NODE_PARAMETERS = {
    'registration': RegistrationNodeParameters,
    'fusion': FusionNodeParameters,
    'segmentation': SegmentationNodeParameters,
    'detection': DetectionNodeParameters,
    'replay': ReplayNodeParameters,
}
