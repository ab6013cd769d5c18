# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where frames come from: recordings on disk and the rig simulator."""
