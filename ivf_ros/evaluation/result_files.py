# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The files of results that an evaluation makes of its rows, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ivf_ros
from ivf_ros.data.recording import natural_key
from ivf_ros.evaluation.results import (
    EvaluationError,
    FORMAT,
    frames_csv,
    json_bytes,
    Row,
    Stage,
    summarize_stage,
    write_atomically,
)
import numpy as np


def write_results(out: Path, stages_measured: Sequence[Stage], names: Sequence[str],
                  rows: list[Row], unsuitable: dict[str, dict[str, int]], command: str
                  ) -> dict[str, Any]:
    """
    Write ``frames.csv``, ``summary.json`` and ``timings.json``, and return the summary.

    Parameters
    ----------
    out:
        The folder.
    stages_measured, names:
        What was measured, on which sources.
    rows:
        All rows there are, in any order.
    unsuitable:
        Stage to reason to the number of samples that were left out.
    command:
        How the user asked for the evaluation, for the record.

    Raises
    ------
    EvaluationError
        There is no row.

    """
    # Sorted before anything is added up, so that sums come out the same to the last digit.
    order = {stage.name: (index, {method: place for place, method in enumerate(stage.methods)})
             for index, stage in enumerate(stages_measured)}
    rows.sort(key=lambda row: (order[row.stage][0], order[row.stage][1][row.method],
                               natural_key(row.dataset), natural_key(row.case), row.variant))
    several = len({row.dataset for row in rows}) > 1
    stages: dict[str, Any] = {}
    columns: dict[str, None] = {}  # an ordered set
    empty_stages = []
    for stage in stages_measured:
        own = [row for row in rows if row.stage == stage.name]
        left_out = unsuitable[stage.name]
        if not own:
            reasons = '; '.join(f'{reason} ({count})' for reason, count in left_out.items())
            empty_stages.append(f'no sample for {stage.name}: {reasons or "there are none"}')
            continue
        stages[stage.name] = summarize_stage(stage, own, several_datasets=several)
        stages[stage.name]['notes'] += [f'{count} samples left out: {reason}.'
                                        for reason, count in left_out.items()]
        columns.update(dict.fromkeys(stages[stage.name]['metrics']))
    if not stages:
        raise EvaluationError('; '.join(empty_stages))
    for summarised_stage in stages.values():
        summarised_stage['notes'] += [f'{sentence}.' for sentence in empty_stages]
    summary = {'format': FORMAT, 'version': ivf_ros.__version__, 'sources': list(names),
               'command': command, 'stages': stages}
    write_atomically(out / 'frames.csv',
                     frames_csv(rows, list(columns), several_datasets=several).encode())
    write_atomically(out / 'summary.json', json_bytes(summary))
    write_atomically(out / 'timings.json', json_bytes(_timings(rows)))
    return summary


def _timings(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return stage to method to the median of the processor time in milliseconds."""
    spent: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row.cpu_s:
            spent.setdefault(row.stage, {}).setdefault(row.method, []).append(1e3 * row.cpu_s)
    return {stage: {method: round(float(np.median(values)), 3)
                    for method, values in methods.items()} for stage, methods in spent.items()}
