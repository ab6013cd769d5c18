# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""How the networks are trained."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import parameter


@dataclass(frozen=True)
class LoopSettings:
    """What every training has in common."""

    steps: int = parameter(10000, 'steps')
    batch: int = parameter(8, 'pairs a step')
    learning_rate: float = parameter(2e-3, 'highest learning rate of AdamW')
    weight_decay: float = parameter(1e-2, 'weight decay of AdamW')
    warmup: int = parameter(300, 'steps of linear rise, before a cosine down to zero')
    seed: int = parameter(0, 'seed of all that is random')
    threads: int = parameter(1, 'threads of PyTorch')
    save_every: int = parameter(200, 'steps between checkpoints')


@dataclass(frozen=True)
class RegistrationTraining(LoopSettings):
    """What the trainings for registration have in common."""

    simulated: int = parameter(60, 'scenes of the simulator that are learned from, too')
    easy_steps: int = parameter(1200, 'steps over which examples of one sensor become rare')


@dataclass(frozen=True)
class FastTraining(RegistrationTraining):
    """How the maps of the registration method ``fast`` are trained."""

    blocks: int = parameter(20, 'blocks of each map of an image that are looked for')


@dataclass(frozen=True)
class DfaTraining(RegistrationTraining):
    """How the network of the registration method ``dfa`` is trained, and which variant of it."""

    sfm: bool = parameter(True, 'with the spatial information fusion module')
    fem: bool = parameter(True, 'with the feature enhancement module')
    start_from: str = parameter('', 'weight file of the variant without modules to start from')
    fine_weight: float = parameter(1.0, 'weight of the fine loss against the coarse one')
    weight_weight: float = parameter(0.3, 'weight of the loss of the weights of cells')
    coarse_points: int = parameter(256, 'coarse cells of an image that are looked for')
    fine_points: int = parameter(64, 'fine patches of an image that are looked for')


@dataclass(frozen=True)
class SeaFusionTraining(LoopSettings):
    """How SeAFusion is trained; ``steps`` are those of fusion in the first round."""

    steps: int = parameter(2000, 'steps of fusion in the first round, without labels')
    batch: int = parameter(4, 'pairs a step')
    learning_rate: float = parameter(1e-3, 'highest learning rate of AdamW; half later on')
    rounds: int = parameter(4, 'rounds of fusion, between which segmentation learns')
    round_steps: int = parameter(400, 'steps of either network in each later round')
    start_from: str = parameter('', 'weight file of the segmentation network to start from')


@dataclass(frozen=True)
class Cs2FusionTraining(LoopSettings):
    """How CS2Fusion is trained."""

    steps: int = parameter(2500, 'steps')
    batch: int = parameter(8, 'pairs a step')
    learning_rate: float = parameter(1e-3, 'highest learning rate of AdamW')
    structure: float = parameter(0.01, 'weight of the structure loss')
    impaired: float = parameter(0.25, 'weight of the contrast with luma that patches lack of')
    agreement: float = parameter(2.0, 'weight of the correlation of the map with T - V')


@dataclass(frozen=True)
class FastFusionTraining(LoopSettings):
    """How the fusion network ``fast`` is trained; what each measure weighs."""

    steps: int = parameter(3800, 'steps')
    batch: int = parameter(6, 'pairs a step')
    VIF: float = parameter(1.5, 'weight of visual information fidelity, of both sources')
    Qabf: float = parameter(5.0, 'weight of edges kept')
    SSIM: float = parameter(4.0, 'weight of structural similarity, mean of both sources')
    SCD: float = parameter(0.45, 'weight of the correlations of differences')
    MI: float = parameter(0.3, 'weight of mutual information in bits, of both sources')
    EN: float = parameter(0.03, 'weight of entropy in bits')
    SD: float = parameter(0.05, 'weight of the logarithm of the deviation')
    SF: float = parameter(0.3, 'weight of the logarithm of the spatial frequency')
    brighter: float = parameter(2.0, 'weight of the distance from the brighter source')
    flicker: float = parameter(3.0, 'weight of changing more than the sources do')
    made_up: float = parameter(30.0, 'weight of coarse edges that neither source has')
    beyond: float = parameter(10.0, 'weight of leaving the range from black to white')


@dataclass(frozen=True)
class PerceptionTraining(LoopSettings):
    """What the trainings for segmentation and detection have in common."""

    steps: int = parameter(3300, 'steps')
    batch: int = parameter(32, 'windows a step')
    warmup: int = parameter(200, 'steps of linear rise, before a cosine down to zero')
    device: str = parameter('cpu', 'where PyTorch trains: cpu, cuda')
    given: str = parameter('fast', 'what the network sees: rgb, thermal, rgb+thermal, or a '
                           'fusion method')
    side_px: int = parameter(384, 'side of a window, a multiple of 32')
    simulated: int = parameter(300, 'streets of the simulator that are learned from, too')
    variants: int = parameter(3, 'views of each pair: as it is, and in bad light or smoke')


@dataclass(frozen=True)
class SegmentationTraining(PerceptionTraining):
    """How the segmenter is trained."""

    overlap: float = parameter(1.0, 'weight of the overlap of each class')
    start_from: str = parameter('', 'weight file of a detector to start from, of the same input')


@dataclass(frozen=True)
class DetectionTraining(PerceptionTraining):
    """How the detector is trained."""

    start_from: str = parameter('', 'weight file of a detector of the same input to go on from')


@dataclass(frozen=True)
class ConfidenceTraining:
    """Of which registration method the confidence is calibrated."""

    method: str = parameter('fast', 'method', choices=('dense', 'fast'))
