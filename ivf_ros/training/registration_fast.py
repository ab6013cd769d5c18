# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains the descriptors of ``fast`` on aligned pairs that are misaligned at random.

    ivf train registration --data DIR --out runs/registration_fast

The loss is a cross-entropy twice: of each coarse cell over all cells of the other image, in both
directions, and of each fine cell over the displacements near it. The true place lies between
cells, so the target is shared by the four cells around it in proportion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import json
import math
from pathlib import Path
import time

from ivf_ros.registration.network_fast import COARSE_STRIDE, FastNetwork, FINE_STRIDE
from ivf_ros.training.registration_data import Example, example, Scene
from ivf_ros.training.settings import FastTraining
import numpy as np
import torch
from torch import Tensor
import torch.nn.functional as F

FINE_REACH = 5  # fine cells, along x and y


def train(scenes: Sequence[Scene], out: Path, settings: FastTraining,
          overfit: bool = False) -> FastNetwork:
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
        See the same batch again and again: the loss must go to nearly nothing.

    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    network = FastNetwork().train()
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate,
                                  weight_decay=settings.weight_decay)
    done = _resumed(out / 'checkpoint.pt', network, optimizer)
    batches = _batches(scenes, settings, done, overfit)

    sums: dict[str, float] = {}
    start_s = time.monotonic()
    for step in range(done, settings.steps):
        torch.manual_seed(settings.seed * 1_000_003 + step)  # so that a resumed run is the same
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step, settings)
        losses = loss(network, next(batches), settings)
        total = losses['coarse'] + settings.fine_weight * losses['fine']
        optimizer.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if not math.isfinite(float(norm)):
            raise FloatingPointError(f'the gradient at step {step} is not finite')
        optimizer.step()

        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item() / 20
        if step % 20 == 19:
            record = {'step': step + 1, **{name: round(value, 4) for name, value in sums.items()},
                      's': round(time.monotonic() - start_s, 1)}
            with (out / 'log.jsonl').open('a') as log:
                log.write(json.dumps(record) + '\n')
            sums = {}
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            _save(out / 'checkpoint.pt', network, optimizer, step + 1)
    return network


def loss(network: FastNetwork, batch: Sequence[Example], settings: FastTraining
         ) -> dict[str, Tensor]:
    """Return the coarse and the fine loss of a batch, and the share of cells that were found."""
    thermal, rgb = (torch.from_numpy(np.stack([getattr(one, name) for one in batch]))
                    .contiguous(memory_format=torch.channels_last) for name in ('thermal', 'rgb'))
    H = torch.from_numpy(np.stack([one.H_thermal_to_rgb for one in batch])).float()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        coarse_thermal, fine_thermal = network(thermal, 'thermal')
        coarse_rgb, fine_rgb = network(rgb, 'rgb')
    losses = {name: torch.zeros(()) for name in ('coarse', 'found', 'fine')}
    chosen = [index for index, one in enumerate(batch) if one.coarse]
    if chosen:
        losses['coarse'], losses['found'] = coarse_loss(
            coarse_thermal[chosen], coarse_rgb[chosen], H[chosen],
            network.coarse_log_scale.exp(), settings.coarse_points)
    chosen = [index for index, one in enumerate(batch) if one.fine]
    if chosen:
        losses['fine'] = fine_loss(fine_thermal[chosen], fine_rgb[chosen], H[chosen],
                                   network.fine_log_scale.exp(), settings.fine_points)
    return losses


def coarse_loss(thermal: Tensor, rgb: Tensor, H: Tensor, scale: Tensor, points: int
                ) -> tuple[Tensor, Tensor]:
    """
    Return the cross-entropy of the right cell among all cells, thermal to RGB and back.

    Parameters
    ----------
    thermal, rgb:
        ``(B, C, h, w)`` coarse descriptors.
    H:
        ``(B, 3, 3)`` from thermal to RGB pixels.
    scale:
        By which similarities are multiplied before the softmax.
    points:
        How many random cells of an image are looked at.

    Returns
    -------
    loss, found
        Scalars; ``found`` is the share of thermal cells whose most similar RGB cell is within one
        cell of where it should be.

    """
    forward, found = _among_all(thermal, rgb, H, scale, points)
    backward, _ = _among_all(rgb, thermal, torch.linalg.inv(H), scale, points)
    return (forward + backward) / 2, found


def _among_all(asked: Tensor, offered: Tensor, H: Tensor, scale: Tensor, points: int
               ) -> tuple[Tensor, Tensor]:
    """Return loss and share found for random cells of one image among all cells of the other."""
    count, _, height, width = asked.shape
    chosen = torch.randint(height * width, (count, points))
    similarity = scale * torch.einsum('bpc,bcn->bpn', _gathered(asked, chosen),
                                      offered.flatten(2))
    cells = torch.stack([chosen % width, chosen // width], -1).float()
    places = _places(cells, H, COARSE_STRIDE)
    with torch.no_grad():
        best = similarity.argmax(2)
        off = torch.stack([best % width, best // width], -1) - places
        inside = _inside(places, width, height)
        found = (off.abs().amax(-1) <= 1)[inside].float().mean()
    return _soft_cross_entropy(similarity, places, width, height), found


def fine_loss(thermal: Tensor, rgb: Tensor, H: Tensor, scale: Tensor, points: int) -> Tensor:
    """
    Return the cross-entropy of the right displacement among those within ``FINE_REACH``.

    Parameters
    ----------
    thermal, rgb:
        ``(B, C, h, w)`` fine descriptors.
    H:
        ``(B, 3, 3)`` from thermal to RGB pixels, near the identity.
    scale:
        By which similarities are multiplied before the softmax.
    points:
        How many random thermal cells of an image are looked at.

    """
    count, channels, height, width = thermal.shape
    side = 2 * FINE_REACH + 1
    x = torch.randint(FINE_REACH, width - FINE_REACH, (count, points))
    y = torch.randint(FINE_REACH, height - FINE_REACH, (count, points))
    near = torch.arange(-FINE_REACH, FINE_REACH + 1)
    around = ((y[..., None, None] + near[:, None]) * width + x[..., None, None] + near)
    asked = _gathered(thermal, (y * width + x))  # (B, points, C)
    offered = _gathered(rgb, around.reshape(count, -1)).reshape(count, points, side * side,
                                                                channels)
    similarity = scale * torch.einsum('bpc,bpdc->bpd', asked, offered)
    cells = torch.stack([x, y], -1).float()
    displacement = _places(cells, H, FINE_STRIDE) - cells + FINE_REACH
    return _soft_cross_entropy(similarity, displacement, side, side)


def learning_rate(step: int, settings: FastTraining) -> float:
    """Return a linear rise over ``warmup`` steps, then a cosine down to zero."""
    rise = min(1.0, (step + 1) / settings.warmup)
    return settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def _soft_cross_entropy(similarity: Tensor, places: Tensor, width: int, height: int) -> Tensor:
    """Return the mean over the places that lie inside; each is shared by the cells around it."""
    inside = _inside(places, width, height)
    if not inside.any():
        return similarity.sum() * 0
    logarithm = F.log_softmax(similarity[inside], dim=-1)
    place = places[inside]
    base = torch.minimum(place.floor(), torch.tensor([width - 2.0, height - 2.0])).clamp(min=0)
    part = place - base
    total = torch.zeros(len(place))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = (part[:, 0] if dx else 1 - part[:, 0]) * (part[:, 1] if dy else 1 - part[:, 1])
        index = ((base[:, 1] + dy) * width + base[:, 0] + dx).long()
        total = total - weight * logarithm.gather(1, index[:, None])[:, 0]
    return total.mean()


def _inside(places: Tensor, width: int, height: int) -> Tensor:
    x, y = places.unbind(-1)
    return (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)


def _places(cells: Tensor, H: Tensor, stride: int) -> Tensor:
    """Map cells ``(B, N, 2)`` by ``H`` (B, 3, 3), which is in pixels."""
    pixels = cells * stride + (stride - 1) / 2
    mapped = torch.einsum('bij,bnj->bni', H, torch.cat([pixels, torch.ones_like(pixels[..., :1])],
                                                       -1))
    return (mapped[..., :2] / mapped[..., 2:] - (stride - 1) / 2) / stride


def _gathered(features: Tensor, index: Tensor) -> Tensor:
    """Return the vectors (B, N, C) at flat places (B, N) of features (B, C, h, w)."""
    flat = features.flatten(2).transpose(1, 2)
    return torch.gather(flat, 1, index[..., None].expand(-1, -1, flat.shape[2]))


def _batches(scenes: Sequence[Scene], settings: FastTraining, done: int,
             overfit: bool) -> Iterator[list[Example]]:
    """Yield batches; which one a step sees depends on the seed and the step alone."""
    names = [scene.dataset for scene in scenes]
    share = np.array([names.count(name) ** -0.5 for name in names])
    share /= share.sum()
    step = done
    while True:
        random = np.random.default_rng([settings.seed, 0 if overfit else step])
        chosen = random.choice(len(scenes), settings.batch, p=share)
        easy = max(0.05, 1 - step / settings.easy_steps)
        yield [example(scenes[index], random, easy) for index in chosen]
        step += 1


def _resumed(path: Path, network: FastNetwork, optimizer: torch.optim.Optimizer) -> int:
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state['network'])
    optimizer.load_state_dict(state['optimizer'])
    return int(state['step'])


def _save(path: Path, network: FastNetwork, optimizer: torch.optim.Optimizer, step: int) -> None:
    temporary = path.with_suffix('.part')
    torch.save({'network': network.state_dict(), 'optimizer': optimizer.state_dict(),
                'step': step}, temporary)
    temporary.replace(path)
