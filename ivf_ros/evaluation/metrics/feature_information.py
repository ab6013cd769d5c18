# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Feature mutual information (FMI) of a fused image and its sources.

In each 3 x 3 window, a feature image, scaled to 0..1 and then to a sum of 1, is used as the
distribution of a position. The joint distribution of two such distributions, f of the fused image
and a of a source, is estimated from their correlation c after Nelsen (1987). With the cumulative
distributions F and A,

    p(i, j) = phi d(i, j) + (1 - phi) f(i) a(j),   phi = c / r,

where d is the coupling min(F, A) and r its correlation. If c < 0, the coupling is
max(F + A - 1, 0), which is min(F, A) after a is reversed; then phi = |c| / r. (phi may exceed 1:
logarithms use the absolute value.) The coupling is zero except on a staircase of 17 cells, between
the merged breakpoints of F and A; elsewhere p is a product, whose entropy has a closed form. So
the 81 cells of a window need not be visited.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
from ivf_ros.evaluation.metrics.inputs import ImageTriple
import numpy as np

Feature = Literal['edge', 'none', 'gradient', 'dct', 'wavelet']

_WINDOW_PX = 3
_CELLS = _WINDOW_PX ** 2
_POSITIONS = np.arange(_CELLS, dtype=np.float32)[:, None] - (_CELLS - 1) // 2
_WINDOWS_PER_BLOCK = 4096  # so that a block fits into the cache
_FLAT_RANGE = 1e-9  # smaller ranges are rounding noise
# Cumulative probabilities are merged as integers. Their last bit marks the distribution they are
# from.
_ONE = 1 << 28


def feature_mutual_information(triple: ImageTriple, feature: Feature) -> float:
    """
    Return FMI = mean over windows of (I(a, f) / (Ha + Hf) + I(b, f) / (Hb + Hf)).

    Haghighat et al. (2011), in the fast form of Haghighat and Razian (2014), with 3 x 3 windows,
    as in the MATLAB code of Tang et al. The range is 0 to 1; windows of equal features and
    windows that are flat in both images get 1. The features:

    - ``edge``: Sobel edges as of MATLAB's ``edge``. Papers report them as FMI_pixel, because the
      published code computes edges where it should use the pixels.
    - ``none``: the pixels themselves.
    - ``gradient``: central differences in a row.
    - ``dct``: the cosine transform of the whole image, orthonormal.
    - ``wavelet``: one level of the discrete Meyer transform, symmetric border, the bands side by
      side.
    """
    images = [_FEATURES[feature](image) for image in triple.images]
    height, width = (side - _WINDOW_PX + 1 for side in images[0].shape)
    rows_per_block = max(1, _WINDOWS_PER_BLOCK // width)
    total = 0.0
    for top in range(0, height, rows_per_block):
        bottom = min(top + rows_per_block, height) + _WINDOW_PX - 1
        total += _block_total([image[top:bottom] for image in images])
    return total / (2 * height * width)


@dataclass(frozen=True, eq=False)
class _Windows:
    """Distributions of N windows: ``(9, N)`` or ``(N,)`` float32."""

    probabilities: np.ndarray
    cumulative: np.ndarray  # (8, N) int32, in units of 1 / _ONE
    entropy: np.ndarray
    expectation: np.ndarray  # of the position, relative to the centre
    deviation: np.ndarray
    spread: np.ndarray  # root of the sum of squares of probabilities - 1/9
    flat: np.ndarray  # bool


def _block_total(images: list[np.ndarray]) -> float:
    """Return the sum of both normalised informations over the windows of a block of rows."""
    values = [_window_values(image) for image in images]
    equal = [(source == values[2]).all(axis=0) for source in values[:2]]
    all_equal = equal[0] & equal[1]
    count = int(np.count_nonzero(all_equal))
    if count == all_equal.size:
        return 2.0 * count
    if 2 * count > all_equal.size:  # copying pays off if more than half can be left out
        values = [x[:, ~all_equal] for x in values]
        equal = [x[~all_equal] for x in equal]
    else:
        count = 0
    total = 2.0 * count
    fused_windows = _to_windows(values[2])
    for source, same in zip(values[:2], equal, strict=True):
        information = _normalized_information(_to_windows(source), fused_windows)
        information[same] = 1.0
        total += float(information.sum(dtype=np.float64))
    return total


def _window_values(image: np.ndarray) -> np.ndarray:
    """Return the pixels of each window, column by column, ``(9, N)``."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (_WINDOW_PX, _WINDOW_PX))
    return windows.transpose(3, 2, 0, 1).reshape(_CELLS, -1)


def _to_windows(values: np.ndarray) -> _Windows:
    lowest, highest = values.min(axis=0), values.max(axis=0)
    spans = highest - lowest
    flat = spans <= _FLAT_RANGE
    probabilities = (values - lowest).astype(np.float32)
    probabilities[:, flat] = 1.0
    probabilities /= probabilities.sum(axis=0)
    cumulative = (probabilities[:-1] * np.float32(_ONE)).astype(np.int32)
    for k in range(1, len(cumulative)):
        cumulative[k] += cumulative[k - 1]
    np.minimum(cumulative, _ONE, out=cumulative)
    expectation = (probabilities * _POSITIONS).sum(axis=0)
    deviation = np.sqrt((probabilities * (_POSITIONS - expectation) ** 2).sum(axis=0))
    return _Windows(
        probabilities, cumulative, _x_log_x(probabilities).sum(axis=0),
        expectation, deviation,
        np.sqrt(((probabilities - np.float32(1 / _CELLS)) ** 2).sum(axis=0)), flat)


def _normalized_information(source: _Windows, fused: _Windows) -> np.ndarray:
    """Return 2 I(a, f) / (Ha + Hf) of each window."""
    ninth = np.float32(1 / _CELLS)
    correlation = ((source.probabilities - ninth) * (fused.probabilities - ninth)).sum(axis=0)
    norm = source.spread * fused.spread
    correlation = np.divide(correlation, norm, out=np.zeros_like(norm), where=norm > 0)
    correlation[source.flat | fused.flat] = 0.0

    is_negative = correlation < 0
    breakpoints = np.where(is_negative, _ONE - source.cumulative[::-1], source.cumulative)
    expectation = np.where(is_negative, -source.expectation, source.expectation)
    lengths, products, moment = _staircase(fused.cumulative, breakpoints)
    upper = moment - fused.expectation * expectation
    scale = fused.deviation * source.deviation
    degenerate = (scale <= 0) | (upper <= 0)
    phi = np.abs(correlation) * scale / np.where(degenerate, 1.0, upper)
    phi[degenerate] = 0.0

    rest = 1 - phi
    products *= rest
    entropies = source.entropy + fused.entropy
    joint = rest * entropies + _x_log_x(rest)
    joint += _x_log_x(lengths * phi + products).sum(axis=0) - _x_log_x(products).sum(axis=0)
    information = np.divide(2 * (entropies - joint), entropies, out=np.zeros_like(entropies),
                            where=entropies > 0)
    information[source.flat & fused.flat] = 1.0
    return information


def _staircase(fused: np.ndarray, source: np.ndarray
               ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Follow the merged breakpoints of two cumulative distributions, ``(8, N)``.

    Returns the 17 lengths between breakpoints, which are the probabilities of the coupling in the
    visited cells, the products f(i) a(j) of these cells, and the sum of i j under the coupling,
    with positions relative to the centre.
    """
    merged = _merge_sorted(fused * 2 + 1, source * 2)
    from_fused = (merged & 1).astype(np.float32)
    ends = (merged >> 1).astype(np.float32)
    ends *= np.float32(1 / _ONE)

    lengths = np.empty((ends.shape[0] + 1, ends.shape[1]), np.float32)
    lengths[0] = ends[0]
    np.subtract(ends[1:], ends[:-1], out=lengths[1:-1])
    np.subtract(1, ends[-1], out=lengths[-1])

    i = np.empty_like(lengths)
    i[0] = -(_CELLS // 2)
    for k, step in enumerate(from_fused):
        np.add(i[k], step, out=i[k + 1])
    moment = (np.arange(-2.0 * (_CELLS // 2), _CELLS, dtype=np.float32)[:, None] - i)
    moment *= i
    moment *= lengths
    return (lengths, _segments(ends, from_fused) * _segments(ends, 1 - from_fused),
            moment.sum(axis=0))


def _segments(ends: np.ndarray, is_end: np.ndarray) -> np.ndarray:
    """Return, for each piece, the distance of the marked ends before and at or after its end."""
    # NumPy's accumulate along the first axis is many times slower than this loop over rows.
    marked = ends * is_end
    before = np.zeros((ends.shape[0] + 1, ends.shape[1]), np.float32)
    after = np.ones_like(before)
    np.subtract(marked, is_end, out=after[:-1])
    after[:-1] += 1  # the end where it is marked, 1 elsewhere
    for k in range(len(ends)):
        np.maximum(before[k], marked[k], out=before[k + 1])
        np.minimum(after[-1 - k], after[-2 - k], out=after[-2 - k])
    after -= before
    return after


def _merge_sorted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Merge two sorted ``(8, N)`` along the first axis: Batcher's bitonic merge."""
    values = np.concatenate([a, b[::-1]])
    step = values.shape[0] // 2
    while step:
        pairs = values.reshape(-1, 2, step, values.shape[1])
        values = np.empty_like(values)
        merged = values.reshape(pairs.shape)
        np.minimum(pairs[:, 0], pairs[:, 1], out=merged[:, 0])
        np.maximum(pairs[:, 0], pairs[:, 1], out=merged[:, 1])
        step //= 2
    return values


def _x_log_x(x: np.ndarray) -> np.ndarray:
    """Return -x ln |x|, 0 at 0."""
    return -x * np.log(np.abs(x) + np.float32(1e-30))


def _edges(image: np.ndarray) -> np.ndarray:
    """
    Return Sobel edges as MATLAB's ``edge`` computes them, 0 or 1.

    A pixel is an edge if its squared gradient (replicated border) is above four times the mean and
    is a maximum in the row, where the gradient is mainly horizontal, or in the column, where it is
    mainly vertical.
    """
    along_x, along_y = (np.abs(cv2.Sobel(image, cv2.CV_64F, *order, scale=1 / 8,
                                         borderType=cv2.BORDER_REPLICATE))
                        for order in ((1, 0), (0, 1)))
    power = along_x ** 2 + along_y ** 2
    padded = np.pad(power, 1, constant_values=-1.0)
    in_row = (padded[1:-1, :-2] <= power) & (power > padded[1:-1, 2:])
    in_column = (padded[:-2, 1:-1] <= power) & (power > padded[2:, 1:-1])
    slack = 100 * np.finfo(np.float64).eps
    edges = (power > 4 * power.mean()) & ((in_row & (along_x >= along_y - slack))
                                          | (in_column & (along_y >= along_x - slack)))
    return edges.astype(np.float32)


def _row_gradient(image: np.ndarray) -> np.ndarray:
    return np.gradient(image, axis=1)


def _cosine_transform(image: np.ndarray) -> np.ndarray:
    from scipy import fft

    return fft.dctn(image, norm='ortho')


def _wavelet_bands(image: np.ndarray) -> np.ndarray:
    import pywt

    approximation, (rows, columns, diagonal) = pywt.dwt2(image, 'dmey', mode='symmetric')
    return np.block([[approximation, rows], [columns, diagonal]])


_FEATURES: dict[Feature, Callable[[np.ndarray], np.ndarray]] = {
    'edge': _edges,
    'none': np.asarray,
    'gradient': _row_gradient,
    'dct': _cosine_transform,
    'wavelet': _wavelet_bands,
}
