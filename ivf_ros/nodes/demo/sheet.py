# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The contact sheet of a demonstration, drawn from its bag."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import cv2
from ivf_ros import detection, segmentation
from ivf_ros.camera_input import CameraGeometry, CameraParameters
from ivf_ros.network_inputs import is_rgb_passthrough
from ivf_ros.nodes.demo.contact_sheet import check_image, contact_sheet, registration_overlay
from ivf_ros.nodes.demo.recorder import Recorder
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.cdr import read_stamp_ns
from ivf_ros.nodes.graph.transport import TypeAdapter
from ivf_ros.thermal import Agc, AgcParameters
from ivf_ros.thermal_input import ThermalCameraParameters, ThermalInput
from ivf_ros.types import Segmentation
import numpy as np
from rosbags.highlevel import AnyReader

TITLES = ('thermal', 'RGB', 'registered', 'fused', 'segmentation', 'detections')
_ROWS = 6
# What reading or drawing an invalid message raises; each subsystem has a ValueError of its own.
_DRAWING_ERRORS = (ValueError, ArithmeticError, LookupError, RuntimeError, cv2.error)
_ADAPTERS: dict[str, TypeAdapter] = {
    'thermal/image_raw': messages.IMAGE,
    'rgb/image_raw': messages.IMAGE,
    'thermal_registered/image': messages.IMAGE,
    'fused/image': messages.IMAGE,
    'segmentation/labels': messages.LABELS,
    'detections': messages.DETECTIONS,
}


def write(path: Path, bag: Path, recorder: Recorder, heading: str,
          thermal_camera: ThermalCameraParameters, rgb_camera: CameraParameters) -> None:
    """
    Write a contact sheet of moments at equal distances in the recording.

    Nothing is written if the recording contains no fused frame. A tile stays empty if its message
    cannot be drawn: any node may publish on the recorded topics.

    Parameters
    ----------
    path:
        The image file.
    bag:
        The recording.
    recorder:
        The recorder that wrote the bag.
    heading:
        One line at the top of the sheet.
    thermal_camera, rgb_camera:
        How the cameras are built in; the sheet shows their images as the nodes take them.

    Raises
    ------
    OSError
        The file cannot be written.

    """
    fused_ns = sorted(recorder.arrivals_s['fused/image'])
    # The graph fuses at the stamps of RGB.
    fused_ns = [stamp_ns for stamp_ns in fused_ns
                if stamp_ns in recorder.arrivals_s['rgb/image_raw']] or fused_ns
    if not fused_ns:
        return
    complete_ns = [stamp_ns for stamp_ns in fused_ns
                   if stamp_ns in recorder.arrivals_s['detections']] or fused_ns
    indices = np.linspace(0, len(complete_ns) - 1,
                          min(_ROWS, len(complete_ns))).round().astype(int)
    moments_ns = [complete_ns[index] for index in indices]
    thermal_ns = np.array(sorted(recorder.arrivals_s['thermal/image_raw']))
    requested = {(topic, stamp_ns) for topic in _ADAPTERS for stamp_ns in moments_ns}
    partners_ns = {}
    for stamp_ns in moments_ns:
        if thermal_ns.size:
            partners_ns[stamp_ns] = int(thermal_ns[np.abs(thermal_ns - stamp_ns).argmin()])
            requested.add(('thermal/image_raw', partners_ns[stamp_ns]))
    items = _read_items(bag, requested)
    agc = Agc(AgcParameters(mode='minmax'))
    _correct_images(items, 'thermal/image_raw', ThermalInput(thermal_camera).apply)
    _correct_images(items, 'rgb/image_raw', CameraGeometry(rgb_camera).apply)
    rows = [_make_row(items, stamp_ns, partners_ns.get(stamp_ns), recorder.class_names, agc)
            for stamp_ns in moments_ns]
    captions = [f'{(stamp_ns - fused_ns[0]) * 1e-9:.1f} s' for stamp_ns in moments_ns]
    if not cv2.imwrite(str(path), contact_sheet(rows, TITLES, captions, heading)):
        raise OSError(f'cannot write {path}')


def draw_mode(fused: np.ndarray, rgb: np.ndarray | None) -> np.ndarray:
    """
    Return the fused image, marked if it shows one camera only.

    It equals RGB, or it is gray where RGB ``(H, W, 3)`` has colours.
    """
    if rgb is None or (is_gray(fused) and not is_gray(rgb)):
        text = 'THERMAL ONLY'
    elif fused.shape == rgb.shape and is_rgb_passthrough(rgb, fused):
        text = 'RGB ONLY'
    else:
        return fused
    drawn, scale = fused.copy(), max(fused.shape[1] / 640, 0.4)
    origin, line_px = (round(8 * scale), round(28 * scale)), max(1, round(2 * scale))
    for color, width_px in ((0, 0, 0), 3 * line_px), ((0, 200, 255), line_px):
        cv2.putText(drawn, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, color, width_px,
                    cv2.LINE_AA)
    return drawn


def is_gray(image: np.ndarray) -> bool:
    """Return whether an image ``(H, W)`` or ``(H, W, 3)`` has no colours."""
    return image.ndim == 2 or not np.ptp(image[::4, ::4].astype(np.int16), axis=2).any()


def _read_items(bag: Path, requested: set[tuple[str, int]]) -> dict[tuple[str, int], Any]:
    """Return the requested items by topic and stamp; the first valid one of several."""
    items: dict[tuple[str, int], Any] = {}
    with AnyReader([bag]) as reader:
        for connection, _, cdr in reader.messages():
            topic = connection.topic.lstrip('/')
            with suppress(*_DRAWING_ERRORS):
                key = (topic, read_stamp_ns(cdr))
                if key in requested and key not in items:
                    items[key] = _ADAPTERS[topic].from_serialized(bytes(cdr))
    return items


def _correct_images(items: dict[tuple[str, int], Any], topic: str,
                    correct: Callable[[np.ndarray], np.ndarray]) -> None:
    """Replace the images of a topic by corrected ones, where that needs no CameraInfo."""
    for key, frame in items.items():
        if key[0] == topic:
            with suppress(*_DRAWING_ERRORS):
                items[key] = replace(frame, image=correct(frame.image))


def _apply_gain(agc: Agc, registered: np.ndarray) -> np.ndarray:
    """Return registered thermal as 8 bit; what thermal does not cover does not set the range."""
    covered = np.isfinite(registered) if registered.dtype.kind == 'f' else registered != 0
    if not covered.any():
        return agc(registered)
    return agc(np.where(covered, registered, registered[covered].min()))


def _make_row(items: dict[tuple[str, int], Any], stamp_ns: int, thermal_stamp_ns: int | None,
              class_names: tuple[str, ...], agc: Agc) -> list[np.ndarray | None]:
    """Return the images of one moment in the order of ``TITLES``; None for a missing image."""
    def get_image(topic: str, item_stamp_ns: int | None) -> np.ndarray | None:
        frame = None if item_stamp_ns is None else items.get((topic, item_stamp_ns))
        return None if frame is None else frame.image

    thermal = get_image('thermal/image_raw', thermal_stamp_ns)
    rgb = get_image('rgb/image_raw', stamp_ns)
    registered = get_image('thermal_registered/image', stamp_ns)
    fused = get_image('fused/image', stamp_ns)
    labels = items.get(('segmentation/labels', stamp_ns))
    detections = items.get(('detections', stamp_ns))
    return [
        _draw(agc, thermal),
        _draw(lambda image: image, rgb),
        _draw(lambda thermal, image: registration_overlay(_apply_gain(agc, thermal), image),
              registered, rgb),
        _draw(lambda image: draw_mode(image, rgb), fused),
        _draw(lambda image, stamped: segmentation.overlay(
            image, Segmentation(stamped.value.labels, class_names)), fused, labels),
        _draw(lambda image, stamped: detection.draw(image, stamped.value), fused, detections),
    ]


def _draw(draw: Callable[..., np.ndarray], *inputs: Any) -> np.ndarray | None:
    """Return the drawn image; None if an input is missing or cannot be drawn."""
    if any(value is None for value in inputs):
        return None
    with suppress(*_DRAWING_ERRORS):
        image = draw(*inputs)
        check_image(image)
        return image
    return None
