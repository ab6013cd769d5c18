# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Which fusion metrics distinguish the methods, and which metrics are redundant.

1. Each metric ranks the methods on each image. The agreement of two metrics is Kendall's tau-b of
   their rankings, averaged over the images.
2. Metrics are clustered by the distance 1 - tau (average linkage). The number of groups, from 2 to
   half the number of metrics, is the one with the highest mean silhouette (Rousseeuw 1987).
3. The Borda count of a group is its consensus: on each image, each metric gives a method one point
   for each method that it beats, half a point for a tie. The consistency of a metric is its tau
   with the consensus of the other metrics of its group, averaged over the images.
4. The coefficient of variation, sd / |mean| over the methods on one image, averaged over the
   images, tells how strongly a metric separates the methods.
5. One metric of each group is recommended: of those whose consistency is within ``_NEAR_BEST`` of
   the best of the group, the one with the largest coefficient of variation. Groups of one metric
   are reported, but not recommended.
"""

from __future__ import annotations

from dataclasses import dataclass
import math

from ivf_ros.evaluation.results import EvaluationError
import numpy as np

_NEAR_BEST = 0.05
_MIN_METRICS = 4


@dataclass(frozen=True, eq=False)
class MetricTable:
    """
    Values of each metric for each method on each image.

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
    Result of the study.

    Attributes
    ----------
    metrics:
        Names.
    tau:
        ``(M, M)`` mean Kendall tau-b of the rankings by two metrics.
    linkage:
        ``(M - 1, 4)`` cluster tree in the format of SciPy.
    groups:
        Names, largest group first.
    silhouette:
        Mean silhouette of the groups, -1 to 1.
    consistency:
        Metric to mean tau with the consensus of the other metrics of its group; NaN in a group of
        one.
    overall_consistency:
        The same with the consensus of all other metrics.
    variation:
        Metric to mean coefficient of variation over the methods.
    recommended:
        Names, one of each group of at least two.
    consensus:
        Methods by the Borda count of all metrics over all images, best first.

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


def analyse(table: MetricTable) -> MetricStudy:
    """
    Run the five steps.

    Raises
    ------
    EvaluationError
        There are too few metrics, methods or images.

    """
    images, methods, metrics = table.values.shape
    if metrics < _MIN_METRICS or methods < 3 or not images:
        raise EvaluationError(f'the study of metrics needs at least {_MIN_METRICS} metrics, '
                              f'3 methods and 1 image, got {metrics}, {methods} and {images}')
    tau = mean_tau(table.values)
    linkage, labels, silhouette = _cluster(tau)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    members.sort(key=lambda group: (-len(group), group[0]))

    points = borda_points(table.values)
    consistency = {table.metrics[i]: _consistency(table.values, points, int(i), group)
                   for group in members for i in group}
    overall = {name: _consistency(table.values, points, i, np.arange(metrics))
               for i, name in enumerate(table.metrics)}
    with np.errstate(divide='ignore', invalid='ignore'):
        image_variation = table.values.std(axis=1) / np.abs(table.values.mean(axis=1))
    variation = dict(zip(table.metrics, np.nanmean(
        np.where(np.isfinite(image_variation), image_variation, np.nan), axis=0)))
    groups = tuple(tuple(table.metrics[i] for i in group) for group in members)
    totals = points.sum(axis=(0, 2))
    return MetricStudy(
        table.metrics, tau, linkage, groups, silhouette, consistency, overall,
        {name: float(value) for name, value in variation.items()},
        tuple(_choose_representative(group, consistency, variation) for group in groups
              if len(group) > 1),
        tuple(table.methods[i] for i in np.argsort(-totals, kind='stable')))


def mean_tau(values: np.ndarray) -> np.ndarray:
    """
    Return Kendall's tau-b between metrics, averaged over images: ``(M, M)``.

    ``values`` is ``(images, methods, metrics)``. tau-b is the sum of the products of the signs of
    all differences, divided by the root of the numbers of pairs without a tie (Kendall 1945). A
    metric that is constant on an image has the tau 0 with all others there.
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
    """Return the number of methods that each method beats, half for a tie: shape of ``values``."""
    difference = values[:, :, None] - values[:, None, :]
    return (np.sign(difference).sum(axis=2) + values.shape[1] - 1) / 2


def _consistency(values: np.ndarray, points: np.ndarray, metric: int,
                 group: np.ndarray) -> float:
    others = group[group != metric]
    if not others.size:
        return math.nan
    pair = np.stack([values[:, :, metric], points[:, :, others].sum(axis=2)], axis=2)
    return float(mean_tau(pair)[0, 1])


def _cluster(tau: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the tree, the group of each metric, and the silhouette of the groups."""
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

    a is the mean distance to the other members of the same group, b to those of the nearest other
    group. A member of a group of one counts 0. ``distance`` is ``(N, N)``, ``labels`` ``(N,)``.
    """
    values = []
    for i, own_label in enumerate(labels):
        inside = np.flatnonzero((labels == own_label) & (np.arange(len(labels)) != i))
        others = [distance[i, labels == label].mean() for label in np.unique(labels)
                  if label != own_label]
        if not inside.size or not others:
            values.append(0.0)
            continue
        a, b = distance[i, inside].mean(), min(others)
        values.append((b - a) / max(a, b) if max(a, b) > 0 else 0.0)
    return float(np.mean(values))


def _choose_representative(group: tuple[str, ...], consistency: dict[str, float],
                           variation: dict[str, float]) -> str:
    best = max(consistency[name] for name in group)
    near = [name for name in group if consistency[name] >= best - _NEAR_BEST]
    return max(near, key=lambda name: variation[name])
