# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Common part of the evaluations of segmentation and detection: each model on each input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ivf_ros import fusion, perception
from ivf_ros.data.aligned import explain_unaligned, read_aligned
from ivf_ros.data.sample import Annotation, Origin, Sample
from ivf_ros.evaluation.results import EvaluationError, Row, SampleResult
from ivf_ros.evaluation.stages.inputs import METHOD_ERRORS
from ivf_ros.network_inputs import select_images, SENSORS
import numpy as np

_NOTES = {
    Origin.MACHINE: 'The labels are machine-made: the numbers show how far a method agrees with '
                    'another network, not how accurate it is.',
    Origin.DEVELOPERS: 'The boxes were drawn by the developers of this package, by looking at '
                       'enlarged images. They are less independent than those of a data set.',
}


def describe_origin(origin: Origin) -> tuple[str, ...]:
    """Return a note on labels that are not the human labels of a data set."""
    return (_NOTES[origin],) if origin in _NOTES else ()


class ModelResult(NamedTuple):
    """Result of one model on one image."""

    values: dict[str, float]
    evidence: dict[str, Any]  # for the metrics over all cases
    cpu_s: float
    picture: np.ndarray


@dataclass(frozen=True)
class PerInputEvaluation(ABC):
    """
    Each model on RGB, on thermal, and on fused images.

    Attributes
    ----------
    models:
        Names of methods for ``create`` of the stage.
    inputs:
        'rgb', 'thermal', 'rgb+thermal' or fusion methods.
    origin:
        Who made the labels.
    networks:
        Folder with a weight file for each input, ``<stage>-<input>.safetensors``, and optionally
        those of further trainings, ``<stage>-<input>.<training>.safetensors``. If empty, the
        models use the weights of the package.

    """

    models: tuple[str, ...]
    inputs: tuple[str, ...] = (*SENSORS, fusion.DEFAULT_METHOD)
    origin: Origin = Origin.HUMAN
    networks: str = ''

    name: ClassVar[str]

    @abstractmethod
    def get_labels(self, sample: Sample) -> Annotation[Any] | None:
        """Return the labels of a sample for this stage."""

    @abstractmethod
    def run_model(self, model: str, weights: str, images: tuple[np.ndarray, ...], true: Any
                  ) -> ModelResult:
        """
        Run a model and compare its result with the labels.

        Parameters
        ----------
        model, weights:
            Name of the method; weight file or ''.
        images:
            ``(H, W, 3)`` BGR uint8, and thermal ``(H, W)`` uint8 for 'rgb+thermal'.
        true:
            The labels.

        """

    @property
    def methods(self) -> tuple[str, ...]:
        """Return 'model@input' for each run, 'model@input.training' for further trainings."""
        return tuple(method for method, *_ in self._runs)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return a note on the labels if they are not those of a data set."""
        return describe_origin(self.origin)

    def skip_reason(self, sample: Sample) -> str:
        """Return the reason why a sample cannot be measured, or ''."""
        labels = self.get_labels(sample)
        if labels is None:
            return 'no labels'
        return explain_unaligned(sample) if labels.complete else 'not every object is labelled'

    def measure(self, sample: Sample) -> SampleResult:
        """Run all models on all inputs of a sample."""
        labels = self.get_labels(sample)
        assert labels is not None, self.skip_reason(sample)
        pair, true = read_aligned(sample), labels.read()
        sample_result = SampleResult([], {('thermal', ''): pair.thermal, ('rgb', ''): pair.rgb})
        # Fusion may take longer than the models, so each input is computed once.
        cached_images = cache(lambda modality: select_images(pair, modality, fusion.create))
        for method, model, modality, weights in self._runs:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                result = self.run_model(model, weights, cached_images(modality), true)
            except METHOD_ERRORS as error:
                sample_result.rows.append(row.failed(error))
                continue
            evidence = {**result.evidence, 'scene': sample.scene or sample.name}
            sample_result.rows.append(row.with_values(result.values, result.cpu_s, evidence))
            sample_result.pictures[method, ''] = result.picture
        return sample_result

    def find_weights(self, modality: str) -> dict[str, str]:
        """
        Return the weight files of the networks for an input.

        Returns
        -------
        dict[str, str]
            Suffix of the training to weight file: '' for the first training, '.1' and so on for
            further ones. Without ``networks``, '' to '': the weights of the package.

        """
        if not self.networks:
            return {'': ''}
        stem, suffix = f'{self.name}-{modality}', '.safetensors'
        return {path.name.removeprefix(stem).removesuffix(suffix): str(path)
                for pattern in (stem + suffix, f'{stem}.*{suffix}')
                for path in sorted(Path(self.networks).glob(pattern))}

    @cached_property
    def _runs(self) -> tuple[tuple[str, str, str, str], ...]:
        """Return method, model, input and weight file of each run; searched only once."""
        return tuple((f'{model}@{modality}{training}', model, modality, weights)
                     for model in self.models for modality in self.inputs
                     for training, weights in self.find_weights(modality).items())


def select_create(model: str, create: Callable[..., Any]) -> Callable[..., Any]:
    """Return the ``create`` of a model: that of perception for its network, else ``create``."""
    is_joint = model.partition(':')[0] == perception.METHOD
    return perception.create if is_joint else create


def check_accepts(model: str, method: Any, images: tuple[np.ndarray, ...]) -> None:
    """
    Check that a method accepts the number of images.

    Raises
    ------
    EvaluationError
        The method takes one image and got RGB and thermal.

    """
    if len(images) > 1 and not method.takes_thermal:
        raise EvaluationError(f'{model} takes one image, got RGB and thermal')
