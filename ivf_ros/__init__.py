# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Infrared-visible perception for ROS 2: registration, fusion, segmentation and detection."""

__version__ = '0.1.0'
