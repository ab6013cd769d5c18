# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf view``, and the options of commands that show a live picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
import math
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.cameras import add_camera_options, rgb_camera_of, thermal_camera_of
from ivf_ros.cli.interrupts import interrupt_on_signals
from ivf_ros.cli.output import (
    add_overwrite_option,
    CommandError,
    print_json,
    print_line,
    print_progress,
    read_positive,
)
from ivf_ros.cli.status_line import StatusLine

if TYPE_CHECKING:
    from ivf_ros.data.sources import Source
    from ivf_ros.nodes.view_node import ViewNode
    from ivf_ros.view.live_stages import LiveStages, StageParameters
    from ivf_ros.view.playback import Progress
    from ivf_ros.view.viewer import Viewer, ViewerSettings

_DEFAULT_PORT, _DEFAULT_WEB_PORT = 9876, 9090
_SILENCE_S = 5.0  # after which a topic without messages is a problem
# Options that only one of the two kinds of view has.
_SOURCE_OPTIONS = ('rate', 'still_seconds', 'prior', 'settings', 'thermal_camera', 'rgb_camera',
                   'thermal_info_topic', 'rgb_info_topic', 'stamps')
_TOPIC_OPTIONS = ('namespace', 'compressed')


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf view``."""
    parser.add_argument('source', nargs='?',
                        help='folder of pairs, two videos, bag, or simulator[:key=value,...]')
    parser.add_argument('--topics', action='store_true',
                        help='show a running graph instead of a source; needs ROS 2')
    parser.add_argument('--namespace', default='', metavar='NS', help='of the graph of --topics')
    parser.add_argument('--compressed', action='store_true', help='with --topics: subscribe to '
                        '.../compressed of all images, for a network')
    parser.add_argument('--seconds', type=read_positive, default=math.inf,
                        help='duration to show, in seconds of the recording (default: all)')
    parser.add_argument('--rate', type=read_positive, default=1.0,
                        help='speed factor of the playback (default: 1)')
    parser.add_argument('--still-seconds', type=read_positive, default=0.0, metavar='S',
                        help='the files of a folder are unrelated scenes; show each for S seconds '
                        '(default: they are a sequence)')
    parser.add_argument('--prior', type=Path, metavar='YAML', help='rig.yaml of ivf calibrate, or '
                        'another parameter file with a calibration: where registration begins')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='STAGE:KEY=VALUE', help='a parameter of the nodes, such as '
                        'fusion:fusion.method=laplacian; may be repeated')
    _add_viewer_options(parser)
    add_bag_options(parser)
    add_camera_options(parser)
    parser.set_defaults(run=_view, default_of=parser.get_default)


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
                        help='record to a file, for `rerun FILE.rrd`; a minute of 640x480 at '
                        '10 Hz takes 50 to 75 MB; without --web there is no viewer then')
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


@contextmanager
def open_view(where: str, file: Path, name: str) -> Iterator[Viewer]:
    """
    Open the viewer of another command.

    Parameters
    ----------
    where:
        ``window``, ``web`` or ``file``.
    file:
        The file for ``file``.
    name:
        Name of the recording.

    Raises
    ------
    ViewError, OutputError
        See ``viewer.open_viewer``.

    """
    from ivf_ros.view import viewer
    ports = (_DEFAULT_PORT, _DEFAULT_WEB_PORT) if where == 'web' else (0, 0)
    settings = viewer.ViewerSettings(where == 'window', where == 'web',
                                     file if where == 'file' else None, port=ports[0],
                                     web_port=ports[1])
    with interrupt_on_signals(), viewer.open_viewer(settings, name) as opened:
        if opened.url:
            print_progress(f'open {opened.url}')
        yield opened


def keep_open(opened: Viewer) -> None:
    """Wait until the window is closed, or for an interrupt; a file alone is not waited for."""
    if opened.is_interactive and opened.is_open():
        print_progress('end of the recording; Ctrl-C ends the view')
        with suppress(KeyboardInterrupt):
            opened.wait_until_closed()


def _view(options: argparse.Namespace) -> int:
    _check_options(options)
    from ivf_ros.view import viewer
    settings = viewer_settings_of(options)
    inputs = [options.source, *options.source.split(',')] if options.source else []
    viewer.check(settings, inputs)  # before the source is read and the networks are loaded
    run = _prepare_topics(options) if options.topics else _prepare_source(options)
    name = 'running graph' if options.topics else options.source
    with interrupt_on_signals(), viewer.open_viewer(settings, name, inputs) as opened:
        if opened.url:
            print_progress(f'open {opened.url}')
        if options.out:
            print_progress(f'recording to {options.out}')
        report = run(opened)
    if options.out:
        report['file'] = {'path': str(options.out), 'bytes': options.out.stat().st_size}
    if options.json:
        print_json(report)
    else:
        print_line(_format_report(report))
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Refuse a command that names nothing to show, or options that would have no effect."""
    if bool(options.source) == options.topics:
        raise CommandError('name a source to view, or --topics for a running graph, one of them')
    for name in _SOURCE_OPTIONS if options.topics else _TOPIC_OPTIONS:
        if getattr(options, name) != options.default_of(name):
            raise CommandError(
                f"--{'set' if name == 'settings' else name.replace('_', '-')} has no effect "
                + ('with --topics' if options.topics else 'without --topics'))


def _prepare_topics(options: argparse.Namespace) -> Callable[[Viewer], dict[str, Any]]:
    """Return a function that shows the topics of a running graph."""
    from ivf_ros.nodes.demo.view import show_topics, TopicSettings
    remaps = tuple((topic, other) for topic, other in (
        ('thermal/image_raw', options.thermal_topic), ('rgb/image_raw', options.rgb_topic))
        if other)
    settings = TopicSettings(options.namespace, 'compressed' if options.compressed else 'raw',
                             remaps, options.seconds)

    def run(opened: Viewer) -> dict[str, Any]:
        status = StatusLine()

        def show(node: ViewNode, elapsed_s: float) -> None:
            late = elapsed_s > _SILENCE_S
            status.show(elapsed_s, [*node.states.values(), f"fused {node.frames['fused/image']}",
                                    f"detections {node.frames['detections']}",
                                    *(node.find_problems()[:1] if late else ())])
        try:
            return show_topics(opened.log, settings, opened.is_open, show)
        finally:
            status.end()
    return run


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


def _prepare_source(options: argparse.Namespace) -> Callable[[Viewer], dict[str, Any]]:
    """Open the source; return a function that plays it through the stages."""
    from ivf_ros.view.live_stages import LiveStages
    from ivf_ros.view.playback import Playback, PlaybackSettings
    source, parameters = _open_source(options), _stage_parameters(options)

    def run(opened: Viewer) -> dict[str, Any]:
        stages = LiveStages(opened.log, parameters)
        playback = Playback(source, stages, PlaybackSettings(options.rate, options.seconds))
        status = StatusLine()
        try:
            playback.run(opened.is_open, lambda progress: status.show(
                progress.position_s, _describe(stages, progress)))
            status.end()
            keep_open(opened)
        except KeyboardInterrupt:
            status.end()
        finally:
            stages.stop()
        return playback.report()
    return run


def _describe(stages: LiveStages, progress: Progress) -> list[str]:
    """Return the parts of the status line."""
    registration = stages.latest_registration
    if registration is None:
        parts = ['no registration yet']
    else:
        deviation_px = registration.corner_deviation_px
        parts = [f'{registration.state.value} {registration.confidence:.2f}'
                 + (f' +-{deviation_px:.1f} px' if math.isfinite(deviation_px) else '')]
    skipped, errors = stages.skipped['fusion'], sum(stages.errors.values())
    return [*parts, stages.mode,
            *(f"{name} {ms['p50']:.0f} ms" for name, ms in stages.latencies_ms().items()
              if name in ('fusion', 'perception')),
            f'{stages.objects} objects',
            f'skipped {skipped}' if skipped else '',
            f'{progress.behind_s:.1f} s behind' if progress.behind_s > 0.5 else '',
            f'errors {errors}' if errors else '']


def _format_report(report: dict[str, Any]) -> str:
    """Return the lines of a report."""
    if 'frames' in report:
        lines = [f"{report['seconds']:g} s: " + ', '.join(
            f'{topic} {n}' for topic, n in report['frames'].items())]
    else:
        lines = [f"{report['source']}: {report['seconds']:g} s, {report['pairs']} pairs, "
                 f"{report['fused']} fused, {report['perceived']} with detections and labels"]
    counts = {name: report.get(name) for name in ('skipped', 'unpaired', 'skipped_by_source',
                                                  'errors')}
    lines += [f"{name.replace('_', ' ')}: " + ', '.join(
        f'{reason} {n}' for reason, n in reasons.items())
        for name, reasons in counts.items() if reasons]
    latencies_ms = report.get('latency_ms', {})
    lines += [f"{name.replace('_', ' ')}: median {ms['p50']:.1f} ms, 95 % {ms['p95']:.1f} ms"
              for name, ms in latencies_ms.items()]
    if 'file' in report:
        lines.append(f"{report['file']['path']}: {report['file']['bytes'] / 1e6:.1f} MB")
    return '\n'.join(lines)


def _read_port(text: str) -> int:
    """Parse a port, for ``argparse``."""
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, got '{text}'")
    return int(text)
