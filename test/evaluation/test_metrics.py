# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of homographies have values that are known by hand."""

from __future__ import annotations

import math

from ivf_ros import geometry
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics import MetricError
import numpy as np
import pytest


def test_registration_errors_of_a_known_shift_and_stretch():
    shift = metrics.registration(geometry.translation(3, 4), np.eye(3), (640, 480))
    assert shift == pytest.approx({'corner_error_px': 5.0, 'max_corner_error_px': 5.0,
                                   'rmse_px': 5.0})
    wide = metrics.registration(geometry.scaling(1.01, 1.0), 2 * np.eye(3), (101, 51))
    assert wide['corner_error_px'] == pytest.approx(0.5)  # two corners stay, two move by 1
    assert wide['max_corner_error_px'] == pytest.approx(1.0)
    assert wide['rmse_px'] == pytest.approx(math.sqrt(np.mean(np.linspace(0, 1, 9) ** 2)))


def test_area_and_success_of_known_errors():
    errors_px = [0.0, 2.5, 5.0, math.inf]
    assert metrics.area_under_curve(errors_px, 5) == pytest.approx((1 + 0.5) / 4)
    assert metrics.success_rate(errors_px, 5) == 0.75
    for wrong in ([], [[1.0]], [-1.0], [math.nan]):
        with pytest.raises(MetricError):
            metrics.area_under_curve(wrong, 5)
    with pytest.raises(MetricError, match='must be positive'):
        metrics.area_under_curve(errors_px, 0)
