# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How people look: skin is warm, clothes are cooler, hair and rucksacks the coolest."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ivf_ros.data.simulator.climate import Climate
import numpy as np

_SKINS = ((0.32, 0.42, 0.62), (0.22, 0.32, 0.52), (0.10, 0.16, 0.28), (0.05, 0.08, 0.14))
_HAIR = ((0.01, 0.01, 0.012), (0.03, 0.05, 0.10), (0.12, 0.25, 0.38), (0.35, 0.36, 0.38))


@dataclass(frozen=True, eq=False)
class Person:
    """Appearance of one person; lengths in metres, colours linear BGR."""

    height_m: float
    skin: np.ndarray
    hair: np.ndarray
    jacket: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    skin_celsius: float
    hair_celsius: float
    jacket_celsius: float
    trousers_celsius: float
    shoes_celsius: float
    bag: np.ndarray | None
    bag_celsius: float
    long_coat: bool
    stride: float  # swing of the thigh in radians
    head_scale: float = 1.0  # relative to an adult of this height


def sample_person(rng: np.random.Generator, climate: Climate) -> Person:
    """Return a random person, dressed for the weather."""
    air = climate.air_celsius
    # Thick clothes transmit about a third of the temperature difference, thin ones more.
    transmission = rng.uniform(0.30, 0.55) if air < 12 else rng.uniform(0.45, 0.7)
    jacket = air + (32 - air) * transmission
    brightness = rng.uniform(0.02, 0.55)
    return Person(
        height_m=rng.uniform(1.55, 1.90), skin=np.array(_SKINS[rng.integers(len(_SKINS))]),
        hair=np.array(_HAIR[rng.integers(len(_HAIR))]),
        jacket=brightness * rng.uniform(0.35, 1.0, 3),
        trousers=rng.uniform(0.015, 0.18) * np.array([1.3, 1.0, 0.9]),
        shoes=np.full(3, rng.choice([0.02, 0.05, 0.5])),
        skin_celsius=min(29.5 + 0.2 * air, 34.5) + rng.normal(0, 0.4),
        hair_celsius=air + (32 - air) * 0.6, jacket_celsius=jacket,
        trousers_celsius=air + (32 - air) * rng.uniform(0.42, 0.62),
        shoes_celsius=air + (32 - air) * 0.25,
        bag=rng.uniform(0.02, 0.3, 3) if rng.random() < 0.35 else None,
        bag_celsius=air + (32 - air) * 0.12, long_coat=rng.random() < 0.3,
        stride=rng.uniform(0.38, 0.52))


def sample_child(rng: np.random.Generator, climate: Climate) -> Person:
    """Return a random child of 2 to 10 years: small, with a large head and bright clothes."""
    height_m = rng.uniform(0.85, 1.4)
    adult = sample_person(rng, climate)
    return replace(adult, height_m=height_m, head_scale=1.0 + 0.7 * (1.65 - height_m),
                   jacket=rng.uniform(0.05, 0.7, 3), trousers=rng.uniform(0.03, 0.4, 3),
                   bag=None, long_coat=False)
