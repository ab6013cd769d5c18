# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf export``."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from ivf_ros.cli.output import (
    add_overwrite_option,
    check_outputs,
    check_suffix,
    CommandError,
    print_progress,
    read_size,
    report,
)
from ivf_ros.optional_imports import explain_missing
from ivf_ros.parameters import build, parse_settings

_STAGES = ('registration', 'fusion', 'perception', 'segmentation', 'detection')
_WITH_COMMON_LAYOUT = ('segmentation', 'detection')


def add_export_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf export``."""
    parser.add_argument('stage', choices=_STAGES, help='stage of the network')
    parser.add_argument('--out', type=Path, required=True,
                        help='ONNX file to write; the name of an int8 file ends in .int8.onnx')
    parser.add_argument('--method', default='', help='method of registration or fusion, if not '
                        'the default')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='KEY=VALUE', help='the variant of dfa: sfm=false, fem=false')
    parser.add_argument('--both', action='store_true',
                        help='export the network for RGB and thermal instead of that for one '
                        'image (perception, segmentation, detection)')
    parser.add_argument('--weights', type=Path,
                        help='.safetensors file (default: the one of the package)')
    parser.add_argument('--precision', choices=('float32', 'int8'), default='float32',
                        help='number format (default: %(default)s)')
    parser.add_argument('--data', type=Path, help='folder of data sets for the calibration of '
                        'int8; their held-out parts are not used')
    parser.add_argument('--samples', type=int, default=100,
                        help='images for the calibration of int8 (default: 100)')
    parser.add_argument('--layout', choices=('ivf', 'common'), default='ivf',
                        help='ivf: for the parameter network.weights, for images of any size; '
                        'common: for other programs, boxes as in YOLOv8 or labels, with a fixed '
                        'size (default: %(default)s)')
    parser.add_argument('--size', default='640x480', metavar='WxH',
                        help='size of the images of the common layout (default: 640x480)')
    add_overwrite_option(parser)
    parser.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    _check(options)
    check_outputs(options, [options.out], [options.weights])
    with explain_missing('export', CommandError):  # PyTorch, for one
        from ivf_ros.nn import export, weights
    path, load_module = _find_network(options)
    print_progress(f'writing {options.out}')
    if options.layout == 'common':
        _export_common_layout(options, load_module(path))
    else:
        metadata = {**weights.metadata(path), 'precision': options.precision}
        module = load_module(path)
        if options.precision == 'int8':
            _export_int8(options, module, metadata)
        else:
            export.export(module, options.out, metadata)
    report(options, {'model': str(options.out), 'precision': options.precision,
                     'bytes': options.out.stat().st_size})
    return 0


def _check(options: argparse.Namespace) -> None:
    """Raise ``CommandError`` for a wrong suffix, and for options that exclude each other."""
    check_suffix(options.out, ('.onnx',))
    if options.weights and options.both:
        raise CommandError('--weights already selects the network; leave out --both')
    is_int8 = options.precision == 'int8'
    if is_int8 and not options.data:
        raise CommandError('int8 needs --data, a folder of data sets for the calibration')
    if options.layout == 'common' and (is_int8 or options.stage not in _WITH_COMMON_LAYOUT):
        raise CommandError('the common layout is for segmentation and detection in float32')
    if options.layout == 'ivf' and is_int8 != options.out.name.endswith('.int8.onnx'):
        raise CommandError(f'the name of an int8 network, and of no other, ends in .int8.onnx; '
                           f'got {options.out.name} for {options.precision}')


def _find_network(options: argparse.Namespace) -> tuple[Path, Any]:
    """Return the weight file, and the function that loads its module."""
    stage, method = options.stage, options.method
    load_module: Any
    if stage == 'registration' and method == 'dfa':
        from ivf_ros.registration.dfa import network_inference as dfa
        from ivf_ros.registration.dfa.registrar import DfaParameters, package_weights
        variant = build(DfaParameters, parse_settings(options.settings))
        load_module = partial(dfa.load_module, sfm=variant.sfm, fem=variant.fem)
        weights = package_weights(variant)
    elif stage == 'registration':
        from ivf_ros.registration import fast
        from ivf_ros.registration.network_inference import load_module
        weights = fast.WEIGHTS
    elif stage == 'fusion':
        from ivf_ros.fusion import DEFAULT_METHOD, learned
        from ivf_ros.fusion.network_inference import load_module as load_fusion
        method = method or DEFAULT_METHOD
        load_module = partial(load_fusion, method)
        weights = learned.WEIGHTS / method
    elif stage == 'perception':
        from ivf_ros.perception import method as joint
        from ivf_ros.perception.network_inference import load_module
        weights = joint.RGBT_WEIGHTS if options.both else joint.WEIGHTS
    elif stage == 'segmentation':
        from ivf_ros.segmentation import bilateral
        from ivf_ros.segmentation.network_inference import load_module
        weights = bilateral.RGBT_WEIGHTS if options.both else bilateral.WEIGHTS
    else:
        from ivf_ros.detection import anchor_free
        from ivf_ros.detection.network_inference import load_module
        weights = anchor_free.RGBT_WEIGHTS if options.both else anchor_free.WEIGHTS
    return options.weights or Path(f'{weights}.safetensors'), load_module


def _export_int8(options: argparse.Namespace, module: Any, metadata: dict[str, Any]) -> None:
    from ivf_ros.nn.quantization import export_int8
    from ivf_ros.training.calibration import draw_inputs

    export_int8(module, options.out,
                {**metadata, 'calibration': {'samples': options.samples, 'data': 'training data'}},
                draw_inputs(options.stage, module, options.data, options.samples))


def _export_common_layout(options: argparse.Namespace, module: Any) -> None:
    from ivf_ros.nn import export
    import torch

    if options.stage == 'segmentation':
        from ivf_ros.segmentation import network_export as exporting
    else:
        from ivf_ros.detection import network_export as exporting  # type: ignore[no-redef]
    width, height = read_size(options.size)
    if any(side < module.size_multiple_px or side % module.size_multiple_px
           for side in (width, height)):
        raise CommandError('width and height of the input must be multiples of '
                           f'{module.size_multiple_px}, got {width}x{height}')
    example = torch.zeros(1, module.channels, height, width)
    export.export_fixed_size(exporting.CommonLayout(module.network), options.out, example,
                             exporting.OUTPUT_NAME, export.describe_classes(module))
