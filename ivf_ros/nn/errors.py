# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The errors of loading and running a network."""

from __future__ import annotations


class WeightsError(RuntimeError):
    """A weight file is missing, damaged, or of another network."""


class DeviceError(RuntimeError):
    """
    A network cannot run on the requested device, or not in the requested precision.

    Attributes
    ----------
    reason:
        The cause in a few words.

    """

    def __init__(self, message: str, reason: str = '') -> None:
        super().__init__(message)
        self.reason = reason or message


class InferenceError(RuntimeError):
    """A network cannot run on an input."""
