# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Metrics of label images: IoU and accuracy of each class, and their means.

The counts of many images are summed before the division, as for Cityscapes, MFNet and MSRS. So a
class that is rare in one image does not weigh as much as a class that fills the image.
"""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros.evaluation.metrics.info import MetricInfo
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.types import Segmentation
import numpy as np

IGNORE = 255

SEGMENTATION_METRICS = (
    MetricInfo('accuracy', 'higher', '', 'fraction of the labelled pixels with the correct class'),
    MetricInfo('mIoU', 'higher', '', 'mean IoU over the classes that occur'),
    MetricInfo('mAcc', 'higher', '', 'mean pixel recall over the classes that occur'),
    MetricInfo('foreground_IoU', 'higher', '', 'IoU of the foreground, all classes but the '
               'background together'),
)


def confusion_matrix(predicted: Segmentation, true: Segmentation) -> np.ndarray:
    """
    Count the pixels for each pair of true and predicted class.

    Classes are matched by name; index 0 is the background in both images. Pixels whose predicted
    class has no name in ``true`` are counted in the last column.

    Parameters
    ----------
    predicted, true:
        Labels of one size. True label 255 is ignored.

    Returns
    -------
    ndarray
        ``(N, N + 1)`` int64; rows are true classes, columns predicted classes, N the number of
        classes of ``true``.

    Raises
    ------
    MetricError
        The sizes differ, or a label has no class name.

    """
    if predicted.labels.shape != true.labels.shape:
        raise MetricError('predicted and true labels must have one shape, got '
                          f'{predicted.labels.shape} and {true.labels.shape}')
    classes = len(true.class_names)
    labelled = true.labels != IGNORE
    true_labels, predicted_labels = true.labels[labelled], predicted.labels[labelled]
    if true_labels.size and int(true_labels.max()) >= classes:
        raise MetricError(f'true label {true_labels.max()} has no class name; '
                          f'there are {classes} names')
    if predicted_labels.size and int(predicted_labels.max()) >= len(predicted.class_names):
        raise MetricError(f'predicted label {predicted_labels.max()} has no class name; '
                          f'there are {len(predicted.class_names)} names')
    index_of = {name: index for index, name in enumerate(true.class_names)}
    column = np.array([0, *(index_of.get(name, classes) for name in predicted.class_names[1:])],
                      np.int64)
    pairs = true_labels.astype(np.int64) * (classes + 1) + column[predicted_labels]
    return np.bincount(pairs, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def segmentation(counts: np.ndarray, class_names: Sequence[str]) -> dict[str, float]:
    """
    Compute the segmentation metrics from the counts of one image, or the summed counts of many.

    IoU of a class is TP / (TP + FP + FN), accuracy of a class is TP / (TP + FN). A class that is
    neither in the true nor in the predicted labels has no IoU and does not count for the mean.

    Parameters
    ----------
    counts:
        ``(N, N + 1)``, from ``confusion_matrix``.
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
        The counts have another number of classes than the names.

    """
    classes = len(class_names)
    if counts.shape != (classes, classes + 1):
        raise MetricError(f'counts of {classes} classes must have shape {(classes, classes + 1)}, '
                          f'got {counts.shape}')
    hits = np.diag(counts).astype(np.float64)
    true, predicted = counts.sum(axis=1), counts[:, :classes].sum(axis=0)
    iou, recall = _divide(hits, true + predicted - hits), _divide(hits, true)
    foreground = counts[1:, 1:].sum()
    return {
        'accuracy': float(_divide(hits.sum(), counts.sum())),
        'mIoU': _mean(iou),
        'mAcc': _mean(recall),
        'foreground_IoU': float(_divide(foreground, counts.sum() - counts[0, 0])),
        **{f'IoU {name}': float(value) for name, value in zip(class_names, iou)},
        **{f'Acc {name}': float(value) for name, value in zip(class_names, recall)},
    }


def _divide(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """Return part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float('nan')
