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
from ivf_ros.camera_input import CameraGeometry
from ivf_ros.cli.cameras import (
    add_camera_options,
    add_thermal_camera_option,
    rgb_camera_of,
    thermal_camera_of,
)
from ivf_ros.cli.output import (
    add_overwrite_option,
    check_outputs,
    CommandError,
    print_json,
    print_line,
    print_progress,
    report,
)
from ivf_ros.data.image_file import read_prior, read_thermal, read_visible
from ivf_ros.data.recording import to_thermal
from ivf_ros.output import mark_image
from ivf_ros.thermal import Agc
from ivf_ros.thermal_on_rgb import ThermalWarper
from ivf_ros.types import Registration
import numpy as np


def add_register_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf register``."""
    parser.add_argument('thermal', type=Path)
    parser.add_argument('rgb', type=Path)
    _add_method_options(parser, registration.methods(), registration.DEFAULT_METHOD)
    add_camera_options(parser)
    parser.add_argument('--prior', type=Path, metavar='YAML', help='rig.yaml of ivf calibrate, or '
                        'another parameter file with a calibration: where to begin')
    parser.add_argument('--out', type=Path, help='write thermal on the RGB grid')
    add_overwrite_option(parser)
    parser.set_defaults(run=_register)


def add_fuse_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf fuse``."""
    parser.add_argument('thermal', type=Path)
    parser.add_argument('rgb', type=Path)
    _add_method_options(parser, fusion.methods(), fusion.DEFAULT_METHOD)
    add_camera_options(parser)
    parser.add_argument('--register', action='store_true', help='register thermal onto RGB first')
    parser.add_argument('--out', type=Path, required=True, help='write the fused image')
    add_overwrite_option(parser)
    parser.set_defaults(run=_fuse)


def add_segment_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf segment``."""
    parser.add_argument('image', type=Path)
    _add_thermal_option(parser)
    _add_method_options(parser, segmentation.methods(), 'default')
    parser.add_argument('--out', type=Path, required=True, help='write the label image')
    parser.add_argument('--overlay', type=Path, help='write the image with the labels drawn on it')
    add_overwrite_option(parser)
    parser.set_defaults(run=_segment)


def add_detect_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf detect``."""
    parser.add_argument('image', type=Path)
    _add_thermal_option(parser)
    _add_method_options(parser, detection.methods(), 'default')
    parser.add_argument('--overlay', type=Path, help='write the image with the boxes drawn on it')
    add_overwrite_option(parser)
    parser.set_defaults(run=_detect)


def _add_method_options(parser: argparse.ArgumentParser, methods: tuple[str, ...], default: str
                        ) -> None:
    parser.add_argument('--method', default=default, help=f'one of {", ".join(methods)}')
    parser.add_argument('--set', dest='settings', action='append', default=[], metavar='KEY=VALUE',
                        help='parameter of the method; may be repeated')


def _add_thermal_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--thermal', type=Path, help='registered thermal image, used together '
                        'with the image, which is RGB then')
    add_thermal_camera_option(parser)


def _register(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out], [options.thermal, options.rgb])
    thermal, rgb = _read_pair(options)
    registrar = registration.create(options.method, **_read_settings(options))
    registered = registrar.register(thermal, rgb, _read_prior(options))
    if options.out:
        warped = ThermalWarper().warp_counts(thermal, registered.H_thermal_to_rgb,
                                             geometry.size_of(rgb))
        _write_image(options.out, warped.image)
    if options.json:
        print_json({'H_thermal_to_rgb': registered.H_thermal_to_rgb.tolist(),
                    'confidence': registered.confidence, 'inliers': registered.inliers,
                    'state': registered.state.value, 'reason': registered.reason})
    else:
        print_line(f'{registered.state.value} confidence {registered.confidence:.2f} '
                   f'inliers {registered.inliers} {registered.reason}'.rstrip())
        print_line(np.array2string(registered.H_thermal_to_rgb, precision=6, suppress_small=True))
    return _exit_code(registered)


def _fuse(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out], [options.thermal, options.rgb])
    thermal, rgb = _read_pair(options)
    size = geometry.size_of(rgb)
    fuser = fusion.create(options.method, **_read_settings(options))
    if options.register:
        registered = registration.create().register(
            thermal, rgb, _read_prior_of_files(options))
        if _exit_code(registered):
            raise CommandError(f'registration failed: {registered.reason}')
        warped = ThermalWarper(fuser.parameters.agc).warp_gray(
            thermal, registered.H_thermal_to_rgb, size)
        fused = fuser.fuse_gray(warped.image, rgb, warped.coverage)
    else:
        fused = fuser.fuse(thermal, rgb)
    _write_image(options.out, fused)
    report(options, {'fused': str(options.out), 'size': size, 'method': options.method})
    return 0


def _segment(options: argparse.Namespace) -> int:
    check_outputs(options, [options.out, options.overlay], [options.image, options.thermal])
    image = _read_rgb(options.image)
    segmenter: Any = segmentation.create(options.method, **_read_settings(options))
    segmented = segmenter.segment(image, *_read_thermal(options, segmenter))
    _write_image(options.out, segmented.labels)
    if options.overlay:
        _write_image(options.overlay, segmentation.overlay(image, segmented))
    counts = np.bincount(segmented.labels.ravel(), minlength=len(segmented.class_names))
    report(options, {name: int(count) for name, count in zip(segmented.class_names, counts)})
    return 0


def _detect(options: argparse.Namespace) -> int:
    check_outputs(options, [options.overlay], [options.image, options.thermal])
    image = _read_rgb(options.image)
    detector: Any = detection.create(options.method, **_read_settings(options))
    if isinstance(detector, detection.OnnxDetector):
        print_progress(f'{detector.networks[0].path.name}: {detector.summary}')
    boxes = detector.detect(image, *_read_thermal(options, detector))
    if options.overlay:
        _write_image(options.overlay, detection.draw(image, boxes))
    if options.json:
        print_json([dataclasses.asdict(box) for box in boxes])
    else:
        for box in boxes:
            print_line(f'{box.class_name} {box.score:.2f} '
                       + ' '.join(f'{edge:.1f}' for edge in box.box_xyxy_px))
    return 0


def _exit_code(registered: Registration) -> int:
    return 0 if registered.confidence > 0 and not registered.reason else 1


def _read_settings(options: argparse.Namespace) -> dict[str, Any]:
    return parameters.parse_settings(options.settings)


def _read_pair(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Read thermal and RGB, corrected as the options of the cameras say."""
    thermal = to_thermal(read_thermal(options.thermal), thermal_camera_of(options))
    return thermal, CameraGeometry(rgb_camera_of(options)).apply(_read_rgb(options.rgb))


def _read_prior(options: argparse.Namespace) -> np.ndarray | None:
    """Return the homography of --prior, or that of a radiometric file, or None."""
    if options.prior:
        from ivf_ros.calibration.rig_files import read_prior as read_rig  # needs SciPy
        return read_rig(options.prior)
    return _read_prior_of_files(options)


def _read_prior_of_files(options: argparse.Namespace) -> np.ndarray | None:
    """Return the homography of a radiometric file; None where an option moves the pixels."""
    moves_pixels = thermal_camera_of(options).moves_pixels or rgb_camera_of(options).moves_pixels
    return None if moves_pixels else read_prior(options.thermal, options.rgb)


def _read_rgb(path: Path) -> np.ndarray:
    """Read an 8-bit image ``(H, W)`` or ``(H, W, 3)`` BGR, the format that all stages take."""
    image = read_visible(path)
    if image.dtype != np.uint8:
        raise CommandError(f"'{path}' must have 8 bits per channel, got {image.dtype}")
    return image


def _read_thermal(options: argparse.Namespace, method: Any) -> tuple[np.ndarray, ...]:
    if options.thermal and not method.takes_thermal:
        raise CommandError(f'{options.method} takes one image; leave out --thermal')
    if not options.thermal:
        return ()
    return (Agc()(to_thermal(read_thermal(options.thermal), thermal_camera_of(options))),)


def _write_image(path: Path, image: np.ndarray) -> None:
    try:
        written, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        written = False
    if not written:
        raise CommandError(f"cannot write '{path}': OpenCV has no encoder of this format for "
                           f'{image.shape} {image.dtype}; use .png')
    try:
        path.write_bytes(mark_image(encoded.tobytes()))
    except OSError as error:
        raise CommandError(f"cannot write '{path}': {error.strerror}") from None
