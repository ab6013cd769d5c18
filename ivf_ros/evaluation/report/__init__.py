# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: one HTML file with its tables, curves and pictures inside."""

from __future__ import annotations

from pathlib import Path

from ivf_ros.evaluation.report.errors import ReportError
from ivf_ros.evaluation.report.folder import read
from ivf_ros.evaluation.report.page import check_requirements, render
from ivf_ros.evaluation.results import write_atomically

__all__ = ['check_requirements', 'ReportError', 'write']

REPORT_NAME = 'report.html'


def write(folder: Path, *, title: str | None = None) -> Path:
    """
    Write ``report.html`` into the folder of an evaluation.

    The page needs no network and no other file: scripts, styles and pictures are inside. It
    replaces an earlier report only when it is complete.

    Parameters
    ----------
    folder:
        What ``ivf evaluate`` left: ``summary.json``, ``frames.csv``, and ``pictures/`` as far as
        there are any.
    title:
        Heading of the page; names the stages where it is None.

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
