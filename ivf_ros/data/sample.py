# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One pair of a data set and what is known about it; nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from ivf_ros import geometry, images
from ivf_ros.data.folder import read_image
from ivf_ros.data.recording import SourceError, to_single_channel
from ivf_ros.data.video_frame import VideoFrame
from ivf_ros.types import Detection, Segmentation
import numpy as np

T = TypeVar('T')

IGNORED = 'ignore'  # class name of a box whose object counts neither as found nor as missed


class Origin(str, Enum):
    """Who says so; what a machine said is no truth to measure accuracy against."""

    EXACT = 'exact'  # known by construction: a simulator, a synthetic warp
    HUMAN = 'human'
    MEASURED = 'measured'  # found on a calibration target, to within the error of the detector
    MACHINE = 'machine'  # another network


@dataclass(frozen=True, eq=False)
class Annotation(Generic[T]):
    """
    Something known about a sample.

    Attributes
    ----------
    read:
        Reads it from disk; can be pickled, so a ``functools.partial`` and no lambda.
    origin:
        Who says so.
    complete:
        Everything there is was annotated; otherwise, as in a tracking data set, other objects
        of the same class may be there too.

    """

    read: Callable[[], T]
    origin: Origin
    complete: bool = True


@dataclass(frozen=True, eq=False)
class Landmarks:
    """
    Points of the scene that both images show.

    Attributes
    ----------
    thermal_px, rgb_px:
        ``(N, 2)`` float64, x right, y down, pixel centres at integers; row by row the same point.

    """

    thermal_px: np.ndarray
    rgb_px: np.ndarray


@dataclass(frozen=True, eq=False)
class Sample:
    """
    One thermal and one RGB image that belong together.

    Attributes
    ----------
    dataset:
        Name of the data set, with its split where it has one: ``'llvip/train'``.
    name:
        Unique within the data set.
    thermal, rgb:
        The file, the frame of a video, or the image where it comes from a stream.
    scene:
        The same for frames that resemble each other: a sequence, a place; empty where unknown.
    light:
        ``'day'``, ``'night'`` or empty where unknown.
    aligned:
        The images show the same view to within about three pixels, once stretched to one size.
    alignment_px:
        How far apart the two views of an aligned pair typically still are, in pixels of the
        thermal image, where somebody measured it. It is the error of the homography that follows
        from ``aligned``.
    H_thermal_to_rgb:
        ``(3, 3)`` float64 where one was measured; None where it is unknown, is no homography, or
        follows from ``aligned``: see ``true_H_thermal_to_rgb``.
    landmarks, detections, segmentation:
        None where nobody annotated them; no boxes means that there are no objects. Boxes and
        labels lie on the RGB grid. The edges of a box are those of the pixels, so that pixel 0
        reaches from 0 to 1; boxes of class ``IGNORED`` and the label 255 are to be ignored.

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

    def read_thermal(self) -> np.ndarray:
        """Return ``(H, W)``, of the depth of the file; raise SourceError where unreadable."""
        return to_single_channel(read_pixels(self.thermal))

    def read_rgb(self) -> np.ndarray:
        """Return ``(H, W, 3)`` uint8 BGR; raise SourceError where unreadable."""
        try:
            return images.as_bgr8(read_pixels(self.rgb))
        except images.ImageError as error:
            raise SourceError(f'{self.dataset} {self.name}: {error}') from None

    def true_H_thermal_to_rgb(self, thermal_size: tuple[int, int],
                              rgb_size: tuple[int, int]) -> np.ndarray | None:
        """
        Return the homography between images of these sizes in pixels, width first.

        It is the one that was measured, or the one that stretches one image over the other where
        the pair is aligned; None where neither is known.
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
        The layout that was recognised, for example ``'MSRS'``.
    root:
        Where it was found.

    """

    name: str
    layout: str
    root: Path
    samples: tuple[Sample, ...]

    @property
    def held_back(self) -> tuple[Sample, ...]:
        """Return every fourth block of 14 neighbours: what is measured on, and never learned."""
        return tuple(sample for index, sample in enumerate(self.samples) if _is_held_back(index))

    @property
    def for_training(self) -> tuple[Sample, ...]:
        """Return all others."""
        return tuple(sample for index, sample in enumerate(self.samples)
                     if not _is_held_back(index))


def read_pixels(image: Path | VideoFrame | np.ndarray) -> np.ndarray:
    """Return an image of a sample as it was stored; raise SourceError where unreadable."""
    if isinstance(image, Path):
        return read_image(image)
    return image.read() if isinstance(image, VideoFrame) else image


def _is_held_back(index: int) -> bool:
    # Neighbours are alike, so they are held back together.
    return index // 14 % 4 == 3
