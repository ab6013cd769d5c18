# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One pair of a data set and what is known about it; nothing is read before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Generic, TypeVar

from ivf_ros import images
from ivf_ros.data.folder import read_image
from ivf_ros.data.recording import as_thermal, SourceError
from ivf_ros.types import Detection, Segmentation
import numpy as np

T = TypeVar('T')


class Origin(str, Enum):
    """Who says so; what a machine said is no truth to measure accuracy against."""

    EXACT = 'exact'  # known by construction: a simulator, a synthetic warp
    HUMAN = 'human'
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

    """

    read: Callable[[], T]
    origin: Origin


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
        Name of the data set, for example ``'roadscene'``.
    name:
        Unique within the data set.
    thermal, rgb:
        The file, or the image where it comes from a stream.
    scene:
        The same for frames that resemble each other: a sequence, a place; empty where unknown.
    light:
        ``'day'``, ``'night'`` or empty where unknown.
    aligned:
        The images show the same view to within about three pixels, once stretched to one size.
    H_thermal_to_rgb:
        ``(3, 3)`` float64, or None where it is unknown or is no homography.
    landmarks, detections, segmentation:
        None where there are none. Boxes and labels lie on the RGB grid; label 255 is to be
        ignored.

    """

    dataset: str
    name: str
    thermal: Path | np.ndarray
    rgb: Path | np.ndarray
    scene: str = ''
    light: str = ''
    aligned: bool = False
    H_thermal_to_rgb: np.ndarray | None = None
    landmarks: Annotation[Landmarks] | None = None
    detections: Annotation[tuple[Detection, ...]] | None = None
    segmentation: Annotation[Segmentation] | None = None

    def read_thermal(self) -> np.ndarray:
        """Return ``(H, W)``, of the depth of the file; raise SourceError where unreadable."""
        return as_thermal(read_image(self.thermal) if isinstance(self.thermal, Path)
                          else self.thermal)

    def read_rgb(self) -> np.ndarray:
        """Return ``(H, W, 3)`` uint8 BGR; raise SourceError where unreadable."""
        image = read_image(self.rgb) if isinstance(self.rgb, Path) else self.rgb
        try:
            return images.as_bgr8(image)
        except images.ImageError as error:
            raise SourceError(f'{self.dataset} {self.name}: {error}') from None


@dataclass(frozen=True, eq=False)
class Dataset:
    """
    The samples of one data set, in natural order of their names.

    Attributes
    ----------
    name:
        As in ``Sample.dataset``.
    layout:
        The published layout that was recognised, for example ``'MSRS'``.
    root:
        Where it was found.

    """

    name: str
    layout: str
    root: Path
    samples: tuple[Sample, ...]
