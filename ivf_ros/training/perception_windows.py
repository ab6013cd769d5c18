# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Windows of scenes for segmentation and detection, cropped and augmented on the training device.

All views of all scenes are stored on that device, so a step needs no transfer and takes little
more time than the network itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ivf_ros import detection, geometry
from ivf_ros.data.sample import IGNORED
from ivf_ros.training import loop
from ivf_ros.training.camera_failures import (
    blank_out,
    draw_blank,
    draw_shift_px,
    is_lost,
    shows_boxes,
)
from ivf_ros.training.fusion_data import NOT_LABELLED
from ivf_ros.training.perception_data import CANVAS_PX, PerceptionScene
from ivf_ros.training.settings import CameraFailures, PerceptionTraining
import numpy as np
import torch
from torch import nn, Tensor
import torch.nn.functional as F

Network = TypeVar('Network', bound=nn.Module)

IGNORED_CLASS, NO_BOX = -1, -2
_SCALES = 0.6, 1.7
_MIN_VISIBLE, _MIN_SIDE_PX = 0.3, 3.0  # visible fraction and side of a box
_NO_FAILURES = CameraFailures(blank=0.0, late=0.0)


@dataclass(frozen=True, eq=False)
class Batch:
    """
    A batch of windows.

    Attributes
    ----------
    images:
        ``(B, C, side, side)`` float32 from 0 to 1.
    labels:
        ``(B, side, side)`` int64, 255 where the class is unknown.
    boxes_px, classes:
        ``(B, M, 4)`` float32 and ``(B, M)`` int64 indices in ``detection.CLASS_NAMES``,
        ``IGNORED_CLASS`` or ``NO_BOX``.

    """

    images: Tensor
    labels: Tensor
    boxes_px: Tensor
    classes: Tensor


class WindowSampler:
    """
    All views of all scenes on one device, and the sampling of windows.

    Parameters
    ----------
    scenes:
        Training scenes.
    views:
        Views of each scene, see ``make_views``.
    device:
        Device of PyTorch, for example ``'cpu'`` or ``'cuda'``.

    """

    def __init__(self, scenes: Sequence[PerceptionScene], views: Sequence[list[np.ndarray]],
                 device: str) -> None:
        width, height = CANVAS_PX
        max_boxes = max(1, *(len(scene.boxes) for scene in scenes))
        count = sum(map(len, views))
        self.images = torch.zeros(count, views[0][0].shape[2], height, width,
                                  dtype=torch.uint8)
        self.labels = torch.full((len(scenes), 1, height, width), NOT_LABELLED, dtype=torch.uint8)
        self.boxes_px = torch.zeros(len(scenes), max_boxes, 4)
        self.classes = torch.full((len(scenes), max_boxes), NO_BOX)
        self.shows = torch.ones(count, max_boxes, 2, dtype=torch.bool)
        self.sizes_px = torch.tensor([geometry.size_of(scene.thermal) for scene in scenes])
        self.probabilities = loop.sampling_probabilities([scene.dataset for scene in scenes])
        self.variants = len(views[0])
        for index, (scene, scene_views) in enumerate(zip(scenes, views)):
            height_px, width_px = scene.thermal.shape
            for number, view in enumerate(scene_views):
                self.images[index * self.variants + number, :, :height_px, :width_px] = \
                    torch.from_numpy(view).permute(2, 0, 1)
                self.shows[index * self.variants + number, :len(scene.boxes)] = \
                    torch.from_numpy(shows_boxes(view, scene.boxes))
            self.labels[index, 0, :height_px, :width_px] = torch.from_numpy(scene.labels)
            for number, box in enumerate(scene.boxes):
                self.boxes_px[index, number] = torch.tensor(box.box_xyxy_px)
                self.classes[index, number] = IGNORED_CLASS if box.class_name == IGNORED \
                    else detection.CLASS_NAMES.index(box.class_name)
        for name in ('images', 'labels', 'boxes_px', 'classes', 'shows', 'sizes_px'):
            setattr(self, name, getattr(self, name).to(device))

    def draw_batch(self, random: np.random.Generator, size: int, side_px: int,
                   failures: CameraFailures = _NO_FAILURES) -> Batch:
        """Draw a batch of augmented windows, half of them near an object."""
        device = self.images.device
        scenes = random.choice(len(self.probabilities), size, p=self.probabilities)
        view_indices = torch.from_numpy(scenes * self.variants
                                        + random.integers(self.variants, size=size)).to(device)
        scene_indices = torch.from_numpy(scenes).to(device)
        generator = torch.Generator(device).manual_seed(int(random.integers(2 ** 62)))
        uniform = _Uniform(generator, size, device)

        boxes_px, classes = self.boxes_px[scene_indices], self.classes[scene_indices]
        scale = torch.exp(uniform(*np.log(_SCALES)))
        mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
        centres_px = _window_centres_px(boxes_px, classes, self.sizes_px[scene_indices],
                                        side_px / scale, uniform)

        grid = _sampling_grid(centres_px, scale, mirror, side_px)
        canvas = self.images[view_indices].float() / 255
        images = F.grid_sample(canvas, grid, align_corners=False)
        labels = F.grid_sample(self.labels[scene_indices].float() - NOT_LABELLED, grid,
                               mode='nearest', align_corners=False)[:, 0] + NOT_LABELLED
        boxes_px, classes = _crop_boxes(boxes_px, classes, centres_px, scale, mirror, side_px)
        if images.shape[1] > 3:
            shift_px = draw_shift_px(failures, uniform)
            shift = shift_px * torch.tensor([2 / CANVAS_PX[0], 2 / CANVAS_PX[1]], device=device)
            images[:, 3:] = F.grid_sample(canvas[:, 3:], grid + shift[:, None, None],
                                          align_corners=False)
        images = _augment_photometric(images, uniform)
        if images.shape[1] > 3:
            is_blank = draw_blank(failures, uniform)
            images = blank_out(images, is_blank, uniform)
            lost = is_lost(self.shows[view_indices], is_blank) & (classes >= 0)
            classes = torch.where(lost, IGNORED_CLASS, classes)
        return Batch(_augment_sharpness(images, uniform, generator), labels.round().long(),
                     boxes_px, classes)


def run_on_windows(network: Network, compute_losses: Callable[[Batch], loop.Losses],
                   sampler: WindowSampler, out: Path, settings: PerceptionTraining,
                   overfit: bool) -> Network:
    """Train a network on windows, on the device of the settings; see ``training.loop.run``."""
    network.to(settings.device)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return loop.run(network, compute_losses,
                    lambda random, _step: sampler.draw_batch(
                        random, settings.batch, settings.side_px, settings.failures),
                    out, settings, overfit)


class _Uniform:
    """Draws uniform random numbers for each example of a batch."""

    def __init__(self, generator: torch.Generator, size: int, device: torch.device) -> None:
        self._generator, self._size, self._device = generator, size, device

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(self._size, *shape, generator=self._generator, device=self._device)
        return low + (high - low) * drawn


def _window_centres_px(boxes_px: Tensor, classes: Tensor, sizes_px: Tensor, window_size_px: Tensor,
                       uniform: _Uniform) -> Tensor:
    """Return the centre ``(B, 2)`` of each window in its image: near an object, or anywhere."""
    anywhere = uniform(0, 1, 2) * sizes_px
    box_indices = ((classes >= 0) * uniform(0.01, 1, classes.shape[1])).argmax(1)
    box = boxes_px[torch.arange(len(box_indices), device=box_indices.device), box_indices]
    near = (box[:, :2] + box[:, 2:]) / 2 + uniform(-0.4, 0.4, 2) * window_size_px[:, None]
    centre_on_object = (uniform(0, 1) < 0.5) & (classes >= 0).any(1)
    centres_px = torch.where(centre_on_object[:, None], near, anywhere)
    half_px = window_size_px[:, None] / 2
    inside = torch.minimum(torch.maximum(centres_px, half_px), sizes_px - half_px)
    # A window larger than the image is centred.
    return torch.where(sizes_px > 2 * half_px, inside, sizes_px / 2)


def _sampling_grid(centres_px: Tensor, scale: Tensor, mirror: Tensor, side_px: int) -> Tensor:
    """Return the position of each pixel of a window in the canvas, as ``grid_sample`` needs it."""
    window_px = torch.arange(side_px, device=scale.device) + 0.5 - side_px / 2
    offset_px = window_px[None] / scale[:, None]
    x = (centres_px[:, :1] + mirror[:, None] * offset_px) * (2 / CANVAS_PX[0]) - 1
    y = (centres_px[:, 1:] + offset_px) * (2 / CANVAS_PX[1]) - 1
    return torch.stack([x[:, None].expand(-1, side_px, -1), y[..., None].expand(-1, -1, side_px)],
                       -1)


def _crop_boxes(boxes_px: Tensor, classes: Tensor, centres_px: Tensor, scale: Tensor,
                mirror: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    """Return boxes in pixels of the window; boxes that are mostly outside are ignored."""
    left_top, right_bottom = ((corner - centres_px[:, None]) * scale[:, None, None]
                              for corner in boxes_px.split(2, -1))
    x = torch.stack([left_top[..., 0], right_bottom[..., 0]], -1) * mirror[:, None, None]
    x = x.sort(-1).values
    whole_px = torch.stack([x[..., 0], left_top[..., 1], x[..., 1], right_bottom[..., 1]],
                           -1) + side_px / 2
    cropped_px = whole_px.clamp(0, side_px)
    width_px, height_px = (cropped_px[..., 2:] - cropped_px[..., :2]).unbind(-1)
    visible = width_px * height_px / ((whole_px[..., 2:] - whole_px[..., :2]).prod(-1) + 1e-6)
    is_small = (visible < _MIN_VISIBLE) | (torch.minimum(width_px, height_px) < _MIN_SIDE_PX)
    classes = torch.where((classes >= 0) & is_small, IGNORED_CLASS, classes)
    return cropped_px, torch.where((width_px * height_px > 0) | (classes == NO_BOX), classes,
                                   NO_BOX)


def _augment_photometric(images: Tensor, uniform: _Uniform) -> Tensor:
    """Augment exposure, contrast and colour of each camera."""
    cameras = images.split([3, images.shape[1] - 3], 1) if images.shape[1] > 3 else (images,)
    return torch.cat([_augment_exposure(camera, uniform) for camera in cameras], 1)


def _augment_sharpness(images: Tensor, uniform: _Uniform, generator: torch.Generator) -> Tensor:
    """Augment sharpness and noise, and limit to the range from 0 to 1."""
    blurred = F.avg_pool2d(images, 3, 1, 1)
    images = torch.lerp(images, blurred, uniform(-0.7, 1.0, 1, 1, 1).clamp_min(0))
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return (images + noise * uniform(0, 0.04, 1, 1, 1)).clamp(0, 1)


def _augment_exposure(camera: Tensor, uniform: _Uniform) -> Tensor:
    """Change the exposure, contrast and colour of one camera."""
    gamma, contrast = torch.exp(uniform(-0.4, 0.4, 1, 1, 1)), uniform(0.75, 1.3, 1, 1, 1)
    colour_gain = uniform(0.9, 1.1, camera.shape[1], 1, 1)
    mean = camera.mean((1, 2, 3), keepdim=True)
    adjusted = ((camera.clamp_min(1e-4) ** gamma - mean) * contrast + mean) * colour_gain
    return adjusted + uniform(-0.12, 0.12, 1, 1, 1)
