# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recording what the stages make, showing it, and scoring it."""
