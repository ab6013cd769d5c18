# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that make networks: ``ivf train`` and ``ivf export``."""

from __future__ import annotations

import argparse
from collections import Counter
import json
from pathlib import Path
import subprocess
from typing import Any

from ivf_ros import memory
from ivf_ros.cli.output import (
    add_overwrite_option,
    check_outputs,
    command_line,
    CommandError,
    read_size,
    report,
)
from ivf_ros.output import check_file, open_folder, OutputError
from ivf_ros.parameters import build, declarations, flatten, parse_settings
from ivf_ros.training.settings import (
    ConfidenceTraining,
    Cs2FusionTraining,
    DetectionTraining,
    DfaTraining,
    FastFusionTraining,
    FastTraining,
    SeaFusionTraining,
    SegmentationTraining,
)

_CONFIDENCE, _FUSION = 'registration-confidence', 'fusion'
_SEGMENTATION, _DETECTION, _JOINT = 'segmentation', 'detection', 'joint'
_SETTINGS: dict[str, type] = {
    'registration-fast': FastTraining, 'registration-dfa': DfaTraining,
    _CONFIDENCE: ConfidenceTraining, _SEGMENTATION: SegmentationTraining,
    _DETECTION: DetectionTraining, _JOINT: SeaFusionTraining}
_FUSION_SETTINGS: dict[str, type] = {'fast': FastFusionTraining, 'seafusion': SeaFusionTraining,
                                     'cs2fusion': Cs2FusionTraining}


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf train``."""
    parser.add_argument('network', choices=(*_SETTINGS, _FUSION), help='what is trained')
    parser.add_argument('--method', choices=_FUSION_SETTINGS, default='fast',
                        help='which network for fusion (default: fast)')
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of data sets; parts of them are held back')
    parser.add_argument('--out', type=Path, required=True,
                        help='folder for checkpoint and log; an interrupted training goes on')
    parser.add_argument('--weights', type=Path, help='weight file to write '
                        'at the end; joint writes that of fusion, and one that ends in '
                        '.segmentation.safetensors beside it')
    add_overwrite_option(parser)
    parser.add_argument('--overfit', action='store_true',
                        help='see one batch again and again: the loss must fall far')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='KEY=VALUE', help='; '.join(
                            f'{network}: {_described(declared)}'
                            for network, declared in {**_SETTINGS, **{
                                f'{_FUSION} {method}': declared
                                for method, declared in _FUSION_SETTINGS.items()}}.items()))
    parser.set_defaults(run=_train)


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf export``."""
    parser.add_argument('stage', choices=('detection', 'segmentation'))
    parser.add_argument('--out', type=Path, required=True, help='the ONNX file')
    parser.add_argument('--both', action='store_true',
                        help='the network for RGB and thermal, not that for a fused image')
    parser.add_argument('--weights', type=Path, help='a weight file instead of those shipped')
    parser.add_argument('--size', default='640x480', metavar='WxH', help='size of the images')
    add_overwrite_option(parser)
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    method: Any
    try:  # PyTorch, only where it is used
        if options.stage == 'detection':
            from ivf_ros.detection import anchor_free as method, network_export as exporting
        else:
            from ivf_ros.segmentation import (  # type: ignore[no-redef]
                bilateral as method, network_export as exporting)
    except ModuleNotFoundError as error:
        raise CommandError(f"export needs '{error.name}'; pip install {error.name}") from None
    if options.weights and options.both:
        raise CommandError('--weights names the network itself: leave out --both')
    shipped = method.RGBT_WEIGHTS if options.both else method.WEIGHTS
    check_outputs(options, [options.out], [options.weights or shipped])
    size = read_size(options.size)
    exporting.export(options.weights or shipped, options.out, size)
    report(options, {'model': str(options.out), 'size': size,
                     'bytes': options.out.stat().st_size})
    return 0


def _train(options: argparse.Namespace) -> int:
    report(options, train_network(options, command_line(options)))
    return 0


def train_network(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """
    Train, write the weights where asked to, and say what was done.

    Raises
    ------
    ParameterError
        A setting is unknown.
    SourceError
        There is nothing to learn from.
    OutputError
        Something would be lost in the output folder or the weight file.

    """
    from ivf_ros.nn import weights

    declared = _FUSION_SETTINGS[options.method] if options.network == _FUSION \
        else _SETTINGS[options.network]
    settings: Any = build(declared, parse_settings(options.settings))
    inputs = filter(None, [getattr(settings, 'start_from', '')])
    for path in _weight_files(options):
        check_file(path, inputs, options.overwrite)
    open_folder(options.out, 'train', [options.data])
    memory.retain_freed()
    if options.network == _CONFIDENCE:
        return _calibrate(options, settings)
    train, scenes = _select_training(options, settings)
    trained_on = dict(Counter(scene.dataset for scene in scenes))
    _record_training(options, trained_on)
    network = train(scenes, options.out, settings, overfit=options.overfit)
    if options.weights:
        networks = network if options.network == _JOINT else (network,)
        for path, one in zip(_weight_files(options), networks, strict=True):
            weights.save(one, path, {
                'network': type(one).__name__, 'trained_on': trained_on, 'command': command,
                'settings': flatten(settings), 'commit': _commit()})
    return {'scenes': trained_on, 'steps': settings.steps, 'log': str(options.out),
            'weights': str(options.weights or '')}


def _record_training(options: argparse.Namespace, trained_on: dict[str, int]) -> None:
    """
    Write down what is trained on what, or compare it with what an interrupted training did.

    The settings are in the checkpoints.

    Raises
    ------
    OutputError
        The folder holds the training of another network, or on other data.

    """
    path = options.out / 'training.json'
    record = {'network': options.network, 'trained_on': trained_on}
    if options.network == _FUSION:
        record['method'] = options.method
    before = json.loads(path.read_text()) if path.is_file() else record
    changed = [f'{name} was {before.get(name)}, is {record.get(name)}'
               for name in dict.fromkeys((*before, *record))
               if before.get(name) != record.get(name)]
    if changed:
        raise OutputError(f'{options.out} holds another training: {"; ".join(changed)}; give '
                          'another --out')
    path.write_text(json.dumps(record, indent=1) + '\n')


def _weight_files(options: argparse.Namespace) -> list[Path]:
    """Return the weight files that are written at the end."""
    if not options.weights:
        return []
    beside = [options.weights.with_suffix('.segmentation.safetensors')]
    return [options.weights, *(beside if options.network == _JOINT else [])]


def _select_training(options: argparse.Namespace, settings: Any) -> tuple[Any, list[Any]]:
    """Return what trains the network that is asked for, and on what."""
    if options.network in (_SEGMENTATION, _DETECTION):
        return _perception(options, settings)
    if options.network in (_FUSION, _JOINT):
        return _fusion(options)
    return _registration(options, settings)


def _perception(options: argparse.Namespace, settings: Any) -> tuple[Any, list[Any]]:
    """Return what trains a network for segmentation or detection, and on what."""
    from ivf_ros.training import detection, segmentation
    from ivf_ros.training.perception_data import perception_scenes, make_views
    from ivf_ros.training.perception_windows import WindowSampler

    of_segmentation = options.network == _SEGMENTATION
    scenes = [scene for scene in perception_scenes(options.data, settings.simulated)
              if (scene.has_labels if of_segmentation else scene.has_boxes)]

    def train(scenes: list[Any], out: Path, settings: Any, overfit: bool) -> Any:
        sampler = WindowSampler(scenes, [make_views(scene, settings.given, settings.variants)
                                         for scene in scenes], settings.device)
        train_on = segmentation.train if of_segmentation else detection.train
        return train_on(sampler, out, settings, overfit)

    return train, scenes


def _registration(options: argparse.Namespace, settings: Any) -> tuple[Any, list[Any]]:
    """Return what trains a network for registration, and on what."""
    from ivf_ros.training import registration_dfa, registration_fast
    from ivf_ros.training.registration_data import training_scenes

    train = {'registration-fast': registration_fast.train,
             'registration-dfa': registration_dfa.train}[options.network]
    return train, training_scenes(options.data, settings.simulated)


def _fusion(options: argparse.Namespace) -> tuple[Any, list[Any]]:
    """Return what trains a network for fusion, and on what."""
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
              'coefficients': [round(float(one), 2) for one in confidence.fit_coefficients(comparisons)]}
    (options.out / 'confidence.json').write_text(json.dumps(result, indent=1) + '\n')
    return result


def _described(declared: type) -> str:
    return ', '.join(f'{one.name}={one.default} ({one.description})'
                     for one in declarations(declared))


def _commit() -> str:
    """Return the commit of the checkout that this is run from, '' where it is none."""
    found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=12'],
                           cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip()
