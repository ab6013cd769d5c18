# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A live picture of the stages in Rerun, without ROS: the log, its layout, the viewer."""
