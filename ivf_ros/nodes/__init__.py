# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 part of the package: lifecycle nodes, transport, messages, component container."""
