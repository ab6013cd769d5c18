# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the nodes share: life cycle, topics, messages, parameters, diagnostics, launching."""
