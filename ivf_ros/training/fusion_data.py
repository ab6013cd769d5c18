# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training examples for fusion: windows of aligned pairs, with machine-made labels if any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import geometry
from ivf_ros.data.aligned import read_aligned
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.training.realignment import common_displacement_px, displace
import numpy as np
import torch
from torch import Tensor

SIDE_PX = 128  # of an example
NOT_LABELLED = 255
# Data sets by which fusion is measured as a whole; nothing of them is ever learned.
EVALUATED_ONLY = ('tno', 'vifb', 'm3svd')
_MOST_WIDTH_PX = 640
_MIN_PAIRS_OF_RIG = 30  # pairs of one size, from which on what they are off by in common is known
_MOST_SHRINK = 1.6


@dataclass(frozen=True, eq=False)
class FusionScene:
    """
    An aligned pair to make examples of.

    Attributes
    ----------
    name, dataset:
        Where it is from.
    thermal:
        ``(H, W)`` uint8.
    rgb:
        ``(H, W, 3)`` uint8 BGR.
    labels:
        ``(H, W)`` uint8 classes that a machine drew, 255 where unsure; None where nobody did.

    """

    name: str
    dataset: str
    thermal: np.ndarray
    rgb: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True, eq=False)
class FusionExample:
    """
    A square window of a scene.

    Attributes
    ----------
    thermal, rgb:
        ``(1, H, W)`` and ``(3, H, W)`` float32 from 0 to 1, rgb as BGR.
    labels:
        ``(H, W)`` int64, 255 where there are none.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    labels: np.ndarray


def fusion_scenes(folder: Path) -> list[FusionScene]:
    """
    Return the scenes to learn fusion from, of the aligned data sets below a folder.

    What a data set holds back is left out, and so are the data sets in ``EVALUATED_ONLY``. What
    the pairs of one rig are off by in common is taken out.

    Raises
    ------
    SourceError
        There are no aligned pairs.

    """
    scenes = []
    for dataset in find_datasets(folder, machine_labels=True):
        if dataset.name.startswith(EVALUATED_ONLY):
            continue
        scenes += _realigned([scene_of(sample) for sample in dataset.for_training
                              if sample.aligned])
    scenes = [scene for scene in scenes if min(scene.thermal.shape) >= SIDE_PX]
    if not scenes:
        raise SourceError(f'{folder}: no aligned pairs to learn fusion from')
    return scenes


def scene_of(sample: Sample) -> FusionScene:
    """Return an aligned sample as a scene; raise SourceError where it cannot be read."""
    pair = read_aligned(sample)
    labels = None if sample.segmentation is None else sample.segmentation.read().labels
    width = min(pair.rgb.shape[1], _MOST_WIDTH_PX)
    size = width, round(width * pair.rgb.shape[0] / pair.rgb.shape[1])
    thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_AREA
                               if image.shape[1] > width else cv2.INTER_CUBIC)
                    for image in (pair.thermal, pair.rgb))
    if labels is not None:
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    return FusionScene(sample.name, sample.dataset, thermal, rgb, labels)


def _realigned(scenes: list[FusionScene]) -> list[FusionScene]:
    """Return the scenes of a rig without what they are off by in common."""
    if len(scenes) < _MIN_PAIRS_OF_RIG or len({scene.thermal.shape for scene in scenes}) > 1:
        return scenes
    common_px = common_displacement_px(
        [(scene.thermal, cv2.cvtColor(scene.rgb, cv2.COLOR_BGR2GRAY)) for scene in scenes],
        geometry.size_of(scenes[0].thermal))
    return [replace(scene, thermal=displace(scene.thermal, common_px)) for scene in scenes]


def draw_window(scene: FusionScene, random: np.random.Generator, side_px: int
                ) -> Callable[[np.ndarray, int], np.ndarray]:
    """
    Draw a square window of a scene, at its own size or a little shrunk, perhaps mirrored.

    Returns what cuts it out of an image on the grid of the scene, by an interpolation of OpenCV.
    """
    height, width = scene.thermal.shape
    side = int(min(side_px * random.uniform(1.0, _MOST_SHRINK), height, width))
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    mirror = random.random() < 0.5

    def crop(image: np.ndarray, interpolation: int) -> np.ndarray:
        cut = cv2.resize(image[top:top + side, left:left + side], (side_px, side_px),
                         interpolation=interpolation)
        return cut[:, ::-1] if mirror else cut

    return crop


def example(scene: FusionScene, random: np.random.Generator, _step: int = 0,
            side_px: int = SIDE_PX) -> FusionExample:
    """Draw a window of a scene with its labels."""
    crop = draw_window(scene, random, side_px)
    labels = np.full((side_px, side_px), NOT_LABELLED, np.int64) if scene.labels is None \
        else crop(scene.labels, cv2.INTER_NEAREST).astype(np.int64)
    thermal, rgb = (crop(image, cv2.INTER_AREA).astype(np.float32) / 255
                    for image in (scene.thermal, scene.rgb))
    return FusionExample(thermal[None], rgb.transpose(2, 0, 1), labels)


def as_tensors(batch: Sequence[Any]) -> tuple[Tensor, ...]:
    """Return each field of a batch of examples as a tensor, batch first."""
    return tuple(torch.from_numpy(np.stack([getattr(one, field.name) for one in batch]))
                 for field in fields(batch[0]))


def to_luma(bgr: Tensor) -> Tensor:
    """Return the BT.601 luma ``(B, 1, H, W)`` of ``(B, 3, H, W)``."""
    weights = bgr.new_tensor([0.114, 0.587, 0.299])
    return (bgr * weights[:, None, None]).sum(1, keepdim=True)


def replace_luma(bgr: Tensor, luma: Tensor) -> Tensor:
    """Return a colour image with another luma and the same chroma, cut to 0 to 1."""
    return (bgr + luma - to_luma(bgr)).clamp(0, 1)
