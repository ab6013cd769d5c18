# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the networks are trained."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter


@dataclass(frozen=True)
class FastTraining:
    """How the descriptors of the registration method ``fast`` are trained."""

    steps: int = parameter(9000, 'steps')
    batch: int = parameter(8, 'pairs a step')
    learning_rate: float = parameter(2e-3, 'highest learning rate of AdamW')
    weight_decay: float = parameter(1e-2, 'weight decay of AdamW')
    warmup: int = parameter(300, 'steps of linear rise, before a cosine down to zero')
    easy_steps: int = parameter(1500, 'steps over which examples of one sensor become rare')
    fine_weight: float = parameter(1.0, 'weight of the fine loss against the coarse one')
    coarse_points: int = parameter(256, 'coarse cells of an image that are looked at')
    fine_points: int = parameter(384, 'fine cells of an image that are looked at')
    seed: int = parameter(0, 'seed of all that is random')
    threads: int = parameter(1, 'threads of PyTorch')
    save_every: int = parameter(200, 'steps between checkpoints')
