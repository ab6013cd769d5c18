# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The study of fusion metrics: reads an evaluation, and adds tables and a figure to it."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.data.recording import natural_key
from ivf_ros.evaluation.results import EvaluationError, json_bytes, write_atomically
from ivf_ros.evaluation.studies import metric_figures
from ivf_ros.evaluation.studies.metric_study import MetricStudy, MetricTable, study
import numpy as np

_LEAST_METHODS = 8
_LEAST_METRICS = 4


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
