# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``ivf train detection-scores``: calibration of the scores of a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
import json
from pathlib import Path
from typing import Any

from ivf_ros.cli.output import UsageError
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.drawn_boxes import keep_drawn, read_frames
from ivf_ros.data.sample import Sample
from ivf_ros.training.record import describe_commit, record_training
from ivf_ros.training.settings import ScoreCalibration

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
    from ivf_ros.nn import weights
    from ivf_ros.training.detection_scores import scale_scores

    initial = Path(settings.start_from)
    metadata = weights.metadata(initial)
    is_joint = metadata.get('network') == 'PerceptionNetwork'
    network = _load(initial, is_joint)
    drawn = keep_drawn(find_datasets(data), read_frames(Path(settings.boxes)), _HALF)
    samples = [sample for dataset in drawn for sample in dataset.samples if sample.aligned]
    record_training(out, {'network': 'detection-scores', 'pairs': len(samples)})
    scalings, boxes = _fit(_create(initial, is_joint, settings.threads), samples, settings.given)
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


def _create(path: Path, is_joint: bool, threads: int) -> Any:
    """Return a detector that reports all boxes to calibrate with."""
    from ivf_ros import detection, perception
    from ivf_ros.training.detection_scores import MIN_SCORE

    create: Any = perception.create if is_joint else detection.create
    detector = create(**{'network.weights': str(path), 'network.threads': threads})
    detector.parameters = replace(detector.parameters, min_score=MIN_SCORE, min_scores=())
    return detector


def _fit(detector: Any, samples: Sequence[Sample], given: str
         ) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the scaling of each class, and the number of boxes that it was fitted to."""
    from ivf_ros.evaluation.detector_comparison import measure_detector
    from ivf_ros.training.detection_scores import fit_scaling, MIN_HITS, ScoreScaling
    import numpy as np

    outcomes = measure_detector(detector, samples, given)
    scalings, boxes = {}, {}
    for name in detector.class_names:
        scalings[name], boxes[name] = ScoreScaling(), 0
        if name not in outcomes:
            continue
        scores = np.concatenate(outcomes[name].scores)
        hits = np.concatenate(outcomes[name].hits) > 0
        if hits.sum() >= MIN_HITS:
            scalings[name], boxes[name] = fit_scaling(scores, hits), len(scores)
    return scalings, boxes
