# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Faults that are injected into a running graph, and what the graph must do about them."""
