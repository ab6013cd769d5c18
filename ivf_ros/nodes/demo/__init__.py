# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demonstration: runs the whole graph, records it and draws a contact sheet."""
