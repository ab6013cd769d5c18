# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training data for fusion: windows of aligned pairs, with machine-made labels if available."""

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
# Data sets that are used only for evaluation, never for training.
EVALUATED_ONLY = ('tno', 'vifb', 'm3svd')
_MAX_WIDTH_PX = 640
_MIN_PAIRS_OF_RIG = 30  # pairs of one size that are enough to estimate their common displacement
_MAX_SHRINK = 1.6


@dataclass(frozen=True, eq=False)
class FusionScene:
    """
    An aligned pair, the source of examples.

    Attributes
    ----------
    name, dataset:
        Name of the sample and of its data set.
    thermal:
        ``(H, W)`` uint8.
    rgb:
        ``(H, W, 3)`` uint8 BGR.
    labels:
        ``(H, W)`` uint8 machine-made classes, 255 where unsure; None if there are none.

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
        ``(H, W)`` int64, 255 where the class is unknown.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    labels: np.ndarray


def fusion_scenes(folder: Path) -> list[FusionScene]:
    """
    Return the training scenes of the aligned data sets below a folder.

    Held-out samples and the data sets in ``EVALUATED_ONLY`` are left out. The common displacement
    of the pairs of one rig is removed.

    Raises
    ------
    SourceError
        There are no aligned pairs.

    """
    scenes = []
    for dataset in find_datasets(folder, machine_labels=True):
        if dataset.name.startswith(EVALUATED_ONLY):
            continue
        scenes += _remove_common_displacement([make_scene(sample)
                                               for sample in dataset.for_training
                                               if sample.aligned])
    scenes = [scene for scene in scenes if min(scene.thermal.shape) >= SIDE_PX]
    if not scenes:
        raise SourceError(f'{folder}: no aligned pairs for the training of fusion')
    return scenes


def make_scene(sample: Sample) -> FusionScene:
    """Return an aligned sample as a scene; raise SourceError if it cannot be read."""
    pair = read_aligned(sample)
    labels = None if sample.segmentation is None else sample.segmentation.read().labels
    width = min(pair.rgb.shape[1], _MAX_WIDTH_PX)
    size = width, round(width * pair.rgb.shape[0] / pair.rgb.shape[1])
    thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_AREA
                               if image.shape[1] > width else cv2.INTER_CUBIC)
                    for image in (pair.thermal, pair.rgb))
    if labels is not None:
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    return FusionScene(sample.name, sample.dataset, thermal, rgb, labels)


def _remove_common_displacement(scenes: list[FusionScene]) -> list[FusionScene]:
    """Return the scenes of a rig without the displacement that all its pairs have in common."""
    if len(scenes) < _MIN_PAIRS_OF_RIG or len({scene.thermal.shape for scene in scenes}) > 1:
        return scenes
    common_px = common_displacement_px(
        [(scene.thermal, cv2.cvtColor(scene.rgb, cv2.COLOR_BGR2GRAY)) for scene in scenes],
        geometry.size_of(scenes[0].thermal))
    return [replace(scene, thermal=displace(scene.thermal, common_px)) for scene in scenes]


def draw_window(scene: FusionScene, random: np.random.Generator, side_px: int
                ) -> Callable[[np.ndarray, int], np.ndarray]:
    """
    Draw a square window of a scene, at full size or slightly shrunk, possibly mirrored.

    Returns a function that crops the window from an image on the grid of the scene, with the given
    interpolation of OpenCV.
    """
    height, width = scene.thermal.shape
    side = int(min(side_px * random.uniform(1.0, _MAX_SHRINK), height, width))
    top, left = random.integers(height - side + 1), random.integers(width - side + 1)
    mirror = random.random() < 0.5

    def crop(image: np.ndarray, interpolation: int) -> np.ndarray:
        window = cv2.resize(image[top:top + side, left:left + side], (side_px, side_px),
                            interpolation=interpolation)
        return window[:, ::-1] if mirror else window

    return crop


def draw_example(scene: FusionScene, random: np.random.Generator, _step: int = 0,
                 side_px: int = SIDE_PX) -> FusionExample:
    """Draw a window of a scene with its labels."""
    crop = draw_window(scene, random, side_px)
    labels = np.full((side_px, side_px), NOT_LABELLED, np.int64) if scene.labels is None \
        else crop(scene.labels, cv2.INTER_NEAREST).astype(np.int64)
    thermal, rgb = (crop(image, cv2.INTER_AREA).astype(np.float32) / 255
                    for image in (scene.thermal, scene.rgb))
    return FusionExample(thermal[None], rgb.transpose(2, 0, 1), labels)


def to_tensors(batch: Sequence[Any]) -> tuple[Tensor, ...]:
    """Return each field of a batch of examples as a tensor, batch first."""
    return tuple(torch.from_numpy(np.stack([getattr(example, field.name) for example in batch]))
                 for field in fields(batch[0]))


def to_luma(bgr: Tensor) -> Tensor:
    """Return the BT.601 luma ``(B, 1, H, W)`` of ``(B, 3, H, W)``."""
    weights = bgr.new_tensor([0.114, 0.587, 0.299])
    return (bgr * weights[:, None, None]).sum(1, keepdim=True)


def replace_luma(bgr: Tensor, luma: Tensor) -> Tensor:
    """Return a colour image with another luma and the same chroma, clipped to 0..1."""
    return (bgr + luma - to_luma(bgr)).clamp(0, 1)
