# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The images of an item, corrected as the nodes correct them, and thermal on the RGB grid.

Where the two cameras are exchanged, thermal is in false colours, or the sizes differ, the error
names the option to use.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ivf_ros import geometry
from ivf_ros.camera_input import CameraGeometry
from ivf_ros.cli.batch import EXAMINED_PAIRS
from ivf_ros.cli.cameras import rgb_camera_of, thermal_camera_of
from ivf_ros.cli.false_colours import explain_colours
from ivf_ros.cli.inputs import Item
from ivf_ros.cli.output import CommandError
from ivf_ros.data.image_file import read_prior, read_thermal, read_visible
from ivf_ros.data.recording import to_thermal
from ivf_ros.thermal import AgcParameters
from ivf_ros.thermal_on_rgb import ThermalOnRgb, ThermalWarper
from ivf_ros.types import Registration
import numpy as np


class PairReader:
    """Reads the images of items, corrected as ``--thermal-camera`` and ``--rgb-camera`` say."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._thermal_camera = thermal_camera_of(options)
        self._rgb_camera = rgb_camera_of(options)

    @property
    def moves_pixels(self) -> bool:
        """Whether an option changes the geometry of an image."""
        return self._thermal_camera.moves_pixels or self._rgb_camera.moves_pixels

    def read_rgb(self, item: Item) -> np.ndarray:
        """Return ``(H, W, 3)`` BGR or ``(H, W)``, uint8; raise CommandError for another depth."""
        if isinstance(item.rgb, np.ndarray):
            return item.rgb
        return CameraGeometry(self._rgb_camera).apply(_check_rgb(item.rgb, read_visible(item.rgb)))

    def read_pair(self, item: Item) -> tuple[np.ndarray, np.ndarray]:
        """Return thermal ``(H, W)``, and RGB as ``read_rgb``; see there."""
        assert item.thermal is not None
        if isinstance(item.thermal, np.ndarray):
            return item.thermal, self.read_rgb(item)
        assert isinstance(item.rgb, Path)
        image, visible = read_thermal(item.thermal), read_visible(item.rgb)
        if image.ndim == 3 and self._thermal_camera.palette == 'none':
            raise CommandError(explain_colours(image, visible))
        rgb = _check_rgb(item.rgb, visible)
        return to_thermal(image, self._thermal_camera), CameraGeometry(self._rgb_camera).apply(rgb)

    def read_prior(self, item: Item) -> np.ndarray | None:
        """Return the homography of a radiometric file; None where an option moves the pixels."""
        if self.moves_pixels or not isinstance(item.thermal, Path):
            return None
        assert isinstance(item.rgb, Path)
        return read_prior(item.thermal, item.rgb)


class Registering:
    """Registers the pairs of items, from the prior of ``--prior`` or of a radiometric file."""

    def __init__(self, reader: PairReader, prior: Path | None, method: str = '',
                 **parameters: object) -> None:
        from ivf_ros import registration
        self._registrar = registration.create(method or registration.DEFAULT_METHOD, **parameters)
        self._reader = reader
        self._prior = _read_rig(prior) if prior else None

    def register(self, item: Item, thermal: np.ndarray, rgb: np.ndarray) -> Registration:
        """Return where thermal lies on RGB; ``reason`` says why it is not known."""
        prior = self._reader.read_prior(item) if self._prior is None else self._prior
        return self._registrar.register(thermal, rgb, prior)


class ThermalOnto:
    """
    Brings thermal onto the RGB grid, after the gain control: registered, or as it lies.

    Parameters
    ----------
    registering:
        Registers each pair; None if thermal lies on the RGB grid.
    is_sequence:
        The gain control follows the frames in time. Otherwise each image is by itself.
    agc:
        Parameters of the gain control.

    """

    def __init__(self, registering: Registering | None, is_sequence: bool,
                 agc: AgcParameters | None = None) -> None:
        self._registering, self._agc = registering, agc
        self._warper = ThermalWarper(agc) if is_sequence else None

    def put(self, item: Item, thermal: np.ndarray, rgb: np.ndarray) -> ThermalOnRgb:
        """Return thermal on RGB; raise CommandError if that is not possible."""
        size = geometry.size_of(rgb)
        H_thermal_to_rgb: np.ndarray = np.eye(3)
        if self._registering is not None:
            registered = self._registering.register(item, thermal, rgb)
            if has_failed(registered):
                raise CommandError(f'registration failed: {registered.reason}')
            H_thermal_to_rgb = registered.H_thermal_to_rgb
        elif geometry.size_of(thermal) != size:
            width, height = geometry.size_of(thermal)
            raise CommandError(f'thermal must lie on the grid of rgb: got {width}x{height} and '
                               f'{size[0]}x{size[1]}; --register registers it first')
        warper = self._warper or ThermalWarper(self._agc)
        return warper.warp_gray(thermal, H_thermal_to_rgb, size)


def has_failed(registered: Registration) -> bool:
    """Return whether a registration is no measurement."""
    return bool(registered.reason) or not registered.confidence > 0


def is_examined(item: Item, registers: bool) -> bool:
    """Return whether to check that thermal of an item is registered: of the first few."""
    return not registers and item.index < EXAMINED_PAIRS


def _check_rgb(path: Path, image: np.ndarray) -> np.ndarray:
    if image.dtype != np.uint8:
        hint = '; is it the thermal image? Then exchange the two arguments' \
            if image.ndim == 2 else ''
        raise CommandError(f"'{path}' must have 8 bits per channel, got {image.dtype}{hint}")
    return image


def _read_rig(path: Path) -> np.ndarray:
    from ivf_ros.calibration.rig_files import read_prior as read_rig  # needs SciPy
    return read_rig(path)
