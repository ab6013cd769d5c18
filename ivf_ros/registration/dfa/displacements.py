# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
How probably points moved by how much, and the homography that fits them together.

A point on an edge may have moved anywhere along it, and one in a pattern to several places. So a
point is not reduced to one match: where the others put it says which of its places is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import geometry
from ivf_ros.registration.least_squares import least_squares
from ivf_ros.registration.point_matches import Matches
import numpy as np

# How far in cells a point may go from where the homography so far puts it, one round after the
# other, as a standard deviation.
_SIGMAS = (2.0, 1.5, 1.0, 1.0, 1.0)
_LEAST_VARIANCE = 0.05  # cells^2


@dataclass(frozen=True, eq=False)
class Displacements:
    """
    Points of one image and how probably they moved by how much in the other.

    Attributes
    ----------
    places_px:
        ``(N, 2)`` float64.
    probability:
        ``(N, side, side)`` float32 of displacements, -side // 2 to side // 2 cells along y and x.
        They add up to 1.
    weight:
        ``(N,)`` float32, 0 to 1: how much a point counts.
    cell_px:
        Length of a cell.
    looked_for:
        How many points there are, with those that are not seen.

    """

    points_px: np.ndarray
    probability: np.ndarray
    weight: np.ndarray
    cell_px: float
    n_searched: int

    def matches(self) -> Matches:
        """
        Return where each point most probably lies.

        It is the mean over the 3 x 3 displacements around the highest, weighed by probability.
        How distinct the match is, is the share of these in all, times the weight of the point.
        """
        count, side, _ = self.probability.shape
        point = np.arange(count)[:, None]
        best = self.probability.reshape(count, side * side).argmax(1)
        x = np.clip(best % side, 1, side - 2)[:, None] + np.tile((-1, 0, 1), 3)
        y = np.clip(best // side, 1, side - 2)[:, None] + np.repeat((-1, 0, 1), 3)
        near = self.probability[point, y, x].astype(np.float64)
        share = near.sum(1)
        place = np.stack([(near * x).sum(1), (near * y).sum(1)], 1) / share[:, None]
        return Matches(self.points_px, self.points_px + self.cell_px * (place - side // 2),
                       share * self.weight, self.n_searched)

    def fitted(self, H: np.ndarray) -> np.ndarray | None:
        """
        Return the homography near the identity that fits all points together, starting from one.

        Expectation maximisation. The displacement of a point is that which the homography
        expects, give or take a normal deviation; with the probability that it has by itself this
        gives its mean and covariance. To the means the homography is fitted again, weighed by the
        inverse covariance, which is large across an edge and small along it, and by how probable
        the point is to move as expected rather than anyhow.

        Takes and returns ``(3, 3)``; None where the points do not determine it.
        """
        side = self.probability.shape[1]
        axis = np.arange(side, dtype=np.float32) - side // 2
        for sigma in _SIGMAS:
            expected = (geometry.transform_points(H, self.points_px) - self.points_px)
            deviation = (axis - (expected / self.cell_px).astype(np.float32)[..., None]) / sigma
            along_x, along_y = np.exp(-0.5 * deviation * deviation).transpose(1, 0, 2)
            posterior = self.probability * along_y[:, :, None] * along_x[:, None]
            total = posterior.sum((1, 2)) + 1e-12
            # The same if all displacements were equally probable
            uniform_total = along_x.sum(1) * along_y.sum(1) / side ** 2 + 1e-12
            mean, covariance = _moments(posterior / total[:, None, None], axis)
            xx, xy, yy = covariance
            weight = self.weight * total / (total + uniform_total) / (xx * yy - xy * xy)
            fitted = least_squares(self.points_px, self.points_px + self.cell_px * mean,
                                   np.stack([yy, -xy, xx], 1) * weight[:, None], 'homography')
            if fitted is None:
                return None
            H = fitted
        return H


def _moments(probability: np.ndarray, axis: np.ndarray
             ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return means (N, 2) and variances along x, across and along y of (N, side, side)."""
    of_x, of_y = probability.sum(1), probability.sum(2)
    x, y = of_x @ axis, of_y @ axis
    xx = of_x @ (axis * axis) - x * x + _LEAST_VARIANCE
    yy = of_y @ (axis * axis) - y * y + _LEAST_VARIANCE
    xy = ((probability @ axis) @ axis) - x * y
    return np.stack([x, y], 1).astype(np.float64), (xx, xy, yy)
