# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The pipeline evaluation, from raw counts to labels, equals the evaluations of single stages."""

from __future__ import annotations

from functools import partial

from ivf_ros import cli
from ivf_ros.data.aligned import read_aligned
from ivf_ros.data.sample import Annotation, Origin, Sample
from ivf_ros.data.simulator import RigSimulator, SimulatorParameters
from ivf_ros.evaluation.stages import (
    DetectionEvaluation,
    KNOWN_HOMOGRAPHY,
    PipelineEvaluation,
    SegmentationEvaluation,
)
from ivf_ros.evaluation.stages.pipeline import run_pipeline
from ivf_ros.network_inputs import BOTH
from ivf_ros.parameters import build
from ivf_ros.types import Frame
import numpy as np
import pytest

pytest.importorskip('onnxruntime', reason='the default methods need ONNX Runtime')


def identity(value):
    return value


def make_street_sample(width=640, condition='night') -> Sample:
    """Return a simulated pair, thermal of 16 bit, with exact labels."""
    simulator = RigSimulator(build(SimulatorParameters, {
        'condition': condition, 'seed': 3, 'thermal.width': width,
        'thermal.height': width * 3 // 4}))
    thermal, rgb, truth = simulator.pair(60)
    assert thermal.image.dtype == np.uint16 and thermal.image.shape[1] == width
    return Sample('made', f'street{width}', thermal.image, rgb.image,
                  H_thermal_to_rgb=truth.H_thermal_to_rgb,
                  detections=Annotation(partial(identity, truth.detections), Origin.EXACT),
                  segmentation=Annotation(partial(identity, truth.segmentation), Origin.EXACT))


@pytest.mark.parametrize('width', [640, 160])
def test_the_stages_of_the_nodes_answer_what_the_evaluations_measure(width):
    sample = make_street_sample(width)
    pipeline, = PipelineEvaluation((KNOWN_HOMOGRAPHY,)).measure(sample).rows
    detected, = DetectionEvaluation(('joint',), (BOTH,)).measure(sample).rows
    labelled, = SegmentationEvaluation(('joint',), (BOTH,)).measure(sample).rows
    assert not pipeline.error and not detected.error and not labelled.error
    assert {**pipeline.evidence['boxes'], 'scene': 'street' + str(width),
            'width_px': 640} == detected.evidence
    assert len(detected.evidence['found']) > 3
    assert {**pipeline.evidence['labels'], 'scene': 'street' + str(width)} == labelled.evidence
    assert {**detected.values, **labelled.values}.items() <= pipeline.values.items()
    assert pipeline.values['fused'] == 1.0
    assert pipeline.values['corner_error_px'] == pytest.approx(0.0, abs=1e-9)


def test_the_networks_are_given_the_arrays_of_the_evaluation():
    sample = make_street_sample(160)
    thermal, rgb = Frame(sample.thermal, 1), Frame(sample.rgb, 1)
    output = run_pipeline(thermal, rgb, KNOWN_HOMOGRAPHY, sample.H_thermal_to_rgb)
    expected = read_aligned(sample)
    images = output.inputs.images()
    np.testing.assert_array_equal(images[0], expected.rgb)
    np.testing.assert_array_equal(images[1], expected.thermal)


def test_where_nothing_is_registered_rgb_alone_is_used():
    noise = np.random.default_rng(0).integers(0, 256, (480, 640), dtype=np.uint8)
    rgb = Frame(make_street_sample().rgb, 1)
    output = run_pipeline(Frame(noise, 1), rgb, 'dense', np.eye(3))
    assert output.registration is None and output.inputs.thermal is None
    assert output.inputs.images() == (rgb.image,)


def test_the_command_measures_the_pipeline(tmp_path, capsys):
    assert cli.main(['evaluate', 'simulator:condition=night,seed=3', '--stage', 'pipeline',
                     '--methods', 'known,dense', '--limit', '1', '--every', '60', '--jobs', '1',
                     '--out', str(tmp_path / 'out')]) == 0
    printed = capsys.readouterr().out
    assert 'pipeline: 1 cases' in printed and 'mAP50' in printed and 'total mIoU' in printed
    known = PipelineEvaluation((KNOWN_HOMOGRAPHY,))
    assert known.skip_reason(Sample('made', '1', np.zeros((4, 4)), np.zeros((4, 4, 3)))) \
        == 'no labels'
