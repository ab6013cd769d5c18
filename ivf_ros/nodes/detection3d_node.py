# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The detection3d node: places detections in space, and colours point clouds."""

from __future__ import annotations

from typing import Any

from ivf_ros.camera_input import CameraGeometry
from ivf_ros.detection3d import CalibratedCamera, Detection3dStage
from ivf_ros.images import as_bgr8
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.depth_input import DepthSubscriber
from ivf_ros.nodes.graph.detections3d import DETECTIONS_3D, MARKERS
from ivf_ros.nodes.graph.image_transport import resolve_transport
from ivf_ros.nodes.graph.messages import Stamped
from ivf_ros.nodes.graph.node_parameters import Detection3dNodeParameters
from ivf_ros.nodes.graph.point_clouds import COLORED_CLOUD
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.rig import TfLookup
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.stamped_buffer import StampedBuffer
from ivf_ros.nodes.graph.transport import Hub, LATCHED_QOS, Subscription
from ivf_ros.pace import Pace
from ivf_ros.thermal_on_rgb import ThermalOnRgb
from ivf_ros.types import Detection, Frame, Segmentation
import numpy as np


class Detection3dNode(StageNode):
    """
    Publishes ``detections_3d`` with markers, and the point cloud ``points``.

    Detections trigger the former and RGB images the latter. Each output is computed only while
    it has a subscriber. All results are in the optical frame of RGB, with its stamp.
    """

    default_name = 'detection3d'
    stage: Detection3dStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(Detection3dNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the stage; subscribe to what is published once: class names and tf."""
        p = self.parameters
        self._tf = TfLookup(self, 'depth_extrinsics', 'depth.R_depth_to_rgb') \
            if p.depth_extrinsics == 'tf' and p.depth_source != 'registered' else None
        self.stage = Detection3dStage(p)
        self._objects = self.advertise(DETECTIONS_3D, 'detections_3d')
        self._markers = self.advertise(MARKERS, 'detections_3d/markers')
        self._cloud = self.advertise(COLORED_CLOUD, 'points')
        self._label_names: tuple[str, ...] = ()
        self._label_info = Subscription(
            self, self.hub, messages.LABEL_INFO, 'segmentation/label_info', self._on_label_info,
            self._on_bad_message, LATCHED_QOS)

    def activate(self) -> None:
        """Subscribe to detections, depth and images."""
        p = self.parameters
        self._geometry, self._pace = CameraGeometry(p.rgb), Pace()
        self._depth = DepthSubscriber(self, self._is_needed, self._geometry, self._tf)
        self._labels: StampedBuffer[Stamped[Segmentation]] = StampedBuffer()
        self._counts: StampedBuffer[Frame] = StampedBuffer()
        self._masks: StampedBuffer[Frame] = StampedBuffer()
        located = self.start_worker(self._locate, lambda: self.statistics.count_drop('busy'))
        colored = self.start_worker(self._color)
        self.subscribe_while(self._are_objects_needed, messages.DETECTIONS, 'detections',
                             located.put)
        self.subscribe_while(lambda: self._is_needed() and self.parameters.use_labels,
                             messages.LABELS, 'segmentation/labels', self._labels.add)

        def add_rgb(frame: Frame) -> None:
            if self._pace.is_due(self.parameters.max_rate_hz):
                colored.put(frame)

        self.subscribe_while(lambda: self._cloud.has_subscribers,
                             *resolve_transport('rgb/image_raw', p.rgb_transport), add_rgb)
        for topic, buffer in (('thermal_registered/image', self._counts),
                              ('thermal_registered/mask', self._masks)):
            self.subscribe_while(
                lambda: self._cloud.has_subscribers and self.stage.needs_counts,
                *resolve_transport(topic, p.thermal_transport), buffer.add)

    def cleanup(self) -> None:
        """Unsubscribe from class names and tf."""
        self._label_info.destroy()
        if self._tf is not None:
            self._tf.destroy()

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, and the number of objects without depth."""
        return self._depth.find_problem(), {'objects_without_depth': self.stage.left_out}

    def _are_objects_needed(self) -> bool:
        return self._objects.has_subscribers or self._markers.has_subscribers

    def _is_needed(self) -> bool:
        return self._are_objects_needed() or self._cloud.has_subscribers

    def _locate(self, item: Stamped[list[Detection]]) -> None:
        depth = self._find_depth(item.stamp_ns, item.frame_id)
        if depth is None:
            self.statistics.count_drop('detections_without_depth')
            return
        with self.statistics.measure_latency():
            found = self.stage.step(item.value, *depth, self._find_segmentation(item.stamp_ns))
        result = Stamped(found, item.stamp_ns, item.frame_id)
        self._objects.publish(result)
        self._markers.publish(result)

    def _color(self, frame: Frame) -> None:
        rgb, stamp_ns = self._geometry.apply(as_bgr8(frame.image)), frame.stamp_ns
        depth = self._find_depth(stamp_ns, frame.frame_id)
        if depth is None:
            self.statistics.count_drop('images_without_depth')
            return
        cloud = self.stage.color(*depth, rgb, self._find_counts(stamp_ns),
                                 self._find_segmentation(stamp_ns))
        self._cloud.publish(Stamped(cloud, stamp_ns, frame.frame_id))

    def _find_depth(self, stamp_ns: int, frame_id: str
                    ) -> tuple[np.ndarray, CalibratedCamera] | None:
        """Return the depth on the RGB grid, and the RGB camera."""
        camera = self._depth.camera()
        depth_m = None if camera is None else self._depth.find(stamp_ns, frame_id, camera)
        return None if camera is None or depth_m is None else (depth_m, camera)

    def _find_segmentation(self, stamp_ns: int) -> Segmentation | None:
        if not (self.parameters.use_labels and self._label_names):
            return None
        labels = self._labels.find(stamp_ns)
        return None if labels is None else Segmentation(labels.value.labels, self._label_names)

    def _find_counts(self, stamp_ns: int) -> ThermalOnRgb | None:
        if not self.stage.needs_counts:
            return None
        counts, mask = self._counts.find(stamp_ns), self._masks.find(stamp_ns)
        return None if counts is None or mask is None \
            else ThermalOnRgb(counts.image, mask.image != 0)

    def _on_label_info(self, item: Stamped[tuple[str, ...]]) -> None:
        self._label_names = item.value


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(Detection3dNode, arguments)
