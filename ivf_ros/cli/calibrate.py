# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf calibrate``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from ivf_ros import parameters, registration
from ivf_ros.calibration.boards import Board, BoardParameters, KINDS
from ivf_ros.calibration.cameras import DISTORTION_MODELS
from ivf_ros.calibration.drawings import draw_coverage, draw_thermal_edges
from ivf_ros.calibration.report import render
from ivf_ros.calibration.rig_calibration import calibrate_rig, RigCalibration, STREAMS
from ivf_ros.calibration.rig_files import format_camera_info, format_rig
from ivf_ros.calibration.summary import describe, summarize
from ivf_ros.calibration.targetless import average_registrations, TargetlessPrior
from ivf_ros.calibration.view_collection import (
    collect_views,
    CollectionParameters,
    ViewCollection,
)
from ivf_ros.cli.cameras import add_camera_options, rgb_camera_of, thermal_camera_of
from ivf_ros.cli.output import (
    add_overwrite_option,
    check_outputs,
    check_suffix,
    command_line,
    CommandError,
    print_json,
    print_line,
    print_progress,
    read_count,
    read_positive,
    read_size,
)
from ivf_ros.data.sources import open_source, Source
from ivf_ros.optional_imports import explain_missing
from ivf_ros.pairing import PairingParameters
from ivf_ros.stamps import STAMPS

_DEFAULTS = BoardParameters()
_LIVE = 'live'


def add_calibrate_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf calibrate``."""
    parser.add_argument('source', help=f'folder of pairs, bag, two videos, simulator[:...], or '
                        f'{_LIVE} for the topics of running cameras')
    parser.add_argument('--out', type=Path, default=Path('rig.yaml'), metavar='YAML',
                        help='parameters of the registration node (default: rig.yaml); '
                        'thermal.yaml, rgb.yaml and report.html are written beside it')
    board = parser.add_argument_group('board')
    board.add_argument('--board', choices=KINDS, default=_DEFAULTS.kind,
                       help=f'kind of the board (default: {_DEFAULTS.kind})')
    board.add_argument('--pattern', metavar='COLSxROWS',
                       help='inner corners of a checkerboard, circles of an asymmetric grid, tags '
                       'of an aprilgrid, squares of a charuco board')
    board.add_argument('--square', type=read_positive, metavar='METRES',
                       help='side of a square; of a tag for aprilgrid; for circles half the '
                       'distance of two neighbours in a row')
    board.add_argument('--marker', type=read_positive, metavar='METRES',
                       help='side of a marker of a charuco board (default: 0.75 squares)')
    board.add_argument('--dictionary', default=_DEFAULTS.dictionary, metavar='DICT',
                       help=f'markers of a charuco board (default: {_DEFAULTS.dictionary})')
    board.add_argument('--tag-spacing', type=read_positive, default=_DEFAULTS.tag_spacing,
                       metavar='RATIO', help='gap between tags of an aprilgrid, as a fraction of '
                       f'the tag (default: {_DEFAULTS.tag_spacing:g})')
    board.add_argument('--board-deviation', type=_read_fraction, default=0.01, metavar='FRACTION',
                       help='how exact the board is: standard deviation of a point, as a fraction '
                       'of the square; 0 for an exact board (default: 0.01)')
    fit = parser.add_argument_group('calibration')
    fit.add_argument('--distortion', default='plumb_bob', metavar='MODEL[,MODEL]',
                     help='lens model, or those of thermal and RGB: '
                     f'{", ".join(DISTORTION_MODELS)} (default: plumb_bob)')
    fit.add_argument('--distance', type=read_positive, default=math.inf, metavar='METRES',
                     help='distance of the scene for the homography (default: infinite)')
    fit.add_argument('--rectified', action='store_true',
                     help='the registration node will receive rectified images')
    targetless = parser.add_argument_group('without a board')
    targetless.add_argument('--targetless', action='store_true',
                            help='average the registration of a drive')
    targetless.add_argument('--method', default=registration.DEFAULT_METHOD,
                            help='registration method (default: '
                            f'{registration.DEFAULT_METHOD})')
    targetless.add_argument('--set', dest='settings', action='append', default=[],
                            metavar='KEY=VALUE', help='parameter of the method')
    stream = parser.add_argument_group('source')
    stream.add_argument('--every', type=read_count, default=0, metavar='N',
                        help='use every N-th pair (default: each pair of a folder, every tenth of '
                        'a video or bag)')
    stream.add_argument('--max-views', type=read_count, default=200, metavar='N',
                        help='stop after this number of views (default: 200)')
    stream.add_argument('--tolerance', type=read_positive, metavar='SECONDS',
                        default=PairingParameters.tolerance_s, help='largest difference of the '
                        f'stamps of a pair (default: {PairingParameters.tolerance_s:g}, which '
                        'follows the rates of the cameras)')
    stream.add_argument('--thermal-topic', metavar='TOPIC',
                        help='thermal images of a bag or camera (default: thermal/image_raw, or '
                        'in a bag the one that its name shows)')
    stream.add_argument('--rgb-topic', metavar='TOPIC',
                        help='RGB images of a bag or camera (default: rgb/image_raw, likewise)')
    stream.add_argument('--stamps', choices=STAMPS, default='auto',
                        help='stamps of a bag, as for ivf replay (default: auto)')
    stream.add_argument('--transport', choices=('raw', 'compressed'), default='raw',
                        help='of the topics of cameras (default: raw)')
    stream.add_argument('--views', type=read_count, default=30, metavar='N',
                        help='live: stop after N views of both cameras (default: 30); Ctrl-C '
                        'stops earlier, and calibrates')
    add_camera_options(parser)
    add_overwrite_option(parser)
    parser.set_defaults(run=_calibrate)


def _read_fraction(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 0.5:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 0.5, got '{text}'")
    return value


def _calibrate(options: argparse.Namespace) -> int:
    check_suffix(options.out, ('.yaml', '.yml'))
    check_outputs(options, [options.out] if options.targetless else _outputs(options),
                  [Path(options.source)])
    collection = CollectionParameters(options.every, options.max_views,
                                      PairingParameters(tolerance_s=options.tolerance),
                                      thermal_camera_of(options), rgb_camera_of(options))
    if options.targetless:
        source = _open_source(options)
        registrar = registration.create(options.method,
                                        **parameters.parse_settings(options.settings))
        prior = average_registrations(source, registrar, collection, report=print_progress)
        return _write_prior(options, prior)
    if collection.thermal_camera.moves_pixels or collection.rgb_camera.moves_pixels:
        raise CommandError('a calibration with a board is of the images as the cameras send them; '
                           'crop, undistort, rotate and mirror are for the nodes, which turn the '
                           'calibration with the image')
    board, distortion = _make_board(options), _read_distortion(options.distortion)
    if options.source == _LIVE:
        views = _collect_live(options, board)
    else:
        views = collect_views(_open_source(options), board, collection, print_progress)
    views.check_enough()
    calibration = calibrate_rig(board, views.views, views.sizes, distortion,
                                options.board_deviation * board.parameters.square_m)
    return _write_calibration(options, views, calibration)


def _open_source(options: argparse.Namespace) -> Source:
    if options.source == _LIVE:
        raise CommandError('--targetless needs a recording, not live topics')
    return open_source(options.source, thermal_topic=options.thermal_topic,
                       rgb_topic=options.rgb_topic, stamps=options.stamps)


def _collect_live(options: argparse.Namespace, board: Board) -> ViewCollection:
    with explain_missing('calibrating from live topics', CommandError):
        from ivf_ros.nodes import calibration_node
    views = ViewCollection(board, select=True)
    topics = {'thermal': options.thermal_topic or 'thermal/image_raw',
              'rgb': options.rgb_topic or 'rgb/image_raw'}
    if calibration_node.run(views, options.views, topics, options.transport, options.tolerance,
                            thermal_camera_of(options), print_progress):
        raise CommandError('the calibration node could not run')
    return views


def _make_board(options: argparse.Namespace) -> Board:
    if not options.pattern or not options.square:
        raise CommandError('name the board: --pattern COLSxROWS and --square METRES, for example '
                           '--pattern 4x6 --square 0.05; or --targetless')
    columns, rows = read_size(options.pattern)
    return Board(parameters.build(BoardParameters, {
        'kind': options.board, 'columns': columns, 'rows': rows, 'square_m': options.square,
        'marker_m': options.marker or 0.0, 'tag_spacing': options.tag_spacing,
        'dictionary': options.dictionary}))


def _read_distortion(text: str) -> dict[str, str]:
    """Parse one lens model, or those of thermal and RGB."""
    models = text.split(',')
    if len(models) > 2 or not set(models) <= set(DISTORTION_MODELS):
        raise CommandError(f"--distortion must be one of {', '.join(DISTORTION_MODELS)}, or two "
                           f"of them, got '{text}'")
    return dict(zip(STREAMS, models * (2 // len(models))))


def _outputs(options: argparse.Namespace) -> list[Path]:
    return [options.out, *(options.out.with_name(name)
                           for name in ('thermal.yaml', 'rgb.yaml', 'report.html'))]


def _write_calibration(options: argparse.Namespace, views: ViewCollection,
                       calibration: RigCalibration) -> int:
    summary = summarize(calibration, options.distance)
    rig_path, thermal_path, rgb_path, report_path = _outputs(options)
    H, _ = calibration.recorded_homography(options.distance)
    rms = {stream: f'{stream}: {calibration.single[stream].fit.rms_px(stream):.3f} px RMS over '
           f'{len(calibration.single[stream].kept)} views' for stream in STREAMS}
    comments = [f'{rms["thermal"]}; {rms["rgb"]}; {len(calibration.names)} pairs.',
                'Use: ros2 launch ivf_ros ivf.launch.py params_file:=<this file>']
    rig_path.write_text(format_rig(comments, H, dict(calibration.cameras),
                                   calibration.thermal_to_rgb, options.distance,
                                   options.rectified))
    for stream, path in (('thermal', thermal_path), ('rgb', rgb_path)):
        path.write_text(format_camera_info(stream, calibration.cameras[stream], [rms[stream]]))
    pictures = {stream: draw_coverage(calibration, stream) for stream in STREAMS}
    if views.example:
        at_board, _ = calibration.recorded_homography(calibration.board_distance_m)
        pictures['overlay'] = draw_thermal_edges(views.example, at_board)
    report_path.write_text(render(summary, pictures, command_line(options)))
    written = {'rig': str(rig_path), 'thermal': str(thermal_path), 'rgb': str(rgb_path),
               'report': str(report_path)}
    _print(options, {**summary, 'files': written},
           [*describe(summary), 'written: ' + ', '.join(written.values())])
    return 0


def _write_prior(options: argparse.Namespace, prior: TargetlessPrior) -> int:
    spread = ', '.join(f'{value:.1f}' for value in prior.spread_px)
    origin = (f'{prior.used} of {prior.measured} registrations by {options.method}; spread of the '
              f'corners {spread} px')
    options.out.write_text(format_rig([f'Targetless: {origin}.'], prior.H_thermal_to_rgb))
    _print(options, {'H_thermal_to_rgb': prior.H_thermal_to_rgb.tolist(),
                     'spread_px': prior.spread_px.tolist(), 'measured': prior.measured,
                     'accepted': prior.accepted, 'used': prior.used,
                     'thermal_size': prior.thermal_size, 'rgb_size': prior.rgb_size,
                     'files': {'rig': str(options.out)}},
           [origin, f'written: {options.out}'])
    return 0


def _print(options: argparse.Namespace, values: dict[str, Any], lines: list[str]) -> None:
    if options.json:
        print_json(values)
    else:
        for line in lines:
            print_line(line)
