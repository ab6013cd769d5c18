# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Correction of the images of both cameras, and of their CameraInfos, before all stages."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
import json
import threading
from weakref import WeakValueDictionary

from ivf_ros import images
from ivf_ros.camera_input import CameraGeometry, CameraInputError, CameraParameters
from ivf_ros.camera_model import CameraModelError
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.pairing import Pair
from ivf_ros.parameters import flatten
from ivf_ros.thermal_input import ThermalCameraParameters, ThermalInput
from ivf_ros.types import Frame
import numpy as np
from sensor_msgs.msg import CameraInfo

_KEPT_FRAMES = 8  # corrected frames that the other nodes of the process may still ask for


class CameraInputs:
    """
    Corrects the images of the two cameras of a node; thread-safe.

    The nodes of one process share the work: each image is corrected once.

    Parameters
    ----------
    node:
        The node that uses the images.
    thermal, rgb:
        How the cameras are built in; None for a camera that the node does not use.

    """

    def __init__(self, node: StageNode, thermal: ThermalCameraParameters | None,
                 rgb: CameraParameters) -> None:
        self._node = node
        self._topics = {stream: node.resolve_topic_name(f'{stream}/image_raw')
                        for stream in ('thermal', 'rgb')}
        # By topic: the cameras of the nodes of this process, by their parameters.
        self._shared: dict[str, WeakValueDictionary[CameraParameters, _Camera]] = {
            stream: node.hub.get_shared(('cameras', topic), WeakValueDictionary)
            for stream, topic in self._topics.items()}
        self._cameras = {
            'rgb': self._shared['rgb'].setdefault(rgb, _Camera(_RgbInput(rgb)))}
        if thermal is not None:
            self._cameras['thermal'] = self._shared['thermal'].setdefault(
                thermal, _Camera(ThermalInput(thermal)))
        self._infos: dict[str, Stamped[CameraInfo]] = {}
        self._logged: dict[str, object] = {}

    def subscribe_to_info(self, stream: str, on_change: Callable[[], None] = lambda: None
                          ) -> None:
        """Subscribe to the CameraInfo of a camera; ``on_change`` is called after each message."""
        def on_info(item: Stamped[CameraInfo]) -> None:
            self._infos[stream] = item
            self._cameras[stream].geometry.set_model(messages.camera_model_of(item.value))
            on_change()

        self._node.subscribe(messages.CAMERA_INFO, f'{stream}/camera_info', on_info)

    def correct(self, pair: Pair[Frame]) -> Pair[Frame] | None:
        """
        Return a pair with corrected images.

        An image that cannot be corrected is reported and counted as a drop. The result is then
        None, because a camera that is set up wrongly is not to be taken for one that is missing.
        """
        is_swapped = pair.thermal is not None and pair.thermal.image.ndim == 3 \
            and pair.rgb is not None and pair.rgb.image.ndim == 2
        hint = 'carries images in colour: are the cameras swapped?' if is_swapped else ''
        thermal, rgb = pair.thermal, pair.rgb
        if thermal is not None:
            thermal = self.correct_frame('thermal', thermal, hint)
            if thermal is None:
                return None
        if rgb is not None:
            rgb = self.correct_frame('rgb', rgb)
            if rgb is None:
                return None
        return Pair(thermal, rgb, pair.thermal_minus_rgb_s)

    def correct_frame(self, stream: str, frame: Frame, hint: str = '') -> Frame | None:
        """Return a corrected image, or None after a report of the error, or of the hint."""
        try:
            return self._cameras[stream].correct(frame)
        except (CameraInputError, images.ImageError) as error:
            self._node.statistics.count_drop(f'unusable_{stream}')
            separator = ' ' if hint else ': '
            self._node.report_error(f"'{self._topics[stream]}'{separator}{hint or error}")
            return None

    def projection(self, stream: str, rectified: bool) -> np.ndarray | None:
        """See ``CameraGeometry.projection``; raise CameraModelError likewise."""
        return self._cameras[stream].geometry.projection(rectified)

    def info(self, stream: str) -> Stamped[CameraInfo] | None:
        """Return the latest CameraInfo as it was received, or None."""
        return self._infos.get(stream)

    def corrected_info(self, stream: str) -> CameraInfo | None:
        """Return the CameraInfo of the corrected images; None if there is none that fits."""
        try:
            model = self._cameras[stream].geometry.model()
        except CameraModelError:
            return None  # ``find_problem`` tells it
        return None if model is None else messages.camera_info_of(model)

    def find_problem(self) -> str:
        """Return a warning about a CameraInfo that does not fit, or about parameters, or ''."""
        for stream, cameras in self._shared.items():
            if stream in self._cameras and len(cameras) > 1:
                return (f"the nodes of this process correct '{self._topics[stream]}' in different "
                        f'ways; give all nodes the same parameters {stream}.*')
        for stream in self._infos:
            try:
                self._cameras[stream].geometry.model()
            except CameraModelError as error:
                topic = self._topics[stream].removesuffix('image_raw') + 'camera_info'
                return f"'{topic}' is not used: {error}"
        return ''

    def diagnostics(self) -> dict[str, object]:
        """Return what was decided about the thermal camera; a new decision is also logged."""
        camera = self._cameras.get('thermal')
        decisions = {} if camera is None else camera.describe()
        for name in decisions.keys() - self._logged.keys():
            self._node.get_logger().info(f"'{self._topics['thermal']}': {name} {decisions[name]}")
        self._logged |= decisions
        return decisions


class _RgbInput:
    """Corrects the images of one RGB camera; 16-bit and float images become 8-bit."""

    def __init__(self, parameters: CameraParameters) -> None:
        self.geometry = CameraGeometry(parameters)

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Return ``(H, W, 3)`` BGR or ``(H, W)`` gray, uint8."""
        if image.dtype != np.uint8:
            image = images.as_bgr8(image)
        return self.geometry.apply(image)

    def describe(self) -> dict[str, object]:
        return {}


class _Camera:
    """One camera, which the nodes of a process share, with its latest corrected frames."""

    def __init__(self, camera_input: ThermalInput | _RgbInput) -> None:
        self._input = camera_input
        self.geometry = camera_input.geometry
        self.describe = camera_input.describe
        self._lock = threading.Lock()
        # By the identity of the original, which the entry keeps alive.
        self._corrected: OrderedDict[int, tuple[Frame, Frame]] = OrderedDict()

    def correct(self, frame: Frame) -> Frame:
        with self._lock:
            known = self._corrected.get(id(frame))
            if known is not None:
                return known[1]
            image = self._input.apply(frame.image)
            corrected = frame if image is frame.image else replace(frame, image=image)
            self._corrected[id(frame)] = frame, corrected
            while len(self._corrected) > _KEPT_FRAMES:
                self._corrected.popitem(last=False)
            return corrected


def make_camera_arguments(camera: str, parameters: CameraParameters, node: str = ''
                          ) -> list[str]:
    """
    Return the ROS arguments that set the parameters of a camera, where they are no defaults.

    ``camera`` is ``'thermal'`` or ``'rgb'``; ``node`` restricts them to one node of a process.
    """
    defaults = flatten(type(parameters)())
    prefix = f'{node}:' * bool(node) + camera
    arguments = []
    for name, value in flatten(parameters).items():
        if value != defaults[name]:
            text = value if isinstance(value, str) else json.dumps(value)
            arguments += ['-p', f'{prefix}.{name}:={text}']
    return arguments
