# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""A source with the images of cameras as they are built corrected, as the nodes do it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ivf_ros.camera_input import CameraGeometry, CameraInputError, CameraParameters
from ivf_ros.data.recording import every_frame, FrameFilter, SkipCount, SourceError
from ivf_ros.data.sources import Source
from ivf_ros.thermal_input import ThermalCameraParameters, ThermalInput
from ivf_ros.types import Event


class CorrectedSource:
    """
    Source of the corrected images of another source; thermal images have one channel.

    An image that cannot be corrected, such as one in false colours without a palette, is skipped
    and counted. Ground truth is dropped where pixels move.

    Parameters
    ----------
    source:
        The source of images as the cameras sent them.
    thermal_camera, rgb_camera:
        How the cameras are built in.

    """

    def __init__(self, source: Source, thermal_camera: ThermalCameraParameters,
                 rgb_camera: CameraParameters) -> None:
        self._source = source
        self._cameras = thermal_camera, rgb_camera
        self._skip_count = SkipCount(source.name)
        self.name, self.rate_hz = source.name, source.rate_hz

    @property
    def skipped(self) -> dict[str, int]:
        """Return the number of skipped frames of the latest pass, by reason."""
        return {**self._source.skipped, **self._skip_count.counts}

    def events(self, is_wanted: FrameFilter = every_frame) -> Iterator[Event]:
        """
        Correct image by image; see ``Source.events``.

        Raises
        ------
        SourceError
            No image of a camera could be corrected, or the source cannot be read.

        """
        self._skip_count.counts.clear()
        thermal_camera, rgb_camera = self._cameras
        corrections = {'thermal': ThermalInput(thermal_camera).apply,
                       'rgb': CameraGeometry(rgb_camera).apply}
        moves_pixels = thermal_camera.moves_pixels or rgb_camera.moves_pixels
        last_error: dict[str, CameraInputError] = {}
        corrected: set[str] = set()
        for event in self._source.events(is_wanted):
            try:
                image = corrections[event.stream](event.frame.image)
            except CameraInputError as error:
                last_error[event.stream] = error
                self._skip_count.add(f'unusable {event.stream} image', error)
                continue
            corrected.add(event.stream)
            yield replace(event, frame=replace(event.frame, image=image),
                          truth=None if moves_pixels else event.truth)
        for stream, reason in last_error.items():
            if stream not in corrected:
                raise SourceError(f'{self.name}: no {stream} image can be used: {reason}')
