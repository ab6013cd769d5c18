# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Rig simulator: a thermal and an RGB camera view a scene that is generated from a seed.

It provides the ground truth: the homography between the images, a box for each person, car and
bicycle, and a label for each pixel. In mode 'homography' the thermal view is exactly the RGB view
under a homography. In mode 'rig' the cameras have a baseline; objects shift relative to each
other with their distance, and the true homography is exact on one plane only.
"""

from __future__ import annotations

from collections.abc import Iterator
import heapq
import math

import cv2
from ivf_ros.data.bags.calibration import RecordedCameraInfo, RecordedTransform
from ivf_ros.data.recording import every_frame, FRAME_IDS, FrameFilter
from ivf_ros.data.simulator.mesh import Mesh
from ivf_ros.data.simulator.places import build_scene, choose_place
from ivf_ros.data.simulator.rendering.atmosphere import Atmosphere
from ivf_ros.data.simulator.rendering.depth import render_depth
from ivf_ros.data.simulator.rendering.view import RenderedView, SceneView, SmokeLayer
from ivf_ros.data.simulator.rig import build_rig, Rig, SimulatorError
from ivf_ros.data.simulator.scene import SceneObject
from ivf_ros.data.simulator.sensors import RADIOMETRIES, RgbSensor, ThermalSensor
from ivf_ros.data.simulator.settings import SimulatorParameters
from ivf_ros.thermal import Radiometry
from ivf_ros.types import Detection, Event, Frame, MFNET_CLASSES, Segmentation, Truth
import numpy as np

_CLASSES_WITH_BOXES = ('car', 'person', 'bike', 'color_cone')
_STREAMS = ('thermal', 'rgb')


class RigSimulator:
    """
    A source of frames with stamps and ground truth.

    Attributes
    ----------
    name:
        Place (but for the street), condition and seed.
    rate_hz:
        Thermal frames per second.
    parameters:
        Parameters of the simulation.
    rig:
        The cameras: ``K_thermal``, ``K_rgb``, ``R_thermal_to_rgb``, ``t_thermal_to_rgb_m``; all
        but ``K_rgb`` are None in mode 'homography'.
    H_thermal_to_rgb:
        ``(3, 3)`` true homography.
    radiometry:
        Conversion of the thermal counts to temperatures; None for 8-bit images of the camera's own
        gain control.
    class_names:
        Class names of the true labels.

    Raises
    ------
    SimulatorError
        The combination of parameters is not possible.

    """

    def __init__(self, parameters: SimulatorParameters = SimulatorParameters()) -> None:
        self.parameters = parameters
        thermal, rgb, seed = parameters.thermal, parameters.rgb, parameters.seed
        if thermal.bits < 16 and thermal.radiometry == 'tlinear_0_01K':
            raise SimulatorError(f'thermal.bits {thermal.bits} cannot represent the temperatures '
                                 'of a street in counts of 0.01 K; use 16 bits or tlinear_0_04K')
        if parameters.dropped == 1.0 and math.isinf(parameters.duration_s):
            raise SimulatorError('an endless recording without a frame has no end: dropped must '
                                 'be below 1, or duration_s finite')
        place = choose_place(parameters.place, seed)
        place_name = '' if place == 'street' else f'{place} '
        self.name = f'simulator {place_name}{parameters.condition} seed {seed}'
        self.rate_hz = thermal.rate_hz
        self.class_names = MFNET_CLASSES
        self._scene = build_scene(place, parameters.condition, seed, parameters.people,
                                  parameters.lookalikes)
        self.rig: Rig = build_rig(
            parameters.rig, (thermal.width, thermal.height), (rgb.width, rgb.height),
            self._scene.eye_m, self._scene.angles_deg, np.random.default_rng([seed, 2]))
        modality = 'celsius' if thermal.shows == 'temperature' else 'rgb'
        self._thermal_view = SceneView(self._scene, self.rig.thermal, modality)
        self._rgb_view = SceneView(self._scene, self.rig.rgb, 'rgb')
        self._atmosphere = Atmosphere(self._scene, self.rig.rgb, self._rgb_view,
                                      parameters.smoke_density, np.random.default_rng([seed, 3]))
        self._thermal_sensor = ThermalSensor(thermal, seed)
        self._rgb_sensor = RgbSensor(rgb, parameters.condition, seed)
        self._latest_moving: tuple[float, list[SceneObject]] = -1.0, []
        self._labels = np.zeros(256, np.uint8)
        for identity, name in self._scene.classes.items():
            self._labels[identity] = MFNET_CLASSES.index(name)

    @property
    def H_thermal_to_rgb(self) -> np.ndarray:
        """Return the true homography."""
        return self.rig.H_thermal_to_rgb

    @property
    def radiometry(self) -> Radiometry | None:
        """Return the conversion of the thermal counts to temperatures; None for 8 bit."""
        thermal = self.parameters.thermal
        return RADIOMETRIES[thermal.radiometry] if thermal.agc == 'none' else None

    @property
    def camera_infos(self) -> dict[str, RecordedCameraInfo]:
        """
        Return the calibration of each camera that is a pinhole camera, by stream.

        In mode 'homography' the thermal camera is none in general.
        """
        matrices = {'thermal': self.rig.K_thermal, 'rgb': self.rig.K_rgb}
        cameras = {'thermal': self.rig.thermal, 'rgb': self.rig.rgb}
        return {stream: _make_camera_info(FRAME_IDS[stream], cameras[stream].size, K)
                for stream, K in matrices.items() if K is not None}

    @property
    def static_transforms(self) -> list[RecordedTransform]:
        """Return the pose of the thermal camera relative to RGB; empty in mode 'homography'."""
        R, t_m = self.rig.R_thermal_to_rgb, self.rig.t_thermal_to_rgb_m
        if R is None or t_m is None:
            return []
        from scipy.spatial.transform import Rotation  # takes 0.2 s, only the rig needs it
        x, y, z, w = Rotation.from_matrix(R).as_quat().tolist()
        t_x_m, t_y_m, t_z_m = t_m.tolist()
        return [RecordedTransform(FRAME_IDS['rgb'], FRAME_IDS['thermal'], (x, y, z, w),
                                  (t_x_m, t_y_m, t_z_m))]

    @property
    def skipped(self) -> dict[str, int]:
        """Return an empty dict: simulated losses are not reading errors."""
        return {}

    def events(self, is_wanted: FrameFilter = every_frame) -> Iterator[Event]:
        """
        Yield thermal and RGB frames in stamp order; RGB frames contain the ground truth.

        A frame that ``is_wanted`` refuses is not rendered; see ``Source.events``.
        """
        last: tuple[int, np.ndarray] | None = None
        for stamp_ns, stream, index in heapq.merge(*map(self._schedule, range(2))):
            if not is_wanted(_STREAMS[stream], stamp_ns):
                continue
            if stream:
                image, truth = self._render_rgb(index / self.parameters.rgb.rate_hz, index)
                yield Event('rgb', Frame(image, stamp_ns, FRAME_IDS['rgb']), truth)
                continue
            frame_index = self._displayed_index(index)
            if last is None or last[0] != frame_index:
                last = frame_index, self._render_thermal_frame(frame_index)
            yield Event('thermal', Frame(last[1], stamp_ns, FRAME_IDS['thermal']))

    def pair(self, index: int) -> tuple[Frame, Frame, Truth]:
        """
        Return the thermal and the RGB frame of the same time, without shutter events.

        Time and stamp of both are those of RGB frame ``index``.
        """
        time_s = index / self.parameters.rgb.rate_hz
        thermal, rgb, truth = self.render(time_s, index)
        stamp_ns = self.parameters.start_ns + round(time_s * 1e9)
        return (Frame(thermal, stamp_ns, FRAME_IDS['thermal']),
                Frame(rgb, stamp_ns, FRAME_IDS['rgb']), truth)

    def render(self, time_s: float, noise: int = 0) -> tuple[np.ndarray, np.ndarray, Truth]:
        """
        Render both cameras at a time; calls may be in any time order.

        Parameters
        ----------
        time_s:
            Seconds since the start.
        noise:
            Index of the noise; another index gives other noise.

        Returns
        -------
        thermal:
            ``(H, W)`` uint16 counts; uint8 with ``thermal.agc``.
        rgb:
            ``(H, W, 3)`` uint8 BGR.
        truth:
            Ground truth on the RGB grid.

        """
        rgb, truth = self._render_rgb(time_s, noise)
        return self._render_thermal(time_s, noise), rgb, truth

    def render_depth(self, time_s: float) -> np.ndarray:
        """
        Return the exact depth of the RGB camera at a time.

        The result is ``(H, W)`` float32: z of the optical frame in metres, +Inf for the sky
        (REP 117). It is that of a perfect depth camera: of the solid scene, without smoke.
        """
        meshes = [part for part in self._scene.surfaces if isinstance(part, Mesh)]
        objects = [*self._scene.objects, *self._moving_objects(time_s)]
        return render_depth([*meshes, *(item.mesh for item in objects)], self.rig.rgb)

    def visible_depths_m(self, time_s: float) -> dict[str, float]:
        """Return the median depth of the visible pixels of each object, by the id of its box."""
        identities = self._rgb_view.render_frame(self._moving_objects(time_s)).identities
        depth_m = self.render_depth(time_s)
        return {str(identity): float(np.median(depth_m[identities == identity]))
                for identity in np.unique(identities) if identity}

    def _schedule(self, stream: int) -> Iterator[tuple[int, int, int]]:
        """Yield stamp, stream and index of each frame that is not lost."""
        parameters = self.parameters
        camera = parameters.rgb if stream else parameters.thermal
        offset_s = 0.0 if stream else parameters.time_offset_s
        period_s = 1 / camera.rate_hz
        index = 0
        while index * period_s < parameters.duration_s:
            rng = np.random.default_rng([parameters.seed, 10 + stream, index])
            loss_draw, jitter_s = rng.random(), parameters.jitter_s * rng.standard_normal()
            jitter_s = min(max(jitter_s, -0.4 * period_s), 0.4 * period_s)
            if loss_draw >= parameters.dropped:
                stamp_s = index * period_s + offset_s + jitter_s
                yield parameters.start_ns + round(stamp_s * 1e9), stream, index
            index += 1

    def _displayed_index(self, index: int) -> int:
        """Return the index of the frame that the thermal camera delivers, frozen or not."""
        thermal = self.parameters.thermal
        number, is_closed = self._thermal_sensor.shutter_event(index / thermal.rate_hz)
        if not is_closed or thermal.shutter_shows == 'flat':
            return index
        return max(int(np.ceil(number * thermal.shutter_period_s * thermal.rate_hz - 1e-6)) - 1, 0)

    def _render_thermal_frame(self, index: int) -> np.ndarray:
        thermal = self.parameters.thermal
        time_s = index / thermal.rate_hz
        if self._thermal_sensor.shutter_event(time_s)[1]:
            shutter = np.full((thermal.height, thermal.width),
                              self._scene.climate.air_celsius + 12.0, np.float32)
            return self._thermal_sensor.read(shutter, index, time_s)
        return self._render_thermal(time_s, index)

    def _moving_objects(self, time_s: float) -> list[SceneObject]:
        """Return the moving objects; cached, because both cameras often use the same time."""
        if self._latest_moving[0] != time_s:
            self._latest_moving = time_s, self._scene.moving_objects(time_s)
        return self._latest_moving[1]

    def _render_thermal(self, time_s: float, index: int) -> np.ndarray:
        image = self._thermal_view.render_frame(self._moving_objects(time_s)).image
        if image.ndim == 3:
            gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            image = gray * np.float32(30 / 255) + np.float32(5)
        return self._thermal_sensor.read(image, index, time_s)

    def _render_rgb(self, time_s: float, index: int) -> tuple[np.ndarray, Truth]:
        moving, atmosphere = self._moving_objects(time_s), self._atmosphere
        condition = self.parameters.condition
        smoke: SmokeLayer | None = None
        if condition == 'smoke':
            smoke = self._scene.smoke_m, lambda image: atmosphere.apply_smoke(image, time_s)
        rendered = self._rgb_view.render_frame(moving, smoke)
        image = rendered.image
        if self._scene.climate.lamps_lit:
            image = atmosphere.apply_halos(image, rendered.identities, moving)
        if condition == 'rain' and not self._scene.is_indoors:
            image = atmosphere.apply_rain(image, index)
        return self._rgb_sensor.read(image, index), self._make_truth(rendered)

    def _make_truth(self, rendered: RenderedView) -> Truth:
        labels = cv2.LUT(rendered.identities, self._labels)
        parameters = self.parameters
        boxes = []
        for identity, unoccluded_px in rendered.unoccluded_px.items():
            name = MFNET_CLASSES[self._labels[identity]]
            if name not in _CLASSES_WITH_BOXES:
                continue
            rows, columns = rendered.areas[identity]
            visible = cv2.inRange(rendered.identities[rows, columns], identity, identity)
            x, y, width, height = cv2.boundingRect(visible)
            if max(width, height) < parameters.min_box_px \
                    or cv2.countNonZero(visible) < parameters.min_visible * unoccluded_px:
                continue
            left, top = float(columns.start + x), float(rows.start + y)
            boxes.append(Detection((left, top, left + width, top + height), name, 1.0,
                                   str(identity)))
        return Truth(self.H_thermal_to_rgb, tuple(boxes), Segmentation(labels, MFNET_CLASSES))


def _make_camera_info(frame_id: str, size: tuple[int, int], K: np.ndarray) -> RecordedCameraInfo:
    """Return the calibration of a camera without distortion."""
    P = np.column_stack([K, np.zeros(3)])
    return RecordedCameraInfo(
        frame_id, *size, 'plumb_bob', (0.0,) * 5, tuple(K.ravel().tolist()),
        tuple(np.eye(3).ravel().tolist()), tuple(P.ravel().tolist()), 0, 0, (0, 0, 0, 0, False))
