# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared parts of the networks: layers, weight files, inference and ONNX export."""
