# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fuse one thermal image with one RGB image of the same pixel grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
from ivf_ros.fusion import laplacian
from ivf_ros.fusion.classical import RULES
from ivf_ros.fusion.color import replace_luma
from ivf_ros.fusion.settings import FusionParameters, LEARNED
from ivf_ros.thermal import Agc, Radiometry
import numpy as np

_WEIGHTS = Path(__file__).parent / 'weights'
_THERMAL_TYPES = ('uint8', 'uint16', 'float32', 'float64')


class FusionError(ValueError):
    """Images that cannot be fused."""


class Fuser:
    """
    One fusion method with its colour rule and the gain control of thermal.

    The gain control follows the scene, so one fuser serves one pair of cameras.

    Raises
    ------
    FusionError
        The method is a network, and PyTorch or safetensors is not installed.
    WeightsError
        A weight file is missing, damaged, or of another network.

    """

    def __init__(self, parameters: FusionParameters | None = None,
                 radiometry: Radiometry | None = None) -> None:
        """Take the parameters and, where thermal counts are temperatures, their meaning."""
        self._parameters = parameters or FusionParameters()
        self._rule = _rule_for(self._parameters)
        self.agc = Agc(self._parameters.agc, radiometry)

    @property
    def parameters(self) -> FusionParameters:
        """The parameters in force; may be replaced between two frames."""
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: FusionParameters) -> None:
        before = self._parameters
        if (parameters.method, parameters.learned) != (before.method, before.learned):
            self._rule = _rule_for(parameters)
        self._parameters = parameters
        self.agc.parameters = parameters.agc

    @property
    def weight_files(self) -> tuple[str, ...]:
        """The file of the network, where the method is one."""
        learned = self._parameters.method in LEARNED
        return (str(_weight_file(self._parameters)),) if learned else ()

    def fuse(self, thermal: np.ndarray, rgb: np.ndarray,
             valid: np.ndarray | None = None) -> np.ndarray:
        """
        Fuse, without writing into either image.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8 or uint16 (counts), float32 or float64 (degrees Celsius, NaN where
            nothing was measured), already on the pixel grid of ``rgb``.
        rgb:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        valid:
            ``(H, W)`` bool, where thermal covers the grid; elsewhere the result is ``rgb``. None
            where thermal covers all of it.

        Returns
        -------
        np.ndarray
            Of the shape of ``rgb``, uint8; colour keeps the chroma of ``rgb``, see
            ``color.replace_luma``.

        Raises
        ------
        FusionError
            Shapes or types are not these.

        """
        check_thermal(thermal)
        check_rgb(rgb)
        if thermal.shape != rgb.shape[:2]:
            raise FusionError('thermal must lie on the grid of rgb: '
                              f'got {thermal.shape}, expected {rgb.shape[:2]}')
        if valid is not None and (valid.shape != thermal.shape or valid.dtype != np.bool_):
            raise FusionError(f'valid must be {thermal.shape} bool, '
                              f'got {valid.shape} {valid.dtype}')
        if thermal.dtype.kind == 'f' and not np.isfinite(thermal).all():
            finite = np.isfinite(thermal)
            valid = finite if valid is None else valid & finite
        if valid is None or valid.all():
            return self._fused(self.agc(thermal), rgb, None)
        if not valid.any():
            return rgb.copy()
        return self._fused(self.agc(filled(thermal, valid)), rgb, self._share(valid))

    def _fused(self, thermal: np.ndarray, rgb: np.ndarray,
               share: np.ndarray | None) -> np.ndarray:
        luma = rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
        if self._rule is None:
            fused = laplacian.fuse_luma(thermal, luma, share, self.parameters.laplacian)
        else:
            fused = self._rule(thermal, luma)
        if share is not None:
            fused = cv2.blendLinear(fused, luma, share, 1 - share)
        return fused if rgb.ndim == 2 else replace_luma(rgb, luma, fused)

    def _share(self, valid: np.ndarray) -> np.ndarray:
        """Return 0 outside of thermal, 1 inside, with a ramp along the inner border."""
        inside_px = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, 3)
        return np.minimum(inside_px / np.float32(self.parameters.feather_px), 1)


def _rule_for(parameters: FusionParameters
              ) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """Return what fuses two gray images; None for ``laplacian``, which also takes parameters."""
    if parameters.method not in LEARNED:
        return RULES.get(parameters.method)
    try:  # PyTorch, only where it is used
        from ivf_ros.fusion.network_learned import LearnedFusion
    except ModuleNotFoundError as error:
        raise FusionError(f"{parameters.method} needs '{error.name}'; pip install {error.name}") \
            from None
    return LearnedFusion(parameters.method, _weight_file(parameters), parameters.learned.precision)


def _weight_file(parameters: FusionParameters) -> Path:
    return Path(parameters.learned.weights or _WEIGHTS / f'{parameters.method}.safetensors')


def check_thermal(thermal: np.ndarray) -> None:
    """
    Refuse what is no thermal image.

    Raises
    ------
    FusionError
        It is not ``(H, W)`` of uint8, uint16 or float, or has no pixels.

    """
    if thermal.ndim != 2 or thermal.dtype.name not in _THERMAL_TYPES or thermal.size == 0:
        raise FusionError(f'thermal must be (H, W) of {", ".join(_THERMAL_TYPES)}, '
                          f'got {thermal.shape} {thermal.dtype}')


def check_rgb(rgb: np.ndarray) -> None:
    """
    Refuse what is no RGB image.

    Raises
    ------
    FusionError
        It is neither ``(H, W, 3)`` nor ``(H, W)`` of uint8, or has no pixels.

    """
    if rgb.shape[2:] not in ((), (3,)) or rgb.ndim < 2 or rgb.dtype != np.uint8 or rgb.size == 0:
        raise FusionError('rgb must be (H, W, 3) BGR or (H, W) gray of uint8, '
                          f'got {rgb.shape} {rgb.dtype}')


def filled(thermal: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return thermal with a middling value where it is not valid, which bends no gain control."""
    stride = max(1, min(thermal.shape) // 128)
    sample = thermal[::stride, ::stride][valid[::stride, ::stride]]
    middle = np.median(sample if sample.size else thermal[valid])
    whole = thermal.copy()
    whole[~valid] = middle
    return whole
