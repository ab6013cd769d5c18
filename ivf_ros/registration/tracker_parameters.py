# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameters of the registration tracker."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter


@dataclass(frozen=True)
class TrackerParameters:
    """Filter, gate and state machine of the tracker. Lengths are px of an RGB image 640 wide."""

    drift_px: float = parameter(
        0.8, 'Random walk of a corner coordinate in one minute (1 sigma, px at 640 width).',
        minimum=0.001, maximum=1e4)
    correlation_s: float = parameter(
        1.0, 'Seconds in which the correlation of measurement errors decays to 37 %. Measurements '
        'in quicker succession have less weight.', minimum=0.0, maximum=60.0)
    prior_px: float = parameter(
        10.0, 'Error of a corner coordinate of the prior, or of the last known homography after '
        'LOST (1 sigma, px at 640 width).',
        minimum=0.01, maximum=640.0)
    gate: float = parameter(
        26.1, 'Largest squared Mahalanobis distance of an accepted measurement. The default '
        'rejects one in 1000 (chi-square, 8 degrees of freedom).', minimum=1.0, maximum=1e4)
    max_jump_px: float = parameter(
        16.0, 'A measurement with a larger corner displacement from the filter state is an '
        'outlier too (px at 640 width).',
        minimum=0.0, maximum=640.0)
    agreement_px: float = parameter(
        10.0, 'Largest corner distance between measurements that agree (px at 640 width).',
        minimum=0.0, maximum=640.0)
    acquire_count: int = parameter(
        2, 'Measurements in a row that must agree for the first lock, and accepted measurements '
        'in a row for the change from HOLDING to TRACKING.', minimum=1, maximum=100)
    relock_count: int = parameter(
        5, 'Outliers in a row that must agree to be accepted.',
        minimum=1, maximum=100)
    relock_s: float = parameter(
        2.0, 'Minimum time in seconds that these outliers span.', minimum=0.0, maximum=3600.0)
    fresh_s: float = parameter(
        2.0, 'Seconds after an accepted measurement in which the state is TRACKING.',
        minimum=0.0, maximum=3600.0)
    hold_s: float = parameter(
        10.0, 'Seconds after an accepted measurement in which its homography is held.',
        minimum=0.0, maximum=86400.0)
    decay_s: float = parameter(
        5.0, 'Seconds in which the confidence of a held measurement decays to 37 %.',
        minimum=0.01, maximum=86400.0)
    contradiction_count: int = parameter(
        3, 'Rejected pairs in a row whose images contradict the held homography, until it is '
        'LOST.', minimum=1, maximum=1000000)
    contradiction_s: float = parameter(
        1.0, 'Minimum time in seconds that these pairs span.', minimum=0.0, maximum=86400.0)
