# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What travels between the stages: frames, registrations, detections, segmentations."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

# The classes of MFNet (Ha et al. 2017), which MSRS took over, by label.
MFNET_CLASSES = ('unlabelled', 'car', 'person', 'bike', 'curve', 'car_stop', 'guardrail',
                 'color_cone', 'bump')


@dataclass(frozen=True, eq=False)
class Frame:
    """
    One image as a camera, or a stage, produced it.

    A frame is handed from node to node by reference, so nobody writes into ``image``.

    Attributes
    ----------
    image:
        ``(H, W)`` or ``(H, W, 3)``; uint8, uint16, float32 or float64. Colour is BGR.
    stamp_ns:
        Acquisition time in nanoseconds of the clock of the graph.
    frame_id:
        Optical frame of the camera on whose pixel grid the image lies.

    """

    image: np.ndarray
    stamp_ns: int = 0
    frame_id: str = ''

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels, the order in which OpenCV wants them."""
        return self.image.shape[1], self.image.shape[0]


class RegistrationState(str, Enum):
    """Where the homography in use comes from."""

    TRACKING = 'TRACKING'  # measured on the latest images
    HOLDING = 'HOLDING'  # the last good measurement, ageing
    PRIOR = 'PRIOR'  # calibration or configuration, never measured or too long ago
    LOST = 'LOST'  # nothing trustworthy is known


@dataclass(frozen=True, eq=False)
class Registration:
    """
    How thermal pixels map to RGB pixels, and how far to trust it.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64, ``H[2, 2] == 1``; maps homogeneous thermal pixel coordinates (x right,
        y down, centres at integers) to RGB pixel coordinates. Always usable: in state LOST it is
        the last known mapping, or the one that stretches the thermal image over the RGB grid.
    confidence:
        0 (worthless) to 1 (certain).
    inliers:
        Number of local matches that agree with the homography; 0 where none were measured.
    state:
        Whether this was measured, is held, or is only a prior.
    rgb_size:
        Width and height in pixels of the RGB grid that the homography maps to.
    age_s:
        Seconds since the homography was last measured; infinite where it never was.
    reason:
        Why the latest measurement was rejected; empty where it was accepted.
    corner_deviation_px:
        How far a corner of the thermal image is expected to be off in RGB pixels, one standard
        deviation; infinite where nobody estimates it.

    """

    H_thermal_to_rgb: np.ndarray
    confidence: float
    inliers: int
    state: RegistrationState
    rgb_size: tuple[int, int]
    age_s: float = float('inf')
    reason: str = ''
    corner_deviation_px: float = float('inf')


@dataclass(frozen=True)
class Detection:
    """
    One detected object.

    Attributes
    ----------
    box_xyxy_px:
        Left, top, right, bottom edge in pixels of the image that was searched.
    class_name:
        Name of the class, for example ``'person'``.
    score:
        0 to 1.
    track_id:
        Identity over time; empty where nobody tracks.
    median_celsius, maximum_celsius:
        Apparent temperature within the box; None where thermal is not radiometric.

    """

    box_xyxy_px: tuple[float, float, float, float]
    class_name: str
    score: float
    track_id: str = ''
    median_celsius: float | None = None
    maximum_celsius: float | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """
    One label per pixel.

    Attributes
    ----------
    labels:
        ``(H, W)`` uint8, indices into ``class_names``.
    class_names:
        Index 0 is the background.

    """

    labels: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """
    What is known to be true of one RGB frame, by a simulator or by annotation.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64, or None where the true mapping is unknown or is no homography.
    detections:
        True boxes on the RGB grid, or None where nobody annotated them.
    segmentation:
        True labels on the RGB grid, or None.

    """

    H_thermal_to_rgb: np.ndarray | None = None
    detections: tuple[Detection, ...] | None = None
    segmentation: Segmentation | None = None


@dataclass(frozen=True, eq=False)
class Event:
    """
    One frame out of a source, in the order in which the cameras delivered them.

    Attributes
    ----------
    stream:
        ``'thermal'`` or ``'rgb'``.
    frame:
        The image with its stamp.
    truth:
        On RGB frames, what is known to be true; None on thermal frames.

    """

    stream: str
    frame: Frame
    truth: Truth | None = field(default=None)
