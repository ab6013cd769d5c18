# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The study of metrics finds planted groups; its statistics agree with SciPy."""

from __future__ import annotations

from ivf_ros.evaluation.results import EvaluationError
from ivf_ros.evaluation.studies import metric_figures
from ivf_ros.evaluation.studies.metric_selection import read_table
from ivf_ros.evaluation.studies.metric_study import (
    analyse,
    borda_points,
    mean_tau,
    MetricTable,
    silhouette,
)
import numpy as np
import pytest

METHODS = tuple('abcdefghi')


def make_planted_table(images=6, seed=0):
    """Return two opinions of the methods, three noisy metrics of each, and pure noise."""
    random = np.random.default_rng(seed)
    opinions = random.permutation(np.arange(9.0)), random.permutation(np.arange(9.0))
    columns = [opinion * scale + 20 + random.normal(0, 0.4, (images, 9))
               for opinion in opinions for scale in (1.0, 1.0, 3.0)]
    columns.append(random.normal(10, 1, (images, 9)))
    return MetricTable(np.stack(columns, axis=2), METHODS, tuple('ABCXYZ?')), opinions


def test_tau_of_one_image_is_that_of_scipy_with_ties():
    stats = pytest.importorskip('scipy.stats')
    values = np.random.default_rng(1).integers(0, 5, (1, 9, 4)).astype(float)
    tau = mean_tau(values)
    for a in range(4):
        for b in range(4):
            expected = stats.kendalltau(values[0, :, a], values[0, :, b]).statistic
            assert tau[a, b] == pytest.approx(expected)


def test_tau_is_the_mean_over_images_and_0_for_a_constant_metric():
    up, down, flat = np.arange(4.0), -np.arange(4.0), np.zeros(4)
    values = np.stack([np.stack([up, up, flat], 1), np.stack([up, down, flat], 1)])
    np.testing.assert_allclose(mean_tau(values), [[1, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_borda_points_count_the_beaten_and_half_of_the_ties():
    points = borda_points(np.array([[[3.0], [1.0], [3.0], [0.0]]]))
    assert points.ravel().tolist() == [2.5, 1.0, 2.5, 0.0]


def test_silhouette_by_hand_and_as_in_scikit_learn():
    distance = np.array([[0, 1, 4, 5], [1, 0, 4, 5], [4, 4, 0, 2], [5, 5, 2, 0.0]])
    # a = 1, 1, 2, 2 and b = 4.5, 4.5, 4, 5
    assert silhouette(distance, np.array([1, 1, 2, 2])) == pytest.approx(
        np.mean([3.5 / 4.5, 3.5 / 4.5, 2 / 4, 3 / 5]))
    assert silhouette(distance, np.array([1, 1, 2, 3])) == pytest.approx(
        np.mean([3 / 4, 3 / 4, 0, 0]))


@pytest.mark.parametrize('seed', range(5))
def test_planted_groups_are_found_and_one_of_each_is_recommended(seed):
    pytest.importorskip('scipy', reason='clustering needs SciPy')
    table, opinions = make_planted_table(seed=seed)
    study = analyse(table)
    groups = {frozenset(group) for group in study.groups}
    assert frozenset('ABC') in groups and frozenset('XYZ') in groups
    # C and Z separate the methods more than the other metrics of their groups.
    assert set(study.recommended) == {'C', 'Z'}
    assert study.consistency['A'] > 0.8 and np.isnan(study.consistency['?'])
    total = opinions[0] + opinions[1]
    assert total[METHODS.index(study.consensus[0])] > total.mean()


def test_the_figure_is_a_png():
    pytest.importorskip('matplotlib', reason='the figure needs matplotlib')
    assert metric_figures.draw_agreement(analyse(make_planted_table()[0])).startswith(b'\x89PNG')


def write_frames(path, methods, images=3, broken=''):
    lines = ['stage,method,dataset,case,group,set,error,EN,MSE']
    for image in range(images):
        for index, method in enumerate(methods):
            value = '' if broken == (method, image) else index + image
            lines.append(f'fusion,{method},d,{image},,,,{value},{index}')
    path.write_text('\n'.join(lines) + '\n')
    return path


def test_rows_become_a_table_in_which_higher_is_better(tmp_path):
    frames = write_frames(tmp_path / 'frames.csv', METHODS, broken=('c', 1))
    table = read_table(frames, {'EN': 'higher', 'MSE': 'lower'})
    assert table.methods == METHODS and table.metrics == ('EN', 'MSE')
    assert table.values.shape == (2, 9, 2)  # the image without a value of c is left out
    np.testing.assert_array_equal(table.values[0, :, 1], -np.arange(9.0))


def test_too_few_methods_are_refused(tmp_path):
    frames = write_frames(tmp_path / 'frames.csv', METHODS[:3])
    with pytest.raises(EvaluationError, match='at least 8 fusion methods, got 3'):
        read_table(frames, {'EN': 'higher', 'MSE': 'lower'})
