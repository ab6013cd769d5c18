# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The measures of the simulated street: where its kerbs, walls and crossings are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANE_M = 1.65  # half of the width of a lane, and of the distance between two


@dataclass(frozen=True)
class Layout:
    """Measures of the street; pairs are left and right, in metres from the middle."""

    parking: tuple[bool, bool]
    kerb_x: tuple[float, float]
    wall_x: tuple[float, float]
    crossing_z: float  # 0 where there is none
    crossing_waits: bool  # cars stand and people cross
    rail_side: int  # -1, 1, or 0 for no guardrail
    bump_z: float


def draw_layout(rng: np.random.Generator) -> Layout:
    """Return the layout of a street that is drawn at random."""
    parking = bool(rng.random() < 0.75), bool(rng.random() < 0.6)
    left, right = (2 * LANE_M + 2.2 * has + 0.3 for has in parking)
    walls = left + rng.uniform(2.4, 4.0), right + rng.uniform(2.4, 4.0)
    crossing = rng.uniform(9, 17) if rng.random() < 0.6 else 0.0
    waits = bool(crossing and rng.random() < 0.5)
    return Layout(parking, (left, right), walls, crossing, waits,
                  int(rng.choice([0, 0, -1, 1])), rng.uniform(19, 26)
                  if rng.random() < 0.3 else 0.0)
