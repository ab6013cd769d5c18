# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Objects in training pairs that the machine-made labels may have missed.

The teachers miss small and half hidden objects. Called background, these teach a network to miss
them too. The present networks of this package look at each pair with a low threshold, and what
they find where there is no label is ignored in the loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ivf_ros import perception
from ivf_ros.boxes import iou
from ivf_ros.data.sample import IGNORED
from ivf_ros.detection import CLASS_NAMES
from ivf_ros.perception.method import JointPerception
import numpy as np

if TYPE_CHECKING:
    from ivf_ros.training.perception_data import PerceptionScene

# Vehicles are large and the teachers rarely miss one: a weak box is rather a false one, from which
# the network is to learn.
_MIN_SCORES = {'person': 0.3, 'vehicle': 0.3, 'bicycle': 0.12}
_MIN_IOU = 0.4  # with a labelled box: the object has its label


def ignore_unlabelled(scenes: Iterable[PerceptionScene]) -> list[PerceptionScene]:
    """Return scenes with boxes of class ``IGNORED`` around what may be an object."""
    detector = perception.create(min_scores=[_MIN_SCORES[name] for name in CLASS_NAMES])
    return [_ignore_unlabelled(scene, detector) for scene in scenes]


def _ignore_unlabelled(scene: PerceptionScene, detector: JointPerception) -> PerceptionScene:
    gray = np.dstack([scene.thermal] * 3)
    found = [box for images in ((scene.rgb, scene.thermal), (gray,))
             for box in detector.detect(*images)]
    boxes = list(scene.boxes)
    for box in found:
        if not any(iou(box, other) >= _MIN_IOU for other in boxes):
            boxes.append(replace(box, class_name=IGNORED))
    return replace(scene, boxes=tuple(boxes))
