# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf evaluate``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import math
import os
from pathlib import Path
from typing import Any

from ivf_ros import detection, fusion, perception, registration, segmentation
from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.cameras import add_camera_options, rgb_camera_of, thermal_camera_of
from ivf_ros.cli.output import command_line, print_json, print_line, read_count
from ivf_ros.data.drawn_boxes import HALVES
from ivf_ros.data.sample import Origin
from ivf_ros.evaluation.metrics import FUSION_METRICS
from ivf_ros.evaluation.results import EvaluationError, Stage
from ivf_ros.evaluation.run import evaluate, EvaluationSettings
from ivf_ros.evaluation.stages import (
    AppearanceEvaluation,
    DEFAULT_METRICS,
    DEFAULT_SETS,
    DetectionEvaluation,
    FlickerEvaluation,
    FusionEvaluation,
    IdentityEvaluation,
    KNOWN_HOMOGRAPHY,
    PipelineEvaluation,
    RegistrationEvaluation,
    SegmentationEvaluation,
    SETS,
    TrackingEvaluation,
)
from ivf_ros.network_inputs import BOTH, SENSORS
from ivf_ros.types import STAGES

_VIDEO_STAGES = ('tracking', 'flicker')  # the stages that replay whole videos
# Study to the stage that it analyses.
STUDIES = {'metrics': 'fusion', 'dfa-ablation': 'registration', 'reliability': 'registration',
           'task': 'segmentation', 'scores': 'detection'}


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf evaluate``."""
    parser.add_argument('source', nargs='+',
                        help='data set, folder of data sets, two videos, bag, simulator[:...]')
    parser.add_argument('--stage', default='fusion',
                        choices=(*STAGES, 'pipeline', 'appearance', 'identities', *_VIDEO_STAGES,
                                 'all'),
                        help='stage to measure (default: fusion); pipeline: all stages in '
                        'sequence, as in the graph; appearance: fused images, as people see them; '
                        'identities: tracks of objects in a stream with true identities; '
                        'tracking and flicker replay videos; all: the first four')
    parser.add_argument('--methods', type=_parse_names, metavar='A,B,...',
                        help='methods of the stage, or of any stage with --stage all '
                        '(default: all); a setting may follow a colon, as in '
                        'fast:network.precision=float32')
    parser.add_argument('--study', choices=STUDIES,
                        help='metrics: which fusion metrics distinguish methods, and which are '
                        'redundant; dfa-ablation: effect of each module of the registration '
                        'method dfa; reliability: whether the confidence of registration is '
                        'calibrated; task: accuracy of the same networks, trained on each input; '
                        'scores: whether the scores of detection are calibrated, and what each '
                        'threshold costs')
    parser.add_argument('--networks', type=Path, metavar='DIR',
                        help='for --study task: folder with segmentation-INPUT.safetensors and '
                        'detection-INPUT.safetensors for each of --inputs, and optionally '
                        'segmentation-INPUT.1.safetensors and so on of further trainings')
    parser.add_argument('--out', type=Path, default=Path('ivf_evaluation'),
                        help='folder for the results; an interrupted evaluation there is '
                        'continued (default: %(default)s)')
    parser.add_argument('--jobs', type=read_count, default=os.cpu_count() or 1, metavar='N',
                        help='number of processes (default: one per core)')
    parser.add_argument('--metrics', type=_parse_names, metavar='EN,SD,...',
                        help=f'for fusion: all, or some of {", ".join(FUSION_METRICS)} '
                        f'(default: {", ".join(DEFAULT_METRICS)})')
    parser.add_argument('--moved', type=_parse_pixels, default=0.0, metavar='PX',
                        help='for fusion: shift thermal by this distance before fusion, and '
                        'compare the result with thermal that is not shifted (default: 0)')
    parser.add_argument('--sets', type=_parse_names, default=DEFAULT_SETS, metavar='A,B,...',
                        help='for registration and tracking: misalignments, some of '
                        f'{", ".join(SETS)} (default: {", ".join(DEFAULT_SETS)})')
    parser.add_argument('--inputs', type=_parse_names, default=(*SENSORS, fusion.DEFAULT_METHOD),
                        metavar='A,B,...', help='for segmentation and detection: rgb, thermal, '
                        f'fusion methods, and {BOTH} for models that take both cameras '
                        f'(default: rgb,thermal,{fusion.DEFAULT_METHOD})')
    parser.add_argument('--rate', type=_parse_rate_hz, default=5.0, metavar='HZ',
                        help='for tracking: measurements per second (default: 5)')
    parser.add_argument('--every', type=read_count, default=1, metavar='N',
                        help='use every Nth pair of each data set or stream (default: 1)')
    parser.add_argument('--limit', type=read_count, metavar='N',
                        help='use at most N pairs of each data set or stream')
    parser.add_argument('--held-back', action='store_true',
                        help='use only the pairs that no training of this package has used: '
                        'every fourth block of 14 of each data set')
    parser.add_argument('--aligned', action='store_true',
                        help='treat all pairs as aligned, also where the data set does not say '
                        'so')
    parser.add_argument('--machine-labels', action='store_true',
                        help='use labels that another network made instead of human ones; the '
                        'result is the agreement with that network')
    parser.add_argument('--drawn-boxes', type=Path, metavar='FILE',
                        help='use only the pairs on which the developers drew boxes, with these '
                        'boxes: docs/labels/boxes.json')
    parser.add_argument('--half', choices=HALVES,
                        help='half of --drawn-boxes: choosing is for decisions between variants, '
                        'reporting for published figures (default: both)')
    add_bag_options(parser)
    add_camera_options(parser)
    parser.add_argument('--no-pictures', dest='pictures', action='store_false',
                        help='store no pictures; the report then shows none')
    parser.add_argument('--restart', action='store_true',
                        help='discard the results in --out')
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    summary = evaluate_sources(options, command_line(options))
    if options.json:
        print_json(summary)
    else:
        print_line(format_table(summary))
        print_line(f'report: {options.out / "report.html"}')
    return 0


def evaluate_sources(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """
    Evaluate, write the report, and return the summary.

    Raises
    ------
    EvaluationError, SourceError, ReportError
        The evaluation cannot be run; the message gives the reason.

    """
    from ivf_ros.evaluation import report

    report.check_requirements()  # fail before the evaluation, not after it
    settings = EvaluationSettings(
        sources=tuple(options.source), stages=_make_stages(options), out=options.out,
        jobs=options.jobs, every=options.every, limit=options.limit, aligned=options.aligned,
        held_back=options.held_back, machine_labels=options.machine_labels,
        drawn_boxes=options.drawn_boxes, half=options.half or '',
        pictures=options.pictures, restart=options.restart, bag_options=bag_options_of(options),
        thermal_camera=thermal_camera_of(options), rgb_camera=rgb_camera_of(options))
    summary = evaluate(settings, command)
    if options.study:
        from ivf_ros.evaluation.studies import (
            detection_scores,
            dfa_ablation,
            metric_selection,
            reliability,
            task_driven,
        )

        study = {'metrics': metric_selection, 'dfa-ablation': dfa_ablation,
                 'reliability': reliability, 'task': task_driven,
                 'scores': detection_scores}[options.study]
        summary = study.add_study(options.out)
    report.write(options.out)
    return summary


def format_table(summary: dict[str, Any]) -> str:
    """Return the means over all cases as text for a terminal."""
    lines = []
    for name, stage in summary['stages'].items():
        columns = [*stage['metrics'], *stage['overall']]
        width = max(len(method) for method in stage['methods'])
        lines.append(f'{name}: {stage["groups"]["all"]} cases')
        rows = [('', ['failed', *columns])]
        for method, entry in stage['table']['all'].items():
            cells = [entry['values'][metric]['mean'] for metric in stage['metrics']]
            cells += [entry['overall'].get(metric) for metric in stage['overall']]
            rows.append((method, [str(entry['failed']), *map(_format_cell, cells)]))
        widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(columns) + 1)]
        lines += [f'  {method:{width}}  ' + '  '.join(f'{cell:>{widths[i]}}'
                                                      for i, cell in enumerate(cells))
                  for method, cells in rows]
        lines += [f'  {note}' for note in stage['notes']]
    return '\n'.join(lines)


def _origin_of(options: argparse.Namespace) -> Origin:
    if options.drawn_boxes:
        return Origin.DEVELOPERS
    return Origin.MACHINE if options.machine_labels else Origin.HUMAN


def _make_stages(options: argparse.Namespace) -> tuple[Stage, ...]:
    if options.study == 'task':
        return _make_task_stages(options)
    if options.networks:
        raise EvaluationError('--networks needs --study task')
    if options.study and options.stage != STUDIES[options.study]:
        raise EvaluationError(f'--study {options.study} needs --stage '
                              f"{STUDIES[options.study]}, got '{options.stage}'")
    if options.study == 'dfa-ablation':
        return _make_ablation_stages(options)
    if options.stage in _VIDEO_STAGES and (options.every > 1 or options.limit
                                           or options.held_back):
        raise EvaluationError(f'--stage {options.stage} replays whole videos; leave out --every, '
                              '--limit and --held-back')
    names = STAGES if options.stage == 'all' else (options.stage,)
    selected = {name: _select_methods(options.methods, _list_methods(name)) for name in names}
    unknown = set(options.methods or ()) - {m for methods in selected.values() for m in methods}
    if unknown:
        known = {method: None for name in names for method in _list_methods(name)}
        raise EvaluationError(f"unknown method '{sorted(unknown)[0]}'; known: {', '.join(known)}")
    _check_names('set', options.sets, SETS)
    _check_names('input', options.inputs, (*SENSORS, BOTH, *fusion.methods()))
    if options.study == 'reliability':
        selected['registration'] = tuple(f'{name}:min_confidence=0.0'
                                         for name in selected['registration'] if name != 'none')
    make_stage: dict[str, Any] = {
        'registration': lambda methods: RegistrationEvaluation(methods, options.sets),
        'fusion': lambda methods: FusionEvaluation(methods, _select_metrics(options),
                                                   options.moved),
        'segmentation': lambda methods: SegmentationEvaluation(methods, options.inputs,
                                                               _origin_of(options)),
        'detection': lambda methods: DetectionEvaluation(methods, options.inputs,
                                                         _origin_of(options)),
        'tracking': lambda methods: TrackingEvaluation(methods, options.sets, options.rate),
        'flicker': FlickerEvaluation,
        'appearance': lambda methods: AppearanceEvaluation(methods, _origin_of(options)),
        'identities': IdentityEvaluation,
        'pipeline': lambda methods: PipelineEvaluation(methods, _origin_of(options)),
    }
    return tuple(make_stage[name](methods) for name, methods in selected.items() if methods)


def _make_ablation_stages(options: argparse.Namespace) -> tuple[Stage, ...]:
    from ivf_ros.evaluation.studies import dfa_ablation

    if options.methods:
        raise EvaluationError('--study dfa-ablation has fixed methods; leave out --methods')
    _check_names('set', options.sets, SETS)
    return (RegistrationEvaluation(dfa_ablation.METHODS, options.sets),)


def _make_task_stages(options: argparse.Namespace) -> tuple[Stage, ...]:
    if options.methods or not options.networks:
        raise EvaluationError('--study task needs --networks, a folder of weight files, and no '
                              '--methods')
    evaluations = (SegmentationEvaluation((segmentation.DEFAULT_METHOD,), options.inputs,
                                          _origin_of(options), str(options.networks)),
                   DetectionEvaluation((detection.DEFAULT_METHOD,), options.inputs,
                                       _origin_of(options), str(options.networks)))
    _check_names('input', options.inputs, (*SENSORS, BOTH, *fusion.methods()))
    for evaluation in evaluations:
        for modality in options.inputs:
            if '' not in evaluation.find_weights(modality):
                path = options.networks / f'{evaluation.name}-{modality}.safetensors'
                raise EvaluationError(f'--study task needs {path}, a network trained by ivf train '
                                      f'{evaluation.name} --set given={modality}')
    return evaluations


def _list_methods(stage: str) -> tuple[str, ...]:
    if stage == 'registration':
        # 'calibrated' is one homography, and the pairs of a data set have different ones.
        return ('none', *(name for name in registration.methods() if name != 'calibrated'))
    if stage == 'pipeline':
        return (KNOWN_HOMOGRAPHY,
                *(name for name in registration.methods() if name != 'calibrated'))
    if stage == 'tracking':
        return tuple(name for name in registration.methods() if name != 'calibrated')
    if stage == 'detection':  # 'onnx' needs a model file
        return (*(name for name in detection.methods() if name != 'onnx'), perception.METHOD)
    if stage == 'segmentation':
        return (*segmentation.methods(), perception.METHOD)
    if stage == 'identities':
        return (perception.METHOD,)
    modules = {'fusion': fusion, 'flicker': fusion, 'appearance': fusion}
    return modules[stage].methods()


def _select_methods(requested: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return the requested methods of a stage, or all except the alias 'default'."""
    if requested is None:
        return tuple(name for name in known if name != 'default')
    return tuple(name for name in requested if name.partition(':')[0] in known)


def _select_metrics(options: argparse.Namespace) -> tuple[str, ...]:
    if options.metrics == ('all',) or (options.study and not options.metrics):
        return FUSION_METRICS
    _check_names('metric', options.metrics or (), FUSION_METRICS)
    return options.metrics or DEFAULT_METRICS


def _check_names(term: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise EvaluationError(f"unknown {term} '{name}'; known: {', '.join(known)}")


def _parse_names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(','))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError('must be different names separated by commas, '
                                         f"got '{text}'")
    return names


def _parse_pixels(text: str) -> float:
    try:
        pixels = float(text)
    except ValueError:
        pixels = -1.0
    if not 0.0 <= pixels <= 100.0:
        raise argparse.ArgumentTypeError(f"must be from 0 to 100 pixels, got '{text}'")
    return pixels


def _parse_rate_hz(text: str) -> float:
    try:
        rate_hz = float(text)
    except ValueError:
        rate_hz = 0.0
    if not 0.0 < rate_hz < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got '{text}'")
    return rate_hz


def _format_cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.4g}'
