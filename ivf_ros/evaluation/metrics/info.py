# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a report says about a measure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MetricInfo:
    """
    One measure: its name and how to read its values.

    Attributes
    ----------
    name:
        As in the results, for example ``Qabf``.
    better:
        Whether ``higher`` or ``lower`` values are better.
    unit:
        Unit of the values; empty for a ratio or a score.
    about:
        One line: what it measures, with author and year.

    """

    name: str
    better: Literal['higher', 'lower']
    unit: str
    about: str


def by_name(infos: Iterable[MetricInfo]) -> dict[str, MetricInfo]:
    """Return the measures by name, in their order."""
    return {info.name: info for info in infos}
