# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Calibration of the scores of a detector: of the boxes with score s, the fraction s are hits.

    ivf train detection-scores --data DIR --out runs/scores --weights calibrated.safetensors \
        --set start_from=trained.safetensors --set boxes=docs/labels/boxes.json

Platt scaling (Platt, "Probabilistic outputs for support vector machines", 1999), for each class c:

    logit(calibrated score) = slope_c * logit(score) + offset_c

The scaling becomes part of the last layer, so it costs no time and every engine has it. Within a
class, the order of the boxes stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ivf_ros.detection.network import DetectionNetwork, Head
import numpy as np
import torch

MIN_SCORE = 0.05  # of the boxes to calibrate with; the many weaker ones are all wrong
# A class with fewer hits keeps its scores. Without any hit it would be silenced for good, also
# where it is found.
MIN_HITS = 5
# Standard deviations of the priors, so that a class with few boxes keeps about its scores.
_SLOPE_DEVIATION, _OFFSET_DEVIATION = 0.5, 2.0
_MIN_SLOPE = 0.1  # keeps the order of the boxes


@dataclass(frozen=True)
class ScoreScaling:
    """``slope`` and ``offset`` of the logits of one class; see the module."""

    slope: float = 1.0
    offset: float = 0.0


def fit_scaling(scores: np.ndarray, hits: np.ndarray) -> ScoreScaling:
    """
    Return the most probable scaling, given boxes of one class.

    Parameters
    ----------
    scores:
        ``(N,)`` from 0 to 1. Boxes below ``MIN_SCORE`` are left out.
    hits:
        ``(N,)`` whether the box is a hit.

    """
    likely = scores >= MIN_SCORE
    logits = torch.logit(torch.from_numpy(scores[likely]).double(), eps=1e-6)
    targets = torch.from_numpy(hits[likely]).double()
    scaling = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scaling], max_iter=200, line_search_fn='strong_wolfe')

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        slope, offset = scaling
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            slope * logits + offset, targets, reduction='sum') \
            + ((slope - 1) / _SLOPE_DEVIATION).square() / 2 \
            + (offset / _OFFSET_DEVIATION).square() / 2
        value.backward()
        return value

    optimizer.step(loss)
    slope, offset = scaling.tolist()
    return ScoreScaling(max(slope, _MIN_SLOPE), offset)


@torch.no_grad()
def scale_scores(network: DetectionNetwork, scalings: Sequence[ScoreScaling]) -> None:
    """Change the last layer of a network so that it gives the scaled logits, a scaling a class."""
    slopes = torch.tensor([scaling.slope for scaling in scalings])
    offsets = torch.tensor([scaling.offset for scaling in scalings])
    for head in network.heads:
        assert isinstance(head, Head)
        head.class_logits.weight.mul_(slopes[:, None, None, None])
        head.class_logits.bias.mul_(slopes).add_(offsets)  # type: ignore[union-attr]
