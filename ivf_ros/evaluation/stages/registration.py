# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Registration methods measured on known misalignments, and on real unregistered pairs.

Errors are in pixels of an RGB image 640 wide, whatever the size of the images, so that they can
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
from ivf_ros.evaluation.stages.inputs import derive_seed, METHOD_ERRORS, time_call
from ivf_ros.parameters import parse_settings
from ivf_ros.thermal import Agc
from ivf_ros.types import Registration, RegistrationState
import numpy as np

WIDTH_PX = 640
_EXACT = '-exact'
DEFAULT_SETS = WARP_SETS
SETS = (*WARP_SETS, *(name + _EXACT for name in WARP_SETS))

_PX = f'px of {WIDTH_PX}'
_METRICS = (
    MetricInfo('corner_error_px', 'lower', _PX, 'mean distance of the four corners from where '
               'they belong; of the fallback, no registration, where the answer was refused'),
    MetricInfo('max_corner_error_px', 'lower', _PX, 'the same of the worst corner'),
    MetricInfo('rmse_px', 'lower', _PX, 'the same, root mean square over a grid of 9 x 9 points'),
    MetricInfo('repeat_px', 'lower', _PX, 'distance of the corners from where the answer for the '
               'image before it was misaligned puts them; needs no truth'),
    MetricInfo('repeat_confidence', 'higher', '', 'lesser confidence of the two answers that '
               'should repeat'),
    MetricInfo('landmark_rmse_px', 'lower', _PX, 'root mean square distance of landmarks'),
    MetricInfo('landmark_max_px', 'lower', _PX, 'the same of the worst landmark'),
    MetricInfo('accepted', 'higher', '', '1 where the method believes its answer, else 0'),
    MetricInfo('inliers', 'higher', '', 'matches that agree with the answer'),
    *metrics.SIMILARITY_METRICS,
)
_UNDER_5 = MetricInfo('under 5 px', 'higher', '', 'share of all pairs accepted and within 5 px')
_OVER_20 = MetricInfo('over 20 px', 'lower', '', 'share of the accepted pairs beyond 20 px')
_MEDIAN = MetricInfo('median px', 'lower', _PX, 'median error of the accepted pairs')
_AUC = {threshold_px: MetricInfo(f'AUC@{threshold_px}', 'higher', '',
                                 f'area under the curve of success over error up to '
                                 f'{threshold_px} px; refused pairs have failed')
        for threshold_px in (3, 5, 10)}
_REPEAT = MetricInfo('repeat median px', 'lower', _PX, 'median of repeat_px, both accepted')
_REPEAT_3 = MetricInfo('repeat under 3 px', 'higher', '', 'share of these within 3 px')


@dataclass(frozen=True)
class RegistrationEvaluation:
    """
    What each method makes of each pair, without a prior and without memory.

    An aligned pair is brought to 640 pixels width, and its thermal image is misaligned by one
    random homography of each set, the same for all methods. In the sets that end in '-exact' the
    thermal image is a pseudo-thermal one made of RGB, which is aligned exactly. A pair that is not
    aligned is taken as it is and measured by its homography or its landmarks, if it has any.

    Attributes
    ----------
    methods, sets:
        Of ``registration.methods()``, perhaps with parameters as in 'dfa:sfm=false,fem=true', or
        'none', which leaves everything where it is; of ``SETS``.

    """

    methods: tuple[str, ...]
    sets: tuple[str, ...] = DEFAULT_SETS

    name = 'registration'
    metrics = _METRICS
    notes = ('The labels of real pairs are themselves some pixels off: two good estimators that '
             'agree within 3 px lie about 4 px from those of RoadScene. Sets ending in -exact '
             'have exact geometry, and repeat_px needs no labels.',)

    def unsuitable(self, sample: Sample) -> str:
        """Return '': every pair can be registered."""
        return ''

    def measure(self, sample: Sample) -> SampleResult:
        """Register by all methods, in all sets that apply."""
        thermal, rgb = sample.read_thermal(), sample.read_rgb()
        if not sample.aligned:
            return self._measure_unaligned(sample, thermal, rgb)
        size = WIDTH_PX, round(WIDTH_PX * rgb.shape[0] / rgb.shape[1])
        thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        return self._measure_misaligned(sample, thermal, rgb)

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return success rates and areas under their curve, refused pairs counted as failures."""
        found: dict[str, tuple[MetricInfo, float]] = {}
        scored = [row for row in rows if _error_px(row) is not None or not row.values]
        if any(row.values for row in scored):
            accepted = [error_px for row in scored
                        if row.values.get('accepted') and (error_px := _error_px(row)) is not None]
            errors_px = accepted + [math.inf] * (len(scored) - len(accepted))
            found[_MEDIAN.name] = _MEDIAN, _median(accepted)
            found[_UNDER_5.name] = _UNDER_5, metrics.success_rate(errors_px, 5)
            found[_OVER_20.name] = _OVER_20, _mean([error_px > 20 for error_px in accepted])
            for threshold_px, info in _AUC.items():
                found[info.name] = info, metrics.area_under_curve(errors_px, threshold_px)
        repeats = [row.values['repeat_px'] for row in rows
                   if not math.isnan(row.values.get('repeat_px', math.nan))]
        if repeats:
            found[_REPEAT.name] = _REPEAT, _median(repeats)
            found[_REPEAT_3.name] = _REPEAT_3, _mean([error <= 3 for error in repeats])
        return found

    def _measure_misaligned(self, sample: Sample, thermal: np.ndarray, rgb: np.ndarray) -> SampleResult:
        seed = derive_seed(sample)
        # In gray levels, to look at and to compare; methods get the depth of the camera.
        levels = Agc()(thermal)
        pseudo = pseudo_thermal(rgb, seed)
        size = geometry.size_of(rgb)
        measured = SampleResult([], {})
        for method in self.methods:
            reference = None
            for warp_set in self.sets:
                exact = warp_set.endswith(_EXACT)
                H_true = random_homography(warp_set.removesuffix(_EXACT), size, seed)
                levels_misaligned = misalign(pseudo if exact else levels, H_true)
                thermal_misaligned = misalign(pseudo if exact else thermal, H_true)
                row = Row(self.name, method, sample.dataset, sample.name, sample.light, warp_set)
                try:
                    found, cpu_s = time_call(_register, method, thermal_misaligned, rgb)
                    if not exact and reference is None:
                        reference = _register(method, thermal, rgb)
                except METHOD_ERRORS as error:
                    measured.rows.append(row.failed(error))
                    continue
                values = {'accepted': float(_is_accepted(found)), 'inliers': float(found.inliers),
                          **metrics.registration(found.H_thermal_to_rgb, H_true, size)}
                if not exact and reference is not None:
                    values['repeat_px'] = _repeat_px(found, reference, H_true, size)
                    values['repeat_confidence'] = min(found.confidence, reference.confidence)
                registered = geometry.warp(levels_misaligned, found.H_thermal_to_rgb, size)
                values.update(metrics.image_similarity(
                    registered, pseudo if exact else levels,
                    geometry.coverage(found.H_thermal_to_rgb, size, size)))
                measured.rows.append(_row(row, found, values, cpu_s))
                measured.pictures.update({('thermal', warp_set): levels_misaligned, ('rgb', warp_set): rgb,
                                          (method, warp_set): registered})
        return measured

    def _measure_unaligned(self, sample: Sample, thermal: np.ndarray, rgb: np.ndarray) -> SampleResult:
        scale = WIDTH_PX / rgb.shape[1]
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        landmarks = sample.landmarks.read() if sample.landmarks else None
        levels = Agc()(thermal)
        measured = SampleResult([], {('thermal', ''): levels, ('rgb', ''): rgb})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                found, cpu_s = time_call(_register, method, thermal, rgb)
            except METHOD_ERRORS as error:
                measured.rows.append(row.failed(error))
                continue
            H = found.H_thermal_to_rgb
            errors_px: dict[str, float] = {}
            if sample.H_thermal_to_rgb is not None:
                errors_px.update(metrics.registration(H, sample.H_thermal_to_rgb, sizes[0]))
            if landmarks is not None:
                errors_px.update(metrics.landmark_errors(H, landmarks.thermal_px,
                                                         landmarks.rgb_px))
            values = {name: scale * error_px for name, error_px in errors_px.items()}
            values['accepted'] = float(_is_accepted(found))
            measured.rows.append(_row(row, found, values, cpu_s))
            measured.pictures[method, ''] = geometry.warp(levels, H, sizes[1])
        return measured


def _register(method: str, thermal: np.ndarray, rgb: np.ndarray) -> Registration:
    if method == 'none':
        sizes = geometry.size_of(thermal), geometry.size_of(rgb)
        return Registration(geometry.stretch(*sizes), 0.0, 0, RegistrationState.LOST, sizes[1],
                            reason='not registered')
    return _registrar(method).register(thermal, rgb)


@lru_cache
def _registrar(method: str) -> registration.Registrar:
    """Make the registrar of a method once: it remembers no pair, and may have to read weights."""
    name, _, settings = method.partition(':')
    return registration.create(name, **parse_settings(settings.split(',') if settings else ()))


def _is_accepted(found: Registration) -> bool:
    return not found.reason


def _repeat_px(found: Registration, reference: Registration, H_true: np.ndarray,
               size: tuple[int, int]) -> float:
    """Return how far two answers are apart that the known misalignment should make equal."""
    if not (_is_accepted(found) and _is_accepted(reference)):
        return math.nan
    # misaligned thermal -> thermal as it was -> RGB
    return geometry.corner_error_px(found.H_thermal_to_rgb, reference.H_thermal_to_rgb @ H_true, size)


def _error_px(row: Row) -> float | None:
    """Return the corner error, or else that of the landmarks; None where there is no truth."""
    return row.values.get('corner_error_px', row.values.get('landmark_rmse_px'))


def _row(row: Row, found: Registration, values: dict[str, float], cpu_s: float) -> Row:
    measured = row.with_values(values, cpu_s, {'confidence': found.confidence,
                                               'inliers': found.inliers})
    return measured if _is_accepted(found) else measured.failed(found.reason)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan
