# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Training of segmentation and detection: scenes, windows, assignment, losses."""

from __future__ import annotations

from dataclasses import replace
import json
from pathlib import Path

from ivf_ros import detection
from ivf_ros.cli import main
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.sample import Annotation, Dataset, Origin, Sample
from ivf_ros.detection.network import cell_centres_px, DetectionNetwork, STRIDES_PX
from ivf_ros.nn import weights
from ivf_ros.parameters import ParameterError
from ivf_ros.segmentation.network import SegmentationNetwork
from ivf_ros.training import detection as detection_training
from ivf_ros.training import perception as perception_training
from ivf_ros.training import segmentation as segmentation_training
from ivf_ros.training import unlabelled_objects
from ivf_ros.training.perception_data import (
    make_labelled_scene,
    make_simulated_scene,
    make_views,
    perception_scenes,
    PerceptionScene,
    select_trainable,
)
from ivf_ros.training.perception_windows import Batch, IGNORED_CLASS, NO_BOX, WindowSampler
from ivf_ros.training.settings import (
    CameraFailures,
    DetectionTraining,
    JointPerceptionTraining,
    SegmentationTraining,
)
from ivf_ros.types import Detection
import numpy as np
import pytest
import torch

SHORT = {'batch': 2, 'side_px': 128, 'warmup': 5, 'simulated': 2, 'off_road': 1, 'variants': 1,
         'save_every': 1000}


def make_drawn_scene(boxes=((100, 80, 140, 180),), size=(320, 240)):
    """Return a scene whose boxes are bright in both images and labelled 2, all else 0."""
    thermal = np.full(size[::-1], 40, np.uint8)
    labels = np.zeros(size[::-1], np.uint8)
    for left, top, right, bottom in boxes:
        thermal[top:bottom, left:right] = 220
        labels[top:bottom, left:right] = 2
    return PerceptionScene('drawn', 'drawn', thermal, np.dstack([thermal] * 3),
                           np.ones(thermal.shape, np.bool_), labels,
                           tuple(Detection(tuple(map(float, box)), 'person', 1.0)
                                 for box in boxes), True, True)


def make_sampler(*scenes, given='thermal', variants=1):
    return WindowSampler(scenes, [make_views(scene, given, variants) for scene in scenes], 'cpu')


# What is learned from


def test_nothing_is_learned_of_what_is_measured_on_nor_of_its_scenes():
    samples = tuple(Sample('set', f'{index:03d}', Path(), Path(), scene=str(index // 10))
                    for index in range(100))
    selected = select_trainable(Dataset('set', 'pairs', Path(), samples), {('set', '005')})
    held_back = {*range(42, 56), *range(98, 100)}
    scenes = {index // 10 for index in (*held_back, 5)}
    assert [int(one.name) for one in selected] == [index for index in range(100)
                                                   if index // 10 not in scenes]


def test_real_scenes_are_none_that_people_labelled(shared_data):
    scenes = perception_scenes(shared_data, simulated=1)
    human = {(dataset.name, sample.name) for dataset in find_datasets(shared_data)
             for sample in dataset.samples if sample.detections or sample.segmentation}
    held_back = {(dataset.name, sample.name) for dataset in find_datasets(shared_data)
                 for sample in dataset.held_back}
    learned = {(scene.dataset, scene.name) for scene in scenes}
    assert len(learned) == len(scenes) > 300
    assert not learned & (human | held_back)
    assert not any(scene.dataset.startswith(('m3svd', 'tno', 'vifb')) for scene in scenes)
    assert {box.class_name for scene in scenes for box in scene.boxes} \
        <= {*detection.CLASS_NAMES, 'ignore'}
    assert {label for scene in scenes if scene.dataset != 'simulator'
            for label in np.unique(scene.labels)} <= {0, 1, 2, 3, 255}


def test_what_the_present_networks_find_without_a_label_is_ignored(monkeypatch):
    class Finder:

        def __init__(self, min_scores):
            self.minimum = dict(zip(detection.CLASS_NAMES, min_scores, strict=True))

        def detect(self, *images):
            on_both = [Detection((102.0, 82.0, 140.0, 180.0), 'person', 0.9),
                       Detection((200.0, 80.0, 210.0, 100.0), 'person', 0.4),
                       Detection((20.0, 80.0, 60.0, 100.0), 'vehicle', 0.2)]
            on_thermal = [Detection((201.0, 80.0, 210.0, 100.0), 'person', 0.5),
                          Detection((20.0, 180.0, 60.0, 200.0), 'vehicle', 0.5)]
            return [box for box in (on_both if len(images) == 2 else on_thermal)
                    if box.score >= self.minimum[box.class_name]]

    monkeypatch.setattr(unlabelled_objects.perception, 'create', Finder)
    scene, = unlabelled_objects.ignore_unlabelled([make_drawn_scene()])
    # The labelled person keeps the label, and the weak vehicle is rather a false one.
    assert [(box.class_name, box.box_xyxy_px[:2]) for box in scene.boxes] == [
        ('person', (100.0, 80.0)), ('ignore', (200.0, 80.0)), ('ignore', (20.0, 180.0))]


def test_boxes_grow_with_their_image():
    rgb = np.zeros((100, 160, 3), np.uint8)
    boxes = Annotation(lambda: (Detection((10.0, 20.0, 30.0, 60.0), 'car', 1.0),),
                       Origin.MACHINE)
    scene = make_labelled_scene(Sample('set', 'one', rgb[..., 0], rgb, aligned=True,
                                       detections=boxes))
    assert scene.thermal.shape == (400, 640)
    [box] = scene.boxes
    assert box.box_xyxy_px == (40, 80, 120, 240) and box.class_name == 'vehicle'
    assert (scene.labels == 255).all() and scene.has_boxes and not scene.has_labels


def test_simulated_scenes_are_exact_and_cover_all_lights():
    scenes = [make_simulated_scene(5000 + index) for index in range(6)]
    assert len({scene.name.split()[1] for scene in scenes}) == 6
    assert all(scene.has_labels and scene.has_boxes for scene in scenes)
    assert {box.class_name for scene in scenes for box in scene.boxes} >= {'person', 'vehicle'}


def test_views_are_the_same_again_and_change_rgb_alone():
    scene = make_simulated_scene(5000)
    first, second = make_views(scene, 'rgb+thermal', 3), make_views(scene, 'rgb+thermal', 3)
    for a, b in zip(first, second):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a[..., 3], scene.thermal)
    np.testing.assert_array_equal(first[0][..., :3], scene.rgb)
    assert all(np.abs(one[..., :3].astype(int) - scene.rgb).mean() > 1 for one in first[1:])
    assert make_views(scene, 'laplacian', 1)[0].shape == scene.rgb.shape


# Windows


def test_boxes_and_labels_stay_with_what_they_are_around():
    windows = make_sampler(make_drawn_scene())
    batch = windows.draw_batch(np.random.default_rng(3), 16, 128)
    seen = 0
    for image, labels, boxes_px, classes in zip(batch.images, batch.labels, batch.boxes_px,
                                                batch.classes):
        if classes[0] != 0:
            continue
        seen += 1
        left, top, right, bottom = (int(edge) for edge in boxes_px[0].round())
        inside = labels[top + 2:bottom - 2, left + 2:right - 2]
        assert inside.numel() == 0 or (inside == 2).all()
        assert (labels == 2).sum() <= (right - left + 3) * (bottom - top + 3)
        bright = image[:, labels == 2].mean() - image[:, labels == 0].mean() \
            if (labels == 0).any() else torch.tensor(1.0)
        assert bright > 0.1
    assert seen >= 6


def test_beyond_the_image_nobody_knows():
    batch = make_sampler(make_drawn_scene(size=(100, 80), boxes=((30, 30, 60, 60),))).draw_batch(
        np.random.default_rng(0), 4, 256)
    assert (batch.labels == 255).float().mean() > 0.3
    assert set(batch.labels.unique().tolist()) == {0, 2, 255}


def test_a_box_that_is_mostly_outside_is_ignored():
    scene = make_drawn_scene(boxes=((0, 0, 300, 20), (310, 230, 320, 240)))
    batch = make_sampler(scene).draw_batch(np.random.default_rng(1), 32, 64)
    classes = set(batch.classes.unique().tolist())
    assert classes == {0, IGNORED_CLASS, NO_BOX}


def make_night_scene():
    """Return a scene with one box that both cameras show, and one that only thermal shows."""
    squares = np.kron(np.indices((12, 16)).sum(0) % 2, np.ones((20, 20))).astype(np.uint8) * 200
    rgb = np.dstack([squares] * 3)
    rgb[:, 160:] = 100
    scene = make_drawn_scene([(40, 60, 80, 160), (200, 60, 240, 160)])
    return replace(scene, thermal=squares, rgb=rgb)


def find_blank(images):
    """Return whether RGB, and whether thermal, shows nothing but noise."""
    spread = images.flatten(2).std(2)
    return torch.stack([spread[:, :3].amax(1), spread[:, 3]], 1) < 0.06


def test_what_a_blank_camera_alone_shows_is_ignored():
    windows = make_sampler(make_night_scene(), given='rgb+thermal')
    assert windows.shows[0].tolist() == [[True, True], [False, True]]
    always = CameraFailures(blank=1.0, late=0.0)
    batch = windows.draw_batch(np.random.default_rng(3), 48, 256, always)
    rgb_blank, thermal_blank = find_blank(batch.images).unbind(1)
    only_thermal = rgb_blank & ~thermal_blank
    assert only_thermal.sum() > 10 and thermal_blank.sum() > 10
    in_window = batch.classes != NO_BOX
    assert (batch.classes[only_thermal] == 0).any(0).all()
    assert (batch.classes[thermal_blank][:, 0] == 0).any()
    assert (batch.classes[thermal_blank][:, 1][in_window[thermal_blank][:, 1]]
            == IGNORED_CLASS).all()


def test_a_late_thermal_image_is_shifted_and_the_boxes_stay_with_rgb():
    windows = make_sampler(make_drawn_scene(), given='rgb+thermal')
    late = windows.draw_batch(np.random.default_rng(5), 32, 256,
                              CameraFailures(blank=0.0, late=1.0, late_px=24.0))
    shifts_px = []
    for image, box_px, class_ in zip(late.images, late.boxes_px[:, 0], late.classes[:, 0]):
        left, top, right, bottom = box_px.round().int().tolist()
        if class_ != 0 or left < 40 or right > 216 or top < 40 or bottom > 216:
            continue
        row = (top + bottom) // 2
        red, thermal = (image[channel, row - 2:row + 3].mean(0) for channel in (2, 3))
        edges = [int((line[1:] - line[:-1]).abs().argmax()) for line in (red, thermal)]
        assert min(abs(edges[0] - left), abs(edges[0] - right)) <= 3
        shifts_px.append(min(abs(edges[1] - edge) for edge in (left, right)))
    assert len(shifts_px) >= 3 and max(shifts_px) > 3


def test_cameras_fail_as_often_as_they_are_set_to():
    scene = make_night_scene()
    windows = make_sampler(replace(scene, rgb=np.dstack([scene.thermal] * 3)),
                           given='rgb+thermal')
    for blank in (0.0, 0.4):
        batch = windows.draw_batch(np.random.default_rng(1), 150, 96, CameraFailures(blank, 0.0))
        failed = find_blank(batch.images)
        assert not failed.all(1).any()
        assert float(failed.any(1).float().mean()) == pytest.approx(blank, abs=0.12)


def test_the_same_generator_gives_the_same_batch():
    windows = make_sampler(make_drawn_scene(), make_simulated_scene(5000))
    first, second = (windows.draw_batch(np.random.default_rng(7), 4, 64) for _ in range(2))
    assert torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)


# Assignment and losses


def make_output(score=0.0, boxes=None):
    """Return logits and boxes of the cells of 64 x 64 pixels, and their middles."""
    centres = torch.cat([cell_centres_px(torch.Size([64 // s] * 2), s, torch.device('cpu'))
                         for s in STRIDES_PX])
    logits = torch.full((1, len(centres), 3), float(score))
    if boxes is None:
        boxes = torch.cat([centres - 10, centres + 10], 1)
    return logits, boxes[None], centres


def make_batch(boxes, classes):
    return Batch(torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long),
                 torch.tensor([boxes], dtype=torch.float32), torch.tensor([classes]))


def test_the_cells_that_fit_best_are_asked_for_the_overlap_that_they_reach():
    logits, boxes, centres = make_output()
    target_scores, target_index, is_ignored = detection_training.assign_targets(
        logits, boxes, centres, make_batch([[10.0, 10.0, 30.0, 30.0], [0, 0, 0, 0]], [1, NO_BOX]))
    assert not is_ignored.any() and (target_scores[..., [0, 2]] == 0).all()
    best = target_scores[0, :, 1].argmax()
    assert centres[best].tolist() == [20, 20]  # its box is the very one
    assert float(target_scores[0, best, 1]) == pytest.approx(1.0)
    assert (target_index[target_scores.sum(-1) > 0] == 0).all()
    assert 1 < int((target_scores > 0).sum()) <= 12  # ten, and those that fit as well as the tenth


def test_where_a_box_is_ignored_nothing_is_asked():
    logits, boxes, centres = make_output()
    target_scores, _, is_ignored = detection_training.assign_targets(
        logits, boxes, centres, make_batch([[0.0, 0.0, 32.0, 32.0]], [IGNORED_CLASS]))
    assert (target_scores == 0).all()
    assert is_ignored[0].sum() == ((centres < 32).all(1)).sum()


def test_a_box_smaller_than_a_cell_is_asked_for_too():
    logits, boxes, centres = make_output()
    target_scores, _, _ = detection_training.assign_targets(
        logits, boxes, centres, make_batch([[21.0, 21.0, 24.0, 24.0]], [0]))
    assert int((target_scores > 0).sum()) >= 1


def test_a_perfect_answer_costs_nothing():
    _, boxes, _ = make_output()

    class Perfect(torch.nn.Module):

        def forward(self, images):
            logits = torch.full((1, boxes.shape[1], 3), -30.0)
            return logits, boxes

    batch = make_batch([[0, 0, 0, 0]], [NO_BOX])
    loss, logged = detection_training.compute_losses(Perfect(), batch)
    assert float(loss) == pytest.approx(0.0, abs=1e-6) and set(logged) == {'what', 'where', 'iou'}


def test_overlaps_have_their_closed_forms():
    a, b = torch.tensor([0.0, 0, 10, 10]), torch.tensor([5.0, 0, 15, 10])
    far = torch.tensor([20.0, 0, 30, 10])
    assert float(detection_training.iou(a, b)) == pytest.approx(1 / 3)
    assert float(detection_training.generalized_iou(a, a)) == pytest.approx(1.0)
    assert float(detection_training.generalized_iou(a, far)) == pytest.approx(-1 / 3)


def test_the_overlap_loss_is_one_less_the_dice_coefficient():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, :, 2:] = 1
    labels[0, 0, 0] = 255
    logits = torch.stack([labels[0] != 1, labels[0] == 1])[None] * 200.0
    overlap_loss = segmentation_training.overlap_loss
    assert float(overlap_loss(logits, labels)) == pytest.approx(0, abs=1e-6)
    assert float(overlap_loss(-logits, labels)) == pytest.approx(1, abs=1e-6)
    unlabelled = torch.full_like(labels, 255)
    assert float(overlap_loss(logits, unlabelled)) == 0
    assert float(segmentation_training.cross_entropy(logits, unlabelled)) == 0


# The loops


@pytest.mark.parametrize('task', ['segmentation', 'detection', 'perception'])
def test_the_loss_falls_far_on_one_batch_and_a_run_goes_on_where_it_stopped(tmp_path, task):
    train, settings = {
        'segmentation': (segmentation_training.train, SegmentationTraining(steps=40, **SHORT)),
        'detection': (detection_training.train, DetectionTraining(steps=40, **SHORT)),
        'perception': (perception_training.train, JointPerceptionTraining(
            steps=40, **{**SHORT, 'learning_rate': 2e-3}))}[task]
    windows = make_sampler(make_drawn_scene(), make_simulated_scene(5000), given='rgb')
    train(windows, tmp_path, settings, overfit=True)
    log = [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    for measure in {'segmentation': ['entropy'], 'detection': ['what'],
                    'perception': ['entropy', 'what']}[task]:
        assert log[-1][measure] < 0.5 * log[0][measure]
    again = train(windows, tmp_path, settings, overfit=True)  # nothing is left to do
    assert len((tmp_path / 'log.jsonl').read_text().splitlines()) == len(log)
    assert all(torch.isfinite(value).all() for value in again.state_dict().values())


@pytest.mark.parametrize('given, channels', [('rgb', 3), ('rgb+thermal', 4)])
def test_segmentation_starts_from_what_a_detector_sees(tmp_path, given, channels):
    detector = DetectionNetwork(3, channels)
    weights.save(detector, tmp_path / 'd.safetensors', {})
    settings = replace(SegmentationTraining(steps=0, **SHORT),
                       start_from=str(tmp_path / 'd.safetensors'))
    sampler = make_sampler(make_drawn_scene(), given=given)
    network = segmentation_training.train(sampler, tmp_path / 'run', settings)
    for name in ('stem', 'eighth', 'sixteenth', 'thirtysecond', 'scene'):
        for a, b in zip(getattr(network, name).state_dict().values(),
                        getattr(detector, name).state_dict().values()):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_perception_starts_from_a_detector_and_a_segmenter(tmp_path):
    detector, segmenter = DetectionNetwork(3), SegmentationNetwork(9)
    files = tmp_path / 'd.safetensors', tmp_path / 's.safetensors'
    for network, path in zip((detector, segmenter), files):
        weights.save(network, path, {})
    settings = replace(JointPerceptionTraining(steps=0, **SHORT), detector=str(files[0]),
                       segmenter=str(files[1]))
    sampler = make_sampler(make_drawn_scene())
    joint = perception_training.train(sampler, tmp_path / 'run', settings)
    first = [network.stem[0][0].weight for network in (joint.detector, detector, segmenter)]
    torch.testing.assert_close(first[0], (first[1] + first[2]) / 2, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(joint.segmenter.head.weight, segmenter.head.weight, atol=1e-3,
                               rtol=1e-3)
    with pytest.raises(ParameterError, match='must be given together'):
        perception_training.train(sampler, tmp_path / 'other', replace(settings, segmenter=''))


def test_perception_goes_on_from_its_own_weights(tmp_path):
    sampler = make_sampler(make_drawn_scene(), given='rgb')
    first = perception_training.train(sampler, tmp_path / 'first', JointPerceptionTraining(
        **{**SHORT, 'steps': 1}))
    weights.save(first, tmp_path / 'first.safetensors', {})
    settings = JointPerceptionTraining(**{**SHORT, 'steps': 1, 'learning_rate': 0.0},
                                       start_from=str(tmp_path / 'first.safetensors'))
    second = perception_training.train(sampler, tmp_path / 'second', settings)
    for name, tensor in first.named_parameters():
        torch.testing.assert_close(dict(second.named_parameters())[name], tensor, atol=1e-3,
                                   rtol=1e-3)  # stored with half the precision
    with pytest.raises(ParameterError, match='exclude each other'):
        perception_training.train(sampler, tmp_path / 'third',
                                  replace(settings, detector='a', segmenter='b'))


def test_a_detector_goes_on_from_another(tmp_path):
    first = DetectionNetwork(3)
    weights.save(first, tmp_path / 'd.safetensors', {})
    settings = replace(DetectionTraining(steps=0, **SHORT),
                       start_from=str(tmp_path / 'd.safetensors'))
    second = detection_training.train(make_sampler(make_drawn_scene()), tmp_path / 'run', settings)
    torch.testing.assert_close(second.stem[0][0].weight, first.stem[0][0].weight, atol=1e-3,
                               rtol=1e-3)
    assert second.training


def test_the_command_trains_a_detector_that_the_package_runs(tmp_path, shared_data, capsys):
    small = [f'--set={key}={value}' for key, value in
             {**SHORT, 'steps': 2, 'side_px': 64, 'simulated': 1, 'given': 'rgb'}.items()]
    path = tmp_path / 'd.safetensors'
    assert main(['train', 'detection', '--data', str(shared_data / 'llvip'), '--out',
                 str(tmp_path / 'run'), '--weights', str(path), *small]) == 0
    assert 'llvip' in capsys.readouterr().out
    assert weights.metadata(path)['settings']['given'] == 'rgb'
    detection.create(**{'network.weights': str(path)}).detect(np.zeros((64, 64), np.uint8))
