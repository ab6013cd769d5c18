# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Effect of the two modules of ``dfa``: the ablation of DFA-Net on other data.

Four networks, trained in the same way with or without the modules SFM and FEM, register the same
misaligned pairs. They do it once as in the paper, by one matching of cells without rejection, and
once by the complete method ``dfa``. The metrics are those of the paper, Sensors 2025, 25, 4628,
whose values are listed beside them. The paper uses other misalignments, so only differences
between rows can be compared.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.evaluation.results import EvaluationError, json_bytes
from ivf_ros.output import write_atomically
import numpy as np

_MODULES = {'baseline': 'sfm=false,fem=false', '+SFM': 'sfm=true,fem=false',
            '+FEM': 'sfm=false,fem=true', 'both': 'sfm=true,fem=true'}
# Kind of matching -> network -> method
VARIANTS = {
    'as in the paper': {name: f'dfa:{modules},matching=coarse,min_confidence=0.0'
                        for name, modules in _MODULES.items()},
    'complete dfa': {name: f'dfa:{modules}' for name, modules in _MODULES.items()},
}
UNREGISTERED = 'unregistered'
METHODS = ('none', *(method for variants in VARIANTS.values() for method in variants.values()))

_METRICS = {'inliers': 'higher', 'RMSE': 'lower', 'SSIM': 'higher', 'MI': 'higher',
            'NCC': 'higher'}
_PUBLISHED_METRICS = tuple(_METRICS)[1:]
_PUBLISHED_MSRS = {
    'baseline': (4.571, 0.716, 0.743, 0.683),
    '+SFM': (4.362, 0.755, 0.781, 0.767),
    '+FEM': (4.173, 0.829, 0.866, 0.804),
    'both': (3.910, 0.871, 0.906, 0.894),
}
_PUBLISHED_ROADSCENE = {
    'baseline': (7.255, 0.644, 0.873, 0.779),  # from the differences in the abstract
    'both': (6.782, 0.752, 1.099, 0.893),
}
_COLUMNS = ('network', 'accepted', 'error px', *_METRICS,
            *(f'{name}, paper on MSRS' for name in _PUBLISHED_METRICS),
            *(f'{name}, paper on RoadScene' for name in _PUBLISHED_METRICS))

# network -> data set, case, set -> metric -> value
Cases = dict[str, dict[tuple[str, str, str], dict[str, float]]]


def add_study(folder: Path) -> dict[str, Any]:
    """
    Add the ablation of an evaluation to its ``summary.json``, and return that.

    The tables are also written to ``studies/dfa-ablation/ablation.md`` and ``.csv``.

    Raises
    ------
    EvaluationError
        No case was registered by all four networks.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    tables, notes = [], []
    for matching, variants in VARIANTS.items():
        cases = read_cases(folder / 'frames.csv', variants)
        sets = [name for name in dict.fromkeys(key[2] for key in cases['baseline']) if name]
        tables.append(ablation_table(f'{matching}, all sets', cases))
        if len(sets) > 1:
            tables += [ablation_table(f'{matching}, {name}', _select_set(cases, name))
                       for name in sets]
        notes += [f'{matching}: {sentence}' for sentence in describe_gains(cases)]
    notes.insert(0, _describe(cases))
    summary.setdefault('studies', {})['dfa-ablation'] = {
        'title': 'Effect of the modules of dfa', 'paragraphs': notes, 'tables': tables,
        'figures': []}
    write_atomically(path, json_bytes(summary))
    study_folder = folder / 'studies' / 'dfa-ablation'
    write_atomically(study_folder / 'ablation.csv', _format_csv(tables).encode())
    write_atomically(study_folder / 'ablation.md', _format_markdown(notes, tables).encode())
    return summary


def read_cases(frames_csv: Path, variants: dict[str, str]) -> Cases:
    """
    Return the values of the cases that all networks registered, 'unregistered' first.

    Parameters
    ----------
    frames_csv:
        File of the evaluation.
    variants:
        Name to method.

    Raises
    ------
    EvaluationError
        There is no such case.

    """
    names = {'none': UNREGISTERED, **{method: variant for variant, method in variants.items()}}
    cases: Cases = {name: {} for name in names.values()}
    with frames_csv.open(newline='') as file:
        for row in csv.DictReader(file):
            if row['stage'] == 'registration' and row['method'] in names and row.get('RMSE'):
                cases[names[row['method']]][row['dataset'], row['case'], row['set']] = {
                    name: float(row[name] or 'nan')
                    for name in ('accepted', 'corner_error_px', *_METRICS)}
    common = set.intersection(*(set(variant_cases) for variant_cases in cases.values()))
    if not common:
        raise EvaluationError('no aligned pair was registered by all four networks')
    return {variant: {key: values for key, values in variant_cases.items() if key in common}
            for variant, variant_cases in cases.items()}


def ablation_table(name: str, cases: Cases) -> dict[str, Any]:
    """Return the means over all cases beside the published values, as a table of the report."""
    rows: list[list[Any]] = []
    for variant, variant_cases in cases.items():
        values = list(variant_cases.values())
        accepted = [case for case in values if case['accepted']]
        error_px = float(np.median([case['corner_error_px'] for case in accepted])) \
            if accepted else math.nan
        rows.append([variant, _round_finite(len(accepted) / len(values)), _round_finite(error_px),
                     *(_round_finite(float(np.nanmean([case[metric] for case in values])))
                       for metric in _METRICS),
                     *_PUBLISHED_MSRS.get(variant, (None,) * 4),
                     *_PUBLISHED_ROADSCENE.get(variant, (None,) * 4)])
    return {'caption': f'{name}: fraction of accepted estimates, their median corner error in '
            'pixels of 640, means over all cases of the inliers and of the metrics of the paper, '
            'and the values of the paper', 'columns': list(_COLUMNS), 'rows': rows}


def describe_gains(cases: Cases) -> list[str]:
    """Return the effect of each module in the same cases, with and without the other module."""
    sentences = []
    for module, steps in (('SFM', (('baseline', '+SFM'), ('+FEM', 'both'))),
                          ('FEM', (('baseline', '+FEM'), ('+SFM', 'both')))):
        for without_module, with_module in steps:
            changes = {metric: np.array([cases[with_module][key][metric] - values[metric]
                                         for key, values in cases[without_module].items()])
                       for metric in _METRICS}
            sentences.append(f'{module}, {without_module} to {with_module}: ' + ', '.join(
                _describe_gain(metric, change[np.isfinite(change)])
                for metric, change in changes.items()) + '.')
    return sentences


def _describe_gain(metric: str, change: np.ndarray) -> str:
    sign = 1 if _METRICS[metric] == 'higher' else -1
    return (f'{metric} {change.mean():+.3f} (standard error '
            f'{change.std() / math.sqrt(len(change)):.3f}, better in '
            f'{(sign * change > 0).mean():.0%})')


def _describe(cases: Cases) -> str:
    return (f'Four networks on the same {len(cases["baseline"])} misaligned cases of this '
            'evaluation: as in the paper, with one matching of cells and without rejection, and '
            'by the complete method dfa, where a rejected estimate counts as no registration. The '
            'values of the paper are for its own misalignments of MSRS and RoadScene (its '
            'baseline on RoadScene follows from the gains in its abstract). Compare only '
            'differences between rows.')


def _select_set(cases: Cases, name: str) -> Cases:
    return {variant: {key: values for key, values in variant_cases.items() if key[2] == name}
            for variant, variant_cases in cases.items()}


def _round_finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _format_csv(tables: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['cases', *_COLUMNS])
    for table in tables:
        name = table['caption'].partition(':')[0]
        writer.writerows([name, *('' if cell is None else cell for cell in row)]
                         for row in table['rows'])
    return out.getvalue()


def _format_markdown(notes: list[str], tables: list[dict[str, Any]]) -> str:
    parts = [*notes]
    for table in tables:
        lines = [table['columns'], ['---'] * len(table['columns']), *table['rows']]
        parts += [table['caption'], '\n'.join(
            '| ' + ' | '.join('' if cell is None else str(cell) for cell in line) + ' |'
            for line in lines)]
    return '\n\n'.join(parts) + '\n'
