# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop that all networks are trained by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
import math
from pathlib import Path
import time
from typing import Any, Protocol, TypeVar

from ivf_ros.parameters import flatten
from ivf_ros.training.settings import LoopSettings
import numpy as np
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=nn.Module)
Losses = tuple[Tensor, dict[str, Tensor]]  # what is minimised, and what the log tells

_LOG_EVERY = 20
# They say how fast a training runs, not what it trains.
_MAY_CHANGE = ('threads', 'device', 'save_every')


class CheckpointError(ValueError):
    """A checkpoint that does not belong to the training that is to go on."""


class HasDataset(Protocol):
    """What examples are made of: it knows which data set it is from."""

    @property
    def dataset(self) -> str:
        """Its name."""


Scene = TypeVar('Scene', bound=HasDataset)
Example = TypeVar('Example')
Batch = TypeVar('Batch')


def run(network: Network, compute_losses: Callable[[Batch], Losses],
        draw_batch: Callable[[np.random.Generator, int], Batch], out: Path, settings: LoopSettings,
        overfit: bool = False) -> Network:
    """
    Train a network, or go on training it where ``out`` holds a checkpoint.

    The checkpoint holds the settings; only ``threads``, ``device`` and ``save_every`` may change.

    Parameters
    ----------
    network:
        In its initial state.
    compute_losses:
        Makes of a batch the loss that is minimised, and numbers for the log.
    draw_batch:
        Draws the batch of a step; see ``make_batch_sampler``. Which one a step sees depends on the seed and
        the step alone.
    out:
        Folder for ``checkpoint.pt`` and ``log.jsonl``, one line every 20 steps.
    settings:
        How.
    overfit:
        See the same batch again and again: the loss must fall far.

    Raises
    ------
    FloatingPointError
        A gradient is not finite.
    CheckpointError
        The checkpoint was trained with other settings.

    """
    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate,
                                  weight_decay=settings.weight_decay)
    recorded = _recorded(settings, overfit)
    done = _resume(out / 'checkpoint.pt', network, optimizer, recorded)

    sums: dict[str, float] = {}
    start_s = time.monotonic()
    for step in range(done, settings.steps):
        torch.manual_seed(settings.seed * 1_000_003 + step)  # so that a resumed run is the same
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step, settings)
        random = np.random.default_rng([settings.seed, 0 if overfit else step])
        loss, logged = compute_losses(draw_batch(random, step))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        if not math.isfinite(float(norm)):
            raise FloatingPointError(f'the gradient at step {step} is not finite')
        optimizer.step()

        for name, value in logged.items():
            sums[name] = sums.get(name, 0.0) + value.item() / _LOG_EVERY
        if (step + 1) % _LOG_EVERY == 0:
            record = {'step': step + 1, **{name: round(value, 4) for name, value in sums.items()},
                      's': round(time.monotonic() - start_s, 1)}
            with (out / 'log.jsonl').open('a') as log:
                log.write(json.dumps(record) + '\n')
            sums = {}
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            _save(out / 'checkpoint.pt', network, optimizer, step + 1, recorded)
    return network


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Return a linear rise over ``warmup`` steps, then a cosine down to zero."""
    rise = min(1.0, (step + 1) / settings.warmup)
    return settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * step / settings.steps))


def make_batch_sampler(draw_example: Callable[[Scene, np.random.Generator, int], Example],
                       scenes: Sequence[Scene], size: int
                       ) -> Callable[[np.random.Generator, int], list[Example]]:
    """
    Return what draws batches of examples.

    Parameters
    ----------
    example_of:
        Draws an example of a scene at a step.
    scenes:
        To draw from, in proportion to the square root of how many a data set has.
    size:
        Examples a batch.

    """
    share = sampling_probabilities([scene.dataset for scene in scenes])

    def draw_batch(random: np.random.Generator, step: int) -> list[Example]:
        chosen = random.choice(len(scenes), size, p=share)
        return [draw_example(scenes[index], random, step) for index in chosen]

    return draw_batch


def sampling_probabilities(datasets: Sequence[str]) -> np.ndarray:
    """Return how likely each scene is, so that a large data set does not drown a small one."""
    share = np.array([datasets.count(name) ** -0.5 for name in datasets])
    return share / share.sum()


def _recorded(settings: LoopSettings, overfit: bool) -> dict[str, Any]:
    """Return what a checkpoint says of the training that it belongs to."""
    return {'training': type(settings).__name__, 'overfit': overfit, **flatten(settings)}


def _resume(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer,
            recorded: dict[str, Any]) -> int:
    """Read a checkpoint, if there is one, and return the number of steps that are done."""
    if not path.is_file():
        return 0
    state = torch.load(path, map_location=next(network.parameters()).device, weights_only=True)
    if 'settings' not in state:
        raise CheckpointError(f'{path} does not say with which settings it was trained; give '
                              'another --out')
    before = state['settings']
    changed = [f'{name} was {before.get(name)!r}, is {recorded.get(name)!r}'
               for name in dict.fromkeys((*before, *recorded))
               if name not in _MAY_CHANGE and before.get(name) != recorded.get(name)]
    if changed:
        raise CheckpointError(f'{path} was trained with other settings: {"; ".join(changed)}; '
                              'repeat these, or give another --out')
    network.load_state_dict(state['network'])
    optimizer.load_state_dict(state['optimizer'])
    return int(state['step'])


def _save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int,
          recorded: dict[str, Any]) -> None:
    temporary = path.with_suffix('.part')
    torch.save({'network': network.state_dict(), 'optimizer': optimizer.state_dict(),
                'step': step, 'settings': recorded}, temporary)
    temporary.replace(path)
