# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The classes of the trained detector."""

CLASS_NAMES = ('person', 'vehicle', 'bicycle')
