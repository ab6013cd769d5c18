# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``ivf train NETWORK --init WEIGHTS``: fine-tuning with a report before and after."""

from __future__ import annotations

import argparse
from collections import Counter
import json
import math
from pathlib import Path
from typing import Any

from ivf_ros.cli.output import (
    check_suffix,
    CommandError,
    print_json,
    print_line,
    print_note,
    UsageError,
)
from ivf_ros.optional_imports import explain_missing
from ivf_ros.output import check_file, check_folder, open_folder
from ivf_ros.parameters import flatten, parse_settings
from ivf_ros.training.fine_tuning_settings import build_settings, SETTINGS
from ivf_ros.training.record import describe_commit, record_training

_KEPT_LABELS = ('accuracy', 'IoU person', 'IoU car')
_MACHINE_NOTE = ('the boxes of the held-back pairs are machine-made: the numbers show how far the '
                 'networks agree with the teachers, not how accurate they are')


def fine_tune(options: argparse.Namespace, command: str) -> int:
    """
    Fine-tune a network on the pairs of a user, write the weights, and print the report.

    Parameters
    ----------
    options:
        Those of ``ivf train``.
    command:
        The command line, for the metadata of the weights.

    Raises
    ------
    UsageError
        The network cannot be fine-tuned, or an option is for other trainings.
    SourceError
        There are too few pairs.
    WeightsError, OutputError, ParameterError
        The initial weights, an output or a setting cannot be used.

    """
    if options.network not in SETTINGS or options.overfit:
        raise UsageError(f'--init is for {" and ".join(SETTINGS)}, without --overfit')
    settings = build_settings(options.network, parse_settings(options.settings))
    out = options.out or Path(f'{options.network}_fine_tuned')
    path = options.weights or out / f'{options.network}.safetensors'
    check_folder(out, 'train', [options.data])
    check_suffix(path, ('.safetensors',))
    check_file(path, [options.init], options.overwrite, [out])
    check_file(path.with_suffix('.onnx'), [options.init], options.overwrite, [out])
    with explain_missing('train', CommandError):
        from ivf_ros.training import fine_tuning, loop
        from ivf_ros.training.fine_tuning_data import find_annotated_pairs
    from ivf_ros.evaluation.detector_comparison import (
        create_detector,
        measure_detector,
        measure_kept_labels,
    )
    from ivf_ros.nn import weights

    initial = fine_tuning.find_initial_weights(options.network, options.init, settings.given)
    data = find_annotated_pairs(options.data)
    open_folder(out, 'train', [options.data])
    trained_on = dict(Counter(sample.dataset for sample in data.training))
    record_training(out, {'network': options.network, 'trained_on': trained_on,
                          'init': str(options.init)})
    start = create_detector(options.network, initial, settings.threads)
    before = measure_detector(start, data.held_back, settings.given)
    train: Any = {'detection': fine_tuning.train_detection,
                  'perception': fine_tuning.train_perception}[options.network]
    network = train(data.training, initial, out, settings)
    metadata = {'network': type(network).__name__, 'trained_on': trained_on,
                'init': weights.metadata(initial), 'command': command,
                'settings': flatten(settings), 'commit': describe_commit()}
    weights.save(network, path, metadata)
    result = create_detector(options.network, path, settings.threads)
    report = _compare(before, measure_detector(result, data.held_back, settings.given))
    if options.network == 'perception':
        kept = measure_kept_labels(start, result, data.held_back, settings.given)
        report['labels_kept'] = {name: kept[name] for name in _KEPT_LABELS}
    report = _without_nan(report)
    report.update({
        'held_back': len(data.held_back), 'held_back_origin': data.held_origin.value,
        'held_back_recordings': data.held_recordings,
        'trained_on': trained_on, 'steps': loop.count_steps(out), 'weights': str(path)})
    weights.save(network, path, {**metadata, 'scores': report})
    report['onnx'] = _export(options, path, metadata)
    (out / 'report.json').write_text(json.dumps(report, indent=1) + '\n')
    _print(options, report)
    return 0


def _compare(before: Any, after: Any) -> dict[str, Any]:
    """Return the tables of both and the verdict."""
    from ivf_ros.detection import AnchorFreeParameters
    from ivf_ros.evaluation.detector_comparison import compare_outcomes, describe_outcomes

    min_score = AnchorFreeParameters().min_score
    verdict, difference, interval = compare_outcomes(before, after)
    return {'verdict': verdict, 'mAP50_difference': difference,
            'mAP50_difference_interval': list(interval), 'min_score': min_score,
            'before': describe_outcomes(before, min_score),
            'after': describe_outcomes(after, min_score)}


def _without_nan(value: Any) -> Any:
    """Return nested values rounded, with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value


def _export(options: argparse.Namespace, path: Path, metadata: dict[str, Any]) -> str:
    """Write the ONNX file that runs without PyTorch; return its path, '' without the library."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        return ''
    from ivf_ros.detection.network_inference import load_module as load_detector
    from ivf_ros.nn import export
    from ivf_ros.perception.network_inference import load_module as load_joint

    load_module: Any = {'detection': load_detector, 'perception': load_joint}[options.network]
    exported = path.with_suffix('.onnx')
    export.export(load_module(path), exported, {**metadata, 'precision': 'float32'})
    return str(exported)


def _print(options: argparse.Namespace, report: dict[str, Any]) -> None:
    if report['held_back_origin'] != 'human':
        print_note(options, _MACHINE_NOTE)
    low, high = report['mAP50_difference_interval']
    change = f'mAP50 {report["mAP50_difference"]:+.3f} (95 % of resampled pairs: {low:+.3f} to ' \
        f'{high:+.3f})'
    if report['verdict'] != 'better':
        print_note(options, f'the result is not better than the start on the held-back pairs: '
                   f'{report["verdict"]}, {change}; more or better labelled pairs may help')
    if options.json:
        print_json(report)
        return
    held_back = 'other recordings' if report['held_back_recordings'] else 'the same recordings'
    print_line(f'{report["held_back"]} held-back pairs of {held_back}, recall and precision at '
               f'score {report["min_score"]:g}: before -> after')
    for name, first in report['before'].items():
        second = report['after'][name]
        print_line(f'{name:8} {first["objects"]:5} objects  ' + '  '.join(
            f'{column} {_format(first[column])} -> {_format(second[column])}'
            for column in ('recall', 'precision', 'AP50')))
    print_line(f'{report["verdict"]}: {change}')
    if 'labels_kept' in report:
        print_line('labels as before: ' + ', '.join(
            f'{name} {_format(value)}' for name, value in report['labels_kept'].items()))
    for name in ('weights', 'onnx'):
        if report[name]:
            print_line(f'{name}: {report[name]}')


def _format(value: float | None) -> str:
    return '-' if value is None else f'{value:.3f}'
