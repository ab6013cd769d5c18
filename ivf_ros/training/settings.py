# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Settings of the trainings."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.parameters import group, parameter


@dataclass(frozen=True)
class LoopSettings:
    """Settings of every training."""

    steps: int = parameter(10000, 'number of steps')
    batch: int = parameter(8, 'pairs per step')
    learning_rate: float = parameter(2e-3, 'maximum learning rate of AdamW')
    weight_decay: float = parameter(1e-2, 'weight decay of AdamW')
    warmup: int = parameter(300, 'steps of linear rise of the learning rate, before a cosine '
                            'down to zero')
    seed: int = parameter(0, 'seed of all random numbers')
    threads: int = parameter(1, 'threads of PyTorch')
    save_every: int = parameter(200, 'steps between checkpoints')
    minutes: float = parameter(0.0, 'time limit, of each round where there are several; 0 for '
                               'none', minimum=0.0)


@dataclass(frozen=True)
class RegistrationTraining(LoopSettings):
    """Settings of the trainings for registration."""

    simulated: int = parameter(60, 'number of additional scenes of the simulator')
    easy_steps: int = parameter(1200, 'steps over which examples of one sensor become rare')


@dataclass(frozen=True)
class FastTraining(RegistrationTraining):
    """Settings of the training of the network of the registration method ``fast``."""

    blocks: int = parameter(20, 'blocks to match of each feature map of an image')


@dataclass(frozen=True)
class DfaTraining(RegistrationTraining):
    """Settings of the training of the network of the registration method ``dfa``."""

    sfm: bool = parameter(True, 'use the spatial information fusion module')
    fem: bool = parameter(True, 'use the feature enhancement module')
    start_from: str = parameter('', 'weight file of the variant without modules to start from')
    fine_weight: float = parameter(1.0, 'weight of the fine loss relative to the coarse loss')
    weight_weight: float = parameter(0.3, 'weight of the loss of the weights of cells')
    coarse_points: int = parameter(256, 'coarse cells to match of an image')
    fine_points: int = parameter(64, 'fine patches to match of an image')


@dataclass(frozen=True)
class SeaFusionTraining(LoopSettings):
    """Settings of the training of SeAFusion; ``steps`` are those of fusion in the first round."""

    steps: int = parameter(2000, 'steps of fusion in the first round, without labels')
    batch: int = parameter(4, 'pairs per step')
    learning_rate: float = parameter(1e-3, 'maximum learning rate of AdamW; half of it for fusion '
                                     'after the first round')
    rounds: int = parameter(4, 'rounds of fusion; segmentation is trained between them')
    round_steps: int = parameter(400, 'steps of each network in each later round')
    start_from: str = parameter('', 'weight file of the segmentation network to start from')


@dataclass(frozen=True)
class Cs2FusionTraining(LoopSettings):
    """Settings of the training of CS2Fusion."""

    steps: int = parameter(2500, 'number of steps')
    batch: int = parameter(8, 'pairs per step')
    learning_rate: float = parameter(1e-3, 'maximum learning rate of AdamW')
    structure: float = parameter(0.01, 'weight of the structure loss')
    impaired: float = parameter(0.25, 'weight of the contrastive loss with patches cut out of '
                                'luma')
    agreement: float = parameter(2.0, 'weight of the correlation of the map with T - V')


@dataclass(frozen=True)
class FastFusionTraining(LoopSettings):
    """Settings of the training of the fusion network ``fast``, with the weights of its losses."""

    steps: int = parameter(3800, 'number of steps')
    batch: int = parameter(6, 'pairs per step')
    VIF: float = parameter(1.5, 'weight of visual information fidelity, of both sources')
    Qabf: float = parameter(5.0, 'weight of preserved edges')
    SSIM: float = parameter(4.0, 'weight of structural similarity, mean of both sources')
    SCD: float = parameter(0.45, 'weight of the correlations of differences')
    MI: float = parameter(0.3, 'weight of mutual information in bits, of both sources')
    EN: float = parameter(0.03, 'weight of entropy in bits')
    SD: float = parameter(0.05, 'weight of the logarithm of the standard deviation')
    SF: float = parameter(0.3, 'weight of the logarithm of the spatial frequency')
    brighter: float = parameter(2.0, 'weight of the difference from the brighter source')
    flicker: float = parameter(3.0, 'weight of changes over time that exceed those of the sources')
    made_up: float = parameter(30.0, 'weight of coarse edges that neither source has')
    beyond: float = parameter(10.0, 'weight of values outside the range from black to white')


@dataclass(frozen=True)
class CameraFailures:
    """How often one of two cameras fails in the training of segmentation and detection."""

    blank: float = parameter(0.16, 'probability that one of the cameras shows nothing', minimum=0,
                             maximum=1)
    late: float = parameter(0.15, 'probability that thermal is late, so that it is shifted',
                            minimum=0, maximum=1)
    late_px: float = parameter(12.0, 'maximum horizontal shift of a late thermal image', minimum=0)


@dataclass(frozen=True)
class PerceptionTraining(LoopSettings):
    """Settings of the trainings for segmentation and detection."""

    steps: int = parameter(3300, 'number of steps')
    batch: int = parameter(32, 'windows per step')
    warmup: int = parameter(200, 'steps of linear rise of the learning rate, before a cosine '
                            'down to zero')
    device: str = parameter('cpu', 'device of PyTorch: cpu, cuda')
    given: str = parameter('fast', 'input of the network: rgb, thermal, rgb+thermal, or a '
                           'fusion method')
    side_px: int = parameter(384, 'side of a window, a multiple of 32')
    simulated: int = parameter(300, 'number of additional streets of the simulator')
    off_road: int = parameter(300, 'number of additional parks, markets, halls and other places '
                              'of the simulator')
    ignore_found: bool = parameter(True, 'ignore what the present networks find on real pairs '
                                   'without a label')
    variants: int = parameter(3, 'views of each pair: the original, and copies in bad light or '
                              'smoke')
    failures: CameraFailures = group(CameraFailures)


@dataclass(frozen=True)
class SegmentationTraining(PerceptionTraining):
    """Settings of the training of the segmenter."""

    overlap: float = parameter(1.0, 'weight of the overlap loss')
    start_from: str = parameter('', 'weight file of a detector of the same input to start from')


@dataclass(frozen=True)
class DetectionTraining(PerceptionTraining):
    """Settings of the training of the detector."""

    start_from: str = parameter('', 'weight file of a detector of the same input to start from')


@dataclass(frozen=True)
class JointPerceptionTraining(PerceptionTraining):
    """Settings of the training of the network of the perception stage."""

    steps: int = parameter(1000, 'number of steps')
    batch: int = parameter(16, 'windows per step')
    side_px: int = parameter(320, 'side of a window, a multiple of 32')
    learning_rate: float = parameter(5e-4, 'maximum learning rate of AdamW')
    warmup: int = parameter(100, 'steps of linear rise of the learning rate, before a cosine '
                            'down to zero')
    overlap: float = parameter(1.0, 'weight of the overlap loss of segmentation')
    start_from: str = parameter('', 'weight file of the same network to start from, instead of '
                                'detector and segmenter')
    detector: str = parameter('', 'weight file of a detector of the same input to start from')
    segmenter: str = parameter('', 'weight file of a segmenter that was started from this '
                               'detector, to start from')


@dataclass(frozen=True)
class ConfidenceTraining:
    """Settings of the calibration of the confidence of a registration method."""

    method: str = parameter('fast', 'registration method', choices=('dense', 'fast'))


@dataclass(frozen=True)
class ScoreCalibration:
    """Settings of the calibration of the scores of a detector or of the perception stage."""

    start_from: str = parameter('', 'weight file whose scores are calibrated')
    boxes: str = parameter('', 'file of drawn boxes; its half for choosing is used')
    given: str = parameter('rgb+thermal', 'input of the network: rgb, thermal, rgb+thermal, or a '
                           'fusion method')
    threads: int = parameter(1, 'threads of PyTorch')
