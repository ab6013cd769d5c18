# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Teachers: detectors, each with the camera or cameras that it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import re
from typing import Any

from ivf_ros import detection, fusion, perception
from ivf_ros.data.known_classes import map_class_names
from ivf_ros.data.sample import IGNORED
from ivf_ros.labelling.registered_pairs import RegisteredPair
from ivf_ros.network_inputs import BOTH, select_sensors, SENSORS
from ivf_ros.parameters import parse_settings
from ivf_ros.types import Detection

INPUTS = (*SENSORS, BOTH, fusion.DEFAULT_METHOD)
# Three looks of the detector of the package: each camera alone, and both.
DEFAULT_TEACHERS = tuple(f'{detection.DEFAULT_METHOD}@{name}' for name in (*SENSORS, BOTH))
_BETWEEN_SETTINGS = re.compile(r',(?![^\[]*\])')


class LabellingError(ValueError):
    """A teacher cannot be used."""


class Teacher:
    """
    A detector on the images of one input.

    Parameters
    ----------
    text:
        ``METHOD@INPUT`` or ``METHOD@INPUT:KEY=VALUE,...``, for example
        ``'onnx@rgb:onnx.model=yolo.onnx'``. A method is one of ``detection.methods()`` or
        ``perception.METHOD``; the settings are those of ``create``. An input is one of ``INPUTS``.

    Attributes
    ----------
    name:
        Method, or the name of the file of an ONNX model, and input: ``'yolo@rgb'``.
    input_name:
        One of ``INPUTS``.
    settings:
        The settings by name.

    Raises
    ------
    LabellingError
        The text is of another form, or the method does not take the input.
    ParameterError, DetectionError, WeightsError, DeviceError
        See ``detection.create``.

    """

    def __init__(self, text: str) -> None:
        head, _, settings = text.partition(':')
        method, at, self.input_name = head.partition('@')
        known = (*detection.methods(), perception.METHOD)
        if not at or method not in known or self.input_name not in INPUTS:
            raise LabellingError(
                f"a teacher is METHOD@INPUT or METHOD@INPUT:KEY=VALUE,..., got '{text}'; methods: "
                f'{", ".join(known)}; inputs: {", ".join(INPUTS)}')
        self.settings = parse_settings(_BETWEEN_SETTINGS.split(settings) if settings else ())
        create: Any = perception.create if method == perception.METHOD else detection.create
        self._detector: detection.Detector = create(method, **self.settings)
        if self.input_name == BOTH and not self._detector.takes_thermal:
            raise LabellingError(f'{head}: {method} takes one image; its input is one of '
                                 f'{", ".join(name for name in INPUTS if name != BOTH)}')
        model = self.settings.get('onnx.model')
        self.name = f'{Path(model).stem if model else method}@{self.input_name}'

    def detect(self, pair: RegisteredPair) -> list[Detection]:
        """
        Return the boxes of a pair on the RGB grid, with the class names of the teacher.

        Raises
        ------
        DetectionError, InferenceError
            See ``Detector.detect``.

        """
        images = (pair.fused,) if self.input_name == fusion.DEFAULT_METHOD \
            else select_sensors(pair.thermal, pair.rgb, self.input_name)
        return self._detector.detect(*images)


def select_classes(boxes: Sequence[Detection], ignored_classes: Sequence[str]
                   ) -> tuple[list[Detection], list[str]]:
    """
    Map the boxes of a teacher to ``detection.CLASS_NAMES``.

    Returns
    -------
    boxes
        With these class names, and ``IGNORED`` where the class is one of ``ignored_classes``.
    dropped
        The class names of all other boxes.

    """
    kept, dropped = [], []
    for box, mapped in zip(boxes, map_class_names(boxes, detection.CLASS_NAMES), strict=True):
        if mapped.class_name != IGNORED or box.class_name in ignored_classes:
            kept.append(mapped)
        else:
            dropped.append(box.class_name)
    return kept, dropped
