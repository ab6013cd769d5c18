# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the measurement of segmentation and of detection have in common: models times inputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from ivf_ros import fusion
from ivf_ros.data.aligned import explain_unaligned, read_aligned
from ivf_ros.data.sample import Annotation, Sample
from ivf_ros.evaluation.results import EvaluationError, Row, SampleResult
from ivf_ros.evaluation.stages.inputs import METHOD_ERRORS
from ivf_ros.network_inputs import select_images, SENSORS
import numpy as np

MACHINE_LABELS = ('The labels are machine-made: the numbers say how far a method agrees with '
                  'another network, not how right it is.')


class ModelResult(NamedTuple):
    """What one model made of one image."""

    values: dict[str, float]
    evidence: dict[str, Any]  # for the metrics over all cases
    cpu_s: float
    picture: np.ndarray


@dataclass(frozen=True)
class PerInputEvaluation(ABC):
    """
    Each model on RGB, on thermal, and on what fusion makes of the two.

    Attributes
    ----------
    models:
        Names that ``create`` of the stage knows.
    inputs:
        'rgb', 'thermal' or fusion methods.
    machine_labels:
        Whether the labels were made by another network.
    networks:
        Folder with a weight file of each input, ``<stage>-<input>.safetensors``, and perhaps
        those of further trainings, ``<stage>-<input>.<training>.safetensors``; where empty the
        models run with the weights of the package.

    """

    models: tuple[str, ...]
    inputs: tuple[str, ...] = (*SENSORS, fusion.DEFAULT_METHOD)
    machine_labels: bool = False
    networks: str = ''

    name: ClassVar[str]

    @abstractmethod
    def labels_of(self, sample: Sample) -> Annotation[Any] | None:
        """Return the labels that this stage is measured against."""

    @abstractmethod
    def run_model(self, model: str, weights: str, seen: tuple[np.ndarray, ...], true: Any) -> ModelResult:
        """
        Run a model and compare what it says with the labels.

        ``weights`` is a file or '', ``seen`` an image ``(H, W, 3)`` BGR and perhaps thermal.
        """

    @property
    def methods(self) -> tuple[str, ...]:
        """Return 'model@input' for each of them, 'model@input.training' for further trainings."""
        return tuple(method for method, *_ in self._runs)

    @property
    def notes(self) -> tuple[str, ...]:
        """Say what the labels are worth."""
        return (MACHINE_LABELS,) if self.machine_labels else ()

    def unsuitable(self, sample: Sample) -> str:
        """Return why a sample cannot be measured, or ''."""
        labels = self.labels_of(sample)
        if labels is None:
            return 'no labels'
        return explain_unaligned(sample) if labels.complete else 'not every object is labelled'

    def measure(self, sample: Sample) -> SampleResult:
        """Run all models on all inputs."""
        labels = self.labels_of(sample)
        assert labels is not None, self.unsuitable(sample)
        pair, true = read_aligned(sample), labels.read()
        measured = SampleResult([], {('thermal', ''): pair.thermal, ('rgb', ''): pair.rgb})
        # Fusing may take longer than the rest.
        images_of = cache(lambda modality: select_images(pair, modality, fusion.create))
        for method, model, modality, weights in self._runs:
            row = Row(self.name, method, sample.dataset, sample.name, sample.light)
            try:
                result = self.run_model(model, weights, images_of(modality), true)
            except METHOD_ERRORS as error:
                measured.rows.append(row.failed(error))
                continue
            evidence = {**result.evidence, 'scene': sample.scene or sample.name}
            measured.rows.append(row.with_values(result.values, result.cpu_s, evidence))
            measured.pictures[method, ''] = result.picture
        return measured

    def weights_of(self, modality: str) -> dict[str, str]:
        """
        Return the weight files of the networks for an input.

        Returns
        -------
        dict[str, str]
            '' to the first training, '.1' and the like to further ones. With the weights of the
            package '' to ''.

        """
        if not self.networks:
            return {'': ''}
        stem, suffix = f'{self.name}-{modality}', '.safetensors'
        return {path.name.removeprefix(stem).removesuffix(suffix): str(path)
                for pattern in (stem + suffix, f'{stem}.*{suffix}')
                for path in sorted(Path(self.networks).glob(pattern))}

    @cached_property
    def _runs(self) -> tuple[tuple[str, str, str, str], ...]:
        """Method, model, input and weight file of all there is to run; looked for only once."""
        return tuple((f'{model}@{modality}{training}', model, modality, weights)
                     for model in self.models for modality in self.inputs
                     for training, weights in self.weights_of(modality).items())


def check_accepts(model: str, method: Any, seen: tuple[np.ndarray, ...]) -> None:
    """
    Refuse to give both cameras to a method that looks at one image.

    Raises
    ------
    EvaluationError
        It does.

    """
    if len(seen) > 1 and not method.takes_thermal:
        raise EvaluationError(f'{model} looks at one image, not at RGB and thermal')
