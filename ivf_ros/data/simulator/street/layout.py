# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Dimensions of the simulated street: positions of kerbs, walls and crossings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANE_M = 1.65  # half the lane width; the lane centres are at +-LANE_M


@dataclass(frozen=True)
class Layout:
    """Dimensions of the street; pairs are (left, right), in metres from the centre line."""

    parking: tuple[bool, bool]
    kerb_x: tuple[float, float]
    wall_x: tuple[float, float]
    crossing_z: float  # 0: no crossing
    crossing_waits: bool  # cars wait while people cross
    rail_side: int  # -1 or 1; 0: no guardrail
    bump_z: float  # 0: no speed bump


def sample_layout(rng: np.random.Generator) -> Layout:
    """Return a random layout of a street."""
    parking = bool(rng.random() < 0.75), bool(rng.random() < 0.6)
    left, right = (2 * LANE_M + 2.2 * has_parking + 0.3 for has_parking in parking)
    walls = left + rng.uniform(2.4, 4.0), right + rng.uniform(2.4, 4.0)
    crossing = rng.uniform(9, 17) if rng.random() < 0.6 else 0.0
    waits = bool(crossing and rng.random() < 0.5)
    return Layout(parking, (left, right), walls, crossing, waits,
                  int(rng.choice([0, 0, -1, 1])), rng.uniform(19, 26)
                  if rng.random() < 0.3 else 0.0)
