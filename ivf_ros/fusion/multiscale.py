# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fusion rules that decompose both images into a base and details, and fuse these separately.

Each rule takes two ``(H, W)`` uint8 images, T (thermal) and V (the luma of RGB), and returns one.
"""

from __future__ import annotations

import cv2
from ivf_ros.fusion.pixelwise import principal_weights, to_gray8
import numpy as np

# Of pyramid and wavelet. The papers do not define it. This is the value in the program of Liu, Liu
# and Wang, "A general framework for image fusion", Information Fusion 24, 2015.
_LEVELS = 4


def pyramid(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse Laplacian pyramids of four levels: the stronger detail, and the mean of the bases.

    Burt and Adelson, "The Laplacian pyramid as a compact image code", IEEE Trans. Communications
    31(4), 1983. The selection of the coefficient with the larger magnitude is from Burt, "The
    pyramid as a structure for efficient computation", in Multiresolution Image Processing and
    Analysis, 1984.
    """
    T: np.ndarray = thermal.astype(np.float32)
    V: np.ndarray = luma.astype(np.float32)
    details = []
    for _ in range(_LEVELS):
        T_next, V_next = cv2.pyrDown(T), cv2.pyrDown(V)
        details.append(_select_stronger(T - _expand(T_next, T), V - _expand(V_next, V)))
        T, V = T_next, V_next
    fused = (T + V) / 2
    for detail in reversed(details):
        fused = _expand(fused, detail) + detail
    return to_gray8(fused)


def _expand(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Upsample a level of a pyramid to the size of the next finer one."""
    return cv2.pyrUp(coarse, dstsize=fine.shape[::-1])


def _select_stronger(t: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the elements of larger magnitude; from t and -t the positive one."""
    return np.where(t + v >= 0, np.maximum(t, v), np.minimum(t, v))


def wavelet(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse undecimated Haar wavelets of four levels: the stronger details, and the mean of the bases.

    Rockinger, "Image sequence fusion using a shift-invariant wavelet transform", ICIP 1997. At
    level k, pairs of pixels at a distance of 2^k are replaced by half their sum and half their
    difference, along rows and columns. Each pixel belongs to two pairs. The inverse transform is
    the mean of the two reconstructions.
    """
    # The shifts are cyclic; the margin is larger than their sum.
    margin = 2 ** _LEVELS
    T, V = (cv2.copyMakeBorder(image, margin, margin, margin, margin, cv2.BORDER_REFLECT)
            .astype(np.float32) for image in (thermal, luma))
    steps = [2 ** level for level in range(_LEVELS)]
    details = []
    for step in steps:
        T, *T_details = _haar_split(T, step)
        V, *V_details = _haar_split(V, step)
        details.append([_select_stronger(t, v) for t, v in zip(T_details, V_details)])
    fused = (T + V) / 2
    for step, (vertical, horizontal, diagonal) in zip(reversed(steps), reversed(details)):
        fused = _join_pairs(_join_pairs(fused, horizontal, step, axis=1),
                            _join_pairs(vertical, diagonal, step, axis=1), step, axis=0)
    return to_gray8(fused[margin:-margin, margin:-margin])


def _haar_split(image: np.ndarray, step: int) -> tuple[np.ndarray, ...]:
    """Return the base and the vertical, horizontal and diagonal differences."""
    low, high = _split_pairs(image, step, axis=0)
    base, horizontal = _split_pairs(low, step, axis=1)
    vertical, diagonal = _split_pairs(high, step, axis=1)
    return base, vertical, horizontal, diagonal


def _split_pairs(image: np.ndarray, step: int, axis: int) -> tuple[np.ndarray, np.ndarray]:
    partner = np.roll(image, -step, axis)
    return (image + partner) / 2, (image - partner) / 2


def _join_pairs(low: np.ndarray, high: np.ndarray, step: int, axis: int) -> np.ndarray:
    return (low + high + np.roll(low - high, step, axis)) / 2


def guided_filter(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse base and detail with saliency maps that a guided filter aligns with the edges.

    Li, Kang and Hu, "Image fusion with guided filtering", IEEE Trans. Image Processing 22(7),
    2013: F is the sum over both images of base times base weight and detail times detail weight.
    The base is the mean over 31 x 31 pixels. The saliency is the magnitude of the Laplacian,
    smoothed by a Gaussian of sigma 5 over 11 x 11 pixels. The weight is 1 where the image is more
    salient than the other (0.5 where both are equal, in this implementation) and 0 elsewhere,
    filtered with the image as guide: for the base with r = 45, epsilon = 0.3, for the detail with
    r = 7, epsilon = 1e-6, with gray levels from 0 to 1. Weights are clipped to 0 and 1 and divided
    by their sum.
    """
    sources = [image / 255.0 for image in (thermal, luma)]
    S_T, S_V = (_compute_saliency(image) for image in sources)
    T_wins = (S_T > S_V) + 0.5 * (S_T == S_V)
    bases = [cv2.blur(image, (31, 31), borderType=cv2.BORDER_REPLICATE) for image in sources]
    details = [image - base for image, base in zip(sources, bases)]
    fused = np.zeros(luma.shape)
    for parts, radius_px, epsilon in ((bases, 45, 0.3), (details, 7, 1e-6)):
        # As in the program of the authors, 1e-12 avoids a division by 0 where both weights are 0.
        w_T, w_V = (np.clip(_guided_filter(guide, weight, radius_px, epsilon), 0, 1) + 1e-12
                    for guide, weight in zip(sources, (T_wins, 1 - T_wins)))
        fused += (w_T * parts[0] + w_V * parts[1]) / (w_T + w_V)
    return to_gray8(fused * 255)


def _compute_saliency(image: np.ndarray) -> np.ndarray:
    edges = np.abs(cv2.Laplacian(image, cv2.CV_64F, borderType=cv2.BORDER_REPLICATE))
    return cv2.GaussianBlur(edges, (11, 11), 5, borderType=cv2.BORDER_REPLICATE)


def _guided_filter(guide: np.ndarray, image: np.ndarray, radius_px: int, epsilon: float
                   ) -> np.ndarray:
    """
    Filter an image as in He, Sun and Tang, "Guided image filtering", ECCV 2010.

    Windows are cropped at the border.
    """
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
    Fuse the mean of the bases with details that are weighted by visual saliency.

    Bavirisetti and Dhuli, "Two-scale image fusion of visible and infrared images using saliency
    detection", Infrared Physics and Technology 76, 2016. The base is the mean over 35 x 35 pixels.
    The saliency is the squared difference (as in the program of the authors) of the base and the
    median over 3 x 3 pixels. The weight is the saliency divided by the sum of both (0.5 where both
    are 0). The program of the authors continues the image periodically; here the border is
    replicated.
    """
    bases, details, saliencies = [], [], []
    for image in (thermal, luma):
        levels = image.astype(np.float32)
        base = cv2.blur(levels, (35, 35), borderType=cv2.BORDER_REPLICATE)
        bases.append(base)
        details.append(levels - base)
        saliencies.append((base - cv2.medianBlur(image, 3)) ** 2)
    total = saliencies[0] + saliencies[1]
    weighted = saliencies[0] * details[0] + saliencies[1] * details[1]
    mean = (details[0] + details[1]) / 2
    detail = np.divide(weighted, total, out=mean, where=total > 0)
    return to_gray8((bases[0] + bases[1]) / 2 + detail)


def anisotropic(thermal: np.ndarray, luma: np.ndarray) -> np.ndarray:
    """
    Fuse the mean of edge-preserving bases with details weighted by their principal component.

    Bavirisetti and Dhuli, "Fusion of infrared and visible sensor images based on anisotropic
    diffusion and Karhunen-Loeve transform", IEEE Sensors Journal 16(1), 2016. The base is the
    image after anisotropic diffusion, and the detail is the difference of the image and the base.
    See ``principal_weights`` for the weights.
    """
    T, V = thermal.astype(np.float32), luma.astype(np.float32)
    T_base, V_base = _diffuse(T), _diffuse(V)
    T_detail, V_detail = T - T_base, V - V_base
    w_T, w_V = principal_weights(T_detail, V_detail)
    return to_gray8((T_base + V_base) / 2 + w_T * T_detail + w_V * V_detail)


def _diffuse(image: np.ndarray) -> np.ndarray:
    """
    Smooth an image, preserving edges, by the diffusion of Perona and Malik.

    IEEE Trans. PAMI 12(7), 1990. The constants are those of the program of Bavirisetti and Dhuli:
    ten steps of 0.15 with the conduction exp(-(difference / 30)^2) to eight neighbours, and half
    the rate for the diagonal ones. There is no flow across the border.
    """
    first, last, every = slice(None, -1), slice(1, None), slice(None)
    neighbours = [((every, first), (every, last), 0.15), ((first, every), (last, every), 0.15),
                  ((first, first), (last, last), 0.075), ((first, last), (last, first), 0.075)]
    for _ in range(10):
        change = np.zeros_like(image)
        for pixels, neighbour_pixels, rate in neighbours:
            difference = image[neighbour_pixels] - image[pixels]
            flow = rate * difference * np.exp(-(difference / 30) ** 2)
            change[pixels] += flow
            change[neighbour_pixels] -= flow
        image = image + change
    return image
