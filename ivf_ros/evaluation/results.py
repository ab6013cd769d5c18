# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The results of an evaluation: rows, and their summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import csv
from dataclasses import asdict, dataclass, field, replace
import io
import json
import math
from typing import Any, Protocol

from ivf_ros.data.sample import Sample
from ivf_ros.evaluation.metrics.info import MetricInfo
import numpy as np

FORMAT = 1  # of summary.json
KEY_COLUMNS = ('stage', 'method', 'dataset', 'case', 'group', 'set', 'error')


class EvaluationError(ValueError):
    """The evaluation cannot be run, or the folder holds another one."""


@dataclass(frozen=True)
class Row:
    """
    Result of one method on one case.

    Attributes
    ----------
    stage, method:
        Names of the stage and of the method.
    dataset, case, light:
        The sample: see ``Sample``.
    variant:
        Variant of the case, such as the set of misalignments; empty if there is only one.
    values:
        Metric to value; NaN where it is not defined.
    error:
        Reason why the method has no result for this case; empty if it has one.
    cpu_s:
        Processor time of the method in seconds. It need not be equal in each run.
    evidence:
        Input of the metrics over all cases, as JSON values: boxes, counts of pixels.

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
        """Return a copy of the row with the measured values."""
        return replace(self, values=values, cpu_s=cpu_s, evidence=evidence)

    def failed(self, error: Exception | str) -> Row:
        """Return a copy of the row with the reason of the failure, in one line."""
        return replace(self, error=' '.join(str(error).split()) or type(error).__name__)

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values: null for NaN, text for infinity."""
        return {**asdict(self), 'values': {name: _json_number(value)
                                           for name, value in self.values.items()}}

    @staticmethod
    def from_json(record: dict[str, Any]) -> Row:
        """Return the row of a record made by ``to_json``."""
        values = {name: math.nan if value is None else float(value)
                  for name, value in record['values'].items()}
        return Row(**{**record, 'values': values})


class Stage(Protocol):
    """
    Measures one stage of the graph. It must be picklable, because worker processes receive it.

    Attributes
    ----------
    name:
        ``'fusion'``, ``'registration'``, ``'tracking'``, ``'flicker'``, ``'segmentation'``,
        ``'detection'`` or ``'pipeline'``.
    methods:
        Names in the results, in the order of the tables.
    metrics:
        Metrics of each case.
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

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why the stage skips a sample, or ''."""

    def measure(self, sample: Sample) -> SampleResult:
        """Run all methods on one sample."""

    def overall(self, rows: Sequence[Row]) -> dict[str, tuple[MetricInfo, float]]:
        """Return the metrics over all cases, from the rows of one method."""


@dataclass(frozen=True, eq=False)
class SampleResult:
    """
    Results of one sample.

    Attributes
    ----------
    rows:
        One row for each method and variant.
    pictures:
        ``(method, or 'thermal' or 'rgb'; variant)`` to ``(H, W)`` or ``(H, W, 3)`` BGR uint8.

    """

    rows: list[Row]
    pictures: dict[tuple[str, str], np.ndarray]


def list_groups(row: Row, *, several_datasets: bool) -> tuple[str, ...]:
    """Return the subsets that a row belongs to, in addition to 'all'."""
    dataset = row.dataset if several_datasets else ''
    variant_and_light = f'{row.variant} {row.light}' if row.variant and row.light else ''
    return tuple(filter(None, (dataset, row.variant, row.light, variant_and_light)))


def format_frames_csv(rows: Iterable[Row], metrics: Sequence[str], *, several_datasets: bool
                      ) -> str:
    """Return the rows as CSV. A cell is empty if its value was not measured or is not defined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow([*KEY_COLUMNS, *metrics])
    for row in rows:
        group = ';'.join(list_groups(row, several_datasets=several_datasets))
        writer.writerow([row.stage, row.method, row.dataset, row.case, group, row.variant,
                         row.error, *(_format_cell(row.values.get(name, math.nan))
                                      for name in metrics)])
    return out.getvalue()


def summarize_stage(stage: Stage, rows: Sequence[Row], *, several_datasets: bool
                    ) -> dict[str, Any]:
    """
    Return the part of ``summary.json`` about one stage; see docs/evaluation.md.

    Metrics that have no value in any row are left out.
    """
    groups: dict[str, list[Row]] = {'all': list(rows)}
    for row in rows:
        for group in list_groups(row, several_datasets=several_datasets):
            groups.setdefault(group, []).append(row)
    measured = [info for info in stage.metrics
                if any(not math.isnan(row.values.get(info.name, math.nan)) for row in rows)]
    table, infos = {}, {}
    for group, members in groups.items():
        table[group], overall_infos = _make_table(stage, members, measured)
        infos.update(overall_infos)
    return {
        'methods': list(stage.methods),
        'metrics': {info.name: _info_to_json(info) for info in measured},
        'groups': {group: len({(row.dataset, row.case, row.variant) for row in members})
                   for group, members in groups.items()},
        'notes': list(stage.notes),
        'table': table,
        'overall': {name: _info_to_json(info) for name, info in infos.items()},
    }


def _make_table(stage: Stage, rows: Sequence[Row], measured: Sequence[MetricInfo]
                ) -> tuple[dict[str, dict[str, Any]], dict[str, MetricInfo]]:
    """Return method to its statistics over one group, and the infos of the overall metrics."""
    table: dict[str, dict[str, Any]] = {}
    infos: dict[str, MetricInfo] = {}
    for method in stage.methods:
        method_rows = [row for row in rows if row.method == method]
        overall = stage.overall(method_rows) if method_rows else {}
        infos.update({name: info for name, (info, _) in overall.items()})
        table[method] = {
            'cases': len(method_rows),
            'failed': sum(bool(row.error) for row in method_rows),
            'values': {info.name: _compute_statistics([row.values[info.name]
                                                       for row in method_rows
                                                       if info.name in row.values])
                       for info in measured},
            'overall': {name: _json_number(value) if math.isfinite(value) else None
                        for name, (_, value) in overall.items()},
        }
    _add_ranks(table, measured)
    return table, infos


def _compute_statistics(values: Sequence[float]) -> dict[str, float | None]:
    defined = np.array([value for value in values if not math.isnan(value)])
    if not defined.size:
        return {'mean': None, 'sd': None, 'median': None}
    with np.errstate(invalid='ignore'):  # the spread of infinite values is not defined
        statistics = {'mean': defined.mean(), 'sd': defined.std(), 'median': np.median(defined)}
    return {name: float(value) if np.isfinite(value) else None
            for name, value in statistics.items()}


def _add_ranks(table: dict[str, dict[str, Any]], metrics: Sequence[MetricInfo]) -> None:
    """Add the rank of each mean, and the mean rank; 1 is the best, equal means share a rank."""
    ranks: dict[str, list[float]] = {method: [] for method in table}
    for info in metrics:
        means = {method: entry['values'][info.name]['mean'] for method, entry in table.items()}
        ordered = sorted((mean for mean in means.values() if mean is not None),
                         reverse=info.better == 'higher')
        for method, mean in means.items():
            rank = None if mean is None else ordered.index(mean) + 1
            table[method]['values'][info.name]['rank'] = rank
            if rank is not None:
                ranks[method].append(rank)
    for method, entry in table.items():
        entry['mean_rank'] = float(np.mean(ranks[method])) if ranks[method] else None


def _info_to_json(info: MetricInfo) -> dict[str, str]:
    return {'better': info.better, 'unit': info.unit, 'about': info.about}


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _format_cell(value: float) -> str:
    return '' if math.isnan(value) else repr(float(value))


def json_bytes(value: Any) -> bytes:
    """Return readable JSON. NaN and infinity, which JSON lacks, raise ValueError."""
    return (json.dumps(value, indent=1, allow_nan=False) + '\n').encode()
