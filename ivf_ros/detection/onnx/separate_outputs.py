# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Layouts with the boxes in one output and their classes in others.

Boxes ``(1, N, 4)`` and one column of scores for each class ``(1, N, C)``:

    rtdetr      logits, C = K; RT-DETR and D-FINE as exported by transformers
    rfdetr      logits, C = K or K + 1 (the last one is no class), standardised input; RF-DETR
    detr        logits of K classes and of no class, standardised input; DETR, YOLOS
    yolonas     scores, boxes are edges in pixels and still overlap; YOLO-NAS

Except for yolonas, boxes are centre, width and height in fractions of the image. 91 columns for 80
classes are numbered as in the COCO data set.

Boxes with the class and the score of each one ``(1, N)``:

    labelled    edges in pixels or fractions; RT-DETR and D-FINE with post-processing
    mmdeploy    the score is the fifth column of the boxes; MMDetection
    torchvision without a batch axis, classes count from 1
    tensorflow  top, left, bottom, right in fractions, classes count from 1
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.detection.onnx.layout import (
    are_normalised,
    are_probabilities,
    Candidates,
    COCO_IDS,
    corners_of,
    count_cells,
    Evidence,
    GRIDS_PX,
    Layout,
    NORMALISED_LIMIT,
    Outputs,
    refuse,
)
import numpy as np

_COCO_COLUMNS = 91  # of the numbers 0 to 90
_MAX_QUERIES = 1000  # DETR has 100, RT-DETR and RF-DETR have 300, DINO has 900
_BACKGROUND_NAMES = ('background', '__background__')
_SCORE_WORDS = ('logit', 'label', 'score', 'class', 'conf')
_LOGIT_LAYOUTS = ('rtdetr', 'rfdetr', 'detr', 'yolonas')
_LABEL_LAYOUTS = ('labelled', 'mmdeploy', 'torchvision', 'tensorflow')


@dataclass(frozen=True, eq=False)
class LogitDecoder:
    """
    Reads boxes with one column for each class.

    Attributes
    ----------
    boxes, classes:
        The names of the outputs.
    class_of_column:
        ``(C,)`` int64, the class of each column; -1 for a column without a class.
    activation:
        What makes scores from the columns: 'sigmoid', 'softmax' or '' where they are scores.
    size:
        Width and height of the input in pixels.
    has_edges:
        Whether boxes are edges in pixels.

    """

    boxes: str
    classes: str
    class_of_column: np.ndarray
    activation: str
    size: tuple[int, int]
    has_edges: bool

    def __call__(self, outputs: Outputs) -> Candidates:
        """Return the boxes of an image."""
        boxes = np.asarray(outputs[self.boxes][0], np.float32)
        values = np.asarray(outputs[self.classes][0], np.float32)
        if self.activation == 'softmax':
            exponentials = np.exp(values - values.max(axis=1, keepdims=True))
            values = exponentials / exponentials.sum(axis=1, keepdims=True)
        named = np.flatnonzero(self.class_of_column >= 0)
        values = values[:, named]
        best = values.argmax(axis=1)
        scores = values[np.arange(len(values)), best]
        if self.activation == 'sigmoid':
            scores = np.float32(1) / (1 + np.exp(-np.clip(scores, -80, 80)))
        if not self.has_edges:
            boxes = corners_of(boxes) * np.array([*self.size] * 2, np.float32)
        return Candidates(scores, self.class_of_column[named][best], boxes)


@dataclass(frozen=True, eq=False)
class LabelDecoder:
    """
    Reads boxes with the number of the class of each one.

    Attributes
    ----------
    boxes, labels:
        The names of the outputs.
    scores:
        Likewise; empty where the score is the fifth column of the boxes.
    count:
        The name of the output with the number of valid boxes; empty where all are valid.
    class_of_label:
        ``(M,)`` int64, the class of each number; -1 for a number without a class.
    factors:
        ``(4,)`` what converts a box to pixels of the input.
    is_y_first:
        Whether a box is top, left, bottom, right.

    """

    boxes: str
    labels: str
    scores: str
    count: str
    class_of_label: np.ndarray
    factors: np.ndarray
    is_y_first: bool = False

    def __call__(self, outputs: Outputs) -> Candidates:
        """Return the boxes of an image; a number that no class has becomes an unknown class."""
        boxes = np.asarray(outputs[self.boxes], np.float32)
        boxes = boxes.reshape(-1, boxes.shape[-1])
        limit = int(np.ravel(outputs[self.count])[0]) if self.count else len(boxes)
        labels = np.rint(np.ravel(outputs[self.labels])).astype(np.int64)[:limit]
        scores = boxes[:, 4] if not self.scores \
            else np.ravel(np.asarray(outputs[self.scores], np.float32))
        edges = boxes[:limit, [1, 0, 3, 2]] if self.is_y_first else boxes[:limit, :4]
        known = (labels >= 0) & (labels < len(self.class_of_label))
        unknown_id = int(self.class_of_label.max(initial=0)) + 1
        ids = np.where(known, self.class_of_label[np.where(known, labels, 0)], unknown_id)
        return Candidates(scores[:limit], np.where(labels < 0, -1, ids),
                          edges * self.factors.astype(np.float32))


def recognise(evidence: Evidence, requested: str) -> Layout | None:
    """
    Return the layout of a model with boxes in an output of their own; None if there is none.

    Parameters
    ----------
    evidence:
        What is known of the model.
    requested:
        A layout, or 'auto'.

    Raises
    ------
    DetectionError
        The number of columns does not fit the classes.

    """
    outputs = evidence.outputs
    for boxes in _find_boxes(outputs):
        rows = outputs[boxes].shape[:-1]
        vectors = [name for name, array in outputs.items() if array.shape == rows]
        labels = _find(vectors, ('label', 'class')) or next(
            (name for name in vectors if np.issubdtype(outputs[name].dtype, np.integer)), '')
        others = [name for name in vectors if name != labels]
        scores = _find(others, ('score', 'conf')) or next(
            (name for name in others if np.issubdtype(outputs[name].dtype, np.floating)), '')
        if requested in ('auto', *_LABEL_LAYOUTS) and labels \
                and (scores or outputs[boxes].shape[-1] == 5):
            return _make_label_layout(boxes, labels, scores, evidence, requested)
        columns = sorted((name for name, array in outputs.items() if name != boxes
                          and array.ndim == 3 and array.shape[:-1] == rows),
                         key=lambda name: not _find([name], _SCORE_WORDS))
        if requested in ('auto', *_LOGIT_LAYOUTS) and columns and outputs[boxes].shape[-1] == 4:
            return _make_logit_layout(boxes, columns, evidence, requested)
    return None


def _find_boxes(outputs: Outputs) -> list[str]:
    """Return the outputs that may be boxes, those with a fitting name first."""
    fitting = [name for name, array in outputs.items()
               if array.ndim in (2, 3) and array.shape[-1] in (4, 5)
               and (array.ndim == 2 or array.shape[0] == 1)]
    return sorted(fitting, key=lambda name: ('raw' in name, not _find([name], ('box', 'det'))))


def _find(names: list[str], words: tuple[str, ...]) -> str:
    """Return the first name with one of these words in it; empty if there is none."""
    return next((name for name in names if any(word in name.lower() for word in words)), '')


def _make_logit_layout(boxes: str, columns: list[str], evidence: Evidence, requested: str
                       ) -> Layout:
    classes = len(evidence.class_names)
    counts = {name: evidence.outputs[name].shape[-1] for name in columns}
    name = next((name for name, count in counts.items() if _fits(count, classes)), '')
    if not name:
        refuse(evidence, requested, f'there are {" or ".join(map(str, counts.values()))} columns '
               f'of scores for {classes} {"name" if classes == 1 else "names"}; check '
               'onnx.classes')
    mapping = _map_columns(counts[name], classes)
    values = np.asarray(evidence.outputs[name], np.float32)
    layout = requested if requested != 'auto' else _name_logit_layout(boxes, name, evidence)
    activation = 'softmax' if layout == 'detr' else 'sigmoid'
    if layout == 'yolonas' or are_probabilities(values):
        activation = ''
    decoder = LogitDecoder(boxes, name, mapping, activation, evidence.size, layout == 'yolonas')
    if layout == 'yolonas':
        return Layout(layout, decoder, needs_suppression=True)
    return Layout(layout, decoder, fit='stretch',
                  values='rgb_1' if layout == 'rtdetr' else 'rgb_imagenet',
                  remark=_describe_rest(evidence, {boxes, name}))


def _are_coco_ids(columns: int, classes: int) -> bool:
    return classes == len(COCO_IDS) and columns in (_COCO_COLUMNS, _COCO_COLUMNS + 1)


def _fits(columns: int, classes: int) -> bool:
    return columns in (classes, classes + 1) or _are_coco_ids(columns, classes)


def _map_columns(columns: int, classes: int) -> np.ndarray:
    """Return the class of each column, -1 for none."""
    if _are_coco_ids(columns, classes):
        return _map_coco_ids(columns)
    return np.append(np.arange(classes), [-1] * (columns - classes)).astype(np.int64)


def _map_coco_ids(numbers: int) -> np.ndarray:
    class_ids = np.full(numbers, -1, np.int64)
    class_ids[COCO_IDS] = np.arange(len(COCO_IDS))
    return class_ids


def _name_logit_layout(boxes: str, columns: str, evidence: Evidence) -> str:
    array, classes = evidence.outputs[boxes], len(evidence.class_names)
    count, per_query = array.shape[1], evidence.outputs[columns].shape[-1]
    if array.max(initial=0) > NORMALISED_LIMIT and count in (
            count_cells(evidence.size, strides) for strides in GRIDS_PX):
        return 'yolonas'
    if count > _MAX_QUERIES or not are_probabilities(array):
        refuse(evidence, 'auto', f"'{boxes}' and '{columns}' have {count} boxes, and those of a "
               f'DETR are at most {_MAX_QUERIES} in fractions of the image; export the model with '
               'decoded and selected boxes')
    if {boxes, columns} == {'dets', 'labels'} or per_query == _COCO_COLUMNS:
        return 'rfdetr'
    return 'rtdetr' if per_query == classes else 'detr'


def _describe_rest(evidence: Evidence, used: set[str]) -> str:
    rest = [name for name in evidence.outputs if name not in used]
    return f"{' '.join(rest)} ignored" if rest else ''


def _make_label_layout(boxes: str, labels: str, scores: str, evidence: Evidence, requested: str
                       ) -> Layout:
    array = evidence.outputs[boxes]
    layout = requested if requested != 'auto' else _name_label_layout(boxes, array)
    count = next((name for name in evidence.outputs if 'num_' in name), '')
    from_one = layout in ('torchvision', 'tensorflow')
    in_fractions = layout == 'tensorflow' or (
        not evidence.takes_target_size and are_normalised(array[..., :4]))
    factors = np.array([*evidence.size] * 2) if in_fractions else np.ones(4)
    decoder = LabelDecoder(boxes, labels, scores, count, _map_labels(evidence, from_one), factors,
                           layout == 'tensorflow')
    remark = _describe_rest(evidence, {boxes, labels, scores, count})
    if layout == 'tensorflow':
        return Layout(layout, decoder, fit='stretch', values='rgb_255', remark=remark)
    if layout == 'mmdeploy':
        return Layout(layout, decoder, fit='corner', values='rgb_imagenet', remark=remark)
    # Exporters of the YOLO family count the boxes, and their models take letterboxed images.
    return Layout(layout, decoder, remark=remark,
                  fit='letterbox' if count or layout == 'torchvision' else 'stretch')


def _name_label_layout(name: str, boxes: np.ndarray) -> str:
    if boxes.shape[-1] == 5:
        return 'mmdeploy'
    if name.startswith('detection_'):
        return 'tensorflow'
    return 'torchvision' if boxes.ndim == 2 else 'labelled'


def _map_labels(evidence: Evidence, from_one: bool) -> np.ndarray:
    """Return the class of each label; where labels count from 1, 80 names are those of COCO."""
    names = evidence.class_names
    if not from_one or names[0].lower() in _BACKGROUND_NAMES:
        return np.arange(len(names))
    if len(names) == len(COCO_IDS):
        return _map_coco_ids(_COCO_COLUMNS)
    return np.append([-1], np.arange(len(names)))
