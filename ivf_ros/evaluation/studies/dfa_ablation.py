# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
What each of the two modules of ``dfa`` gives: the ablation of DFA-Net on other data.

Four networks, trained alike but with or without the modules SFM and FEM, register the same
misaligned pairs, once as in the paper, by matching cells once and believing every answer, and
once by all that ``dfa`` does. The measures are those of the paper, Sensors 2025, 25, 4628, whose
figures stand beside them; they were measured there on other misalignments, so only differences
between rows can be compared.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.evaluation.results import EvaluationError, json_bytes, write_atomically
import numpy as np

_MODULES = {'baseline': 'sfm=false,fem=false', '+SFM': 'sfm=true,fem=false',
            '+FEM': 'sfm=false,fem=true', 'both': 'sfm=true,fem=true'}
# Way of matching -> network -> method
VARIANTS = {
    'as in the paper': {name: f'dfa:{modules},matching=coarse,min_confidence=0.0'
                        for name, modules in _MODULES.items()},
    'all that dfa does': {name: f'dfa:{modules}' for name, modules in _MODULES.items()},
}
UNREGISTERED = 'unregistered'
METHODS = ('none', *(method for variants in VARIANTS.values() for method in variants.values()))

_MEASURES = {'inliers': 'higher', 'RMSE': 'lower', 'SSIM': 'higher', 'MI': 'higher',
             'NCC': 'higher'}
_PUBLISHED = tuple(_MEASURES)[1:]
_PUBLISHED_MSRS = {
    'baseline': (4.571, 0.716, 0.743, 0.683),
    '+SFM': (4.362, 0.755, 0.781, 0.767),
    '+FEM': (4.173, 0.829, 0.866, 0.804),
    'both': (3.910, 0.871, 0.906, 0.894),
}
_PUBLISHED_ROADSCENE = {
    'baseline': (7.255, 0.644, 0.873, 0.779),  # by the differences that the abstract gives
    'both': (6.782, 0.752, 1.099, 0.893),
}
_COLUMNS = ('network', 'accepted', 'error px', *_MEASURES,
            *(f'{name}, paper on MSRS' for name in _PUBLISHED),
            *(f'{name}, paper on RoadScene' for name in _PUBLISHED))

# network -> data set, case, set -> measure -> value
Cases = dict[str, dict[tuple[str, str, str], dict[str, float]]]


def add_to(folder: Path) -> dict[str, Any]:
    """
    Put the ablation of an evaluation into its ``summary.json``, and return that.

    Beside it ``studies/dfa-ablation/ablation.md`` and ``.csv`` hold the tables.

    Raises
    ------
    EvaluationError
        There is no case that all four networks have seen.

    """
    path = folder / 'summary.json'
    summary = json.loads(path.read_text())
    tables, notes = [], []
    for way, variants in VARIANTS.items():
        cases = read_cases(folder / 'frames.csv', variants)
        sets = [name for name in dict.fromkeys(key[2] for key in cases['baseline']) if name]
        tables.append(ablation_table(f'{way}, all sets', cases))
        if len(sets) > 1:
            tables += [ablation_table(f'{way}, {name}', _of_set(cases, name)) for name in sets]
        notes += [f'{way}: {sentence}' for sentence in gains(cases)]
    notes.insert(0, _what_it_is(cases))
    summary.setdefault('studies', {})['dfa-ablation'] = {
        'title': 'What the modules of dfa give', 'paragraphs': notes, 'tables': tables,
        'figures': []}
    write_atomically(path, json_bytes(summary))
    written = folder / 'studies' / 'dfa-ablation'
    write_atomically(written / 'ablation.csv', _csv_text(tables).encode())
    write_atomically(written / 'ablation.md', _markdown(notes, tables).encode())
    return summary


def read_cases(frames_csv: Path, variants: dict[str, str]) -> Cases:
    """
    Return what was measured in each case that all have seen, without registration first.

    Parameters
    ----------
    frames_csv:
        Of the evaluation.
    variants:
        Name to method.

    Raises
    ------
    EvaluationError
        There is no such case.

    """
    names = {'none': UNREGISTERED, **{method: variant for variant, method in variants.items()}}
    found: Cases = {name: {} for name in names.values()}
    with frames_csv.open(newline='') as file:
        for row in csv.DictReader(file):
            if row['stage'] == 'registration' and row['method'] in names and row.get('RMSE'):
                found[names[row['method']]][row['dataset'], row['case'], row['set']] = {
                    name: float(row[name] or 'nan')
                    for name in ('accepted', 'corner_error_px', *_MEASURES)}
    common = set.intersection(*(set(cases) for cases in found.values()))
    if not common:
        raise EvaluationError('no aligned pair that all four networks have registered')
    return {variant: {key: values for key, values in cases.items() if key in common}
            for variant, cases in found.items()}


def ablation_table(name: str, cases: Cases) -> dict[str, Any]:
    """Return the means over all cases beside the published figures, as the report takes it."""
    rows: list[list[Any]] = []
    for variant, of_variant in cases.items():
        values = list(of_variant.values())
        accepted = [one for one in values if one['accepted']]
        error_px = float(np.median([one['corner_error_px'] for one in accepted])) \
            if accepted else math.nan
        rows.append([variant, _rounded(len(accepted) / len(values)), _rounded(error_px),
                     *(_rounded(float(np.nanmean([one[measure] for one in values])))
                       for measure in _MEASURES),
                     *_PUBLISHED_MSRS.get(variant, (None,) * 4),
                     *_PUBLISHED_ROADSCENE.get(variant, (None,) * 4)])
    return {'caption': f'{name}: share of answers accepted, their median corner error in pixels '
            'of 640, means over all cases of the matches that agree and of the measures of the '
            'paper, and its own figures', 'columns': list(_COLUMNS), 'rows': rows}


def gains(cases: Cases) -> list[str]:
    """Return for each module, with and without the other, what it changes in the same cases."""
    sentences = []
    for module, steps in (('SFM', (('baseline', '+SFM'), ('+FEM', 'both'))),
                          ('FEM', (('baseline', '+FEM'), ('+SFM', 'both')))):
        for without, with_it in steps:
            changes = {measure: np.array([cases[with_it][key][measure] - values[measure]
                                          for key, values in cases[without].items()])
                       for measure in _MEASURES}
            sentences.append(f'{module}, {without} to {with_it}: ' + ', '.join(
                _gain(measure, change[np.isfinite(change)])
                for measure, change in changes.items()) + '.')
    return sentences


def _gain(measure: str, change: np.ndarray) -> str:
    sign = 1 if _MEASURES[measure] == 'higher' else -1
    return (f'{measure} {change.mean():+.3f} (standard error '
            f'{change.std() / math.sqrt(len(change)):.3f}, better in '
            f'{(sign * change > 0).mean():.0%})')


def _what_it_is(cases: Cases) -> str:
    return (f'Four networks on the same {len(cases["baseline"])} misaligned cases of this '
            'evaluation: as in the paper, cells matched once and every answer believed, and with '
            'all that dfa does, where a refused answer counts as no registration. The figures of '
            'the paper are on its own misalignments of MSRS and RoadScene (its baseline on '
            'RoadScene follows from the gains in its abstract): compare differences between rows, '
            'not rows.')


def _of_set(cases: Cases, name: str) -> Cases:
    return {variant: {key: values for key, values in of_variant.items() if key[2] == name}
            for variant, of_variant in cases.items()}


def _rounded(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _csv_text(tables: list[dict[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(['cases', *_COLUMNS])
    for table in tables:
        name = table['caption'].partition(':')[0]
        writer.writerows([name, *('' if cell is None else cell for cell in row)]
                         for row in table['rows'])
    return out.getvalue()


def _markdown(notes: list[str], tables: list[dict[str, Any]]) -> str:
    parts = [*notes]
    for table in tables:
        lines = [table['columns'], ['---'] * len(table['columns']), *table['rows']]
        parts += [table['caption'], '\n'.join(
            '| ' + ' | '.join('' if cell is None else str(cell) for cell in line) + ' |'
            for line in lines)]
    return '\n\n'.join(parts) + '\n'
