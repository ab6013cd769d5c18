# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Sources of frames: recordings on disk, data sets and the rig simulator."""
