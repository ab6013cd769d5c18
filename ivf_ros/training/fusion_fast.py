# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of the fusion network ``fast``, which preserves the content of both cameras.

    ivf train fusion --method fast --data DIR --out runs/fusion_fast

There is no ground truth for a fused image, so the training maximises the usual fusion metrics:
fidelity (VIF), preserved edges (Qabf), structure (SSIM), the contribution of each camera (SCD),
mutual information (MI), contrast (SD, EN) and sharpness (SF), of the fused image and both sources.
So the values of these metrics are no independent evidence for this method. The pictures are, and
the results of a detector on them. With the metrics alone, the network draws dark haloes and
patches, which they reward. So three losses are added: the fused image must be close to the
brighter source, must have no coarse edge that neither source has, and must not change more over
time than the sources do.

The input of the network is worse than the images for the metrics: noise is added, and thermal is
shifted by up to 3 pixels, so that the network learns to draw an edge once, at its position in RGB.
Light, glare, smoke and saturation are part of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from ivf_ros import geometry
from ivf_ros.data import augmentation
from ivf_ros.fusion.network_fast import FastFusionNetwork
from ivf_ros.training import fusion_losses, loop
from ivf_ros.training.fusion_data import draw_window, FusionScene, to_tensors
from ivf_ros.training.settings import FastFusionTraining
import numpy as np
import torch
from torch import Tensor

SIDE_PX = 192
_MARGIN_PX = 4  # around an example, for the shift of thermal
_MISALIGN_PROBABILITY, _MAX_SHIFT_PX = 0.3, 3.0
_NOISE_PROBABILITY, _MAX_NOISE = 0.6, 0.03
_IMPAIR_PROBABILITY = 0.4
_IMPAIRMENTS = (augmentation.darken, augmentation.add_glare, augmentation.add_smoke)  # of RGB
_MOTION_PROBABILITY, _MAX_MOTION_PX = 0.5, 2.0
_CHANGE = (0.001, 0.03)  # standard deviation of the change to the next frame


@dataclass(frozen=True, eq=False)
class FastExample:
    """
    A window of a scene; all fields are ``(1, 192, 192)`` float32 from 0 to 1.

    Attributes
    ----------
    thermal, luma:
        Images for the metrics.
    thermal_input, luma_input:
        Input of the network, with noise, and thermal possibly misaligned.
    thermal_next, luma_next:
        Input of the next frame, with other noise and exposure, and possibly with motion.

    """

    thermal: np.ndarray
    luma: np.ndarray
    thermal_input: np.ndarray
    luma_input: np.ndarray
    thermal_next: np.ndarray
    luma_next: np.ndarray


def train(scenes: Sequence[FusionScene], out: Path, settings: FastFusionTraining,
          overfit: bool = False) -> FastFusionNetwork:
    """Train the network; see ``training.loop``."""
    torch.manual_seed(settings.seed)
    network = FastFusionNetwork()
    return loop.run(network, lambda batch: compute_losses(network, batch, settings),
                    loop.make_batch_sampler(draw_example, scenes, settings.batch), out, settings,
                    overfit)


def compute_losses(network: FastFusionNetwork, batch: Sequence[FastExample],
                   settings: FastFusionTraining) -> loop.Losses:
    """Return the loss, and the metrics and penalties by name for the log."""
    thermal, luma, thermal_input, luma_input, thermal_next, luma_next = to_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        fused, fused_next = network(torch.cat([thermal_input, thermal_next]),
                                    torch.cat([luma_input, luma_next])).chunk(2)
    logged = compute_metrics(thermal, luma, fused)
    reward = sum((getattr(settings, name) * value for name, value in logged.items()),
                 torch.zeros(()))
    penalties = {'brighter': fusion_losses.intensity_loss(thermal, luma, fused),
                 'flicker': fusion_losses.flicker_loss(
                     (thermal_input, thermal_next), (luma_input, luma_next), (fused, fused_next)),
                 'made_up': fusion_losses.hallucinated_edge_loss(thermal, luma, fused),
                 'beyond': (fused - fused.clamp(0, 1)).abs().mean()}
    return sum((getattr(settings, name) * value for name, value in penalties.items()),
               -reward), {**logged, **penalties}


def compute_metrics(thermal: Tensor, luma: Tensor, fused: Tensor) -> dict[str, Tensor]:
    """Return the means of the metrics over the batch; SD and SF are relative to the sources."""
    sources = thermal, luma
    source_max = {name: torch.maximum(metric(thermal), metric(luma))
                  for name, metric in (('SD', fusion_losses.deviation),
                                       ('SF', fusion_losses.spatial_frequency))}
    values = {
        'VIF': sum(fusion_losses.visual_fidelity(source, fused) for source in sources),
        'Qabf': fusion_losses.edge_preservation(thermal, luma, fused),
        'SSIM': sum(fusion_losses.structural_similarity(source, fused) for source in sources) / 2,
        'SCD': fusion_losses.correlation(fused - luma, thermal)
        + fusion_losses.correlation(fused - thermal, luma),
        'MI': sum(fusion_losses.mutual_information_bits(source, fused) for source in sources),
        'EN': fusion_losses.entropy_bits(fused),
        'SD': torch.log((fusion_losses.deviation(fused) + 0.01) / (source_max['SD'] + 0.01)),
        'SF': torch.log((fusion_losses.spatial_frequency(fused) + 0.01)
                        / (source_max['SF'] + 0.01)),
    }
    return {name: torch.as_tensor(value).mean() for name, value in values.items()}


def draw_example(scene: FusionScene, random: np.random.Generator, _step: int = 0) -> FastExample:
    """Draw a window of a scene, and from it the input of the network and of the next frame."""
    crop = draw_window(scene, random, SIDE_PX + 2 * _MARGIN_PX)
    thermal = crop(scene.thermal, cv2.INTER_AREA).astype(np.float32) / 255
    luma = crop(cv2.cvtColor(scene.rgb, cv2.COLOR_BGR2GRAY), cv2.INTER_AREA
                ).astype(np.float32) / 255
    if random.random() < _IMPAIR_PROBABILITY:
        if random.random() < 0.25:
            thermal = augmentation.saturate(thermal, random)
        else:
            luma = _IMPAIRMENTS[random.integers(len(_IMPAIRMENTS))](luma, random)
    misaligned = _misalign(thermal, random) if random.random() < _MISALIGN_PROBABILITY \
        else thermal
    thermal_input, luma_input = misaligned, luma
    if random.random() < _NOISE_PROBABILITY:
        thermal_input, luma_input = (augmentation.add_noise(image, random, _MAX_NOISE)
                                     for image in (misaligned, luma))
    change = np.exp(random.uniform(*np.log(_CHANGE)))  # same in both cameras: the hardest case
    moved: tuple[np.ndarray, ...] = thermal_input, luma_input
    if random.random() < _MOTION_PROBABILITY:
        moved = _move_parts(moved, random)
    thermal_next, luma_next = (_next_frame(image, change * random.uniform(0.5, 1), random)
                               for image in moved)
    inner = np.s_[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
    return FastExample(*(np.clip(image[inner], 0, 1).astype(np.float32)[None]
                         for image in (thermal, luma, thermal_input, luma_input, thermal_next,
                                       luma_next)))


def _misalign(thermal: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return thermal with each corner moved by up to 3 pixels, mainly by a common shift."""
    size = geometry.size_of(thermal)
    corners = geometry.corners_px(size)
    moved = corners + random.uniform(-1, 1, 2) * (_MAX_SHIFT_PX - 1) \
        + random.uniform(-1, 1, (4, 2))
    return cv2.warpPerspective(thermal, geometry.from_corners(corners, moved), size,
                               flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _move_parts(images: tuple[np.ndarray, ...], random: np.random.Generator
                ) -> tuple[np.ndarray, ...]:
    """Return images in which the same parts are displaced, each in a random direction."""
    height, width = images[0].shape
    shift_px = random.uniform(-1, 1, (5, 5, 2)) * random.uniform(0.2, _MAX_MOTION_PX)
    is_moving = random.random((5, 5, 1)) < 0.5
    field = cv2.resize((shift_px * is_moving).astype(np.float32), (width, height),
                       interpolation=cv2.INTER_CUBIC)
    row, column = np.mgrid[:height, :width].astype(np.float32)
    return tuple(cv2.remap(image, column + field[..., 0], row + field[..., 1], cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101) for image in images)


def _next_frame(image: np.ndarray, amplitude: float, random: np.random.Generator) -> np.ndarray:
    """Return the image of the next frame of the same scene, which is similar."""
    change: np.ndarray = random.standard_normal(image.shape, dtype=np.float32)
    if random.random() < 0.6:  # compression and smoke change blotches rather than pixels
        change = cv2.GaussianBlur(change, (0, 0), random.uniform(0.7, 8.0))
        change = change / np.float32(change.std() + 1e-6)
    if random.random() < 0.5:  # a change in one part of the image only
        coarse = random.uniform(-1, 1, (4, 4)).astype(np.float32)
        change = change * np.clip(cv2.resize(coarse, image.shape[::-1],
                                             interpolation=cv2.INTER_CUBIC), 0, 1)
    exposure = random.uniform(-0.5, 0.5) * amplitude
    return image + np.float32(exposure) + np.float32(amplitude) * change
