# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that work on pairs of images: ``ivf register`` and ``ivf fuse``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ivf_ros import fusion, geometry, registration
from ivf_ros.cli.bag_options import add_bag_options
from ivf_ros.cli.batch import add_batch_options, Result, run_items
from ivf_ros.cli.cameras import add_camera_options
from ivf_ros.cli.image_files import ImageOutputs, PICTURE_SUFFIXES, VALUE_SUFFIXES
from ivf_ros.cli.inputs import find_pair_inputs, Item
from ivf_ros.cli.output import add_overwrite_option
from ivf_ros.cli.reading import (
    has_failed,
    is_examined,
    PairReader,
    Registering,
    ThermalOnto,
)
from ivf_ros.parameters import parse_settings
from ivf_ros.registration.alignment import check_alignment
from ivf_ros.thermal_on_rgb import ThermalWarper
import numpy as np


def add_register_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf register``."""
    _add_pair_options(parser)
    add_method_options(parser, registration.methods(), registration.DEFAULT_METHOD)
    parser.add_argument('--out', type=Path, help='write thermal on the RGB grid: a .png or .tif '
                        'file for one pair, a folder for several')
    _add_common_options(parser)
    parser.set_defaults(run=_register, paths='source')


def add_fuse_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf fuse``."""
    _add_pair_options(parser)
    add_method_options(parser, fusion.methods(), fusion.DEFAULT_METHOD)
    parser.add_argument('--register', action='store_true', help='register thermal onto RGB first')
    parser.add_argument('--out', type=Path, required=True,
                        help='write the fused image: a file for one pair, a folder for several')
    _add_common_options(parser)
    parser.set_defaults(run=_fuse, paths='source')


def add_method_options(parser: argparse.ArgumentParser, methods: tuple[str, ...], default: str
                       ) -> None:
    """Add ``--method`` and ``--set``."""
    parser.add_argument('--method', default=default,
                        help=f'one of {", ".join(methods)} (default: {default})')
    parser.add_argument('--set', dest='settings', action='append', default=[], metavar='KEY=VALUE',
                        help='parameter of the method; may be repeated')


def add_prior_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--prior``."""
    parser.add_argument('--prior', type=Path, metavar='YAML', help='rig.yaml of ivf calibrate, or '
                        'another parameter file with a calibration: where registration begins')


def _add_pair_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('source', nargs='*', help='thermal and RGB: two images, folders, patterns '
                        'in quotes, or videos; or one recording: folder of pairs, bag, '
                        'simulator[:...]')
    for stream, name in (('thermal', 'thermal'), ('rgb', 'RGB')):
        parser.add_argument(f'--{stream}', nargs='+', metavar='PATH',
                            help=f'the {name} images instead; pairs are made by order if the '
                            'names do not tell')


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    add_prior_option(parser)
    add_camera_options(parser)
    add_overwrite_option(parser)
    add_batch_options(parser, '--out')
    add_bag_options(parser)


def _register(options: argparse.Namespace) -> int:
    inputs = find_pair_inputs(options)
    outputs = ImageOutputs.prepare(options, inputs, {'out': VALUE_SUFFIXES})
    return run_items(options, inputs, partial(_RegisterPairs, options, outputs))


def _fuse(options: argparse.Namespace) -> int:
    inputs = find_pair_inputs(options)
    outputs = ImageOutputs.prepare(options, inputs, {'out': PICTURE_SUFFIXES})
    return run_items(options, inputs,
                     partial(_FusePairs, options, outputs, inputs.is_sequence))


class _RegisterPairs:
    """Registers pairs and writes thermal on the RGB grid."""

    def __init__(self, options: argparse.Namespace, outputs: ImageOutputs) -> None:
        self._outputs = outputs
        self._reader = PairReader(options)
        self._registering = Registering(self._reader, options.prior, options.method,
                                        **parse_settings(options.settings))

    def __call__(self, item: Item) -> Result:
        thermal, rgb = self._reader.read_pair(item)
        found = self._registering.register(item, thermal, rgb)
        warped = ThermalWarper().warp_counts(thermal, found.H_thermal_to_rgb,
                                             geometry.size_of(rgb))
        self._outputs.write('out', item, warped.image)
        values = {'H_thermal_to_rgb': found.H_thermal_to_rgb.tolist(),
                  'confidence': found.confidence, 'inliers': found.inliers,
                  'state': found.state.value, 'reason': found.reason}
        lines = [f'{found.state.value} confidence {found.confidence:.2f} inliers {found.inliers} '
                 f'{found.reason}'.rstrip()]
        if self._outputs.is_single:
            lines.append(np.array2string(found.H_thermal_to_rgb, precision=6, suppress_small=True))
        problem = f'not registered: {found.reason}' if has_failed(found) else ''
        return Result(values, tuple(lines), problem)


class _FusePairs:
    """Fuses pairs and writes the result."""

    def __init__(self, options: argparse.Namespace, outputs: ImageOutputs, is_sequence: bool
                 ) -> None:
        self._method, self._registers = options.method, options.register
        self._outputs = outputs
        self._reader = PairReader(options)
        # Pairs of files need not be of one scene.
        stills = {} if is_sequence else {'background.smoothing': 0.0}
        self._fuser = fusion.create(options.method,
                                    **{**stills, **parse_settings(options.settings)})
        registering = Registering(self._reader, options.prior) if options.register else None
        self._thermal_onto = ThermalOnto(registering, is_sequence, self._fuser.parameters.agc)

    def __call__(self, item: Item) -> Result:
        thermal, rgb = self._reader.read_pair(item)
        on_rgb = self._thermal_onto.put(item, thermal, rgb)
        fused = self._fuser.fuse_gray(on_rgb.image, rgb, on_rgb.coverage, match_background=True)
        values = {'fused': str(self._outputs.write('out', item, fused)),
                  'size': geometry.size_of(rgb), 'method': self._method}
        lines = tuple(f'{name}: {value}' for name, value in values.items()) \
            if self._outputs.is_single else ()
        alignment = check_alignment(on_rgb.image, rgb) \
            if is_examined(item, self._registers) else None
        return Result(values, lines, alignment=alignment)
