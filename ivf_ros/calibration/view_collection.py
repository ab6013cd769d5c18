# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Collection of the views of a board from a source.

Each pair of a folder of images is a view. Of a video, a bag or a live topic, a pair becomes a view
if the board is still, and if it lies elsewhere than in the views so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import cv2
from ivf_ros import geometry
from ivf_ros.calibration.boards import Board, BoardPoints
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.calibration.intrinsics import MIN_VIEWS
from ivf_ros.calibration.rig_calibration import STREAMS, View
from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.corrected_source import CorrectedSource
from ivf_ros.data.folder import FolderSource
from ivf_ros.data.frame_pairs import pair_events
from ivf_ros.data.sources import Source
from ivf_ros.pairing import PairingParameters
from ivf_ros.thermal import Agc
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Frame
import numpy as np

# Fractions of the diagonal of an image: the mean motion of the points between two pairs of a still
# board, and the largest distance to the same points of another view.
_STILL, _DIFFERENT = 0.0025, 0.03
_EVERY = 10  # pairs of a stream
COVERAGE_CELLS = 3  # in each direction of an image
_CANVAS_PX = 100
_ROWS, _COLUMNS = ('top', 'middle', 'bottom'), ('left', 'centre', 'right')


@dataclass(frozen=True)
class CollectionParameters:
    """
    Which pairs of a source become views.

    Attributes
    ----------
    every:
        Every n-th pair is searched; 0 is each pair of a folder and every tenth of a stream.
    max_views:
        The collection ends with this number of views.
    pairing:
        How frames of a stream are paired.
    thermal_camera, rgb_camera:
        How the cameras are built in; their images are corrected first.

    """

    every: int = 0
    max_views: int = 200
    pairing: PairingParameters = field(default_factory=PairingParameters)
    thermal_camera: ThermalCameraParameters = field(default_factory=ThermalCameraParameters)
    rgb_camera: CameraParameters = field(default_factory=CameraParameters)


@dataclass(eq=False)
class ViewCollection:
    """
    The views so far, and what they cover.

    Attributes
    ----------
    board:
        The board.
    select:
        Whether pairs are selected, as in a stream, or all used.
    views:
        The views.
    sizes:
        Width and height of the images by stream.
    searched, moving, similar:
        Number of pairs that were searched, that were left out because the board moved, and that
        were left out because the board lies as in an earlier view.
    example:
        Images of the first view in which both cameras see the board, as ``gray8`` and BGR.

    """

    board: Board
    select: bool
    views: list[View] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    searched: int = 0
    moving: int = 0
    similar: int = 0
    example: Mapping[str, np.ndarray] = field(default_factory=dict)
    _previous: Mapping[str, BoardPoints] = field(default_factory=dict)

    def add(self, name: str, images: Mapping[str, np.ndarray]) -> bool:
        """
        Search the board in a pair of images; return whether the pair became a view.

        ``images`` are thermal ``(H, W)`` and RGB ``(H, W, 3)`` or ``(H, W)``.

        Raises
        ------
        CalibrationError
            The size of the images of a camera changes.

        """
        found = {}
        for stream in STREAMS:
            size = geometry.size_of(images[stream])
            if self.sizes.setdefault(stream, size) != size:
                raise CalibrationError(
                    f'{stream}: {name} has {size[0]}x{size[1]} pixels, the images before have '
                    f'{self.sizes[stream][0]}x{self.sizes[stream][1]}')
            points = self.board.find(to_gray8(images[stream]))
            if points is not None:
                found[stream] = points
        self.searched += 1
        previous, self._previous = self._previous, found
        if not found or (self.select and not self._is_new(found, previous)):
            return False
        self.views.append(View(name, found))
        if len(found) == 2 and not self.example:
            self.example = dict(images)
        return True

    def count(self, stream: str) -> int:
        """Return the number of views in which a camera sees the board."""
        return sum(stream in view.found for view in self.views)

    @property
    def pair_count(self) -> int:
        """Return the number of views in which both cameras see the board."""
        return sum(len(view.found) == len(STREAMS) for view in self.views)

    def check_enough(self) -> None:
        """Raise CalibrationError if a camera sees the board in too few views."""
        for stream in STREAMS:
            count = self.count(stream)
            if count < MIN_VIEWS:
                hint = f'; the board moved in {self.moving} pairs' if self.moving else ''
                hint += f'; {self.similar} pairs resemble earlier ones' if self.similar else ''
                raise CalibrationError(
                    f'{stream}: found the board in {count} of {self.searched} pairs, need '
                    f'{MIN_VIEWS}{hint}; check --board, --pattern and that the whole board is '
                    'visible and warm enough')

    def describe(self) -> str:
        """Return the progress in one line."""
        counts = ', '.join(f'{self.count(stream)} {stream}' for stream in STREAMS)
        return (f'{self.searched} pairs searched; views with the board: {counts}, '
                f'{self.pair_count} both')

    def describe_missing(self) -> str:
        """Return in which parts of the images the board was not yet, or an empty string."""
        missing = []
        for stream, size in self.sizes.items():
            covered = measure_coverage(self.views, stream, size)
            names = [f'{_ROWS[row]} {_COLUMNS[column]}'
                     for row, column in np.argwhere(~covered)]
            if names:
                missing.append(f'{stream} {", ".join(names)}')
        return '; '.join(missing)

    def _is_new(self, found: Mapping[str, BoardPoints], previous: Mapping[str, BoardPoints]
                ) -> bool:
        if not all(self._distances(stream, points, previous.get(stream)).mean() < _STILL
                   for stream, points in found.items()):
            self.moving += 1
            return False
        # A board that is only tilted moves most at its corners.
        if any(all(self._distances(stream, points, view.found.get(stream)).max() < _DIFFERENT
                   for stream, points in found.items()) for view in self.views):
            self.similar += 1
            return False
        return True

    def _distances(self, stream: str, points: BoardPoints, others: BoardPoints | None
                   ) -> np.ndarray:
        """
        Return the distances ``(N,)`` of the common points, as fractions of the diagonal.

        The two detections may begin at different ends of the board: the nearest order counts.
        """
        nearest_px = np.array([np.inf])
        if others is None:
            return nearest_px
        for symmetry in self.board.symmetries:
            _, here, there = np.intersect1d(symmetry[points.ids], others.ids, return_indices=True)
            if len(here):
                offsets_px = points.points_px[here] - others.points_px[there]
                nearest_px = min(nearest_px, np.linalg.norm(offsets_px, axis=1), key=np.mean)
        return nearest_px / np.hypot(*self.sizes[stream])


def collect_views(source: Source, board: Board,
                  parameters: CollectionParameters,
                  report: Callable[[str], None] = lambda text: None) -> ViewCollection:
    """
    Search the board in the pairs of a source.

    Parameters
    ----------
    source:
        A source of frames.
    board:
        The board.
    parameters:
        Which pairs are searched.
    report:
        Called with a line of progress from time to time.

    Raises
    ------
    CalibrationError
        The size of the images of a camera changes.

    """
    collection = ViewCollection(board, select=not isinstance(source, FolderSource))
    for name, thermal, rgb in paired_frames(source, parameters):
        collection.add(name, {'thermal': thermal.image, 'rgb': rgb.image})
        if collection.searched % 10 == 0:
            report(collection.describe())
        if len(collection.views) >= parameters.max_views:
            break
    return collection


def paired_frames(source: Source, parameters: CollectionParameters
                  ) -> Iterator[tuple[str, Frame, Frame]]:
    """Yield name, thermal and RGB frame of the pairs of a source that are to be used."""
    every = parameters.every or (1 if isinstance(source, FolderSource) else _EVERY)
    corrected = CorrectedSource(source, parameters.thermal_camera, parameters.rgb_camera)
    for index, (thermal, rgb) in enumerate(pair_events(corrected, parameters.pairing)):
        if index % every == 0:
            yield _name(source, thermal.frame), thermal.frame, rgb.frame


def measure_coverage(views: Sequence[View], stream: str, size: tuple[int, int]) -> np.ndarray:
    """Return ``(3, 3)`` bool: which cells of the image contain a point of a view."""
    covered = np.zeros((COVERAGE_CELLS, COVERAGE_CELLS), bool)
    for view in views:
        if stream in view.found:
            cells = (view.found[stream].points_px + 0.5) / size * COVERAGE_CELLS
            column, row = np.clip(cells.astype(int), 0, COVERAGE_CELLS - 1).T
            covered[row, column] = True
    return covered


def measure_covered_area(views: Sequence[View], stream: str, size: tuple[int, int]) -> float:
    """Return the share of the image that was inside the outline of the points of some view."""
    canvas = np.zeros((_CANVAS_PX, _CANVAS_PX), np.uint8)
    for view in views:
        if stream in view.found:
            at = (view.found[stream].points_px + 0.5) / size * _CANVAS_PX
            outline = cv2.convexHull(at.astype(np.float32)).round().astype(np.int32)
            cv2.fillConvexPoly(canvas, outline, 1)
    return float(canvas.mean())


def to_gray8(image: np.ndarray) -> np.ndarray:
    """Return an image of a camera as ``(H, W)`` uint8."""
    if image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return image if image.dtype == np.uint8 else Agc()(image)


def _name(source: Source, thermal: Frame) -> str:
    """Return the name of a file, or the time in the recording."""
    if isinstance(source, FolderSource):
        index = round(thermal.stamp_ns * 1e-9 * source.rate_hz) - 1
        if 0 <= index < len(source.pairs):
            return source.pairs[index][0].stem
    return f'{thermal.stamp_ns * 1e-9:.3f} s'
