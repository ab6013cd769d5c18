# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Commands that run one stage on image files: register, fuse, segment, detect."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import cv2
from ivf_ros import detection, fusion, geometry, parameters, registration, segmentation
from ivf_ros.cli.output import (
    add_overwrite_option,
    check_outputs,
    CommandError,
    print_json,
    print_line,
    report,
)
from ivf_ros.data.folder import read_image
from ivf_ros.data.recording import to_single_channel
from ivf_ros.output import mark_image
from ivf_ros.thermal import Agc
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.types import Registration
import numpy as np


def add_register_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf register``."""
    parser.add_argument('thermal', type=Path)
    parser.add_argument('rgb', type=Path)
    _add_method(parser, registration.methods(), registration.DEFAULT_METHOD)
    parser.add_argument('--out', type=Path, help='write thermal on the RGB grid to this file')
    add_overwrite_option(parser)
    parser.set_defaults(run=_register)


def add_fuse_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf fuse``."""
    parser.add_argument('thermal', type=Path)
    parser.add_argument('rgb', type=Path)
    _add_method(parser, fusion.methods(), fusion.DEFAULT_METHOD)
    parser.add_argument('--register', action='store_true', help='register thermal onto RGB first')
    parser.add_argument('--out', type=Path, required=True, help='the fused image')
    add_overwrite_option(parser)
    parser.set_defaults(run=_fuse)


def add_segment_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf segment``."""
    parser.add_argument('image', type=Path)
    _add_thermal(parser)
    _add_method(parser, segmentation.methods(), 'default')
    parser.add_argument('--out', type=Path, required=True, help='the label image')
    parser.add_argument('--overlay', type=Path, help='labels drawn on the image')
    add_overwrite_option(parser)
    parser.set_defaults(run=_segment)


def add_detect_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf detect``."""
    parser.add_argument('image', type=Path)
    _add_thermal(parser)
    _add_method(parser, detection.methods(), 'default')
    parser.add_argument('--overlay', type=Path, help='boxes drawn on the image')
    add_overwrite_option(parser)
    parser.set_defaults(run=_detect)


def _add_method(parser: argparse.ArgumentParser, methods: tuple[str, ...], default: str) -> None:
    parser.add_argument('--method', default=default, help=f'one of {", ".join(methods)}')
    parser.add_argument('--set', dest='settings', action='append', default=[], metavar='KEY=VALUE',
                        help='a parameter of the method; may be repeated')


def _add_thermal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--thermal', type=Path, help='the image is RGB; look at this registered '
                        'thermal image, too')


def _register(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out], [options.thermal, options.rgb])
    thermal, rgb = to_single_channel(read_image(options.thermal)), _read_rgb(options.rgb)
    found = registration.create(options.method, **_settings(options)).register(thermal, rgb)
    if options.out:
        warped = ThermalWarper().warp_counts(thermal, found.H_thermal_to_rgb,
                                             geometry.size_of(rgb))
        _write(options.out, warped.image)
    if options.json:
        print_json({'H_thermal_to_rgb': found.H_thermal_to_rgb.tolist(),
                    'confidence': found.confidence, 'inliers': found.inliers,
                    'state': found.state.value, 'reason': found.reason})
    else:
        print_line(f'{found.state.value} confidence {found.confidence:.2f} '
                   f'inliers {found.inliers} {found.reason}'.rstrip())
        print_line(np.array2string(found.H_thermal_to_rgb, precision=6, suppress_small=True))
    return _exit_code_of(found)


def _fuse(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out], [options.thermal, options.rgb])
    thermal, rgb = to_single_channel(read_image(options.thermal)), _read_rgb(options.rgb)
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
    report(options, {'fused': str(options.out), 'size': size, 'method': options.method})
    return 0


def _segment(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out, options.overlay], [options.image, options.thermal])
    image = _read_rgb(options.image)
    segmenter: Any = segmentation.create(options.method, **_settings(options))
    found = segmenter.segment(image, *_thermal_beside(options, segmenter))
    _write(options.out, found.labels)
    if options.overlay:
        _write(options.overlay, segmentation.overlay(image, found))
    counts = np.bincount(found.labels.ravel(), minlength=len(found.class_names))
    report(options, {name: int(count) for name, count in zip(found.class_names, counts)})
    return 0


def _detect(options: argparse.Namespace) -> int:
    check_outputs(options, [options.overlay], [options.image, options.thermal])
    image = _read_rgb(options.image)
    detector: Any = detection.create(options.method, **_settings(options))
    found = detector.detect(image, *_thermal_beside(options, detector))
    if options.overlay:
        _write(options.overlay, detection.draw(image, found))
    if options.json:
        print_json([dataclasses.asdict(d) for d in found])
    else:
        for d in found:
            print_line(f'{d.class_name} {d.score:.2f} '
                       + ' '.join(f'{edge:.1f}' for edge in d.box_xyxy_px))
    return 0


def _exit_code_of(found: Registration) -> int:
    return 0 if found.confidence > 0 and not found.reason else 1


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return parameters.parse_settings(options.settings)


def _read_rgb(path: Path) -> np.ndarray:
    """Read ``(H, W)`` or ``(H, W, 3)`` BGR of 8 bits, the form that all stages take."""
    image = read_image(path)
    if image.dtype != np.uint8:
        raise CommandError(f"'{path}' must have 8 bits a channel, got {image.dtype}")
    return image


def _thermal_beside(options: argparse.Namespace, method: Any) -> tuple[np.ndarray, ...]:
    if options.thermal and not method.takes_thermal:
        raise CommandError(f'{options.method} looks at one image: leave out --thermal')
    return (Agc()(to_single_channel(read_image(options.thermal))),) if options.thermal else ()


def _write(path: Path, image: np.ndarray) -> None:
    try:
        written, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        written = False
    if not written:
        raise CommandError(f"cannot write '{path}': OpenCV knows no such format for "
                           f'{image.shape} {image.dtype}; use .png')
    try:
        path.write_bytes(mark_image(encoded.tobytes()))
    except OSError as error:
        raise CommandError(f"cannot write '{path}': {error.strerror}") from None
