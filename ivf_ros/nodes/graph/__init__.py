# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared code of the nodes: lifecycle, topics, messages, parameters, diagnostics, launching."""
