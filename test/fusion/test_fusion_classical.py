# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Published fusion rules: closed forms, reference implementations, properties, real pairs.

The tests of all methods of the stage (an image fused with itself, gray and colour, coverage,
read-only inputs) are in test_fusion.py.
"""

from __future__ import annotations

import itertools

import cv2
from hypothesis import given, settings, strategies
from ivf_ros import fusion
from ivf_ros.evaluation.metrics.intensity import spatial_frequency, standard_deviation
from ivf_ros.fusion import gradient_transfer, multiscale, pixelwise
from ivf_ros.fusion.classical import RULES
import numpy as np
import pytest

# All except gradient_transfer, which takes intensities from one image and edges from the other.
SYMMETRIC = sorted(set(RULES) - {'gradient_transfer'})
SIZES = [(1, 1), (1, 40), (40, 1), (2, 3), (16, 16), (33, 17), (65, 131)]


def noise(shape, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.uint8)


def checkerboard(shape=(64, 96), middle=128, amplitude=10):
    """Return a texture without a base: its mean over the smallest neighbourhood is constant."""
    rows, columns = np.indices(shape)
    return (middle + amplitude * (-1) ** (rows + columns)).astype(np.uint8)


def disc(radius_px, inside, outside, shape=(96, 96)):
    rows, columns = np.indices(shape)
    distance = np.hypot(rows - shape[0] // 2, columns - shape[1] // 2)
    return np.where(distance <= radius_px, inside, outside).astype(np.uint8)


def fine(image):
    """Return the details of a few pixels."""
    image = image.astype(np.float32)
    return image - cv2.GaussianBlur(image, (0, 0), 3)


def windows(image, size_px):
    """Return ``(H, W, size, size)``, the window around each pixel; the border is replicated."""
    padded = np.pad(image.astype(float), size_px // 2, mode='edge')
    return np.lib.stride_tricks.sliding_window_view(padded, (size_px, size_px))


def inner(image, margin_px=20):
    return image[margin_px:-margin_px, margin_px:-margin_px].astype(int)


# Closed forms


def test_max_is_the_maximum_at_each_pixel():
    fused = RULES['max'](np.uint8([[0, 10, 255]]), np.uint8([[7, 10, 254]]))
    assert fused.tolist() == [[7, 10, 255]]


def test_average_is_the_mean_with_halves_rounded_to_even():
    fused = RULES['average'](np.uint8([[0, 1, 2, 255]]), np.uint8([[200, 2, 3, 255]]))
    assert fused.tolist() == [[100, 2, 2, 255]]


@pytest.mark.parametrize('factor', [0.5, 1.0, 2.0, -2.0])
def test_pca_weights_of_one_pattern_follow_the_contrasts(factor):
    pattern = noise((30, 40), low=0, high=21).astype(float) * 2
    w_T, w_V = pixelwise.principal_weights(100 + pattern, 100 + factor * pattern)
    assert w_T == pytest.approx(1 / (1 + abs(factor)))
    assert w_V == pytest.approx(abs(factor) / (1 + abs(factor)))


@given(strategies.integers(0, 2 ** 32 - 1))
@settings(max_examples=30, deadline=None)
def test_pca_weights_are_the_first_eigenvector_of_the_covariance(seed):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=500)
    T, V = (rng.uniform(0.1, 3) * common + rng.normal(size=500) for _ in range(2))
    covariance = np.cov(T, V)
    first = np.linalg.eigh(covariance)[1][:, 1]
    expected = np.abs(first) / np.abs(first).sum()
    assert pixelwise.principal_weights(T, V) == pytest.approx(expected)


def test_pca_weights_of_two_constant_images_are_equal():
    assert pixelwise.principal_weights(np.full(9, 3.0), np.full(9, 200.0)) == (0.5, 0.5)


@pytest.mark.parametrize('level', [0, 128, 200])
@pytest.mark.parametrize('flat_first', [False, True])
@pytest.mark.parametrize(('rule', 'shift'), [
    ('average', None), ('max', None),
    # the texture unchanged, as the flat image has neither variance nor saliency
    ('pca', 0.0), ('guided_filter', 0.0),
    # the whole texture, and the mean of the two bases
    ('pyramid', 0.5), ('wavelet', 0.5), ('two_scale', 0.5), ('anisotropic', 0.5)])
def test_a_flat_image_adds_no_detail_and_shifts_the_base(rule, shift, flat_first, level):
    texture, flat = checkerboard(), np.full((64, 96), level, np.uint8)
    fused = RULES[rule](*((flat, texture) if flat_first else (texture, flat)))
    expected = {'average': (texture.astype(int) + level) / 2,
                'max': np.maximum(texture, level)}.get(rule)
    if expected is None:
        expected = texture + shift * (level - 128)
    assert np.abs(inner(fused) - inner(expected)).max() <= 1


@pytest.mark.parametrize('rule', ['pyramid', 'wavelet', 'guided_filter', 'two_scale'])
def test_textures_of_either_image_are_kept(rule):
    texture = noise((128, 160), low=60, high=190)
    thermal, luma = texture.copy(), texture.copy()
    thermal[:, 80:] = 125
    luma[:, :80] = 125
    fused, averaged = RULES[rule](thermal, luma), RULES['average'](thermal, luma)
    for half in (np.s_[24:-24, 24:56], np.s_[24:-24, 104:-24]):
        expected, actual, mean = (fine(image)[half] for image in (texture, fused, averaged))
        assert np.corrcoef(expected.ravel(), actual.ravel())[0, 1] > 0.98
        assert actual.std() > 0.95 * expected.std()
        assert mean.std() < 0.55 * expected.std()


def test_the_detail_of_larger_magnitude_is_selected():
    t, v = np.float32([3, -3, 2, -2, 4, 0]), np.float32([-5, 5, 1, -1, -4, 0])
    for stronger in (multiscale._select_stronger(t, v), multiscale._select_stronger(v, t)):
        assert stronger.tolist() == [-5, 5, 2, -2, 4, 0]


def test_wavelet_fusion_moves_with_the_image():
    thermal, luma = noise((128, 160)), noise((128, 160), 1)
    fused = RULES['wavelet'](thermal, luma)
    moved = RULES['wavelet'](*(np.roll(image, (3, 5), (0, 1)) for image in (thermal, luma)))
    assert np.abs(inner(np.roll(fused, (3, 5), (0, 1)), 40) - inner(moved, 40)).max() == 0


@pytest.mark.parametrize(('rule', 'period_px', 'kept'), [
    ('pyramid', 12, 1.0), ('pyramid', 24, 1.0), ('pyramid', 200, 0.5),
    ('wavelet', 12, 1.0), ('wavelet', 24, 0.9), ('wavelet', 200, 0.5)])
def test_four_levels_keep_waves_up_to_about_twenty_pixels(rule, period_px, kept):
    wave = np.cos(2 * np.pi / period_px * np.arange(400))
    luma = np.tile(np.rint(128 + 100 * wave), (100, 1)).astype(np.uint8)
    fused = RULES[rule](np.full(luma.shape, 128, np.uint8), luma)
    amplitude = 2 * np.mean((fused[50] - 128.0) * wave)
    assert amplitude == pytest.approx(100 * kept, abs=5)


@pytest.mark.parametrize('rule', ['pyramid', 'wavelet', 'two_scale', 'anisotropic'])
def test_opposite_borders_do_not_affect_each_other(rule):
    luma = np.full((100, 160), 50, np.uint8)
    luma[:, 80:] = 200
    fused = RULES[rule](np.full(luma.shape, 100, np.uint8), luma).astype(int)
    assert np.abs(fused[:, :20] - 75).max() <= 1 and np.abs(fused[:, -20:] - 150).max() <= 1


def test_two_scale_uses_half_of_each_detail_without_saliency():
    luma = np.full((60, 60), 100, np.uint8)
    luma[30, 28], luma[30, 32] = 140, 60  # changes no mean over 35 x 35 pixels and no median
    fused = RULES['two_scale'](np.full((60, 60), 100, np.uint8), luma)
    assert fused[30, 28] == 120 and fused[30, 32] == 80


def test_gray_levels_are_rounded_and_saturated():
    levels = np.float32([[-300, -0.6, 0.4, 0.6, 254.6, 255.4, 900]])
    assert pixelwise.to_gray8(levels).tolist() == [[0, 0, 0, 1, 255, 255, 255]]


# Reference implementations


def guided(guide, image, radius_px, epsilon):
    """Fit a line to each window; at each pixel, average the lines of the windows around it."""
    slope, offset, filtered = (np.zeros(guide.shape) for _ in range(3))
    pixels = [(yx, tuple(slice(max(0, centre - radius_px), centre + radius_px + 1)
                         for centre in yx)) for yx in np.ndindex(guide.shape)]
    for yx, window in pixels:
        I, p = guide[window], image[window]
        slope[yx] = ((I * p).mean() - I.mean() * p.mean()) / (I.var() + epsilon)
        offset[yx] = p.mean() - slope[yx] * I.mean()
    for yx, window in pixels:
        filtered[yx] = slope[window].mean() * guide[yx] + offset[window].mean()
    return filtered


def test_guided_filter_follows_li_kang_and_hu():
    thermal, luma = cv2.GaussianBlur(noise((40, 56)), (0, 0), 1), disc(14, 220, 40, (40, 56))
    luma[:, 40:] = noise((40, 16), 1, 90, 120)
    sources = thermal / 255, luma / 255
    x, y = np.meshgrid(np.arange(-5, 6), np.arange(-5, 6))
    gaussian = np.exp(-(x ** 2 + y ** 2) / (2 * 5 ** 2))
    cross = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    T_saliency, V_saliency = (
        (windows(np.abs((windows(image, 3) * cross).sum((2, 3))), 11) * gaussian).sum((2, 3))
        for image in sources)
    T_wins = (T_saliency > V_saliency).astype(float)
    bases = [windows(image, 31).mean((2, 3)) for image in sources]
    expected = np.zeros(luma.shape)
    for radius_px, epsilon, parts in (
            (45, 0.3, bases), (7, 1e-6, [image - base for image, base in zip(sources, bases)])):
        w_T, w_V = (guided(image, weight, radius_px, epsilon).clip(0, 1) + 1e-9
                    for image, weight in zip(sources, (T_wins, 1 - T_wins)))
        expected += (w_T * parts[0] + w_V * parts[1]) / (w_T + w_V)
    difference = RULES['guided_filter'](thermal, luma) - (255 * expected).clip(0, 255)
    assert np.abs(difference).max() < 0.6


def test_two_scale_follows_bavirisetti_and_dhuli():
    thermal, luma = cv2.GaussianBlur(noise((50, 60)), (0, 0), 1), disc(14, 220, 40, (50, 60))
    bases = [windows(image, 35).mean((2, 3)) for image in (thermal, luma)]
    S_T, S_V = ((base - np.median(windows(image, 3), (2, 3))) ** 2
                for base, image in zip(bases, (thermal, luma)))
    expected = sum(bases) / 2 + (S_T * (thermal - bases[0]) + S_V * (luma - bases[1])) \
        / (S_T + S_V)
    difference = RULES['two_scale'](thermal, luma) - expected.clip(0, 255)
    assert np.abs(difference).max() < 0.6


def test_diffusion_follows_its_equation_and_keeps_the_mean():
    start = noise((7, 9)).astype(np.float32)
    image = start.astype(float)
    for _ in range(10):
        change = np.zeros(image.shape)
        for (y, x), (dy, dx) in itertools.product(
                np.ndindex(image.shape), itertools.product((-1, 0, 1), repeat=2)):
            if (dy or dx) and 0 <= y + dy < 7 and 0 <= x + dx < 9:
                difference = image[y + dy, x + dx] - image[y, x]
                rate = 0.15 / (dy * dy + dx * dx)
                change[y, x] += rate * np.exp(-(difference / 30) ** 2) * difference
        image += change
    diffused = multiscale._diffuse(start)
    assert np.allclose(diffused, image, atol=1e-3)
    assert diffused.mean() == pytest.approx(start.mean(), abs=1e-3)


# Gradient transfer


def test_gradient_transfer_has_the_intensity_of_thermal_and_the_detail_of_rgb():
    rgb = np.full((80, 100), 100, np.uint8)
    rgb[2::5, 2::5] = 160
    fused = RULES['gradient_transfer'](np.full((80, 100), 60, np.uint8), rgb)
    assert np.abs(fused.astype(int) - (rgb.astype(int) - 40)).max() <= 1


@pytest.mark.parametrize(('radius_px', 'kept'), [(3, 0.0), (6, 0.0), (10, 1.0), (20, 1.0)])
def test_gradient_transfer_keeps_objects_wider_than_twice_lambda(radius_px, kept):
    # A disc of contrast h has the energy 2 pi r h lambda if it is kept and pi r^2 h if it is
    # dropped. They are equal at r = 2 lambda = 8 pixels.
    thermal = disc(radius_px, 180, 60)
    fused = RULES['gradient_transfer'](thermal, np.full(thermal.shape, 100, np.uint8))
    assert abs(fused[48, 48] - (60.0 + kept * 120)) <= 6
    assert abs(fused[4, 4] - 60.0) <= 1


def test_gradient_transfer_reaches_nearly_the_minimum_energy(monkeypatch):
    def energy(Y):
        along_y, along_x = (np.diff(Y.astype(float), axis=axis, append=Y.take([-1], axis))
                            for axis in (0, 1))
        return np.abs(Y - f).sum() + 4 * np.hypot(along_x, along_y).sum()

    coarse = cv2.resize(noise((3, 4), 2), (96, 72), interpolation=cv2.INTER_CUBIC)
    f = coarse.astype(np.float32) - noise((72, 96), 3, 0, 60)
    solution = gradient_transfer._minimize_variation(f, 4.0)[0]
    monkeypatch.setattr(gradient_transfer, '_ITERATIONS', 2000)
    minimum = energy(gradient_transfer._minimize_variation(f, 4.0)[0])
    assert minimum <= energy(solution) < 1.01 * minimum
    for simple in (f, np.full_like(f, np.median(f)), cv2.medianBlur(f, 5)):
        assert energy(simple) > 1.1 * minimum


# Properties


@pytest.mark.parametrize('rule', RULES)
@pytest.mark.parametrize('shape', SIZES)
def test_any_size_works_without_floating_point_errors(rule, shape):
    for low, high in ((0, 256), (0, 2), (254, 256)):
        thermal, luma = noise(shape, 1, low, high), noise(shape, 2, low, high)
        with np.errstate(all='raise'):
            fused = RULES[rule](thermal, luma)
        assert fused.shape == shape and fused.dtype == np.uint8


@pytest.mark.parametrize('rule', SYMMETRIC)
@pytest.mark.parametrize('shape', [(16, 16), (65, 131)])
def test_symmetric_rules_do_not_depend_on_the_order(rule, shape):
    thermal, luma = noise(shape, 1), cv2.GaussianBlur(noise(shape, 2), (0, 0), 2)
    assert np.array_equal(RULES[rule](thermal, luma), RULES[rule](luma, thermal))


@pytest.mark.parametrize('rule', RULES)
def test_a_strided_view_gives_the_result_of_its_copy(rule):
    views = noise((90, 122))[::2, 1::2], noise((90, 122), 1)[::2, 1::2]
    fused = RULES[rule](*views)
    assert np.array_equal(fused, RULES[rule](*(view.copy() for view in views)))
    assert not any(np.shares_memory(fused, view) for view in views)


@pytest.mark.parametrize('rule', RULES)
def test_two_constants_give_a_constant_between_them(rule):
    fused = RULES[rule](np.full((40, 50), 40, np.uint8), np.full((40, 50), 200, np.uint8))
    expected = {'max': 200, 'gradient_transfer': 40}.get(rule, 120)
    assert (fused == expected).all()


def test_the_methods_are_the_networks_laplacian_and_the_rules():
    assert fusion.methods() == ('fast', 'seafusion', 'cs2fusion', 'laplacian', *RULES)
    assert fusion.create().parameters.method == fusion.DEFAULT_METHOD == 'fast'


# Real pairs


def real_pairs(shared_data):
    for folder, names in (('tno42', ('01', '17', '35')),
                          ('roadscene', ('FLIR_00977', 'FLIR_04302', 'FLIR_00311'))):
        for name in names:
            yield tuple(cv2.imread(str(next((shared_data / folder / 'train' / stream)
                                            .glob(f'{name}.*'))), cv2.IMREAD_GRAYSCALE)
                        for stream in ('thermal', 'visible'))


@pytest.mark.parametrize(('rule', 'factor'), [
    ('pyramid', 1.3), ('wavelet', 1.3), ('guided_filter', 1.1), ('two_scale', 1.1), ('max', 1.1),
    ('anisotropic', 1.0)])
def test_detail_is_richer_than_in_the_average(shared_data, rule, factor):
    for pair in real_pairs(shared_data):
        fused, averaged = (RULES[name](*pair).astype(float) for name in (rule, 'average'))
        assert spatial_frequency(fused) > factor * spatial_frequency(averaged)


@pytest.mark.parametrize('rule', ['pca', 'guided_filter', 'gradient_transfer'])
def test_contrast_is_higher_than_in_the_average(shared_data, rule):
    for pair in real_pairs(shared_data):
        fused, averaged = (RULES[name](*pair).astype(float) for name in (rule, 'average'))
        assert standard_deviation(fused) > standard_deviation(averaged)


def test_gradient_transfer_has_thermal_intensity_and_rgb_edges_on_real_pairs(shared_data):
    for thermal, luma in real_pairs(shared_data):
        fused = RULES['gradient_transfer'](thermal, luma)
        coarse = [cv2.GaussianBlur(image.astype(float), (0, 0), 8) for image in (thermal, fused)]
        assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.95
        detail = [np.corrcoef(fine(image).ravel(), fine(fused).ravel())[0, 1]
                  for image in (luma, thermal)]
        assert detail[0] > detail[1]


def test_all_methods_give_different_results(shared_data):
    pair = next(real_pairs(shared_data))
    results = [fusion.create(method).fuse(*pair).astype(float) for method in fusion.methods()]
    for first, second in itertools.combinations(results, 2):
        assert np.abs(first - second).mean() > 0.3
