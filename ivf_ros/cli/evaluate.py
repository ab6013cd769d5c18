# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``ivf evaluate``: what its options mean, and what it does with them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import math
import os
from pathlib import Path
from typing import Any

from ivf_ros import detection, fusion, registration, segmentation
from ivf_ros.cli.output import command_line, print_json, print_line
from ivf_ros.evaluation.metrics import FUSION_METRICS
from ivf_ros.evaluation.results import EvaluationError, Stage
from ivf_ros.evaluation.run import evaluate, EvaluationSettings
from ivf_ros.evaluation.stages import (
    DEFAULT_METRICS,
    DEFAULT_SETS,
    DetectionEvaluation,
    FlickerEvaluation,
    FusionEvaluation,
    KNOWN,
    PipelineEvaluation,
    RegistrationEvaluation,
    SegmentationEvaluation,
    SETS,
    TrackingEvaluation,
)
from ivf_ros.network_inputs import BOTH, SENSORS

STAGES = ('registration', 'fusion', 'segmentation', 'detection')
_OF_VIDEOS = ('tracking', 'flicker')  # the stages that replay whole videos
# and the stage they look at
STUDIES = {'metrics': 'fusion', 'dfa-ablation': 'registration', 'reliability': 'registration',
           'task': 'segmentation'}


def add_evaluate_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf evaluate``."""
    parser.add_argument('source', nargs='+',
                        help='data set, folder of data sets, two videos, bag, simulator[:...]')
    parser.add_argument('--stage', default='fusion',
                        choices=(*STAGES, 'pipeline', *_OF_VIDEOS, 'all'),
                        help='what is measured (default: fusion); pipeline: all stages one '
                        'after the other, as in the graph; tracking and flicker replay videos; '
                        'all: the first four')
    parser.add_argument('--methods', type=_names, metavar='A,B,...',
                        help='of the stage, or of any stage with --stage all; default: all')
    parser.add_argument('--study', choices=STUDIES,
                        help='metrics: which fusion metrics tell methods apart, and which repeat '
                        'each other; dfa-ablation: what each module of the registration method '
                        'dfa gives; task: what the same networks, trained on each input, find')
    parser.add_argument('--networks', type=Path, metavar='DIR',
                        help='of --study task: folder with segmentation-INPUT.safetensors and '
                        'detection-INPUT.safetensors for each of --inputs, and perhaps '
                        'segmentation-INPUT.1.safetensors and so on of further trainings')
    parser.add_argument('--out', type=Path, default=Path('ivf_evaluation'),
                        help='folder for the results; what was interrupted there goes on')
    parser.add_argument('--jobs', type=_count, default=os.cpu_count() or 1, metavar='N',
                        help='processes (default: one a core)')
    parser.add_argument('--metrics', type=_names, metavar='EN,SD,...',
                        help=f'of fusion; all, or some of {", ".join(FUSION_METRICS)} '
                        f'(default: {", ".join(DEFAULT_METRICS)})')
    parser.add_argument('--moved', type=_pixels, default=0.0, metavar='PX',
                        help='of fusion: move thermal so far before it is fused, and measure '
                        'against where it was (default: 0)')
    parser.add_argument('--sets', type=_names, default=DEFAULT_SETS, metavar='A,B,...',
                        help=f'misalignments for registration and tracking, of {", ".join(SETS)} '
                        f'(default: {", ".join(DEFAULT_SETS)})')
    parser.add_argument('--inputs', type=_names, default=(*SENSORS, fusion.DEFAULT_METHOD),
                        metavar='A,B,...', help='what is segmented and searched: rgb, thermal, '
                        f'fusion methods, and {BOTH} for models that look at both '
                        f'(default: rgb,thermal,{fusion.DEFAULT_METHOD})')
    parser.add_argument('--rate', type=_rate_hz, default=5.0, metavar='HZ',
                        help='of tracking: measurements a second (default: 5)')
    parser.add_argument('--every', type=_count, default=1, metavar='N',
                        help='of each data set or stream take every Nth pair')
    parser.add_argument('--limit', type=_count, metavar='N',
                        help='of each data set or stream take at most N pairs')
    parser.add_argument('--held-back', action='store_true',
                        help='only the pairs that no training of this package has seen: every '
                        'fourth block of 14 of each data set')
    parser.add_argument('--aligned', action='store_true',
                        help='the pairs show the same view, also where that is not known of the '
                        'data set')
    parser.add_argument('--machine-labels', action='store_true',
                        help='measure agreement with labels that another network made, instead '
                        'of human ones')
    parser.add_argument('--no-pictures', dest='pictures', action='store_false',
                        help='keep no pictures; the report then has none')
    parser.add_argument('--restart', action='store_true', help='forget what is in --out')
    parser.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> int:
    summary = evaluate_sources(options, command_line(options))
    if options.json:
        print_json(summary)
    else:
        print_line(table_text(summary))
        print_line(f'report: {options.out / "report.html"}')
    return 0


def evaluate_sources(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """
    Evaluate, write the report, and return the summary.

    Raises
    ------
    EvaluationError, SourceError, ReportError
        It cannot be done; the message says why.

    """
    from ivf_ros.evaluation import report

    report.check_requirements()  # rather now than when all is measured
    settings = EvaluationSettings(
        sources=tuple(options.source), stages=_stages(options), out=options.out,
        jobs=options.jobs, every=options.every, limit=options.limit, aligned=options.aligned,
        held_back=options.held_back,
        machine_labels=options.machine_labels, pictures=options.pictures,
        restart=options.restart)
    summary = evaluate(settings, command)
    if options.study:
        from ivf_ros.evaluation.studies import (
            dfa_ablation,
            metric_selection,
            reliability,
            task_driven,
        )

        study = {'metrics': metric_selection, 'dfa-ablation': dfa_ablation,
                 'reliability': reliability, 'task': task_driven}[options.study]
        summary = study.add_to(options.out)
    report.write(options.out)
    return summary


def table_text(summary: dict[str, Any]) -> str:
    """Return the means of all cases, for people to read in a terminal."""
    lines = []
    for name, stage in summary['stages'].items():
        columns = [*stage['metrics'], *stage['overall']]
        width = max(len(method) for method in stage['methods'])
        lines.append(f'{name}: {stage["groups"]["all"]} cases')
        rows = [('', ['failed', *columns])]
        for method, entry in stage['table']['all'].items():
            cells = [entry['values'][metric]['mean'] for metric in stage['metrics']]
            cells += [entry['overall'].get(metric) for metric in stage['overall']]
            rows.append((method, [str(entry['failed']), *map(_cell, cells)]))
        widths = [max(len(cells[i]) for _, cells in rows) for i in range(len(columns) + 1)]
        lines += [f'  {method:{width}}  ' + '  '.join(f'{cell:>{widths[i]}}'
                                                      for i, cell in enumerate(cells))
                  for method, cells in rows]
        lines += [f'  {note}' for note in stage['notes']]
    return '\n'.join(lines)


def _stages(options: argparse.Namespace) -> tuple[Stage, ...]:
    if options.study == 'task':
        return _task(options)
    if options.networks:
        raise EvaluationError('--networks belongs to --study task')
    if options.study and options.stage != STUDIES[options.study]:
        raise EvaluationError(f'--study {options.study} looks at --stage '
                              f"{STUDIES[options.study]}, got '{options.stage}'")
    if options.study == 'dfa-ablation':
        return _ablation(options)
    if options.stage in _OF_VIDEOS and (options.every > 1 or options.limit or options.held_back):
        raise EvaluationError(f'--stage {options.stage} replays whole videos; leave out --every, '
                              '--limit and --held-back')
    names = STAGES if options.stage == 'all' else (options.stage,)
    chosen = {name: _select_methods(options.methods, _known(name)) for name in names}
    unknown = set(options.methods or ()) - {m for methods in chosen.values() for m in methods}
    if unknown:
        known = {method: None for name in names for method in _known(name)}
        raise EvaluationError(f"unknown method '{sorted(unknown)[0]}'; known: {', '.join(known)}")
    _refuse_unknown('set', options.sets, SETS)
    _refuse_unknown('input', options.inputs, (*SENSORS, BOTH, *fusion.methods()))
    if options.study == 'reliability':
        chosen['registration'] = tuple(f'{name}:min_confidence=0.0'
                                       for name in chosen['registration'] if name != 'none')
    made: dict[str, Any] = {
        'registration': lambda methods: RegistrationEvaluation(methods, options.sets),
        'fusion': lambda methods: FusionEvaluation(methods, _metrics(options), options.moved),
        'segmentation': lambda methods: SegmentationEvaluation(methods, options.inputs,
                                                               options.machine_labels),
        'detection': lambda methods: DetectionEvaluation(methods, options.inputs,
                                                         options.machine_labels),
        'tracking': lambda methods: TrackingEvaluation(methods, options.sets, options.rate),
        'flicker': FlickerEvaluation,
        'pipeline': lambda methods: PipelineEvaluation(methods, options.machine_labels),
    }
    return tuple(made[name](methods) for name, methods in chosen.items() if methods)


def _ablation(options: argparse.Namespace) -> tuple[Stage, ...]:
    from ivf_ros.evaluation.studies import dfa_ablation

    if options.methods:
        raise EvaluationError('--study dfa-ablation chooses its methods itself; leave out '
                              '--methods')
    _refuse_unknown('set', options.sets, SETS)
    return (RegistrationEvaluation(dfa_ablation.METHODS, options.sets),)


def _task(options: argparse.Namespace) -> tuple[Stage, ...]:
    if options.methods or not options.networks:
        raise EvaluationError('--study task takes --networks, a folder of weights, and no '
                              '--methods')
    evaluations = (SegmentationEvaluation((segmentation.DEFAULT_METHOD,), options.inputs,
                                          options.machine_labels, str(options.networks)),
                   DetectionEvaluation((detection.DEFAULT_METHOD,), options.inputs,
                                       options.machine_labels, str(options.networks)))
    _refuse_unknown('input', options.inputs, (*SENSORS, BOTH, *fusion.methods()))
    for evaluation in evaluations:
        for folders in options.inputs:
            if '' not in evaluation.weights_of(folders):
                path = options.networks / f'{evaluation.name}-{folders}.safetensors'
                raise EvaluationError(f'--study task needs {path}, a network trained by ivf train '
                                      f'{evaluation.name} --set given=INPUT')
    return evaluations


def _known(stage: str) -> tuple[str, ...]:
    if stage == 'registration':
        # A calibrated rig is one homography, which the pairs of a data set do not share.
        return ('none', *(name for name in registration.methods() if name != 'calibrated'))
    if stage == 'pipeline':
        return (KNOWN, *(name for name in registration.methods() if name != 'calibrated'))
    if stage == 'tracking':
        return tuple(name for name in registration.methods() if name != 'calibrated')
    if stage == 'detection':  # 'onnx' is whatever model it is given
        return tuple(name for name in detection.methods() if name != 'onnx')
    modules = {'fusion': fusion, 'flicker': fusion, 'segmentation': segmentation}
    return modules[stage].methods()


def _select_methods(requested: Sequence[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted methods that a stage knows, or all but the alias 'default'."""
    if requested is None:
        return tuple(name for name in known if name != 'default')
    return tuple(name for name in requested if name in known)


def _metrics(options: argparse.Namespace) -> tuple[str, ...]:
    if options.metrics == ('all',) or (options.study and not options.metrics):
        return FUSION_METRICS
    _refuse_unknown('metric', options.metrics or (), FUSION_METRICS)
    return options.metrics or DEFAULT_METRICS


def _refuse_unknown(kind: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise EvaluationError(f"unknown {kind} '{name}'; known: {', '.join(known)}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(','))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError('names separated by commas are needed, each once, '
                                         f"got '{text}'")
    return names


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"a whole number above 0 is needed, got '{text}'")
    return int(text)


def _pixels(text: str) -> float:
    try:
        pixels = float(text)
    except ValueError:
        pixels = -1.0
    if not 0.0 <= pixels <= 100.0:
        raise argparse.ArgumentTypeError(f"0 to 100 pixels are possible, got '{text}'")
    return pixels


def _rate_hz(text: str) -> float:
    try:
        rate_hz = float(text)
    except ValueError:
        rate_hz = 0.0
    if not 0.0 < rate_hz < math.inf:
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, got '{text}'")
    return rate_hz


def _cell(value: float | None) -> str:
    return '-' if value is None else f'{value:.4g}'
