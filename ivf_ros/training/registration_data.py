# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training examples for registration: aligned pairs, misaligned by a known homography."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
from ivf_ros import geometry
from ivf_ros.data import augmentation
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Sample
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.data.simulator.rig import RigParameters
from ivf_ros.registration.inputs import normalize_contrast
from ivf_ros.registration.learned_input import normalized_input
from ivf_ros.training.realignment import common_displacement_px, displace
from ivf_ros.training.settings import RegistrationTraining
import numpy as np
import torch
from torch import Tensor

WIDTH_PX, HEIGHT_PX = 256, 192
_SCENE_WIDTH_PX = 640
_VIDEO_STEP = 40  # frames
_MIN_PAIRS_OF_RIG = 30  # pairs, from which on what they have in common is a property of the rig
_EXACT_PX = 0.3
_UNKNOWN_PX = 3.0
_SIMULATED_SEED = 1000  # tests and demonstrations use smaller ones
_PSEUDO = 0.2  # share of examples whose thermal image is made of RGB
_LEAST_EASY = 0.05
_CORNER_REACH = 0.105  # of the width: how far a corner may be off


@dataclass(frozen=True, eq=False)
class Scene:
    """
    An aligned pair to make examples of.

    Attributes
    ----------
    name, dataset:
        Where it is from.
    thermal, luma:
        ``(H, W)`` uint8 of one size, about 640 wide.
    label_px:
        Standard deviation of the alignment, in pixels of it.

    """

    name: str
    dataset: str
    thermal: np.ndarray
    luma: np.ndarray
    label_sigma_px: float


@dataclass(frozen=True, eq=False)
class Example:
    """
    What the network is given, and what it should find.

    Attributes
    ----------
    thermal, rgb:
        ``(2, 192, 256)`` float32, see ``normalized_input``.
    H_thermal_to_rgb:
        ``(3, 3)`` float64 between the two, in pixels.
    label_px:
        Standard deviation of where it puts a pixel, against what both cameras see.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    H_thermal_to_rgb: np.ndarray
    label_sigma_px: float


def training_scenes(folder: Path, simulated: int = 60) -> list[Scene]:
    """
    Return the scenes to learn from: aligned data sets below a folder, and the simulator.

    What a data set holds back for measuring is left out, see ``Dataset``. Of videos every 40th
    frame is taken, as neighbours are alike. What the pairs of a large data set are off by in
    common is taken out first.

    Raises
    ------
    SourceError
        There are no aligned pairs.

    """
    scenes = []
    for dataset in find_datasets(folder):
        samples = [sample for sample in dataset.for_training if sample.aligned]
        if dataset.layout == 'videos':
            samples = samples[::_VIDEO_STEP]
        scenes += _realigned([scene_of(sample) for sample in samples])
    if not scenes:
        raise SourceError(f'{folder}: no aligned pairs to learn from')
    return scenes + list(simulated_scenes(range(_SIMULATED_SEED, _SIMULATED_SEED + simulated)))


def scene_of(sample: Sample) -> Scene:
    """Return an aligned sample as a scene; raise SourceError where it cannot be read."""
    thermal, rgb = sample.read_thermal(), sample.read_rgb()
    size = _SCENE_WIDTH_PX, round(_SCENE_WIDTH_PX * rgb.shape[0] / rgb.shape[1])
    label_sigma_px = _UNKNOWN_PX if sample.alignment_px is None \
        else sample.alignment_px * size[0] / rgb.shape[1]
    thermal, luma = (_levels(cv2.resize(normalize_contrast(image), size, interpolation=cv2.INTER_AREA
                                        if image.shape[1] > size[0] else cv2.INTER_CUBIC))
                     for image in (thermal, rgb))
    return Scene(sample.name, sample.dataset, thermal, luma, label_sigma_px)


def _realigned(scenes: list[Scene]) -> list[Scene]:
    """Return the scenes of a data set without what they are off by in common."""
    if len(scenes) < _MIN_PAIRS_OF_RIG:
        return scenes
    size = _SCENE_WIDTH_PX, scenes[0].luma.shape[0]
    common_px = common_displacement_px([(scene.thermal, scene.luma) for scene in scenes], size)
    return [replace(scene, thermal=displace(scene.thermal, cv2.resize(
        common_px, geometry.size_of(scene.thermal)))) for scene in scenes]


def simulated_scenes(seeds: Iterable[int]) -> Iterator[Scene]:
    """Yield scenes of the simulator, exactly aligned: two moments of each seed."""
    for seed in seeds:
        condition = ('day', 'night', 'night', 'smoke')[seed % 4]
        simulator = RigSimulator(SimulatorParameters(
            condition=condition, seed=seed, rig=RigParameters(mode='homography')))
        for time_s in (1.0, 6.0):
            thermal, rgb, truth = simulator.render(time_s, seed)
            assert truth.H_thermal_to_rgb is not None
            size = geometry.size_of(rgb)
            on_grid = cv2.warpPerspective(normalize_contrast(thermal), truth.H_thermal_to_rgb, size,
                                          borderMode=cv2.BORDER_REFLECT_101)
            coverage = geometry.coverage(truth.H_thermal_to_rgb, geometry.size_of(thermal), size)
            rows, columns = (np.flatnonzero(coverage.mean(axis) > 0.97) for axis in (1, 0))
            if len(rows) < 200 or len(columns) < 260:
                continue
            window = np.s_[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
            yield Scene(f'{condition} {seed} {time_s:g} s', 'simulator',
                        _levels(on_grid[window]), _levels(normalize_contrast(rgb)[window]), _EXACT_PX)


def example(scene: Scene, random: np.random.Generator, easy: float = 0.0) -> Example:
    """
    Draw a view of a scene, a misalignment and two looks.

    With probability ``easy`` both looks are of the RGB image, one of them perhaps inverted: what
    to learn first, before it is learned that two cameras see different things.
    """
    hard = random.random() >= easy
    luma, thermal = (image.astype(np.float32) / 255 for image in (scene.luma, scene.thermal))
    label_sigma_px = scene.label_sigma_px
    if not hard:
        thermal, label_sigma_px = (1 - luma if random.random() < 0.5 else luma), _EXACT_PX
    elif random.random() < _PSEUDO:
        thermal, label_sigma_px = augmentation.simulate_thermal(luma, random), _EXACT_PX
    view = _random_view(geometry.size_of(luma), random)
    H = _random_misalignment(random)
    rgb_view = _warped(luma, view)
    thermal_view = _warped(thermal, np.linalg.inv(H) @ view)
    if hard:
        thermal_view = augmentation.augment_thermal(thermal_view, random)
        rgb_view = augmentation.augment_rgb(rgb_view, random)
    in_view = geometry.scale_at_centre(view, geometry.size_of(luma))
    return Example(normalized_input(thermal_view), normalized_input(rgb_view), H,
                   label_sigma_px * in_view)


def examples(settings: RegistrationTraining
             ) -> Callable[[Scene, np.random.Generator, int], Example]:
    """Return what draws an example of a scene at a step: ever fewer easy ones."""
    return lambda scene, random, step: example(
        scene, random, max(_LEAST_EASY, 1 - step / settings.easy_steps))


def as_tensors(batch: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """
    Return a batch of examples as tensors.

    Returns
    -------
    thermal, rgb
        ``(B, 2, H, W)`` float32.
    H_thermal_to_rgb
        ``(B, 3, 3)`` float32.
    label_sigma_px
        ``(B,)`` float32.

    """
    thermal, rgb = (torch.from_numpy(np.stack([getattr(one, name) for one in batch]))
                    .contiguous(memory_format=torch.channels_last) for name in ('thermal', 'rgb'))
    H = torch.from_numpy(np.stack([one.H_thermal_to_rgb for one in batch])).float()
    return thermal, rgb, H, torch.tensor([one.label_sigma_px for one in batch], dtype=torch.float32)


def map_pixels(pixels: Tensor, H: Tensor, stride: int) -> Tensor:
    """Map pixels ``(B, ..., 2)`` of a map by ``H`` (B, 3, 3), which is in pixels of the image."""
    flat = pixels.flatten(1, -2) * stride + (stride - 1) / 2
    moved = torch.cat([flat, torch.ones_like(flat[..., :1])], -1) @ H.transpose(1, 2)
    return ((moved[..., :2] / moved[..., 2:] - (stride - 1) / 2) / stride).reshape(pixels.shape)


def _levels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _random_view(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return the homography from a scene to a view: crop, mirror, aspect, a little rotation."""
    width = size[0] * random.uniform(0.5, 1.0)
    height = min(size[1], width * HEIGHT_PX / WIDTH_PX * random.uniform(0.75, 1.2))
    left, top = random.uniform(0, size[0] - width), random.uniform(0, size[1] - height)
    crop = geometry.scaling(WIDTH_PX / width, HEIGHT_PX / height) \
        @ geometry.translation(-left, -top)
    turn = geometry.rotation(np.deg2rad(random.uniform(-6, 6)), (WIDTH_PX / 2, HEIGHT_PX / 2))
    mirror = np.eye(3)
    if random.random() < 0.5:
        mirror = geometry.translation(WIDTH_PX - 1, 0) @ geometry.scaling(-1, 1)
    return turn @ mirror @ crop


def _random_misalignment(random: np.random.Generator) -> np.ndarray:
    corners = geometry.corners_px((WIDTH_PX, HEIGHT_PX))
    reach_px = _CORNER_REACH * WIDTH_PX * random.uniform(0.2, 1.0)
    jitter = geometry.from_corners(corners, corners + random.uniform(-reach_px, reach_px, (4, 2)))
    if random.random() < 0.35:
        return jitter
    scale, middle = np.exp(random.uniform(-0.25, 0.25)), (WIDTH_PX / 2, HEIGHT_PX / 2)
    rig = geometry.translation(*random.uniform(-0.25, 0.25, 2) * (WIDTH_PX, HEIGHT_PX)) \
        @ geometry.rotation(np.deg2rad(random.uniform(-7, 7)), middle) \
        @ geometry.translation(*middle) @ geometry.scaling(scale, scale) \
        @ geometry.translation(-middle[0], -middle[1])
    mild = geometry.from_corners(corners, corners + 0.3 * random.uniform(-reach_px, reach_px,
                                                                         (4, 2)))
    return geometry.normalize_homography(rig @ mild)


def _warped(image: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Return the view of an image by a homography, smoothed first where that shrinks it."""
    shrink = geometry.scale_at_centre(H, geometry.size_of(image))
    if shrink < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / shrink)
    return cv2.warpPerspective(image, H, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REFLECT_101)
