# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Measures of label images: IoU and accuracy of each class, and their means.

Counts of many images are added up before anything is divided, as Cityscapes, MFNet and MSRS are
scored: a class that is rare in one image must not weigh as much as one that fills it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.types import Segmentation
import numpy as np

IGNORE = 255

SEGMENTATION_METRICS = (
    MetricInfo('accuracy', 'higher', '', 'share of the labelled pixels with the right class'),
    MetricInfo('mIoU', 'higher', '', 'mean of the IoU over the classes that occur'),
    MetricInfo('mAcc', 'higher', '', 'mean over the classes that occur of the share of their '
               'pixels that were found'),
    MetricInfo('foreground_IoU', 'higher', '', 'IoU of all that is not background, whatever its '
               'class'),
)


def confusion(predicted: Segmentation, true: Segmentation) -> np.ndarray:
    """
    Count the pixels of each true class by the class that was found for them.

    Classes go by their names; index 0 is the background in both. What was found to be of a class
    that ``true`` does not name has a column of its own, the last one.

    Parameters
    ----------
    predicted, true:
        Labels of one size. True label 255 is ignored.

    Returns
    -------
    ndarray
        ``(N, N + 1)`` int64, row the true class, column the one predicted, N the classes of ``true``.

    Raises
    ------
    MetricError
        Sizes differ, or a label has no name.

    """
    if predicted.labels.shape != true.labels.shape:
        raise MetricError(f'labels must have one shape, got {predicted.labels.shape} found and '
                          f'{true.labels.shape} true')
    classes = len(true.class_names)
    labelled = true.labels != IGNORE
    true_labels, found_labels = true.labels[labelled], predicted.labels[labelled]
    if true_labels.size and int(true_labels.max()) >= classes:
        raise MetricError(f'true label {true_labels.max()} has no name; there are {classes}')
    if found_labels.size and int(found_labels.max()) >= len(predicted.class_names):
        raise MetricError(f'found label {found_labels.max()} has no name; '
                          f'there are {len(predicted.class_names)}')
    known = {name: index for index, name in enumerate(true.class_names)}
    column = np.array([0, *(known.get(name, classes) for name in predicted.class_names[1:])], np.int64)
    pairs = true_labels.astype(np.int64) * (classes + 1) + column[found_labels]
    return np.bincount(pairs, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def segmentation(counts: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """
    Measure from the counts of one image, or from the sum of those of many.

    IoU = TP / (TP + FP + FN) of a class, accuracy of a class TP / (TP + FN). A class that neither
    occurs nor was found has no IoU and takes no part in the mean.

    Parameters
    ----------
    counts:
        ``(N, N + 1)``, from ``confusion``.
    class_names:
        The N names; the first one is the background.

    Returns
    -------
    dict
        ``accuracy``, ``mIoU``, ``mAcc``, ``foreground_IoU``, and ``IoU <class>``, ``Acc <class>``
        of each class; NaN where it is not defined.

    Raises
    ------
    MetricError
        The counts do not fit the names.

    """
    classes = len(class_names)
    if counts.shape != (classes, classes + 1):
        raise MetricError(f'counts of {classes} classes have shape {(classes, classes + 1)}, '
                          f'got {counts.shape}')
    hits = np.diag(counts).astype(np.float64)
    true, predicted = counts.sum(axis=1), counts[:, :classes].sum(axis=0)
    iou, recall = _share(hits, true + predicted - hits), _share(hits, true)
    foreground = counts[1:, 1:].sum()
    return {
        'accuracy': float(_share(hits.sum(), counts.sum())),
        'mIoU': _mean(iou),
        'mAcc': _mean(recall),
        'foreground_IoU': float(_share(foreground, counts.sum() - counts[0, 0])),
        **{f'IoU {name}': float(value) for name, value in zip(class_names, iou)},
        **{f'Acc {name}': float(value) for name, value in zip(class_names, recall)},
    }


def _share(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """Return part / whole, NaN where there is no whole."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float('nan')
