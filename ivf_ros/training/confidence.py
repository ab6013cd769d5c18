# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Calibration of the confidence of ``dense`` and ``fast``: the probability that a result repeats.

Pairs are registered as they are and misaligned by known homographies. Two results repeat if they
agree within 3 px of an image 640 wide through the homography between them. The probability that
both are right is the product of two probabilities. Each is a logistic function of the evidence
(``estimate_confidence`` in ``coarse_to_fine``) with maximum-likelihood coefficients. Each thermal
image is also registered to the RGB image of another scene, as a negative example: such a result is
always wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.data.misalignment import misalign, random_homography, WARP_SETS
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.progress import track
from ivf_ros.registration.coarse_to_fine import Evidence, evidence_features
from ivf_ros.registration.dense import DenseParameters, DenseRegistrar
from ivf_ros.registration.fast import FastParameters, FastRegistrar
import numpy as np
import torch

_WIDTH_PX = 640
_REPEATABILITY_PX = 3.0
_SHRINKAGE = 1e-4  # L2 regularisation, for coefficients that few examples do not determine
_SEED = 7000  # no evaluation uses these misalignments


@dataclass(frozen=True, eq=False)
class Comparison:
    """The evidence of two results and whether they repeat; or of one result, always wrong."""

    evidence: tuple[Evidence, ...]
    repeats: bool


def comparisons(method: str, samples: Sequence[Sample]) -> list[Comparison]:
    """
    Register aligned pairs with ``min_confidence`` 0 and return the comparisons.

    Raises
    ------
    SourceError
        No pair could be compared, or an image cannot be read.

    """
    registrar = DenseRegistrar(DenseParameters(min_confidence=0.0)) if method == 'dense' \
        else FastRegistrar(FastParameters(min_confidence=0.0))
    compared = list(track(compare(registrar, samples), None, 'comparison'))
    if not compared:
        raise SourceError('no aligned pairs to calibrate with; select data sets with aligned '
                          'pairs')
    return compared


def compare(registrar: DenseRegistrar | FastRegistrar,
            samples: Sequence[Sample]) -> Iterator[Comparison]:
    """Yield the comparisons of a registrar with ``min_confidence`` 0 over aligned pairs."""
    previous_rgb: np.ndarray | None = None
    for index, sample in enumerate(samples):
        thermal, rgb = sample.read_thermal(), sample.read_rgb()
        size = _WIDTH_PX, round(_WIDTH_PX * rgb.shape[0] / rgb.shape[1])
        thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        if previous_rgb is not None:
            _, evidence = registrar.examine(thermal, previous_rgb)
            if evidence is not None:
                yield Comparison((evidence,), False)
        previous_rgb = rgb
        reference, reference_evidence = registrar.examine(thermal, rgb)
        for warp_set in WARP_SETS:
            H_true = random_homography(warp_set, size, _SEED + index)
            misaligned, evidence = registrar.examine(misalign(thermal, H_true), rgb)
            if evidence is not None and reference_evidence is not None:
                corner_distance_px = geometry.corner_error_px(
                    misaligned.H_thermal_to_rgb, reference.H_thermal_to_rgb @ H_true, size)
                yield Comparison((evidence, reference_evidence),
                                 corner_distance_px <= _REPEATABILITY_PX)


def fit_coefficients(compared: Sequence[Comparison]) -> np.ndarray:
    """Return the maximum-likelihood coefficients ``(6,)`` float64 of ``estimate_confidence``."""
    first, second = (torch.from_numpy(np.stack(
        [evidence_features(comparison.evidence[-index]) for comparison in compared]))
        for index in (0, 1))
    is_single = torch.tensor([len(comparison.evidence) == 1 for comparison in compared])
    repeats = torch.tensor([comparison.repeats for comparison in compared])
    coefficients = torch.zeros(first.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=500, line_search_fn='strong_wolfe')

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        both_right = torch.sigmoid(first @ coefficients) \
            * torch.where(is_single, 1.0, torch.sigmoid(second @ coefficients))
        likelihood = torch.where(repeats, both_right, 1 - both_right).clamp(min=1e-9)
        value = -likelihood.log().mean() + _SHRINKAGE * coefficients[1:].square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    return coefficients.detach().numpy()
