# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains the fusion network ``fast`` to keep what both cameras show.

    ivf train fusion --method fast --data DIR --out runs/fusion_fast

There is no true fused image, so what is maximised is what the field measures: fidelity (VIF),
edges kept (Qabf), structure (SSIM), what each camera adds (SCD), shared information (MI),
contrast (SD, EN) and sharpness (SF), of the fused image against both sources. Numbers of these
measures are therefore no independent evidence for this method; the pictures are, and what a
detector finds in them. Left to the measures alone, the network draws dark haloes and patches,
which they reward. So the fused image is to be near the brighter source, to have no coarse edge
that neither source has, and to change no more than they do from one moment to the next.

The network is shown less than what it is measured by: noise is added, and thermal is moved by up
to 3 pixels, so that it learns to draw an edge once, where RGB has it. Light, glare, smoke and
saturation are part of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
from ivf_ros import geometry
from ivf_ros.data import augmentation
from ivf_ros.fusion.network_fast import FastFusionNetwork
from ivf_ros.training import fusion_losses as measures, loop
from ivf_ros.training.fusion_data import as_tensors, draw_window, FusionScene
from ivf_ros.training.settings import FastFusionTraining
import numpy as np
import torch
from torch import Tensor

SIDE_PX = 192
_MARGIN_PX = 4  # of an example that thermal may be moved in
_MISALIGN_PROBABILITY, _MOST_MOVED_PX = 0.3, 3.0
_NOISE_PROBABILITY, _MOST_NOISE = 0.6, 0.03
_IMPAIR_PROBABILITY = 0.4
_IMPAIRMENTS = (augmentation.darken, augmentation.add_glare, augmentation.add_smoke)  # of RGB
_MOTION_PROBABILITY, _MOST_MOTION_PX = 0.5, 2.0
_CHANGE = (0.001, 0.03)  # standard deviation of what is different a moment later


@dataclass(frozen=True, eq=False)
class FastExample:
    """
    A window of a scene: ``(1, 192, 192)`` float32 from 0 to 1 all.

    Attributes
    ----------
    thermal, luma:
        What fusion is measured by.
    thermal_seen, luma_seen:
        What it is shown, with noise, and thermal perhaps misaligned.
    thermal_next, luma_next:
        The same a moment later: other noise, another exposure, and something may have moved.

    """

    thermal: np.ndarray
    luma: np.ndarray
    thermal_input: np.ndarray
    luma_input: np.ndarray
    thermal_next: np.ndarray
    luma_next: np.ndarray


def train(scenes: Sequence[FusionScene], out: Path, settings: FastFusionTraining,
          overfit: bool = False) -> FastFusionNetwork:
    """
    Train, or go on training where ``out`` holds a checkpoint of the same settings.

    Parameters
    ----------
    scenes:
        To draw examples from, in proportion to the square root of how many a data set has.
    out:
        Folder for ``checkpoint.pt`` and ``log.jsonl``, one line every 20 steps.
    settings:
        How.
    overfit:
        See the same batch again and again: the loss must fall far.

    """
    torch.manual_seed(settings.seed)
    network = FastFusionNetwork()
    return loop.run(network, lambda batch: losses(network, batch, settings),
                    loop.make_batch_sampler(example, scenes, settings.batch), out, settings, overfit)


def losses(network: FastFusionNetwork, batch: Sequence[FastExample],
           settings: FastFusionTraining) -> loop.Losses:
    """Return the loss, and the measures by name as they are reported for whole images."""
    thermal, luma, thermal_input, luma_input, thermal_next, luma_next = as_tensors(batch)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        fused, fused_next = network(torch.cat([thermal_input, thermal_next]),
                                    torch.cat([luma_input, luma_next])).chunk(2)
    logged = compute_measures(thermal, luma, fused)
    reward = sum((getattr(settings, name) * value for name, value in logged.items()),
                 torch.zeros(()))
    penalties = {'brighter': measures.intensity_loss(thermal, luma, fused),
                 'flicker': measures.flicker_loss((thermal_input, thermal_next), (luma_input, luma_next),
                                                  (fused, fused_next)),
                 'made_up': measures.hallucinated_edge_loss(thermal, luma, fused),
                 'beyond': (fused - fused.clamp(0, 1)).abs().mean()}
    return sum((getattr(settings, name) * value for name, value in penalties.items()),
               -reward), {**logged, **penalties}


def compute_measures(thermal: Tensor, luma: Tensor, fused: Tensor) -> dict[str, Tensor]:
    """Return the means of the measures over the batch; SD, EN and SF relative to the sources."""
    sources = thermal, luma
    most = {name: torch.maximum(measure(thermal), measure(luma))
            for name, measure in (('SD', measures.deviation), ('SF', measures.spatial_frequency))}
    values = {
        'VIF': sum(measures.visual_fidelity(one, fused) for one in sources),
        'Qabf': measures.edge_preservation(thermal, luma, fused),
        'SSIM': sum(measures.structural_similarity(one, fused) for one in sources) / 2,
        'SCD': measures.correlation(fused - luma, thermal)
        + measures.correlation(fused - thermal, luma),
        'MI': sum(measures.mutual_information_bits(one, fused) for one in sources),
        'EN': measures.entropy_bits(fused),
        'SD': torch.log((measures.deviation(fused) + 0.01) / (most['SD'] + 0.01)),
        'SF': torch.log((measures.spatial_frequency(fused) + 0.01) / (most['SF'] + 0.01)),
    }
    return {name: torch.as_tensor(value).mean() for name, value in values.items()}


def example(scene: FusionScene, random: np.random.Generator, _step: int = 0) -> FastExample:
    """Draw a window of a scene, what hides some of it, and how it is seen."""
    crop = draw_window(scene, random, SIDE_PX + 2 * _MARGIN_PX)
    thermal = crop(scene.thermal, cv2.INTER_AREA).astype(np.float32) / 255
    luma = crop(cv2.cvtColor(scene.rgb, cv2.COLOR_BGR2GRAY), cv2.INTER_AREA
                ).astype(np.float32) / 255
    if random.random() < _IMPAIR_PROBABILITY:
        if random.random() < 0.25:
            thermal = augmentation.saturate(thermal, random)
        else:
            luma = _IMPAIRMENTS[random.integers(len(_IMPAIRMENTS))](luma, random)
    there = _misalign(thermal, random) if random.random() < _MISALIGN_PROBABILITY else thermal
    thermal_input, luma_input = there, luma
    if random.random() < _NOISE_PROBABILITY:
        thermal_input, luma_input = (augmentation.add_noise(image, random, _MOST_NOISE)
                                     for image in (there, luma))
    change = np.exp(random.uniform(*np.log(_CHANGE)))  # alike in both cameras, the hardest case
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
    """Return thermal with each corner moved by up to 3 pixels, most of it in common."""
    size = geometry.size_of(thermal)
    corners = geometry.corners_px(size)
    moved = corners + random.uniform(-1, 1, 2) * (_MOST_MOVED_PX - 1) \
        + random.uniform(-1, 1, (4, 2))
    return cv2.warpPerspective(thermal, geometry.from_corners(corners, moved), size,
                               flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _move_parts(images: tuple[np.ndarray, ...], random: np.random.Generator
                ) -> tuple[np.ndarray, ...]:
    """Return images in which the same parts have moved a little, each in its own direction."""
    height, width = images[0].shape
    shift_px = random.uniform(-1, 1, (5, 5, 2)) * random.uniform(0.2, _MOST_MOTION_PX)
    there = random.random((5, 5, 1)) < 0.5
    field = cv2.resize((shift_px * there).astype(np.float32), (width, height),
                       interpolation=cv2.INTER_CUBIC)
    row, column = np.mgrid[:height, :width].astype(np.float32)
    return tuple(cv2.remap(image, column + field[..., 0], row + field[..., 1], cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT_101) for image in images)


def _next_frame(image: np.ndarray, amplitude: float, random: np.random.Generator) -> np.ndarray:
    """Return what a camera sees of the same scene a moment later: mostly the same."""
    change: np.ndarray = random.standard_normal(image.shape, dtype=np.float32)
    if random.random() < 0.6:  # compression and smoke leave blotches rather than grain
        change = cv2.GaussianBlur(change, (0, 0), random.uniform(0.7, 8.0))
        change = change / np.float32(change.std() + 1e-6)
    if random.random() < 0.5:  # something happens in one part of the image only
        coarse = random.uniform(-1, 1, (4, 4)).astype(np.float32)
        change = change * np.clip(cv2.resize(coarse, image.shape[::-1],
                                             interpolation=cv2.INTER_CUBIC), 0, 1)
    exposure = random.uniform(-0.5, 0.5) * amplitude
    return image + np.float32(exposure) + np.float32(amplitude) * change
