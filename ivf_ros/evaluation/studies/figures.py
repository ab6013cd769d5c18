# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Figures of the studies. Only this module imports matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ivf_ros.evaluation.results import EvaluationError
from ivf_ros.optional_imports import explain_missing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank_figure(size: tuple[float, float]) -> Figure:
    """
    Return an empty figure of this width and height in inches.

    Raises
    ------
    EvaluationError
        matplotlib is not installed.

    """
    with explain_missing('the figure of the study', EvaluationError):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=size, dpi=110, layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as PNG. The same figure gives the same bytes."""
    out = io.BytesIO()
    figure.savefig(out, format='png', metadata={'Software': ''})
    return out.getvalue()
