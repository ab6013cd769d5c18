# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Evaluation of the stages on data sets: metrics, results and report."""
