# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``ivf train``: its options, and what it does with them."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
import subprocess
from typing import Any

from ivf_ros.parameters import build, declarations, flatten
from ivf_ros.training.settings import FastTraining


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ivf train``."""
    parser.add_argument('network', choices=('registration',), help='which network')
    parser.add_argument('--data', type=Path, required=True,
                        help='folder of data sets; parts of them are held back')
    parser.add_argument('--out', type=Path, required=True,
                        help='folder for checkpoint and log; an interrupted training goes on')
    parser.add_argument('--weights', type=Path, help='weight file to write at the end')
    parser.add_argument('--overfit', action='store_true',
                        help='see one batch again and again: the loss must vanish')
    for declared in declarations(FastTraining):
        kind = type(declared.default)
        parser.add_argument(f'--{declared.name.replace("_", "-")}', type=kind,
                            default=declared.default, metavar=kind.__name__.upper(),
                            help=f'{declared.description} (default: {declared.default})')


def run(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """
    Train, write the weights where asked to, and say what was done.

    Raises
    ------
    SourceError
        There is nothing to learn from.

    """
    from ivf_ros.nn import weights
    from ivf_ros.training.registration_data import training_scenes
    from ivf_ros.training.registration_fast import train

    settings = build(FastTraining, {declared.name: getattr(options, declared.name)
                                    for declared in declarations(FastTraining)})
    scenes = training_scenes(options.data)
    network = train(scenes, options.out, settings, overfit=options.overfit)
    trained_on = dict(Counter(scene.dataset for scene in scenes))
    if options.weights:
        weights.save(network, options.weights, {
            'network': 'FastNetwork', 'trained_on': trained_on, 'command': command,
            'settings': flatten(settings), 'commit': _commit()})
    return {'scenes': trained_on, 'steps': settings.steps, 'log': str(options.out / 'log.jsonl'),
            'weights': str(options.weights or '')}


def _commit() -> str:
    """Return the commit of the checkout that this is run from, '' where it is none."""
    found = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=12'],
                           cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return found.stdout.strip()
