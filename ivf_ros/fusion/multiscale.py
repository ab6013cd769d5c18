# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion rules that split both images into a base and details, and fuse each of them.

Every rule takes two ``(H, W)`` uint8 images, T (thermal) and V (the luma of RGB), and returns one.
"""

from __future__ import annotations

import cv2
from ivf_ros.fusion.pixelwise import principal_weights, to_gray8
import numpy as np

# Of pyramid and wavelet: neither paper fixes it. This is what the program of Liu, Liu and Wang,
# "A general framework for image fusion", Information Fusion 24, 2015, sets for its transforms.
_LEVELS = 4


def pyramid(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse Laplacian pyramids of four levels: the stronger detail, the mean of the bases.

    Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Communications
    31(4), 1983; the choice of the coefficient of larger magnitude is that of Burt, "The pyramid as
    a structure for efficient computation", in Multiresolution Image Processing and Analysis, 1984.
    """
    T: np.ndarray = thermal.astype(np.float32)
    V: np.ndarray = luma.astype(np.float32)
    details = []
    for _ in range(_LEVELS):
        T_next, V_next = cv2.pyrDown(T), cv2.pyrDown(V)
        details.append(_stronger(T - _expanded(T_next, T), V - _expanded(V_next, V)))
        T, V = T_next, V_next
    fused = (T + V) / 2
    for detail in reversed(details):
        fused = _expanded(fused, detail) + detail
    return to_gray8(fused)


def _expanded(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    return cv2.pyrUp(coarse, dstsize=fine.shape[::-1])


def _stronger(t: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Choose the number of larger magnitude; of t and -t the positive one."""
    return np.where(t + v >= 0, np.maximum(t, v), np.minimum(t, v))


def wavelet(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse undecimated Haar wavelets of four levels: the stronger details, the mean of the bases.

    Rockinger, "Image sequence fusion using a shift-invariant wavelet transform", ICIP 1997. At
    level k pixels 2^k apart are split into half their sum and half their difference, along rows
    and columns; each is part of two pairs, and the way back is the mean of what both say.
    """
    margin = 2 ** _LEVELS  # further than a pair of pixels ever reaches round the border
    T, V = (cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REFLECT)
            .astype(np.float32) for image in (thermal, luma))
    steps = [2 ** level for level in range(_LEVELS)]
    details = []
    for step in steps:
        T, *T_details = _haar_split(T, step)
        V, *V_details = _haar_split(V, step)
        details.append([_stronger(t, v) for t, v in zip(T_details, V_details)])
    fused = (T + V) / 2
    for step, (below, beside, across) in zip(reversed(steps), reversed(details)):
        fused = _pairs_joined(_pairs_joined(fused, beside, step, axis=1),
                              _pairs_joined(below, across, step, axis=1), step, axis=0)
    return to_gray8(fused[margin:-margin, margin:-margin])


def _haar_split(image: np.ndarray, step: int) -> tuple[np.ndarray, ...]:
    """Return the base and the differences to the pixel below, beside, and of both kinds."""
    low, high = _pairs_split(image, step, axis=0)
    base, beside = _pairs_split(low, step, axis=1)
    below, across = _pairs_split(high, step, axis=1)
    return base, below, beside, across


def _pairs_split(image: np.ndarray, step: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    partner = np.roll(image, -step, axis)
    return (image + partner) / 2, (image - partner) / 2


def _pairs_joined(low: np.ndarray, high: np.ndarray, step: int, axis: int) -> np.ndarray:
    return (low + high + np.roll(low - high, step, axis)) / 2


def guided_filter(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse base and detail by saliency maps that a guided filter has bound to the edges.

    Li, Kang and Hu, "Image fusion with guided filtering", IEEE Trans. Image Processing 22(7),
    2013: F is the sum over both sources of base times base weight and detail times detail weight.
    A base is the mean over 31 x 31 pixels. Saliency is the magnitude of the Laplacian, smoothed by
    a Gaussian of sigma 5 over 11 x 11 pixels. A weight is 1 where the source is the more salient
    one (here a half where both are equally so) and 0 elsewhere, filtered with the source as guide:
    for the base with r = 45, epsilon = 0.3, for the detail with r = 7, epsilon = 1e-6, gray levels
    being 0 to 1. Weights are kept within 0 and 1 and divided by their sum.
    """
    sources = [image / 255.0 for image in (thermal, luma)]
    S_T, S_V = (_saliency(image) for image in sources)
    T_wins = (S_T > S_V) + 0.5 * (S_T == S_V)
    bases = [cv2.blur(image, (31, 31), borderType=cv2.BORDER_REPLICATE) for image in sources]
    details = [image - base for image, base in zip(sources, bases)]
    fused = np.zeros(luma.shape)
    for parts, radius_px, epsilon in ((bases, 45, 0.3), (details, 7, 1e-6)):
        # As in the program of the authors 1e-12 keeps two weights of 0 from a division by 0.
        w_T, w_V = (np.clip(_guided(guide, weight, radius_px, epsilon), 0, 1) + 1e-12
                    for guide, weight in zip(sources, (T_wins, 1 - T_wins)))
        fused += (w_T * parts[0] + w_V * parts[1]) / (w_T + w_V)
    return to_gray8(fused * 255)


def _saliency(image: np.ndarray) -> np.ndarray:
    edges = np.abs(cv2.Laplacian(image, cv2.CV_64F, borderType=cv2.BORDER_REPLICATE))
    return cv2.GaussianBlur(edges, (11, 11), 5, borderType=cv2.BORDER_REPLICATE)


def _guided(guide: np.ndarray, image: np.ndarray, radius_px: int, epsilon: float) -> np.ndarray:
    """Filter by He, Sun and Tang, "Guided image filtering", ECCV 2010; windows end at borders."""
    n_pixels = _window_sum(np.ones(guide.shape), radius_px)

    def mean(values: np.ndarray) -> np.ndarray:
        return _window_sum(values, radius_px) / n_pixels

    mean_guide, mean_image = mean(guide), mean(image)
    covariance = mean(guide * image) - mean_guide * mean_image
    slope = covariance / (mean(guide * guide) - mean_guide ** 2 + epsilon)
    return mean(slope) * guide + mean(mean_image - slope * mean_guide)


def _window_sum(values: np.ndarray, radius_px: int) -> np.ndarray:
    size = (2 * radius_px + 1, 2 * radius_px + 1)
    return cv2.boxFilter(values, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)


def two_scale(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse the mean of the bases with details weighed by visual saliency.

    Bavirisetti and Dhuli, "Two-scale image fusion of visible and infrared images using saliency
    detection", Infrared Physics and Technology 76, 2016. The base is the mean over 35 x 35 pixels.
    Saliency is the distance of the base from the median over 3 x 3 pixels, squared as in the
    program of the authors, and a weight is its share of the sum (a half where both are 0). That
    program continues the image periodically round its border; here the border is repeated.
    """
    bases, details, saliencies = [], [], []
    for image in (thermal, luma):
        levels = image.astype(np.float32)
        base = cv2.blur(levels, (35, 35), borderType=cv2.BORDER_REPLICATE)
        bases.append(base)
        details.append(levels - base)
        saliencies.append((base - cv2.medianBlur(image, 3)) ** 2)
    total = saliencies[0] + saliencies[1]
    weighed = saliencies[0] * details[0] + saliencies[1] * details[1]
    mean = (details[0] + details[1]) / 2
    detail = np.divide(weighed, total, out=mean, where=total > 0)
    return to_gray8((bases[0] + bases[1]) / 2 + detail)


def anisotropic(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse the mean of edge-preserving bases with details weighed by their principal component.

    Bavirisetti and Dhuli, "Fusion of infrared and visible sensor images based on anisotropic
    diffusion and Karhunen-Loeve transform", IEEE Sensors Journal 16(1), 2016. The base is the
    image after diffusion, the detail the rest; for the weights see ``principal_weights``.
    """
    T, V = thermal.astype(np.float32), luma.astype(np.float32)
    T_base, V_base = _diffused(T), _diffused(V)
    T_detail, V_detail = T - T_base, V - V_base
    w_T, w_V = principal_weights(T_detail, V_detail)
    return to_gray8((T_base + V_base) / 2 + w_T * T_detail + w_V * V_detail)


def _diffused(image: np.ndarray) -> np.ndarray:
    """
    Smooth within edges by the diffusion of Perona and Malik, IEEE Trans. PAMI 12(7), 1990.

    Ten steps of 0.15 with the conduction exp(-(difference / 30)^2), to eight neighbours, the
    diagonal ones at half the rate: the constants of the program of Bavirisetti and Dhuli. Nothing
    flows over the border.
    """
    first, last, every = slice(None, -1), slice(1, None), slice(None)
    neighbours = [((every, first), (every, last), 0.15), ((first, every), (last, every), 0.15),
                  ((first, first), (last, last), 0.075), ((first, last), (last, first), 0.075)]
    for _ in range(10):
        change = np.zeros_like(image)
        for here, there, rate in neighbours:
            difference = image[there] - image[here]
            flow = rate * difference * np.exp(-(difference / 30) ** 2)
            change[here] += flow
            change[there] -= flow
        image = image + change
    return image
