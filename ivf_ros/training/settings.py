# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the networks are trained; the defaults are those of the weights in this package."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


def setting(default: Any, about: str) -> Any:
    """Declare a field with its default and meaning."""
    return field(default=default, metadata={'about': about})


@dataclass(frozen=True)
class FastTraining:
    """How the descriptors of the registration method ``fast`` are trained."""

    steps: int = setting(9000, 'steps')
    batch: int = setting(8, 'pairs a step')
    learning_rate: float = setting(2e-3, 'highest learning rate of AdamW')
    weight_decay: float = setting(1e-2, 'weight decay of AdamW')
    warmup: int = setting(300, 'steps of linear rise, before a cosine down to zero')
    easy_steps: int = setting(1500, 'steps over which examples of one sensor become rare')
    fine_weight: float = setting(1.0, 'weight of the fine loss against the coarse one')
    coarse_points: int = setting(256, 'coarse cells of an image that are looked at')
    fine_points: int = setting(384, 'fine cells of an image that are looked at')
    seed: int = setting(0, 'seed of all that is random')
    threads: int = setting(1, 'threads of PyTorch')
    save_every: int = setting(200, 'steps between checkpoints')
