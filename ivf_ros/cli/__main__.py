# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Runs ``python -m ivf_ros.cli`` as ``ivf``."""

import sys

from ivf_ros.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
