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
_MIN_PAIRS_OF_RIG = 30  # with fewer pairs the common displacement of a rig is not estimated
_EXACT_SIGMA_PX = 0.3  # of exactly aligned pairs
_DEFAULT_SIGMA_PX = 3.0  # if the accuracy of the alignment is unknown
_SIMULATED_SEED = 1000  # tests and demonstrations use smaller seeds
_PSEUDO_THERMAL_PROBABILITY = 0.2  # of examples whose thermal image is made from RGB
_MIN_MONOMODAL_PROBABILITY = 0.05  # of examples of one sensor, at the end of training
_MAX_CORNER_OFFSET = 0.105  # of a corner, as a fraction of the width


@dataclass(frozen=True, eq=False)
class Scene:
    """
    An aligned pair to make examples of.

    Attributes
    ----------
    name, dataset:
        Name of the sample and of its data set.
    thermal, luma:
        ``(H, W)`` uint8 of the same size, about 640 wide.
    label_sigma_px:
        Standard deviation of the alignment, in pixels of ``luma``.

    """

    name: str
    dataset: str
    thermal: np.ndarray
    luma: np.ndarray
    label_sigma_px: float


@dataclass(frozen=True, eq=False)
class Example:
    """
    Network input and label.

    Attributes
    ----------
    thermal, rgb:
        ``(2, 192, 256)`` float32, see ``normalized_input``.
    H_thermal_to_rgb:
        ``(3, 3)`` float64 between the two, in pixels.
    label_sigma_px:
        Standard deviation of the positions that the homography maps to.

    """

    thermal: np.ndarray
    rgb: np.ndarray
    H_thermal_to_rgb: np.ndarray
    label_sigma_px: float


def training_scenes(folder: Path, simulated: int = 60) -> list[Scene]:
    """
    Return the scenes for training: aligned data sets below a folder, and simulated scenes.

    Samples that a data set holds back for evaluation are excluded, see ``Dataset``. Every 40th
    frame of a video is used, because neighbouring frames are similar. The common displacement of
    the pairs of a large data set is removed.

    Parameters
    ----------
    folder:
        Folder with data sets.
    simulated:
        Number of seeds of the simulator, with up to two scenes each.

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
        scenes += _remove_common_displacement([make_scene(sample) for sample in samples])
    if not scenes:
        raise SourceError(f'{folder}: no aligned pairs to train on; give a folder with aligned '
                          'data sets')
    seeds = range(_SIMULATED_SEED, _SIMULATED_SEED + simulated)
    return scenes + list(make_simulated_scenes(seeds))


def make_scene(sample: Sample) -> Scene:
    """Return an aligned sample as a scene; raise SourceError if an image cannot be read."""
    thermal, rgb = sample.read_thermal(), sample.read_rgb()
    size = _SCENE_WIDTH_PX, round(_SCENE_WIDTH_PX * rgb.shape[0] / rgb.shape[1])
    label_sigma_px = _DEFAULT_SIGMA_PX if sample.alignment_px is None \
        else sample.alignment_px * size[0] / rgb.shape[1]
    thermal, luma = (_to_uint8(cv2.resize(
        normalize_contrast(image), size,
        interpolation=cv2.INTER_AREA if image.shape[1] > size[0] else cv2.INTER_CUBIC))
        for image in (thermal, rgb))
    return Scene(sample.name, sample.dataset, thermal, luma, label_sigma_px)


def _remove_common_displacement(scenes: list[Scene]) -> list[Scene]:
    """Return the scenes of a data set without the common displacement of their thermal images."""
    if len(scenes) < _MIN_PAIRS_OF_RIG:
        return scenes
    size = _SCENE_WIDTH_PX, scenes[0].luma.shape[0]
    common_px = common_displacement_px([(scene.thermal, scene.luma) for scene in scenes], size)
    return [replace(scene, thermal=displace(scene.thermal, cv2.resize(
        common_px, geometry.size_of(scene.thermal)))) for scene in scenes]


def make_simulated_scenes(seeds: Iterable[int]) -> Iterator[Scene]:
    """Yield exactly aligned scenes of the simulator: up to two points in time of each seed."""
    for seed in seeds:
        condition = ('day', 'night', 'night', 'smoke')[seed % 4]
        simulator = RigSimulator(SimulatorParameters(
            condition=condition, seed=seed, rig=RigParameters(mode='homography')))
        for time_s in (1.0, 6.0):
            thermal, rgb, truth = simulator.render(time_s, seed)
            assert truth.H_thermal_to_rgb is not None
            size = geometry.size_of(rgb)
            registered = cv2.warpPerspective(normalize_contrast(thermal), truth.H_thermal_to_rgb,
                                             size, borderMode=cv2.BORDER_REFLECT_101)
            coverage = geometry.coverage(truth.H_thermal_to_rgb, geometry.size_of(thermal), size)
            rows, columns = (np.flatnonzero(coverage.mean(axis) > 0.97) for axis in (1, 0))
            if len(rows) < 200 or len(columns) < 260:
                continue
            window = np.s_[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
            yield Scene(f'{condition} {seed} {time_s:g} s', 'simulator',
                        _to_uint8(registered[window]), _to_uint8(normalize_contrast(rgb)[window]),
                        _EXACT_SIGMA_PX)


def draw_example(scene: Scene, random: np.random.Generator,
                 monomodal_probability: float = 0.0) -> Example:
    """
    Draw a random view of a scene, a misalignment and a photometric augmentation of both images.

    With ``monomodal_probability`` both images are made from RGB, possibly with inverted contrast,
    without augmentation. Such examples are easier and are used mainly at the start of training.
    """
    multimodal = random.random() >= monomodal_probability
    luma, thermal = (image.astype(np.float32) / 255 for image in (scene.luma, scene.thermal))
    label_sigma_px = scene.label_sigma_px
    if not multimodal:
        thermal, label_sigma_px = (1 - luma if random.random() < 0.5 else luma), _EXACT_SIGMA_PX
    elif random.random() < _PSEUDO_THERMAL_PROBABILITY:
        thermal, label_sigma_px = augmentation.simulate_thermal(luma, random), _EXACT_SIGMA_PX
    view = _random_view(geometry.size_of(luma), random)
    H = _random_misalignment(random)
    rgb_view = _warp_to_view(luma, view)
    thermal_view = _warp_to_view(thermal, np.linalg.inv(H) @ view)
    if multimodal:
        thermal_view = augmentation.augment_thermal(thermal_view, random)
        rgb_view = augmentation.augment_rgb(rgb_view, random)
    view_px_per_px = geometry.scale_at_centre(view, geometry.size_of(luma))
    return Example(normalized_input(thermal_view), normalized_input(rgb_view), H,
                   label_sigma_px * view_px_per_px)


def make_example_sampler(settings: RegistrationTraining
                         ) -> Callable[[Scene, np.random.Generator, int], Example]:
    """
    Return a function that draws an example of a scene at a training step.

    The probability of monomodal examples falls from 1 to 0.05 over ``easy_steps`` steps.
    """
    return lambda scene, random, step: draw_example(
        scene, random, max(_MIN_MONOMODAL_PROBABILITY, 1 - step / settings.easy_steps))


def to_tensors(batch: Sequence[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
    thermal, rgb = (torch.from_numpy(np.stack([getattr(example, name) for example in batch]))
                    .contiguous(memory_format=torch.channels_last) for name in ('thermal', 'rgb'))
    H = torch.from_numpy(np.stack([example.H_thermal_to_rgb for example in batch])).float()
    return thermal, rgb, H, torch.tensor([example.label_sigma_px for example in batch],
                                         dtype=torch.float32)


def map_pixels(pixels: Tensor, H: Tensor, stride: int) -> Tensor:
    """Map pixels ``(B, ..., 2)`` of a feature map by ``H`` (B, 3, 3) in pixels of the image."""
    image_px = pixels.flatten(1, -2) * stride + (stride - 1) / 2
    mapped = torch.cat([image_px, torch.ones_like(image_px[..., :1])], -1) @ H.transpose(1, 2)
    return ((mapped[..., :2] / mapped[..., 2:] - (stride - 1) / 2) / stride).reshape(pixels.shape)


def _to_uint8(image: np.ndarray) -> np.ndarray:
    """Return an image of 0 to 1 as uint8 levels of 0 to 255."""
    return np.clip(np.rint(image * 255), 0, 255).astype(np.uint8)


def _random_view(size: tuple[int, int], random: np.random.Generator) -> np.ndarray:
    """Return a homography from a scene to a view: crop, flip, aspect ratio, small rotation."""
    width = size[0] * random.uniform(0.5, 1.0)
    height = min(size[1], width * HEIGHT_PX / WIDTH_PX * random.uniform(0.75, 1.2))
    left, top = random.uniform(0, size[0] - width), random.uniform(0, size[1] - height)
    crop = geometry.scaling(WIDTH_PX / width, HEIGHT_PX / height) \
        @ geometry.translation(-left, -top)
    rotation = geometry.rotation(np.deg2rad(random.uniform(-6, 6)),
                                 (WIDTH_PX / 2, HEIGHT_PX / 2))
    flip = np.eye(3)
    if random.random() < 0.5:
        flip = geometry.translation(WIDTH_PX - 1, 0) @ geometry.scaling(-1, 1)
    return rotation @ flip @ crop


def _random_misalignment(random: np.random.Generator) -> np.ndarray:
    """Return a homography of random corner offsets, or of a similarity and smaller offsets."""
    corners = geometry.corners_px((WIDTH_PX, HEIGHT_PX))
    reach_px = _MAX_CORNER_OFFSET * WIDTH_PX * random.uniform(0.2, 1.0)
    jitter = geometry.from_corners(corners, corners + random.uniform(-reach_px, reach_px, (4, 2)))
    if random.random() < 0.35:
        return jitter
    scale, centre = np.exp(random.uniform(-0.25, 0.25)), (WIDTH_PX / 2, HEIGHT_PX / 2)
    similarity = geometry.translation(*random.uniform(-0.25, 0.25, 2) * (WIDTH_PX, HEIGHT_PX)) \
        @ geometry.rotation(np.deg2rad(random.uniform(-7, 7)), centre) \
        @ geometry.translation(*centre) @ geometry.scaling(scale, scale) \
        @ geometry.translation(-centre[0], -centre[1])
    small_jitter = geometry.from_corners(
        corners, corners + 0.3 * random.uniform(-reach_px, reach_px, (4, 2)))
    return geometry.normalize_homography(similarity @ small_jitter)


def _warp_to_view(image: np.ndarray, H: np.ndarray) -> np.ndarray:
    """Return an image warped to a view, smoothed before if the warp shrinks it."""
    scale = geometry.scale_at_centre(H, geometry.size_of(image))
    if scale < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.45 / scale)
    return cv2.warpPerspective(image, H, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_REFLECT_101)
