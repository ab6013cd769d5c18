# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion of one thermal image with one RGB image on the same pixel grid."""

from __future__ import annotations

from collections.abc import Callable

import cv2
from ivf_ros import images
from ivf_ros.fusion import laplacian
from ivf_ros.fusion.background import BackgroundMatcher
from ivf_ros.fusion.classical import RULES
from ivf_ros.fusion.color import replace_luma
from ivf_ros.fusion.learned import LearnedFusion
from ivf_ros.fusion.settings import FusionParameters, LEARNED
from ivf_ros.nn.runtime import Network
from ivf_ros.thermal import Agc, check_thermal, Radiometry
import numpy as np


class FusionError(ValueError):
    """Images cannot be fused, or a fusion method is not available."""


class Fuser:
    """
    A fusion method with its colour rule, the gain control of thermal and that of its background.

    The gain controls keep a state over time, so a fuser serves one pair of cameras only.

    Raises
    ------
    WeightsError
        A weight file is missing, damaged, or of another network.
    DeviceError
        The engine, the device or the precision of the network is not available.

    """

    def __init__(self, parameters: FusionParameters | None = None,
                 radiometry: Radiometry | None = None) -> None:
        """Set the parameters and, where thermal counts are temperatures, the radiometry."""
        self._parameters = parameters or FusionParameters()
        self._rule = _make_rule(self._parameters)
        self._agc = Agc(self._parameters.agc, radiometry)  # used by ``fuse`` only
        self._match_background = BackgroundMatcher(self._parameters.background)
        self._feathered: tuple[np.ndarray, float, np.ndarray] | None = None

    @property
    def parameters(self) -> FusionParameters:
        """The current parameters; they may be replaced between two frames."""
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: FusionParameters) -> None:
        before = self._parameters
        if (parameters.method, parameters.network) != (before.method, before.network):
            self._rule = _make_rule(parameters)
        self._parameters = parameters
        self._agc.parameters = parameters.agc
        self._match_background.parameters = parameters.background

    @property
    def networks(self) -> tuple[Network, ...]:
        """The network of the method, if it has one."""
        return (self._rule.network,) if isinstance(self._rule, LearnedFusion) else ()

    def fuse(self, thermal: np.ndarray, rgb: np.ndarray,
             coverage: np.ndarray | None = None) -> np.ndarray:
        """
        Apply the gain control to thermal, match its background, and fuse.

        The inputs are not modified.

        Parameters
        ----------
        thermal:
            ``(H, W)`` uint8 or uint16 (counts), float32 or float64 (degrees Celsius, NaN where
            there is no measurement), on the pixel grid of ``rgb``.
        rgb:
            ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
        coverage:
            ``(H, W)`` bool, the pixels that thermal covers; the result equals ``rgb`` elsewhere.
            None if thermal covers all pixels.

        Returns
        -------
        np.ndarray
            uint8, of the shape of ``rgb``. A colour image keeps the chroma of ``rgb``, see
            ``color.replace_luma``.

        Raises
        ------
        FusionError
            A shape or dtype is wrong.

        """
        check_thermal(thermal, FusionError)
        _check_grid(thermal, rgb, coverage)
        if thermal.dtype.kind == 'f' and not np.isfinite(thermal).all():
            finite = np.isfinite(thermal)
            coverage = finite if coverage is None else coverage & finite
        if coverage is not None and not coverage.any():
            return rgb.copy()
        coverage = None if coverage is None or coverage.all() else coverage
        if coverage is not None:
            thermal = fill_uncovered(thermal, coverage)
        return self._blend(self._agc(thermal), rgb, coverage, match_background=True)

    def fuse_gray(self, gray: np.ndarray, rgb: np.ndarray, coverage: np.ndarray | None = None,
                  match_background: bool = False) -> np.ndarray:
        """
        Fuse thermal after the gain control, ``(H, W)`` uint8.

        It is used without changes, so that methods can be compared on the same image, or with its
        background matched to RGB, see ``BackgroundMatcher``. ``FusionStage`` calls this method, as
        it has its own gain control. See ``fuse`` for the other parameters and the result.

        Raises
        ------
        FusionError
            A shape or dtype is wrong.

        """
        if gray.ndim != 2 or gray.dtype != np.uint8:
            raise FusionError('gray must be (H, W) uint8, the output of the gain control, '
                              f'got {gray.shape} {gray.dtype}')
        _check_grid(gray, rgb, coverage)
        if coverage is not None and not coverage.any():
            return rgb.copy()
        coverage = None if coverage is None or coverage.all() else coverage
        if coverage is not None:
            gray = fill_uncovered(gray, coverage)
        return self._blend(gray, rgb, coverage, match_background)

    def _blend(self, gray: np.ndarray, rgb: np.ndarray, coverage: np.ndarray | None,
               match_background: bool) -> np.ndarray:
        luma = rgb if rgb.ndim == 2 else cv2.cvtColor(rgb, cv2.COLOR_BGR2GRAY)
        if match_background:
            gray = self._match_background(gray, luma, coverage)
        weight = None if coverage is None else self._feather(coverage)
        if self._rule is None:
            fused = laplacian.fuse_luma(gray, luma, weight, self.parameters.laplacian)
        else:
            fused = self._rule(gray, luma)
        if weight is not None:
            fused = cv2.blendLinear(fused, luma, weight, 1 - weight)
        return fused if rgb.ndim == 2 else replace_luma(rgb, luma, fused)

    def _feather(self, coverage: np.ndarray) -> np.ndarray:
        """
        Return the weight of thermal: 0 outside, 1 inside, with a ramp at the inner border.

        It is computed once for a coverage, which changes only with the homography.
        """
        feather_px = self.parameters.feather_px
        if self._feathered is None or self._feathered[1] != feather_px \
                or not np.array_equal(self._feathered[0], coverage):
            distance_px = cv2.distanceTransform(coverage.view(np.uint8), cv2.DIST_L2, 3)
            weight = np.minimum(distance_px / np.float32(feather_px), 1)
            self._feathered = coverage.copy(), feather_px, weight
        return self._feathered[2]


def _make_rule(parameters: FusionParameters
               ) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """
    Return the function that fuses two gray images.

    It is None for ``laplacian``, which also needs its parameters.
    """
    if parameters.method not in LEARNED:
        return RULES.get(parameters.method)
    return LearnedFusion(parameters.method, parameters.network)


def fill_uncovered(thermal: np.ndarray, coverage: np.ndarray) -> np.ndarray:
    """Return a copy of thermal with its approximate median in the pixels without coverage."""
    stride = max(1, min(thermal.shape) // 128)
    sample = thermal[::stride, ::stride][coverage[::stride, ::stride]]
    median = np.median(sample if sample.size else thermal[coverage])
    filled = thermal.copy()
    filled[~coverage] = median
    return filled


def _check_grid(thermal: np.ndarray, rgb: np.ndarray, coverage: np.ndarray | None) -> None:
    images.check_8bit(rgb, 'rgb', FusionError)
    if thermal.shape != rgb.shape[:2]:
        raise FusionError('thermal must lie on the grid of rgb: '
                          f'got {thermal.shape}, expected {rgb.shape[:2]}')
    if coverage is not None and (coverage.shape != thermal.shape or coverage.dtype != np.bool_):
        raise FusionError(f'coverage must be {thermal.shape} bool, '
                          f'got {coverage.shape} {coverage.dtype}')
