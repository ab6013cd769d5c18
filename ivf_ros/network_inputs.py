# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What segmentation and detection networks are given: one image, or RGB and thermal together.

Nodes, evaluation, training and the command line choose and stack the channels here, so that a
network is given the same arrays everywhere. How thermal becomes 8 bit on the RGB grid is the
matter of ``thermal_on_rgb``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
from ivf_ros.thermal_on_rgb import ThermalOnRgb
import numpy as np

BOTH = 'rgb+thermal'  # name of the input of networks that take both cameras
SENSORS = ('rgb', 'thermal')


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """
    A pair on the RGB grid.

    Attributes
    ----------
    thermal:
        ``(H, W)`` uint8, after the gain control; 0 where thermal does not reach.
    rgb:
        ``(H, W, 3)`` uint8 BGR.
    coverage:
        ``(H, W)`` bool, where thermal reaches.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True, eq=False)
class PerceptionInputs:
    """
    What the graph knows of one moment, on the RGB grid.

    Attributes
    ----------
    fused:
        ``(H, W, 3)`` BGR uint8.
    rgb:
        ``(H, W, 3)`` BGR uint8; None where it is not wanted or missing.
    thermal:
        ``(H, W)`` uint8 after the gain control; None where it is not wanted, a camera fails, or
        nothing is registered.
    counts:
        Thermal as the camera delivers it, for temperatures; None likewise.

    """

    fused: np.ndarray
    rgb: np.ndarray | None = None
    thermal: np.ndarray | None = None
    counts: ThermalOnRgb | None = None

    def images(self) -> tuple[np.ndarray, ...]:
        """
        Return RGB and thermal where both are there, the fused image otherwise.

        Where fusion passes RGB on, it does not trust thermal, which is frozen or not registered.
        Thermal is then not used here either.
        """
        if self.rgb is None or self.rgb.ndim != 3 or self.thermal is None \
                or is_rgb_passthrough(self.rgb, self.fused):
            return (self.fused,)
        return self.rgb, self.thermal


class _GrayFuser(Protocol):
    """Fuses 8-bit thermal with RGB; ``fusion.create`` makes one."""

    def fuse_gray(self, gray: np.ndarray, rgb: np.ndarray, coverage: np.ndarray | None = None
                  ) -> np.ndarray:
        """Return the fused image."""
        ...


def select_images(pair: AlignedPair, name: str, create_fuser: Callable[[str], _GrayFuser]
                  ) -> tuple[np.ndarray, ...]:
    """
    Return the images that a network with the input of this name is given.

    Parameters
    ----------
    pair:
        Both cameras.
    name:
        'rgb', 'thermal', ``BOTH`` or a fusion method.
    create_fuser:
        Makes a fuser by the name of its method.

    Returns
    -------
    tuple
        An image ``(H, W, 3)`` BGR, and thermal ``(H, W)`` where the input is ``BOTH``.

    """
    if name == BOTH:
        return pair.rgb, pair.thermal
    if name == 'rgb':
        return (pair.rgb,)
    if name == 'thermal':
        return (cv2.cvtColor(pair.thermal, cv2.COLOR_GRAY2BGR),)
    return (create_fuser(name).fuse_gray(pair.thermal, pair.rgb, pair.coverage),)


def stack_channels(image: np.ndarray, thermal: np.ndarray | None, channels: int,
                   error: type[ValueError]) -> np.ndarray:
    """
    Return the array that a network of so many channels is given.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
    thermal:
        ``(H, W)`` uint8 on the same grid; not used by a network of three channels.
    channels:
        3 or 4.

    Returns
    -------
    np.ndarray
        ``(H, W, channels)`` uint8: BGR, and thermal as the fourth channel.

    Raises
    ------
    error
        The network takes thermal, and it is missing or of another size or type.

    """
    bgr = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
    if channels == 3:
        return bgr
    if thermal is None or thermal.shape != bgr.shape[:2] or thermal.dtype != np.uint8:
        raise error(f'this network needs thermal {bgr.shape[:2]} uint8 beside RGB, got '
                    + ('none' if thermal is None else f'{thermal.shape} {thermal.dtype}'))
    return cv2.merge([bgr, thermal])


def is_rgb_passthrough(rgb: np.ndarray, fused: np.ndarray) -> bool:
    """Tell whether a fused image ``(H, W, 3)`` is RGB alone, by every sixteenth row."""
    return fused is rgb or np.array_equal(fused[::16], rgb[::16])
