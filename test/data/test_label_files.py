# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Boxes go out to labelling tools, are corrected there, and come back with their origin."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree
import zipfile

import cv2
from ivf_ros.data.annotated_image import AnnotatedImage, enclose_rotated
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.label_files.formats import read_label_file, SUFFIXES, write_label_file
from ivf_ros.data.labelled_folder import (
    Corrections,
    HUMAN_FILE,
    MACHINE_FILE,
    read_latest_labels,
    store_corrections,
    write_machine_labels,
)
from ivf_ros.data.recording import SourceError
from ivf_ros.data.sample import IGNORED, Origin
from ivf_ros.output import is_marked
from ivf_ros.types import Detection
import numpy as np
import pytest

CLASSES = ('person', 'vehicle', 'bicycle')
SIZE = (160, 120)
# The boxes of two images; the third one shows nothing.
MACHINE = {'000000': [('person', (10.0, 20.0, 30.0, 60.0)), ('vehicle', (50.5, 40.25, 90.0, 70.0)),
                      (IGNORED, (100.0, 10.0, 110.0, 40.0))],
           '000001': [('person', (12.0, 20.0, 32.0, 60.0))], '000002': []}
# One is moved, one is removed, one is added.
CORRECTED = {**MACHINE, '000000': [('person', (13.0, 22.0, 33.0, 62.0)),
                                   (IGNORED, (100.0, 10.0, 110.0, 40.0)),
                                   ('bicycle', (120.0, 80.0, 150.0, 110.0))]}
ADDRESSES = {'image': '/data/local-files/?d=mine/visible/',
             'thermal': '/data/local-files/?d=mine/thermal/'}


def make_images(boxes=MACHINE) -> list[AnnotatedImage]:
    return [AnnotatedImage(name, SIZE, tuple(Detection(box, label, 0.5) for label, box in items),
                           stamp_ns=int(name) * 10 ** 8) for name, items in boxes.items()]


def make_folder(folder: Path) -> Path:
    """Make a folder as ``ivf label`` does."""
    for stream, value in (('thermal', 90), ('visible', 60), ('fused', 75)):
        (folder / stream).mkdir(parents=True)
        for name in MACHINE:
            assert cv2.imwrite(str(folder / stream / f'{name}.png'),
                               np.full(SIZE[::-1], value, np.uint8))
    write_machine_labels(folder, make_images(), CLASSES, {'teachers': ['anchor_free@rgb']})
    return folder


def to_plain(boxes) -> list[tuple]:
    return [(box.class_name, tuple(round(edge, 2) for edge in box.box_xyxy_px)) for box in boxes]


def read_samples(folder: Path, **options) -> dict[str, list[tuple] | None]:
    """Return the boxes of each image of the data set in a folder."""
    [dataset] = find_datasets(folder, **options)
    return {sample.name: sample.detections and to_plain(sample.detections.read())
            for sample in dataset.samples}


# What a person does in each tool, on the file as the tool exports it.


def correct_in_cvat_coco(exported: Path, path: Path) -> Path:
    """Correct the file in the way of CVAT: it adds keys, knows no scores, and names subsets."""
    with zipfile.ZipFile(exported) as archive:
        coco = json.loads(archive.read('annotations/instances_default.json'))
    assert all(annotation['segmentation'] == [] for annotation in coco['annotations'])
    ids = {category['name']: category['id'] for category in coco['categories']}
    of_first = next(image['id'] for image in coco['images'] if image['file_name'] == '000000.png')
    person, vehicle = (next(one for one in coco['annotations'] if one['image_id'] == of_first
                            and one['category_id'] == ids[name]) for name in ('person', 'vehicle'))
    person['bbox'] = [13.0, 22.0, 20.0, 40.0]
    coco['annotations'].remove(vehicle)
    coco['annotations'].append({'id': 99, 'image_id': of_first, 'category_id': ids['bicycle'],
                                'bbox': [120.0, 80.0, 30.0, 30.0]})
    for annotation in coco['annotations']:
        annotation.pop('score', None)
        annotation.update(segmentation=[], area=1.0, iscrowd=0,
                          attributes={'occluded': False, 'rotation': 0.0})
    for image in coco['images']:
        image.update(file_name=f'fused/{image["file_name"]}', license=0, flickr_url='',
                     coco_url='', date_captured=0)
    coco['info'] = {'contributor': '', 'date_created': '', 'description': '', 'url': '',
                    'version': '', 'year': ''}
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('images/fused/000000.png', b'not read')
        archive.writestr('annotations/instances_Train.json', json.dumps(coco))
    return path


def correct_in_cvat_xml(exported: Path, path: Path) -> Path:
    root = ElementTree.parse(exported).getroot()
    assert [image.get('id') for image in root.findall('image')] == ['0', '1', '2']
    first = root.find("image[@name='000000.png']")
    first.remove(first.find("box[@label='vehicle']"))
    person = first.find("box[@label='person']")
    person.attrib.update(source='manual', xtl='13.00', ytl='22.00', xbr='33.00', ybr='62.00')
    added = ElementTree.SubElement(first, 'box', {
        'label': 'bicycle', 'source': 'manual', 'occluded': '1', 'xtl': '120.00', 'ytl': '80.00',
        'xbr': '150.00', 'ybr': '110.00', 'z_order': '0'})
    ElementTree.SubElement(added, 'attribute', {'name': 'parked'}).text = 'true'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('annotations.xml', ElementTree.tostring(root, 'utf-8'))
    return path


def correct_in_label_studio(exported: Path, path: Path) -> Path:
    """Submit the predictions of each task as annotations, as the tool does, and change some."""
    tasks = json.loads(exported.read_text())
    for number, task in enumerate(tasks):
        [prediction] = task['predictions']
        task.update(id=number + 1, project=1, annotations=[{
            'id': 100 + number, 'was_cancelled': False, 'ground_truth': False,
            'updated_at': '2026-01-02T10:00:00Z', 'completed_by': 1,
            'result': [{**item, 'origin': 'prediction'} for item in prediction['result']]}])
    result = tasks[0]['annotations'][0]['result']
    person, vehicle, _ = result
    person['value'].update(x=13 / 1.6, y=22 / 1.2)
    person['origin'] = 'prediction-changed'
    result.remove(vehicle)
    result.append({'id': 'Dx_aB91ISN', 'type': 'rectanglelabels', 'from_name': 'label',
                   'to_name': 'image', 'original_width': 160, 'original_height': 120,
                   'image_rotation': 0, 'origin': 'manual', 'value': {
                       'x': 75.0, 'y': 80 / 1.2, 'width': 30 / 1.6, 'height': 25.0,
                       'rotation': 0, 'rectanglelabels': ['bicycle']}})
    path.write_text(json.dumps(tasks))
    return path


CORRECT = {'cvat-coco': (correct_in_cvat_coco, '.zip'), 'cvat-xml': (correct_in_cvat_xml, '.zip'),
           'label-studio': (correct_in_label_studio, '.json')}


@pytest.mark.parametrize('name', CORRECT)
def test_boxes_go_out_are_corrected_and_come_back_as_those_of_people(name, tmp_path):
    folder = make_folder(tmp_path / 'mine')
    assert read_samples(folder) == dict.fromkeys(MACHINE)
    exported = tmp_path / f'out{SUFFIXES[name]}'
    write_label_file(exported, name, read_latest_labels(folder), CLASSES, ADDRESSES)
    correct, suffix = CORRECT[name]
    corrected = read_label_file(correct(exported, tmp_path / f'corrected{suffix}'))
    counts = store_corrections(folder, corrected, CLASSES)
    assert counts == Corrections(3, 2, {'unchanged': 2, 'moved': 1, 'removed': 1, 'added': 1})
    assert {key: sorted(boxes) for key, boxes in read_samples(folder).items()} \
        == {key: sorted(boxes) for key, boxes in CORRECTED.items()}
    assert read_samples(folder, machine_labels=True) == MACHINE
    for machine_labels, origin in ((False, Origin.HUMAN), (True, Origin.MACHINE)):
        [dataset] = find_datasets(folder, machine_labels=machine_labels)
        assert {sample.detections.origin for sample in dataset.samples} == {origin}
        assert all(sample.aligned for sample in dataset.samples)
        assert {sample.scene for sample in dataset.samples} == {'000000-000019'}


@pytest.mark.parametrize('name', SUFFIXES)
def test_what_is_exported_is_marked_and_read_back_as_it_is(name, tmp_path):
    path = tmp_path / f'out{SUFFIXES[name]}'
    write_label_file(path, name, make_images(), CLASSES, ADDRESSES)
    assert is_marked(path)
    if name == 'label-studio':
        assert read_label_file(path) == {}  # nobody has annotated anything
        tasks = json.loads(path.read_text())
        assert tasks[0]['data'] == {
            'name': '000000', 'image': '/data/local-files/?d=mine/visible/000000.png',
            'thermal': '/data/local-files/?d=mine/thermal/000000.png'}
        assert tasks[0]['predictions'][0]['result'][0]['value'] == {
            'x': 6.25, 'y': pytest.approx(100 / 6), 'width': 12.5,
            'height': pytest.approx(100 / 3), 'rotation': 0, 'rectanglelabels': ['person']}
        return
    found = read_label_file(path)
    assert {key: to_plain(image.boxes) for key, image in found.items()} == MACHINE
    assert all(image.size == SIZE for image in found.values())


def test_only_images_that_a_person_annotated_come_back_from_label_studio(tmp_path):
    folder = make_folder(tmp_path / 'mine')
    exported = tmp_path / 'out.json'
    write_label_file(exported, 'label-studio', make_images(), CLASSES, ADDRESSES)
    tasks = json.loads(correct_in_label_studio(exported, tmp_path / 'c.json').read_text())
    tasks[1]['annotations'] = []
    tasks[2]['annotations'][0]['was_cancelled'] = True
    tasks[0]['annotations'].append({**tasks[0]['annotations'][0], 'result': [],
                                    'updated_at': '2026-01-01T10:00:00Z'})  # an earlier one
    del tasks[0]['data']['name']
    tasks[0]['data']['image'] = '/data/upload/1/0123abcd-000000.png'
    (tmp_path / 'c.json').write_text(json.dumps(tasks))
    store_corrections(folder, read_label_file(tmp_path / 'c.json'), CLASSES)
    found = read_samples(folder)
    assert sorted(found['000000']) == sorted(CORRECTED['000000'])
    assert found['000001'] is None and found['000002'] is None


def test_further_corrections_are_added_to_the_earlier_ones(tmp_path):
    folder = make_folder(tmp_path / 'mine')
    first, _, third = make_images(CORRECTED)
    moved = make_images({'000001': [('person', (40.0, 20.0, 60.0, 60.0))]})[0]
    assert store_corrections(folder, {'000000': first, '000002': third}, CLASSES,
                             only_changed=True).images == 1
    assert read_samples(folder) == {'000000': CORRECTED['000000'], '000001': None, '000002': None}
    assert store_corrections(folder, {'000001': moved}, CLASSES).counts == {'added': 1,
                                                                            'removed': 1}
    assert set(read_samples(folder)) == {'000000', '000001', '000002'}
    assert read_samples(folder)['000000'] == CORRECTED['000000']
    assert [to_plain(image.boxes) for image in read_latest_labels(folder)] == [
        CORRECTED['000000'], to_plain(moved.boxes), []]


def test_another_class_is_counted_and_boxes_are_clipped_to_their_image(tmp_path):
    folder = make_folder(tmp_path / 'mine')
    boxes = [('bicycle', (10.0, 20.0, 30.0, 60.0)), ('vehicle', (50.5, 40.25, 170.0, 70.0)),
             ('person', (-20.0, 0.0, -5.0, 10.0))]
    counts = store_corrections(folder, {'000000': make_images({'000000': boxes})[0]}, CLASSES)
    assert counts.counts == {'relabelled': 1, 'moved': 1, 'removed': 1}
    assert read_samples(folder)['000000'] == [('bicycle', (10.0, 20.0, 30.0, 60.0)),
                                              ('vehicle', (50.5, 40.25, 160.0, 70.0))]


def test_what_was_not_corrected_is_refused(tmp_path):
    folder = make_folder(tmp_path / 'mine')
    unchanged = {image.name: image for image in make_images()}
    with pytest.raises(SourceError, match='nothing was corrected: the boxes of all 3 images'):
        store_corrections(folder, unchanged, CLASSES)
    with pytest.raises(SourceError, match='no image that a person annotated'):
        store_corrections(folder, {}, CLASSES)
    other = AnnotatedImage('000009', SIZE, ())
    with pytest.raises(SourceError, match="has no image '000009', such as '000000'"):
        store_corrections(folder, {'000009': other}, CLASSES)
    larger = AnnotatedImage('000000', (320, 240), ())
    with pytest.raises(SourceError, match='160x120 pixels, and its boxes are for 320x240'):
        store_corrections(folder, {'000000': larger}, CLASSES)
    assert not (folder / HUMAN_FILE).exists()
    with pytest.raises(SourceError, match='is no folder of ivf label'):
        store_corrections(tmp_path, unchanged, CLASSES)


def test_machine_boxes_under_the_name_of_human_ones_are_refused(tmp_path):
    folder = make_folder(tmp_path / 'mine')
    (folder / HUMAN_FILE).write_text((folder / MACHINE_FILE).read_text())
    with pytest.raises(SourceError, match="boxes of origin 'machine', and its name is for"):
        find_datasets(folder)


def test_a_coco_file_of_ones_own_beside_pairs_is_read(tmp_path):
    folder = make_folder(tmp_path / 'mine')
    coco = json.loads((folder / MACHINE_FILE).read_text())
    coco['annotations'][0]['attributes'] = {'rotation': 90.0}
    del coco['info']
    (folder / MACHINE_FILE).unlink()
    (folder / HUMAN_FILE).write_text(json.dumps(coco))
    [dataset] = find_datasets(folder)
    assert not dataset.samples[0].aligned  # nothing says that these pairs are registered
    assert read_samples(folder)['000000'][0] == ('person', (0.0, 30.0, 40.0, 50.0))


@pytest.mark.parametrize('degrees, pivot, expected', [
    (0.0, None, (10, 20, 30, 60)), (90.0, None, (0, 30, 40, 50)), (180.0, None, (10, 20, 30, 60)),
    (90.0, (10.0, 20.0), (-30, 20, 10, 40))])
def test_the_upright_box_around_a_turned_one(degrees, pivot, expected):
    assert enclose_rotated((10.0, 20.0, 30.0, 60.0), degrees, pivot) == pytest.approx(expected)


def test_turned_boxes_of_the_tools_become_upright(tmp_path):
    (tmp_path / 'a.xml').write_text(
        '<annotations><image name="a/1.png" width="160" height="120"><box label="Person" '
        'rotation="90.0" xtl="10" ytl="20" xbr="30" ybr="60"/><tag label="night"/></image>'
        '</annotations>')
    assert to_plain(read_label_file(tmp_path / 'a.xml')['1'].boxes) \
        == [('person', (0.0, 30.0, 40.0, 50.0))]
    value = {'x': 10 / 1.6, 'y': 20 / 1.2, 'width': 12.5, 'height': 100 / 3, 'rotation': 90,
             'rectanglelabels': ['person']}
    (tmp_path / 'a.json').write_text(json.dumps([{'data': {'name': '1'}, 'annotations': [
        {'result': [{'type': 'choices', 'value': {}}, {
            'type': 'rectanglelabels', 'original_width': 160, 'original_height': 120,
            'value': value}]}]}]))
    assert to_plain(read_label_file(tmp_path / 'a.json')['1'].boxes) \
        == [('person', (-30.0, 20.0, 10.0, 40.0))]


IMAGE = '<annotations><image name="1.png" width="9" height="9">{}</image></annotations>'
TASK = '[{{"data": {{"name": "1"}}, "annotations": [{{"result": [{}]}}]}}]'


@pytest.mark.parametrize('text, reason', [
    ('', 'is neither COCO nor'), ('text', 'is neither COCO nor'),
    ('{"images": []}', 'complete COCO'),
    ('<a>', 'no complete XML'), ('<a/>', 'no images of CVAT'),
    ('<annotations><track/></annotations>', "export it as 'CVAT for images 1.1'"),
    (IMAGE.format('<polygon label="a" points="1,2"/>'), "only boxes are read, got a 'polygon'"),
    (IMAGE.format('<box label="a" xtl="1" ytl="1" xbr="nan" ybr="2"/>'), 'xbr must be a number'),
    (IMAGE.format('<box label="a" xtl="3" ytl="1" xbr="2" ybr="2"/>'), 'ends before it starts'),
    (IMAGE.format('<box xtl="1" ytl="1" xbr="2" ybr="2"/>'), 'a box has no label'),
    (IMAGE.replace('</image>', '</image><image name="b/1.png" width="9" height="9"/>').format(''),
     "a second one of '1'"),
    ('[{"image": "1.png", "label": []}]', "not as 'JSON-MIN'"), ('[1]', 'no complete file of'),
    (TASK.format('{"type": "polygonlabels"}'), "got a 'polygonlabels'"),
    (TASK.format('{"type": "rectanglelabels"}'), 'no complete file of Label Studio'),
    (TASK.format('{"type": "rectanglelabels", "original_width": 9, "original_height": 9, "value":'
                 ' {"x": 1, "y": 1, "width": 1, "height": 1, "rectanglelabels": []}}'),
     'a box needs one label'),
    pytest.param('[' * 10 ** 5, 'no complete file', id='deep'),
])
def test_what_cannot_be_read_is_named(tmp_path, text, reason):
    path = tmp_path / 'labels.txt'
    path.write_text(text)
    with pytest.raises(SourceError, match=reason) as error:
        read_label_file(path)
    assert str(path) in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('members, reason', [
    ({'images/1.png': b''}, 'holds neither annotations.xml nor'),
    ({'annotations/instances_a.json': b'{'}, r'labels.zip: annotations/instances_a.json is no'),
    ({'annotations.xml': b'\xff\xfe\xff'}, 'is no text'),
    ({f'annotations/instances_{name}.json': json.dumps({
        'images': [{'id': 1, 'file_name': '1.png'}], 'categories': [], 'annotations': []}).encode()
        for name in 'ab'}, "two images are called '1'")])
def test_archives_that_cannot_be_read_are_named(tmp_path, members, reason):
    path = tmp_path / 'labels.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(SourceError, match=reason):
        read_label_file(path)


def test_damaged_and_oversized_archives_are_refused(tmp_path, monkeypatch):
    path = tmp_path / 'labels.zip'
    write_label_file(path, 'cvat-coco', make_images(), CLASSES, ADDRESSES)
    monkeypatch.setattr('ivf_ros.data.label_files.formats.MAX_TEXT_BYTES', 1000)
    with pytest.raises(SourceError, match='the label files have more than 1000 bytes'):
        read_label_file(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SourceError, match='is no ZIP file that can be read'):
        read_label_file(path)
    with pytest.raises(SourceError, match=r'cannot read .*gone'):
        read_label_file(tmp_path / 'gone')
