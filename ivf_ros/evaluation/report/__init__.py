# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Report of an evaluation: one HTML file that contains its tables, curves and pictures."""

from __future__ import annotations

from pathlib import Path

from ivf_ros.evaluation.report.errors import ReportError
from ivf_ros.evaluation.report.folder import read
from ivf_ros.evaluation.report.page import check_requirements, render
from ivf_ros.output import write_atomically

__all__ = ['check_requirements', 'ReportError', 'write']

REPORT_NAME = 'report.html'


def write(folder: Path, *, title: str | None = None) -> Path:
    """
    Write ``report.html`` into the folder of an evaluation.

    The page needs no network and no other file: it contains scripts, styles and pictures. It
    replaces an earlier report only when it is complete.

    Parameters
    ----------
    folder:
        Output of ``ivf evaluate``: ``summary.json``, ``frames.csv``, and optionally ``pictures/``.
    title:
        Heading of the page; None for a heading with the names of the stages.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ReportError
        The folder holds no evaluation, or a damaged one; plotly is not installed; the file cannot
        be written.

    """
    folder = Path(folder)
    path = folder / REPORT_NAME
    page = render(read(folder), title).encode()
    try:
        write_atomically(path, page)
    except OSError as error:
        raise ReportError(f'cannot write {path}: {error.strerror}') from None
    return path
