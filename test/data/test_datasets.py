# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recognition of published data sets by their layout, and reading of their annotations."""

from __future__ import annotations

from collections import Counter
import csv
import json
import logging
from pathlib import Path
import pickle
import shutil
import time

import cv2
from ivf_ros import geometry
from ivf_ros.data.datasets import boxes, find_datasets, labels, landmarks
from ivf_ros.data.datasets.facts import block_scene
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import Dataset, IGNORED, Origin, Sample
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.types import MFNET_CLASSES
import numpy as np
import pytest

SIZE = (40, 20)  # of the visible images, width first
VOC_OBJECT = ('<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>{}</xmin>'
              '<ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>')


def save(path: Path, value: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """Write a constant gray image, and create its parent folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full(size[::-1], value, np.uint8))
    return path


def save_pairs(thermal: Path, rgb: Path, *stems: str, suffix: str = '.png') -> None:
    for stem in stems:
        save(thermal / f'{stem}{suffix}', 10)
        save(rgb / f'{stem}{suffix}', 20)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def voc(path: Path, *objects: tuple) -> Path:
    """Write a Pascal VOC file of (name, difficult, xmin, ymin, xmax, ymax)."""
    elements = ''.join(VOC_OBJECT.format(*fields) for fields in objects)
    return write(path, f'<annotation><filename>x</filename>{elements}</annotation>')


def names(dataset: Dataset) -> list[str]:
    return [sample.name for sample in dataset.samples]


def read_boxes(sample: Sample) -> list[tuple]:
    """Return class and box of each annotated object."""
    assert sample.detections is not None
    return [(box.class_name, box.box_xyxy_px) for box in sample.detections.read()]


def files(dataset: Dataset) -> dict[str, tuple[str, str]]:
    return {sample.name: (sample.thermal.name, sample.rgb.name) for sample in dataset.samples}


def find_one(path: Path, **options) -> Dataset:
    [dataset] = find_datasets(path, **options)
    return dataset


# --- published layouts -------------------------------------------------------------------------


def test_msrs_splits_have_labels_light_and_blocks_of_neighbours(tmp_path):
    for split, stems in (('train', ('00001D', '00019D', '00020D')), ('test', ('00004N',))):
        save_pairs(tmp_path / split / 'ir', tmp_path / split / 'vi', *stems)
        save(tmp_path / split / 'Segmentation_labels' / f'{stems[0]}.png', 2)
    test, train = find_datasets(tmp_path)
    assert (test.name, train.name, train.layout) == ('msrs/test', 'msrs/train', 'MSRS')
    assert names(train) == ['00001D', '00019D', '00020D']
    assert [one.scene for one in train.samples] == ['00000-00019D', '00000-00019D',
                                                    '00020-00039D']
    assert train.samples[0].light == 'day'
    assert test.samples[0].light == 'night'
    assert all(sample.aligned for sample in train.samples)
    annotation = train.samples[0].segmentation
    assert annotation.origin is Origin.HUMAN
    segmentation = annotation.read()
    assert segmentation.class_names[segmentation.labels[0, 0]] == 'person'
    assert train.samples[1].segmentation is None  # not labelled


def test_msrs_splits_without_labels_are_recognised_by_their_names(tmp_path):
    save_pairs(tmp_path / 'ir', tmp_path / 'vi', '00004N', '00008N')
    assert find_one(tmp_path).layout == 'MSRS'
    save_pairs(tmp_path / 'ir', tmp_path / 'vi', 'else')
    assert find_one(tmp_path).layout == 'pairs'


def test_msrs_detection_labels_are_relative_to_the_image_size(tmp_path):
    folder = tmp_path / 'detection'
    save_pairs(folder / 'ir', folder / 'vi', '1', '2', '10')
    write(folder / 'labels' / '1.txt', '2 0.5 0.5 0.25 0.5\n0 0.25 0.25 0.5 0.5\n')
    write(folder / 'labels' / '10.txt', '')
    dataset = find_one(tmp_path)
    assert dataset.name == 'msrs/detection'
    assert names(dataset) == ['1', '2', '10']
    assert read_boxes(dataset.samples[0]) == [('car', (15, 5, 25, 15)), ('person', (0, 0, 20, 10))]
    assert dataset.samples[1].detections is None  # not annotated
    assert read_boxes(dataset.samples[2]) == []  # annotated: no objects


@pytest.mark.parametrize('visible', ['crop_LR_visible', 'crop_HR_visible'])
def test_roadscene_pairs_the_crops(tmp_path, visible):
    save_pairs(tmp_path / 'cropinfrared', tmp_path / visible, 'FLIR_00006', suffix='.jpg')
    save(tmp_path / 'infrared' / 'FLIR_00006.jpg')
    dataset = find_one(tmp_path)
    assert (dataset.name, names(dataset)) == ('roadscene', ['FLIR_00006'])
    assert dataset.samples[0].rgb == tmp_path / visible / 'FLIR_00006.jpg'
    assert dataset.samples[0].aligned


def test_roadscene_prefers_the_size_of_the_thermal_image(tmp_path):
    for visible in ('crop_LR_visible', 'crop_HR_visible'):
        save_pairs(tmp_path / 'cropinfrared', tmp_path / visible, 'FLIR_1', suffix='.jpg')
    assert find_one(tmp_path).samples[0].rgb.parent.name == 'crop_LR_visible'


def test_m3fd_boxes_count_pixels_from_one_and_people_are_persons(tmp_path):
    folder = tmp_path / 'M3FD_Detection'
    save_pairs(folder / 'Ir', folder / 'Vis', '00000', '00001')
    voc(folder / 'Annotation' / '00000.xml', ('People', 0, 1, 1, 2, 20), ('Car', 1, 3, 4, 30, 10))
    save_pairs(tmp_path / 'M3FD_Fusion' / 'Ir', tmp_path / 'M3FD_Fusion' / 'Vis', '00000')
    detection, fusion = find_datasets(tmp_path)
    assert (detection.name, fusion.name) == ('m3fd/detection', 'm3fd/fusion')
    assert read_boxes(detection.samples[0]) == [('person', (0, 0, 2, 20)),
                                                (IGNORED, (2, 3, 30, 10))]
    assert detection.samples[1].detections is None


def test_llvip_splits_share_the_annotations(tmp_path):
    for split, stem in (('train', '010001'), ('test', '190001')):
        save_pairs(tmp_path / 'infrared' / split, tmp_path / 'visible' / split, stem)
        voc(tmp_path / 'Annotations' / f'{stem}.xml', ('person', 0, 5, 6, 7, 8))
    train, test = find_datasets(tmp_path)
    assert (train.name, test.name) == ('llvip/train', 'llvip/test')
    assert (names(test), test.samples[0].scene) == (['190001'], '19')
    assert read_boxes(train.samples[0]) == [('person', (4, 5, 7, 8))]
    assert train.samples[0].detections.origin is Origin.HUMAN


def save_flir(folder: Path, *numbers: int) -> None:
    for number in numbers:
        save(folder / 'JPEGImages' / f'FLIR_{number:05d}_PreviewData.jpeg')
        save(folder / 'JPEGImages' / f'FLIR_{number:05d}_RGB.jpg')
        voc(folder / 'Annotations' / f'FLIR_{number:05d}_PreviewData.xml',
            ('bicycle', 0, 1, 1, number, number))


def test_flir_aligned_lists_name_the_splits(tmp_path, caplog):
    folder = tmp_path / 'align'
    save_flir(folder, 2, 13, 8863, 9000)
    write(folder / 'align_train.txt', 'FLIR_00002_PreviewData\nFLIR_00013\nFLIR_00014\n')
    write(folder / 'align_validation.txt', 'FLIR_08863_PreviewData\n')
    train, validation = find_datasets(tmp_path)
    assert (train.name, validation.name) == ('flir_aligned/train', 'flir_aligned/validation')
    assert names(train) == ['FLIR_00002', 'FLIR_00013']
    assert names(validation) == ['FLIR_08863']
    assert read_boxes(train.samples[1]) == [('bicycle', (0, 0, 13, 13))]
    assert 'skipped, because they have no partner: 1 thermal (such as FLIR_00014)' in caplog.text
    assert 'neither list names them: 1 (such as FLIR_09000)' in caplog.text


def test_flir_aligned_without_lists_is_one_data_set(tmp_path):
    save_flir(tmp_path, 2, 13)
    assert (find_one(tmp_path).name, len(find_one(tmp_path).samples)) == ('flir_aligned', 2)


def test_kaist_sets_define_split_and_light_and_uncertain_boxes_are_ignored(tmp_path):
    for sequence in ('set00/V000', 'set03/V001', 'set06/V000'):
        folder = tmp_path / 'images' / sequence
        save_pairs(folder / 'lwir', folder / 'visible', 'I00001', 'I00000', suffix='.jpg')
        write(tmp_path / 'annotations' / sequence / 'I00000.txt', '% bbGt version=3\n')
    write(tmp_path / 'annotations/set03/V001/I00001.txt', '% bbGt version=3\n'
          'person 1 2 3 4 0 0 0 0 0 0 0\n'
          'person? 1 2 3 4 0 0 0 0 0 0 0\n'
          'people 1 2 3 4 0 0 0 0 0 0 0\n'
          'cyclist 10 2 3 4 2 10 2 1 1 0 0\n'
          'person 1 2 3 4 0 0 0 0 0 1 0\n')
    train, test = find_datasets(tmp_path)
    assert (train.name, test.name) == ('kaist/train', 'kaist/test')
    assert names(train) == ['set00/V000/I00000', 'set00/V000/I00001',
                            'set03/V001/I00000', 'set03/V001/I00001']
    assert [one.light for one in train.samples] == ['day', 'day', 'night', 'night']
    assert {one.scene for one in test.samples} == {'set06/V000'}
    assert read_boxes(train.samples[0]) == []
    assert train.samples[1].detections is None
    assert read_boxes(train.samples[3]) == [
        ('person', (1, 2, 4, 6)), (IGNORED, (1, 2, 4, 6)), (IGNORED, (1, 2, 4, 6)),
        ('cyclist', (10, 2, 13, 6)), (IGNORED, (1, 2, 4, 6))]
    nested = find_datasets(tmp_path / 'images')
    assert [names(dataset) for dataset in nested] == [names(train), names(test)]
    assert read_boxes(nested[0].samples[3]) == read_boxes(train.samples[3])


def test_vtuav_has_the_tracked_object_on_every_tenth_frame(tmp_path):
    sequence = tmp_path / 'train_ST_006' / 'pedestrian_042'
    save_pairs(sequence / 'ir', sequence / 'rgb', *(f'{n:06d}' for n in range(35)), suffix='.jpg')
    write(sequence / 'rgb.txt', '1 2 3 4\n5 6 7 8\n0 0 0 0\n')
    write(sequence / 'ir.txt', '1 2 3 4\n5 6 7 8\n0 0 0 0\n')
    dataset = find_one(tmp_path)
    assert (dataset.name, dataset.layout) == ('vtuav/train_ST_006', 'VTUAV')
    assert {one.scene for one in dataset.samples} == {'pedestrian_042'}
    annotated = {one.name: read_boxes(one) for one in dataset.samples if one.detections}
    assert annotated == {'pedestrian_042/000000': [('person', (1, 2, 4, 6))],
                         'pedestrian_042/000010': [('person', (5, 6, 12, 14))],
                         'pedestrian_042/000020': []}  # out of view; frame 30 has no annotation
    assert not dataset.samples[0].detections.complete
    assert names(find_one(sequence)) == names(dataset)
    assert find_one(sequence).name == dataset.name


COCO = {'categories': [{'id': 0, 'name': 'person'}, {'id': 2, 'name': 'crowd'}],
        'images': [{'id': 7, 'file_name': '00001.jpg'}, {'id': 8, 'file_name': '00002.jpg'}],
        'annotations': [{'image_id': 7, 'category_id': 0, 'bbox': [1, 2, 3.5, 4]},
                        {'image_id': 7, 'category_id': 2, 'bbox': [5, 5, 5, 5]},
                        {'image_id': 7, 'category_id': 0, 'bbox': [5, 5, 0, 5]}]}


def test_vtuav_det_takes_boxes_from_the_coco_file_of_the_split(tmp_path):
    for split in ('train', 'test'):
        save_pairs(tmp_path / split / 'ir', tmp_path / split / 'rgb', '00001', '00002', '00003',
                   suffix='.jpg')
    write(tmp_path / 'train_ir.json', json.dumps(COCO))
    write(tmp_path / 'val_ir.json', json.dumps({**COCO, 'annotations': []}))
    test, train = find_datasets(tmp_path)
    assert (train.name, test.name) == ('vtuav_det/train', 'vtuav_det/test')
    assert read_boxes(train.samples[0]) == [('person', (1, 2, 4.5, 6)), (IGNORED, (5, 5, 10, 10)),
                                            (IGNORED, (5, 5, 5, 10))]
    assert read_boxes(train.samples[1]) == read_boxes(test.samples[0]) == []
    assert train.samples[2].detections is None  # not in the file
    assert read_boxes(find_one(tmp_path / 'train').samples[0]) == read_boxes(train.samples[0])


def test_tno_finds_the_one_thermal_and_visible_image_of_each_scene(tmp_path, caplog):
    for file in ('Athena_images/heather/IR_hei_vis_g.bmp', 'Athena_images/heather/hei_vis-rg.bmp',
                 'Athena_images/heather/VIS_hei_vis_r.bmp', 'Balls/NIR.bmp', 'Balls/VIS.bmp',
                 'Athena_images/APC_1/view_1/IR_fk.bmp', 'Athena_images/APC_1/view_1/VIS_fk.bmp',
                 'Farm/Farm_II.bmp', 'Farm/Farm_IR.bmp', 'Farm/Farm_Vis.bmp', 'Farm/photo.bmp',
                 'Kaptein_01/IR01.bmp', 'Kaptein_01/NIR01.bmp', 'Kaptein_01/Vis01.bmp',
                 'barbed_wire_1/B_LWIR.tif', 'barbed_wire_1/G_NIR.tif', 'barbed_wire_1/R_Vis.tif',
                 'Nato_camp_sequence/thermal/1800i.bmp', 'Nato_camp_sequence/visual/1800v.bmp'):
        save(tmp_path / 'copy' / file)
    dataset = find_one(tmp_path)
    assert (dataset.name, dataset.layout) == ('tno', 'TNO')
    assert files(dataset) == {
        'Athena_images/APC_1/view_1': ('IR_fk.bmp', 'VIS_fk.bmp'),
        'Athena_images/heather': ('IR_hei_vis_g.bmp', 'VIS_hei_vis_r.bmp'),
        'barbed_wire_1': ('B_LWIR.tif', 'R_Vis.tif'),
        'Farm': ('Farm_IR.bmp', 'Farm_Vis.bmp'),
        'Kaptein_01': ('IR01.bmp', 'Vis01.bmp'),
        'Nato_camp_sequence/1800': ('1800i.bmp', '1800v.bmp')}
    assert 'tno: skipped, because they have no partner: 1 visible (such as Balls)' in caplog.text
    aligned = {one.name: one.aligned for one in dataset.samples}
    assert aligned.pop('Nato_camp_sequence/1800') is False  # measured residual: 5 px
    assert all(aligned.values())


@pytest.mark.parametrize('thermal, visible', [('ir/1', 'vi/1'), ('IR/IR1', 'VIS/VIS1')])
def test_tno_as_two_folders_is_a_folder_of_pairs(tmp_path, thermal, visible):
    save(tmp_path / 'TNO' / f'{thermal}.png')
    save(tmp_path / 'TNO' / f'{visible}.png')
    dataset = find_one(tmp_path)
    assert (dataset.name, dataset.layout, names(dataset)) == ('TNO', 'pairs', ['1'])
    assert dataset.samples[0].alignment_px == 2.8


# --- folders of pairs and videos ---------------------------------------------------------------


def test_unknown_folders_of_pairs_are_found_without_assumptions(tmp_path):
    save_pairs(tmp_path / 'mine' / 'thermal', tmp_path / 'mine' / 'visible', '10', '9')
    save(tmp_path / 'mine' / 'labels' / '9.png')  # with unknown classes
    dataset = find_one(tmp_path)
    assert (dataset.name, dataset.layout, names(dataset)) == ('mine', 'pairs', ['9', '10'])
    sample = dataset.samples[0]
    assert (sample.scene, sample.light, sample.aligned) == ('9', '', False)
    assert sample.segmentation is None
    assert sample.true_H_thermal_to_rgb((8, 6), (16, 12)) is None


def test_the_homography_of_an_aligned_pair_is_the_plain_resize(tmp_path):
    save_pairs(tmp_path / 'vifb' / 'IR', tmp_path / 'vifb' / 'VI', 'man')
    sample = find_one(tmp_path).samples[0]
    assert sample.H_thermal_to_rgb is None
    np.testing.assert_array_equal(sample.true_H_thermal_to_rgb((8, 6), (16, 12)),
                                  geometry.stretch((8, 6), (16, 12)))


def test_several_data_sets_are_found_in_natural_order_with_unique_names(tmp_path):
    for folder in ('b10', 'b9', 'deep/er/a/train', 'deep/er/a/test', 'other/b9'):
        save_pairs(tmp_path / folder / 'ir', tmp_path / folder / 'rgb', '0')
    found_names = [one.name for one in find_datasets(tmp_path)]
    assert found_names == ['b9: b9', 'b10', 'a/test', 'a/train', 'other/b9: b9']
    assert all(sample.dataset == dataset.name
               for dataset in find_datasets(tmp_path) for sample in dataset.samples)


def test_images_without_a_partner_are_logged_once(tmp_path, caplog):
    save_pairs(tmp_path / 'ir', tmp_path / 'vis', '1')
    for name in ('2', '10', '3'):
        save(tmp_path / 'ir' / f'{name}.png')
    save(tmp_path / 'vis' / '8.png')
    assert names(find_one(tmp_path)) == ['1']
    assert len(caplog.records) == 1
    assert '3 thermal (such as 2) and 1 visible (such as 8)' in caplog.text


def test_a_folder_without_data_sets_is_an_error_that_lists_the_layouts(tmp_path):
    write(tmp_path / 'notes.txt', '')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SourceError) as error:
        find_datasets(tmp_path)
    message = str(error.value)
    assert '\n' not in message
    for expected in ('MSRS (ir vi Segmentation_labels)', 'KAIST', 'pairs', 'notes.txt', 'empty/'):
        assert expected in message


@pytest.mark.parametrize('images, message', [
    (('thermal/1.png', 'thermal/2.png'), '2 thermal images in thermal/ but no visible ones'),
    (('ir/1.png', 'vis/2.png'), 'no thermal and visible image belong together'),
    (('ir/1.png', 'thermal/1.png', 'vis/2.png'), 'are names for thermal'),
])
def test_layouts_without_pairs_are_explained(tmp_path, caplog, images, message):
    for file in images:
        save(tmp_path / 'a' / file)
    with pytest.raises(SourceError, match=message):
        find_datasets(tmp_path)
    save_pairs(tmp_path / 'a' / 'b' / 'ir', tmp_path / 'a' / 'b' / 'vis', '1')
    assert find_one(tmp_path).name == 'b'
    assert message in caplog.text


def test_two_files_that_claim_the_same_pair_are_an_error(tmp_path):
    save_pairs(tmp_path / 'ir', tmp_path / 'vis', '1')
    save(tmp_path / 'ir' / '1.jpg')
    with pytest.raises(SourceError, match='claim the same pair'):
        find_datasets(tmp_path)


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(SourceError, match='no such folder'):
        find_datasets(tmp_path / 'nowhere')


def test_human_and_machine_labels_never_mix(tmp_path):
    folder = tmp_path / 'msrs' / 'part'
    save_pairs(folder / 'thermal', folder / 'visible', '00001D', '00002D', '00003D')
    write(folder / 'boxes' / '00001D.txt', '0 0.5 0.5 1 1\n')
    write(folder / 'boxes_silver' / '00001D.txt', '2 0.5 0.5 0.5 0.5 0.75\n')
    write(folder / 'boxes_silver' / '00002D.txt', '')
    save(folder / 'labels_silver' / '00003D.png', 2)
    save(folder / 'labels_silver_conf' / '00003D.jpg', 250)
    human, machine = (find_one(tmp_path, machine_labels=value).samples for value in (False, True))
    assert [one.detections is not None for one in human] == [True, False, False]
    assert [one.segmentation is not None for one in human] == [False, False, False]
    assert [one.detections is not None for one in machine] == [True, True, False]
    assert read_boxes(human[0]) == [('person', (0, 0, 40, 20))]
    [car] = machine[0].detections.read()
    assert (car.class_name, car.score) == ('car', 0.75)
    assert human[0].detections.origin is Origin.HUMAN
    assert machine[0].detections.origin is machine[2].segmentation.origin is Origin.MACHINE


def test_labels_of_low_confidence_become_unlabelled(tmp_path):
    cv2.imwrite(str(tmp_path / 'labels.png'), np.array([[0, 1, 2], [3, 1, 0]], np.uint8))
    cv2.imwrite(str(tmp_path / 'confidence.png'),
                np.array([[204, 203, 255], [0, 204, 203]], np.uint8))
    result = labels.read_confident_labels(tmp_path / 'labels.png', tmp_path / 'confidence.png',
                                          MFNET_CLASSES)
    np.testing.assert_array_equal(result.labels, [[0, 255, 2], [255, 1, 255]])


def test_labels_of_unreliable_classes_become_unlabelled(tmp_path):
    cv2.imwrite(str(tmp_path / 'labels.png'), np.arange(9, dtype=np.uint8)[None])
    cv2.imwrite(str(tmp_path / 'confidence.png'), np.full((1, 9), 255, np.uint8))
    result = labels.read_confident_labels(tmp_path / 'labels.png', tmp_path / 'confidence.png',
                                          MFNET_CLASSES)
    np.testing.assert_array_equal(result.labels, [[0, 1, 2, 3, 255, 255, 255, 255, 255]])


def save_video(path: Path, values: list[int]) -> Path:
    """Write a video of constant frames; skip the test if there is no encoder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25.0, (64, 48))
    if not writer.isOpened():
        pytest.skip('this OpenCV has no encoder for .avi')
    for value in values:
        writer.write(np.full((48, 64, 3), value, np.uint8))
    writer.release()
    return path


def test_frames_of_two_videos_are_samples_that_are_decoded_on_request(tmp_path, caplog):
    for sequence, count in (('s2', 4), ('s10', 3)):
        save_video(tmp_path / 'set' / sequence / 'thermal.avi', [9 * n for n in range(4)])
        save_video(tmp_path / 'set' / sequence / 'visible.avi',
                   [100 + 9 * n for n in range(count)])
    write(tmp_path / 'set' / 's2' / 'boxes_silver' / '000002.txt', '0 0.5 0.5 1 1 0.5\n')
    dataset = find_one(tmp_path)
    assert (dataset.name, dataset.layout) == ('set', 'videos')
    assert names(dataset) == [f's2/00000{n}' for n in range(4)] + [f's10/00000{n}'
                                                                   for n in range(3)]
    assert '1 thermal (such as s10/000003)' in caplog.text
    assert [one.scene for one in dataset.samples[::4]] == ['s2', 's10']
    for index in (3, 0, 2, 2, 1):  # random access
        sample = dataset.samples[index]
        assert abs(int(sample.read_thermal()[0, 0]) - 9 * index) <= 2
        assert abs(int(sample.read_rgb()[0, 0, 0]) - 100 - 9 * index) <= 2
    assert all(one.detections is None for one in dataset.samples)
    machine = find_one(tmp_path, machine_labels=True).samples[2]
    assert read_boxes(machine) == [('person', (0, 0, 64, 48))]
    assert names(find_one(tmp_path / 'set' / 's2')) == names(dataset)[:4]


def test_a_frame_does_not_change_when_another_reader_writes_into_it(tmp_path):
    frame = VideoFrame(save_video(tmp_path / 'a.avi', [50, 60]), 1)
    frame.read()[:] = 0
    assert abs(int(frame.read()[0, 0, 0]) - 60) <= 2


def test_frames_that_cannot_be_decoded_are_an_error(tmp_path):
    path = save_video(tmp_path / 'a.avi', [0, 8, 16])
    with pytest.raises(SourceError, match=r'no frame 3: 3 frames can be decoded'):
        VideoFrame(path, 3).read()
    assert VideoFrame(path, 0).read().shape == (48, 64, 3)  # the video is still usable
    write(tmp_path / 'b.avi', 'no video')
    with pytest.raises(SourceError, match=r'cannot open .*b\.avi'):
        VideoFrame(tmp_path / 'b.avi', 0).read()


# --- annotation files --------------------------------------------------------------------------


@pytest.mark.parametrize('text, reason', [
    ('0 0.5 0.5 0.5', "line 1: expected 'class x y w h'"),
    ('0 0.5 0.5 0.5 0.5\n0 0.5 0.', 'line 2'),
    ('0 0.5 0.5 0.5 x', 'could not convert'),
    ('0 0.5 0.5 0.5 nan', 'not finite'),
    ('0 1.5 0.5 0.5 0.5', 'lie in 0 to 1'),
    ('9 0.5 0.5 0.5 0.5', 'class 9 is none of 0 to 7'),
    ('1.5 0.5 0.5 0.5 0.5', 'class 1.5'),
])
def test_malformed_yolo_lines_are_named(tmp_path, text, reason):
    path = write(tmp_path / 'a.txt', text)
    with pytest.raises(SourceError, match=reason) as error:
        boxes.read_yolo(path, save(tmp_path / 'a.png'))
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


VOC_FILE = ('<annotation><object><name>car</name><bndbox><xmin>3</xmin><ymin>3</ymin>'
            '<xmax>4</xmax><ymax>4</ymax></bndbox></object></annotation>')


@pytest.mark.parametrize('text, reason', [
    ('', 'no complete XML'),
    (VOC_FILE[:80], 'no complete XML'),
    ('<html></html>', 'no Pascal VOC'),
    (VOC_FILE.replace('<ymax>4</ymax>', ''), 'an object needs a name'),
    (VOC_FILE.replace('<name>car</name>', ''), 'an object needs a name'),
    (VOC_FILE.replace('>4<', '>2<'), 'ends before it starts'),
    (VOC_FILE.replace('>4<', '>four<'), 'could not convert'),
])
def test_malformed_voc_files_are_named(tmp_path, text, reason):
    path = write(tmp_path / 'a.xml', text)
    with pytest.raises(SourceError, match=reason) as error:
        boxes.read_voc(path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('text, reason', [
    ('', 'does not start with'),
    ('person 1 2 3 4 0 0 0 0 0 0 0\n', 'does not start with'),
    ('% bbGt version=3\nperson 1 2 3 4 0 0', 'line 2: expected 12 fields, got 7'),
    ('% bbGt version=3\nperson 1 2 3 four 0 0 0 0 0 0 0', 'line 2: could not convert'),
])
def test_malformed_bbgt_files_are_named(tmp_path, text, reason):
    path = write(tmp_path / 'a.txt', text)
    with pytest.raises(SourceError, match=reason) as error:
        boxes.read_bbgt(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('text', [
    '', json.dumps(COCO)[:100], '[]', '{"images": []}',
    json.dumps({**COCO, 'images': COCO['images'][1:]}),  # a box of a missing image
    *(json.dumps({**COCO, 'annotations': [{'image_id': 7, 'category_id': 0, 'bbox': box}]})
      for box in ([1, 2, 3], [1, 2, 3, float('nan')], [1, 2, 3, 10 ** 400])),
    pytest.param('[' * 10 ** 5, id='deep'),
])
def test_malformed_coco_files_are_named(tmp_path, text):
    path = write(tmp_path / 'a.json', text)
    with pytest.raises(SourceError, match=r'a\.json is no complete COCO file') as error:
        boxes.read_coco_file(path)
    assert '\n' not in str(error.value)


def test_a_track_that_ends_early_is_named(tmp_path):
    path = write(tmp_path / 'rgb.txt', '1,2,3,4\n1 2 3\n')
    assert boxes.read_track(path, 0, 'car')[0].box_xyxy_px == (1, 2, 4, 6)
    with pytest.raises(SourceError, match="line 2: expected 'x y w h'"):
        boxes.read_track(path, 1, 'car')
    with pytest.raises(SourceError, match='has 2 boxes, so none of number 2'):
        boxes.read_track(path, 2, 'car')


@pytest.mark.parametrize('read', [boxes.read_voc, boxes.read_bbgt, boxes.read_coco_file,
                                  landmarks.read_matched_points, landmarks.read_corners])
def test_missing_annotation_files_are_named(tmp_path, read):
    with pytest.raises(SourceError, match=r'cannot read .*gone'):
        read(tmp_path / 'gone')


def test_labels_without_a_class_or_of_several_channels_are_named(tmp_path):
    with pytest.raises(SourceError, match='label 3 is none of 3 classes'):
        labels.read_labels(save(tmp_path / 'a.png', 3), ('a', 'b', 'c'))
    cv2.imwrite(str(tmp_path / 'b.png'), np.dstack([np.eye(4, dtype=np.uint8) * k
                                                    for k in (1, 2, 3)]))
    with pytest.raises(SourceError, match=r'b\.png: labels are \(H, W\) uint8'):
        labels.read_labels(tmp_path / 'b.png', ('a', 'b', 'c', 'd'))


@pytest.mark.parametrize('content, reason', [
    ('{"landmarks_mov": [[1, 2]], ', 'no complete JSON'),
    ('[]', 'expected an object'),
    ('{"landmarks_mov": [[1, 2, 3]], "landmarks_fix": [[1, 2]]}', 'holds points'),
    ('{"landmarks_fix": [[1, 2]]}', 'landmarks_mov'),
    pytest.param('{"landmarks_mov": [[1, 1%s]]}' % ('0' * 400), 'landmarks_mov', id='large'),
    pytest.param('[' * 10 ** 5, 'no complete JSON', id='deep'),
])
def test_malformed_landmarks_are_named(tmp_path, content, reason):
    with pytest.raises(SourceError, match=reason) as error:
        landmarks.read_matched_points(write(tmp_path / 'a.json', content))
    assert 'a.json' in str(error.value)


def test_a_singular_or_absent_homography_is_named(tmp_path):
    for T in ([[1, 0, 0], [0, 1, 0], [0, 0, 0]], None, [[1, 2], [3, 4]]):
        path = write(tmp_path / 'a.json', json.dumps({'T': T}))
        with pytest.raises(SourceError, match=r'a\.json: T: '):
            landmarks.read_matched_H_thermal_to_rgb(path)


def test_one_based_points_are_converted_to_zero_based(tmp_path):
    doubled = {'T': [[2, 0, 0], [0, 2, 0], [5, -3, 1]],  # x' = 2 x + 5, y' = 2 y - 3
               'landmarks_mov': [[1, 1], [11, 21]], 'landmarks_fix': [[7, -1], [27, 39]]}
    path = write(tmp_path / 'a.json', json.dumps(doubled))
    points = landmarks.read_matched_points(path)
    np.testing.assert_array_equal(points.thermal_px, [[0, 0], [10, 20]])
    np.testing.assert_array_equal(points.rgb_px, [[6, -2], [26, 38]])
    np.testing.assert_allclose(landmarks.read_matched_H_thermal_to_rgb(path),
                               [[2, 0, 6], [0, 2, -2], [0, 0, 1]])


def test_the_perspective_column_of_the_row_vector_form_is_transposed(tmp_path):
    path = write(tmp_path / 'a.json', json.dumps({'T': [[1, 0, 0.01], [0, 1, 0], [0, 0, 1]]}))
    H = landmarks.read_matched_H_thermal_to_rgb(path)
    # MATLAB pixel (100, 1) maps to (100, 1) / (0.01 * 100 + 1) = (50, 0.5).
    np.testing.assert_allclose(geometry.transform_points(H, [[99, 0]]), [[49, -0.5]])


def test_a_flow_maps_landmarks_to_the_aligned_image(tmp_path):
    d = np.zeros((2, 48, 64))
    d[0], d[1] = 8, -3.5  # pixel (x, y) of the warped image corresponds to (x + 8, y - 3.5)
    dq = np.diff(np.rint(d * 32).astype(np.int16), axis=2, prepend=0)
    np.savez(tmp_path / 'a.npz', dq=dq, scale=np.float32(32))
    points = landmarks.read_flow(tmp_path / 'a.npz', save(tmp_path / 'a.png', 0, (128, 96)))
    expected_px = geometry.transform_points(geometry.stretch((64, 48), (128, 96)),
                                            points.thermal_px + (8, -3.5))
    np.testing.assert_allclose(points.rgb_px, expected_px)
    np.testing.assert_array_equal(np.unique(points.thermal_px[:, 0]), [8, 24, 40])  # not 56


@pytest.mark.parametrize('fraction', [0.0, 0.5, 0.9])
def test_a_truncated_flow_is_named(tmp_path, fraction):
    path = tmp_path / 'a.npz'
    np.savez(path, dq=np.zeros((2, 9, 9), np.int16), scale=np.float32(32))
    path.write_bytes(path.read_bytes()[:int(fraction * path.stat().st_size)])
    with pytest.raises(SourceError, match=r'a\.npz'):
        landmarks.read_flow(path, save(tmp_path / 'a.png'))


def test_a_flow_with_any_damaged_byte_is_read_or_named(tmp_path):
    path, rgb = tmp_path / 'a.npz', save(tmp_path / 'a.png')
    np.savez_compressed(path, dq=np.arange(162).reshape(2, 9, 9), scale=np.float32(32))
    whole, outcomes = path.read_bytes(), set()
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1:])
        try:
            landmarks.read_flow(path, rgb)
            outcomes.add('read')
        except SourceError as error:
            assert 'a.npz' in str(error)
            outcomes.add('named')
    assert outcomes == {'read', 'named'}


@pytest.mark.parametrize('name, scene', [
    ('00004N', '00000-00019N'), ('00020N', '00020-00039N'), ('00019D', '00000-00019D'),
    ('FLIR_06874', 'FLIR_06860-06879'), ('FLIR_video_00069', 'FLIR_video_00060-00079'),
    ('walking', 'walking'),
])
def test_neighbouring_numbers_are_one_scene(name, scene):
    assert block_scene(name) == scene


# --- listing of many samples -------------------------------------------------------------------


def test_many_pairs_are_listed_quickly_without_opening_images(tmp_path):
    for folder in ('infrared/train', 'visible/train', 'Annotations'):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(1500):
        for folder, suffix in (('infrared/train', 'jpg'), ('visible/train', 'jpg'),
                               ('Annotations', 'xml')):
            (tmp_path / folder / f'{number:06d}.{suffix}').touch()  # would not decode
    start_s = time.perf_counter()
    dataset = find_one(tmp_path)
    assert time.perf_counter() - start_s < 5.0
    assert len(dataset.samples) == 1500
    assert dataset.samples[-1].detections is not None


def test_the_samples_of_every_kind_can_be_pickled(shared_data):
    for machine_labels in (False, True):
        for dataset in find_datasets(shared_data, machine_labels=machine_labels):
            first = dataset.samples[0]
            copy = pickle.loads(pickle.dumps(first))
            np.testing.assert_array_equal(copy.read_thermal(), first.read_thermal())
            for name in ('landmarks', 'detections', 'segmentation'):
                assert (getattr(first, name) is None) == (getattr(copy, name) is None)
            if first.detections:
                assert copy.detections.read() == first.detections.read()


# --- real data ---------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def real(shared_data) -> dict[str, Dataset]:
    """Return the data sets in the folder of real recordings, with human labels."""
    return {dataset.name: dataset for dataset in find_datasets(shared_data)}


def test_real_counts_match_the_index(shared_data, real):
    with open(shared_data / 'index.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    expected = Counter(f"{row['dataset']}/{row['split']}" for row in rows if row['visible']
                       and row['dataset'] != 'm3svd_sequences')
    expected['m3svd_sequences'] = sum(int(row['size'].split()[0]) for row in rows
                                      if row['dataset'] == 'm3svd_sequences')
    assert Counter({name: len(one.samples) for name, one in real.items()}) == expected
    assert not any(name.startswith('osu') for name in real)  # thermal only


def test_real_names_are_unique_and_scenes_known(real):
    for dataset in real.values():
        assert len(set(names(dataset))) == len(dataset.samples)
        assert all(sample.scene for sample in dataset.samples)
    assert {one.light for one in real['msrs/officialtest_dev'].samples} == {'day', 'night'}
    assert {one.scene for one in real['llvip/test'].samples} == {'19'}


def test_real_samples_decode(real):
    for dataset in real.values():
        for sample in (dataset.samples[0], dataset.samples[-1]):
            assert sample.read_thermal().ndim == 2
            assert sample.read_rgb().dtype == np.uint8


def test_real_human_labels_have_the_expected_counts(real):
    msrs = [one for one in real['msrs/officialtest_dev'].samples if one.detections]
    assert Counter(name for one in msrs for name, _ in read_boxes(one)) == {'person': 17, 'car': 5}
    assert len(msrs) == 11
    figure = real['mfnet_figure_gt/train'].samples
    for sample in figure:
        segmentation = sample.segmentation.read()
        assert segmentation.labels.shape == sample.read_rgb().shape[:2]
        assert len(segmentation.class_names) == 9
    annotated = {name for name, one in real.items()
                 if any(sample.detections or sample.segmentation for sample in one.samples)}
    assert annotated == {'msrs/officialtest_dev', 'mfnet_figure_gt/train'}


def test_real_machine_labels_have_the_expected_counts_and_origin(shared_data):
    by_class: Counter[str] = Counter()
    masks = images = 0
    for dataset in find_datasets(shared_data, machine_labels=True):
        for sample in dataset.samples:
            if sample.detections:
                images += 1
                assert sample.detections.origin is Origin.MACHINE
                if not isinstance(sample.rgb, VideoFrame):
                    by_class.update(name for name, _ in read_boxes(sample))
            if sample.segmentation:
                masks += 1
                assert sample.segmentation.origin is Origin.MACHINE
    assert (images, masks) == (629, 263)
    assert by_class['person'] > 500
    assert by_class['car'] > 300


def test_real_confidence_removes_a_small_part_of_the_labels(shared_data):
    [msrs] = find_datasets(shared_data / 'msrs', machine_labels=True)
    kept = [np.mean(sample.segmentation.read().labels != labels.UNLABELLED)
            for sample in msrs.samples[::20]]
    assert 0.9 < np.mean(kept) < 1.0


def test_real_starain_landmarks_agree_with_their_homography(real):
    for sample in real['starain_visir/train'].samples:
        points = sample.landmarks.read()
        assert sample.landmarks.origin is Origin.HUMAN
        mapped = geometry.transform_points(sample.H_thermal_to_rgb, points.thermal_px)
        np.testing.assert_allclose(mapped, points.rgb_px, atol=1e-6)
        assert not sample.aligned
        for points_px, image in ((points.thermal_px, sample.read_thermal()),
                                 (points.rgb_px, sample.read_rgb())):
            assert (points_px > 0).all()
            assert (points_px < geometry.size_of(image)).all()


def test_real_warped_pixels_match_the_aligned_image_at_the_landmarks(real, shared_data):
    """The RGB image defines the grid of the aligned thermal image."""
    for sample in real['superfusion_warp/train'].samples[::4]:
        points = sample.landmarks.read()
        assert sample.landmarks.origin is Origin.EXACT
        aligned = cv2.imread(str(sample.thermal.parent.parent / 'thermal' / sample.thermal.name),
                             cv2.IMREAD_GRAYSCALE)
        rgb_size = geometry.size_of(sample.read_rgb())
        to_thermal = geometry.stretch(rgb_size, geometry.size_of(aligned))
        aligned_px = geometry.transform_points(to_thermal, points.rgb_px).astype(np.float32)
        expected = cv2.remap(aligned, aligned_px[:, 0], aligned_px[:, 1], cv2.INTER_LINEAR)[:, 0]
        x, y = points.thermal_px.astype(int).T
        error = np.abs(sample.read_thermal()[y, x] - expected.astype(float))
        assert len(points.rgb_px) > 300
        assert error.max() <= 4
        assert error.mean() < 1
        without_warp = np.abs(sample.read_thermal()[y, x] - aligned[y, x].astype(float))
        assert without_warp.mean() > 3 * error.mean()  # the warp is significant


def test_real_corners_were_measured_and_lie_in_both_images(real):
    for sample in real['zed_lepton_calib/train'].samples:
        points = sample.landmarks.read()
        assert sample.landmarks.origin is Origin.MEASURED
        assert points.thermal_px.shape == points.rgb_px.shape == (24, 2)
    assert (points.thermal_px < geometry.size_of(sample.read_thermal())).all()
    assert (points.rgb_px < geometry.size_of(sample.read_rgb())).all()


def test_real_counts_of_a_radiometric_camera_keep_sixteen_bits(real, shared_data, caplog):
    assert names(real['flir_rjpeg/train']) == ['04', '18']
    assert real['flir_rjpeg/train'].samples[0].read_thermal().dtype == np.uint16
    with caplog.at_level(logging.WARNING):
        find_datasets(shared_data / 'flir_rjpeg')
    assert '17 thermal (such as 01)' in caplog.text


def test_real_thermal_images_without_visible_images_are_an_error(shared_data):
    with pytest.raises(SourceError, match='30 thermal images in thermal/ but no visible ones'):
        find_datasets(shared_data / 'osu_thermal_only')


def test_real_frames_are_the_same_in_sequential_and_random_access(real):
    frames = [one for one in real['m3svd_sequences'].samples if one.scene == '0117_1605'][:40]
    in_order = [frame.read_thermal() for frame in frames]
    assert np.array_equal(frames[7].read_thermal(), in_order[7])
    assert np.array_equal(frames[31].read_thermal(), in_order[31])
    assert not np.array_equal(in_order[7], in_order[31])


def test_real_data_is_recognised_under_any_folder_name(shared_data, tmp_path):
    target = tmp_path / 'anything'
    shutil.copytree(shared_data / 'tno_sequences' / 'duine', target)
    assert find_one(target).name == 'anything'
    assert len(find_one(target).samples) == 23
