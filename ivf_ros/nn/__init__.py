# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What networks share: blocks, and weight files that say where they come from."""
