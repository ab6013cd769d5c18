# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that work on fused images, or on RGB with thermal: segment and detect."""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from ivf_ros.cli.bag_options import add_bag_options
from ivf_ros.cli.batch import add_batch_options, Result, run_items
from ivf_ros.cli.cameras import add_camera_options
from ivf_ros.cli.image_files import ImageOutputs, PICTURE_SUFFIXES, VALUE_SUFFIXES
from ivf_ros.cli.inputs import find_image_inputs, Inputs, Item
from ivf_ros.cli.output import add_overwrite_option, CommandError, print_note, print_progress
from ivf_ros.cli.pair_commands import add_method_options, add_prior_option
from ivf_ros.cli.reading import is_examined, PairReader, Registering, ThermalOnto
from ivf_ros.parameters import parse_settings
from ivf_ros.registration.alignment import Alignment, check_alignment
import numpy as np


def add_segment_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf segment``."""
    from ivf_ros import segmentation

    _add_image_options(parser)
    add_method_options(parser, segmentation.methods(), 'default')
    parser.add_argument('--out', type=Path, required=True, help='write the labels: a .png or .tif '
                        'file for one image, a folder for several')
    _add_common_options(parser, 'labels', '--out and --overlay')
    parser.set_defaults(run=_segment, paths='image')


def add_detect_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf detect``."""
    from ivf_ros import detection

    _add_image_options(parser)
    add_method_options(parser, detection.methods(), 'default')
    _add_common_options(parser, 'boxes', '--overlay')
    parser.set_defaults(run=_detect, paths='image')


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('image', nargs='*', help='images, a folder, a pattern in quotes, or a '
                        'video; or a recording, of which RGB is used, or both cameras with '
                        '--register')
    parser.add_argument('--thermal', nargs=1, metavar='PATH', help='the registered thermal image, '
                        'or a folder or pattern of them, used together with the images, which are '
                        'RGB then')
    parser.add_argument('--register', action='store_true',
                        help='register thermal onto RGB first')


def _add_common_options(parser: argparse.ArgumentParser, drawn: str, outputs: str) -> None:
    parser.add_argument('--overlay', type=Path, help=f'write the image with the {drawn} drawn on '
                        'it: a file for one image, a folder for several')
    add_prior_option(parser)
    add_camera_options(parser)
    add_overwrite_option(parser)
    add_batch_options(parser, outputs)
    add_bag_options(parser)


def _segment(options: argparse.Namespace) -> int:
    inputs = find_image_inputs(options)
    outputs = ImageOutputs.prepare(options, inputs, {'out': VALUE_SUFFIXES,
                                                     'overlay': PICTURE_SUFFIXES})
    return run_items(options, inputs, partial(
        _SegmentImages, options, outputs, _takes_both(options, inputs), inputs.is_sequence))


def _detect(options: argparse.Namespace) -> int:
    inputs = find_image_inputs(options)
    outputs = ImageOutputs.prepare(options, inputs, {'overlay': PICTURE_SUFFIXES})
    return run_items(options, inputs, partial(
        _DetectObjects, options, outputs, _takes_both(options, inputs), inputs.is_sequence))


def _takes_both(options: argparse.Namespace, inputs: Inputs) -> bool:
    """Return whether thermal is used beside RGB."""
    if options.register and not inputs.has_thermal:
        raise CommandError('--register needs thermal images: --thermal, or a recording of both '
                           'cameras')
    takes_both = bool(options.thermal) or options.register
    if inputs.has_thermal and not takes_both:
        print_note(options, 'only the RGB images are used; --register uses thermal, too')
    return takes_both


class _BothCameras:
    """Reads the image of an item, and thermal on its grid where it is used."""

    def __init__(self, options: argparse.Namespace, takes_both: bool, is_sequence: bool,
                 method: Any) -> None:
        if takes_both and not method.takes_thermal:
            raise CommandError(f'{options.method} takes one image; leave out --thermal and '
                               '--register')
        self._reader = PairReader(options)
        self._registers, self._takes_both = options.register, takes_both
        registering = Registering(self._reader, options.prior) if options.register else None
        self._thermal_onto = ThermalOnto(registering, is_sequence)

    def read(self, item: Item) -> tuple[np.ndarray, tuple[np.ndarray, ...], Alignment | None]:
        """Return the image, thermal as further arguments of a method, and their alignment."""
        if not self._takes_both:
            return self._reader.read_rgb(item), (), None
        thermal, rgb = self._reader.read_pair(item)
        gray = self._thermal_onto.put(item, thermal, rgb).image
        alignment = check_alignment(gray, rgb) if is_examined(item, self._registers) else None
        return rgb, (gray,), alignment


class _SegmentImages:
    """Segments images and writes the labels."""

    def __init__(self, options: argparse.Namespace, outputs: ImageOutputs, takes_both: bool,
                 is_sequence: bool) -> None:
        from ivf_ros import segmentation

        self._outputs = outputs
        self._overlay = segmentation.overlay
        self._segmenter: Any = segmentation.create(options.method,
                                                   **parse_settings(options.settings))
        self._cameras = _BothCameras(options, takes_both, is_sequence, self._segmenter)

    def __call__(self, item: Item) -> Result:
        image, thermal, alignment = self._cameras.read(item)
        segmented = self._segmenter.segment(image, *thermal)
        self._outputs.write('out', item, segmented.labels)
        if 'overlay' in self._outputs.paths:
            self._outputs.write('overlay', item, self._overlay(image, segmented))
        counts = np.bincount(segmented.labels.ravel(), minlength=len(segmented.class_names))
        values = {name: int(count) for name, count in zip(segmented.class_names, counts)}
        lines = tuple(f'{name}: {count}' for name, count in values.items())
        return Result(values, lines if self._outputs.is_single else (), alignment=alignment)


class _DetectObjects:
    """Detects objects in images and draws them."""

    def __init__(self, options: argparse.Namespace, outputs: ImageOutputs, takes_both: bool,
                 is_sequence: bool) -> None:
        from ivf_ros import detection

        self._outputs = outputs
        self._draw = detection.draw
        self._detector: Any = detection.create(options.method, **parse_settings(options.settings))
        self._cameras = _BothCameras(options, takes_both, is_sequence, self._detector)
        if outputs.is_single and isinstance(self._detector, detection.OnnxDetector):
            print_progress(f'{self._detector.networks[0].path.name}: {self._detector.summary}')

    def __call__(self, item: Item) -> Result:
        image, thermal, alignment = self._cameras.read(item)
        boxes = self._detector.detect(image, *thermal)
        if 'overlay' in self._outputs.paths:
            self._outputs.write('overlay', item, self._draw(image, boxes))
        lines = tuple(f'{box.class_name} {box.score:.2f} '
                      + ' '.join(f'{edge:.1f}' for edge in box.box_xyxy_px) for box in boxes)
        return Result([dataclasses.asdict(box) for box in boxes], lines, alignment=alignment)
