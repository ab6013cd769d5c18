# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation stage: images of one moment in, labels out."""

from __future__ import annotations

from ivf_ros.network_inputs import PerceptionInputs
from ivf_ros.segmentation.methods import create_from, Segmenter
from ivf_ros.segmentation.settings import SegmentationStageParameters
from ivf_ros.types import Segmentation


class SegmentationStage:
    """
    Labels the pixels of images; it keeps no state from one image to the next.

    Attributes
    ----------
    method:
        The segmenter in use.

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
        """
        Label the pixels of the images of one moment.

        Raises
        ------
        SegmentationError
            A shape or dtype is wrong.

        """
        return self.method.segment(*inputs.images())

    def prepare(self, requested: SegmentationStageParameters) -> Segmenter:
        """
        Return a segmenter for these parameters, without using it yet.

        It is the present one where method, weights and precision stay the same.

        Raises
        ------
        SegmentationError, WeightsError
            See ``segmentation.create``.

        """
        before, after = self._parameters.segmentation, requested.segmentation
        if (after.method, after.network) == (before.method, before.network):
            return self.method
        return create_from(after)

    def apply(self, parameters: SegmentationStageParameters, prepared: Segmenter) -> None:
        """Use these parameters from the next image on."""
        prepared.parameters = parameters.segmentation.of_method
        self.method = prepared
        self._parameters = parameters
