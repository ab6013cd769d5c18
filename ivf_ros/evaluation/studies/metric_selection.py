# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which fusion metrics tell methods apart, and which only repeat each other.

1. Each metric ranks the methods on each image. How much two metrics agree is Kendall's tau-b of
   their rankings, averaged over the images.
2. Metrics are clustered by the distance 1 - tau (average linkage), into as many groups, from 2 to
   half their number, as give the highest mean silhouette (Rousseeuw 1987).
3. The Borda count of a group is its consensus: on each image each metric gives a method a point
   for each method that it beats, half a point for a tie. Consistency of a metric is its tau with
   the consensus of the others of its group, averaged over the images.
4. The coefficient of variation, sd / |mean| over the methods on one image, averaged over the
   images, says how far apart a metric sees the methods.
5. Of each group one metric is recommended: among those whose consistency is within
   ``_NEAR_BEST`` of the best of the group, the one with the greatest coefficient of variation.
   Groups of one metric agree with nobody and are reported, not recommended.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.data.recording import natural_key
from ivf_ros.evaluation.results import EvaluationError, json_bytes, write_atomically
from ivf_ros.evaluation.studies import metric_figures
import numpy as np

_NEAR_BEST = 0.05
_LEAST_METHODS = 8
_LEAST_METRICS = 4


@dataclass(frozen=True, eq=False)
class MetricTable:
    """
    What each metric says of each method on each image.

    Attributes
    ----------
    values:
        ``(images, methods, metrics)`` float64, finite; higher is better for all.
    methods, metrics:
        Names.

    """

    values: np.ndarray
    methods: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MetricStudy:
    """
    What the metrics have in common.

    Attributes
    ----------
    metrics:
        Names.
    tau:
        ``(M, M)`` mean Kendall tau-b of the rankings by two metrics.
    linkage:
        ``(M - 1, 4)`` the tree, as SciPy has it.
    groups:
        Names, largest group first.
    silhouette:
        Mean silhouette of this grouping, -1 to 1.
    consistency:
        Metric to mean tau with the consensus of the others of its group; NaN in a group of one.
    overall_consistency:
        The same with the consensus of all other metrics.
    variation:
        Metric to mean coefficient of variation over the methods.
    recommended:
        Names, one of each group of at least two.
    consensus:
        Methods, by the Borda count of all metrics over all images, best first.

    """

    metrics: tuple[str, ...]
    tau: np.ndarray
    linkage: np.ndarray
    groups: tuple[tuple[str, ...], ...]
    silhouette: float
    consistency: dict[str, float]
    overall_consistency: dict[str, float]
    variation: dict[str, float]
    recommended: tuple[str, ...]
    consensus: tuple[str, ...]


def study(table: MetricTable) -> MetricStudy:
    """
    Take the five steps.

    Raises
    ------
    EvaluationError
        Too few metrics, methods or images.

    """
    images, methods, metrics = table.values.shape
    if metrics < _LEAST_METRICS or methods < 3 or not images:
        raise EvaluationError(f'a study of metrics needs {_LEAST_METRICS} metrics, 3 methods and '
                              f'1 image at least, got {metrics}, {methods} and {images}')
    tau = mean_tau(table.values)
    linkage, labels, silhouette = _clustered(tau)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    members.sort(key=lambda group: (-len(group), group[0]))

    points = borda_points(table.values)
    consistency = {table.metrics[i]: _consistency(table.values, points, int(i), group)
                   for group in members for i in group}
    overall = {name: _consistency(table.values, points, i, np.arange(metrics))
               for i, name in enumerate(table.metrics)}
    with np.errstate(divide='ignore', invalid='ignore'):
        variation_of_images = table.values.std(axis=1) / np.abs(table.values.mean(axis=1))
    variation = dict(zip(table.metrics, np.nanmean(
        np.where(np.isfinite(variation_of_images), variation_of_images, np.nan), axis=0)))
    groups = tuple(tuple(table.metrics[i] for i in group) for group in members)
    totals = points.sum(axis=(0, 2))
    return MetricStudy(
        table.metrics, tau, linkage, groups, silhouette, consistency, overall,
        {name: float(value) for name, value in variation.items()},
        tuple(_representative(group, consistency, variation) for group in groups
              if len(group) > 1),
        tuple(table.methods[i] for i in np.argsort(-totals, kind='stable')))


def mean_tau(values: np.ndarray) -> np.ndarray:
    """
    Return Kendall's tau-b between metrics, averaged over images: ``(M, M)``.

    ``values`` is ``(images, methods, metrics)``. tau-b = sum of the products of the signs of all
    differences over the root of the numbers of pairs that are no ties (Kendall 1945). A metric
    that sees no difference on an image agrees with nobody there: 0.
    """
    first, second = np.triu_indices(values.shape[1], k=1)
    signs = np.sign(values[:, first] - values[:, second])  # (images, pairs of methods, metrics)
    agreement = np.einsum('ipa,ipb->iab', signs, signs)
    untied = np.einsum('ipa,ipa->ia', signs, signs)
    norm = np.sqrt(untied[:, :, None] * untied[:, None, :])
    tau = np.divide(agreement, norm, out=np.zeros_like(agreement), where=norm > 0).mean(axis=0)
    np.fill_diagonal(tau, 1.0)
    return tau


def borda_points(values: np.ndarray) -> np.ndarray:
    """Return how many methods each method beats, a tie half: the shape of ``values``."""
    difference = values[:, :, None] - values[:, None, :]
    return (np.sign(difference).sum(axis=2) + values.shape[1] - 1) / 2


def _consistency(values: np.ndarray, points: np.ndarray, metric: int,
                 group: np.ndarray) -> float:
    others = group[group != metric]
    if not others.size:
        return math.nan
    both = np.stack([values[:, :, metric], points[:, :, others].sum(axis=2)], axis=2)
    return float(mean_tau(both)[0, 1])


def _clustered(tau: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the tree, the group of each metric, and the silhouette of this grouping."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - tau
    tree = linkage(squareform(distance, checks=False), method='average')
    best: tuple[float, np.ndarray] | None = None
    for count in range(2, max(3, len(tau) // 2 + 1)):
        labels = fcluster(tree, count, criterion='maxclust')
        value = silhouette(distance, labels)
        if best is None or value > best[0]:
            best = value, labels
    assert best is not None
    return tree, best[1], best[0]


def silhouette(distance: np.ndarray, labels: np.ndarray) -> float:
    """
    Return the mean of (b - a) / max(a, b) over all members (Rousseeuw 1987).

    a is the mean distance to the others of the own group, b to those of the nearest other group;
    a member of a group of one counts 0. ``distance`` is ``(N, N)``, ``labels`` ``(N,)``.
    """
    values = []
    for i, own in enumerate(labels):
        inside = np.flatnonzero((labels == own) & (np.arange(len(labels)) != i))
        others = [distance[i, labels == label].mean() for label in np.unique(labels)
                  if label != own]
        if not inside.size or not others:
            values.append(0.0)
            continue
        a, b = distance[i, inside].mean(), min(others)
        values.append((b - a) / max(a, b) if max(a, b) > 0 else 0.0)
    return float(np.mean(values))


def _representative(group: tuple[str, ...], consistency: dict[str, float],
                    variation: dict[str, float]) -> str:
    best = max(consistency[name] for name in group)
    near = [name for name in group if consistency[name] >= best - _NEAR_BEST]
    return max(near, key=lambda name: variation[name])


def read_table(frames_csv: Path, better: dict[str, str], dataset: str | None = None
               ) -> MetricTable:
    """
    Read the fusion rows of an evaluation, of one data set or of all.

    Images on which a method failed or a metric is not finite are left out.

    Raises
    ------
    EvaluationError
        Fewer than 8 methods, or no image is left.

    """
    cells: dict[tuple[str, str], dict[str, list[float]]] = {}
    with frames_csv.open(newline='') as file:
        for row in csv.DictReader(file):
            if row['stage'] == 'fusion' and dataset in (None, row['dataset']):
                cells.setdefault((row['dataset'], row['case']), {})[row['method']] = [
                    float(row[name] or 'nan') * (1 if direction == 'higher' else -1)
                    for name, direction in better.items()]
    methods = tuple(dict.fromkeys(method for image in cells.values() for method in image))
    if len(methods) < _LEAST_METHODS:
        raise EvaluationError(f'a study of metrics needs at least {_LEAST_METHODS} fusion methods '
                              f'to rank, got {len(methods)}')
    whole = [[image[method] for method in methods] for _, image in
             sorted(cells.items(), key=lambda item: [*map(natural_key, item[0])])
             if len(image) == len(methods)]
    values = np.array([image for image in whole if np.isfinite(image).all()])
    if not len(values):
        raise EvaluationError('no image on which every method and every metric has a value')
    return MetricTable(values, methods, tuple(better))


def add_to(folder: Path) -> dict[str, Any]:
    """
    Study the evaluation in a folder, add the result to its ``summary.json``, and return that.

    Raises
    ------
    EvaluationError
        There are too few methods, metrics or images in it.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    better = {name: info['better']
              for name, info in summary['stages']['fusion']['metrics'].items()}
    datasets = _datasets(folder / 'frames.csv')
    subsets: dict[str, str | None] = {'all': None}
    if len(datasets) > 1:
        subsets.update((name, name) for name in datasets)
    studies, sizes = {}, {}
    for name, dataset in subsets.items():
        table = read_table(folder / 'frames.csv', better, dataset)
        studies[name], sizes[name] = study(table), table.values.shape
    figure = 'studies/metrics/agreement.png'
    write_atomically(folder / figure, metric_figures.agreement_png(studies['all']))
    summary.setdefault('studies', {})['metrics'] = {
        'title': 'Which metrics to report',
        'paragraphs': [_finding(name, studies[name], sizes[name]) for name in subsets],
        'tables': [_table(name, studies[name]) for name in subsets],
        'figures': [{'caption': 'Agreement of the metrics (Kendall tau) and how they cluster, '
                     'all images', 'png': figure}],
    }
    write_atomically(path, json_bytes(summary))
    return summary


def _datasets(frames_csv: Path) -> list[str]:
    with frames_csv.open(newline='') as file:
        return sorted({row['dataset'] for row in csv.DictReader(file)}, key=natural_key)


def _finding(name: str, found: MetricStudy, size: tuple[int, ...]) -> str:
    images, methods, metrics = size
    reported = {'SD', 'Qabf'}
    if set(found.recommended) == reported:
        verdict = 'That is the set {SD, Qabf} that was published.'
    else:
        rest = sorted(reported - set(found.recommended))
        where = '; '.join(
            f'{metric} is in the group of {_representative_of(metric, found)}, with consistency '
            f'{_number(found.consistency[metric])} and variation {found.variation[metric]:.2f}'
            for metric in rest if metric in found.metrics)
        verdict = 'The published set {SD, Qabf} does not come out' + (f': {where}.' if where
                                                                      else '.')
    return (f'{name}: {metrics} metrics rank {methods} methods on {images} images and fall into '
            f'{len(found.groups)} groups (silhouette {found.silhouette:.2f}). Recommended: '
            f'{", ".join(found.recommended) or "none"}. {verdict} Consensus of all metrics: '
            f'{" > ".join(found.consensus)}.')


def _representative_of(metric: str, found: MetricStudy) -> str:
    group = next(group for group in found.groups if metric in group)
    return next((name for name in found.recommended if name in group), 'its own')


def _table(name: str, found: MetricStudy) -> dict[str, Any]:
    rows = [[metric, index + 1, _finite(found.consistency[metric]),
             _finite(found.overall_consistency[metric]), _finite(found.variation[metric]),
             'yes' if metric in found.recommended else '']
            for index, group in enumerate(found.groups)
            for metric in sorted(group, key=lambda one: -np.nan_to_num(found.consistency[one]))]
    return {'caption': f'{name}: groups of metrics, consistency with the Borda consensus of the '
            'others of the group and of all others, coefficient of variation over the methods',
            'columns': ['metric', 'group', 'consistency', 'with all', 'variation', 'recommended'],
            'rows': rows}


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _number(value: float) -> str:
    return f'{value:.2f}' if math.isfinite(value) else 'undefined'
