# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``ivf train detection-scores``: calibration of the scores of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ivf_ros.cli.output import UsageError
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.drawn_boxes import keep_drawn, read_frames
from ivf_ros.training.record import describe_commit, record_training
from ivf_ros.training.settings import ScoreCalibration

if TYPE_CHECKING:
    from ivf_ros.evaluation.detector_comparison import Outcomes

_HALF = 'choosing'


def calibrate_scores(data: Path, out: Path, path: Path | None, settings: ScoreCalibration,
                     command: str) -> dict[str, Any]:
    """
    Fit the scores to drawn boxes, write the weights and ``scores.json``, and return a summary.

    Parameters
    ----------
    data:
        Data sets with the pairs that have drawn boxes.
    out:
        Folder for ``scores.json``.
    path:
        The weight file to write, or None.
    settings:
        Network, boxes and input.
    command:
        The command line, for the metadata of the weights.

    Raises
    ------
    UsageError
        The network or the boxes are not given.
    SourceError
        No aligned pair has drawn boxes.
    WeightsError
        The weights cannot be read, or are those of another network.

    """
    if not (settings.start_from and settings.boxes):
        raise UsageError('give --set start_from=FILE and --set boxes=FILE')
    from ivf_ros.evaluation.detector_comparison import create_detector, measure_detector
    from ivf_ros.nn import weights
    from ivf_ros.training.detection_scores import scale_scores

    initial = Path(settings.start_from)
    metadata = weights.metadata(initial)
    is_joint = metadata.get('network') == 'PerceptionNetwork'
    network = _load(initial, is_joint)
    drawn = keep_drawn(find_datasets(data), read_frames(Path(settings.boxes)), _HALF)
    samples = [sample for dataset in drawn for sample in dataset.samples if sample.aligned]
    record_training(out, {'network': 'detection-scores', 'pairs': len(samples)})
    detector = create_detector('perception' if is_joint else 'detection', initial,
                               settings.threads)
    scalings, boxes = _fit(measure_detector(detector, samples, settings.given),
                           detector.class_names)
    scale_scores(network.detector if is_joint else network, list(scalings.values()))
    result = {'pairs': len(samples), 'half': _HALF, 'boxes': boxes,
              'scaling': {name: asdict(scaling) for name, scaling in scalings.items()}}
    if path:
        weights.save(network, path, {**metadata, 'score_calibration': {
            **result, 'command': command, 'commit': describe_commit()}})
    (out / 'scores.json').write_text(json.dumps(result, indent=1) + '\n')
    return result


def _load(path: Path, is_joint: bool) -> Any:
    """Return the network of a weight file."""
    from ivf_ros.detection import network_inference as detection
    from ivf_ros.perception import network_inference as perception

    return (perception if is_joint else detection).load_module(path).network


def _fit(outcomes: Outcomes, class_names: Sequence[str]
         ) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the scaling of each class, and the number of boxes that it was fitted to."""
    from ivf_ros.training.detection_scores import fit_scaling, MIN_HITS, MIN_SCORE, ScoreScaling
    import numpy as np

    scalings, boxes = {}, {}
    for name in class_names:
        scalings[name], boxes[name] = ScoreScaling(), 0
        if name not in outcomes:
            continue
        scores, hits = (np.concatenate(values)
                        for values in (outcomes[name].scores, outcomes[name].hits))
        likely = scores >= MIN_SCORE
        if hits[likely].sum() >= MIN_HITS:
            scalings[name] = fit_scaling(scores[likely], hits[likely] > 0)
            boxes[name] = int(likely.sum())
    return scalings, boxes
