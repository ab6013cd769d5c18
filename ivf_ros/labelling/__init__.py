# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Machine-made boxes for a recording: teachers, their agreement, and continuity over time."""

from __future__ import annotations

from ivf_ros.labelling.continuity import FrameBoxes, label_boxes, LabelledBox
from ivf_ros.labelling.merging import merge_boxes, MergedBox
from ivf_ros.labelling.recording import RecordingLabels
from ivf_ros.labelling.registered_pairs import PairRegistration, RegisteredPair
from ivf_ros.labelling.settings import LabellingParameters
from ivf_ros.labelling.teachers import DEFAULT_TEACHERS, LabellingError, Teacher

__all__ = ['DEFAULT_TEACHERS', 'FrameBoxes', 'label_boxes', 'LabelledBox', 'LabellingError',
           'LabellingParameters', 'merge_boxes', 'MergedBox', 'PairRegistration',
           'RecordingLabels', 'RegisteredPair', 'Teacher']
