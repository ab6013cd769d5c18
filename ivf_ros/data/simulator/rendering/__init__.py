# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Rendering of a scene in a camera: images, depth, and what is between scene and camera."""
