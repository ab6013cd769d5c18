# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The training loop of all networks.

Each training module has a function ``train(scenes, out, settings, overfit=False)`` that returns
the trained network. Its contract is:

- ``scenes`` are the training data. Examples are drawn at random; each data set has a probability
  in proportion to the square root of its number of scenes.
- ``out`` is a folder. It receives ``checkpoint.pt`` and ``log.jsonl``, which has one line every 20
  steps. If it holds a checkpoint of the same settings, the training continues from there.
- ``settings`` are the settings of the training, see ``training.settings``.
- ``overfit`` trains on a single batch, as a test: the loss must fall far.
- It raises ``CheckpointError`` if the checkpoint has other settings, and ``FloatingPointError`` if
  a gradient is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
import math
from pathlib import Path
import time
from typing import Any, Protocol, TypeVar

from ivf_ros.parameters import flatten
from ivf_ros.progress import track
from ivf_ros.training.settings import LoopSettings
import numpy as np
import torch
from torch import nn, Tensor

Network = TypeVar('Network', bound=nn.Module)
Losses = tuple[Tensor, dict[str, Tensor]]  # minimised loss, and values for the log by name

_LOG_EVERY = 20
# A resumed training may change these settings: they affect its speed or length, not what it learns
# from.
_RESUMABLE_CHANGES = ('threads', 'device', 'save_every', 'minutes')


class CheckpointError(ValueError):
    """The checkpoint does not belong to the training that is to be continued."""


class HasDataset(Protocol):
    """Training data with the name of their data set."""

    @property
    def dataset(self) -> str:
        """Return the name of the data set."""


Scene = TypeVar('Scene', bound=HasDataset)
Example = TypeVar('Example')
Batch = TypeVar('Batch')


def run(network: Network, compute_losses: Callable[[Batch], Losses],
        draw_batch: Callable[[np.random.Generator, int], Batch], out: Path, settings: LoopSettings,
        overfit: bool = False) -> Network:
    """
    Train a network, or continue if ``out`` holds a checkpoint.

    The checkpoint holds the settings; only ``threads``, ``device``, ``save_every`` and ``minutes``
    may change. With ``minutes`` it ends after this time, all parts of a resumed training together,
    or after the steps, whichever is earlier; the learning rate falls to zero by then.

    Parameters
    ----------
    network:
        In its initial state.
    compute_losses:
        Returns the minimised loss of a batch, and values for the log.
    draw_batch:
        Draws the batch of a step; see ``make_batch_sampler``. The batch depends only on the seed
        and the step.
    out, settings, overfit:
        See the module.

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
    record = _make_record(settings, overfit)
    first_step, trained_s = _resume(out / 'checkpoint.pt', network, optimizer, record)

    sums: dict[str, float] = {}
    start_s = time.monotonic()
    limit_s = 60 * settings.minutes or math.inf
    n_steps = first_step
    for step in track(range(first_step, settings.steps),
                      None if settings.minutes else settings.steps - first_step, 'step'):
        elapsed_s = time.monotonic() - start_s
        progress = max(step / settings.steps, (trained_s + elapsed_s) / limit_s)
        if progress >= 1:
            break
        torch.manual_seed(settings.seed * 1_000_003 + step)  # makes a resumed run reproducible
        for group in optimizer.param_groups:
            group['lr'] = learning_rate(step, progress, settings)
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
            entry = {'step': step + 1, **{name: round(value, 4) for name, value in sums.items()},
                     's': round(time.monotonic() - start_s, 1)}
            with (out / 'log.jsonl').open('a') as log:
                log.write(json.dumps(entry) + '\n')
            sums = {}
        n_steps = step + 1
        if n_steps % settings.save_every == 0:
            _save(out / 'checkpoint.pt', network, optimizer, n_steps, record,
                  trained_s + time.monotonic() - start_s)
    if n_steps > first_step and n_steps % settings.save_every:
        _save(out / 'checkpoint.pt', network, optimizer, n_steps, record,
              trained_s + time.monotonic() - start_s)
    return network


def mixed_precision(device: torch.device) -> torch.autocast:
    """
    Return the context of a forward pass: bfloat16 on a GPU and on a CPU with AMX, else float32.

    On other CPUs float32 is faster: 0.7 s of processor time against 1.2 s for a step of the
    detector with AVX-512 BF16, and 4.0 s against 9.7 s with AVX2.
    """
    is_fast = device.type != 'cpu' or bool(torch.cpu.get_capabilities().get('amx_bf16'))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_fast)


def learning_rate(step: int, progress: float, settings: LoopSettings) -> float:
    """
    Return the learning rate: a linear rise over ``warmup`` steps, then a cosine to zero.

    ``progress`` is the completed part of the training, from 0 to 1.
    """
    rise = min(1.0, (step + 1) / settings.warmup)
    return settings.learning_rate * rise * 0.5 * (1 + math.cos(math.pi * progress))


def count_steps(out: Path) -> int:
    """Return the number of completed steps of the training in a folder."""
    return int(torch.load(out / 'checkpoint.pt', weights_only=True, map_location='cpu')['step'])


def make_batch_sampler(draw_example: Callable[[Scene, np.random.Generator, int], Example],
                       scenes: Sequence[Scene], size: int
                       ) -> Callable[[np.random.Generator, int], list[Example]]:
    """
    Return a function that draws the batch of a step.

    Parameters
    ----------
    draw_example:
        Draws an example of a scene at a step.
    scenes:
        Scenes to draw from; the probability of a data set is in proportion to the square root of
        its number of scenes.
    size:
        Number of examples of a batch.

    """
    probabilities = sampling_probabilities([scene.dataset for scene in scenes])

    def draw_batch(random: np.random.Generator, step: int) -> list[Example]:
        indices = random.choice(len(scenes), size, p=probabilities)
        return [draw_example(scenes[index], random, step) for index in indices]

    return draw_batch


def sampling_probabilities(datasets: Sequence[str]) -> np.ndarray:
    """Return the probability of each scene, which balances large and small data sets."""
    probabilities = np.array([datasets.count(name) ** -0.5 for name in datasets])
    return probabilities / probabilities.sum()


def _make_record(settings: LoopSettings, overfit: bool) -> dict[str, Any]:
    """Return the description of the training that a checkpoint stores."""
    return {'training': type(settings).__name__, 'overfit': overfit, **flatten(settings)}


def _resume(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer,
            record: dict[str, Any]) -> tuple[int, float]:
    """Load the checkpoint, if there is one; return the completed steps and their seconds."""
    if not path.is_file():
        return 0, 0.0
    state = torch.load(path, map_location=next(network.parameters()).device, weights_only=True)
    if 'settings' not in state:
        raise CheckpointError(f'{path} does not say with which settings it was trained; use '
                              'another --out')
    stored = state['settings']
    changed = [f'{name} was {stored.get(name)!r}, is {record.get(name)!r}'
               for name in dict.fromkeys((*stored, *record))
               if name not in _RESUMABLE_CHANGES and stored.get(name) != record.get(name)]
    if changed:
        raise CheckpointError(f'{path} was trained with other settings: {"; ".join(changed)}; '
                              'use the same settings, or another --out')
    network.load_state_dict(state['network'])
    optimizer.load_state_dict(state['optimizer'])
    return int(state['step']), float(state.get('elapsed_s', 0.0))


def _save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer, step: int,
          record: dict[str, Any], elapsed_s: float) -> None:
    temporary = path.with_suffix('.part')
    torch.save({'network': network.state_dict(), 'optimizer': optimizer.state_dict(),
                'step': step, 'settings': record, 'elapsed_s': elapsed_s}, temporary)
    temporary.replace(path)
