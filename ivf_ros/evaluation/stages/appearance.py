# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How a fused image looks to a person: whether people stand out, and what else has changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import math

import cv2
from ivf_ros import fusion
from ivf_ros.data.aligned import explain_unaligned, read_aligned
from ivf_ros.data.sample import Origin, Sample
from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.results import Row, SampleResult
from ivf_ros.evaluation.stages.inputs import create_method, METHOD_ERRORS, time_call
from ivf_ros.evaluation.stages.per_input import describe_origin
from ivf_ros.types import Detection
import numpy as np

APPEARANCE_METRICS = (
    MetricInfo('person contrast', 'higher', 'levels', 'mean luma of the brighter half of each box '
               'of a person minus that of its surroundings, mean over the boxes'),
    MetricInfo('luma change', 'lower', 'levels', 'absolute difference of the mean luma from that '
               'of RGB'),
    MetricInfo('color shift', 'lower', 'CIEDE2000', 'mean colour difference from RGB where '
               'thermal is silent: at most its percentile 80 (Luo, Cui and Rigg 2001)'))
_SILENT_PERCENT = 80
_SURROUNDINGS = 0.5  # of the width and of the height of a box, on each side
_PERSON_NAMES = ('person', 'people', 'pedestrian')


@dataclass(frozen=True)
class AppearanceEvaluation:
    """
    Each method fuses each aligned pair as a user gets it, with gain control and background match.

    Attributes
    ----------
    methods, origin:
        Names of ``fusion.methods()``, where a setting may follow a colon; and who made the boxes
        of people.

    """

    methods: tuple[str, ...]
    origin: Origin = Origin.HUMAN

    name = 'appearance'
    metrics = APPEARANCE_METRICS

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what the values do not show."""
        return ('A person who is colder than the surroundings has a negative contrast.',
                *describe_origin(self.origin))

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be measured, or ''."""
        return explain_unaligned(sample)

    def measure(self, sample: Sample) -> SampleResult:
        """Fuse a sample by all methods and compare the images with RGB."""
        pair = read_aligned(sample)
        boxes = () if sample.detections is None else sample.detections.read()
        silent = pair.coverage & (pair.thermal <= np.percentile(pair.thermal[pair.coverage],
                                                                _SILENT_PERCENT))
        result = SampleResult([], {('thermal', ''): pair.thermal, ('rgb', ''): pair.rgb})
        for method in self.methods:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            fuser = create_method(fusion.create, method)
            try:
                fused, cpu_s = time_call(fuser.fuse, pair.thermal, pair.rgb, pair.coverage)
            except METHOD_ERRORS as error:
                result.rows.append(row.failed(error))
                continue
            values = {'person contrast': measure_person_contrast(fused, boxes),
                      'luma change': measure_luma_change(fused, pair.rgb),
                      'color shift': measure_color_shift(fused, pair.rgb, silent)}
            result.rows.append(row.with_values(values, cpu_s))
            result.pictures[method, ''] = fused
        return result

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return no metrics: each value belongs to one image."""
        return {}


def measure_person_contrast(image: np.ndarray, boxes: Iterable[Detection]) -> float:
    """
    Return how much brighter people are than their surroundings, in gray levels.

    Parameters
    ----------
    image:
        ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8.
    boxes:
        The objects; those of other classes are ignored, and do not count as surroundings.

    Returns
    -------
    float
        Mean over the people, from -255 to 255; NaN if there are none.

    """
    luma = _to_luma(image)
    objects = np.zeros(luma.shape, bool)
    windows = [(box, _clip_box(box.box_xyxy_px, luma.shape)) for box in boxes]
    for _, window in windows:
        objects[window] = True
    contrasts = []
    for box, window in windows:
        inside = luma[window]
        if box.class_name not in _PERSON_NAMES or not inside.size:
            continue
        left, top, right, bottom = box.box_xyxy_px
        x_margin, y_margin = _SURROUNDINGS * (right - left), _SURROUNDINGS * (bottom - top)
        around = _clip_box((left - x_margin, top - y_margin, right + x_margin, bottom + y_margin),
                           luma.shape)
        surroundings = luma[around][~objects[around]]
        if surroundings.size:
            # About half of a box is the person.
            brighter = inside[inside >= np.median(inside)]
            contrasts.append(float(brighter.mean() - surroundings.mean()))
    return float(np.mean(contrasts)) if contrasts else math.nan


def measure_luma_change(image: np.ndarray, rgb: np.ndarray) -> float:
    """Return the absolute difference of the mean luma of two images, in gray levels."""
    return abs(float(_to_luma(image).mean() - _to_luma(rgb).mean()))


def measure_color_shift(image: np.ndarray, rgb: np.ndarray, mask: np.ndarray) -> float:
    """
    Return the mean CIEDE2000 difference of two images within a mask.

    Parameters
    ----------
    image, rgb:
        ``(H, W, 3)`` BGR uint8.
    mask:
        ``(H, W)`` bool.

    """
    from skimage.color import deltaE_ciede2000  # takes a second to import

    lab = (cv2.cvtColor(each.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)[mask]
           for each in (image, rgb))
    return float(deltaE_ciede2000(*lab).mean())


def _to_luma(image: np.ndarray) -> np.ndarray:
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return gray.astype(np.float32)


def _clip_box(box_xyxy_px: Sequence[float], shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, right, bottom = (max(0, round(edge)) for edge in box_xyxy_px)
    return slice(top, min(bottom, shape[0])), slice(left, min(right, shape[1]))
