# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One pair of a data set with its annotations; files are read only on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from ivf_ros import geometry, images
from ivf_ros.camera_input import CameraGeometry, CameraInputError, CameraParameters
from ivf_ros.data.image_file import read_thermal, read_visible
from ivf_ros.data.recording import SourceError, to_thermal
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Detection, Segmentation
import numpy as np

T = TypeVar('T')

IGNORED = 'ignore'  # class name of a box that counts neither as detected nor as missed


class Origin(str, Enum):
    """Origin of an annotation; machine annotations are not a ground truth for accuracy."""

    EXACT = 'exact'  # known by construction: a simulator, a synthetic warp
    HUMAN = 'human'
    DEVELOPERS = 'developers'  # drawn by those who made the networks, so less independent
    MEASURED = 'measured'  # detected on a calibration target, within the error of the detector
    MACHINE = 'machine'  # another network


@dataclass(frozen=True, eq=False)
class Annotation(Generic[T]):
    """
    One annotation of a sample.

    Attributes
    ----------
    read:
        Reads the annotation from disk. It must be picklable: ``functools.partial``, not a lambda.
    origin:
        Origin of the annotation.
    complete:
        All objects are annotated. If false, as in a tracking data set, the image may show other
        objects of the same class.

    """

    read: Callable[[], T]
    origin: Origin
    complete: bool = True


@dataclass(frozen=True, eq=False)
class Landmarks:
    """
    Scene points that are visible in both images.

    Attributes
    ----------
    thermal_px, rgb_px:
        ``(N, 2)`` float64, x right, y down, pixel centres at integers. Row ``i`` of both arrays is
        the same scene point.

    """

    thermal_px: np.ndarray
    rgb_px: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample:
    """
    A pair of one thermal and one RGB image.

    Attributes
    ----------
    dataset:
        Name of the data set, with its split if it has one: ``'llvip/train'``.
    name:
        Unique within the data set.
    thermal, rgb:
        Image file, video frame, or the image itself if it comes from a stream.
    scene:
        Common to similar frames, for example of one sequence or place; empty if unknown.
    light:
        ``'day'``, ``'night'``, or empty if unknown.
    aligned:
        The images show the same view within about three pixels after a plain resize to one size.
    alignment_px:
        Typical residual misalignment of an aligned pair in thermal pixels, if it was measured. It
        is the error of the homography that follows from ``aligned``.
    H_thermal_to_rgb:
        ``(3, 3)`` float64 if it was measured; None if it is unknown, is not a homography, or
        follows from ``aligned``: see ``true_H_thermal_to_rgb``.
    landmarks, detections, segmentation:
        None without annotations; an empty tuple of boxes means that there are no objects. Boxes
        and labels are on the RGB grid. Box edges are pixel edges: pixel 0 extends from 0 to 1.
        Boxes of class ``IGNORED`` and the label 255 are to be ignored.
    stamp_ns:
        Time stamp of the RGB image if it is one of a stream.
    thermal_camera, rgb_camera:
        How the cameras were built in; the images are corrected when they are read.

    """

    dataset: str
    name: str
    thermal: Path | VideoFrame | np.ndarray
    rgb: Path | VideoFrame | np.ndarray
    scene: str = ''
    light: str = ''
    aligned: bool = False
    alignment_px: float | None = None
    H_thermal_to_rgb: np.ndarray | None = None
    landmarks: Annotation[Landmarks] | None = None
    detections: Annotation[tuple[Detection, ...]] | None = None
    segmentation: Annotation[Segmentation] | None = None
    stamp_ns: int | None = None
    thermal_camera: ThermalCameraParameters = field(default_factory=ThermalCameraParameters)
    rgb_camera: CameraParameters = field(default_factory=CameraParameters)

    def read_thermal(self) -> np.ndarray:
        """Return ``(H, W)`` as the nodes get it; raise SourceError if it is unreadable."""
        stored = read_thermal(self.thermal) if isinstance(self.thermal, Path) \
            else read_pixels(self.thermal)
        try:
            return to_thermal(stored, self.thermal_camera)
        except SourceError as error:
            raise SourceError(f'{self.dataset} {self.name}: {error}') from None

    def read_rgb(self) -> np.ndarray:
        """Return ``(H, W, 3)`` uint8 BGR; raise SourceError if unreadable."""
        try:
            image = images.as_bgr8(read_pixels(self.rgb))
            return CameraGeometry(self.rgb_camera).apply(image)
        except (images.ImageError, CameraInputError) as error:
            raise SourceError(f'{self.dataset} {self.name}: {error}') from None

    def true_H_thermal_to_rgb(self, thermal_size: tuple[int, int],
                              rgb_size: tuple[int, int]) -> np.ndarray | None:
        """
        Return the homography between images of these sizes ``(width, height)`` in pixels.

        It is the measured homography, or for an aligned pair the plain resize of thermal to the
        RGB size. It is None if neither is known.
        """
        if self.H_thermal_to_rgb is None and self.aligned:
            return geometry.stretch(thermal_size, rgb_size)
        return self.H_thermal_to_rgb


@dataclass(frozen=True, eq=False)
class Dataset:
    """
    The samples of one data set, in natural order of their names.

    Attributes
    ----------
    name:
        As in ``Sample.dataset``.
    layout:
        Name of the recognised layout, for example ``'MSRS'``.
    root:
        Folder of the data set.

    """

    name: str
    layout: str
    root: Path
    samples: tuple[Sample, ...]

    @property
    def held_back(self) -> tuple[Sample, ...]:
        """Return the evaluation samples, never used in training: each fourth block of 14."""
        return tuple(sample for index, sample in enumerate(self.samples) if _is_held_back(index))

    @property
    def for_training(self) -> tuple[Sample, ...]:
        """Return the training samples: all that are not held back."""
        return tuple(sample for index, sample in enumerate(self.samples)
                     if not _is_held_back(index))


def read_pixels(image: Path | VideoFrame | np.ndarray) -> np.ndarray:
    """Return a visible image of a sample as it is stored; raise SourceError if unreadable."""
    if isinstance(image, Path):
        return read_visible(image)
    return image.read() if isinstance(image, VideoFrame) else image


def _is_held_back(index: int) -> bool:
    # Neighbouring samples are similar, so a whole block is held back.
    return index // 14 % 4 == 3
