# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The result files of an evaluation, computed from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ivf_ros
from ivf_ros.data.recording import natural_key
from ivf_ros.evaluation.results import (
    EvaluationError,
    FORMAT,
    format_frames_csv,
    json_bytes,
    Row,
    Stage,
    summarize_stage,
)
from ivf_ros.output import write_atomically
import numpy as np


def write_results(out: Path, stages_measured: Sequence[Stage], names: Sequence[str],
                  rows: list[Row], skipped: dict[str, dict[str, int]], command: str
                  ) -> dict[str, Any]:
    """
    Write ``frames.csv``, ``summary.json`` and ``timings.json``, and return the summary.

    Parameters
    ----------
    out:
        The folder.
    stages_measured, names:
        The stages, and the names of the sources.
    rows:
        All rows, in any order; they are sorted in place.
    skipped:
        Stage to reason to number of skipped samples.
    command:
        Command line of the user, stored in the summary.

    Raises
    ------
    EvaluationError
        There is no row.

    """
    # Sorting before summation makes the sums equal to the last digit in every run.
    order = {stage.name: (index, {method: rank for rank, method in enumerate(stage.methods)})
             for index, stage in enumerate(stages_measured)}
    rows.sort(key=lambda row: (order[row.stage][0], order[row.stage][1][row.method],
                               natural_key(row.dataset), natural_key(row.case), row.variant))
    several = len({row.dataset for row in rows}) > 1
    stages: dict[str, Any] = {}
    columns: dict[str, None] = {}  # an ordered set
    empty_stages = []
    for stage in stages_measured:
        stage_rows = [row for row in rows if row.stage == stage.name]
        reasons = skipped[stage.name]
        if not stage_rows:
            text = '; '.join(f'{reason} ({count})' for reason, count in reasons.items())
            empty_stages.append(f'no sample for {stage.name}: '
                                f'{text or "the sources have no samples"}')
            continue
        stages[stage.name] = summarize_stage(stage, stage_rows, several_datasets=several)
        stages[stage.name]['notes'] += [f'{count} samples left out: {reason}.'
                                        for reason, count in reasons.items()]
        columns.update(dict.fromkeys(stages[stage.name]['metrics']))
    if not stages:
        raise EvaluationError('; '.join(empty_stages))
    for stage_summary in stages.values():
        stage_summary['notes'] += [f'{sentence}.' for sentence in empty_stages]
    summary = {'format': FORMAT, 'version': ivf_ros.__version__, 'sources': list(names),
               'command': command, 'stages': stages}
    write_atomically(out / 'frames.csv',
                     format_frames_csv(rows, list(columns), several_datasets=several).encode())
    write_atomically(out / 'summary.json', json_bytes(summary))
    write_atomically(out / 'timings.json', json_bytes(_compute_timings(rows)))
    return summary


def _compute_timings(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return stage to method to median processor time in milliseconds."""
    times_ms: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.cpu_s:
            times_ms.setdefault(row.stage, {}).setdefault(row.method, []).append(1e3 * row.cpu_s)
    return {stage: {method: round(float(np.median(values)), 3)
                    for method, values in methods.items()} for stage, methods in times_ms.items()}
