# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Inputs of networks for the calibration of int8 networks.

They are those that the networks see in use, made from the training scenes; no held-out sample is
among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import fusion
from ivf_ros.network_inputs import BOTH
from ivf_ros.nn.inference import InferenceModule
from ivf_ros.nn.network_selector import resize_longer_side
from ivf_ros.progress import track
from ivf_ros.registration.fast import FastParameters
from ivf_ros.registration.inputs import normalize_contrast
from ivf_ros.registration.learned_input import normalized_input
from ivf_ros.training import fusion_data, perception_data, registration_data
from ivf_ros.training.loop import sampling_probabilities
import numpy as np

_SIMULATED = 24
_VIEWS = 3  # of a scene for perception: the original, and copies in bad light or smoke
_LONGER_SIDE_PX = 640
_SEED = 0

Inputs = tuple[np.ndarray, ...]


def draw_inputs(stage: str, module: InferenceModule, folder: Path, count: int) -> Iterator[Inputs]:
    """
    Yield inputs of a network, of scenes that are drawn at random.

    Parameters
    ----------
    stage:
        'registration', 'fusion', 'perception', 'segmentation' or 'detection'.
    module:
        The network, which determines the size and the number of the channels.
    folder:
        Folder of data sets.
    count:
        Number of inputs.

    Raises
    ------
    SourceError
        There are no training data.

    """
    scenes, make_inputs = _find_scenes(stage, folder)
    random = np.random.default_rng(_SEED)
    probabilities = sampling_probabilities([scene.dataset for scene in scenes])
    for index in track(random.choice(len(scenes), count, p=probabilities), count, 'image'):
        yield make_inputs(scenes[index], module, random)


def _find_scenes(stage: str, folder: Path) -> tuple[list[Any], Callable[..., Inputs]]:
    if stage == 'registration':
        return registration_data.training_scenes(folder, _SIMULATED), _make_registration_inputs
    if stage == 'fusion':
        return fusion_data.fusion_scenes(folder), _make_fusion_inputs
    return perception_data.perception_scenes(folder, _SIMULATED), _make_perception_inputs


def _make_registration_inputs(scene: registration_data.Scene, module: InferenceModule,
                              random: np.random.Generator) -> Inputs:
    is_thermal = bool(random.integers(2))
    image = scene.thermal if is_thermal else scene.luma
    width = FastParameters().work_px
    size = width, round(width * image.shape[0] / image.shape[1])
    small = cv2.resize(normalize_contrast(image), size, interpolation=cv2.INTER_AREA)
    return normalized_input(_pad(small, module.size_multiple_px)), np.array(is_thermal)


def _make_fusion_inputs(scene: fusion_data.FusionScene, module: InferenceModule,
                        random: np.random.Generator) -> Inputs:
    luma = cv2.cvtColor(scene.rgb, cv2.COLOR_BGR2GRAY)
    return tuple(_pad(image, module.size_multiple_px) for image in (scene.thermal, luma))


def _make_perception_inputs(scene: perception_data.PerceptionScene, module: InferenceModule,
                            random: np.random.Generator) -> Inputs:
    modality = BOTH if module.channels == 4 else fusion.DEFAULT_METHOD
    views = perception_data.make_views(scene, modality, _VIEWS)
    view = resize_longer_side(views[random.integers(_VIEWS)], _LONGER_SIDE_PX)
    return (_pad(view, module.size_multiple_px),)


def _pad(image: np.ndarray, multiple_px: int) -> np.ndarray:
    height, width = image.shape[:2]
    return cv2.copyMakeBorder(image, 0, -height % multiple_px, 0, -width % multiple_px,
                              cv2.BORDER_REPLICATE)
