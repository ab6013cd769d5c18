# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The demonstration: the whole graph at work, recorded and drawn."""
