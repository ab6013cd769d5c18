# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Feature mutual information (FMI) of a fused image and its sources.

In each 3 x 3 window a feature image, scaled to 0..1 and then to a sum of 1, is taken for the
distribution of a position. Of two such distributions, f of the fused image and a of a source, the
joint one is estimated from their correlation c after Nelsen (1987): with the cumulated F and A,

    p(i, j) = phi d(i, j) + (1 - phi) f(i) a(j),   phi = c / r,

d being the coupling min(F, A) and r its correlation. Where c < 0 it is max(F + A - 1, 0), which is
min(F, A) after a is turned round; phi = |c| / r then. (phi may exceed 1: logarithms are those of
the absolute value.) The coupling is zero but on a staircase of 17 cells, those in which the
merged breakpoints of F and A lie one after the other; elsewhere p is a product, whose entropy has
a closed form. So the 81 cells of a window need not be visited.
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
_WINDOWS_A_BLOCK = 4096  # what stays in the cache
_FLAT = 1e-9  # a range that is rounding noise
# Cumulated shares are merged as whole numbers, the last bit of which tells whose they are.
_ONE = 1 << 28


def feature_mutual_information(triple: ImageTriple, feature: Feature) -> float:
    """
    Return FMI = mean over windows of (I(a, f) / (Ha + Hf) + I(b, f) / (Hb + Hf)).

    Haghighat et al. (2011), in the fast form of Haghighat and Razian (2014), window 3 x 3: that is
    what the MATLAB code of Tang et al. computes. Between 0 and 1, which windows of equal features
    get, and those that are flat in both. The features:

    - ``edge``: Sobel edges as of MATLAB's ``edge``. The field reports them as FMI_pixel, for they
      are what its code takes where it means to take the pixels.
    - ``none``: the pixels themselves.
    - ``gradient``: central differences in a row.
    - ``dct``: the cosine transform of the whole image, orthonormal.
    - ``wavelet``: one level of the discrete Meyer transform, symmetric border, the bands side by
      side.
    """
    images = [_FEATURES[feature](image) for image in triple.images]
    height, width = (side - _WINDOW_PX + 1 for side in images[0].shape)
    rows_a_block = max(1, _WINDOWS_A_BLOCK // width)
    total = 0.0
    for top in range(0, height, rows_a_block):
        bottom = min(top + rows_a_block, height) + _WINDOW_PX - 1
        total += _block_total([image[top:bottom] for image in images])
    return total / (2 * height * width)


@dataclass(frozen=True, eq=False)
class _Windows:
    """Distributions of N windows: ``(9, N)`` or ``(N,)`` float32."""

    shares: np.ndarray
    cumulated: np.ndarray  # (8, N) int32, of _ONE
    entropy: np.ndarray
    expectation: np.ndarray  # of the position, from its middle
    deviation: np.ndarray
    spread: np.ndarray  # root of the sum of squares of shares - 1/9
    flat: np.ndarray  # bool


def _block_total(images: list[np.ndarray]) -> float:
    """Return the sum of both informations over the windows of a block of rows."""
    values = [_window_values(image) for image in images]
    equal = [(source == values[2]).all(axis=0) for source in values[:2]]
    known = equal[0] & equal[1]
    count = int(np.count_nonzero(known))
    if count == known.size:
        return 2.0 * count
    if 2 * count > known.size:  # fewer windows are worth the copies
        values = [x[:, ~known] for x in values]
        equal = [x[~known] for x in equal]
    else:
        count = 0
    total = 2.0 * count
    of_fused = _windows(values[2])
    for source, same in zip(values[:2], equal, strict=True):
        information = _normalized_information(_windows(source), of_fused)
        information[same] = 1.0
        total += float(information.sum(dtype=np.float64))
    return total


def _window_values(image: np.ndarray) -> np.ndarray:
    """Return the pixels of each window, column by column, ``(9, N)``."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (_WINDOW_PX, _WINDOW_PX))
    return windows.transpose(3, 2, 0, 1).reshape(_CELLS, -1)


def _windows(values: np.ndarray) -> _Windows:
    lowest, highest = values.min(axis=0), values.max(axis=0)
    spans = highest - lowest
    flat = spans <= _FLAT
    shares = (values - lowest).astype(np.float32)
    shares[:, flat] = 1.0
    shares /= shares.sum(axis=0)
    cumulated = (shares[:-1] * np.float32(_ONE)).astype(np.int32)
    for k in range(1, len(cumulated)):
        cumulated[k] += cumulated[k - 1]
    np.minimum(cumulated, _ONE, out=cumulated)
    expectation = (shares * _POSITIONS).sum(axis=0)
    deviation = np.sqrt((shares * (_POSITIONS - expectation) ** 2).sum(axis=0))
    return _Windows(
        shares, cumulated, _x_log_x(shares).sum(axis=0),
        expectation, deviation, np.sqrt(((shares - np.float32(1 / _CELLS)) ** 2).sum(axis=0)),
        flat)


def _normalized_information(source: _Windows, fused: _Windows) -> np.ndarray:
    """Return 2 I(a, f) / (Ha + Hf) of each window."""
    ninth = np.float32(1 / _CELLS)
    correlation = ((source.shares - ninth) * (fused.shares - ninth)).sum(axis=0)
    norm = source.spread * fused.spread
    correlation = np.divide(correlation, norm, out=np.zeros_like(norm), where=norm > 0)
    correlation[source.flat | fused.flat] = 0.0

    turned = correlation < 0
    breaks = np.where(turned, _ONE - source.cumulated[::-1], source.cumulated)
    expectation = np.where(turned, -source.expectation, source.expectation)
    lengths, products, moment = _staircase(fused.cumulated, breaks)
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
    Walk along the merged breakpoints of two cumulated distributions, ``(8, N)``.

    Returns the 17 lengths between breakpoints, which are the coupling's shares of the cells
    passed, the products f(i) a(j) of these cells, and the coupling's sum of i j, positions counted
    from the middle.
    """
    merged = _merged(fused * 2 + 1, source * 2)
    of_fused = (merged & 1).astype(np.float32)
    ends = (merged >> 1).astype(np.float32)
    ends *= np.float32(1 / _ONE)

    lengths = np.empty((ends.shape[0] + 1, ends.shape[1]), np.float32)
    lengths[0] = ends[0]
    np.subtract(ends[1:], ends[:-1], out=lengths[1:-1])
    np.subtract(1, ends[-1], out=lengths[-1])

    i = np.empty_like(lengths)
    i[0] = -(_CELLS // 2)
    for k, step in enumerate(of_fused):
        np.add(i[k], step, out=i[k + 1])
    moment = (np.arange(-2.0 * (_CELLS // 2), _CELLS, dtype=np.float32)[:, None] - i)
    moment *= i
    moment *= lengths
    return (lengths, _segments(ends, of_fused) * _segments(ends, 1 - of_fused),
            moment.sum(axis=0))


def _segments(ends: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Return, for each piece, the distance of the marked ends before and at or after its end."""
    # Row by row: NumPy accumulates along the first axis many times slower.
    marked = ends * marks
    before = np.zeros((ends.shape[0] + 1, ends.shape[1]), np.float32)
    after = np.ones_like(before)
    np.subtract(marked, marks, out=after[:-1])
    after[:-1] += 1  # the end where it is marked, 1 elsewhere
    for k in range(len(ends)):
        np.maximum(before[k], marked[k], out=before[k + 1])
        np.minimum(after[-1 - k], after[-2 - k], out=after[-2 - k])
    after -= before
    return after


def _merged(a: np.ndarray, b: np.ndarray) -> np.ndarray:
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
    Return Sobel edges as MATLAB's ``edge`` has them, 0 or 1.

    Squared gradients, border replicated, above four times their mean, which no neighbour in the
    row exceeds where the gradient is rather along it, or in the column where it is along that.
    """
    along_x, along_y = (np.abs(cv2.Sobel(image, cv2.CV_64F, *order, scale=1 / 8,
                                         borderType=cv2.BORDER_REPLICATE))
                        for order in ((1, 0), (0, 1)))
    power = along_x ** 2 + along_y ** 2
    beyond = np.pad(power, 1, constant_values=-1.0)
    in_row = (beyond[1:-1, :-2] <= power) & (power > beyond[1:-1, 2:])
    in_column = (beyond[:-2, 1:-1] <= power) & (power > beyond[2:, 1:-1])
    slack = 100 * np.finfo(np.float64).eps
    found = (power > 4 * power.mean()) & ((in_row & (along_x >= along_y - slack))
                                          | (in_column & (along_y >= along_x - slack)))
    return found.astype(np.float32)


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
