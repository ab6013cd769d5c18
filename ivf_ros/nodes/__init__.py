# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Everything that knows ROS: lifecycle nodes, transport, messages, parameters, the container."""
