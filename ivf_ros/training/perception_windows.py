# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Windows of scenes for segmentation and detection, cut and changed on the device that trains.

All views of all scenes lie there, so that a step costs no transfer and little more than the
network itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ivf_ros import detection, geometry
from ivf_ros.data.sample import IGNORED
from ivf_ros.training import loop
from ivf_ros.training.fusion_data import NOT_LABELLED
from ivf_ros.training.perception_data import CANVAS_PX, PerceptionScene
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

IGNORED_CLASS, NO_BOX = -1, -2
_SCALES = 0.6, 1.7
_LEAST_VISIBLE, _LEAST_SIDE_PX = 0.3, 3.0
_CAMERA_DROPOUT = 0.08  # share of the windows in which one of two cameras shows nothing


@dataclass(frozen=True, eq=False)
class Batch:
    """
    Windows.

    Attributes
    ----------
    images:
        ``(B, C, side, side)`` float32 from 0 to 1.
    labels:
        ``(B, side, side)`` int64, 255 where nobody knows.
    boxes_px, classes:
        ``(B, M, 4)`` float32 and ``(B, M)`` int64 places in ``detection.CLASS_NAMES``,
        ``IGNORED_CLASS`` or ``NO_BOX``.

    """

    images: Tensor
    labels: Tensor
    boxes_px: Tensor
    classes: Tensor


class WindowSampler:
    """
    All views of all scenes on one device, to cut windows from.

    Parameters
    ----------
    scenes:
        What to learn from.
    views_of:
        Of each scene, see ``views``.
    device:
        Where, for example ``'cpu'`` or ``'cuda'``.

    """

    def __init__(self, scenes: Sequence[PerceptionScene], views_of: Sequence[list[np.ndarray]],
                 device: str) -> None:
        width, height = CANVAS_PX
        most = max(1, *(len(scene.boxes) for scene in scenes))
        count = sum(map(len, views_of))
        self.images = torch.zeros(count, views_of[0][0].shape[2], height, width,
                                  dtype=torch.uint8)
        self.labels = torch.full((len(scenes), 1, height, width), NOT_LABELLED, dtype=torch.uint8)
        self.boxes_px = torch.zeros(len(scenes), most, 4)
        self.classes = torch.full((len(scenes), most), NO_BOX)
        self.sizes_px = torch.tensor([geometry.size_of(scene.thermal) for scene in scenes])
        self.share = loop.sampling_probabilities([scene.dataset for scene in scenes])
        self.variants = len(views_of[0])
        for index, (scene, of_scene) in enumerate(zip(scenes, views_of)):
            high, wide = scene.thermal.shape
            for number, view in enumerate(of_scene):
                self.images[index * self.variants + number, :, :high, :wide] = torch.from_numpy(
                    view).permute(2, 0, 1)
            self.labels[index, 0, :high, :wide] = torch.from_numpy(scene.labels)
            for number, box in enumerate(scene.boxes):
                self.boxes_px[index, number] = torch.tensor(box.box_xyxy_px)
                self.classes[index, number] = IGNORED_CLASS if box.class_name == IGNORED \
                    else detection.CLASS_NAMES.index(box.class_name)
        for name in ('images', 'labels', 'boxes_px', 'classes', 'sizes_px'):
            setattr(self, name, getattr(self, name).to(device))

    def batch(self, random: np.random.Generator, size: int, side_px: int) -> Batch:
        """Draw windows, half of them around an object, mirrored, scaled, in another light."""
        device = self.images.device
        scenes = random.choice(len(self.share), size, p=self.share)
        views_ = torch.from_numpy(scenes * self.variants
                                  + random.integers(self.variants, size=size)).to(device)
        chosen = torch.from_numpy(scenes).to(device)
        draw = torch.Generator(device).manual_seed(int(random.integers(2 ** 62)))
        uniform = _Uniform(draw, size, device)

        boxes_px, classes = self.boxes_px[chosen], self.classes[chosen]
        scale = torch.exp(uniform(*np.log(_SCALES)))
        mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
        middle_px = _window_centres_px(boxes_px, classes, self.sizes_px[chosen], side_px / scale, uniform)

        grid = _grid(middle_px, scale, mirror, side_px)
        images = F.grid_sample(self.images[views_].float() / 255, grid, align_corners=False)
        labels = F.grid_sample(self.labels[chosen].float() - NOT_LABELLED, grid, mode='nearest',
                               align_corners=False)[:, 0] + NOT_LABELLED
        boxes_px, classes = _crop_boxes(boxes_px, classes, middle_px, scale, mirror, side_px)
        return Batch(_augment_photometric(images, uniform, draw), labels.round().long(), boxes_px,
                     classes)


class _Uniform:
    """Draws one number for each example."""

    def __init__(self, draw: torch.Generator, size: int, device: torch.device) -> None:
        self._draw, self._size, self._device = draw, size, device

    def __call__(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(self._size, *shape, generator=self._draw, device=self._device)
        return low + (high - low) * drawn


def _window_centres_px(boxes_px: Tensor, classes: Tensor, sizes_px: Tensor, window_size_px: Tensor,
                       uniform: _Uniform) -> Tensor:
    """Return the middle ``(B, 2)`` of each window in its image: near an object, or anywhere."""
    anywhere = uniform(0, 1, 2) * sizes_px
    chosen = ((classes >= 0) * uniform(0.01, 1, classes.shape[1])).argmax(1)
    box = boxes_px[torch.arange(len(chosen), device=chosen.device), chosen]
    near = (box[:, :2] + box[:, 2:]) / 2 + uniform(-0.4, 0.4, 2) * window_size_px[:, None]
    centre_on_object = (uniform(0, 1) < 0.5) & (classes >= 0).any(1)
    middle = torch.where(centre_on_object[:, None], near, anywhere)
    half = window_size_px[:, None] / 2
    within = torch.minimum(torch.maximum(middle, half), sizes_px - half)
    return torch.where(sizes_px > 2 * half, within, sizes_px / 2)  # too small an image: all of it


def _grid(middle_px: Tensor, scale: Tensor, mirror: Tensor, side_px: int) -> Tensor:
    """Return where to look for each pixel of a window, as ``grid_sample`` takes it."""
    place = torch.arange(side_px, device=scale.device) + 0.5 - side_px / 2
    offset = place[None] / scale[:, None]
    x = (middle_px[:, :1] + mirror[:, None] * offset) * (2 / CANVAS_PX[0]) - 1
    y = (middle_px[:, 1:] + offset) * (2 / CANVAS_PX[1]) - 1
    return torch.stack([x[:, None].expand(-1, side_px, -1), y[..., None].expand(-1, -1, side_px)],
                       -1)


def _crop_boxes(boxes_px: Tensor, classes: Tensor, middle_px: Tensor, scale: Tensor,
                mirror: Tensor, side_px: int) -> tuple[Tensor, Tensor]:
    """Return boxes in pixels of the window; what is mostly outside is neither there nor not."""
    left_top, right_bottom = ((corner - middle_px[:, None]) * scale[:, None, None]
                              for corner in boxes_px.split(2, -1))
    x = torch.stack([left_top[..., 0], right_bottom[..., 0]], -1) * mirror[:, None, None]
    x = x.sort(-1).values
    whole = torch.stack([x[..., 0], left_top[..., 1], x[..., 1], right_bottom[..., 1]],
                        -1) + side_px / 2
    cut = whole.clamp(0, side_px)
    wide, high = (cut[..., 2:] - cut[..., :2]).unbind(-1)
    visible = wide * high / ((whole[..., 2:] - whole[..., :2]).prod(-1) + 1e-6)
    small = (visible < _LEAST_VISIBLE) | (torch.minimum(wide, high) < _LEAST_SIDE_PX)
    classes = torch.where((classes >= 0) & small, IGNORED_CLASS, classes)
    return cut, torch.where((wide * high > 0) | (classes == NO_BOX), classes, NO_BOX)


def _augment_photometric(images: Tensor, uniform: _Uniform, draw: torch.Generator) -> Tensor:
    """Change exposure, contrast, colour, sharpness and noise; of two cameras each by itself."""
    cameras = images.split([3, images.shape[1] - 3], 1) if images.shape[1] > 3 else (images,)
    changed = [_augment_exposure(camera, uniform) for camera in cameras]
    if len(cameras) > 1:
        changed = [camera * (uniform(0, 1, 1, 1, 1) > _CAMERA_DROPOUT) for camera in changed]
    images = torch.cat(changed, 1)
    soft = F.avg_pool2d(images, 3, 1, 1)
    images = torch.lerp(images, soft, uniform(-0.7, 1.0, 1, 1, 1).clamp_min(0))
    noise = torch.randn(images.shape, generator=draw, device=images.device)
    return (images + noise * uniform(0, 0.04, 1, 1, 1)).clamp(0, 1)


def _augment_exposure(camera: Tensor, uniform: _Uniform) -> Tensor:
    """Change the exposure, contrast and colour of one camera."""
    exponent, gain = torch.exp(uniform(-0.4, 0.4, 1, 1, 1)), uniform(0.75, 1.3, 1, 1, 1)
    colour = uniform(0.9, 1.1, camera.shape[1], 1, 1)
    mean = camera.mean((1, 2, 3), keepdim=True)
    curved = ((camera.clamp_min(1e-4) ** exponent - mean) * gain + mean) * colour
    return curved + uniform(-0.12, 0.12, 1, 1, 1)
