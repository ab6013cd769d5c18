# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the networks are trained."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter


@dataclass(frozen=True)
class LoopSettings:
    """What every training has in common."""

    simulated: int = parameter(60, 'scenes of the simulator that are learned from, too')
    steps: int = parameter(10000, 'steps')
    batch: int = parameter(8, 'pairs a step')
    learning_rate: float = parameter(2e-3, 'highest learning rate of AdamW')
    weight_decay: float = parameter(1e-2, 'weight decay of AdamW')
    warmup: int = parameter(300, 'steps of linear rise, before a cosine down to zero')
    easy_steps: int = parameter(1200, 'steps over which examples of one sensor become rare')
    seed: int = parameter(0, 'seed of all that is random')
    threads: int = parameter(1, 'threads of PyTorch')
    save_every: int = parameter(200, 'steps between checkpoints')


@dataclass(frozen=True)
class FastTraining(LoopSettings):
    """How the maps of the registration method ``fast`` are trained."""

    blocks: int = parameter(20, 'blocks of each map of an image that are looked for')


@dataclass(frozen=True)
class DfaTraining(LoopSettings):
    """How the network of the registration method ``dfa`` is trained, and which variant of it."""

    sfm: bool = parameter(True, 'with the spatial information fusion module')
    fem: bool = parameter(True, 'with the feature enhancement module')
    start_from: str = parameter('', 'weight file of the variant without modules to start from')
    fine_weight: float = parameter(1.0, 'weight of the fine loss against the coarse one')
    weight_weight: float = parameter(0.3, 'weight of the loss of the weights of cells')
    coarse_points: int = parameter(256, 'coarse cells of an image that are looked for')
    fine_points: int = parameter(64, 'fine patches of an image that are looked for')


@dataclass(frozen=True)
class ConfidenceTraining:
    """Of which registration method the confidence is calibrated."""

    method: str = parameter('fast', 'method', choices=('dense', 'fast'))
