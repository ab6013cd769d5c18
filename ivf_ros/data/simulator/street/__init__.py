# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The street: its layout, ground, houses, traffic and people."""
