# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Shared parts of the networks: layers, weight files, inference and ONNX export."""

import os

# From 1.29 on the builds of ONNX Runtime report each network that is loaded to their maker, unless
# this is set before they are imported. Who wants the reports sets it to 0.
os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
