# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Check of the installation: what is available on this machine, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata, util
import os
from pathlib import Path
import platform
import re

from ivf_ros import dds, shared_memory

PACKAGE = Path(__file__).resolve().parent

# Space for several colour images of one megapixel in transit at the same time.
_MIN_SEGMENT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class Finding:
    """Result of one check: what was found, and the remedy if something is missing."""

    name: str
    found: str
    problem: str = ''
    required: bool = True

    @property
    def ok(self) -> bool:
        """Return whether the check passed."""
        return not self.problem


def examine() -> list[Finding]:
    """Check all required and optional components."""
    return [_python(), _ros(), _rmw(), _dds_profile(), _shared_memory(),
            *_message_packages(), _cpu(),
            _library('numpy', 'numpy', required=True), _opencv(),
            _library('rosbags', 'rosbags', required=False),
            _library('scipy', 'scipy', required=False),
            _library('torch', 'torch', required=False),
            _library('av', 'av', required=False),
            _library('flyr', 'flyr', required=False),
            _library('rerun-sdk', 'rerun', required=False),
            _onnxruntime(),
            _tf(), _weights()]


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
    advice = f'export {dds.profile_variable()}={dds.profile_path()}'
    chosen = dds.profile_in_force()
    if not chosen:
        return Finding('dds_profile', 'none: images over '
                       f'{dds.DEFAULT_SEGMENT_BYTES // 1024} KB are lost between processes (the '
                       'ivf command and ivf.launch.py load a profile themselves)', advice,
                       required=False)
    try:
        size = dds.segment_bytes(chosen)
    except dds.ProfileError as error:
        return Finding('dds_profile', chosen, f'{error}; {advice}')
    return Finding('dds_profile', f'{chosen}, shared memory {size // 1024} KB',
                   '' if size >= _MIN_SEGMENT_BYTES else advice)


def _shared_memory() -> Finding:
    leftovers = shared_memory.find_leftovers()
    n_bytes = sum(_count_bytes(path) for path in leftovers)
    found = f'{len(leftovers)} segments, {n_bytes / 1e6:.0f} MB, of processes that were killed'
    return Finding('shared_memory', found if leftovers else 'nothing left behind',
                   'the next start of ivf demo, replay, view or a node removes those of ivf_ros; '
                   'fastdds shm clean removes all of them' if leftovers else '', required=False)


def _count_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # removed meanwhile
        return 0


def _message_packages() -> list[Finding]:
    return [Finding(name, 'found') if util.find_spec(name) else
            Finding(name, 'none', f'{name} is missing: sudo apt install '
                                  f'ros-$ROS_DISTRO-{name.replace("_", "-")}')
            for name in ('vision_msgs', 'visualization_msgs', 'composition_interfaces',
                         'diagnostic_msgs', 'sensor_msgs')]


def _cpu() -> Finding:
    flags = ''
    if Path('/proc/cpuinfo').is_file():
        match = re.search(r'^flags\s*:(.*)$', Path('/proc/cpuinfo').read_text(), re.MULTILINE)
        flags = match.group(1) if match else ''
    features = [flag for flag in ('avx2', 'avx_vnni', 'avx512f', 'avx512_vnni', 'amx_int8')
                if flag in flags.split()]
    return Finding('cpu', f'{os.cpu_count()} cores, {" ".join(features) or "no vector features"}')


def _library(name: str, module: str, *, required: bool) -> Finding:
    if util.find_spec(module) is not None:
        return Finding(name, _version(name))
    return Finding(name, 'none', f'{name} is missing' if required else
                   f'{name} is missing; it is needed only by some methods and formats', required)


def _onnxruntime() -> Finding:
    if util.find_spec('onnxruntime') is None:
        return Finding('onnxruntime', 'none', 'onnxruntime is missing, and the networks need it: '
                                              'pip install onnxruntime', required=False)
    from ivf_ros.nn.devices import onnx_runtime, PROVIDERS
    try:
        runtime = onnx_runtime()
    except ImportError as error:  # installed, but it does not fit this system
        return Finding('onnxruntime', 'broken', f'onnxruntime cannot be imported: {error}',
                       required=False)
    devices = {device: runtime.explain_absence(device) for device in PROVIDERS}
    return Finding('onnxruntime', f'{runtime.version}; ' + ', '.join(
        f'{device}: {reason or "usable"}' for device, reason in devices.items()))


def _opencv() -> Finding:
    if util.find_spec('cv2') is None:
        return Finding('opencv', 'none', 'cv2 is missing: sudo apt install python3-opencv')
    try:
        import cv2
    except ImportError as error:  # installed, but a system library is missing
        return Finding('opencv', 'broken', f'cv2 cannot be imported ({error}): install '
                                           'opencv-python-headless, or the library in the message')
    missing = '' if hasattr(cv2, 'HOGDescriptor') else \
        "cv2 has no HOGDescriptor (OpenCV 5): detection 'hog' needs opencv-python < 5"
    return Finding('opencv', cv2.__version__, missing, required=False)


def _tf() -> Finding:
    if util.find_spec('tf2_ros') is not None:
        return Finding('tf', 'tf2_ros')
    return Finding('tf', 'none', "only extrinsics 'tf' needs it: sudo apt install "
                                 'ros-$ROS_DISTRO-tf2-ros-py', required=False)


def _weights() -> Finding:
    networks = sorted((path.parent.parent.name, path.stem) for path in PACKAGE.rglob('*.onnx')
                      if not path.name.endswith('.int8.onnx'))
    return Finding('weights', ', '.join(f'{stage} {name}' for stage, name in networks)
                   or 'none installed; only methods without weights are available')


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return 'version unknown'
