# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of data sets beyond their files: alignment, light, scenes, classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import re

from ivf_ros.types import MFNET_CLASSES

BLOCK = 20  # neighbouring numbers that count as one scene, where frames come from a drive

_LAST_NUMBER = re.compile(r'(.*?)(\d+)(\D*)')


def block_scene(name: str) -> str:
    """
    Return the block of neighbouring numbers that a frame belongs to.

    The last number in a name counts: ``'FLIR_06874'`` is in ``'FLIR_06860-06879'``. Frames on
    either side of a boundary may still look alike.
    """
    found = _LAST_NUMBER.fullmatch(name)
    if not found:
        return name
    before, number, after = found.groups()
    first = int(number) // BLOCK * BLOCK
    width = len(number)
    return f'{before}{first:0{width}}-{first + BLOCK - 1:0{width}}{after}'


def _letter_light(name: str) -> str:
    return {'D': 'day', 'N': 'night'}.get(name[-1:], '')


def _llvip_scene(name: str) -> str:
    """Return the place of the camera, the first two of six digits."""
    return name[:2] if re.fullmatch(r'\d{6}', name) else name


def _metu_scene(name: str) -> str:
    """Return the place: ``'cloudy_scene_1_IM_00006'`` and ``'sunny_scene_1_...'`` share one."""
    found = re.search(r'scene_\d+', name)
    return found[0] if found else name


def _metu_light(name: str) -> str:
    return 'day' if name.startswith(('cloudy', 'sunny')) else ''


def _date_scene(name: str) -> str:
    return name.partition('_')[0]


def _unknown(_name: str) -> str:
    return ''


@dataclass(frozen=True)
class Facts:
    """
    What is known of a data set.

    Attributes
    ----------
    aligned, alignment_px:
        As in ``Sample``.
    scene, light:
        What they are, by the name of a sample.
    classes:
        Of the labels in ``labels/``; without them labels are not read.

    """

    aligned: bool = False
    alignment_px: float | None = None
    scene: Callable[[str], str] = str
    light: Callable[[str], str] = _unknown
    classes: tuple[str, ...] = ()


MSRS = Facts(True, 2.0, block_scene, _letter_light, MFNET_CLASSES)
ROADSCENE = Facts(True, 1.5, block_scene)
LLVIP = Facts(True, 3.0, _llvip_scene)
TNO = Facts(True, 2.8)
DUINE = Facts(True, 2.0)
VIFB = Facts(True, 1.5)
M3SVD = Facts(True, 1.0)
M3FD = Facts(True)  # the publisher registered it; not measured here
FLIR_ALIGNED = Facts(scene=block_scene)  # aligned by name; not measured
UNKNOWN = Facts()

# Facts of folders of pairs, by data set and, where its parts differ, by part.
_BY_NAME = {
    'llvip': LLVIP,
    'm3fd': M3FD,
    'm3fd_fusion': M3FD,
    'm3svd': M3SVD,
    'm3svd_sequences': M3SVD,
    'metu_vistir': Facts(scene=_metu_scene, light=_metu_light),
    'mfnet_figure_gt': Facts(True, classes=MFNET_CLASSES),
    'mfnet_raw': Facts(True, None, block_scene, _letter_light, MFNET_CLASSES),
    'msrs': MSRS,
    'roadscene': ROADSCENE,
    'superfusion_warp': Facts(scene=block_scene, light=_letter_light),
    'tno': TNO,
    'tno42': TNO,
    'tno_sequences': UNKNOWN,
    'tno_sequences/duine': Facts(True, 2.0, lambda _name: 'duine'),
    'tno_sequences/nato_camp': Facts(scene=lambda _name: 'nato_camp'),
    'vifb': VIFB,
    'zed_lepton_calib': Facts(scene=_date_scene),
}


def is_known(name: str) -> bool:
    """Tell whether a name is that of a data set whose facts are known."""
    return name.lower() in _BY_NAME


def facts_of(name: str) -> Facts:
    """Return what is known of ``'data set'`` or ``'data set/part'``, of any case."""
    lower = name.lower()
    return _BY_NAME.get(lower) or _BY_NAME.get(lower.split('/')[0], UNKNOWN)
