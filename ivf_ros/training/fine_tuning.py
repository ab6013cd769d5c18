# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Fine-tuning of the detector, or of the network of the perception stage, for two cameras.

    ivf train detection --data my_labels --init default

The training begins with trained weights and ends after a time. Two things keep what the network
has learned from others: places of the simulator are mixed in, and the result is the mean of the
weights before and after (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).

The pairs of a user have boxes and no pixel labels. So in the training of the perception network
its own labels before the training stand for them: segmentation stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ivf_ros import detection, fusion, perception
from ivf_ros.data.sample import Sample
from ivf_ros.detection import anchor_free
from ivf_ros.detection.network import DetectionNetwork
from ivf_ros.network_inputs import AlignedPair, BOTH, select_images
from ivf_ros.nn.errors import WeightsError
from ivf_ros.nn.inference import read_in_channels
from ivf_ros.nn.weights import average_weights, load
from ivf_ros.perception import method as joint
from ivf_ros.perception.network import PerceptionNetwork
from ivf_ros.training import detection as detection_training
from ivf_ros.training import perception as perception_training
from ivf_ros.training.fine_tuning_data import make_scene
from ivf_ros.training.fine_tuning_settings import DetectionFineTuning, PerceptionFineTuning
from ivf_ros.training.perception_data import make_views, PerceptionScene, simulated_scenes
from ivf_ros.training.perception_windows import WindowSampler
from ivf_ros.types import MFNET_CLASSES
from torch import nn

DEFAULT_INIT = 'default'
DETECTION, PERCEPTION = 'detection', 'perception'


def find_initial_weights(network: str, init: str, given: str) -> Path:
    """
    Return the weight file to begin with.

    Parameters
    ----------
    network:
        ``DETECTION`` or ``PERCEPTION``.
    init:
        ``DEFAULT_INIT`` for the weights of the package, or a file.
    given:
        Input of the network.

    Raises
    ------
    WeightsError
        The file is missing, damaged, or of a network for another input.

    """
    stage: Any = {DETECTION: anchor_free, PERCEPTION: joint}[network]
    default = stage.RGBT_WEIGHTS if given == BOTH else stage.WEIGHTS
    path = Path(f'{default}.safetensors') if init == DEFAULT_INIT else Path(init)
    channels = read_in_channels(path, 'detector.' if network == PERCEPTION else '')
    expected = 4 if given == BOTH else 3
    if channels != expected:
        raise WeightsError(f"{path} has {channels} input channels, and '{given}' has {expected}; "
                           f'set given={"rgb" if channels == 3 else BOTH}')
    return path


def train_detection(samples: Sequence[Sample], initial: Path, out: Path,
                    settings: DetectionFineTuning) -> nn.Module:
    """
    Fine-tune a detector on annotated pairs; see ``training.loop``.

    Raises
    ------
    SourceError
        A pair cannot be read.
    WeightsError
        The weights are of another network.

    """
    sampler = _make_sampler(samples, settings, lambda scene: scene)
    network = detection_training.train(sampler, out, replace(settings, start_from=str(initial)))
    start = load(DetectionNetwork(len(detection.CLASS_NAMES), network.channels), initial)
    return average_weights(network, start, settings.kept)


def train_perception(samples: Sequence[Sample], initial: Path, out: Path,
                     settings: PerceptionFineTuning) -> nn.Module:
    """Fine-tune the network of the perception stage on annotated pairs; likewise."""
    parameters: dict[str, Any] = {'network.weights': str(initial),
                                  'network.threads': settings.threads}
    before = perception.create(**parameters)

    def add_labels(scene: PerceptionScene) -> PerceptionScene:
        pair = AlignedPair(scene.thermal, scene.rgb, scene.coverage)
        images = select_images(pair, settings.given, fusion.create)
        return replace(scene, labels=before.segment(*images).labels, has_labels=True)

    sampler = _make_sampler(samples, settings, add_labels)
    network = perception_training.train(sampler, out, replace(settings, start_from=str(initial)))
    start = load(PerceptionNetwork(len(detection.CLASS_NAMES), len(MFNET_CLASSES),
                                   network.channels), initial)
    return average_weights(network, start, settings.kept)


def _make_sampler(samples: Sequence[Sample],
                  settings: DetectionFineTuning | PerceptionFineTuning,
                  prepare: Callable[[PerceptionScene], PerceptionScene]) -> WindowSampler:
    """Return the windows of the pairs and of simulated places."""
    scenes = [prepare(make_scene(sample)) for sample in samples]
    scenes += simulated_scenes(settings.simulated, settings.off_road)
    return WindowSampler(scenes, [make_views(scene, settings.given, settings.variants)
                                  for scene in scenes], settings.device)
