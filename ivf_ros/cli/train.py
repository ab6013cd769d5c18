# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf train``."""

from __future__ import annotations

import argparse
from collections import Counter
import json
import os
from pathlib import Path
from typing import Any

from ivf_ros import memory
from ivf_ros.cli.calibrate_scores import calibrate_scores
from ivf_ros.cli.fine_tune import fine_tune
from ivf_ros.cli.output import (
    add_overwrite_option,
    check_suffix,
    command_line,
    CommandError,
    report,
    report_settings,
    UsageError,
)
from ivf_ros.optional_imports import explain_missing
from ivf_ros.output import check_file, check_folder, open_folder
from ivf_ros.parameters import build, declarations, flatten, parse_settings
from ivf_ros.training.fine_tuning_settings import list_settings
from ivf_ros.training.fine_tuning_settings import SETTINGS as FINE_TUNING_SETTINGS
from ivf_ros.training.record import describe_commit, record_training
from ivf_ros.training.settings import (
    ConfidenceTraining,
    Cs2FusionTraining,
    DetectionTraining,
    DfaTraining,
    FastFusionTraining,
    FastTraining,
    JointPerceptionTraining,
    ScoreCalibration,
    SeaFusionTraining,
    SegmentationTraining,
)

_CONFIDENCE, _FUSION = 'registration-confidence', 'fusion'
_SEGMENTATION, _DETECTION, _PERCEPTION = 'segmentation', 'detection', 'perception'
_JOINT, _SCORES = 'joint', 'detection-scores'
_SETTINGS: dict[str, type] = {
    'registration-fast': FastTraining, 'registration-dfa': DfaTraining,
    _CONFIDENCE: ConfidenceTraining, _SEGMENTATION: SegmentationTraining,
    _DETECTION: DetectionTraining, _PERCEPTION: JointPerceptionTraining, _JOINT: SeaFusionTraining,
    _SCORES: ScoreCalibration}
_FUSION_SETTINGS: dict[str, type] = {'fast': FastFusionTraining, 'seafusion': SeaFusionTraining,
                                     'cs2fusion': Cs2FusionTraining}


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf train``."""
    parser.usage = 'ivf train NETWORK --data DIR --out DIR [options]'
    networks = (*_SETTINGS, _FUSION)
    parser.add_argument('network', choices=networks, metavar='NETWORK', help=', '.join(networks))
    parser.add_argument('--list', action='store_true', help='print the settings and end')
    parser.add_argument('--data', type=Path, metavar='DIR', help='data sets; their held-out parts '
                        'are not used')
    parser.add_argument('--out', type=Path, metavar='DIR', help='checkpoint and log; an '
                        'interrupted training is continued')
    parser.add_argument('--weights', type=Path, metavar='FILE', help='.safetensors to write; '
                        'joint writes a second file')
    parser.add_argument('--method', choices=_FUSION_SETTINGS, default='fast',
                        metavar='METHOD', help=f'of fusion: {", ".join(_FUSION_SETTINGS)} '
                        '(default: fast)')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='KEY=VALUE', help='a setting, see --list; may be repeated')
    parser.add_argument('--init', metavar='FILE', help='fine-tune from weights, or from default')
    parser.add_argument('--overfit', action='store_true',
                        help='a single batch, as a test: the loss must fall far')
    add_overwrite_option(parser)
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> int:
    if options.list:
        return _list_settings(options)
    if not (options.data and (options.out or options.init)):
        raise UsageError('give --data and --out; --list prints the settings')
    # Threads that wait actively take the cores of each other: with two of them on two busy cores a
    # step of the detector took 10 s, and 0.8 s without. PyTorch reads it when it is loaded.
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
    with explain_missing('train', CommandError):  # the demonstration needs neither of the two
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    if options.init:
        memory.retain_freed()
        return fine_tune(options, command_line(options))
    report(options, train_network(options, command_line(options)))
    return 0


def _list_settings(options: argparse.Namespace) -> int:
    settings = list_settings(options.network) \
        if options.init and options.network in FINE_TUNING_SETTINGS \
        else list(declarations(_settings_type(options)))
    report_settings(options, settings)
    return 0


def _settings_type(options: argparse.Namespace) -> type:
    return _FUSION_SETTINGS[options.method] if options.network == _FUSION \
        else _SETTINGS[options.network]


def train_network(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """
    Train, write the weight files if requested, and return a summary.

    Raises
    ------
    ParameterError
        A setting is unknown.
    SourceError
        There are no training data.
    OutputError
        The output folder or the weight file holds other data, which would be lost.

    """
    settings: Any = build(_settings_type(options), parse_settings(options.settings))
    inputs = [name for name in [getattr(settings, 'start_from', '')] if name]
    check_folder(options.out, 'train', [options.data])
    for path in _weight_files(options):
        check_suffix(path, ('.safetensors',))
        check_file(path, inputs, options.overwrite, [options.out])
    from ivf_ros.nn import weights  # PyTorch

    open_folder(options.out, 'train', [options.data])
    memory.retain_freed()
    if options.network == _CONFIDENCE:
        return _calibrate(options, settings)
    if options.network == _SCORES:
        return calibrate_scores(options.data, options.out, options.weights, settings, command)
    train, scenes = _select_training(options, settings)
    trained_on = dict(Counter(scene.dataset for scene in scenes))
    record = {'network': options.network, 'trained_on': trained_on}
    if options.network == _FUSION:
        record['method'] = options.method
    record_training(options.out, record)
    network = train(scenes, options.out, settings, overfit=options.overfit)
    if options.weights:
        networks = network if options.network == _JOINT else (network,)
        for path, trained in zip(_weight_files(options), networks, strict=True):
            weights.save(trained, path, {
                'network': type(trained).__name__, 'trained_on': trained_on, 'command': command,
                'settings': flatten(settings), 'commit': describe_commit()})
    return {'scenes': trained_on, 'steps': settings.steps, 'log': str(options.out),
            'weights': str(options.weights or '')}


def _weight_files(options: argparse.Namespace) -> list[Path]:
    """Return the weight files to write at the end."""
    if not options.weights:
        return []
    if options.network != _JOINT:
        return [options.weights]
    return [options.weights, options.weights.with_suffix('.segmentation.safetensors')]


def _select_training(options: argparse.Namespace, settings: Any) -> tuple[Any, list[Any]]:
    """Return the ``train`` function of the requested network, and its scenes."""
    if options.network in (_SEGMENTATION, _DETECTION, _PERCEPTION):
        return _select_perception(options, settings)
    if options.network in (_FUSION, _JOINT):
        return _select_fusion(options)
    return _select_registration(options, settings)


def _select_perception(options: argparse.Namespace, settings: Any) -> tuple[Any, list[Any]]:
    """Return the ``train`` function for segmentation, detection or both, and its scenes."""
    from ivf_ros.training import detection, perception, segmentation
    from ivf_ros.training.perception_data import make_views, perception_scenes
    from ivf_ros.training.perception_windows import WindowSampler

    train_perception: Any = {_SEGMENTATION: segmentation, _DETECTION: detection,
                             _PERCEPTION: perception}[options.network].train
    needs_labels = options.network == _SEGMENTATION
    found = perception_scenes(options.data, settings.simulated, settings.off_road,
                              settings.ignore_found)
    scenes = [scene for scene in found
              if (scene.has_labels if needs_labels else scene.has_boxes)]

    def train(scenes: list[Any], out: Path, settings: Any, overfit: bool) -> Any:
        sampler = WindowSampler(scenes, [make_views(scene, settings.given, settings.variants)
                                         for scene in scenes], settings.device)
        return train_perception(sampler, out, settings, overfit)

    return train, scenes


def _select_registration(options: argparse.Namespace, settings: Any) -> tuple[Any, list[Any]]:
    """Return the ``train`` function for registration, and its scenes."""
    from ivf_ros.training import registration_dfa, registration_fast
    from ivf_ros.training.registration_data import training_scenes

    train = {'registration-fast': registration_fast.train,
             'registration-dfa': registration_dfa.train}[options.network]
    return train, training_scenes(options.data, settings.simulated)


def _select_fusion(options: argparse.Namespace) -> tuple[Any, list[Any]]:
    """Return the ``train`` function for fusion, and its scenes."""
    from ivf_ros.training import fusion_cs2fusion, fusion_fast, fusion_seafusion
    from ivf_ros.training.fusion_data import fusion_scenes

    if options.network == _JOINT:
        return fusion_seafusion.train_jointly, fusion_scenes(options.data)
    train = {'fast': fusion_fast.train, 'seafusion': fusion_seafusion.train,
             'cs2fusion': fusion_cs2fusion.train}[options.method]
    return train, fusion_scenes(options.data)


def _calibrate(options: argparse.Namespace, settings: ConfidenceTraining) -> dict[str, Any]:
    """Calibrate the confidence of a method, and write its coefficients."""
    from ivf_ros.data.datasets import find_datasets
    from ivf_ros.training import confidence

    samples = [sample for dataset in find_datasets(options.data)
               for sample in dataset.for_training if sample.aligned]
    comparisons = confidence.comparisons(settings.method, samples)
    result = {'method': settings.method, 'pairs': len(samples), 'comparisons': len(comparisons),
              'coefficients': [round(float(coefficient), 2) for coefficient
                               in confidence.fit_coefficients(comparisons)]}
    (options.out / 'confidence.json').write_text(json.dumps(result, indent=1) + '\n')
    return result
