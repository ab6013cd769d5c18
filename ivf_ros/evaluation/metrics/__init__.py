# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Measures of fusion and registration, each as the field computes it."""

from __future__ import annotations

from ivf_ros.evaluation.metrics import intensity, structure
from ivf_ros.evaluation.metrics.inputs import check_triple, MetricError
from ivf_ros.evaluation.metrics.registration import area_under_curve, registration, success_rate
import numpy as np

__all__ = ['area_under_curve', 'fusion', 'FUSION_METRICS', 'MetricError', 'registration',
           'success_rate']

FUSION_METRICS = ('EN', 'SD', 'SF', 'AG', 'EI', 'MI', 'NMI', 'CC', 'SCD', 'MSE', 'PSNR', 'SSIM',
                  'VIF', 'Qabf')


def fusion(thermal: np.ndarray, rgb_gray: np.ndarray, fused_gray: np.ndarray
           ) -> dict[str, float]:
    """
    Measure one fused image against its two sources.

    The definitions are those of the evaluation code that the infrared-visible field shares
    (MATLAB, Tang et al.); each function says where it follows which convention. Higher is better
    for all but MSE; EN, SD, SF, AG and EI look at the fused image alone and can be raised by mere
    contrast or noise.

    Parameters
    ----------
    thermal, rgb_gray, fused_gray:
        ``(H, W)`` luma of the same size, 0 to 255, uint8 or float; at least 41 pixels a side,
        which VIF needs. Float images are rounded where a histogram is taken.

    Returns
    -------
    dict
        Name, of ``FUSION_METRICS``, to value.

    Raises
    ------
    MetricError
        Sizes differ or are too small, a type or a value is out of range, or not finite.

    """
    thermal, rgb, fused = check_triple(thermal, rgb_gray, fused_gray)
    sources = (thermal, rgb)
    values = (
        intensity.entropy_bits(fused),
        intensity.standard_deviation(fused),
        intensity.spatial_frequency(fused),
        intensity.average_gradient(fused),
        intensity.edge_intensity(fused),
        intensity.mutual_information_bits(sources, fused),
        intensity.normalized_mutual_information(sources, fused),
        intensity.correlation(sources, fused),
        intensity.sum_of_correlations_of_differences(sources, fused),
        intensity.mean_squared_error(sources, fused),
        intensity.peak_signal_to_noise_db(sources, fused),
        structure.structural_similarity(sources, fused),
        structure.visual_information_fidelity(sources, fused),
        structure.edge_transfer(sources, fused),
    )
    return dict(zip(FUSION_METRICS, values, strict=True))
