# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The error of the report."""

from __future__ import annotations


class ReportError(ValueError):
    """The report cannot be made; the message gives the reason in one line."""
