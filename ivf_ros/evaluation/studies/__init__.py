# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Studies: further analyses of an evaluation, added to its summary."""
