# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of fine-tuning: a few minutes from trained weights on the pairs of two cameras."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ivf_ros.network_inputs import BOTH
from ivf_ros.parameters import build, Declaration, declarations, parameter, unknown_parameter
from ivf_ros.training.settings import DetectionTraining, JointPerceptionTraining

# Settings of the other trainings that fine-tuning sets by itself.
_FIXED = ('start_from', 'detector', 'segmenter', 'ignore_found')


@dataclass(frozen=True)
class FineTuning:
    """What fine-tuning sets in another way than the training from the beginning."""

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
    simulated: int = parameter(20, 'number of additional streets of the simulator, so that what '
                               'was learned from others is not lost')
    off_road: int = parameter(20, 'number of other places of the simulator, likewise')
    variants: int = parameter(2, 'views of each pair: the original, and copies in bad light or '
                              'smoke')
    kept: float = parameter(0.3, 'part of the initial weights in the result, which is the mean of '
                            'both', minimum=0.0, maximum=1.0)


@dataclass(frozen=True)
class DetectionFineTuning(FineTuning, DetectionTraining):
    """Settings of the fine-tuning of a detector."""


@dataclass(frozen=True)
class PerceptionFineTuning(FineTuning, JointPerceptionTraining):
    """Settings of the fine-tuning of the network of the perception stage."""


SETTINGS: dict[str, type] = {'detection': DetectionFineTuning, 'perception': PerceptionFineTuning}


def list_settings(network: str) -> list[Declaration]:
    """Return the settings of the fine-tuning of 'detection' or 'perception'."""
    return [setting for setting in declarations(SETTINGS[network]) if setting.name not in _FIXED]


def build_settings(network: str, values: dict[str, Any]) -> Any:
    """
    Return the settings of the fine-tuning of a network from values by name.

    Raises
    ------
    ParameterError
        A setting is unknown, or a value is wrong.

    """
    known = [setting.name for setting in list_settings(network)]
    for name in values:
        if name in _FIXED:
            raise unknown_parameter(name, known)
    return build(SETTINGS[network], values)
