# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``ivf`` command: ``main`` reads the command line, each group of commands has a module."""

from ivf_ros.cli.main import main

__all__ = ['main']
