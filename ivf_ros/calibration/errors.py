# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Error type of the calibration."""


class CalibrationError(RuntimeError):
    """The views do not give a calibration; the message says what was found and what is needed."""
