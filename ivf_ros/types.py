# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Data types that the stages exchange: frames, registrations, detections, segmentations."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

# Stages of the graph, in the order of the data flow.
STAGES = ('registration', 'fusion', 'segmentation', 'detection')
# The nodes of the graph. ``perception`` is segmentation and detection by one network.
GRAPH_NODES = ('registration', 'fusion', 'perception')

# Classes of MFNet (Ha et al. 2017) in label order; MSRS uses the same classes.
MFNET_CLASSES = ('unlabelled', 'car', 'person', 'bike', 'curve', 'car_stop', 'guardrail',
                 'color_cone', 'bump')


@dataclass(frozen=True, eq=False)
class Frame:
    """
    One image from a camera or a stage.

    Frames are passed between nodes by reference, so ``image`` must not be modified.

    Attributes
    ----------
    image:
        ``(H, W)`` or ``(H, W, 3)``; uint8, uint16, float32 or float64. Colour is BGR.
    stamp_ns:
        Acquisition time in nanoseconds, on the clock of the graph.
    frame_id:
        Optical frame of the camera that defines the pixel grid of the image.

    """

    image: np.ndarray
    stamp_ns: int = 0
    frame_id: str = ''

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height in pixels, in the order of OpenCV."""
        return self.image.shape[1], self.image.shape[0]


class RegistrationState(str, Enum):
    """Origin of the homography in use."""

    TRACKING = 'TRACKING'  # measured on the latest images
    HOLDING = 'HOLDING'  # the last accepted measurement, which ages
    PRIOR = 'PRIOR'  # from calibration or configuration: not measured yet, or too long ago
    LOST = 'LOST'  # no reliable homography


@dataclass(frozen=True, eq=False)
class Registration:
    """
    Mapping of thermal pixels to RGB pixels, and its reliability.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64, ``H[2, 2] == 1``; maps homogeneous thermal pixel coordinates (x right,
        y down, centres at integers) to RGB pixel coordinates. It is always usable: in state LOST
        it is the last known mapping, or the plain resize of thermal to the RGB size.
    confidence:
        0 (worthless) to 1 (certain).
    inliers:
        Number of local matches that agree with the homography; 0 without a measurement.
    state:
        Origin of the homography: measured, held, or a prior.
    rgb_size:
        Width and height in pixels of the RGB grid that the homography maps to.
    age_s:
        Seconds since the last accepted measurement; infinity if there was none.
    reason:
        Reason for the rejection of the latest measurement; empty if it was accepted.
    corner_deviation_px:
        Standard deviation of the corners of the thermal image in RGB pixels; infinity if it is
        not estimated.

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
        Left, top, right and bottom edge in pixels of the input image.
    class_name:
        Name of the class, for example ``'person'``.
    score:
        Confidence, 0 to 1.
    track_id:
        Identity over time; empty without tracking.
    median_celsius, maximum_celsius:
        Apparent temperature within the box; None if it is unknown.
    temperature_problem:
        Why the temperature is unknown; empty if it is known or was not asked for.

    """

    box_xyxy_px: tuple[float, float, float, float]
    class_name: str
    score: float
    track_id: str = ''
    median_celsius: float | None = None
    maximum_celsius: float | None = None
    temperature_problem: str = field(default='', compare=False)


@dataclass(frozen=True, eq=False)
class Segmentation:
    """
    One label per pixel.

    Attributes
    ----------
    labels:
        ``(H, W)`` uint8, indices into ``class_names``.
    class_names:
        Class names by label; index 0 is the background.

    """

    labels: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """
    Ground truth of one RGB frame, from a simulator or from annotations.

    Attributes
    ----------
    H_thermal_to_rgb:
        ``(3, 3)`` float64, or None if the true mapping is unknown or is not a homography.
    detections:
        True boxes on the RGB grid, or None without annotations.
    segmentation:
        True labels on the RGB grid, or None without annotations.

    """

    H_thermal_to_rgb: np.ndarray | None = None
    detections: tuple[Detection, ...] | None = None
    segmentation: Segmentation | None = None


@dataclass(frozen=True, eq=False)
class Event:
    """
    One frame of a source. A source yields events in the order of delivery by the cameras.

    Attributes
    ----------
    stream:
        ``'thermal'`` or ``'rgb'``.
    frame:
        The image with its stamp.
    truth:
        Ground truth of an RGB frame; None for thermal frames.
    recorded_ns:
        Time at which a recorder received the frame, in nanoseconds; None without a recorder.

    """

    stream: str
    frame: Frame
    truth: Truth | None = field(default=None)
    recorded_ns: int | None = None
