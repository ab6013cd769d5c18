# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Calibration of a thermal and an RGB camera: boards, intrinsics, extrinsics, rig files."""
