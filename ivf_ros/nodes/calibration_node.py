# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The calibration node: collects the views of a board from the running cameras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ivf_ros.calibration.view_collection import ViewCollection
from ivf_ros.nodes.graph.camera_inputs import CameraInputs, make_camera_arguments
from ivf_ros.nodes.graph.node_parameters import CalibrationNodeParameters
from ivf_ros.nodes.graph.paired_input import PairedInput
from ivf_ros.nodes.graph.process import run_node
from ivf_ros.nodes.graph.stage_node import StageNode
from ivf_ros.nodes.graph.transport import Hub
from ivf_ros.pairing import Pair
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Frame


class CalibrationNode(StageNode):
    """
    Searches the board in the newest pair of images, over and over.

    Parameters
    ----------
    collection:
        The views; it is filled.
    report:
        Called with a line after each new view.

    """

    default_name = 'calibration'

    def __init__(self, collection: ViewCollection, report: Callable[[str], None],
                 hub: Hub | None = None, **node_options: Any) -> None:
        self._collection, self._report = collection, report
        super().__init__(CalibrationNodeParameters, hub, **node_options)

    def activate(self) -> None:
        """Subscribe to the cameras."""
        self._cameras = CameraInputs(self, self.parameters.thermal, self.parameters.rgb)
        worker = self.start_worker(self._search)
        self._input = PairedInput(self, self.parameters.pairing, worker.put,
                                  thermal_transport=self.parameters.thermal_transport,
                                  rgb_transport=self.parameters.rgb_transport,
                                  pass_single=False)

    def diagnose(self) -> tuple[str, dict[str, object]]:
        """Return a warning about the input, and the number of views."""
        return self._input.find_problem(), {**self._input.diagnostics(),
                                            **self._cameras.diagnostics(),
                                            'searched': self._collection.searched,
                                            'views': len(self._collection.views)}

    def _search(self, pair: Pair[Frame]) -> None:
        corrected = self._cameras.correct(pair)
        if corrected is None or corrected.thermal is None or corrected.rgb is None:
            return
        thermal, rgb = corrected.thermal, corrected.rgb
        name = f'{thermal.stamp_ns * 1e-9:.3f} s'
        if self._collection.add(name, {'thermal': thermal.image, 'rgb': rgb.image}):
            missing = self._collection.describe_missing()
            self._report(self._collection.describe()
                         + (f'; not yet in {missing}' if missing else '; all parts covered'))


def run(collection: ViewCollection, view_count: int, topics: dict[str, str], transport: str,
        tolerance_s: float, thermal_camera: ThermalCameraParameters,
        report: Callable[[str], None]) -> int:
    """
    Collect views until their number is reached or the user interrupts.

    Parameters
    ----------
    collection:
        The views; it is filled.
    view_count:
        Number of views in which both cameras see the board.
    topics:
        Image topics by stream.
    transport:
        ``raw`` or ``compressed``, of both cameras.
    tolerance_s:
        Largest difference of the stamps of a pair.
    thermal_camera:
        What the pixels of the thermal camera mean.
    report:
        Called with a line after each new view.

    Returns
    -------
    int
        The exit code of the node.

    """
    arguments = ['--ros-args']
    for stream, topic in topics.items():
        for suffix in ('', '/compressed', '/compressedDepth'):
            arguments += ['-r', f'{stream}/image_raw{suffix}:={topic}{suffix}']
        arguments += ['-p', f'{stream}_transport:={transport}']
    arguments += ['-p', f'pairing.tolerance_s:={float(tolerance_s)}',
                  *make_camera_arguments('thermal', thermal_camera)]
    return run_node(lambda: CalibrationNode(collection, report), arguments,
                    until=lambda: collection.pair_count >= view_count)
