# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fusion metrics have values that are known by hand, and those of published code."""

from __future__ import annotations

import math
import warnings

from hypothesis import given, settings, strategies as st
from ivf_ros.evaluation import metrics
from ivf_ros.evaluation.metrics import (
    edges,
    feature_information,
    intensity,
    MetricError,
    multiscale,
    phase,
    structure,
)
from ivf_ros.evaluation.metrics.inputs import ImageTriple
import numpy as np
import pytest

SHAPE = (48, 56)
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, SHAPE, dtype=np.uint8)
OTHER = RANDOM.integers(0, 256, SHAPE, dtype=np.uint8)
RAMP = np.tile(np.arange(56, dtype=np.uint8) * 4, (48, 1))
FLAT = np.full(SHAPE, 90, np.uint8)
BLACK = np.zeros(SHAPE, np.uint8)
LEFT_HALF = np.where(np.arange(56) < 28, 10, 200).astype(np.uint8) * np.ones((48, 1), np.uint8)

FMI = [name for name in metrics.FUSION_METRICS if name.startswith('FMI')]


def measure_copies(image, names=None):
    return metrics.fusion(image, image, image, names)


def make_triple(*images):
    return ImageTriple(*(np.asarray(image, float) for image in images))


def synthetic_triple():
    """Return 81x64 waves with a warm disc, waves of higher frequency, and a mixture of both."""
    def levels(image):
        return np.rint(np.clip(image, 0, 255)).astype(np.uint8)

    y, x = np.mgrid[0:64, 0:81].astype(float)
    disc = (x - 50) ** 2 + (y - 28) ** 2 < 14 ** 2
    thermal = levels(60 + 30 * np.sin(x / 9) + 20 * np.cos(y / 7) + 90 * disc)
    rgb = levels(120 + 50 * np.sin(x * y / 97) + 35 * np.cos(x / 3.1 - y / 4.3)
                 + 18 * np.sin(x * x / 53.0 + y))
    mixed = 0.45 * thermal.astype(float) + 0.55 * rgb + 12 * np.sin(x / 2.3 + y / 5.7)
    return thermal, rgb, levels(mixed)


# Values of public code on the synthetic triple, run in GNU Octave 7.3 with the image package.
# Tang: Evaluation-for-Image-Fusion by Linfeng Tang, called as its analysis_Reference.m does.
# Liu: imageFusionMetrics by Zheng Liu. VIFB: by Xingchen Zhang.
PUBLISHED = {
    'EN': 6.901429134,  # Tang
    'SD': 29.8077598,
    'SF': 19.10598281,
    'AG': 10.18739793,
    'EI': 101.8302029,  # VIFB
    'MI': 4.374629706,  # Tang; no pixel has level 254 or 255
    'NMI': 0.6218511087,  # Liu, metricMI
    'QNCIE': 0.8149016061,  # Liu, metricWang
    'CC': 0.6631090788,  # Tang
    'SCD': 1.293138028,
    'MSE': 0.02007639067,
    'PSNR': 65.10394723,
    'SSIM': 1.062073852 / 2,  # VIFB, which sums
    'MS-SSIM': 0.8826843208,  # Tang
    'VIF': 0.3421926801,
    'Qabf': 0.4807802714,
    'Nabf': 0.00186512447,  # Tang's analysis_nabf.m with its arguments in the order it takes them
    # Tang's analysis_fmi.m; in FMI_pixel with an edge() that has MATLAB's thinning, which Octave's
    # has not
    'FMI_pixel': 0.9202003639,
    'FMI_gradient': 0.4747391968,
    'FMI_dct': 0.4340837824,
    'FMI_wavelet': 0.3880070631,  # with a dwt2 after MATLAB's, in mode sym
    'Qy': 0.7941521133,  # Liu, metricYang
    'Qc': 0.5007018437,  # Liu, metricCvejic, the second
    'Qcb': 0.5962970686,  # Liu, metricChenBlum
    'Qcv': 246.3462274,  # Liu, metricChen
    'Qp': 0.3538000814,  # Liu, metricZhao
}


def test_every_metric_is_there_and_a_float():
    values = metrics.fusion(NOISE, OTHER, RAMP)
    assert tuple(values) == metrics.FUSION_METRICS == tuple(metrics.FUSION_METRIC_INFO)
    assert all(isinstance(value, float) for value in values.values())


def test_every_metric_has_the_value_of_published_code():
    assert metrics.fusion(*synthetic_triple()) == pytest.approx(PUBLISHED, rel=1e-5)


def test_other_conventions_have_the_values_of_the_code_that_uses_them():
    triple = make_triple(*synthetic_triple())
    sources, fused = triple.sources, triple.fused
    values = {  # public code as in PUBLISHED
        intensity.mutual_information_bits(sources, fused, nats=True): 3.032262247,  # VIFB
        intensity.spatial_frequency(fused, over_all_pixels=True): 18.97364054,  # VIFB
        # Tang, with the definition of MATLAB's ssim, which Octave lacks
        structure.structural_similarity(triple, dynamic_range=1, borders='replicate'):
            0.450477473,
        edges.fusion_artifacts(triple, as_tang=True): 0.01753078578,  # Tang
        feature_information.feature_mutual_information(triple, 'none'): 0.5154319231,  # Tang
    }
    assert list(values) == pytest.approx(list(values.values()), rel=1e-6)


def test_levels_254_and_255_are_merged_on_demand_as_saturated_uint8_does():
    image = np.where(np.arange(64) < 32, 254.0, 255.0) * np.ones((64, 1))
    bits = intensity.mutual_information_bits
    assert bits((image, image), image) == pytest.approx(2.0)
    # H(X) and H(F) are 1 bit each, H(X, F) of the one level that is left is none.
    assert bits((image, image), image, merge_white=True) == pytest.approx(4.0)
    assert bits((image, image), image, mean=True) == pytest.approx(1.0)


@pytest.mark.parametrize('image, bits', [
    (FLAT, 0.0),
    (LEFT_HALF, 1.0),
    (np.arange(48 * 56).reshape(SHAPE) % 4, 2.0),
    (np.arange(64 * 64).reshape(64, 64) % 256, 8.0),
])
def test_entropy_of_a_known_histogram(image, bits):
    assert intensity.entropy_bits(np.asarray(image, float)) == pytest.approx(bits)


def test_statistics_of_a_ramp_by_hand():
    values = measure_copies(RAMP)
    steps = np.arange(56) * 4.0
    assert values['SD'] == pytest.approx(steps.std())
    assert values['SF'] == pytest.approx(4.0)  # every difference in a row is 4, in a column 0
    assert values['AG'] == pytest.approx(4 / math.sqrt(2) * 48 * 56 / (47 * 55))
    # Sobel of a slope of 4 is 8 * 4, half of it in the first and last column.
    assert values['EI'] == pytest.approx((54 * 32 + 2 * 16) / 56)


def test_statistics_of_four_pixels_by_hand():
    image = np.array([[0.0, 3.0], [4.0, 7.0]])
    # Differences are 3 in rows and 4 in columns, everywhere.
    assert intensity.spatial_frequency(image) == pytest.approx(5.0)
    assert intensity.spatial_frequency(image, over_all_pixels=True) == \
        pytest.approx(5 / math.sqrt(2))
    assert intensity.average_gradient(image) == pytest.approx(4 * 5 / math.sqrt(2))


def test_information_of_an_image_with_itself_is_its_entropy():
    values = measure_copies(RAMP)
    assert values['MI'] == pytest.approx(2 * values['EN'])
    assert values['NMI'] == pytest.approx(2.0)
    sources = (RAMP.astype(float),) * 2
    assert intensity.normalized_mutual_information(sources, sources[0], corrected=False) == \
        pytest.approx(values['MI'])


def test_information_of_independent_images_is_none():
    left, top = LEFT_HALF.astype(float), np.ones(SHAPE)
    top[:24] = 10
    assert intensity.mutual_information_bits((left, left), top) == pytest.approx(0.0, abs=1e-12)
    # Three equal eigenvalues: 1 - log_256(3).
    values = metrics.fusion(FLAT, LEFT_HALF, top, ['QNCIE'])
    assert values['QNCIE'] == pytest.approx(1 - math.log(3, 256))


def test_nonlinear_correlation_of_three_copies_that_take_all_levels_is_one():
    image = (np.arange(64 * 64).reshape(64, 64) % 256).astype(np.uint8)
    assert measure_copies(image, ['QNCIE'])['QNCIE'] == pytest.approx(1.0)
    # Of 4 levels, NCC is a quarter: eigenvalues 1.5, 0.75 and 0.75.
    probabilities = (0.5, 0.25, 0.25)
    assert measure_copies((image % 4).astype(np.uint8), ['QNCIE'])['QNCIE'] == \
        pytest.approx(1 + sum(share * math.log(share, 256) for share in probabilities))


def test_a_copy_of_both_sources_is_as_good_as_can_be():
    values = measure_copies(NOISE)
    assert values['CC'] == values['SSIM'] == pytest.approx(1.0)
    assert values['Qy'] == values['Qc'] == values['Qcb'] == pytest.approx(1.0)
    assert values['MS-SSIM'] == pytest.approx(1.0, abs=1e-6)
    assert values['VIF'] == pytest.approx(2.0)
    assert values['MSE'] == values['Qcv'] == values['Nabf'] == 0.0
    assert values['PSNR'] == math.inf
    assert [values[name] for name in FMI] == [1.0] * len(FMI)
    # Equal edges: Qg and Qa are what is left of 1 by the two sigmoids.
    strength, angle = 0.9994 / (1 + math.exp(-15 * 0.5)), 0.9879 / (1 + math.exp(-22 * 0.2))
    assert values['Qabf'] == pytest.approx(strength * angle, abs=1e-3)
    assert edges.edge_transfer(make_triple(NOISE, NOISE, NOISE), equal_is_one=True) == \
        pytest.approx(strength * angle)


def test_phase_congruency_of_a_copy_is_kept():
    image = synthetic_triple()[1]
    assert measure_copies(image, ['Qp'])['Qp'] == pytest.approx(1.0, abs=0.05)
    worse = metrics.fusion(image, image, image[::-1], ['Qp'])['Qp']
    assert worse < 0.5


def test_phase_congruency_is_high_at_an_edge_and_nowhere_else():
    congruency = phase._filter_bank(SHAPE, False).compute_maps(LEFT_HALF.astype(float))[0]
    # The transform is periodic: there is another edge where the right border meets the left.
    assert congruency[:, 27:29].min() > 0.5
    assert congruency[:, 10:18].max() < 0.1


def test_a_flat_image_keeps_phase_congruency_by_the_form_of_its_measure():
    assert metrics.fusion(LEFT_HALF, LEFT_HALF, FLAT, ['Qp'])['Qp'] > 0.9


def test_the_sum_of_the_sources_has_all_correlations_of_differences():
    a, b = NOISE.astype(float) / 2, OTHER.astype(float) / 2
    assert metrics.fusion(a, b, a + b)['SCD'] == pytest.approx(2.0)


def test_error_and_noise_ratio_by_hand():
    values = metrics.fusion(FLAT, FLAT, FLAT + 51)
    assert values['MSE'] == pytest.approx(0.04)  # a fifth of 255
    assert values['PSNR'] == pytest.approx(20 * math.log10(255 / 0.2))
    sources = (FLAT.astype(float), FLAT.astype(float))
    assert intensity.peak_signal_to_noise_db(sources, FLAT + 51.0, peak=1.0) == \
        pytest.approx(20 * math.log10(1 / 0.2))


def test_similarity_of_flat_images_is_that_of_their_means():
    a, b = make_triple(FLAT, FLAT, FLAT + 51).images[1:]
    c1 = (0.01 * 255) ** 2
    expected = (2 * 90 * 141 + c1) / (90 ** 2 + 141 ** 2 + c1)
    assert structure.structural_similarity(ImageTriple(a, a, b)) == pytest.approx(expected)
    assert structure.structural_similarity(ImageTriple(a, b, b), mean=False) == \
        pytest.approx(1 + expected)
    # Without constants, and contrast that agrees.
    without = 2 * 90 * 141 / (90 ** 2 + 141 ** 2)
    assert structure.yang_similarity(ImageTriple(a, a, b)) == pytest.approx(without)
    assert structure.cvejic_similarity(ImageTriple(a, a, b)) == pytest.approx(without)


def test_multi_scale_similarity_of_pairs_is_that_of_wang():
    images = [RANDOM.integers(0, 256, (200, 190)).astype(float) for _ in range(2)]
    copy = ImageTriple(images[0], images[0], images[0])
    assert multiscale.multi_scale_similarity(copy, pairwise=True) == pytest.approx(1.0)
    mixed = ImageTriple(images[0], images[0], (images[0] + images[1]) / 2)
    values = [multiscale.multi_scale_similarity(mixed, pairwise=pairwise)
              for pairwise in (True, False)]
    assert 0.3 < values[0] < 0.9 and 0.3 < values[1] < 0.9 and values[0] != values[1]


def test_fused_contrast_that_is_the_greater_of_both_sources_is_similar_to_the_best():
    flat_left, flat_right = NOISE.copy(), NOISE.copy()
    flat_left[:, :28], flat_right[:, 28:] = 90, 90
    best = metrics.fusion(flat_left, flat_right, NOISE, ['MS-SSIM'])['MS-SSIM']
    lost = metrics.fusion(flat_left, flat_right, flat_left, ['MS-SSIM'])['MS-SSIM']
    assert best > 0.9 > 0.6 > lost


def test_an_edge_that_is_lost_is_worth_less_than_one_that_is_kept():
    edge = np.where(np.arange(56) < 28, 60.0, 180.0) * np.ones((48, 1))
    faint = 120 + (edge - 120) / 10
    assert edges.edge_transfer(make_triple(edge, edge, edge)) > 0.9
    assert edges.edge_transfer(make_triple(edge, edge, faint)) < 0.7
    assert edges.edge_transfer(make_triple(BLACK, BLACK, edge)) == 0.0


def test_artifacts_are_the_edges_that_only_the_fused_image_has():
    # One upright edge in the sources, of gradient (4 / 8) * 80 = 40 in two columns; the fused
    # image has a second one, which the sources weigh by 0.001 at every pixel of two columns.
    edge = np.where(np.arange(56) < 20, 20.0, 100.0) * np.ones((48, 1))
    more = edge + np.where(np.arange(56) < 40, 0.0, 80.0)
    weight = 2 * 40 ** 1.5 + 54 * 0.001  # of a row and a source
    strength, angle = 0.9999 / (1 + math.exp(9.5)), 0.9995 / (1 + math.exp(22 * 0.5))
    loss = 1 - math.sqrt(strength * angle)
    triple = make_triple(edge, edge, more)
    assert edges.fusion_artifacts(triple) == pytest.approx(2 * 0.001 * loss / weight, rel=1e-6)
    assert edges.fusion_artifacts(triple, modified=False) == \
        pytest.approx(2 * 0.001 * 2 * loss / weight, rel=1e-6)
    assert edges.fusion_artifacts(triple, min_weight=0.0) == 0.0
    assert edges.fusion_artifacts(make_triple(edge, edge, edge)) == 0.0


def compute_window_fmi(a, f):
    """Return FMI by the definition, cell by cell, of two 3 x 3 windows."""
    def probabilities(window):
        values = window.T.ravel() - window.min()  # column by column
        return values / values.sum()

    def information(a, f, is_reversed):
        cumulated = [np.concatenate([[0], np.cumsum(x)]) for x in (f, a)]
        upper = np.minimum(*np.meshgrid(*cumulated, indexing='ij'))
        if is_reversed:
            upper = np.maximum(sum(np.meshgrid(*cumulated, indexing='ij')) - 1, 0)
        coupling = np.diff(np.diff(upper, axis=0), axis=1)
        i = np.arange(9)
        means = [(x * i).sum() for x in (f, a)]
        deviations = [math.sqrt((x * i ** 2).sum() - m ** 2) for x, m in zip((f, a), means)]
        r = ((coupling * np.outer(i, i)).sum() - means[0] * means[1]) / math.prod(deviations)
        phi = np.corrcoef(a, f)[0, 1] / r
        joint = phi * coupling + (1 - phi) * np.outer(f, a)
        joint, f, a = (x[x != 0] for x in (joint, f, a))
        entropies = [-(x * np.log2(np.abs(x))).sum() for x in (joint, f, a)]
        return 2 * (entropies[1] + entropies[2] - entropies[0]) / (entropies[1] + entropies[2])

    a, f = probabilities(a), probabilities(f)
    return information(a, f, np.corrcoef(a, f)[0, 1] < 0)


def test_feature_information_of_one_window_by_the_definition():
    windows = [np.array(window, float) for window in (
        [[1, 5, 9], [2, 8, 7], [3, 3, 4]], [[0, 6, 9], [2, 7, 5], [4, 3, 3]],
        [[9, 2, 1], [8, 1, 3], [7, 7, 5]])]
    signs = {np.sign(np.corrcoef(windows[i].ravel(), windows[j].ravel())[0, 1])
             for i, j in ((0, 1), (0, 2), (1, 2))}
    assert signs == {-1.0, 1.0}  # both couplings are met
    for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        a, b, f = (windows[k] for k in order)
        expected = (compute_window_fmi(a, f) + compute_window_fmi(b, f)) / 2
        value = feature_information.feature_mutual_information(ImageTriple(a, b, f), 'none')
        assert value == pytest.approx(expected, rel=1e-5)


def test_feature_information_of_windows_that_differ_by_brightness_and_contrast_is_all():
    source = NOISE.astype(float)
    triple = ImageTriple(source, source, source / 2 + 30)
    for feature in ('edge', 'none', 'gradient'):
        assert feature_information.feature_mutual_information(triple, feature) == \
            pytest.approx(1.0, abs=1e-5)


def test_feature_information_does_not_depend_on_the_blocks_it_is_computed_in(monkeypatch):
    whole = metrics.fusion(NOISE, OTHER, RAMP, FMI)
    monkeypatch.setattr(feature_information, '_WINDOWS_PER_BLOCK', 1)
    assert metrics.fusion(NOISE, OTHER, RAMP, FMI) == pytest.approx(whole)


@pytest.mark.parametrize('images', [
    (FLAT, FLAT, FLAT), (BLACK, BLACK, BLACK), (FLAT, FLAT, BLACK), (FLAT, NOISE, FLAT),
    (NOISE, OTHER, FLAT), (FLAT, FLAT, NOISE), (BLACK, RAMP, LEFT_HALF),
])
def test_constant_images_give_numbers_without_a_warning(images):
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        values = metrics.fusion(*images)
    finite = {name: math.isfinite(value) for name, value in values.items()}
    if (images[2] == images[0]).all() and (images[2] == images[1]).all():
        assert values['PSNR'] == math.inf
        del finite['PSNR']
    assert all(finite.values()), values


def test_values_of_constant_images():
    values = measure_copies(FLAT)
    for name in ('EN', 'SD', 'SF', 'AG', 'EI', 'MI', 'NMI', 'CC', 'SCD', 'VIF', 'Nabf', 'Qcv',
                 'Qp'):
        assert values[name] == 0.0, name
    for name in ('SSIM', 'MS-SSIM', 'Qy', 'Qc', 'Qcb', *FMI):
        assert values[name] == pytest.approx(1.0), name
    # The border of a constant image is an edge to zero padding: it is kept, of course.
    assert values['Qabf'] == pytest.approx(0.975, abs=0.01)


@pytest.mark.parametrize('shape', [(44, 44), (48, 57), (101, 45)])
def test_uint8_and_float_and_odd_sizes_agree(shape):
    triple = [RANDOM.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]
    whole = metrics.fusion(*triple)
    for dtype in (np.float32, np.float64):
        assert metrics.fusion(*[image.astype(dtype) for image in triple]) == pytest.approx(whole)


@settings(deadline=None, max_examples=4)
@given(st.integers(0, 2 ** 32 - 1))
def test_the_order_of_the_sources_and_a_mirror_change_nothing(seed):
    random = np.random.default_rng(seed)
    a, b, f = (random.integers(0, 256, (44, 52), dtype=np.uint8) for _ in range(3))
    values = metrics.fusion(a, b, f)
    swapped = metrics.fusion(b, a, f)
    # Where the sources pull in opposite directions, Liu's form of Qc takes the side of the first.
    swapped['Qc'] = values['Qc']
    assert swapped == pytest.approx(values)
    assert structure.cvejic_similarity(make_triple(a, b, f), clip_weight=True) == \
        pytest.approx(structure.cvejic_similarity(make_triple(b, a, f), clip_weight=True))
    mirrored = metrics.fusion(a[:, ::-1], b[:, ::-1], f[:, ::-1])
    # VIF samples every second pixel, from the left; Qabf counts upright gradients as pointing up;
    # FMI walks the windows from the left, and its edges and signs have a direction; blocks of Qcv
    # and frequencies of Qp begin at the left.
    for name in set(values) - {'VIF', 'Qabf', 'Qcv', 'Qp', *FMI}:
        assert mirrored[name] == pytest.approx(values[name]), name


def test_a_shift_of_intensity_changes_nothing_where_none_is_looked_at():
    a, b, f = (image // 2 for image in (NOISE, OTHER, (NOISE // 2 + OTHER // 2)))
    values = metrics.fusion(a, b, f)
    brighter = metrics.fusion(a + 100, b + 100, f + 100)
    for name in ('EN', 'SD', 'SF', 'AG', 'EI', 'MI', 'NMI', 'QNCIE', 'CC', 'SCD', 'MSE', 'PSNR',
                 'MS-SSIM', 'VIF', 'Nabf', 'FMI_pixel', 'FMI_gradient', 'Qcb', 'Qcv'):
        assert brighter[name] == pytest.approx(values[name], rel=1e-6), name


def test_only_the_named_metrics_are_computed_in_the_usual_order(monkeypatch):
    monkeypatch.setattr(phase, '_filter_bank', lambda *_: pytest.fail('Qp was not asked for'))
    values = metrics.fusion(NOISE, OTHER, RAMP, ['VIF', 'EN'])
    assert list(values) == ['EN', 'VIF']
    assert metrics.fusion(NOISE, OTHER, RAMP, names=[]) == {}
    with pytest.raises(MetricError, match=r'unknown fusion metric Qxy; known: EN, SD, .*Qp$'):
        metrics.fusion(NOISE, OTHER, RAMP, ['EN', 'Qxy'])


def test_every_metric_says_how_to_read_it():
    for name, info in metrics.FUSION_METRIC_INFO.items():
        assert info.name == name
        assert info.better == ('lower' if name in ('MSE', 'Nabf', 'Qcv') else 'higher')
        assert any(character.isdigit() for character in info.about), 'no year'


@pytest.mark.parametrize('change, message', [
    (lambda image: image[:-1], 'the same size, got 56x48, 56x48, 56x47'),
    (lambda image: image.astype(np.uint16), 'uint8 or float from 0 to 255, got uint16'),
    (lambda image: np.dstack([image] * 3), r'luma \(H, W\), got shape \(48, 56, 3\)'),
    (lambda image: np.where(image > 250, np.nan, image), 'fused must be finite'),
    (lambda image: image * 2.0, 'values from 0 to 255'),
])
def test_images_that_cannot_be_measured_are_refused(change, message):
    with pytest.raises(MetricError, match=message):
        metrics.fusion(NOISE, OTHER, change(NOISE))


def test_small_images_are_refused_by_the_metrics_that_need_more():
    small = [image[:40, :50] for image in (NOISE, OTHER, RAMP)]
    with pytest.raises(MetricError, match=r'50x40 are too small; .*: MS-SSIM 44, VIF 41$'):
        metrics.fusion(*small)
    names = set(metrics.FUSION_METRICS) - {'MS-SSIM', 'VIF'}
    assert len(metrics.fusion(*small, names)) == len(names)
    for name, side in (('MS-SSIM', 44), ('VIF', 41), ('SSIM', 11), ('Qy', 7), ('EN', 3),
                       ('FMI_wavelet', 3), ('Qp', 3), ('Qcb', 3), ('Qcv', 3)):
        fits = [image[:side, :side] for image in (NOISE, OTHER, RAMP)]
        assert math.isfinite(metrics.fusion(*fits, [name])[name])
        with pytest.raises(MetricError, match=f'{name} {side}$'):
            metrics.fusion(*[image[1:] for image in fits], [name])


def test_a_real_pair_is_fused_better_than_by_showing_one_of_both(shared_data):
    import cv2

    thermal, rgb = (cv2.imread(str(next((shared_data / 'tno42' / 'train' / folder).glob('05.*'))),
                               cv2.IMREAD_GRAYSCALE) for folder in ('thermal', 'visible'))
    from ivf_ros import fusion

    fused = metrics.fusion(thermal, rgb, fusion.create('laplacian').fuse(thermal, rgb))
    for source in (thermal, rgb):
        single = metrics.fusion(thermal, rgb, source)
        for name in ('EN', 'SCD', 'Qcv'):
            better = metrics.FUSION_METRIC_INFO[name].better
            assert (fused[name] > single[name]) == (better == 'higher'), name
