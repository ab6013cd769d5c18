# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Calibrates the confidence of ``dense`` and ``fast``: how likely it is that an answer repeats.

Pairs are registered as they are and misalign by known homographies. Two answers repeat where
they agree within 3 px of 640 through the homography between them. That both are right is the
product of two probabilities, each a logistic function of the evidence for the answer
(``confidence`` in ``coarse_to_fine``); its coefficients are those of greatest likelihood. So that
what is seen in images that do not belong together counts for nothing, each thermal image is also
compared with the RGB image of another scene, which can only be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
from ivf_ros import geometry
from ivf_ros.data.misalignment import misalign, random_homography, WARP_SETS
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.registration.coarse_to_fine import Evidence, features
from ivf_ros.registration.dense import DenseParameters, DenseRegistrar
from ivf_ros.registration.fast import FastParameters, FastRegistrar
import numpy as np
import torch

_WIDTH_PX = 640
_REPEATABILITY_PX = 3.0
_SHRINKAGE = 1e-4  # against coefficients that few examples cannot tell
_SEED = 7000  # no evaluation uses these misalignments


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two answers and whether they repeat; one, where it can only be wrong."""

    evidence: tuple[Evidence, ...]
    repeats: bool


def comparisons(method: str, samples: Sequence[Sample]) -> list[Comparison]:
    """
    Return what a method, which refuses nothing, makes of aligned pairs.

    Raises
    ------
    SourceError
        There are no pairs, or one cannot be read.

    """
    registrar = DenseRegistrar(DenseParameters(min_confidence=0.0)) if method == 'dense' \
        else FastRegistrar(FastParameters(min_confidence=0.0))
    found = list(compare(registrar, samples))
    if not found:
        raise SourceError('no aligned pairs to calibrate with')
    return found


def compare(registrar: DenseRegistrar | FastRegistrar,
            samples: Sequence[Sample]) -> Iterator[Comparison]:
    """Yield what a registrar, which must refuse nothing, makes of aligned pairs."""
    other: np.ndarray | None = None
    for index, sample in enumerate(samples):
        thermal, rgb = sample.read_thermal(), sample.read_rgb()
        size = _WIDTH_PX, round(_WIDTH_PX * rgb.shape[0] / rgb.shape[1])
        thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
                        for image in (thermal, rgb))
        if other is not None:
            _, evidence = registrar.examine(thermal, other)
            if evidence is not None:
                yield Comparison((evidence,), False)
        other = rgb
        before, evidence_before = registrar.examine(thermal, rgb)
        for warp_set in WARP_SETS:
            H_true = random_homography(warp_set, size, _SEED + index)
            found, evidence = registrar.examine(misalign(thermal, H_true), rgb)
            if evidence is not None and evidence_before is not None:
                corner_distance_px = geometry.corner_error_px(
                    found.H_thermal_to_rgb, before.H_thermal_to_rgb @ H_true, size)
                yield Comparison((evidence, evidence_before), corner_distance_px <= _REPEATABILITY_PX)


def fit_coefficients(found: Sequence[Comparison]) -> np.ndarray:
    """Return the coefficients of ``confidence`` under which the comparisons are most likely."""
    first, second = (torch.from_numpy(np.stack(
        [features(one.evidence[-which]) for one in found])) for which in (0, 1))
    is_single = torch.tensor([len(one.evidence) == 1 for one in found])
    repeats = torch.tensor([one.repeats for one in found])
    coefficients = torch.zeros(first.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients], max_iter=500, line_search_fn='strong_wolfe')

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        both = torch.sigmoid(first @ coefficients) \
            * torch.where(is_single, 1.0, torch.sigmoid(second @ coefficients))
        right = torch.where(repeats, both, 1 - both).clamp(min=1e-9)
        value = -right.log().mean() + _SHRINKAGE * coefficients[1:].square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    return coefficients.detach().numpy()
