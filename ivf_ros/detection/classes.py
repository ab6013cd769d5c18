# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the trained detector tells apart."""

CLASS_NAMES = ('person', 'vehicle', 'bicycle')
