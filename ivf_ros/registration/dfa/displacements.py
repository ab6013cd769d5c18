# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Probability distributions of point displacements, and a homography fitted to all of them.

A point on an edge may match anywhere along the edge, and a point in a pattern may match several
places. So a point is not reduced to one match. The homography that the other points agree on
selects among its possible positions.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import geometry
from ivf_ros.registration.least_squares import least_squares
from ivf_ros.registration.point_matches import Matches
import numpy as np

# Prior standard deviation of a point from the position that the homography predicts, in cells, for
# each round.
_SIGMAS = (2.0, 1.5, 1.0, 1.0, 1.0)
_MIN_VARIANCE = 0.05  # cells^2


@dataclass(frozen=True, eq=False)
class Displacements:
    """
    Points of one image, and the probabilities of their displacements in the other.

    Attributes
    ----------
    points_px:
        ``(N, 2)`` float64.
    probability:
        ``(N, side, side)`` float32 of displacements from -(side // 2) to side // 2 cells along y
        and x. The sum for each point is 1.
    weight:
        ``(N,)`` float32, weight of a point from 0 to 1.
    cell_px:
        Side of a cell.
    n_searched:
        Number of all points, with those that are not covered.

    """

    points_px: np.ndarray
    probability: np.ndarray
    weight: np.ndarray
    cell_px: float
    n_searched: int

    def matches(self) -> Matches:
        """
        Return the most probable match of each point.

        It is the mean of the 3 x 3 displacements around the most probable one, weighted by
        probability. The distinctiveness is the sum of their probabilities times the weight of the
        point.
        """
        count, side, _ = self.probability.shape
        point = np.arange(count)[:, None]
        best = self.probability.reshape(count, side * side).argmax(1)
        x = np.clip(best % side, 1, side - 2)[:, None] + np.tile((-1, 0, 1), 3)
        y = np.clip(best // side, 1, side - 2)[:, None] + np.repeat((-1, 0, 1), 3)
        near = self.probability[point, y, x].astype(np.float64)
        total = near.sum(1)
        mean = np.stack([(near * x).sum(1), (near * y).sum(1)], 1) / total[:, None]
        return Matches(self.points_px, self.points_px + self.cell_px * (mean - side // 2),
                       total * self.weight, self.n_searched)

    def fit_homography(self, H: np.ndarray) -> np.ndarray | None:
        """
        Fit a homography near the identity to all points by expectation maximisation.

        The expected displacement of a point is that of the current homography, with a normal
        deviation. Together with the probabilities of the point this gives the mean and the
        covariance of its displacement. The homography is then fitted to the means. The weight of a
        point is the inverse covariance, which is large across an edge and small along it, times
        the probability that the point follows the homography instead of a uniform distribution.

        Parameters
        ----------
        H:
            ``(3, 3)``, the initial homography.

        Returns
        -------
        ndarray or None
            ``(3, 3)`` float64; None if the points do not determine it.

        """
        side = self.probability.shape[1]
        axis = np.arange(side, dtype=np.float32) - side // 2
        for sigma in _SIGMAS:
            expected = (geometry.transform_points(H, self.points_px) - self.points_px)
            deviation = (axis - (expected / self.cell_px).astype(np.float32)[..., None]) / sigma
            along_x, along_y = np.exp(-0.5 * deviation * deviation).transpose(1, 0, 2)
            posterior = self.probability * along_y[:, :, None] * along_x[:, None]
            total = posterior.sum((1, 2)) + 1e-12
            # the same for uniform probabilities
            uniform_total = along_x.sum(1) * along_y.sum(1) / side ** 2 + 1e-12
            mean, covariance = _moments(posterior / total[:, None, None], axis)
            xx, xy, yy = covariance
            weight = self.weight * total / (total + uniform_total) / (xx * yy - xy * xy)
            estimate = least_squares(self.points_px, self.points_px + self.cell_px * mean,
                                     np.stack([yy, -xy, xx], 1) * weight[:, None], 'homography')
            if estimate is None:
                return None
            H = estimate
        return H


def _moments(probability: np.ndarray, axis: np.ndarray
             ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return the means (N, 2) and the covariances xx, xy and yy of (N, side, side)."""
    marginal_x, marginal_y = probability.sum(1), probability.sum(2)
    x, y = marginal_x @ axis, marginal_y @ axis
    xx = marginal_x @ (axis * axis) - x * x + _MIN_VARIANCE
    yy = marginal_y @ (axis * axis) - y * y + _MIN_VARIANCE
    xy = ((probability @ axis) @ axis) - x * y
    return np.stack([x, y], 1).astype(np.float64), (xx, xy, yy)
