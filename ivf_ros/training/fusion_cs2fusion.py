# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Trains CS2Fusion: a backbone that fuses by a map, and the network that finds the map by contrast.

    ivf train fusion --method cs2fusion --data DIR --out runs/cs2fusion

After Wang et al. (2024). The compensation perception network learns where thermal has what luma
lacks from nothing but this: what it takes for thermal's should resemble thermal, what it leaves
to luma should resemble luma, and the two should differ; also where patches of luma were cut out.
The backbone is told by the map what to take from which camera. Neither changes the other: the map
is a constant to the backbone, features are constants to the map.

By contrast alone the map may as well become its own opposite, as channels of the features can tell
the cameras apart wherever it is. One term more, which the paper does not have, settles which: the
map is to correlate with T - V. With it the contrastive losses end lower than without.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ivf_ros.fusion.network_cs2fusion import (
    CompensationPerception,
    Cs2FusionNetwork,
    self_correlation_and_saliency,
)
from ivf_ros.training import loop
from ivf_ros.training.fusion_data import as_tensors, example, FusionExample, FusionScene, to_luma
from ivf_ros.training.fusion_losses import (
    attraction,
    correlation,
    map_loss,
    repulsion,
    structure_loss,
)
from ivf_ros.training.settings import Cs2FusionTraining
import torch
from torch import nn, Tensor

_SIDE_PX = 64  # of an example
_PATCHES = 4  # cut out of luma
_PATCH_SHARE = 0.25  # of the side of an example


class Cs2Fusion(nn.Module):
    """The backbone and what guides it, which are trained at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.perception = Cs2FusionNetwork(), CompensationPerception()


def train(scenes: Sequence[FusionScene], out: Path, settings: Cs2FusionTraining,
          overfit: bool = False) -> Cs2FusionNetwork:
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
    networks = Cs2Fusion()
    loop.run(networks, lambda batch: losses(networks, batch, settings),
             loop.make_batch_sampler(partial(example, side_px=_SIDE_PX), scenes, settings.batch), out, settings,
             overfit)
    return networks.backbone


def losses(networks: Cs2Fusion, batch: Sequence[FusionExample], settings: Cs2FusionTraining
           ) -> loop.Losses:
    """Return the sum of the losses of both networks; each of them."""
    thermal, rgb, _ = as_tensors(batch)
    luma = to_luma(rgb)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        encoded = networks.backbone.encoded(thermal, luma)
        compensation = networks.perception(encoded)
        with torch.no_grad():
            of_impaired = networks.backbone.features(thermal, impaired(luma))[1]
    fused, share = encoded.fused, compensation.thermal_map.detach()
    logged = {'map': map_loss(thermal, luma, fused, share),
              'structure': structure_loss(thermal, luma, fused)}

    of_thermal, of_luma, thermal_specific, luma_specific = (
        one.float() for one in (compensation.of_thermal, compensation.of_luma, compensation.thermal_specific,
                                compensation.luma_specific))
    alone_impaired = torch.cat([self_correlation_and_saliency(one.float())
                                for one in of_impaired], 1).flatten(1)
    logged['contrast'] = attraction(thermal_specific, of_thermal) + attraction(luma_specific, of_luma) \
        + repulsion(of_luma, of_thermal)
    logged['impaired'] = attraction(of_thermal, thermal_specific) \
        + repulsion(of_thermal, alone_impaired)
    # Over the whole batch, so that the map is comparable from image to image.
    everywhere = 1, 1, 1, -1
    logged['agreement'] = correlation(compensation.thermal_map.reshape(everywhere),
                                      (thermal - luma).reshape(everywhere)).mean()
    logged['share'] = share.mean()
    return (logged['map'] + settings.structure * logged['structure'] + logged['contrast']
            + settings.impaired * logged['impaired']
            - settings.agreement * logged['agreement']), logged


def impaired(luma: Tensor) -> Tensor:
    """Return luma ``(B, 1, H, W)`` with random patches cut out: what a camera may fail to see."""
    height, width = luma.shape[2:]
    side = int(_PATCH_SHARE * min(height, width))
    kept = torch.ones_like(luma)
    for one in kept:
        for _ in range(_PATCHES):
            top, left = (int(torch.randint(size - side + 1, ())) for size in (height, width))
            one[:, top:top + side, left:left + side] = 0
    return luma * kept
