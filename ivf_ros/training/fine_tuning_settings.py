# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of fine-tuning: a few minutes from trained weights on the pairs of two cameras."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.network_inputs import BOTH
from ivf_ros.parameters import parameter
from ivf_ros.training.settings import DetectionTraining, JointPerceptionTraining


@dataclass(frozen=True)
class DetectionFineTuning(DetectionTraining):
    """Settings of the fine-tuning of a detector."""

    steps: int = parameter(5000, 'maximum number of steps')
    minutes: float = parameter(12.0, 'time of the training; 1 is enough on a GPU', minimum=0.0)
    batch: int = parameter(8, 'windows per step')
    learning_rate: float = parameter(3e-4, 'maximum learning rate of AdamW')
    warmup: int = parameter(20, 'steps of linear rise of the learning rate, before a cosine down '
                            'to zero')
    threads: int = parameter(2, 'threads of PyTorch')
    given: str = parameter(BOTH, 'input of the network: rgb, thermal, rgb+thermal, or a fusion '
                           'method')
    side_px: int = parameter(320, 'side of a window, a multiple of 32')
    simulated: int = parameter(40, 'number of additional streets of the simulator, so that what '
                               'was learned from others is not lost')
    variants: int = parameter(2, 'views of each pair: the original, and copies in bad light or '
                              'smoke')


@dataclass(frozen=True)
class PerceptionFineTuning(JointPerceptionTraining):
    """Settings of the fine-tuning of the network of the perception stage."""

    steps: int = parameter(5000, 'maximum number of steps')
    minutes: float = parameter(12.0, 'time of the training; 1 is enough on a GPU', minimum=0.0)
    batch: int = parameter(8, 'windows per step')
    learning_rate: float = parameter(3e-4, 'maximum learning rate of AdamW')
    warmup: int = parameter(20, 'steps of linear rise of the learning rate, before a cosine down '
                            'to zero')
    threads: int = parameter(2, 'threads of PyTorch')
    given: str = parameter(BOTH, 'input of the network: rgb, thermal, rgb+thermal, or a fusion '
                           'method')
    simulated: int = parameter(40, 'number of additional streets of the simulator, so that what '
                               'was learned from others is not lost')
    variants: int = parameter(2, 'views of each pair: the original, and copies in bad light or '
                              'smoke')
