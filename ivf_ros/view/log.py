# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What the stages see and give, logged to a recording of Rerun."""

from __future__ import annotations

from collections.abc import Sequence
import math
import threading
from typing import Any

from ivf_ros import detection, geometry, images, segmentation
from ivf_ros.fusion import FusionMode, FusionResult
from ivf_ros.thermal import Agc
from ivf_ros.types import Detection, Frame, Registration, RegistrationState, Segmentation
from ivf_ros.view import layout
import numpy as np
import rerun as rr

_LABEL_OPACITY = 0.5
# Earlier stamps count from the start of a machine or of a simulation: they are no dates.
_YEAR_2000_NS = 946_684_800_000_000_000

_GREEN, _BLUE, _AMBER, _RED, _GRAY = 0x4CAF50FF, 0x42A5F5FF, 0xFFB300FF, 0xEF5350FF, 0x9E9E9EFF
_STATE_COLORS = {RegistrationState.TRACKING: _GREEN, RegistrationState.PRIOR: _BLUE,
                 RegistrationState.HOLDING: _AMBER, RegistrationState.LOST: _RED}
_MODE_COLORS = {FusionMode.FUSED: _GREEN, FusionMode.RGB_ONLY: _BLUE,
                FusionMode.THERMAL_ONLY: _AMBER, FusionMode.NOTHING: _RED}
_LATENCY_COLORS = {'registration': _GRAY, 'fusion': _GREEN, 'perception': _BLUE,
                   'camera_to_fused': _AMBER, 'camera_to_detections': _RED}


class ViewLog:
    """
    Logs images, results and numbers at the stamps of their frames; thread-safe.

    Images are JPEG files in the log. The timeline has dates, or seconds where the first stamp is
    no date.

    Parameters
    ----------
    recording:
        Where to log; it sends to a viewer, a file or both.
    jpeg_quality:
        Quality of the images, 0 to 100.

    """

    def __init__(self, recording: rr.RecordingStream, jpeg_quality: int = 75) -> None:
        self._recording, self._jpeg_quality = recording, jpeg_quality
        self._lock = threading.Lock()
        self._has_dates: bool | None = None  # None before the first stamp
        self._agc = Agc()
        self._states: dict[str, str] = {}
        for path, colors in ((layout.REGISTRATION_STATE, _STATE_COLORS),
                             (layout.FUSION_MODE, _MODE_COLORS)):
            recording.log(path, rr.StateConfiguration(
                values=[state.value for state in colors],
                colors=np.array(list(colors.values()), np.uint32)), static=True)
        for name, color in _LATENCY_COLORS.items():
            recording.log(f'{layout.LATENCY}/{name}', rr.SeriesLines(
                names=name.replace('_', ' '), colors=color), static=True)
        for path, name in ((layout.CONFIDENCE, 'confidence'),
                           (layout.CORNER_DEVIATION, 'deviation')):
            recording.log(path, rr.SeriesLines(names=name, colors=_GREEN), static=True)

    def log_thermal(self, frame: Frame) -> None:
        """Log an image of the thermal camera, after a gain control for the eye."""
        with self._lock:
            gray = self._agc(frame.image)
        self._log_image(layout.THERMAL, gray, frame.stamp_ns)

    def log_rgb(self, frame: Frame) -> None:
        """Log an image of the RGB camera, uint8."""
        self._log_image(layout.RGB, frame.image, frame.stamp_ns)

    def log_registered(self, gray: np.ndarray | None, stamp_ns: int) -> None:
        """Log thermal on the RGB grid, ``(H, W)`` uint8; None clears the last one."""
        self._log_image(layout.REGISTERED, gray, stamp_ns)

    def log_fused(self, image: np.ndarray | None, stamp_ns: int) -> None:
        """Log the fused image, ``(H, W, 3)`` BGR or ``(H, W)``, uint8; None clears it."""
        self._log_image(layout.FUSED, image, stamp_ns)

    def log_fusion(self, result: FusionResult) -> None:
        """Log the fused image, thermal as it was fused, and what the fused image shows."""
        self.log_registered(result.thermal, result.stamp_ns)
        self.log_fused(result.image, result.stamp_ns)
        self.log_mode(result.mode, result.stamp_ns)

    def log_mode(self, mode: FusionMode, stamp_ns: int) -> None:
        """Log what the fused image shows."""
        self._log_state(layout.FUSION_MODE, mode.value, stamp_ns)

    def log_registration(self, registration: Registration, thermal_size: tuple[int, int],
                         stamp_ns: int) -> None:
        """Log state, confidence, expected deviation and the outline of thermal in RGB."""
        self.log_outline(registration.H_thermal_to_rgb, thermal_size, registration.state, stamp_ns)
        self.log_reliability(registration.state, registration.confidence,
                             registration.corner_deviation_px, stamp_ns)

    def log_outline(self, H_thermal_to_rgb: np.ndarray, thermal_size: tuple[int, int],
                    state: RegistrationState, stamp_ns: int) -> None:
        """Log where the border of thermal (width, height) lies in RGB, coloured by a state."""
        corners_px = geometry.transform_points(H_thermal_to_rgb, geometry.corners_px(thermal_size))
        # In Rerun the centre of the first pixel is at 0.5.
        self._log(layout.OUTLINE, stamp_ns, rr.LineStrips2D(
            [np.vstack([corners_px, corners_px[:1]]) + 0.5], colors=_STATE_COLORS[state],
            labels=state.value, show_labels=False))

    def log_reliability(self, state: RegistrationState, confidence: float,
                        corner_deviation_px: float, stamp_ns: int) -> None:
        """Log how good the registration is; an infinite deviation leaves a gap in its plot."""
        self._log_state(layout.REGISTRATION_STATE, state.value, stamp_ns)
        self._log(layout.CONFIDENCE, stamp_ns, rr.Scalars(confidence))
        self._log(layout.CORNER_DEVIATION, stamp_ns, rr.Scalars(
            corner_deviation_px if math.isfinite(corner_deviation_px) else math.nan))

    def log_detections(self, detections: Sequence[Detection], stamp_ns: int) -> None:
        """Log the boxes of an image; they replace those of the image before."""
        boxes = np.array([box.box_xyxy_px for box in detections], np.float32).reshape(-1, 4)
        self._log(layout.DETECTIONS, stamp_ns, rr.Boxes2D(
            mins=boxes[:, :2], sizes=boxes[:, 2:] - boxes[:, :2],
            labels=[_short_label(box) for box in detections], show_labels=True,
            colors=[detection.class_color_bgr(box.class_name)[::-1] for box in detections]))

    def log_class_names(self, class_names: Sequence[str]) -> None:
        """Log names and colours of the labels, once; label 0 is transparent."""
        classes = [(label, name, (*segmentation.color_bgr(label)[::-1], 255 if label else 0))
                   for label, name in enumerate(class_names)]
        self._recording.log(layout.LABELS, rr.AnnotationContext(classes), static=True)

    def log_labels(self, result: Segmentation, stamp_ns: int) -> None:
        """Log the label of each pixel of RGB; see ``log_class_names``."""
        self._log(layout.LABELS, stamp_ns,
                  rr.SegmentationImage(result.labels, opacity=_LABEL_OPACITY))

    def log_latency(self, name: str, latency_s: float, stamp_ns: int) -> None:
        """Log a time: of a stage, or from a camera to a result (``camera_to_fused``)."""
        self._log(f'{layout.LATENCY}/{name}', stamp_ns, rr.Scalars(latency_s * 1e3))

    def _log_image(self, path: str, image: np.ndarray | None, stamp_ns: int) -> None:
        if image is None:
            self._log(path, stamp_ns, rr.Clear(recursive=False))
            return
        file = images.encode_compressed(image, 'jpeg', self._jpeg_quality).data
        self._log(path, stamp_ns, rr.EncodedImage(contents=bytes(file), media_type='image/jpeg'))

    def _log_state(self, path: str, state: str, stamp_ns: int) -> None:
        with self._lock:
            is_new = self._states.get(path) != state
            self._states[path] = state
        if is_new:
            self._log(path, stamp_ns, rr.StateChange(state=state))

    def _log(self, path: str, stamp_ns: int, entity: Any) -> None:
        with self._lock:
            if self._has_dates is None:
                self._has_dates = stamp_ns >= _YEAR_2000_NS
        if self._has_dates:
            self._recording.set_time(layout.TIMELINE, timestamp=np.datetime64(stamp_ns, 'ns'))
        else:
            self._recording.set_time(layout.TIMELINE, duration=np.timedelta64(stamp_ns, 'ns'))
        self._recording.log(path, entity)


def _short_label(box: Detection) -> str:
    """Return class, identity and temperature; labels of neighbours cover each other."""
    temperature = '' if box.maximum_celsius is None else f'{box.maximum_celsius:.0f} C'
    identity = f'#{box.track_id}' if box.track_id else ''
    return ' '.join(filter(None, (box.class_name, identity, temperature)))
