# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The inputs of segmentation and detection networks: one image, or RGB and thermal.

Nodes, evaluation, training and the command line select the images and stack the channels here, so
that a network gets the same arrays everywhere. ``thermal_on_rgb`` converts thermal to 8 bit and
warps it to the RGB grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
from ivf_ros.thermal_on_rgb import ThermalOnRgb
import numpy as np

BOTH = 'rgb+thermal'  # name of the input of networks for both cameras
SENSORS = ('rgb', 'thermal')


@dataclass(frozen=True, eq=False)
class AlignedPair:
    """
    An RGB image and a thermal image on the RGB grid.

    Attributes
    ----------
    thermal:
        ``(H, W)`` uint8 after the gain control; 0 where thermal does not cover the grid.
    rgb:
        ``(H, W, 3)`` uint8 BGR.
    coverage:
        ``(H, W)`` bool, the pixels that thermal covers.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    coverage: np.ndarray


@dataclass(frozen=True, eq=False)
class PerceptionInputs:
    """
    The images of one moment on the RGB grid.

    Attributes
    ----------
    fused:
        ``(H, W, 3)`` uint8 BGR.
    rgb:
        ``(H, W, 3)`` uint8 BGR; None where it is missing or not needed.
    thermal:
        ``(H, W)`` uint8 after the gain control; None where it is not needed, a camera fails, or
        there is no registration.
    counts:
        Thermal in the counts of the camera, for temperatures; None likewise.

    """

    fused: np.ndarray
    rgb: np.ndarray | None = None
    thermal: np.ndarray | None = None
    counts: ThermalOnRgb | None = None

    def images(self) -> tuple[np.ndarray, ...]:
        """
        Return RGB and thermal where both can be used, and the fused image otherwise.

        Where the fused image is RGB unchanged, fusion has rejected thermal: it is frozen or not
        registered. Then the fused image is returned.
        """
        if self.rgb is None or self.rgb.ndim != 3 or self.thermal is None \
                or is_rgb_passthrough(self.rgb, self.fused):
            return (self.fused,)
        return self.rgb, self.thermal


class _GrayFuser(Protocol):
    """A fuser of 8-bit thermal and RGB, as ``fusion.create`` makes it."""

    def fuse_gray(self, gray: np.ndarray, rgb: np.ndarray, coverage: np.ndarray | None = None,
                  match_background: bool = False) -> np.ndarray:
        """Return the fused image."""
        ...


def select_images(pair: AlignedPair, name: str, create_fuser: Callable[[str], _GrayFuser]
                  ) -> tuple[np.ndarray, ...]:
    """
    Return the images of a pair for a network with the input ``name``.

    Parameters
    ----------
    pair:
        The images of both cameras.
    name:
        'rgb', 'thermal', ``BOTH`` or a fusion method.
    create_fuser:
        Makes a fuser from the name of its method.

    Returns
    -------
    tuple
        An image ``(H, W, 3)`` uint8 BGR, and thermal ``(H, W)`` uint8 where ``name`` is ``BOTH``.

    """
    if name in (*SENSORS, BOTH):
        return select_sensors(pair.thermal, pair.rgb, name)
    return (create_fuser(name).fuse_gray(pair.thermal, pair.rgb, pair.coverage,
                                         match_background=True),)


def select_sensors(thermal: np.ndarray, rgb: np.ndarray, name: str) -> tuple[np.ndarray, ...]:
    """Return the result of ``select_images`` for an input that is not fused."""
    if name == BOTH:
        return rgb, thermal
    return (rgb if name == 'rgb' else cv2.cvtColor(thermal, cv2.COLOR_GRAY2BGR),)


def stack_channels(image: np.ndarray, thermal: np.ndarray | None, channels: int,
                   error: type[ValueError]) -> np.ndarray:
    """
    Return the input array of a network with this number of channels.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
    thermal:
        ``(H, W)`` uint8 on the same grid; ignored where ``channels`` is 3.
    channels:
        3 or 4.
    error:
        The type of the error to raise.

    Returns
    -------
    np.ndarray
        ``(H, W, channels)`` uint8: BGR, or BGR and thermal.

    Raises
    ------
    error
        ``channels`` is 4, and thermal is missing or has another size or dtype.

    """
    bgr = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image
    if channels == 3:
        return bgr
    if thermal is None or thermal.shape != bgr.shape[:2] or thermal.dtype != np.uint8:
        raise error(f'this network needs thermal {bgr.shape[:2]} uint8 beside RGB, got '
                    + ('none' if thermal is None else f'{thermal.shape} {thermal.dtype}'))
    return cv2.merge([bgr, thermal])


def is_rgb_passthrough(rgb: np.ndarray, fused: np.ndarray) -> bool:
    """Return whether a fused image ``(H, W, 3)`` equals RGB, compared on every 16th row."""
    return fused is rgb or np.array_equal(fused[::16], rgb[::16])
