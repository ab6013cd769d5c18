# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Description of a metric for reports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricInfo:
    """
    Description of one metric.

    Attributes
    ----------
    name:
        As in the results, for example ``Qabf``.
    better:
        Whether ``higher`` or ``lower`` values are better.
    unit:
        Unit of the values; empty for a ratio or a score.
    about:
        What it measures, in one line, with author and year.

    """

    name: str
    better: Literal['higher', 'lower']
    unit: str
    about: str


def by_name(infos: Iterable[MetricInfo]) -> dict[str, MetricInfo]:
    """Return the descriptions by name, in their order."""
    return {info.name: info for info in infos}
