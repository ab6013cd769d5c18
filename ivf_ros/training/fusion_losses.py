# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Losses of the fusion networks, with their equations.

T is thermal, V the luma of RGB, F the fused image: ``(B, 1, H, W)`` float32 from 0 to 1. Means are
over all pixels of the batch unless stated otherwise; losses are scalars.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
import torch.nn.functional as functional

_TINY = 1e-6
_LOG_EPS = 1e-9  # added to probabilities before the logarithm
_LEVELS = 255.0
_VIF_NOISE_VARIANCE = 2.0  # squared gray levels


# SeAFusion (Tang, Yuan and Ma 2022)


def intensity_loss(thermal: Tensor, luma: Tensor, fused: Tensor) -> Tensor:
    """Return mean |F - max(T, V)|, equation 4 of SeAFusion."""
    return (fused - torch.maximum(thermal, luma)).abs().mean()


def texture_loss(thermal: Tensor, luma: Tensor, fused: Tensor) -> Tensor:
    """Return mean ||grad F| - max(|grad T|, |grad V|)|, equation 5 of SeAFusion."""
    strongest = torch.maximum(sobel_magnitude(thermal), sobel_magnitude(luma))
    return (sobel_magnitude(fused) - strongest).abs().mean()


def semantic_loss(logits: Tensor, auxiliary: Tensor, labels: Tensor, auxiliary_weight: float
                  ) -> Tensor:
    """
    Return L_main + w L_auxiliary, equation 8 of SeAFusion.

    Both are cross-entropies over the hardest pixels: those whose true class has a probability
    below 0.7, but at least a sixteenth of all pixels. Pixels with label 255 do not count; if no
    pixel counts, the loss is 0. Logits are resized to the size of the labels.
    """
    size = labels.shape[1:]
    logits, auxiliary = (functional.interpolate(output.float(), size, mode='bilinear')
                         for output in (logits, auxiliary))
    return hard_cross_entropy(logits, labels) \
        + auxiliary_weight * hard_cross_entropy(auxiliary, labels)


def hard_cross_entropy(logits: Tensor, labels: Tensor, max_probability: float = 0.7,
                       min_fraction: float = 1 / 16) -> Tensor:
    """Return the mean cross-entropy of the hardest pixels; see ``semantic_loss``."""
    losses = functional.cross_entropy(logits.float(), labels, ignore_index=255, reduction='none')
    losses = losses[labels != 255]
    if not losses.numel():
        return logits.sum() * 0
    ordered = losses.sort(descending=True).values
    n_hard = int((ordered > -torch.tensor(max_probability).log()).sum())
    return ordered[:max(n_hard, int(min_fraction * losses.numel()), 1)].mean()


def sobel_magnitude(image: Tensor) -> Tensor:
    """Return |Sobel x| + |Sobel y| of ``(B, 1, H, W)``, with zero padding."""
    return sobel(image).abs().sum(1, keepdim=True)


def sobel(image: Tensor) -> Tensor:
    """Return Sobel x and y ``(B, 2, H, W)`` of ``(B, 1, H, W)``, with zero padding."""
    along_x = image.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
    return functional.conv2d(image, torch.stack([along_x, along_x.T])[:, None], padding=1)


# CS2Fusion (Wang et al. 2024)


def map_loss(thermal: Tensor, luma: Tensor, fused: Tensor, thermal_map: Tensor) -> Tensor:
    """
    Return ||M (F - T)|| + ||(1 - M) (F - V)||, root mean squares over the whole batch.

    M is the compensation map, 1 where thermal has features that luma lacks.
    """
    return sum((torch.sqrt((weight * (fused - source)).square().mean() + _TINY)
                for weight, source in ((thermal_map, thermal), (1 - thermal_map, luma))),
               torch.zeros(()))


def structure_loss(thermal: Tensor, luma: Tensor, fused: Tensor) -> Tensor:
    """Return (1 - SSIM(F, T)) / 2 + (1 - SSIM(F, V)) / 2 under windows of 3 x 3 pixels."""
    return sum((((1 - _similarity(source, fused, 3, 1.5)) / 2).mean()
                for source in (thermal, luma)), torch.zeros(()))


def attraction(a: Tensor, b: Tensor, falloff: float = 2.0) -> Tensor:
    """
    Return a loss that falls with the similarity of two sets of vectors ``(B, N)``.

    It is the mean of -exp(-r falloff) log cos(a_i, b_j), where r is the rank of b_j by similarity
    to a_i, 0 for the most similar one. So each vector needs to resemble only similar ones (after
    CCAM, Xie et al. 2022).
    """
    cosine = _cosines(a, b)
    rank = cosine.argsort(1, descending=True).argsort(1)
    return (-cosine.log() * torch.exp(-falloff * rank)).mean()


def repulsion(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean of -log(1 - cos(a_i, b_j)), which rises with the similarity of two sets."""
    return -(1 - _cosines(a, b)).log().mean()


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    a, b = (functional.normalize(vectors, dim=1) for vectors in (a, b))
    return (a @ b.T).clamp(0.0005, 0.9995)


# Fast: differentiable versions of fusion metrics, each for one source and F. They approximate the
# metrics of ``evaluation.metrics`` (a test compares them).


def visual_fidelity(source: Tensor, fused: Tensor) -> Tensor:
    """
    Return VIF of each image ``(B,)`` in the pixel domain (Sheikh and Bovik 2006).

    sum log(1 + g^2 s^2 / (v + n)) / sum log(1 + s^2 / n) over four scales, where F = g S + noise
    of variance v under a Gaussian window, s^2 the variance of the source, n = 2 squared levels.
    """
    source, fused = source * _LEVELS, fused * _LEVELS
    preserved, available = source.new_zeros(len(source)), source.new_zeros(len(source))
    for taps in (17, 9, 5, 3):
        if taps < 17:
            source, fused = (smooth(image, taps, taps / 5)[..., ::2, ::2]
                             for image in (source, fused))
        variance, variance_fused, covariance = _moments(source, fused, taps, taps / 5)[2:]
        gain = (covariance / (variance + 1e-3)).clamp_min(0)
        noise = (variance_fused - gain * covariance).clamp_min(0)
        preserved = preserved + torch.log1p(gain ** 2 * variance / (noise + _VIF_NOISE_VARIANCE)
                                            ).sum((1, 2, 3))
        available = available + torch.log1p(variance / _VIF_NOISE_VARIANCE).sum((1, 2, 3))
    return preserved / (available + 1)


def structural_similarity(source: Tensor, fused: Tensor) -> Tensor:
    """Return SSIM of each image ``(B,)`` under an 11 x 11 Gaussian window (Wang et al. 2004)."""
    return _similarity(source, fused, 11, 1.5).mean((1, 2, 3))


def edge_preservation(thermal: Tensor, luma: Tensor, fused: Tensor) -> Tensor:
    """
    Return Qabf of each image ``(B,)`` (Xydeas and Petrovic 2000).

    sum (Q_TF g_T + Q_VF g_V) / sum (g_T + g_V), where Q is the product of two logistic functions
    of the ratio of the gradients and of the agreement of their directions. Here the sign of the
    direction is ignored.
    """
    edges_fused = sobel(fused)
    preserved_sum: Tensor | float = 0.0
    weight_sum: Tensor | float = 0.0
    for source in (thermal, luma):
        edges = sobel(source)
        g, g_fused = (torch.sqrt(gradient.square().sum(1) + _TINY)
                      for gradient in (edges, edges_fused))
        ratio = torch.minimum(g, g_fused) / torch.maximum(g, g_fused)
        along = (edges * edges_fused).sum(1).abs()
        across = (edges[:, 0] * edges_fused[:, 1] - edges[:, 1] * edges_fused[:, 0]).abs()
        agreement = 1 - torch.atan2(across, along + _TINY) * (2 / torch.pi)
        preserved = 0.9994 * torch.sigmoid(15 * (ratio - 0.5)) \
            * 0.9879 * torch.sigmoid(22 * (agreement - 0.8))
        preserved_sum = preserved_sum + (preserved * g).sum((1, 2))
        weight_sum = weight_sum + g.sum((1, 2))
    return torch.as_tensor(preserved_sum / weight_sum)


def correlation(a: Tensor, b: Tensor, min_sigma: float = 0.01) -> Tensor:
    """Return Pearson's correlation of each image ``(B,)``, damped where one is nearly flat."""
    a, b = (image - image.mean((1, 2, 3), keepdim=True) for image in (a, b))
    sigma_a, sigma_b = (torch.sqrt(image.square().mean((1, 2, 3)) + min_sigma ** 2)
                        for image in (a, b))
    return (a * b).mean((1, 2, 3)) / (sigma_a * sigma_b)


def mutual_information_bits(source: Tensor, fused: Tensor, bins: int = 48) -> Tensor:
    """
    Return the mutual information of each image ``(B,)`` in bits, from a soft joint histogram.

    Each value is divided between the two nearest bins.
    """
    (low, fraction), (low_fused, fraction_fused) = (_soft_bins(image, bins)
                                                    for image in (source, fused))
    joint = source.new_zeros(len(source), bins * bins)
    for i, weight in ((0, 1 - fraction), (1, fraction)):
        for j, weight_fused in ((0, 1 - fraction_fused), (1, fraction_fused)):
            joint = joint.scatter_add(1, (low + i) * bins + low_fused + j, weight * weight_fused)
    joint = joint.reshape(-1, bins, bins) / low.shape[1]
    independent = joint.sum(2, keepdim=True) * joint.sum(1, keepdim=True)
    return (joint * torch.log2((joint + _LOG_EPS) / (independent + _LOG_EPS))).sum((1, 2))


def entropy_bits(image: Tensor, bins: int = 48) -> Tensor:
    """Return the entropy of each image ``(B,)`` in bits, from a soft histogram: EN."""
    low, fraction = _soft_bins(image, bins)
    counts = image.new_zeros(len(image), bins)
    counts = counts.scatter_add(1, low, 1 - fraction).scatter_add(1, low + 1, fraction)
    probabilities = counts / low.shape[1]
    return -(probabilities * torch.log2(probabilities + _LOG_EPS)).sum(1)


def deviation(image: Tensor) -> Tensor:
    """Return the standard deviation of each image ``(B,)``: SD."""
    return torch.sqrt(image.var((1, 2, 3), unbiased=False) + _TINY)


def spatial_frequency(image: Tensor) -> Tensor:
    """Return the root mean square of the differences of neighbours of each image: SF."""
    along_x, along_y = image.diff(dim=3), image.diff(dim=2)
    return torch.sqrt(along_x.square().mean((1, 2, 3)) + along_y.square().mean((1, 2, 3)) + _TINY)


def hallucinated_edge_loss(thermal: Tensor, luma: Tensor, fused: Tensor) -> Tensor:
    """
    Return the strength of coarse edges of F that no source has: haloes, and patches of one camera.

    mean of max(|grad F| - max(|grad T|, |grad V|), 0) over images shrunk 4, 8 and 16 times, so
    that the fine detail of both cameras may add up.
    """
    total = torch.zeros(())
    for factor in (4, 8, 16):
        edges_thermal, edges_luma, edges_fused = (
            _gradient(functional.avg_pool2d(image, factor)) for image in (thermal, luma, fused))
        total = total + (edges_fused - torch.maximum(edges_thermal, edges_luma)
                         ).clamp_min(0).mean()
    return total / 3


def _gradient(image: Tensor) -> Tensor:
    """Return the magnitude of central differences, without the border."""
    along_x = (image[..., 1:-1, 2:] - image[..., 1:-1, :-2]) / 2
    along_y = (image[..., 2:, 1:-1] - image[..., :-2, 1:-1]) / 2
    return torch.sqrt(along_x.square() + along_y.square() + 1e-8)


def flicker_loss(thermal: tuple[Tensor, Tensor], luma: tuple[Tensor, Tensor],
                 fused: tuple[Tensor, Tensor]) -> Tensor:
    """
    Return the excess of the change of F over the source that changes more, between two frames.

    mean over images of max(|F2 - F1| / max(|T2 - T1|, |V2 - V1|) - 1, 0), means over pixels.
    """
    changes = [(second - first).abs().mean((1, 2, 3)) for first, second in (thermal, luma, fused)]
    source_change = torch.maximum(changes[0], changes[1])
    return (changes[2] / (source_change + 1e-4) - 1).clamp_min(0).mean()


def smooth(image: Tensor, taps: int, sigma_px: float) -> Tensor:
    """
    Return ``(B, C, H, W)`` filtered by a Gaussian window, without the pixels near the border.

    Rows and columns are multiplied by a banded matrix, whose gradient is fast on CPUs.
    """
    along_y, along_x = (_smoothing_matrix(size, taps, sigma_px).to(image.dtype)
                        for size in image.shape[2:])
    return along_y.T @ image @ along_x


@lru_cache(maxsize=64)
def _smoothing_matrix(size: int, taps: int, sigma_px: float) -> Tensor:
    """Return the matrix ``(size, size - taps + 1)`` that smooths a row."""
    offset = torch.arange(size)[:, None] - torch.arange(size - taps + 1) - taps // 2
    weights = torch.exp(-offset ** 2 / (2 * sigma_px ** 2)) * (offset.abs() <= taps // 2)
    return weights / weights.sum(0)


def _similarity(a: Tensor, b: Tensor, taps: int, sigma_px: float) -> Tensor:
    """Return SSIM of each pixel of ``(B, 1, H, W)`` from 0 to 1."""
    mean_a, mean_b, variance_a, variance_b, covariance = _moments(a, b, taps, sigma_px)
    c1, c2 = 0.01 ** 2, 0.03 ** 2
    return (2 * mean_a * mean_b + c1) * (2 * covariance + c2) \
        / ((mean_a ** 2 + mean_b ** 2 + c1) * (variance_a + variance_b + c2))


def _moments(a: Tensor, b: Tensor, taps: int, sigma_px: float) -> tuple[Tensor, ...]:
    """Return means, variances and the covariance under a Gaussian window, of ``(B, 1, H, W)``."""
    window_means = smooth(torch.cat([a, b, a * a, b * b, a * b], 1), taps, sigma_px)
    mean_a, mean_b, square_a, square_b, product = window_means.split(1, 1)
    return (mean_a, mean_b, (square_a - mean_a ** 2).clamp_min(0),
            (square_b - mean_b ** 2).clamp_min(0), product - mean_a * mean_b)


def _soft_bins(image: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Return the lower of the two nearest bins ``(B, N)``, and the distance from it, 0 to 1."""
    position = image.flatten(1).clamp(0, 1) * (bins - 1)
    low = position.detach().floor().clamp_max(bins - 2)
    return low.long(), position - low
