# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the package finds on this machine, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util
import os
from pathlib import Path
import platform
import re
import xml.etree.ElementTree as ElementTree

PACKAGE = Path(__file__).resolve().parent

# Fast DDS 3 reads the first variable, Fast DDS 2 (Humble, Jazzy) only the second.
DDS_PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')

# The default shared-memory segment of Fast DDS; smaller than one 640x480 colour image.
_DEFAULT_SEGMENT_BYTES = 512 * 1024
_ENOUGH_SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """One thing looked for: what was found, and what to do where it is missing."""

    name: str
    found: str
    problem: str = ''
    required: bool = True

    @property
    def ok(self) -> bool:
        """Whether nothing is missing here."""
        return not self.problem


def examine() -> list[Finding]:
    """Look at everything that the package needs or can use."""
    return [_python(), _ros(), _rmw(), _dds_profile(), *_message_packages(), _cpu(),
            _library('numpy', 'numpy', required=True), _opencv(),
            _library('rosbags', 'rosbags', required=False),
            _library('torch', 'torch', required=False), _weights()]


def dds_profile_path() -> Path:
    """
    Return where the Fast DDS profile of the package lies.

    It is installed under ``share/``; in a source checkout it lies in ``config/``.
    """
    for folder in (PACKAGE.parent / 'config', *_shares()):
        if (folder / 'fastdds.xml').is_file():
            return folder / 'fastdds.xml'
    return PACKAGE.parent / 'config' / 'fastdds.xml'


def dds_profile_variable() -> str:
    """Return the variable by which the Fast DDS of this machine is told its profile."""
    uses_fast_dds_2 = os.environ.get('ROS_DISTRO') in ('humble', 'jazzy')
    return DDS_PROFILE_VARIABLES[1 if uses_fast_dds_2 else 0]


def _shares() -> list[Path]:
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return [Path(prefix) / 'share' / 'ivf_ros' / 'config' for prefix in prefixes if prefix]


def _python() -> Finding:
    return Finding('python', f'{platform.python_version()} on {platform.system()} '
                             f'{platform.machine()}')


def _ros() -> Finding:
    distribution = os.environ.get('ROS_DISTRO', '')
    if util.find_spec('rclpy') is None:
        return Finding('ros', distribution or 'none',
                       'rclpy is missing: source a ROS 2 distribution, or run '
                       'python3 -m ivf_ros.bootstrap setup')
    origin = f'ROS 2 {distribution}' if distribution else 'wheels, no ROS 2 sourced'
    return Finding('ros', f'rclpy {_version("rclpy")} ({origin})')


def _rmw() -> Finding:
    chosen = os.environ.get('RMW_IMPLEMENTATION', '') or 'rmw_fastrtps_cpp'
    if util.find_spec('rclpy') is None:
        return Finding('rmw', chosen)
    return Finding('rmw', f'{chosen}, domain {os.environ.get("ROS_DOMAIN_ID", "0")}, discovery '
                          f'{os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")}')


def _dds_profile() -> Finding:
    advice = f'export {dds_profile_variable()}={dds_profile_path()}'
    chosen = next((os.environ[name] for name in DDS_PROFILE_VARIABLES if os.environ.get(name)), '')
    if not chosen:
        return Finding('dds_profile', 'none: images over '
                       f'{_DEFAULT_SEGMENT_BYTES // 1024} KB get lost between processes (ivf demo '
                       'and ivf.launch.py load one themselves)', advice, required=False)
    try:
        root = ElementTree.parse(chosen).getroot()
    except (OSError, ElementTree.ParseError) as error:
        return Finding('dds_profile', chosen, f'cannot be read ({error}); {advice}')
    sizes = [int(element.text or 0) for element in root.iter() if
             element.tag.endswith('segment_size')]
    largest = max(sizes, default=_DEFAULT_SEGMENT_BYTES)
    found = f'{chosen}, shared memory {largest // 1024} KB'
    return Finding('dds_profile', found, '' if largest >= _ENOUGH_SEGMENT_BYTES else advice)


def _message_packages() -> list[Finding]:
    return [Finding(name, 'found') if util.find_spec(name) else
            Finding(name, 'none', f'{name} is missing: sudo apt install '
                                  f'ros-$ROS_DISTRO-{name.replace("_", "-")}')
            for name in ('vision_msgs', 'diagnostic_msgs', 'sensor_msgs')]


def _cpu() -> Finding:
    flags = ''
    if Path('/proc/cpuinfo').is_file():
        match = re.search(r'^flags\s*:(.*)$', Path('/proc/cpuinfo').read_text(), re.MULTILINE)
        flags = match.group(1) if match else ''
    features = [flag for flag in ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16')
                if flag in flags.split()]
    return Finding('cpu', f'{os.cpu_count()} cores, {" ".join(features) or "no vector features"}')


def _library(name: str, module: str, *, required: bool) -> Finding:
    if util.find_spec(module) is not None:
        return Finding(name, _version(name))
    return Finding(name, 'none', f'{name} is missing' if required else
                   f'{name} is missing; only what is learned or recorded needs it', required)


def _opencv() -> Finding:
    if util.find_spec('cv2') is None:
        return Finding('opencv', 'none', 'cv2 is missing: sudo apt install python3-opencv')
    import cv2
    missing = '' if hasattr(cv2, 'HOGDescriptor') else \
        "cv2 has no HOGDescriptor (OpenCV 5): detection 'hog' needs opencv-python < 5"
    return Finding('opencv', cv2.__version__, missing, required=False)


def _weights() -> Finding:
    files = sorted(path.name for path in PACKAGE.rglob('*.safetensors'))
    return Finding('weights', ', '.join(files) or 'none shipped; methods without weights are used')


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'version unknown'
