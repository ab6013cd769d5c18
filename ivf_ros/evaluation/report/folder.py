# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Read the files that ``ivf evaluate`` writes into a folder.

``summary.json`` holds the tables, ``frames.csv`` one line for each stage, method and case, and
``pictures/<stage>/<layer>/<dataset>/<case>[@<set>].webp`` the pictures, where a layer is a method
or one of the two sources. All numbers of the report come from the first two files; nothing is
measured again.
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
from ivf_ros.regular_files import read_bytes

SOURCES = ('thermal', 'rgb')
_STAGE_KEYS = {'methods': list, 'metrics': dict, 'groups': dict, 'notes': list, 'table': dict,
               'overall': dict}


@dataclass(frozen=True)
class Evaluation:
    """Content of a folder, ready to be written as JSON into the page."""

    summary: dict[str, Any]  # as on disk, with None for numbers that are not finite
    frames: dict[str, StageFrames]  # stage to its cases
    figures: dict[str, int | None]  # path of a figure of a study to its index in `pictures`
    pictures: list[str]  # data URIs


@dataclass
class StageFrames:
    """The cases of one stage and the results of each method."""

    metrics: list[str]
    cases: list[dict[str, Any]] = field(default_factory=list)  # dataset, name, set, groups
    results: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)
    pictures: dict[str, list[int | None]] = field(default_factory=dict)  # layer to one per case

    def to_json(self) -> dict[str, Any]:
        """Return lists with one entry per case, None if a method has no result for the case."""
        indices = range(len(self.cases))
        return {'metrics': self.metrics, 'cases': self.cases, 'pictures': self.pictures,
                'results': {method: [results.get(index) for index in indices]
                            for method, results in self.results.items()}}


def read(folder: Path) -> Evaluation:
    """
    Read the folder of an evaluation.

    Raises
    ------
    ReportError
        The folder holds no evaluation, one of another format, or one whose files do not fit
        together.

    """
    summary = _read_summary(folder / 'summary.json')
    frames = _read_frames(folder / 'frames.csv', summary['stages'])
    pool = PicturePool(folder)
    for stage, stage_frames in frames.items():
        for layer in dict.fromkeys([*SOURCES, *stage_frames.results]):
            pictures = [_find_picture(pool, stage, layer, case) for case in stage_frames.cases]
            if any(index is not None for index in pictures):
                stage_frames.pictures[layer] = pictures
    figures = {figure['png']: pool.add(figure['png'])
               for study in summary.get('studies', {}).values()
               for figure in study.get('figures', [])}
    return Evaluation(summary, frames, figures, pool.data_uris)


def _read_summary(path: Path) -> dict[str, Any]:
    text = _read_text(path)
    try:
        # Python's JSON allows NaN and Infinity, a browser's does not.
        summary = json.loads(text, parse_constant=_parse_finite, parse_float=_parse_finite)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ReportError(f'{path} is not valid JSON: {error}') from None
    if not isinstance(summary, dict) or 'format' not in summary:
        raise ReportError(f"{path} is not the summary of an evaluation: it has no 'format'")
    if summary['format'] != FORMAT:
        raise ReportError(f'{path} has format {summary["format"]}, this version reads {FORMAT}; '
                          'run the evaluation again')
    if not isinstance(summary.get('stages'), dict) or not summary['stages']:
        raise ReportError(f"{path} has no stage in 'stages'")
    for stage, content in summary['stages'].items():
        _check_stage(content, f"{path}: stage '{stage}'")
    for name, study in summary.get('studies', {}).items():
        _check_study(study, f"{path}: study '{name}'")
    return summary


def _check_stage(content: Any, location: str) -> None:
    if not isinstance(content, dict):
        raise ReportError(f'{location} is not a JSON object')
    for key, value_type in _STAGE_KEYS.items():
        if not isinstance(content.get(key), value_type):
            raise ReportError(f"{location} has no {value_type.__name__} '{key}'")
    for name, metric in {**content['metrics'], **content['overall']}.items():
        if not isinstance(metric, dict) or metric.get('better') not in ('higher', 'lower'):
            raise ReportError(f"{location}: 'better' of metric '{name}' must be 'higher' or "
                              "'lower'")


def _check_study(study: dict[str, Any], location: str) -> None:
    for part, keys in (('table', ('columns', 'rows')), ('figure', ('png',))):
        for item in study.get(f'{part}s', []):
            for key in keys:
                if key not in item:
                    raise ReportError(f"{location} has a {part} without '{key}'")


def _read_frames(path: Path, stages: dict[str, Any]) -> dict[str, StageFrames]:
    rows = _read_rows(path)
    header = next(rows, (0, []))[1]
    if tuple(header[:len(KEY_COLUMNS)]) != KEY_COLUMNS:
        raise ReportError(f'{path} must start with the columns {",".join(KEY_COLUMNS)}, got '
                          f'{",".join(header) or "nothing"}')
    frames = {stage: StageFrames([name for name in content['metrics'] if name in header])
              for stage, content in stages.items()}
    for stage, content in stages.items():
        frames[stage].results.update((method, {}) for method in content['methods'])
    case_indices: dict[str, dict[tuple[str, str, str], int]] = {stage: {} for stage in stages}
    for line, cells in rows:
        if len(cells) != len(header):
            raise ReportError(f'{path}, line {line}: {len(cells)} cells for {len(header)} '
                              'columns')
        row = dict(zip(header, cells))
        location = f'{path}, line {line}'
        if row['stage'] not in frames or row['method'] not in frames[row['stage']].results:
            raise ReportError(f"{location}: summary.json has no method '{row['method']}' of stage "
                              f"'{row['stage']}'")
        _add_row(frames[row['stage']], case_indices[row['stage']], row, location)
    return frames


def _add_row(frames: StageFrames, case_indices: dict[tuple[str, str, str], int],
             row: dict[str, str], location: str) -> None:
    key = (row['dataset'], row['case'], row['set'])
    if key not in case_indices:
        case_indices[key] = len(frames.cases)
        groups = [name for name in row['group'].split(';') if name]
        frames.cases.append({'dataset': key[0], 'name': key[1], 'set': key[2], 'groups': groups})
    method_results = frames.results[row['method']]
    if case_indices[key] in method_results:
        raise ReportError(f"{location}: a second row for method '{row['method']}' and case "
                          f"'{row['case']}'")
    method_results[case_indices[key]] = {
        'values': [_parse_number(row[name], f'{location}, column {name}')
                   for name in frames.metrics],
        'error': row['error']}


def _parse_number(cell: str, location: str) -> float | None:
    """Return the value of a cell, None if it is empty or not finite."""
    if not cell:
        return None
    try:
        return _parse_finite(cell)
    except ValueError:
        raise ReportError(f"{location}: '{cell}' is not a number") from None


def _parse_finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells."""
    reader = csv.reader(io.StringIO(_read_text(path), newline=''), strict=True)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise ReportError(f'{path}, line {reader.line_num}: {error}') from None


def _read_text(path: Path) -> str:
    try:
        return read_bytes(path).decode()  # with the line breaks inside quoted cells
    except FileNotFoundError:
        raise ReportError(f'{path.parent} holds no evaluation: {path.name} is missing; '
                          'ivf evaluate writes it') from None
    except UnicodeDecodeError:
        raise ReportError(f'{path} is not UTF-8 text') from None
    except OSError as error:
        raise ReportError(f'cannot read {path}: {error.strerror}') from None


def _find_picture(pool: PicturePool, stage: str, layer: str, case: dict[str, Any]) -> int | None:
    """Add the picture of a case and return its index, or None; sets may share a source picture."""
    stem = f'pictures/{stage}/{layer}/{case["dataset"]}/{case["name"]}'
    names = [f'{stem}@{case["set"]}.webp' if case['set'] else f'{stem}.webp']
    if layer in SOURCES:
        names.append(f'{stem}.webp')
    return next((index for index in map(pool.add, names) if index is not None), None)
