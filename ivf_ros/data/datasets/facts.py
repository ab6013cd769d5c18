# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Known facts of data sets that are not in their files: alignment, light, scenes, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re

from ivf_ros.types import MFNET_CLASSES

BLOCK = 20  # consecutive numbers that count as one scene in recordings of a drive

_LAST_NUMBER = re.compile(r'(.*?)(\d+)(\D*)')


def block_scene(name: str) -> str:
    """
    Return the block of consecutive numbers that contains a frame.

    The last number in the name counts: ``'FLIR_06874'`` is in ``'FLIR_06860-06879'``. Frames on
    both sides of a boundary may still be similar.
    """
    match = _LAST_NUMBER.fullmatch(name)
    if not match:
        return name
    prefix, number, suffix = match.groups()
    first = int(number) // BLOCK * BLOCK
    width = len(number)
    return f'{prefix}{first:0{width}}-{first + BLOCK - 1:0{width}}{suffix}'


def _light_from_suffix(name: str) -> str:
    return {'D': 'day', 'N': 'night'}.get(name[-1:], '')


def _scene_of_llvip(name: str) -> str:
    """Return the location of the camera: the first two of six digits."""
    return name[:2] if re.fullmatch(r'\d{6}', name) else name


def _scene_of_metu(name: str) -> str:
    """Return the location: ``'cloudy_scene_1_IM_00006'`` and ``'sunny_scene_1_...'`` share it."""
    match = re.search(r'scene_\d+', name)
    return match[0] if match else name


def _light_of_metu(name: str) -> str:
    return 'day' if name.startswith(('cloudy', 'sunny')) else ''


def _scene_from_date(name: str) -> str:
    return name.partition('_')[0]


def _unknown_light(_name: str) -> str:
    return ''


@dataclass(frozen=True)
class Facts:
    """
    Facts of a data set.

    Attributes
    ----------
    aligned, alignment_px:
        As in ``Sample``.
    scene, light:
        Functions that return scene and light from the name of a sample.
    classes:
        Class names of the labels in ``labels/``; without classes the labels are not read.

    """

    aligned: bool = False
    alignment_px: float | None = None
    scene: Callable[[str], str] = str
    light: Callable[[str], str] = _unknown_light
    classes: tuple[str, ...] = ()


MSRS = Facts(True, 2.0, block_scene, _light_from_suffix, MFNET_CLASSES)
ROADSCENE = Facts(True, 1.5, block_scene)
LLVIP = Facts(True, 3.0, _scene_of_llvip)
TNO = Facts(True, 2.8)
DUINE = Facts(True, 2.0)
VIFB = Facts(True, 1.5)
M3SVD = Facts(True, 1.0)
M3FD = Facts(True)  # registered by its publisher; not measured here
FLIR_ALIGNED = Facts(scene=block_scene)  # aligned according to its name; not measured
UNKNOWN = Facts()

# Facts of folders of pairs, by data set, and by part if the parts differ.
_BY_NAME = {
    'llvip': LLVIP,
    'm3fd': M3FD,
    'm3fd_fusion': M3FD,
    'm3svd': M3SVD,
    'm3svd_sequences': M3SVD,
    'm3svd_val': Facts(True, 1.0, lambda name: name.rpartition('_')[0]),
    'metu_vistir': Facts(scene=_scene_of_metu, light=_light_of_metu),
    'mfnet_figure_gt': Facts(True, classes=MFNET_CLASSES),
    'mfnet_raw': Facts(True, None, block_scene, _light_from_suffix, MFNET_CLASSES),
    'msrs': MSRS,
    'roadscene': ROADSCENE,
    'superfusion_warp': Facts(scene=block_scene, light=_light_from_suffix),
    'tno': TNO,
    'tno42': TNO,
    'tno_sequences': UNKNOWN,
    'tno_sequences/duine': Facts(True, 2.0, lambda _name: 'duine'),
    'tno_sequences/nato_camp': Facts(scene=lambda _name: 'nato_camp'),
    'vifb': VIFB,
    'zed_lepton_calib': Facts(scene=_scene_from_date),
}


def is_known(name: str) -> bool:
    """Return whether the facts of a data set are known."""
    return name.lower() in _BY_NAME


def facts_of(name: str) -> Facts:
    """Return the facts of ``'data set'`` or ``'data set/part'``; case is ignored."""
    lower = name.lower()
    return _BY_NAME.get(lower) or _BY_NAME.get(lower.split('/')[0], UNKNOWN)
