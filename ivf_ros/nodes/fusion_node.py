# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Fuses thermal and RGB by the latest homography, and goes on when a camera fails."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ivf_ros.fusion import FusionMode, FusionStage
from ivf_ros.nodes import messages
from ivf_ros.nodes.health import equipment
from ivf_ros.nodes.image_transport import ImageOutput
from ivf_ros.nodes.messages import Homography, Stamped
from ivf_ros.nodes.node_parameters import FusionNodeParameters
from ivf_ros.nodes.paired_input import PairedInput
from ivf_ros.nodes.process import run_node
from ivf_ros.nodes.stage_node import StageNode
from ivf_ros.nodes.transport import Hub
from ivf_ros.pairing import Pair
from ivf_ros.thermal import FreezeDetector
from ivf_ros.types import Frame, Registration, RegistrationState
from sensor_msgs.msg import CameraInfo


class FusionNode(StageNode):
    """Publishes ``fused/image`` with stamp and frame of the RGB image."""

    default_name = 'fusion'

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(FusionNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the fusion stage."""
        self._stage = FusionStage(self.parameters.fusion, self.parameters.radiometry.radiometry())
        self._freeze = FreezeDetector(self.parameters.freeze)
        self._homography: Stamped[Homography] | None = None
        self._rgb_info: CameraInfo | None = None
        self._rgb_frame_id = ''
        self._modes: Counter[FusionMode] = Counter()
        self._trouble = ''
        self._seen: dict[str, object] = {}
        self._fused = ImageOutput(self, 'fused/image')
        self._fused_info = self.advertise(messages.CAMERA_INFO, 'fused/camera_info')

    def activate(self) -> None:
        """Subscribe to the cameras and to the homography."""
        self._fusing = self.start_worker(self._fuse, lambda: self.statistics.drop('busy'))
        self._input = PairedInput(self, self.parameters.pairing, self._on_pair,
                                  thermal_transport=self.parameters.thermal_transport,
                                  rgb_transport=self.parameters.rgb_transport)
        self.subscribe(messages.HOMOGRAPHY, 'registration/homography', self._on_homography)
        self.subscribe(messages.CAMERA_INFO, 'rgb/camera_info', self._on_camera_info)

    def cleanup(self) -> None:
        """Let go of the stage."""
        del self._stage, self._freeze

    def prepare(self, requested: FusionNodeParameters) -> FusionStage:
        """Build the stage anew where the method or the meaning of thermal changes."""
        old, new = self.parameters, requested
        if (new.fusion.method, new.fusion.learned, new.radiometry) \
                == (old.fusion.method, old.fusion.learned, old.radiometry):
            return self._stage
        return FusionStage(new.fusion, new.radiometry.radiometry())

    def take_over(self, prepared: FusionStage) -> None:
        """Go on with the new settings from the next frame."""
        prepared.parameters = self.parameters.fusion
        self._stage = prepared
        self._freeze.parameters = self.parameters.freeze

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Tell what the fused image shows, and why where it is not both cameras."""
        values: dict[str, object] = {
            **self._input.diagnostics(),
            **equipment(self._stage.fuser),
            **self._seen,
            **{f'mode_count.{mode.value}': self._modes[mode] for mode in FusionMode},
        }
        return self._input.trouble() or self._trouble, values

    def _on_pair(self, pair: Pair[Frame]) -> None:
        if self._fused.wanted or self._fused_info.wanted:
            self._fusing.put(pair)

    def _fuse(self, pair: Pair[Frame]) -> None:
        thermal, rgb = pair.thermal, pair.rgb
        leading = rgb or thermal
        if leading is None:
            return
        if rgb is not None:
            self._rgb_frame_id = rgb.frame_id
        with self.statistics.timed():
            health = None if thermal is None else \
                self._freeze.update(thermal.image, thermal.stamp_ns * 1e-9)
            result = self._stage.step(None if thermal is None else thermal.image,
                                      None if rgb is None else rgb.image,
                                      self._registration(leading.stamp_ns), health)
        self._modes[result.mode] += 1
        self._trouble = result.reason
        self._seen = {'rgb_state': result.rgb_state.value,
                      'thermal_state': 'MISSING' if health is None else health.state.value}
        if result.image is None:
            return
        frame_id = self._rgb_frame_id if result.on_rgb_grid else leading.frame_id
        self._fused.publish(Frame(result.image, leading.stamp_ns, frame_id))
        if self._rgb_info is not None and result.on_rgb_grid:
            self._fused_info.publish(Stamped(self._rgb_info, leading.stamp_ns, frame_id))

    def _registration(self, stamp_ns: int) -> Registration | None:
        """Return the latest homography as a registration; one that is too old counts as lost."""
        if self._homography is None:
            return None
        homography = self._homography.value
        age_s = max(0.0, (stamp_ns - self._homography.stamp_ns) * 1e-9)
        timeout_s = self.parameters.homography_timeout_s
        expired = 0.0 < timeout_s < age_s
        return Registration(homography.H_thermal_to_rgb, confidence=0.0 if expired else 1.0,
                            inliers=0, rgb_size=homography.rgb_size, age_s=age_s,
                            state=RegistrationState.LOST if expired else RegistrationState.HOLDING,
                            reason=f'no homography for {age_s:.1f} s' if expired else '')

    def _on_homography(self, item: Stamped[Homography]) -> None:
        self._homography = item

    def _on_camera_info(self, item: Stamped[CameraInfo]) -> None:
        self._rgb_info = item.value


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a process of its own."""
    return run_node(FusionNode, arguments)
