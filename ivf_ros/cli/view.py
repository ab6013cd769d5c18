# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf view``, and the options of commands that show a live picture."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
import math
from pathlib import Path
import signal
import sys
from typing import Any, TYPE_CHECKING

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.cameras import add_camera_options, rgb_camera_of, thermal_camera_of
from ivf_ros.cli.output import (
    add_overwrite_option,
    CommandError,
    print_json,
    print_line,
    print_progress,
    read_positive,
)

if TYPE_CHECKING:
    from ivf_ros.data.sources import Source
    from ivf_ros.view.live_stages import LiveStages, StageParameters
    from ivf_ros.view.playback import Progress
    from ivf_ros.view.viewer import Viewer, ViewerSettings

_DEFAULT_PORT, _DEFAULT_WEB_PORT = 9876, 9090
_LINES_PERIOD_S = 5.0  # of recorded time, where standard error is no terminal
_STATE_COLORS = {'TRACKING': 32, 'FUSED': 32, 'PRIOR': 36, 'RGB_ONLY': 36, 'HOLDING': 33,
                 'THERMAL_ONLY': 33, 'LOST': 31, 'NOTHING': 31}  # of a terminal


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf view``."""
    parser.add_argument('source', nargs='?',
                        help='folder of pairs, two videos, bag, or simulator[:key=value,...]')
    parser.add_argument('--seconds', type=read_positive, default=math.inf,
                        help='duration to show, in seconds of the recording (default: all)')
    parser.add_argument('--rate', type=read_positive, default=1.0,
                        help='speed factor of the playback')
    parser.add_argument('--still-seconds', type=read_positive, default=0.0, metavar='S',
                        help='the files of a folder are unrelated scenes; show each for S seconds')
    parser.add_argument('--prior', type=Path, metavar='YAML', help='rig.yaml of ivf calibrate, or '
                        'another parameter file with a calibration: where registration begins')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='STAGE:KEY=VALUE', help='a parameter of the nodes, such as '
                        'fusion:fusion.method=laplacian; may be repeated')
    _add_viewer_options(parser)
    add_bag_options(parser)
    add_camera_options(parser)
    parser.set_defaults(run=_view)


def _add_viewer_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--web', action='store_true',
                        help='serve the viewer for a browser on this machine, not in a window')
    parser.add_argument('--port', type=_read_port, default=None,
                        help='port of the data on this machine; 0: a free one '
                        f'(default: {_DEFAULT_PORT} with --web, else a free one)')
    parser.add_argument('--web-port', type=_read_port, default=_DEFAULT_WEB_PORT,
                        help='port of the page of --web; 0: a free one '
                        f'(default: {_DEFAULT_WEB_PORT})')
    parser.add_argument('--out', type=Path, metavar='FILE.rrd',
                        help='record to a file, for `rerun FILE.rrd`; without a window unless '
                        '--web is given')
    add_overwrite_option(parser)
    parser.add_argument('--jpeg-quality', type=int, choices=range(101), default=75,
                        metavar='0..100', help='quality of the images in the log (default: 75)')


def viewer_settings_of(options: argparse.Namespace) -> ViewerSettings:
    """Return where the log goes."""
    from ivf_ros.view.viewer import ViewerSettings
    port = options.port
    if port is None:
        port = _DEFAULT_PORT if options.web else 0
    return ViewerSettings(
        window=not options.web and options.out is None, web=options.web, file=options.out,
        overwrite=options.overwrite, port=port, web_port=options.web_port,
        jpeg_quality=options.jpeg_quality)


def _view(options: argparse.Namespace) -> int:
    if not options.source:
        raise CommandError('name a source to view')
    from ivf_ros.view import viewer
    settings = viewer_settings_of(options)
    inputs = [options.source, *options.source.split(',')]
    viewer.check(settings, inputs)  # before the source is read and the networks are loaded
    source, parameters = _open_source(options), _stage_parameters(options)
    with _interrupt_on_terminate(), viewer.open_viewer(settings, source.name, inputs) as opened:
        _announce(opened, settings)
        report = _play(options, source, parameters, opened)
    if options.out:
        report['file'] = {'path': str(options.out), 'bytes': options.out.stat().st_size}
    if options.json:
        print_json(report)
    else:
        print_line(_format_report(report))
    return 0


def _open_source(options: argparse.Namespace) -> Source:
    from ivf_ros.data.corrected_source import CorrectedSource
    from ivf_ros.data.sources import open_source
    return CorrectedSource(
        open_source(options.source, still_s=options.still_seconds, **bag_options_of(options)),
        thermal_camera_of(options), rgb_camera_of(options))


def _stage_parameters(options: argparse.Namespace) -> StageParameters:
    """Return the parameters of the stages; raise ParameterError for a wrong one."""
    from dataclasses import fields
    from ivf_ros.parameters import build, parse_settings
    from ivf_ros.view.live_stages import parameters_of_stills, StageParameters
    stages: dict[str, Any] = {spec.name: spec.default_factory for spec in fields(StageParameters)}
    values: dict[str, dict[str, Any]] = {stage: {} for stage in stages}
    if options.still_seconds:
        for stage, of_stage in parameters_of_stills().items():
            values[stage].update(of_stage)
    if options.prior:
        from ivf_ros.calibration.rig_files import read_prior  # needs SciPy
        values['registration']['registration.calibrated.H_thermal_to_rgb'] = tuple(
            read_prior(options.prior).ravel().tolist())
    for name, value in parse_settings(options.settings).items():
        stage, colon, key = name.partition(':')
        if not colon or stage not in stages:
            raise CommandError(f"--set takes STAGE:KEY=VALUE with a stage of {', '.join(stages)}, "
                               f"got '{name}'")
        values[stage][key] = value
    return StageParameters(**{stage: build(make, values[stage])
                              for stage, make in stages.items()})


def _play(options: argparse.Namespace, source: Source, parameters: StageParameters,
          opened: Viewer) -> dict[str, Any]:
    """Play the source and keep the viewer open until it is closed; return the report."""
    from ivf_ros.view.live_stages import LiveStages
    from ivf_ros.view.playback import Playback, PlaybackSettings
    stages = LiveStages(opened.log, parameters)
    playback = Playback(source, stages, PlaybackSettings(options.rate, options.seconds))
    status = _StatusLine(stages)
    try:
        playback.run(opened.is_open, status.show)
        status.end()
        if opened.is_open() and not options.out:
            print_progress('end of the recording; Ctrl-C ends the view')
            opened.wait_until_closed()
    except KeyboardInterrupt:
        status.end()
    finally:
        stages.stop()
    return playback.report()


def _announce(opened: Viewer, settings: ViewerSettings) -> None:
    """Say where to look."""
    if opened.url:
        print_progress(f'open {opened.url}')
    if settings.file is not None:
        print_progress(f'recording to {settings.file}')


class _StatusLine:
    """One line on standard error: rewritten in a terminal, else a new one every few seconds."""

    def __init__(self, stages: LiveStages) -> None:
        self._stages = stages
        self._is_terminal = sys.stderr.isatty()
        self._next_s = 0.0
        self._is_open = False

    def show(self, progress: Progress) -> None:
        if self._is_terminal:
            sys.stderr.write(f'\r\x1b[K{self._format(progress)}')
            sys.stderr.flush()
            self._is_open = True
        elif progress.position_s >= self._next_s:
            self._next_s = progress.position_s + _LINES_PERIOD_S
            print_progress(self._format(progress))

    def end(self) -> None:
        """Let the next output begin on a line of its own."""
        if self._is_open:
            sys.stderr.write('\n')
        self._is_open = False

    def _format(self, progress: Progress) -> str:
        stages = self._stages
        parts = [f'{progress.position_s:6.1f} s']
        registration = stages.latest_registration
        if registration is None:
            parts.append('no registration yet')
        else:
            state = self._paint(registration.state.value)
            deviation_px = registration.corner_deviation_px
            parts.append(f'{state} {registration.confidence:.2f}' + (
                f' +-{deviation_px:.1f} px' if math.isfinite(deviation_px) else ''))
        parts.append(self._paint(stages.mode))
        parts += [f"{name} {ms['p50']:.0f} ms" for name, ms in stages.latencies_ms().items()
                  if name in ('fusion', 'perception')]
        parts.append(f'{stages.objects} objects')
        skipped = stages.skipped['fusion']
        parts += [f'skipped {skipped}'] * bool(skipped)
        parts += [f'{progress.behind_s:.1f} s behind'] * (progress.behind_s > 0.5)
        errors = sum(stages.errors.values())
        parts += [f'errors {errors}'] * bool(errors)
        return '  '.join(filter(None, parts))

    def _paint(self, state: str) -> str:
        if not self._is_terminal or not state:
            return state
        return f'\x1b[{_STATE_COLORS.get(state, 0)}m{state}\x1b[0m'


def _format_report(report: dict[str, Any]) -> str:
    """Return the lines of a report."""
    lines = [f"{report['source']}: {report['seconds']:g} s, {report['pairs']} pairs, "
             f"{report['fused']} fused, {report['perceived']} with detections and labels"]
    lines += [f"{name.replace('_', ' ')}: " + ', '.join(
                  f'{reason} {n}' for reason, n in report[name].items())
              for name in ('skipped', 'unpaired', 'skipped_by_source', 'errors') if report[name]]
    lines += [f"{name.replace('_', ' ')}: median {ms['p50']:.1f} ms, 95 % {ms['p95']:.1f} ms"
              for name, ms in report['latency_ms'].items()]
    if 'file' in report:
        lines.append(f"{report['file']['path']}: {report['file']['bytes'] / 1e6:.1f} MB")
    return '\n'.join(lines)


@contextmanager
def _interrupt_on_terminate() -> Iterator[None]:
    """Treat SIGTERM as an interrupt, so that the viewer is ended and the file is completed."""
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt
    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _read_port(text: str) -> int:
    """Parse a port, for ``argparse``."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, got '{text}'")
    return int(text)
