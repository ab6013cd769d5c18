# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of the two registration trainings share: drawn scenes, and an interruption."""

from __future__ import annotations

import cv2
import numpy as np
import pytest


def draw_blobs(seed, size=(640, 480)):
    """Return smooth noise ``(H, W)`` uint8 of the full range."""
    noise = np.random.default_rng(seed).uniform(0, 1, (size[1], size[0])).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def make_scenes():
    """Return three scenes whose thermal image is the inverted RGB image."""
    from ivf_ros.training.registration_data import Scene

    return [Scene(str(seed), 'synthetic', 255 - draw_blobs(seed), draw_blobs(seed), 0.3)
            for seed in range(3)]


def check_continuation(training, scenes, folder, settings, monkeypatch):
    """Interrupt a training of four steps in its last one; it must end as without interruption."""
    import torch

    whole = training.train(scenes, folder / 'whole', settings)
    calls, compute_losses = [], training.compute_losses

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 4:  # after step 2, whose result is not saved
            raise KeyboardInterrupt
        return compute_losses(*arguments)

    monkeypatch.setattr(training, 'compute_losses', interrupted)
    with pytest.raises(KeyboardInterrupt):
        training.train(scenes, folder / 'cut', settings)
    assert torch.load(folder / 'cut' / 'checkpoint.pt', weights_only=True)['step'] == 2
    resumed = training.train(scenes, folder / 'cut', settings)
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values()):
        torch.testing.assert_close(a, b)
