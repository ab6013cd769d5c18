# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What an evaluation measured: rows on disk, and the summary of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import csv
from dataclasses import asdict, dataclass, field, replace
import io
import json
import math
from pathlib import Path
from typing import Any, Protocol

from ivf_ros.data.sample import Sample
from ivf_ros.evaluation.metrics.info import MetricInfo
import numpy as np

FORMAT = 1  # of summary.json
KEY_COLUMNS = ('stage', 'method', 'dataset', 'case', 'group', 'set', 'error')


class EvaluationError(ValueError):
    """An evaluation that cannot be run, or a folder that holds another one."""


@dataclass(frozen=True)
class Row:
    """
    One method on one case.

    Attributes
    ----------
    stage, method:
        What was measured.
    dataset, case, light:
        On what: see ``Sample``.
    variant:
        Variant of the case, such as the set of misalignments; empty where there is one only.
    values:
        Metric to value; NaN where it is not defined.
    error:
        Why the method has no result here; empty where it has one.
    cpu_s:
        Processor time that the method took; no part of what has to be the same in each run.
    evidence:
        What metrics over all cases need, as JSON takes it: boxes, counts of pixels.

    """

    stage: str
    method: str
    dataset: str
    case: str
    light: str = ''
    variant: str = ''
    values: dict[str, float] = field(default_factory=dict)
    error: str = ''
    cpu_s: float = 0.0
    evidence: Any = None

    def with_values(self, values: dict[str, float], cpu_s: float, evidence: Any = None) -> Row:
        """Return the row with what was measured."""
        return replace(self, values=values, cpu_s=cpu_s, evidence=evidence)

    def failed(self, error: Exception | str) -> Row:
        """Return the row of a method that has no result here, with the reason in one line."""
        return replace(self, error=' '.join(str(error).split()) or type(error).__name__)

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON takes it: null for NaN, text for infinity."""
        return {**asdict(self), 'values': {name: _json_number(value)
                                           for name, value in self.values.items()}}

    @staticmethod
    def from_json(record: dict[str, Any]) -> Row:
        """Return the row that ``to_json`` described."""
        values = {name: math.nan if value is None else float(value)
                  for name, value in record['values'].items()}
        return Row(**{**record, 'values': values})


class Stage(Protocol):
    """
    How one stage of the graph is measured; it must be picklable, as worker processes need it.

    Attributes
    ----------
    name:
        ``'fusion'``, ``'registration'``, ``'tracking'``, ``'segmentation'`` or ``'detection'``.
    methods:
        Names in the results, in the order of the tables.
    metrics:
        Of each case.
    notes:
        Sentences that a reader of the results must know.

    """

    @property
    def name(self) -> str: ...

    @property
    def methods(self) -> tuple[str, ...]: ...

    @property
    def metrics(self) -> tuple[MetricInfo, ...]: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be measured, or ''."""

    def measure(self, sample: Sample) -> SampleResult:
        """Run all methods on one sample."""

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return metrics that exist only over many cases, for the rows of one method."""


@dataclass(frozen=True, eq=False)
class SampleResult:
    """
    What came of one sample.

    Attributes
    ----------
    rows:
        One a method and variant.
    pictures:
        ``(method, or 'thermal' or 'rgb'; variant)`` to ``(H, W)`` or ``(H, W, 3)`` BGR uint8.

    """

    rows: list[Row]
    pictures: dict[tuple[str, str], np.ndarray]


def groups_of(row: Row, *, several_datasets: bool) -> tuple[str, ...]:
    """Return the subsets that a row belongs to, besides 'all'."""
    dataset = row.dataset if several_datasets else ''
    both = f'{row.variant} {row.light}' if row.variant and row.light else ''
    return tuple(filter(None, (dataset, row.variant, row.light, both)))


def frames_csv(rows: Iterable[Row], metrics: Sequence[str], *, several_datasets: bool) -> str:
    """Return the rows as CSV; an empty cell was not measured or is not defined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow([*KEY_COLUMNS, *metrics])
    for row in rows:
        group = ';'.join(groups_of(row, several_datasets=several_datasets))
        writer.writerow([row.stage, row.method, row.dataset, row.case, group, row.variant,
                         row.error, *(_cell(row.values.get(name, math.nan)) for name in metrics)])
    return out.getvalue()


def summarize_stage(stage: Stage, rows: Sequence[Row], *, several_datasets: bool) -> dict[str, Any]:
    """
    Return the part of ``summary.json`` about one stage; see docs/evaluation.md.

    Metrics that no row has a value of are left out.
    """
    groups: dict[str, list[Row]] = {'all': list(rows)}
    for row in rows:
        for group in groups_of(row, several_datasets=several_datasets):
            groups.setdefault(group, []).append(row)
    measured = [info for info in stage.metrics
                if any(not math.isnan(row.values.get(info.name, math.nan)) for row in rows)]
    table, infos = {}, {}
    for group, members in groups.items():
        table[group], found = _table(stage, members, measured)
        infos.update(found)
    return {
        'methods': list(stage.methods),
        'metrics': {info.name: _described(info) for info in measured},
        'groups': {group: len({(row.dataset, row.case, row.variant) for row in members})
                   for group, members in groups.items()},
        'notes': list(stage.notes),
        'table': table,
        'overall': {name: _described(info) for name, info in infos.items()},
    }


def _table(stage: Stage, rows: Sequence[Row], measured: Sequence[MetricInfo]
           ) -> tuple[dict[str, dict[str, Any]], dict[str, MetricInfo]]:
    """Return method to its statistics over one group, and the overall metrics there are."""
    table: dict[str, dict[str, Any]] = {}
    infos: dict[str, MetricInfo] = {}
    for method in stage.methods:
        own = [row for row in rows if row.method == method]
        overall = stage.overall(own) if own else {}
        infos.update({name: info for name, (info, _) in overall.items()})
        table[method] = {
            'cases': len(own),
            'failed': sum(bool(row.error) for row in own),
            'values': {info.name: _statistics([row.values[info.name] for row in own
                                               if info.name in row.values])
                       for info in measured},
            'overall': {name: _json_number(value) if math.isfinite(value) else None
                        for name, (_, value) in overall.items()},
        }
    _rank(table, measured)
    return table, infos


def _statistics(values: Sequence[float]) -> dict[str, float | None]:
    defined = np.array([value for value in values if not math.isnan(value)])
    if not defined.size:
        return {'mean': None, 'sd': None, 'median': None}
    with np.errstate(invalid='ignore'):  # the spread of infinite values is not defined
        found = {'mean': defined.mean(), 'sd': defined.std(), 'median': np.median(defined)}
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def _rank(table: dict[str, dict[str, Any]], metrics: Sequence[MetricInfo]) -> None:
    """Add the rank of each mean, 1 the best, equal means sharing one, and the mean rank."""
    ranks: dict[str, list[float]] = {method: [] for method in table}
    for info in metrics:
        means = {method: entry['values'][info.name]['mean'] for method, entry in table.items()}
        known = sorted((mean for mean in means.values() if mean is not None),
                       reverse=info.better == 'higher')
        for method, mean in means.items():
            rank = None if mean is None else known.index(mean) + 1
            table[method]['values'][info.name]['rank'] = rank
            if rank is not None:
                ranks[method].append(rank)
    for method, entry in table.items():
        entry['mean_rank'] = float(np.mean(ranks[method])) if ranks[method] else None


def _described(info: MetricInfo) -> dict[str, str]:
    return {'better': info.better, 'unit': info.unit, 'about': info.about}


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _cell(value: float) -> str:
    return '' if math.isnan(value) else repr(float(value))


def json_bytes(value: Any) -> bytes:
    """Return readable JSON; NaN and infinity, which JSON lacks, are errors."""
    return (json.dumps(value, indent=1, allow_nan=False) + '\n').encode()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that a kill leaves the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.part')
    temporary.write_bytes(data)
    temporary.replace(path)
