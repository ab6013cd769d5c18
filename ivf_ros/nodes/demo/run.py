# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The demonstration: replays a source through the whole graph and records the results.

This process runs the replay node and the recorder; a second process runs the four stages. The two
processes communicate over DDS, as on a robot. The results are a bag, a contact sheet and a
summary.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
import json
import math
import os
from pathlib import Path
import subprocess
import threading
import time
from typing import Any, Callable, IO, TYPE_CHECKING

from ivf_ros import dds, geometry
from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.bag_writer import BagWriter
from ivf_ros.data.folder import FolderSource
from ivf_ros.data.sources import BagOptions, open_source, Source
from ivf_ros.nodes.demo import sheet
from ivf_ros.nodes.demo.container_process import start_container, stop_process
from ivf_ros.nodes.demo.recorder import Recorder
from ivf_ros.nodes.demo.replay import check_played, MIN_PART, ReplayError
from ivf_ros.nodes.graph import process
from ivf_ros.nodes.graph.camera_inputs import make_camera_arguments
from ivf_ros.nodes.graph.faults import describe_error
from ivf_ros.nodes.replay_node import ReplayNode
from ivf_ros.nodes.view_node import ViewNode
from ivf_ros.output import check_folder, open_folder, remove_marked_folder, write_mark
from ivf_ros.regular_files import check_regular
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Event, GRAPH_NODES, RegistrationState, Truth
from ivf_ros.view.live_stages import parameters_of_stills
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter

if TYPE_CHECKING:
    from ivf_ros.view.log import ViewLog

DEFAULT_SOURCE = 'simulator'

_START_TIMEOUT_S = 60.0
_DRAIN_TIMEOUT_S = 5.0
_STOP_TIMEOUT_S = 1.5
# Registration needs a second for a still, and a person looks at it for as long.
_STILL_S = 1.5
# Each node publishes its diagnostics once per second.
_DIAGNOSTICS_TIMEOUT_S = 2.5

_STILL_PARAMETERS = tuple(f'{node}:{name}:={value}'
                          for node, values in parameters_of_stills().items()
                          for name, value in values.items())
_ALIGNED_PARAMETERS = ('registration:registration.method:=calibrated',
                       'registration:registration.calibrated.aligned:=true')


class DemoError(RuntimeError):
    """The demonstration failed; the message contains the reason."""


@dataclass(frozen=True, eq=False)
class PlayedFrame:
    """A published frame: ``time.monotonic()`` of publication, (width, height), ground truth."""

    published_s: float
    size: tuple[int, int]
    truth: Truth | None


# By stream: stamp in nanoseconds to the published frame.
PlayLog = dict[str, dict[int, PlayedFrame]]


@dataclass(frozen=True)
class DemoSettings:
    """
    Settings of a demonstration.

    Attributes
    ----------
    source:
        The source to replay.
    seconds:
        Duration in recorded time.
    out:
        Output folder.
    rate:
        Playback speed as a multiple of the recorded speed.
    aligned:
        Whether the recording is already registered. It is then fused as it is: the homography is
        the plain resize of thermal to the RGB size.
    still_s:
        Duration of each still of unrelated scenes; 0 for a continuous recording. None: files of a
        folder that show unrelated scenes are stills.
    params_file:
        ROS parameter file of the stages.
    bag_options:
        Arguments of ``open_source`` that are for bags.
    thermal_camera, rgb_camera:
        How the cameras are built in: parameters of the stages.
    view_log:
        Shows the graph while it runs; None for no view.

    """

    source: str = DEFAULT_SOURCE
    seconds: float = 10.0
    out: Path = Path('ivf_demo')
    rate: float = 1.0
    aligned: bool = False
    still_s: float | None = None
    params_file: Path | None = None
    bag_options: BagOptions = field(default_factory=BagOptions)
    thermal_camera: ThermalCameraParameters = field(default_factory=ThermalCameraParameters)
    rgb_camera: CameraParameters = field(default_factory=CameraParameters)
    view_log: ViewLog | None = None


def run(settings: DemoSettings, progress: Callable[[str], None] = lambda text: None
        ) -> dict[str, Any]:
    """
    Run the graph and return its summary, which is also written to ``summary.json``.

    Raises
    ------
    DemoError
        The graph did not start, ended early, or fused few of the images.
    ReplayError
        The replay failed, or only a small part of the source could be played.
    SourceError, ParameterError
        The source cannot be opened.
    OutputError
        The output folder contains files that would be lost, or cannot be written.
    OSError
        The parameter file is missing, or no regular file.

    """
    check_folder(settings.out, 'demo', [settings.source])
    if settings.params_file:
        check_regular(settings.params_file)
    source = _open_source(settings)
    if settings.still_s is None and isinstance(source, FolderSource) \
            and source.shows_unrelated_scenes():
        progress(f'the files show unrelated scenes: each is played for {_STILL_S} s '
                 '(--still-seconds 0 plays them as a sequence)')
        settings = replace(settings, still_s=_STILL_S)
        source = _open_source(settings)
    open_folder(settings.out, 'demo', [settings.source])
    bag = settings.out / 'bag'
    remove_marked_folder(bag)
    dds.use_profile()
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    progress(f'source: {source.name}')
    played: PlayLog = {'thermal': {}, 'rgb': {}}

    def on_published(event: Event) -> None:
        played[event.stream][event.frame.stamp_ns] = PlayedFrame(
            time.monotonic(), event.frame.size, event.truth)

    with open(settings.out / 'stages.log', 'w+', encoding='utf-8') as log, \
            BagWriter(bag) as writer:
        write_mark(bag, 'demo')
        with _Graph(settings, source, writer, on_published, log) as graph:
            progress('waiting until the stages are active')
            graph.wait_until_active()
            progress(f'playing {settings.seconds:g} s')
            graph.play(progress)
            diagnostics = graph.last_diagnostics()
    report = _make_summary(settings, source, played, graph.recorder, diagnostics)
    progress('drawing the contact sheet')
    sheet_path = settings.out / 'contact_sheet.png'
    sheet.write(sheet_path, bag, graph.recorder, source.name, settings.thermal_camera,
                settings.rgb_camera)
    report['files'] = {'bag': str(bag), 'contact_sheet': str(sheet_path),
                       'log': str(settings.out / 'stages.log')}
    (settings.out / 'summary.json').write_text(json.dumps(report, indent=2) + '\n')
    _check_result(report, graph.recorder.problems, settings.out / 'stages.log')
    return report


def summary_text(report: dict[str, Any]) -> str:
    """Format the summary as a table."""
    lines = [f"{'topic':28}{'frames':>8}"]
    lines += [f"{topic:28}{counts['frames']:8d}" for topic, counts in report['topics'].items()]
    lines.append(f"{'latency':28}{'p50 ms':>8}{'p95 ms':>8}")
    lines += [f"{stage:28}{latency['p50']:8.1f}{latency['p95']:8.1f}"
              for stage, latency in report['latency_ms'].items()]
    lines.append('drops: ' + (', '.join(f'{reason} {count}' for reason, count
                                        in report['drops'].items()) or 'none'))
    states = report['registration']['states']
    lines.append('registration: ' + ', '.join(f'{s} {n}' for s, n in states.items()))
    error = report['registration'].get('corner_error_px')
    if error:
        lines.append(f"corner error: median {error['median']:.2f} px, p95 {error['p95']:.2f} px")
    if 'advice' in report['registration']:
        lines.append(report['registration']['advice'])
    lines += [f'{name}: {path}' for name, path in report['files'].items()]
    return '\n'.join(lines)


class _Graph:
    """The processes and nodes of one demonstration; a context manager that ends all of them."""

    def __init__(self, settings: DemoSettings, source: Source, writer: BagWriter,
                 on_published: Callable[[Event], None], log: IO[str]) -> None:
        self._settings, self._log = settings, log
        self._spin_error: Exception | None = None
        process.init([])
        self.recorder = Recorder(writer)
        overrides = [Parameter(name, value=value) for name, value in {
            'source': settings.source, 'rate': settings.rate, 'autostart': False,
            'max_duration_s': settings.seconds}.items()]
        self._replay = ReplayNode(source=source, on_published=on_published,
                                  parameter_overrides=overrides)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.recorder)
        self._executor.add_node(self._replay)
        self._view = None if settings.view_log is None else ViewNode(settings.view_log)
        if self._view is not None:
            self._executor.add_node(self._view)
        self._spin_thread = threading.Thread(target=self._spin, daemon=True)
        self._spin_thread.start()
        parameters = ['--params-file', str(settings.params_file)] if settings.params_file else []
        assignments = (_STILL_PARAMETERS if settings.still_s else ()) \
            + (_ALIGNED_PARAMETERS if settings.aligned else ())
        parameters += [word for assignment in assignments for word in ('-p', assignment)]
        parameters += _camera_arguments(settings)
        self._stages = start_container(parameters, stdout=log, stderr=subprocess.STDOUT)

    def __enter__(self) -> _Graph:
        return self

    def __exit__(self, *_: object) -> None:
        stop_process(self._stages)
        # The executor must still spin during the transition; it ends afterwards.
        self._replay.trigger_shutdown()
        self._executor.shutdown(_STOP_TIMEOUT_S)
        self._spin_thread.join(_STOP_TIMEOUT_S)
        self._replay.destroy_node()
        self.recorder.destroy_node()
        if self._view is not None:
            self._view.destroy_node()
        rclpy.try_shutdown()

    def wait_until_active(self) -> None:
        """Wait until all stages report that they are active."""
        diagnostics = self.recorder.diagnostics
        self._wait_for(lambda: all(diagnostics.get(stage, {}).get('lifecycle') == 'active'
                                   for stage in GRAPH_NODES),
                       _START_TIMEOUT_S, 'the stages did not start')

    def play(self, progress: Callable[[str], None]) -> None:
        """Replay the source to its end."""
        self._replay.trigger_configure()
        self._replay.trigger_activate()
        limit_s = time.monotonic() + self._settings.seconds / self._settings.rate * 3 + 30
        while not self._replay.finished.wait(1.0):
            self._check_health()
            frames = self.recorder.frames
            progress(f"rgb {frames['rgb/image_raw']}  fused {frames['fused/image']}  "
                     f"detections {frames['detections']}")
            if time.monotonic() > limit_s:
                raise DemoError('the replay did not end in the expected time')
        if self._replay.failure is not None:
            raise ReplayError(describe_error(self._replay.failure)) from self._replay.failure

    def last_diagnostics(self) -> dict[str, dict[str, str]]:
        """Wait until no more messages arrive and return the final diagnostics of each stage."""
        self._wait_until_idle()
        self.recorder.diagnostics.clear()
        self._wait_for(lambda: set(GRAPH_NODES) <= set(self.recorder.diagnostics),
                       _DIAGNOSTICS_TIMEOUT_S, 'the stages published no diagnostics')
        return dict(self.recorder.diagnostics)

    def _wait_until_idle(self) -> None:
        """Wait until no message arrives for half a second."""
        deadline_s = time.monotonic() + _DRAIN_TIMEOUT_S
        received = -1
        while time.monotonic() < deadline_s and received != sum(self.recorder.frames.values()):
            received = sum(self.recorder.frames.values())
            self.recorder.wait_for(lambda: False, 0.5)

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float, failure: str) -> None:
        deadline_s = time.monotonic() + timeout_s
        while not self.recorder.wait_for(condition, 0.5):
            self._check_health()
            if time.monotonic() > deadline_s:
                raise DemoError(f'{failure} within {timeout_s:g} s')

    def _check_health(self) -> None:
        if self.recorder.failure:
            raise DemoError(self.recorder.failure)
        if self._spin_error is not None:
            raise DemoError(f'a callback of the recording failed: {self._spin_error!r}') \
                from self._spin_error
        for stage in GRAPH_NODES:  # other nodes of the network may fail
            if failure := self.recorder.diagnostics.get(stage, {}).get('failure'):
                raise DemoError(f'{stage}: {failure}')
        if self._stages.poll() is not None:
            self._log.flush()
            self._log.seek(0)
            lines = self._log.read().strip().splitlines() or ['no output']
            errors = [line for line in lines if line.startswith('error: ')]
            raise DemoError(f'the stages ended with exit code {self._stages.returncode}: '
                            f'{(errors or lines)[-1]}')

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass
        except Exception as error:  # else the demonstration would wait for its time-out
            self._spin_error = error


def _open_source(settings: DemoSettings) -> Source:
    return open_source(settings.source, aligned=settings.aligned, still_s=settings.still_s or 0.0,
                       **settings.bag_options)


def _camera_arguments(settings: DemoSettings) -> list[str]:
    """Return the ROS arguments that set the parameters of the cameras in all nodes."""
    arguments = [word for node in ('registration', 'fusion')
                 for word in make_camera_arguments('thermal', settings.thermal_camera, node)]
    return arguments + [word for node in GRAPH_NODES
                        for word in make_camera_arguments('rgb', settings.rgb_camera, node)]


def _make_summary(settings: DemoSettings, source: Source, played: PlayLog, recorder: Recorder,
                  diagnostics: dict[str, dict[str, str]]) -> dict[str, Any]:
    topics = {topic: {'frames': recorder.frames[topic]} for topic in recorder.arrivals_s}
    for stream in ('thermal', 'rgb'):
        topics[f'{stream}/image_raw']['published'] = len(played[stream])
    drops_by_node = {stage: _select_counts(diagnostics[stage], 'drops.') for stage in GRAPH_NODES}
    registration: dict[str, Any] = {
        'states': _select_counts(diagnostics['registration'], 'state_count.')}
    errors_px = _corner_errors_px(played, recorder)
    if errors_px and not settings.aligned:  # otherwise it is 0 by definition
        registration['corner_error_px'] = _percentiles(errors_px, 'median')
    if diagnostics['registration'].get('state') == RegistrationState.LOST.value:
        registration['advice'] = _explain_loss(settings, recorder.problems)
    return {'source': source.name, 'seconds': settings.seconds, 'rate': settings.rate,
            'topics': topics, 'bad_messages': dict(recorder.bad_messages),
            'drops': dict(sum(map(Counter, drops_by_node.values()), Counter())),
            'drops_by_node': drops_by_node,
            'latency_ms': _latencies_ms(played, recorder, diagnostics),
            'registration': registration, 'skipped_by_source': dict(source.skipped)}


def _explain_loss(settings: DemoSettings, problems: dict[str, str]) -> str:
    """Return why the registration ended LOST, and the line to try next."""
    problem = problems.get('registration', 'registration lost')
    return (f'at the end: {problem}. If both cameras show the same view already, try: ivf demo '
            f"--source '{settings.source}' --aligned")


def _check_result(report: dict[str, Any], problems: dict[str, str], log: Path) -> None:
    """Raise an error if few frames were played or fused, with what the nodes say about it."""
    topics = report['topics']
    played = {stream: topics[f'{stream}/image_raw']['published'] for stream in ('thermal', 'rgb')}
    check_played(played, report['skipped_by_source'])
    fused, pairs = topics['fused/image']['frames'], min(played.values())
    if fused < MIN_PART * pairs:
        reasons = [f'{node}: {problem}' for node, problem in problems.items()]
        raise DemoError('; '.join([f'{fused or "none"} of {pairs} pairs were fused', *reasons])
                        + f'; see {log}')


def _select_counts(values: dict[str, str], prefix: str) -> dict[str, int]:
    """Return the counts in the diagnostic values with a prefix, which is removed from the keys."""
    return {key.removeprefix(prefix): int(value) for key, value in values.items()
            if key.startswith(prefix) and value.isdecimal()}


def _latencies_ms(played: PlayLog, recorder: Recorder, diagnostics: dict[str, dict[str, str]]
                  ) -> dict[str, dict[str, float]]:
    """Return the latencies that the stages report, and the measured end-to-end latencies."""
    latencies_ms: dict[str, dict[str, float]] = {}
    for stage in GRAPH_NODES:
        with suppress(KeyError, ValueError):  # no latency yet, or diagnostics of another node
            latencies_ms[stage] = {p: float(diagnostics[stage][f'latency_ms.{p}'])
                                   for p in ('p50', 'p95')}
    for name, topic in (('end_to_end', 'detections'), ('end_to_end_fused', 'fused/image')):
        times_ms = [(arrived_s - played['rgb'][stamp_ns].published_s) * 1e3
                    for stamp_ns, arrived_s in recorder.arrivals_s[topic].items()
                    if stamp_ns in played['rgb']]
        if times_ms:
            latencies_ms[name] = _percentiles(times_ms, 'p50')
    return latencies_ms


def _corner_errors_px(played: PlayLog, recorder: Recorder) -> list[float]:
    """
    Return the corner error of each homography to the ground truth nearest in time.

    A homography that maps a corner to infinity is left out.
    """
    truths = {stamp_ns: frame.truth.H_thermal_to_rgb for stamp_ns, frame in played['rgb'].items()
              if frame.truth is not None and frame.truth.H_thermal_to_rgb is not None}
    errors_px = []
    for measured in recorder.homographies:
        thermal = played['thermal'].get(measured.stamp_ns)
        if thermal is None or not truths:
            continue
        nearest_ns = min(truths, key=lambda stamp_ns: abs(stamp_ns - measured.stamp_ns))
        errors_px.append(geometry.corner_error_px(measured.value.H_thermal_to_rgb,
                                                  truths[nearest_ns], thermal.size))
    return [error_px for error_px in errors_px if math.isfinite(error_px)]


def _percentiles(values: list[float], median_key: str) -> dict[str, float]:
    median, p95 = np.percentile(values, [50, 95])
    return {median_key: round(float(median), 3), 'p95': round(float(p95), 3)}
