# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Libraries that only some methods need: what to say where one is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def explain_missing(purpose: str, error: type[Exception], packages: str = '') -> Iterator[None]:
    """
    Turn a ``ModuleNotFoundError`` into an error of the stage that names what to install.

    Parameters
    ----------
    purpose:
        What needs the library: the name of a method, for example.
    error:
        The type of the error.
    packages:
        What ``pip install`` is to be given; where empty, the name of the module.

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
