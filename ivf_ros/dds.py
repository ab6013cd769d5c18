# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile with which images travel between processes: where it is, who has one."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path
import sys
import xml.etree.ElementTree as ElementTree

# With Fast DDS 3 the first is read, or else the second, with a warning; Fast DDS 2 (Humble, Jazzy)
# reads only the second.
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')

# Fast DDS 3 came with Kilted, and so did this version of rclpy. The wheels set no ROS_DISTRO.
_RCLPY_OF_FAST_DDS_3 = 9

# The shared-memory segment of Fast DDS without a profile; less than one 640x480 colour image.
DEFAULT_SEGMENT_BYTES = 512 * 1024

_CHECKOUT = Path(__file__).resolve().parent.parent


class ProfileError(ValueError):
    """A profile that cannot be read."""


def profile_path() -> Path:
    """Return where the profile of the package lies: in a checkout, or installed in ``share/``."""
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    folders = [_CHECKOUT / 'config',
               *(Path(prefix, 'share', 'ivf_ros', 'config') for prefix in prefixes if prefix)]
    return next((folder / 'fastdds.xml' for folder in folders
                 if (folder / 'fastdds.xml').is_file()), folders[0] / 'fastdds.xml')


def profile_variable() -> str:
    """Return the variable by which the Fast DDS of this machine is told its profile."""
    return _variables_read()[0]


def profile_in_force() -> str:
    """Return the file that the environment names, or an empty string."""
    return next((os.environ[name] for name in _variables_read() if os.environ.get(name)), '')


def use_profile() -> None:
    """
    Choose the profile of the package for this process and its children.

    Has to happen before ROS is initialised; a profile that was chosen already stays.
    """
    if not profile_in_force():
        os.environ[profile_variable()] = str(profile_path())


def segment_bytes(profile: str) -> int:
    """
    Return the size of the largest shared-memory segment that a profile asks for.

    Raises
    ------
    ProfileError
        The file cannot be read or is no XML.

    """
    try:
        root = ElementTree.parse(profile).getroot()
        sizes = [int(element.text or '') for element in root.iter()
                 if element.tag.endswith('segment_size')]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ProfileError(f'cannot read {profile}: {error}') from None
    return max(sizes, default=DEFAULT_SEGMENT_BYTES)


def _variables_read() -> tuple[str, ...]:
    try:
        major = int(metadata.version('rclpy').split('.')[0])
    except metadata.PackageNotFoundError:
        return PROFILE_VARIABLES
    return PROFILE_VARIABLES if major >= _RCLPY_OF_FAST_DDS_3 else PROFILE_VARIABLES[1:]
