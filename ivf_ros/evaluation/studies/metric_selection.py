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
from ivf_ros.evaluation.results import EvaluationError, json_bytes
from ivf_ros.evaluation.studies import metric_figures
from ivf_ros.evaluation.studies.metric_study import analyse, MetricStudy, MetricTable
from ivf_ros.output import write_atomically
import numpy as np

_MIN_METHODS = 8


def read_table(frames_csv: Path, better: dict[str, str], dataset: str | None = None
               ) -> MetricTable:
    """
    Read the fusion rows of an evaluation, for one data set or for all.

    Images are left out if a method failed or a metric is not finite.

    Raises
    ------
    EvaluationError
        There are fewer than 8 methods, or no image is left.

    """
    cells: dict[tuple[str, str], dict[str, list[float]]] = {}
    with frames_csv.open(newline='') as file:
        for row in csv.DictReader(file):
            if row['stage'] == 'fusion' and dataset in (None, row['dataset']):
                cells.setdefault((row['dataset'], row['case']), {})[row['method']] = [
                    float(row[name] or 'nan') * (1 if direction == 'higher' else -1)
                    for name, direction in better.items()]
    methods = tuple(dict.fromkeys(method for image in cells.values() for method in image))
    if len(methods) < _MIN_METHODS:
        raise EvaluationError('the study of metrics needs at least '
                              f'{_MIN_METHODS} fusion methods, got {len(methods)}')
    complete = [[image[method] for method in methods] for _, image in
                sorted(cells.items(), key=lambda item: [*map(natural_key, item[0])])
                if len(image) == len(methods)]
    values = np.array([image for image in complete if np.isfinite(image).all()])
    if not len(values):
        raise EvaluationError('there is no image on which every method has a finite value of '
                              'every metric')
    return MetricTable(values, methods, tuple(better))


def add_study(folder: Path) -> dict[str, Any]:
    """
    Analyse the evaluation in a folder, add the result to its ``summary.json``, and return that.

    Raises
    ------
    EvaluationError
        It has too few methods, metrics or images.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    better = {name: info['better']
              for name, info in summary['stages']['fusion']['metrics'].items()}
    datasets = _list_datasets(folder / 'frames.csv')
    subsets: dict[str, str | None] = {'all': None}
    if len(datasets) > 1:
        subsets.update((name, name) for name in datasets)
    studies, sizes = {}, {}
    for name, dataset in subsets.items():
        table = read_table(folder / 'frames.csv', better, dataset)
        studies[name], sizes[name] = analyse(table), table.values.shape
    figure = 'studies/metrics/agreement.png'
    write_atomically(folder / figure, metric_figures.draw_agreement(studies['all']))
    summary.setdefault('studies', {})['metrics'] = {
        'title': 'Selection of metrics',
        'paragraphs': [_describe(name, studies[name], sizes[name]) for name in subsets],
        'tables': [_make_table(name, studies[name]) for name in subsets],
        'figures': [{'caption': 'Agreement of the metrics (Kendall tau) and their clusters, '
                     'all images', 'png': figure}],
    }
    write_atomically(path, json_bytes(summary))
    return summary


def _list_datasets(frames_csv: Path) -> list[str]:
    with frames_csv.open(newline='') as file:
        return sorted({row['dataset'] for row in csv.DictReader(file)}, key=natural_key)


def _describe(name: str, study: MetricStudy, size: tuple[int, ...]) -> str:
    images, methods, metrics = size
    reported = {'SD', 'Qabf'}
    if set(study.recommended) == reported:
        comparison = 'This is the published set {SD, Qabf}.'
    else:
        rest = sorted(reported - set(study.recommended))
        details = '; '.join(
            f'{metric} is in the group of {_representative_of(metric, study)}, with consistency '
            f'{_format_number(study.consistency[metric])} and variation '
            f'{study.variation[metric]:.2f}'
            for metric in rest if metric in study.metrics)
        comparison = 'This is not the published set {SD, Qabf}' + (f': {details}.' if details
                                                                   else '.')
    return (f'{name}: {metrics} metrics rank {methods} methods on {images} images and form '
            f'{len(study.groups)} groups (silhouette {study.silhouette:.2f}). Recommended: '
            f'{", ".join(study.recommended) or "none"}. {comparison} Consensus of all metrics: '
            f'{" > ".join(study.consensus)}.')


def _representative_of(metric: str, study: MetricStudy) -> str:
    group = next(group for group in study.groups if metric in group)
    return next((name for name in study.recommended if name in group), 'itself')


def _make_table(name: str, study: MetricStudy) -> dict[str, Any]:
    rows = [[metric, index + 1, _round_finite(study.consistency[metric]),
             _round_finite(study.overall_consistency[metric]),
             _round_finite(study.variation[metric]),
             'yes' if metric in study.recommended else '']
            for index, group in enumerate(study.groups)
            for metric in sorted(group, key=lambda member: -np.nan_to_num(
                study.consistency[member]))]
    return {'caption': f'{name}: groups of metrics, consistency with the Borda consensus of the '
            'other metrics of the group and of all other metrics, coefficient of variation over '
            'the methods',
            'columns': ['metric', 'group', 'consistency', 'with all', 'variation', 'recommended'],
            'rows': rows}


def _round_finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _format_number(value: float) -> str:
    return f'{value:.2f}' if math.isfinite(value) else 'undefined'
