# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The ``ivf`` command.

Every command exits with 0 only when it did its job; an error is one line on standard error.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
import sys
from typing import Any, Callable, NoReturn, Sequence

import cv2
from ivf_ros import detection, doctor, fusion, geometry, parameters, registration, segmentation
from ivf_ros.data.folder import read_image
from ivf_ros.data.recording import as_thermal
from ivf_ros.evaluation import command as evaluation_command
from ivf_ros.evaluation.metrics import FUSION_METRICS
from ivf_ros.evaluation.triples import find_triples, measured
from ivf_ros.thermal import Agc
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.training import command as training_command
from ivf_ros.types import Registration
import numpy as np


class CommandError(RuntimeError):
    """The command cannot do its job; the message is all that the user needs to see."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    options.arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return options.run(options)
    except (CommandError, ValueError, RuntimeError, OSError, cv2.error) as error:
        sys.stderr.write(f'ivf {options.command}: {" ".join(str(error).split())}\n')
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f'ivf {options.command}: interrupted\n')
        return 130


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f'{self.prog}: {message}; see {self.prog} --help\n')
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog='ivf', description='Infrared-visible perception for ROS 2.')
    commands = parser.add_subparsers(dest='command', required=True, metavar='command')

    def command(name: str, run: Callable[[Any], int], summary: str, example: str) -> _Parser:
        made = commands.add_parser(name, help=summary, description=summary,
                                   epilog=f'example: {example}')
        made.set_defaults(run=run)
        made.add_argument('--json', action='store_true', help='print the result as JSON')
        return made

    command('doctor', _doctor, 'Say what this machine has, and what is missing.', 'ivf doctor')

    demo = command('demo', _demo, 'Run the whole graph on simulated or recorded frames.',
                   'ivf demo --source recordings/night.mcap --seconds 20 --out night')
    demo.add_argument('--source',
                      help='folder of pairs, two videos, bag, or simulator[:key=value,...]')
    demo.add_argument('--seconds', type=_positive, default=10.0,
                      help='recorded time to play')
    demo.add_argument('--out', type=Path, default=Path('ivf_demo'), help='folder for the results')
    demo.add_argument('--rate', type=_positive, default=1.0, help='speed of the replay')
    demo.add_argument('--aligned', action='store_true',
                      help='the recording is registered already: report the error against that')
    demo.add_argument('--still-seconds', type=_positive, default=0.0, metavar='S',
                      help='the files of a folder are unrelated scenes: show each for so long')
    demo.add_argument('--params-file', type=Path, help='ROS parameter file for the nodes')

    replay = command('replay', _replay, 'Publish a recording as two cameras would.',
                     'ivf replay recordings/night.mcap --rate 0.5 --loop')
    replay.add_argument('source', help='folder of pairs, two videos, bag, or simulator[:...]')
    replay.add_argument('--rate', type=_positive, default=1.0, help='speed of the replay')
    replay.add_argument('--loop', action='store_true', help='start again at the end')
    replay.add_argument('--keep-stamps', action='store_true',
                        help='publish the recorded stamps instead of the present time')
    replay.add_argument('--clock', action='store_true',
                        help='publish recorded time on /clock, too; with --keep-stamps')

    register = command('register', _register, 'Register a thermal image onto an RGB image.',
                       'ivf register thermal.png rgb.jpg --out registered.png')
    register.add_argument('thermal', type=Path)
    register.add_argument('rgb', type=Path)
    _add_method(register, registration.methods(), registration.DEFAULT_METHOD)
    register.add_argument('--out', type=Path, help='write thermal on the RGB grid to this file')

    fuse = command('fuse', _fuse, 'Fuse a thermal image, already on the RGB grid, with RGB.',
                   'ivf fuse registered.png rgb.jpg --out fused.png')
    fuse.add_argument('thermal', type=Path)
    fuse.add_argument('rgb', type=Path)
    _add_method(fuse, fusion.methods(), fusion.DEFAULT_METHOD)
    fuse.add_argument('--register', action='store_true', help='register thermal onto RGB first')
    fuse.add_argument('--out', type=Path, required=True, help='the fused image')

    segment = command('segment', _segment, 'Segment a fused image.',
                      'ivf segment fused.png --out labels.png')
    segment.add_argument('image', type=Path)
    _add_thermal(segment)
    _add_method(segment, segmentation.methods(), 'default')
    segment.add_argument('--out', type=Path, required=True, help='the label image')
    segment.add_argument('--overlay', type=Path, help='labels drawn on the image')

    detect = command('detect', _detect, 'Detect objects in a fused image.',
                     'ivf detect fused.png --json')
    detect.add_argument('image', type=Path)
    _add_thermal(detect)
    _add_method(detect, detection.methods(), 'default')
    detect.add_argument('--overlay', type=Path, help='boxes drawn on the image')

    measure = command('metrics', _metrics, 'Measure fused images against their sources.',
                      'ivf metrics --thermal ir/ --visible vi/ --fused fused/ --json')
    for kind in ('thermal', 'visible', 'fused'):
        measure.add_argument(f'--{kind}', type=Path, required=True, help='an image, or a folder')

    measure.add_argument('--metrics', metavar='EN,SD,...', help='some of '
                         f'{", ".join(FUSION_METRICS)} (default: all)')

    evaluation_command.add_options(command(
        'evaluate', _evaluate, 'Measure methods on data sets and write a report.',
        'ivf evaluate msrs/test --stage fusion --methods fast,laplacian --out results'))

    training_command.add_options(command(
        'train', _train, 'Train a network of this package.',
        'ivf train registration-fast --data recordings --out runs/fast --weights f.safetensors'))

    export = command('export', _export, 'Write a trained network as an ONNX file.',
                     'ivf export detection --both --out anchor_free.onnx')
    export.add_argument('stage', choices=('detection', 'segmentation'))
    export.add_argument('--out', type=Path, required=True, help='the ONNX file')
    export.add_argument('--both', action='store_true',
                        help='the network for RGB and thermal, not that for a fused image')
    export.add_argument('--weights', type=Path, help='a weight file instead of those shipped')
    export.add_argument('--size', default='640x480', metavar='WxH', help='size of the images')

    benchmark = command('benchmark', _benchmark, 'Measure how images travel between nodes, or how '
                        'long the stages take.',
                        'ivf benchmark --size 1280x1024 --seconds 5')
    benchmark.add_argument('--size', action='append', metavar='WxH',
                           help='image size, may be repeated; default 640x480 and 1280x1024')
    benchmark.add_argument('--stages', action='store_true',
                           help='time each stage alone instead of the transport')
    benchmark.add_argument('--seconds', type=_positive, default=3.0,
                           help='length of each run')
    return parser


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f"a number above 0 is needed, got '{text}'")
    return value


def _add_method(parser: argparse.ArgumentParser, methods: tuple[str, ...], default: str) -> None:
    parser.add_argument('--method', default=default, help=f'one of {", ".join(methods)}')
    parser.add_argument('--set', dest='settings', action='append', default=[], metavar='KEY=VALUE',
                        help='a parameter of the method; may be repeated')


def _add_thermal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--thermal', type=Path, help='the image is RGB; look at this registered '
                        'thermal image, too')


def _doctor(options: argparse.Namespace) -> int:
    findings = doctor.examine()
    if options.json:
        _print_json([{**dataclasses.asdict(f), 'ok': f.ok} for f in findings])
    else:
        for finding in findings:
            mark = 'ok     ' if finding.ok else 'MISSING'
            _print(f'{mark} {finding.name:16} {finding.found}')
            if finding.problem:
                _print(f'        {finding.problem}')
    return 0 if all(f.ok or not f.required for f in findings) else 1


def _demo(options: argparse.Namespace) -> int:
    from ivf_ros.nodes import demo
    report = demo.run(demo.DemoSettings(
        source=options.source or demo.DEFAULT_SOURCE, seconds=options.seconds, out=options.out,
        rate=options.rate, aligned=options.aligned, still_s=options.still_seconds,
        params_file=options.params_file),
        progress=_say)
    if options.json:
        _print_json(report)
    else:
        _print(demo.summary_text(report))
    return 0


def _replay(options: argparse.Namespace) -> int:
    from ivf_ros.nodes import replay_node
    return replay_node.run(options.source, rate=options.rate, loop=options.loop,
                           restamp=not options.keep_stamps, clock=options.clock)


def _register(options: argparse.Namespace) -> int:
    thermal, rgb = as_thermal(read_image(options.thermal)), _read_rgb(options.rgb)
    found = registration.create(options.method, **_settings(options)).register(thermal, rgb)
    if options.out:
        warped = ThermalWarper().warp_counts(thermal, found.H_thermal_to_rgb,
                                             geometry.size_of(rgb))
        _write(options.out, warped.image)
    if options.json:
        _print_json({'H_thermal_to_rgb': found.H_thermal_to_rgb.tolist(),
                     'confidence': found.confidence, 'inliers': found.inliers,
                     'state': found.state.value, 'reason': found.reason})
    else:
        _print(f'{found.state.value} confidence {found.confidence:.2f} inliers {found.inliers} '
               f'{found.reason}'.rstrip())
        _print(np.array2string(found.H_thermal_to_rgb, precision=6, suppress_small=True))
    return _exit_code_of(found)


def _fuse(options: argparse.Namespace) -> int:
    thermal, rgb = as_thermal(read_image(options.thermal)), _read_rgb(options.rgb)
    size = geometry.size_of(rgb)
    fuser = fusion.create(options.method, **_settings(options))
    if options.register:
        found = registration.create().register(thermal, rgb)
        if _exit_code_of(found):
            raise CommandError(f'not registered: {found.reason}')
        warped = ThermalWarper(fuser.parameters.agc).warp_gray(
            thermal, found.H_thermal_to_rgb, size)
        fused = fuser.fuse_gray(warped.image, rgb, warped.coverage)
    else:
        fused = fuser.fuse(thermal, rgb)
    _write(options.out, fused)
    _report(options, {'fused': str(options.out), 'size': size, 'method': options.method})
    return 0


def _segment(options: argparse.Namespace) -> int:
    image = _read_rgb(options.image)
    segmenter: Any = segmentation.create(options.method, **_settings(options))
    found = segmenter.segment(image, *_thermal_beside(options, segmenter))
    _write(options.out, found.labels)
    if options.overlay:
        _write(options.overlay, segmentation.overlay(image, found))
    counts = np.bincount(found.labels.ravel(), minlength=len(found.class_names))
    _report(options, {name: int(count) for name, count in zip(found.class_names, counts)})
    return 0


def _detect(options: argparse.Namespace) -> int:
    image = _read_rgb(options.image)
    detector: Any = detection.create(options.method, **_settings(options))
    found = detector.detect(image, *_thermal_beside(options, detector))
    if options.overlay:
        _write(options.overlay, detection.draw(image, found))
    if options.json:
        _print_json([dataclasses.asdict(d) for d in found])
    else:
        for d in found:
            _print(f'{d.class_name} {d.score:.2f} '
                   + ' '.join(f'{edge:.1f}' for edge in d.box_xyxy_px))
    return 0


def _metrics(options: argparse.Namespace) -> int:
    found = find_triples(options.thermal, options.visible, options.fused)
    names = options.metrics.split(',') if options.metrics else None
    values = dict(measured(found, names))
    mean = {name: float(np.mean([one[name] for one in values.values()]))
            for name in next(iter(values.values()))}
    if options.json:
        _print_json({'mean': _finite(mean),
                     'images': {name: _finite(one) for name, one in values.items()}})
    else:
        _print(f'{"metric":14}{"mean":>10}   of {len(values)} image{"s" * (len(values) > 1)}')
        for name, value in mean.items():
            _print(f'{name:14}{value:10.4f}')
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    summary = evaluation_command.run(options, ' '.join(['ivf', *options.arguments]))
    if options.json:
        _print_json(summary)
    else:
        _print(evaluation_command.table_text(summary))
        _print(f'report: {options.out / "report.html"}')
    return 0


def _train(options: argparse.Namespace) -> int:
    _report(options, training_command.run(options, ' '.join(['ivf', *options.arguments])))
    return 0


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
    shipped = method.WEIGHTS_OF_BOTH if options.both else method.WEIGHTS
    size = _size(options.size)
    exporting.export(options.weights or shipped, options.out, size)
    _report(options, {'model': str(options.out), 'size': size,
                      'bytes': options.out.stat().st_size})
    return 0


def _benchmark(options: argparse.Namespace) -> int:
    sizes = [_size(text) for text in options.size or ('640x480', '1280x1024')]
    if options.stages:
        from ivf_ros.evaluation.stage_times import stage_times
        rows = [row for size in sizes for row in stage_times(size, options.seconds)]
    else:
        from ivf_ros.nodes import benchmark
        rows = benchmark.run(sizes, options.seconds)
    if options.json:
        _print_json(rows)
    else:
        for row in rows:
            _print('  '.join(f'{name} {value}' for name, value in row.items()))
    return 0


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Replace the infinite PSNR of equal images, for which JSON has no number, by null."""
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _exit_code_of(found: Registration) -> int:
    return 0 if found.confidence > 0 and not found.reason else 1


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return parameters.parse_settings(options.settings)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise CommandError(f"a size is WIDTHxHEIGHT, got '{text}'")
    return int(width), int(height)


def _read_rgb(path: Path) -> np.ndarray:
    """Read ``(H, W)`` or ``(H, W, 3)`` BGR of 8 bits, the form that all stages take."""
    image = read_image(path)
    if image.dtype != np.uint8:
        raise CommandError(f"'{path}' must have 8 bits a channel, got {image.dtype}")
    return image


def _thermal_beside(options: argparse.Namespace, method: Any) -> tuple[np.ndarray, ...]:
    if options.thermal and not method.takes_thermal:
        raise CommandError(f'{options.method} looks at one image: leave out --thermal')
    return (Agc()(as_thermal(read_image(options.thermal))),) if options.thermal else ()


def _write(path: Path, image: np.ndarray) -> None:
    if not cv2.imwrite(str(path), image):
        raise CommandError(f"cannot write '{path}'")


def _report(options: argparse.Namespace, values: dict[str, Any]) -> None:
    if options.json:
        _print_json(values)
    else:
        for name, value in values.items():
            _print(f'{name}: {value}')


def _say(text: str) -> None:
    sys.stderr.write(text + '\n')


def _print_json(value: Any) -> None:
    _print(json.dumps(value, indent=2))


def _print(text: str) -> None:
    sys.stdout.write(text + '\n')


if __name__ == '__main__':
    sys.exit(main())
