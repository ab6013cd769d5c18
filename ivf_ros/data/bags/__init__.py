# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Bags: MCAP, SQLite and ROS 1 files, whole or damaged, and the cameras in them."""
