# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Error messages for optional libraries that are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def explain_missing(purpose: str, error: type[Exception], packages: str = '') -> Iterator[None]:
    """
    Convert a ``ModuleNotFoundError`` to a stage error that names the package to install.

    Parameters
    ----------
    purpose:
        User of the library, for example the name of a method.
    error:
        Type of the stage error.
    packages:
        Arguments of ``pip install``; if empty, the name of the missing module.

    Raises
    ------
    error
        A module that is imported within the context is not installed.

    """
    try:
        yield
    except ModuleNotFoundError as missing:
        raise error(f"{purpose} needs '{missing.name}'; "
                    f'pip install {packages or missing.name}') from None
