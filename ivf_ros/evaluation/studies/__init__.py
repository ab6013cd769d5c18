# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Questions that an evaluation can answer beyond its tables."""
