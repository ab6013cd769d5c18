# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The fusion node: fuses thermal and RGB, and continues if a camera fails."""

from __future__ import annotations

from collections import Counter
import time
from typing import Any

from ivf_ros.fusion import FusionMode, FusionStage
from ivf_ros.nodes.graph import messages
from ivf_ros.nodes.graph.camera_inputs import CameraInputs
from ivf_ros.nodes.graph.graph_status import GraphStatus
from ivf_ros.nodes.graph.health import describe_backend
from ivf_ros.nodes.graph.image_transport import ImageOutput
from ivf_ros.nodes.graph.messages import Homography, Stamped
from ivf_ros.nodes.graph.node_parameters import FusionNodeParameters
from ivf_ros.nodes.graph.paired_input import PairedInput
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub, LATCHED_QOS
from ivf_ros.pairing import Pair
from ivf_ros.types import Frame

# Without an image for this long nothing is shown.
_SILENCE_S, _SILENCE_CHECK_S = 1.0, 0.2


class FusionNode(StageNode):
    """
    Publishes ``fused/image`` with the stamp and the frame of the RGB image.

    ``thermal_registered/image_8bit`` is the thermal image that was fused, after the gain control
    and on the RGB grid. It is the input of networks for both cameras, and is published first.
    ``fused/mode`` says which cameras the fused image shows, whenever that changes, and
    ``~/status`` in a line why not both of them.
    """

    default_name = 'fusion'
    stage: FusionStage

    def __init__(self, hub: Hub | None = None, **node_options: Any) -> None:
        super().__init__(FusionNodeParameters, hub, **node_options)

    def configure(self) -> None:
        """Build the fusion stage."""
        self.stage = FusionStage(self.parameters)
        self._cameras = CameraInputs(self, self.parameters.thermal, self.parameters.rgb)
        self._modes: Counter[FusionMode] = Counter()
        self._mode: FusionMode | None = None
        self._problem = ''
        self._camera_states: dict[str, object] = {}
        self._thermal = ImageOutput(self, 'thermal_registered/image_8bit')
        self._fused = ImageOutput(self, 'fused/image')
        self._fused_info = self.advertise(messages.CAMERA_INFO, 'fused/camera_info')
        self._mode_output = self.advertise(messages.TEXT, 'fused/mode', LATCHED_QOS)
        self._status = GraphStatus(self)

    def activate(self) -> None:
        """Subscribe to the cameras and to the homography."""
        self._worker = self.start_worker(self._fuse,
                                         lambda: self.statistics.count_drop('busy'))
        self._input = PairedInput(self, self.parameters.pairing, self._worker.put,
                                  thermal_transport=self.parameters.thermal_transport,
                                  rgb_transport=self.parameters.rgb_transport)
        self.subscribe(messages.HOMOGRAPHY, 'registration/homography', self._on_homography)
        self._cameras.subscribe_to_info('rgb')
        if self.parameters.thermal.undistort:
            self._cameras.subscribe_to_info('thermal')
        self._status.subscribe()
        self._latest_s = time.monotonic()  # of the latest image, or of the start
        self.call_every(_SILENCE_CHECK_S, self._notice_silence)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return the cameras in the fused image, and a warning if one of them is missing."""
        values: dict[str, object] = {
            **self._input.diagnostics(),
            **self._cameras.diagnostics(),
            **describe_backend(self.stage.method),
            **self._camera_states,
            **({} if self._mode is None else {'mode': self._mode.value,
                                              'status': self._status.text}),
            **{f'mode_count.{mode.value}': self._modes[mode] for mode in FusionMode},
        }
        problem = self._input.find_problem() or self._cameras.find_problem() or self._problem
        return problem, values

    def _fuse(self, pair: Pair[Frame]) -> None:
        corrected = self._cameras.correct(pair)  # it reports bad images also if nobody listens
        is_needed = self._fused.has_subscribers or self._fused_info.has_subscribers \
            or self._thermal.has_subscribers or self._mode_output.has_subscribers \
            or self._status.has_subscribers
        self._latest_s = time.monotonic()
        if corrected is None or not is_needed:
            return
        with self.statistics.measure_latency():
            result = self.stage.step(corrected.thermal, corrected.rgb)
        self._modes[result.mode] += 1
        self._report_mode(result.mode, result.reason, result.stamp_ns)
        self._camera_states = {'rgb_state': result.rgb_state.value,
                               'thermal_state': result.thermal_state}
        if result.image is None:
            return
        if result.thermal is not None:
            self._thermal.publish(Frame(result.thermal, result.stamp_ns, result.frame_id))
        self._fused.publish(Frame(result.image, result.stamp_ns, result.frame_id))
        if result.on_rgb_grid and self._fused_info.has_subscribers:
            info = self._cameras.corrected_info('rgb')
            if info is not None:
                self._fused_info.publish(Stamped(info, result.stamp_ns, result.frame_id))

    def _report_mode(self, mode: FusionMode, reason: str, stamp_ns: int) -> None:
        self._problem = ': '.join(filter(None, ('' if mode is FusionMode.FUSED else mode.value,
                                                reason)))
        self._status.update(mode, reason, stamp_ns)
        if mode is not self._mode:
            self._mode = mode
            self._mode_output.publish(Stamped(mode.value, stamp_ns, ''))

    def _notice_silence(self) -> None:
        """Report that nothing is fused any more, which no image would do."""
        silence_s = time.monotonic() - self._latest_s
        if self._mode not in (None, FusionMode.NOTHING) and silence_s > _SILENCE_S:
            self._report_mode(FusionMode.NOTHING, f'no image for {silence_s:.1f} s',
                              self.get_clock().now().nanoseconds)

    def _on_homography(self, item: Stamped[Homography]) -> None:
        self.stage.update_homography(item.value.H_thermal_to_rgb, item.value.rgb_size,
                                     item.stamp_ns, item.value.is_lost)


def main(arguments: list[str] | None = None) -> int:
    """Run the node in a separate process."""
    return run_node(FusionNode, arguments)
