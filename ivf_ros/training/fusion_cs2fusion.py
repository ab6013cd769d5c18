# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Training of CS2Fusion: the fusion backbone, and the network that estimates the compensation map.

    ivf train fusion --method cs2fusion --data DIR --out runs/cs2fusion

After Wang et al. (2024). The compensation perception network learns by contrast alone where
thermal has features that luma lacks. The features that it takes from thermal should resemble
thermal, those that it leaves to luma should resemble luma, and the two should differ; this also
holds if patches are cut out of luma. The map tells the backbone which camera to use where. The two
networks do not train each other: the map is a constant for the backbone, and the features are
constants for the map.

By contrast alone the map may become its own inverse, because the channels of the features identify
the camera everywhere. One additional term, which the paper does not have, prevents this: the
correlation of the map with T - V is maximised. With it, the contrastive losses end lower than
without.
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
from ivf_ros.training.fusion_data import (
    draw_example,
    FusionExample,
    FusionScene,
    to_luma,
    to_tensors,
)
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
_PATCH_FRACTION = 0.25  # of the side of an example


class Cs2Fusion(nn.Module):
    """The backbone and the network that estimates its map, which are trained at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.perception = Cs2FusionNetwork(), CompensationPerception()


def train(scenes: Sequence[FusionScene], out: Path, settings: Cs2FusionTraining,
          overfit: bool = False) -> Cs2FusionNetwork:
    """Train CS2Fusion and return the backbone; see ``training.loop``."""
    torch.manual_seed(settings.seed)
    networks = Cs2Fusion()
    loop.run(networks, lambda batch: compute_losses(networks, batch, settings),
             loop.make_batch_sampler(partial(draw_example, side_px=_SIDE_PX), scenes,
                                     settings.batch), out, settings, overfit)
    return networks.backbone


def compute_losses(networks: Cs2Fusion, batch: Sequence[FusionExample], settings: Cs2FusionTraining
                   ) -> loop.Losses:
    """Return the sum of the losses of both networks, and its parts for the log."""
    thermal, rgb, _ = to_tensors(batch)
    luma = to_luma(rgb)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        encoded = networks.backbone.encoded(thermal, luma)
        compensation = networks.perception(encoded)
        with torch.no_grad():
            impaired_features = networks.backbone.features(thermal, cut_out_patches(luma))[1]
    fused, thermal_map = encoded.fused, compensation.thermal_map.detach()
    logged = {'map': map_loss(thermal, luma, fused, thermal_map),
              'structure': structure_loss(thermal, luma, fused)}

    thermal_common, luma_common, thermal_specific, luma_specific = (
        features.float() for features in (
            compensation.of_thermal, compensation.of_luma,
            compensation.thermal_specific, compensation.luma_specific))
    impaired_specific = torch.cat([self_correlation_and_saliency(features.float())
                                   for features in impaired_features], 1).flatten(1)
    logged['contrast'] = attraction(thermal_specific, thermal_common) \
        + attraction(luma_specific, luma_common) + repulsion(luma_common, thermal_common)
    logged['impaired'] = attraction(thermal_common, thermal_specific) \
        + repulsion(thermal_common, impaired_specific)
    # The correlation is over the whole batch, so that the map is comparable between images.
    one_row = 1, 1, 1, -1
    logged['agreement'] = correlation(compensation.thermal_map.reshape(one_row),
                                      (thermal - luma).reshape(one_row)).mean()
    logged['share'] = thermal_map.mean()
    return (logged['map'] + settings.structure * logged['structure'] + logged['contrast']
            + settings.impaired * logged['impaired']
            - settings.agreement * logged['agreement']), logged


def cut_out_patches(luma: Tensor) -> Tensor:
    """Return luma ``(B, 1, H, W)`` with random patches set to 0, as if the camera missed them."""
    height, width = luma.shape[2:]
    side = int(_PATCH_FRACTION * min(height, width))
    masks = torch.ones_like(luma)
    for mask in masks:
        for _ in range(_PATCHES):
            top, left = (int(torch.randint(size - side + 1, ())) for size in (height, width))
            mask[:, top:top + side, left:left + side] = 0
    return luma * masks
