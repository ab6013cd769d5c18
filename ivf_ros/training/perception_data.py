# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training data for segmentation and detection: labelled scenes, and the inputs of the network.

Real pairs have machine-made boxes and masks, simulated pairs have exact ones. The input of the
network (RGB, thermal, both, or a fused image) is computed once before the training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from ivf_ros import detection, fusion, geometry
from ivf_ros.data import augmentation
from ivf_ros.data.aligned import read_aligned
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Dataset, Sample
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.data.simulator.climate import CONDITIONS
from ivf_ros.network_inputs import AlignedPair, select_images
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.training.fusion_data import EVALUATED_ONLY, NOT_LABELLED
from ivf_ros.training.unlabelled_objects import ignore_unlabelled
from ivf_ros.types import Detection
import numpy as np

CANVAS_PX = 640, 512  # width and height that images are resized to fit into
# Tests, demonstrations and other trainings use smaller seeds.
_SIMULATED_SEED, _OFF_ROAD_SEED = 5000, 20_000


@dataclass(frozen=True, eq=False)
class PerceptionScene:
    """
    An aligned pair with its labels.

    Attributes
    ----------
    name, dataset:
        Name of the sample and of its data set.
    thermal, rgb:
        ``(H, W)`` and ``(H, W, 3)`` BGR, uint8, no larger than ``CANVAS_PX``.
    coverage:
        ``(H, W)`` bool, the pixels that thermal covers.
    labels:
        ``(H, W)`` uint8 of ``MFNET_CLASSES``, 255 where the class is unknown.
    boxes:
        With names of ``detection.CLASS_NAMES``, or of class ``IGNORED``.
    has_labels, has_boxes:
        Whether it can be used for segmentation, and for detection.

    """

    name: str
    dataset: str
    thermal: np.ndarray
    rgb: np.ndarray
    coverage: np.ndarray
    labels: np.ndarray
    boxes: tuple[Detection, ...]
    has_labels: bool
    has_boxes: bool


def perception_scenes(folder: Path, simulated: int, off_road: int = 0,
                      ignore_found: bool = False) -> list[PerceptionScene]:
    """
    Return the training scenes: aligned pairs with machine-made labels, and simulated pairs.

    Not used are the held-out samples of a data set, samples with human labels, all samples of the
    same scene as one of these, and the data sets that are used only for evaluation.

    Parameters
    ----------
    folder:
        Data sets.
    simulated, off_road:
        Numbers of simulated streets, and of other simulated places.
    ignore_found:
        Whether what the present networks find on real pairs without a label is ignored; see
        ``unlabelled_objects``.

    Raises
    ------
    SourceError
        There are no such pairs.

    """
    human_labelled = {(dataset.name, sample.name) for dataset in find_datasets(folder)
                      for sample in dataset.samples
                      if sample.detections is not None or sample.segmentation is not None}
    scenes = [make_labelled_scene(sample) for dataset in find_datasets(folder, machine_labels=True)
              if not dataset.name.startswith(EVALUATED_ONLY)
              for sample in select_trainable(dataset, human_labelled)
              if sample.aligned and (sample.detections or sample.segmentation)]
    if not scenes:
        raise SourceError(f'{folder}: no aligned pairs with machine-made boxes or labels for '
                          'training')
    if ignore_found:
        scenes = ignore_unlabelled(scenes)
    return [*scenes, *simulated_scenes(simulated, off_road)]


def simulated_scenes(simulated: int, off_road: int) -> Iterator[PerceptionScene]:
    """Yield simulated streets, then other simulated places, with exact labels."""
    for number in range(simulated):
        yield make_simulated_scene(_SIMULATED_SEED + number)
    for number in range(off_road):
        yield make_simulated_scene(_OFF_ROAD_SEED + number, 'mixed')


def select_trainable(dataset: Dataset, human_labelled: set[tuple[str, str]]) -> list[Sample]:
    """Return the samples of a data set that share no scene with a sample used for evaluation."""
    evaluated = [*dataset.held_back, *(sample for sample in dataset.samples
                                       if (dataset.name, sample.name) in human_labelled)]
    names = {sample.name for sample in evaluated}
    scenes = {sample.scene for sample in evaluated if sample.scene}
    return [sample for sample in dataset.samples
            if sample.name not in names and sample.scene not in scenes]


def make_labelled_scene(sample: Sample) -> PerceptionScene:
    """
    Return a sample with its labels, resized to fit into ``CANVAS_PX``.

    Raises
    ------
    SourceError
        It cannot be read.

    """
    pair = read_aligned(sample)
    original = geometry.size_of(pair.rgb)
    scale = min(CANVAS_PX[0] / original[0], CANVAS_PX[1] / original[1])
    size = round(scale * original[0]), round(scale * original[1])
    thermal, rgb = (cv2.resize(image, size, interpolation=cv2.INTER_AREA
                               if image.shape[1] > size[0] else cv2.INTER_LINEAR)
                    for image in (pair.thermal, pair.rgb))
    boxes = () if sample.detections is None else sample.detections.read()
    return PerceptionScene(
        sample.name, sample.dataset, thermal, rgb, np.ones(thermal.shape, np.bool_),
        _read_labels(sample, size),
        map_class_names((_scale_box(box, scale) for box in boxes), detection.CLASS_NAMES),
        sample.segmentation is not None, sample.detections is not None)


def _scale_box(box: Detection, scale: float) -> Detection:
    left, top, right, bottom = box.box_xyxy_px
    return replace(box, box_xyxy_px=(scale * left, scale * top, scale * right, scale * bottom))


def _read_labels(sample: Sample, size: tuple[int, int]) -> np.ndarray:
    if sample.segmentation is None:
        return np.full(size[::-1], NOT_LABELLED, np.uint8)
    return cv2.resize(sample.segmentation.read().labels, size, interpolation=cv2.INTER_NEAREST)


def make_simulated_scene(seed: int, place: str = 'street') -> PerceptionScene:
    """
    Return a simulated pair in one of six lights and weathers, with exact labels.

    Places other than the street are a data set of their own, so that both are drawn as often.
    """
    random = np.random.default_rng(seed)
    simulator = RigSimulator(SimulatorParameters(
        condition=CONDITIONS[seed % len(CONDITIONS)], seed=seed, place=place))
    thermal, rgb, truth = simulator.pair(int(random.integers(300)))
    assert truth.segmentation is not None and truth.detections is not None
    warped = ThermalWarper().warp_gray(thermal.image, simulator.H_thermal_to_rgb, rgb.size)
    return PerceptionScene(
        simulator.name, 'simulator' if place == 'street' else 'simulator off the road',
        warped.image, rgb.image, warped.coverage,
        truth.segmentation.labels,
        map_class_names(truth.detections, detection.CLASS_NAMES), True, True)


def make_views(scene: PerceptionScene, modality: str, variants: int) -> list[np.ndarray]:
    """
    Return the inputs of a network for a scene: the original, then copies in bad light or smoke.

    Parameters
    ----------
    scene:
        The scene.
    modality:
        ``'rgb'``, ``'thermal'``, ``'rgb+thermal'`` or a fusion method.
    variants:
        Number of views.

    Returns
    -------
    list[np.ndarray]
        ``(H, W, 3)`` BGR, or ``(H, W, 4)`` BGR and thermal, uint8.

    """
    random = np.random.default_rng(sum(scene.name.encode()))
    changes = (augmentation.darken, augmentation.add_glare, augmentation.add_smoke)
    augmented = (_augment_channels(scene.rgb, changes[random.integers(3)],
                                   int(random.integers(2 ** 31))) for _ in range(variants - 1))
    return [np.dstack(select_images(AlignedPair(scene.thermal, rgb, scene.coverage), modality,
                                    fusion.create))
            for rgb in (scene.rgb, *augmented)]


def _augment_channels(rgb: np.ndarray,
                      change: Callable[[np.ndarray, np.random.Generator], np.ndarray],
                      seed: int) -> np.ndarray:
    """Apply the same augmentation to each channel."""
    channels = [change(rgb[..., k].astype(np.float32) / 255, np.random.default_rng(seed))
                for k in range(3)]
    return np.clip(np.dstack(channels) * 255, 0, 255).astype(np.uint8)
