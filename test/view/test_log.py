# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The log of a view: written to a file and read back by Rerun's own reader."""

from __future__ import annotations

import math

import cv2
from ivf_ros import geometry
from ivf_ros.fusion import FusionMode, FusionResult
from ivf_ros.output import check_file, OutputError
from ivf_ros.types import Detection, Frame, Registration, RegistrationState, Segmentation
import numpy as np
import pytest

pytest.importorskip('rerun', reason='the view needs rerun-sdk')

from ivf_ros.view.viewer import open_viewer, ViewError, ViewerSettings  # noqa: E402, I100
from rrd_files import read_rows, read_static, timeline_type, view_names  # noqa: E402

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
COLOUR = np.full((48, 64, 3), (40, 90, 200), np.uint8)


def write_log(path, *actions, **settings) -> None:
    with open_viewer(ViewerSettings(file=path, **settings), 'test') as viewer:
        for action in actions:
            action(viewer.log)


def registration(**values) -> Registration:
    return Registration(**{'H_thermal_to_rgb': geometry.translation(3, 4), 'confidence': 0.75,
                           'inliers': 9, 'state': RegistrationState.TRACKING,
                           'rgb_size': (64, 48), 'corner_deviation_px': 1.5, **values})


def decode(row) -> np.ndarray:
    file = np.array(row['EncodedImage:blob'][0], np.uint8)
    assert row['EncodedImage:media_type'] == ['image/jpeg'] and file[:2].tobytes() == b'\xff\xd8'
    return cv2.imdecode(file, cv2.IMREAD_UNCHANGED)


def test_everything_is_at_its_entity_and_at_the_stamp_of_its_frame(tmp_path):
    path = tmp_path / 'log.rrd'

    def log_all(log):
        for index in range(4):
            stamp_ns = START_NS + index * PERIOD_NS
            log.log_thermal(Frame(np.arange(48, dtype=np.uint16).reshape(6, 8) * 100, stamp_ns))
            log.log_rgb(Frame(COLOUR, stamp_ns))
            log.log_registration(registration(), (8, 6), stamp_ns)
            log.log_fusion(FusionResult(COLOUR, FusionMode.FUSED, stamp_ns=stamp_ns,
                                        thermal=COLOUR[..., 0]))
            log.log_detections([Detection((1, 2, 11, 22), 'person', 0.9, '7')], stamp_ns)
            log.log_labels(Segmentation(COLOUR[..., 0] // 40, ()), stamp_ns)
            log.log_latency('fusion', 0.025, stamp_ns)
    write_log(path, log_all)
    rows = read_rows(path)
    assert {entity: len(found) for entity, found in rows.items()} == {
        '/thermal/image': 4, '/rgb/image': 4, '/thermal_registered/image': 4, '/fused/image': 4,
        '/detections': 4, '/segmentation/labels': 4, '/registration/outline': 4,
        '/registration/confidence': 4, '/registration/corner_deviation_px': 4,
        '/latency_ms/fusion': 4, '/state/registration': 1, '/state/fusion': 1}
    for entity, found in rows.items():
        assert [row['stamp_ns'] for row in found] == \
            [START_NS + index * PERIOD_NS for index in range(len(found))], entity
    assert timeline_type(path) == 'timestamp[ns]'


def test_values_are_those_that_were_logged(tmp_path):
    path = tmp_path / 'log.rrd'
    labels = np.zeros((48, 64), np.uint8)
    labels[10:20, 10:20] = 2
    write_log(
        path, lambda log: log.log_rgb(Frame(COLOUR, START_NS)),
        lambda log: log.log_registration(registration(), (8, 6), START_NS),
        lambda log: log.log_detections(
            [Detection((1, 2, 11, 22), 'person', 0.9, '7', maximum_celsius=36.6),
             Detection((5, 5, 9, 9), 'vehicle', 0.5)], START_NS),
        lambda log: log.log_detections([], START_NS + PERIOD_NS),
        lambda log: log.log_class_names(('unlabelled', 'car', 'person')),
        lambda log: log.log_labels(Segmentation(labels, ()), START_NS),
        lambda log: log.log_latency('fusion', 0.025, START_NS))
    rows, static = read_rows(path), read_static(path)
    assert np.abs(decode(rows['/rgb/image'][0]).astype(int) - COLOUR).max() < 12
    boxes, none = rows['/detections']
    assert boxes['Boxes2D:labels'] == ['person #7 37 C', 'vehicle']
    assert boxes['Boxes2D:centers'] == [[6, 12], [7, 7]]
    assert boxes['Boxes2D:half_sizes'] == [[5, 10], [2, 2]]
    assert none['Boxes2D:labels'] == [] and none['Boxes2D:centers'] == []
    outline, = rows['/registration/outline'][0]['LineStrips2D:strips']
    assert outline == [[3.5, 4.5], [10.5, 4.5], [10.5, 9.5], [3.5, 9.5], [3.5, 4.5]]
    assert rows['/registration/confidence'][0]['Scalars:scalars'] == [0.75]
    assert rows['/registration/corner_deviation_px'][0]['Scalars:scalars'] == [1.5]
    assert rows['/latency_ms/fusion'][0]['Scalars:scalars'] == [25.0]
    assert rows['/segmentation/labels'][0]['SegmentationImage:buffer'] == [labels.ravel().tolist()]
    names = static['/segmentation/labels']['AnnotationContext:context'][0]
    assert [entry['class_description']['info']['label'] for entry in names] == [
        'unlabelled', 'car', 'person']
    alphas = [entry['class_description']['info']['color'] & 255 for entry in names]
    assert alphas == [0, 255, 255], 'the background is transparent'


def test_states_are_logged_when_they_change(tmp_path):
    path = tmp_path / 'log.rrd'
    states = ('LOST', 'LOST', 'TRACKING', 'TRACKING', 'HOLDING')
    write_log(path, *(lambda log, index=index, state=state: log.log_registration(
        registration(state=RegistrationState(state)), (8, 6), START_NS + index * PERIOD_NS)
        for index, state in enumerate(states)))
    changes = read_rows(path)['/state/registration']
    assert [row['StateChange:state'] for row in changes] == [['LOST'], ['TRACKING'], ['HOLDING']]


def test_an_unknown_deviation_is_a_gap_and_a_missing_image_is_cleared(tmp_path):
    path = tmp_path / 'log.rrd'
    write_log(path, lambda log: log.log_registration(
        registration(corner_deviation_px=math.inf), (8, 6), START_NS),
        lambda log: log.log_fusion(FusionResult(COLOUR, FusionMode.RGB_ONLY, stamp_ns=START_NS)))
    rows = read_rows(path)
    assert math.isnan(rows['/registration/corner_deviation_px'][0]['Scalars:scalars'][0])
    assert rows['/thermal_registered/image'][0]['Clear:is_recursive'] == [False]
    assert decode(rows['/fused/image'][0]).shape == (48, 64, 3)


def test_stamps_that_are_no_dates_are_seconds(tmp_path):
    path = tmp_path / 'log.rrd'
    write_log(path, lambda log: log.log_rgb(Frame(COLOUR, 1_500_000_000)))
    assert timeline_type(path) == 'duration[ns]'
    assert read_rows(path)['/rgb/image'][0]['stamp_ns'] == 1_500_000_000


def test_a_lower_quality_makes_a_smaller_file(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    sizes = []
    for quality in (20, 90):
        path = tmp_path / f'{quality}.rrd'
        write_log(path, lambda log: log.log_rgb(Frame(noise, START_NS)), jpeg_quality=quality)
        sizes.append(len(read_rows(path)['/rgb/image'][0]['EncodedImage:blob'][0]))
    assert sizes[0] < sizes[1] / 2


def test_the_layout_is_in_the_file(tmp_path):
    write_log(tmp_path / 'log.rrd')
    assert {'Thermal', 'Labels', 'Fused, with detections', 'Latency in ms', 'States'} \
        <= view_names(tmp_path / 'log.rrd')


def test_a_file_of_a_view_is_overwritten_and_others_are_not(tmp_path):
    path = tmp_path / 'log.rrd'
    for _ in range(2):
        write_log(path, lambda log: log.log_rgb(Frame(COLOUR, START_NS)))
    check_file(path)
    path.write_bytes(b'RRF2' + bytes(100))
    with pytest.raises(OutputError, match='was not made by ivf'):
        write_log(path)
    assert path.read_bytes() == b'RRF2' + bytes(100)
    write_log(path, overwrite=True)
    check_file(path)


@pytest.mark.parametrize('name, message', [
    ('log.mp4', 'must end in .rrd'), ('missing/log.rrd', 'cannot write')])
def test_a_file_that_cannot_be_written_is_an_error(name, message, tmp_path):
    with pytest.raises((ViewError, OutputError), match=message):
        write_log(tmp_path / name)
