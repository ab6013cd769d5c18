# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How long the stateful tests run."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings


def machine_settings(max_examples: int, **options: Any) -> settings:
    """
    Return the settings of a stateful test, deterministic and short.

    The environment variable ``IVF_FUZZ_FACTOR`` multiplies the examples, and makes them random.
    """
    factor = int(os.environ.get('IVF_FUZZ_FACTOR', '1'))
    return settings(max_examples=factor * max_examples, derandomize=factor == 1, deadline=None,
                    suppress_health_check=list(HealthCheck), database=None,
                    print_blob=True, **options)
