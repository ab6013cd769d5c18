# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read what ``ivf evaluate`` leaves in a folder.

``summary.json`` holds the tables, ``frames.csv`` one line for each stage, method and case, and
``pictures/<stage>/<layer>/<dataset>/<case>[@<set>].webp`` the pictures, where a layer is a method
or one of the two sources. All numbers of the report come from the first two; nothing is measured
again.
"""

from __future__ import annotations

from collections.abc import Iterator
import csv
from dataclasses import dataclass, field
import io
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.evaluation.report.errors import ReportError
from ivf_ros.evaluation.report.pictures import PicturePool
from ivf_ros.evaluation.results import FORMAT, KEY_COLUMNS

SOURCES = ('thermal', 'rgb')
_STAGE_KEYS = {'methods': list, 'metrics': dict, 'groups': dict, 'notes': list, 'table': dict,
               'overall': dict}


@dataclass(frozen=True)
class Evaluation:
    """What a folder holds, ready to be written as JSON into the page."""

    summary: dict[str, Any]  # as on disk, with None for numbers that are not finite
    frames: dict[str, StageFrames]  # stage to its cases
    figures: dict[str, int | None]  # path of a figure of a study to its place in `pictures`
    pictures: list[str]  # data URIs


@dataclass
class StageFrames:
    """The cases of one stage and what each method made of them."""

    metrics: list[str]
    cases: list[dict[str, Any]] = field(default_factory=list)  # dataset, name, set, groups
    results: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, list[int | None]] = field(default_factory=dict)  # layer to one a case

    def as_json(self) -> dict[str, Any]:
        """Return lists with one entry a case, None where a method has not seen the case."""
        count = range(len(self.cases))
        return {'metrics': self.metrics, 'cases': self.cases, 'pictures': self.pictures,
                'results': {method: [of_case.get(index) for index in count]
                            for method, of_case in self.results.items()}}


def read(folder: Path) -> Evaluation:
    """
    Read the folder of an evaluation.

    Raises
    ------
    ReportError
        It holds no evaluation, one of another format, or one whose parts do not fit together.

    """
    summary = _read_summary(folder / 'summary.json')
    frames = _read_frames(folder / 'frames.csv', summary['stages'])
    pool = PicturePool(folder)
    for stage, of_stage in frames.items():
        for layer in dict.fromkeys([*SOURCES, *of_stage.results]):
            found = [_find_picture(pool, stage, layer, case) for case in of_stage.cases]
            if any(index is not None for index in found):
                of_stage.pictures[layer] = found
    figures = {figure['png']: pool.add(figure['png'])
               for study in summary.get('studies', {}).values()
               for figure in study.get('figures', [])}
    return Evaluation(summary, frames, figures, pool.data_uris)


def _read_summary(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    try:
        # Python writes and reads NaN and Infinity, a browser does not.
        summary = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise ReportError(f'{path} is no JSON: {error}') from None
    if not isinstance(summary, dict) or 'format' not in summary:
        raise ReportError(f"{path} is no summary of an evaluation: it has no 'format'")
    if summary['format'] != FORMAT:
        raise ReportError(f'{path} has format {summary["format"]}, this version reads {FORMAT}; '
                          'evaluate again')
    if not isinstance(summary.get('stages'), dict) or not summary['stages']:
        raise ReportError(f"{path} names no stage in 'stages'")
    for stage, content in summary['stages'].items():
        _check_stage(content, f"{path}: stage '{stage}'")
    for name, study in summary.get('studies', {}).items():
        _check_study(study, f"{path}: study '{name}'")
    return summary


def _check_stage(content: Any, where: str) -> None:
    if not isinstance(content, dict):
        raise ReportError(f'{where} is no JSON object')
    for key, kind in _STAGE_KEYS.items():
        if not isinstance(content.get(key), kind):
            raise ReportError(f"{where} has no {kind.__name__} '{key}'")
    for name, metric in {**content['metrics'], **content['overall']}.items():
        if not isinstance(metric, dict) or metric.get('better') not in ('higher', 'lower'):
            raise ReportError(f"{where}: 'better' of metric '{name}' is neither 'higher' nor "
                              "'lower'")


def _check_study(study: dict[str, Any], where: str) -> None:
    for part, keys in (('table', ('columns', 'rows')), ('figure', ('png',))):
        for item in study.get(f'{part}s', []):
            for key in keys:
                if key not in item:
                    raise ReportError(f"{where} has a {part} without '{key}'")


def _read_frames(path: Path, stages: dict[str, Any]) -> dict[str, StageFrames]:
    rows = _rows(path)
    header = next(rows, (0, []))[1]
    if tuple(header[:len(KEY_COLUMNS)]) != KEY_COLUMNS:
        raise ReportError(f'{path} must start with the columns {",".join(KEY_COLUMNS)}, got '
                          f'{",".join(header) or "nothing"}')
    frames = {stage: StageFrames([name for name in content['metrics'] if name in header])
              for stage, content in stages.items()}
    for stage, content in stages.items():
        frames[stage].results.update((method, {}) for method in content['methods'])
    places: dict[str, dict[tuple[str, str, str], int]] = {stage: {} for stage in stages}
    for line, cells in rows:
        if len(cells) != len(header):
            raise ReportError(f'{path}, line {line}: {len(cells)} cells under {len(header)} '
                              'columns')
        row = dict(zip(header, cells))
        where = f'{path}, line {line}'
        if row['stage'] not in frames or row['method'] not in frames[row['stage']].results:
            raise ReportError(f"{where}: summary.json has no method '{row['method']}' of stage "
                              f"'{row['stage']}'")
        _add(frames[row['stage']], places[row['stage']], row, where)
    return frames


def _add(frames: StageFrames, places: dict[tuple[str, str, str], int], row: dict[str, str],
         where: str) -> None:
    key = (row['dataset'], row['case'], row['set'])
    if key not in places:
        places[key] = len(frames.cases)
        groups = [name for name in row['group'].split(';') if name]
        frames.cases.append({'dataset': key[0], 'name': key[1], 'set': key[2], 'groups': groups})
    of_method = frames.results[row['method']]
    if places[key] in of_method:
        raise ReportError(f"{where}: a second row for method '{row['method']}' and case "
                          f"'{row['case']}'")
    of_method[places[key]] = {
        'values': [_number(row[name], f'{where}, column {name}') for name in frames.metrics],
        'error': row['error']}


def _number(cell: str, where: str) -> float | None:
    """Return the value of a cell, None where it is empty or not finite."""
    if not cell:
        return None
    try:
        return _finite(cell)
    except ValueError:
        raise ReportError(f"{where}: '{cell}' is no number") from None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=''), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise ReportError(f'{path}, line {reader.line_num}: {error}') from None


def _read_text(path: Path) -> str:
    try:
        # newline='' keeps the line ends inside quoted cells
        with path.open(encoding='utf-8', newline='') as file:
            return file.read()
    except FileNotFoundError:
        raise ReportError(f'{path.parent} holds no evaluation: {path.name} is missing; '
                          'ivf evaluate writes it') from None
    except UnicodeDecodeError:
        raise ReportError(f'{path} is no UTF-8 text') from None
    except OSError as error:
        raise ReportError(f'cannot read {path}: {error.strerror}') from None


def _find_picture(pool: PicturePool, stage: str, layer: str, case: dict[str, Any]) -> int | None:
    """Add the picture of a case; a source that all its sets share may be there only once."""
    stem = f'pictures/{stage}/{layer}/{case["dataset"]}/{case["name"]}'
    names = [f'{stem}@{case["set"]}.webp' if case['set'] else f'{stem}.webp']
    if layer in SOURCES:
        names.append(f'{stem}.webp')
    return next((index for index in map(pool.add, names) if index is not None), None)
