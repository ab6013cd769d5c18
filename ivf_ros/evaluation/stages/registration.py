# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Evaluation of registration methods on known misalignments, and on real unregistered pairs.

Errors are given in pixels of an RGB image of 640 pixels width, for images of any size. So they can
be compared between data sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
import math

import cv2
from ivf_ros import geometry, registration
from ivf_ros.data.misalignment import misalign, random_homography, WARP_SETS
from ivf_ros.data.sample import Sample
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.pseudo_thermal import pseudo_thermal
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.inputs import create_method, derive_seed, METHOD_ERRORS, time_call
from ivf_ros.thermal import Agc
from ivf_ros.types import Registration, RegistrationState
import numpy as np

WIDTH_PX = 640
_EXACT = '-exact'
DEFAULT_SETS = WARP_SETS
SETS = (*WARP_SETS, *(name + _EXACT for name in WARP_SETS))

_PX = f'px of {WIDTH_PX}'
_METRICS = (
    MetricInfo('corner_error_px', 'lower', _PX, 'mean distance of the four corners from their '
               'true positions; for a rejected estimate, the error of the fallback, which is no '
               'registration'),
    MetricInfo('max_corner_error_px', 'lower', _PX, 'the largest of these four distances'),
    MetricInfo('rmse_px', 'lower', _PX, 'root mean square distance over a grid of 9 x 9 points'),
    MetricInfo('repeat_px', 'lower', _PX, 'mean distance of the corners between the estimate for '
               'the misaligned pair and the one for the original pair; needs no ground truth'),
    MetricInfo('repeat_confidence', 'higher', '', 'the smaller confidence of these two estimates'),
    MetricInfo('landmark_rmse_px', 'lower', _PX, 'root mean square distance of landmarks'),
    MetricInfo('landmark_max_px', 'lower', _PX, 'the largest distance of a landmark'),
    MetricInfo('accepted', 'higher', '', '1 if the method accepts its estimate, else 0'),
    MetricInfo('inliers', 'higher', '', 'number of matches that agree with the estimate'),
    *metrics.SIMILARITY_METRICS,
)
_UNDER_5 = MetricInfo('under 5 px', 'higher', '', 'fraction of all pairs that are accepted and '
                      'within 5 px')
_OVER_20 = MetricInfo('over 20 px', 'lower', '', 'fraction of the accepted pairs beyond 20 px')
_MEDIAN = MetricInfo('median px', 'lower', _PX, 'median error of the accepted pairs')
_AUC = {threshold_px: MetricInfo(f'AUC@{threshold_px}', 'higher', '',
                                 f'area under the curve of success rate over error up to '
                                 f'{threshold_px} px; rejected pairs count as failures')
        for threshold_px in (3, 5, 10)}
_REPEAT_MEDIAN = MetricInfo('repeat median px', 'lower', _PX, 'median of repeat_px over the pairs '
                            'for which both estimates are accepted')
_REPEAT_UNDER_3 = MetricInfo('repeat under 3 px', 'higher', '', 'fraction of these pairs within '
                             '3 px')


@dataclass(frozen=True)
class RegistrationEvaluation:
    """
    Each method registers each pair, without a prior and without memory.

    An aligned pair is resized to 640 pixels width. Its thermal image is misaligned by one random
    homography of each set, the same for all methods. In the sets that end in '-exact' the thermal
    image is a pseudo-thermal image computed from RGB, which is aligned exactly. A pair that is not
    aligned is used as it is; its errors come from its homography or its landmarks, if it has any.

    Attributes
    ----------
    methods, sets:
        Names of ``registration.methods()``, optionally with parameters as in
        'dfa:sfm=false,fem=true', or 'none', which does not register. Names of ``SETS``.

    """

    methods: tuple[str, ...]
    sets: tuple[str, ...] = DEFAULT_SETS

    name = 'registration'
    metrics = _METRICS
    notes = ('The alignment of real pairs is itself wrong by some pixels: two good estimators '
             'that agree within 3 px differ by about 4 px from that of RoadScene. Sets that end '
             'in -exact have exact geometry, and repeat_px needs no ground truth.',)

    def skip_reason(self, sample: Sample) -> str:
        """Return '': every pair can be registered."""
        return ''

    def measure(self, sample: Sample) -> SampleResult:
        """Register a sample by all methods, in all sets that apply."""
        thermal, rgb = sample.read_thermal(), sample.read_rgb()
        if not sample.aligned:
            return self._measure_unaligned(sample, thermal, rgb)
        size = WIDTH_PX, round(WIDTH_PX * rgb.shape[0] / rgb.shape[1])
        thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        return self._measure_misaligned(sample, thermal, rgb)

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return success rates and areas under their curve. Rejected pairs count as failures."""
        overall: dict[str, tuple[MetricInfo, float]] = {}
        scored = [row for row in rows if _error_px(row) is not None or not row.values]
        if any(row.values for row in scored):
            accepted = [error_px for row in scored
                        if row.values.get('accepted') and (error_px := _error_px(row)) is not None]
            errors_px = accepted + [math.inf] * (len(scored) - len(accepted))
            overall[_MEDIAN.name] = _MEDIAN, _median(accepted)
            overall[_UNDER_5.name] = _UNDER_5, metrics.success_rate(errors_px, 5)
            overall[_OVER_20.name] = _OVER_20, _mean([error_px > 20 for error_px in accepted])
            for threshold_px, info in _AUC.items():
                overall[info.name] = info, metrics.area_under_curve(errors_px, threshold_px)
        repeats_px = [row.values['repeat_px'] for row in rows
                      if not math.isnan(row.values.get('repeat_px', math.nan))]
        if repeats_px:
            overall[_REPEAT_MEDIAN.name] = _REPEAT_MEDIAN, _median(repeats_px)
            overall[_REPEAT_UNDER_3.name] = _REPEAT_UNDER_3, _mean([error_px <= 3 for error_px
                                                                    in repeats_px])
        return overall

    def _measure_misaligned(self, sample: Sample, thermal: np.ndarray, rgb: np.ndarray
                            ) -> SampleResult:
        seed = derive_seed(sample)
        # Gray levels are for pictures and similarity; methods get the bit depth of the camera.
        levels = Agc()(thermal)
        pseudo = pseudo_thermal(rgb, seed)
        size = geometry.size_of(rgb)
        result = SampleResult([], {})
        for method in self.methods:
            reference = None
            for warp_set in self.sets:
                exact = warp_set.endswith(_EXACT)
                H_true = random_homography(warp_set.removesuffix(_EXACT), size, seed)
                levels_misaligned = misalign(pseudo if exact else levels, H_true)
                thermal_misaligned = misalign(pseudo if exact else thermal, H_true)
                row = Row(self.name, method, sample.dataset, sample.name, sample.light, warp_set)
                try:
                    estimate, cpu_s = time_call(_register, method, thermal_misaligned, rgb)
                    if not exact and reference is None:
                        reference = _register(method, thermal, rgb)
                except METHOD_ERRORS as error:
                    result.rows.append(row.failed(error))
                    continue
                values = {'accepted': float(_is_accepted(estimate)),
                          'inliers': float(estimate.inliers),
                          **metrics.registration(estimate.H_thermal_to_rgb, H_true, size)}
                if not exact and reference is not None:
                    values['repeat_px'] = _compute_repeat_px(estimate, reference, H_true, size)
                    values['repeat_confidence'] = min(estimate.confidence, reference.confidence)
                registered = geometry.warp(levels_misaligned, estimate.H_thermal_to_rgb, size)
                values.update(metrics.image_similarity(
                    registered, pseudo if exact else levels,
                    geometry.coverage(estimate.H_thermal_to_rgb, size, size)))
                result.rows.append(_complete_row(row, estimate, values, cpu_s))
                result.pictures.update({('thermal', warp_set): levels_misaligned,
                                        ('rgb', warp_set): rgb,
                                        (method, warp_set): registered})
        return result

    def _measure_unaligned(self, sample: Sample, thermal: np.ndarray, rgb: np.ndarray
                           ) -> SampleResult:
        scale = WIDTH_PX / rgb.shape[1]
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        landmarks = sample.landmarks.read() if sample.landmarks else None
        levels = Agc()(thermal)
        result = SampleResult([], {('thermal', ''): levels, ('rgb', ''): rgb})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                estimate, cpu_s = time_call(_register, method, thermal, rgb)
            except METHOD_ERRORS as error:
                result.rows.append(row.failed(error))
                continue
            H = estimate.H_thermal_to_rgb
            errors_px: dict[str, float] = {}
            if sample.H_thermal_to_rgb is not None:
                errors_px.update(metrics.registration(H, sample.H_thermal_to_rgb, sizes[0]))
            if landmarks is not None:
                errors_px.update(metrics.landmark_errors(H, landmarks.thermal_px,
                                                         landmarks.rgb_px))
            values = {name: scale * error_px for name, error_px in errors_px.items()}
            values['accepted'] = float(_is_accepted(estimate))
            result.rows.append(_complete_row(row, estimate, values, cpu_s))
            result.pictures[method, ''] = geometry.warp(levels, H, sizes[1])
        return result


def _register(method: str, thermal: np.ndarray, rgb: np.ndarray) -> Registration:
    if method == 'none':
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        return Registration(geometry.stretch(*sizes), 0.0, 0, RegistrationState.LOST, sizes[1],
                            reason='not registered')
    return _load_registrar(method).register(thermal, rgb)


@lru_cache
def _load_registrar(method: str) -> registration.Registrar:
    """Create the registrar of a method once; it has no memory of pairs, and may load weights."""
    return create_method(registration.create, method)


def _is_accepted(estimate: Registration) -> bool:
    return not estimate.reason


def _compute_repeat_px(estimate: Registration, reference: Registration, H_true: np.ndarray,
                       size: tuple[int, int]) -> float:
    """Return the distance between two estimates that the known misalignment should make equal."""
    if not (_is_accepted(estimate) and _is_accepted(reference)):
        return math.nan
    # misaligned thermal -> original thermal -> RGB
    return geometry.corner_error_px(estimate.H_thermal_to_rgb,
                                    reference.H_thermal_to_rgb @ H_true, size)


def _error_px(row: Row) -> float | None:
    """Return the corner error, or else the landmark error; None without ground truth."""
    return row.values.get('corner_error_px', row.values.get('landmark_rmse_px'))


def _complete_row(row: Row, estimate: Registration, values: dict[str, float], cpu_s: float) -> Row:
    completed = row.with_values(values, cpu_s, {'confidence': estimate.confidence,
                                                'inliers': estimate.inliers})
    return completed if _is_accepted(estimate) else completed.failed(estimate.reason)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
