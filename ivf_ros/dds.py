# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The Fast DDS profile for image transport between processes: location and selection."""

from __future__ import annotations

from importlib import metadata
import os
from pathlib import Path
import sys
import xml.etree.ElementTree as ElementTree

# Fast DDS 3 reads the first variable, or else the second with a warning. Fast DDS 2 (Humble,
# Jazzy) reads only the second.
PROFILE_VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')

# Whether the profile decides what is no QoS of ROS. The second then has no effect.
_QOS_FROM_PROFILE, _PUBLICATION_MODE = (
    'RMW_FASTRTPS_USE_QOS_FROM_XML', 'RMW_FASTRTPS_PUBLICATION_MODE')

# Kilted introduced Fast DDS 3 and this major version of rclpy. The wheels do not set ROS_DISTRO.
_RCLPY_OF_FAST_DDS_3 = 9

# Default size of the shared-memory segment of Fast DDS: less than one 640x480 colour image.
DEFAULT_SEGMENT_BYTES = 512 * 1024

_CHECKOUT = Path(__file__).resolve().parent.parent


class ProfileError(ValueError):
    """A profile cannot be read."""


def profile_path() -> Path:
    """Return the path of the profile of the package, in a checkout or in ``share/``."""
    prefixes = [*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix]
    folders = [_CHECKOUT / 'config',
               *(Path(prefix, 'share', 'ivf_ros', 'config') for prefix in prefixes if prefix)]
    return next((folder / 'fastdds.xml' for folder in folders
                 if (folder / 'fastdds.xml').is_file()), folders[0] / 'fastdds.xml')


def profile_variable() -> str:
    """Return the environment variable from which Fast DDS on this machine reads its profile."""
    return _supported_variables()[0]


def profile_in_force() -> str:
    """Return the profile file that the environment selects, or an empty string."""
    return next((os.environ[name] for name in _supported_variables() if os.environ.get(name)), '')


def use_profile() -> None:
    """
    Select the profile of the package for this process and its children.

    Call it before ROS is initialised. A profile that is already selected is kept.
    """
    if not profile_in_force():
        os.environ[profile_variable()] = str(profile_path())


def use_memory_of_profile() -> None:
    """
    Let Fast DDS allocate memory as the profile of the package says, if that one is in force.

    Otherwise each subscription keeps a buffer as large as the largest message that ever arrived:
    100 MB after one image of 7680x4320. Call it before ROS is initialised. What the environment
    sets is kept.
    """
    profile = Path(profile_in_force())
    is_own = profile.is_file() and profile.samefile(profile_path())
    if is_own and not os.environ.get(_PUBLICATION_MODE):
        os.environ.setdefault(_QOS_FROM_PROFILE, '1')


def segment_bytes(profile: str) -> int:
    """
    Return the size in bytes of the largest shared-memory segment in a profile.

    Raises
    ------
    ProfileError
        The file cannot be read or is not valid XML.

    """
    try:
        root = ElementTree.parse(profile).getroot()
        sizes = [int(element.text or '') for element in root.iter()
                 if element.tag.endswith('segment_size')]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise ProfileError(f'cannot read {profile}: {error}') from None
    return max(sizes, default=DEFAULT_SEGMENT_BYTES)


def _supported_variables() -> tuple[str, ...]:
    try:
        major = int(metadata.version('rclpy').split('.')[0])
    except metadata.PackageNotFoundError:
        return PROFILE_VARIABLES
    return PROFILE_VARIABLES if major >= _RCLPY_OF_FAST_DDS_3 else PROFILE_VARIABLES[1:]
