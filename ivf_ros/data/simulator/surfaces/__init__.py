# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Surfaces behind all things: grounds, walls, sky."""
