# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Error messages for optional libraries that are not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

# Modules that an extra of setup.cfg other than ``all`` brings.
_EXTRAS = {'torch': 'torch', 'onnx': 'training', 'onnxscript': 'training',
           'safetensors': 'training'}
_ROS_ENDINGS = ('rclpy', '_msgs', '_interfaces')


def describe_missing_module(name: str) -> str:
    """Return one line about a module that a command needs, with the way to install it."""
    module = name.partition('.')[0]
    if module.endswith(_ROS_ENDINGS):
        return (f"'{module}' of ROS 2 is not installed; source ROS 2, or in the checkout: "
                'python3 -m ivf_ros.bootstrap setup')
    extra = _EXTRAS.get(module, 'all')
    return f"'{module}' is not installed; in the checkout: pip install '.[{extra}]'"


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
