# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of each node: those of its stage and those of the node itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivf_ros.camera_input import CameraParameters
from ivf_ros.detection import DetectionStageParameters
from ivf_ros.detection3d import Detection3dStageParameters
from ivf_ros.fusion import FusionStageParameters
from ivf_ros.pairing import PairingParameters
from ivf_ros.parameters import group, parameter
from ivf_ros.perception import PerceptionStageParameters
from ivf_ros.registration import RegistrationStageParameters
from ivf_ros.segmentation import SegmentationStageParameters
from ivf_ros.stamps import STAMPS
from ivf_ros.thermal_input import ThermalCameraParameters

# Name of the container in the launch files.
CONTAINER_NAME = 'ivf_container'
TRANSPORTS = ('raw', 'compressed')
# compressedDepth is the transport of 16-bit images beside colour ones: PNG or RVL.
INPUT_TRANSPORTS = (*TRANSPORTS, 'compressedDepth')
DEPTH_SOURCES = ('registered', 'camera', 'points')


def _autostart() -> Any:
    return parameter(True, 'Configure and activate the node at start.', live=False)


def _bond_heartbeat_period() -> Any:
    # The name that the nodes of nav2 have for it.
    return parameter(0.0, 'Seconds between the heartbeats of the bond that the lifecycle manager '
                     'of nav2 expects of an active node, such as 0.1; 0 means no bond.',
                     minimum=0.0, maximum=10.0, live=False)


def _image_topic(camera: str, default: str) -> Any:
    return parameter('', f'Topic of the {camera} images in a bag; empty takes {default}, or finds '
                     'the topic by the words in the names.', live=False)


def _info_topic(camera: str) -> Any:
    return parameter('', f'Topic of the {camera} CameraInfo in a bag; empty takes camera_info '
                     'beside the images.', live=False)


def _transport(images: str) -> Any:
    return parameter('raw', f'Transport of the {images} images; compressed subscribes to '
                     '<topic>/compressed, compressedDepth to <topic>/compressedDepth. PNG, TIFF '
                     'and RVL keep 16-bit thermal images, JPEG does not.',
                     choices=INPUT_TRANSPORTS, live=False)


@dataclass(frozen=True)
class RegistrationNodeParameters(RegistrationStageParameters):
    """Parameters of the registration node."""

    autostart: bool = _autostart()
    bond_heartbeat_period: float = _bond_heartbeat_period()
    thermal_transport: str = _transport('thermal')
    rgb_transport: str = _transport('RGB')
    extrinsics: str = parameter(
        'parameters', 'Source of the rotation and translation between the cameras: parameters '
        'reads registration.calibrated.R_thermal_to_rgb and t_thermal_to_rgb_m; tf looks up the '
        'transform between the frames of the two CameraInfos.', choices=('parameters', 'tf'),
        live=False)
    rectified: bool = parameter(
        False, 'The images are rectified: their pinhole matrix is P of CameraInfo, not K.',
        live=False)
    pairing: PairingParameters = group(PairingParameters)
    thermal: ThermalCameraParameters = group(ThermalCameraParameters)
    rgb: CameraParameters = group(CameraParameters)


@dataclass(frozen=True)
class CalibrationNodeParameters:
    """Parameters of the node that collects the views of a calibration."""

    autostart: bool = _autostart()
    bond_heartbeat_period: float = _bond_heartbeat_period()
    thermal_transport: str = _transport('thermal')
    rgb_transport: str = _transport('RGB')
    pairing: PairingParameters = group(PairingParameters)
    thermal: ThermalCameraParameters = group(ThermalCameraParameters)
    rgb: CameraParameters = group(CameraParameters)


@dataclass(frozen=True)
class FusionNodeParameters(FusionStageParameters):
    """Parameters of the fusion node."""

    autostart: bool = _autostart()
    bond_heartbeat_period: float = _bond_heartbeat_period()
    thermal_transport: str = _transport('thermal')
    rgb_transport: str = _transport('RGB')
    pairing: PairingParameters = group(PairingParameters)
    thermal: ThermalCameraParameters = group(ThermalCameraParameters)
    rgb: CameraParameters = group(CameraParameters)


@dataclass(frozen=True)
class PerceptionInputParameters:
    """Which images a node of segmentation or detection processes, and how often."""

    autostart: bool = _autostart()
    bond_heartbeat_period: float = _bond_heartbeat_period()
    max_rate_hz: float = parameter(
        15.0, 'Maximum rate of processed images in Hz.', minimum=0.01, maximum=1000.0)
    looks_at: str = parameter(
        'rgb+thermal', 'Input images. rgb+thermal uses both cameras, or the fused image if one of '
        'them is missing or the method takes one image. fused always uses the fused image.',
        choices=('rgb+thermal', 'fused'))
    fused_transport: str = _transport('fused')
    rgb_transport: str = _transport('RGB')
    thermal_transport: str = _transport('registered thermal')
    rgb: CameraParameters = group(CameraParameters)


@dataclass(frozen=True)
class PerceptionNodeParameters(PerceptionStageParameters, PerceptionInputParameters):
    """Parameters of the perception node."""


@dataclass(frozen=True)
class SegmentationNodeParameters(SegmentationStageParameters, PerceptionInputParameters):
    """Parameters of the segmentation node."""


@dataclass(frozen=True)
class DetectionNodeParameters(DetectionStageParameters, PerceptionInputParameters):
    """Parameters of the detection node."""


@dataclass(frozen=True)
class Detection3dNodeParameters(Detection3dStageParameters):
    """Parameters of the node that places detections in space."""

    autostart: bool = _autostart()
    bond_heartbeat_period: float = _bond_heartbeat_period()
    max_rate_hz: float = parameter(
        15.0, 'Maximum rate of point clouds in Hz.', minimum=0.01, maximum=1000.0)
    depth_source: str = parameter(
        'registered', 'Source of depth. registered: depth/image on the RGB grid, at any '
        'resolution. camera: depth/image of a depth camera with depth/camera_info. points: the '
        'point cloud depth/points.', choices=DEPTH_SOURCES, live=False)
    depth_tolerance_s: float = parameter(
        0.06, 'Maximum difference between the stamps of depth and RGB.', minimum=0.0,
        maximum=10.0)
    depth_transport: str = parameter(
        'raw', 'Transport of the depth images; compressedDepth subscribes to '
        'depth/image/compressedDepth.', choices=('raw', 'compressedDepth'), live=False)
    rgb_transport: str = _transport('RGB')
    thermal_transport: str = _transport('registered thermal')
    depth_extrinsics: str = parameter(
        'parameters', 'Source of the pose of the depth sensor: parameters reads '
        'depth.R_depth_to_rgb and depth.t_depth_to_rgb_m; tf looks up the transform between the '
        'frames of depth and RGB. Not used for registered depth.', choices=('parameters', 'tf'),
        live=False)
    rectified: bool = parameter(
        False, 'The RGB images are rectified: their pinhole matrix is P of CameraInfo, not K.',
        live=False)
    use_labels: bool = parameter(
        True, 'Use segmentation/labels of the same stamp, if there are any: they show which '
        'pixels in a box are the object.')
    rgb: CameraParameters = group(CameraParameters)


@dataclass(frozen=True)
class ContainerParameters:
    """Parameters of the component container."""

    reload_delay_s: float = parameter(
        0.0, 'A component of another package that raised an exception is unloaded, and loaded '
        'again after this time; 0 leaves it unloaded.', minimum=0.0, maximum=3600.0, live=False)


@dataclass(frozen=True)
class ReplayNodeParameters:
    """Parameters of the replay node."""

    autostart: bool = _autostart()
    bond_heartbeat_period: float = _bond_heartbeat_period()
    source: str = parameter(
        'simulator', 'Folder of pairs, two videos, bag, or simulator[:key=value,...].', live=False)
    thermal_topic: str = _image_topic('thermal', 'thermal/image_raw')
    rgb_topic: str = _image_topic('RGB', 'rgb/image_raw')
    thermal_info_topic: str = _info_topic('thermal')
    rgb_info_topic: str = _info_topic('RGB')
    stamps: str = parameter(
        'auto', 'Stamps of a bag: header keeps those of the drivers, recorded takes the time of '
        'recording, auto keeps those of the drivers as far as their clocks can be used.',
        choices=STAMPS, live=False)
    rate: float = parameter(
        1.0, 'Playback speed as a multiple of the recorded speed.', minimum=0.01, maximum=100.0)
    paused: bool = parameter(False, 'Pause the replay.')
    loop: bool = parameter(False, 'Start again at the end.')
    restamp: bool = parameter(
        True, 'Stamp frames with the present time, at the recorded intervals, instead of the '
        'recorded stamps.', live=False)
    clock: bool = parameter(
        False, 'Publish the recorded time on /clock, for nodes with use_sim_time. Requires '
        'restamp = false.', live=False)
    max_duration_s: float = parameter(
        0.0, 'Stop after this duration of recorded time; 0 means no limit.', minimum=0.0,
        live=False)
    max_lag_s: float = parameter(
        0.2, 'Where the replay is late by more than this, it skips frames of both cameras until '
        'it has caught up. 0 skips none, so stamps may be older than the frames.', minimum=0.0,
        live=False)
    wait_for_subscribers_s: float = parameter(
        5.0, 'Maximum time to wait for a subscription to both topics before the first frame.',
        minimum=0.0, live=False)


NODE_PARAMETERS = {
    'registration': RegistrationNodeParameters,
    'fusion': FusionNodeParameters,
    'perception': PerceptionNodeParameters,
    'segmentation': SegmentationNodeParameters,
    'detection': DetectionNodeParameters,
    'detection3d': Detection3dNodeParameters,
    'replay': ReplayNodeParameters,
}
