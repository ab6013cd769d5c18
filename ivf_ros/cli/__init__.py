# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The ``ivf`` command: ``main`` parses the command line; each module holds a group of commands."""

from ivf_ros.cli.main import main

__all__ = ['main']
