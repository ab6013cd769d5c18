# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The error of the detection stage."""

from __future__ import annotations


class DetectionError(ValueError):
    """An image cannot be searched, or a detector is not available."""
