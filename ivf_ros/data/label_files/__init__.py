# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Files of boxes for labelling tools: COCO, CVAT, Label Studio."""
