# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The figure of the study of metrics."""

from __future__ import annotations

from ivf_ros.evaluation.studies.figures import blank_figure, png_bytes
from ivf_ros.evaluation.studies.metric_study import MetricStudy
import numpy as np


def draw_agreement(study: MetricStudy) -> bytes:
    """Return a PNG: the tree of the metrics, and their Kendall tau in the order of the tree."""
    figure = blank_figure((9.5, 8.2))
    from scipy.cluster.hierarchy import dendrogram

    tree_axes, matrix_axes = figure.subplots(2, 1, height_ratios=(1, 3))
    tree = dendrogram(study.linkage, ax=tree_axes, no_labels=True, color_threshold=0,
                      above_threshold_color='0.35')
    tree_axes.set_ylabel('1 - tau')
    tree_axes.spines[['top', 'right', 'bottom']].set_visible(False)
    order = tree['leaves']
    names = [study.metrics[i] for i in order]
    tau = study.tau[np.ix_(order, order)]
    image = matrix_axes.imshow(tau, vmin=-1, vmax=1, cmap='RdBu', aspect='auto')
    matrix_axes.set_xticks(range(len(names)), names, rotation=60, ha='right', fontsize=8)
    matrix_axes.set_yticks(range(len(names)), names, fontsize=8)
    for y, x in np.ndindex(tau.shape):
        matrix_axes.text(x, y, f'{tau[y, x]:.1f}'.replace('-0.0', '0.0'), ha='center',
                         va='center', fontsize=6,
                         color='white' if abs(tau[y, x]) > 0.6 else 'black')
    figure.colorbar(image, ax=matrix_axes, label='Kendall tau, mean over images', shrink=0.8)
    return png_bytes(figure)
