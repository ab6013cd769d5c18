# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the segmentation node drives: inputs of one moment in, labels out."""

from __future__ import annotations

from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.segmentation.methods import create_from, Segmenter
from ivf_ros.segmentation.settings import SegmentationStageParameters
from ivf_ros.types import Segmentation


class SegmentationStage:
    """
    Labels pixels; nothing is remembered from one image to the next.

    Raises
    ------
    SegmentationError, WeightsError
        See ``segmentation.create``.

    """

    def __init__(self, parameters: SegmentationStageParameters = SegmentationStageParameters()
                 ) -> None:
        self._parameters = parameters
        self.method = create_from(parameters.segmentation)

    def step(self, inputs: PerceptionInputs) -> Segmentation:
        """Label the pixels of one moment; raise SegmentationError for a wrong shape or type."""
        return self.method.segment(*inputs.images())

    def prepare(self, requested: SegmentationStageParameters) -> Segmenter:
        """Build what these parameters ask for, beside what is in use; raise as ``create``."""
        before, wanted = self._parameters.segmentation, requested.segmentation
        if (wanted.method, wanted.network) == (before.method, before.network):
            return self.method
        return create_from(wanted)

    def apply(self, parameters: SegmentationStageParameters, prepared: Segmenter) -> None:
        """Use these parameters from the next image on."""
        prepared.parameters = parameters.segmentation.of_method
        self.method = prepared
        self._parameters = parameters
