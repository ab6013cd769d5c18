# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The loop of all trainings: its time limit, its precision."""

from __future__ import annotations

from ivf_ros.training import loop
from ivf_ros.training.settings import LoopSettings
import pytest
import torch
from torch import nn

SETTINGS = LoopSettings(steps=1000, warmup=1, learning_rate=0.1, save_every=7, minutes=0.5)


class Training:
    """A network whose steps take a second each of a clock that nobody waits for."""

    def __init__(self, monkeypatch, out, stop_at=None) -> None:
        self._out, self._stop_at = out, stop_at
        self.now_s, self.rates = 0.0, []
        self.network = nn.Linear(1, 1)
        monkeypatch.setattr(loop.time, 'monotonic', lambda: self.now_s)
        step = torch.optim.AdamW.step

        def record(optimizer, *arguments):
            self.rates.append(optimizer.param_groups[0]['lr'])
            return step(optimizer, *arguments)

        monkeypatch.setattr(torch.optim.AdamW, 'step', record)

    def compute_losses(self, batch):
        if self._stop_at == len(self.rates):
            raise KeyboardInterrupt
        self.now_s += 1.0
        loss = self.network(batch).square().mean()
        return loss, {'loss': loss.detach()}

    def run(self, settings=SETTINGS) -> list[float]:
        loop.run(self.network, self.compute_losses, lambda _random, _step: torch.ones(2, 1),
                 self._out, settings)
        return self.rates


def test_a_training_ends_after_its_time_and_the_learning_rate_with_it(tmp_path, monkeypatch):
    rates = Training(monkeypatch, tmp_path).run()
    assert len(rates) == loop.count_steps(tmp_path) == 30
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(0.1) and rates[-1] < 0.001


def test_without_a_limit_the_steps_end_it(tmp_path, monkeypatch):
    rates = Training(monkeypatch, tmp_path).run(
        LoopSettings(steps=12, warmup=1, learning_rate=0.1, save_every=7))
    assert len(rates) == loop.count_steps(tmp_path) == 12 and rates[-1] < 0.003


def test_a_resumed_training_has_what_is_left_of_the_time(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Training(patch, tmp_path, stop_at=20).run()
    assert loop.count_steps(tmp_path) == 14  # the latest checkpoint
    with monkeypatch.context() as patch:
        rates = Training(patch, tmp_path).run()
    assert len(rates) == 16 and rates[0] < 0.06
    with monkeypatch.context() as patch:
        assert Training(patch, tmp_path).run() == []  # nothing is left


@pytest.mark.parametrize('has_amx, expected', [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_only_where_that_is_fast(has_amx, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: {'amx_bf16': has_amx})
    with loop.mixed_precision(torch.device('cpu')):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype is expected
