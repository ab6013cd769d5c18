# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The error of the report."""

from __future__ import annotations


class ReportError(ValueError):
    """No report can be made of a folder; the message says why in one line."""
