# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""All fusion metrics: their descriptions, and one function that computes any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ivf_ros.evaluation.metrics import (
    edges,
    feature_information,
    intensity,
    multiscale,
    perceptual,
    phase,
    structure,
)
from ivf_ros.evaluation.metrics.info import by_name, MetricInfo
from ivf_ros.evaluation.metrics.inputs import check_triple, ImageTriple, MetricError, Sources
import numpy as np

FUSION_METRIC_INFO = by_name([
    MetricInfo('EN', 'higher', 'bit', 'entropy of the gray levels; Roberts et al. 2008'),
    MetricInfo('SD', 'higher', 'level', 'standard deviation of intensity; Rao 1997'),
    MetricInfo('SF', 'higher', 'level', 'spatial frequency; Eskicioglu and Fisher 1995'),
    MetricInfo('AG', 'higher', 'level', 'average gradient; Cui et al. 2015'),
    MetricInfo('EI', 'higher', 'level', 'edge intensity, mean Sobel magnitude; Xydeas 2000'),
    MetricInfo('MI', 'higher', 'bit', 'mutual information with the sources; Qu et al. 2002'),
    MetricInfo('NMI', 'higher', '', 'normalised mutual information; Hossny et al. 2008'),
    MetricInfo('QNCIE', 'higher', '', 'nonlinear correlation information; Wang et al. 2005'),
    MetricInfo('CC', 'higher', '', 'mean correlation with the sources; Pearson 1896'),
    MetricInfo('SCD', 'higher', '', 'correlations of differences; Aslantas and Bendes 2015'),
    MetricInfo('MSE', 'lower', '', 'mean squared error, intensity 0..1; Jagalingam 2015'),
    MetricInfo('PSNR', 'higher', 'dB', 'peak signal to noise ratio; Jagalingam 2015'),
    MetricInfo('SSIM', 'higher', '', 'structural similarity; Wang et al. 2004'),
    MetricInfo('MS-SSIM', 'higher', '', 'multi-scale similarity to the best combination of the '
               'sources; Ma et al. 2015'),
    MetricInfo('VIF', 'higher', '', 'visual information fidelity; Sheikh and Bovik 2006'),
    MetricInfo('Qabf', 'higher', '', 'preserved edges; Xydeas and Petrovic 2000'),
    MetricInfo('Nabf', 'lower', '', 'artificial edges; Petrovic and Xydeas 2005, Kumar 2013'),
    MetricInfo('FMI_pixel', 'higher', '', 'mutual information of edge maps; Haghighat et al. '
               '2011'),
    MetricInfo('FMI_gradient', 'higher', '', 'mutual information of gradients; Haghighat et al. '
               '2011'),
    MetricInfo('FMI_dct', 'higher', '', 'mutual information of cosine transforms; Haghighat et '
               'al. 2011'),
    MetricInfo('FMI_wavelet', 'higher', '', 'mutual information of wavelet bands; Haghighat et '
               'al. 2011'),
    MetricInfo('Qy', 'higher', '', 'similarity to the locally more similar source; Yang et al. '
               '2008'),
    MetricInfo('Qc', 'higher', '', 'similarity weighted by covariance; Cvejic et al. 2005'),
    MetricInfo('Qcb', 'higher', '', 'preserved contrast; Chen and Blum 2009'),
    MetricInfo('Qcv', 'lower', '', 'visible difference by region; Chen and Varshney 2007'),
    MetricInfo('Qp', 'higher', '', 'preserved phase congruency; Zhao et al. 2007'),
])
FUSION_METRICS = tuple(FUSION_METRIC_INFO)


def _from_fused(metric: Callable[[np.ndarray], float]) -> Callable[[ImageTriple], float]:
    return lambda triple: metric(triple.fused)


def _from_intensities(metric: Callable[[Sources, np.ndarray], float]
                      ) -> Callable[[ImageTriple], float]:
    return lambda triple: metric(triple.sources, triple.fused)


_FUNCTIONS: dict[str, Callable[[ImageTriple], float]] = {
    'EN': _from_fused(intensity.entropy_bits),
    'SD': _from_fused(intensity.standard_deviation),
    'SF': _from_fused(intensity.spatial_frequency),
    'AG': _from_fused(intensity.average_gradient),
    'EI': _from_fused(intensity.edge_intensity),
    'MI': _from_intensities(intensity.mutual_information_bits),
    'NMI': _from_intensities(intensity.normalized_mutual_information),
    'QNCIE': _from_intensities(intensity.nonlinear_correlation_information_entropy),
    'CC': _from_intensities(intensity.correlation),
    'SCD': _from_intensities(intensity.sum_of_correlations_of_differences),
    'MSE': _from_intensities(intensity.mean_squared_error),
    'PSNR': _from_intensities(intensity.peak_signal_to_noise_db),
    'SSIM': structure.structural_similarity,
    'MS-SSIM': multiscale.multi_scale_similarity,
    'VIF': structure.visual_information_fidelity,
    'Qabf': edges.edge_transfer,
    'Nabf': edges.fusion_artifacts,
    'FMI_pixel': partial(feature_information.feature_mutual_information, feature='edge'),
    'FMI_gradient': partial(feature_information.feature_mutual_information, feature='gradient'),
    'FMI_dct': partial(feature_information.feature_mutual_information, feature='dct'),
    'FMI_wavelet': partial(feature_information.feature_mutual_information, feature='wavelet'),
    'Qy': structure.yang_similarity,
    'Qc': structure.cvejic_similarity,
    'Qcb': perceptual.chen_blum,
    'Qcv': perceptual.chen_varshney,
    'Qp': phase.phase_congruency_similarity,
}

# VIF filters and halves the image three times and needs one pixel at the end: 17 taps at the first
# scale, then 9, 5 and 3 twice. MS-SSIM halves the image twice and needs 11 pixels at the end.
_MIN_SIDE_PX = {'VIF': 41, 'MS-SSIM': 44, 'SSIM': 11, 'Qy': 7, 'Qc': 7}
_DEFAULT_MIN_SIDE_PX = 3


def fusion(thermal: np.ndarray, rgb_gray: np.ndarray, fused_gray: np.ndarray,
           names: Iterable[str] | None = None) -> dict[str, float]:
    """
    Compute the metrics of one fused image and its two sources.

    The definitions follow the evaluation code that papers on infrared-visible fusion use: Tang et
    al., VIFB (Zhang et al. 2020) and Liu et al. (2012), in MATLAB. Each function states which
    convention it follows, and offers the others as options. EN, SD, SF, AG and EI depend only on
    the fused image; contrast or noise alone can raise them. ``FUSION_METRIC_INFO`` tells for each
    metric whether higher or lower is better.

    Parameters
    ----------
    thermal, rgb_gray, fused_gray:
        ``(H, W)`` luma of the same size, 0 to 255, uint8 or float. All metrics together need 44
        pixels a side. Metrics that use a histogram round float images.
    names:
        Names of ``FUSION_METRICS`` to compute; the default is all.

    Returns
    -------
    dict
        Name to value, in the order of ``FUSION_METRICS``.

    Raises
    ------
    MetricError
        A name is unknown, the sizes differ or are too small for a metric, or a dtype or a value is
        out of range or not finite.

    """
    selected = _select_names(names)
    triple = ImageTriple(*check_triple(thermal, rgb_gray, fused_gray))
    _check_size(selected, triple.fused.shape)
    return {name: float(_FUNCTIONS[name](triple)) for name in selected}


def _select_names(names: Iterable[str] | None) -> list[str]:
    if names is None:
        return list(FUSION_METRICS)
    requested = {names} if isinstance(names, str) else set(names)
    unknown = sorted(requested - set(FUSION_METRICS))
    if unknown:
        raise MetricError(f'unknown fusion metric {", ".join(unknown)}; known: '
                          + ', '.join(FUSION_METRICS))
    return [name for name in FUSION_METRICS if name in requested]


def _check_size(names: list[str], shape: tuple[int, ...]) -> None:
    min_sides_px = {name: _MIN_SIDE_PX.get(name, _DEFAULT_MIN_SIDE_PX) for name in names}
    too_large = [f'{name} {side_px}' for name, side_px in min_sides_px.items()
                 if min(shape) < side_px]
    if too_large:
        raise MetricError(f'images of {shape[1]}x{shape[0]} are too small; minimum side in '
                          'pixels: ' + ', '.join(too_large))
