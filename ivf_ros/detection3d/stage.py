# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The stage of the positions: boxes and depth of one moment in, objects in space out."""

from __future__ import annotations

from collections.abc import Sequence

from ivf_ros.detection3d import depth as depths
from ivf_ros.detection3d.camera import CalibratedCamera
from ivf_ros.detection3d.cloud import ColoredCloud, make_colored_cloud
from ivf_ros.detection3d.position import Detection3d, locate
from ivf_ros.detection3d.settings import Detection3dStageParameters
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import Detection, Segmentation
import numpy as np

# Labels of MFNet by the class of the detector, where the names differ.
_LABEL_NAMES = {'vehicle': 'car', 'bicycle': 'bike'}


class Detection3dStage:
    """
    Places detected objects in space, and makes a coloured point cloud.

    Attributes
    ----------
    left_out:
        Number of objects so far that were left out because they had too little depth.

    """

    def __init__(self, parameters: Detection3dStageParameters = Detection3dStageParameters()
                 ) -> None:
        self._parameters = parameters
        self.left_out = 0

    @property
    def needs_counts(self) -> bool:
        """Whether ``color`` uses thermal in counts: only where the radiometry is known."""
        return self._parameters.radiometry.radiometry() is not None

    def depth_from_registered(self, image: np.ndarray, camera: CalibratedCamera) -> np.ndarray:
        """
        Return the depth on the RGB grid from a depth image on that grid.

        ``image`` is ``(H, W)`` uint16 in millimetres or float in metres. It may have another
        resolution. The result is ``(H, W)`` float32 in metres, NaN without a measurement.

        Raises
        ------
        DepthError
            The type or the aspect ratio is wrong.

        """
        depth_m = depths.convert_depth(image, self._parameters.depth)
        return depths.resize_depth(depth_m, camera.size)

    def depth_from_camera(self, image: np.ndarray, depth_camera: CalibratedCamera,
                          camera: CalibratedCamera,
                          extrinsics: depths.Extrinsics | None = None) -> np.ndarray:
        """
        Return the depth on the RGB grid from the image of a depth camera beside RGB.

        ``depth_camera`` is that of the image, ``camera`` is RGB. ``extrinsics`` replaces that of
        the parameters. See ``depth_from_registered`` for the image and the result.

        Raises
        ------
        DepthError
            The type or the size is wrong.

        """
        depth_m = depths.convert_depth(image, self._parameters.depth)
        if depth_m.shape[::-1] != depth_camera.size:
            raise depths.DepthError(f'the depth image has {depth_m.shape[1]}x{depth_m.shape[0]} '
                                    f'pixels, its camera {depth_camera.size[0]}x'
                                    f'{depth_camera.size[1]}')
        return self.depth_from_points(depths.make_points(depth_m, depth_camera), camera,
                                      extrinsics)

    def depth_from_points(self, points_m: np.ndarray, camera: CalibratedCamera,
                          extrinsics: depths.Extrinsics | None = None) -> np.ndarray:
        """
        Return the depth on the RGB grid from points ``(N, 3)`` in the frame of their sensor.

        See ``depth_from_camera`` for the other parameters and the result.
        """
        configured = depths.Extrinsics.from_parameters(self._parameters.depth)
        return depths.render_points((extrinsics or configured).to_rgb(points_m), camera,
                                    self._parameters.depth)

    def step(self, detections: Sequence[Detection], depth_m: np.ndarray, camera: CalibratedCamera,
             segmentation: Segmentation | None = None) -> list[Detection3d]:
        """
        Return the objects in space, without those that have too little depth.

        Parameters
        ----------
        detections:
            Boxes on the RGB grid.
        depth_m:
            ``(H, W)`` float32 on the RGB grid, NaN without a measurement.
        camera:
            The RGB camera.
        segmentation:
            Labels on the RGB grid with the names of the classes; None without segmentation.

        """
        if segmentation is not None and segmentation.labels.shape != depth_m.shape:
            segmentation = None
        located = [locate(detection, depth_m, camera, self._parameters.position,
                          _find_pixels_of_class(detection.class_name, segmentation))
                   for detection in detections]
        found = [detection for detection in located if detection is not None]
        self.left_out += len(located) - len(found)
        return found

    def color(self, depth_m: np.ndarray, camera: CalibratedCamera, rgb: np.ndarray,
              counts: ThermalOnRgb | None = None,
              segmentation: Segmentation | None = None) -> ColoredCloud:
        """
        Return a coloured point cloud; see ``make_colored_cloud``.

        ``counts`` is registered thermal; its temperatures are used where the radiometry is known.

        Raises
        ------
        ValueError
            The images have different sizes.

        """
        radiometry = self._parameters.radiometry.radiometry()
        celsius = None if counts is None or radiometry is None or counts.image.dtype == np.uint8 \
            else counts.celsius(radiometry)
        return make_colored_cloud(depth_m, camera, rgb, celsius,
                                  None if segmentation is None else segmentation.labels)

    def prepare(self, requested: Detection3dStageParameters) -> None:
        """Build nothing: there is no network to load."""

    def apply(self, parameters: Detection3dStageParameters, prepared: None) -> None:
        """Use these parameters from the next image on."""
        self._parameters = parameters


def _find_pixels_of_class(class_name: str, segmentation: Segmentation | None
                          ) -> np.ndarray | None:
    """Return ``(H, W)`` bool of the pixels with the class; None if the labels lack it."""
    if segmentation is None:
        return None
    for name in (class_name, _LABEL_NAMES.get(class_name)):
        if name in segmentation.class_names:
            return segmentation.labels == segmentation.class_names.index(name)
    return None
