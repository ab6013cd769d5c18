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

from dataclasses import dataclass
import math

from ivf_ros.evaluation.results import EvaluationError
import numpy as np

_NEAR_BEST = 0.05
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
