# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Where a log goes: to a window of Rerun, to its web viewer on this machine, to a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass
import os
from pathlib import Path
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, IO, TYPE_CHECKING
from urllib.parse import quote
import uuid

from ivf_ros.optional_imports import explain_missing
from ivf_ros.output import check_file, FILE_MARK

if TYPE_CHECKING:
    from ivf_ros.view.log import ViewLog

_LOCALHOST = '127.0.0.1'
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_FLUSH_TIMEOUT_S = 20.0
# Of the log in memory, for a browser or a window that is opened late. Old data is dropped.
_MEMORY_LIMIT = '1GiB'
_COLOR_CODES = re.compile(r'\x1b\[[0-9;]*m')


class ViewError(RuntimeError):
    """The viewer cannot be started, or its file cannot be written."""


@dataclass(frozen=True)
class ViewerSettings:
    """
    Where a log goes.

    Attributes
    ----------
    window:
        Open a window of Rerun.
    web:
        Serve the viewer for a browser on this machine.
    file:
        Write an ``.rrd`` file.
    overwrite:
        Overwrite a file that was not made by this package.
    port:
        Port of the log on this machine; 0 takes a free one.
    web_port:
        Port of the page of the web viewer; 0 takes a free one.
    jpeg_quality:
        Quality of the images in the log, 0 to 100.

    """

    window: bool = False
    web: bool = False
    file: Path | None = None
    overwrite: bool = False
    port: int = 0
    web_port: int = 0
    jpeg_quality: int = 75


class Viewer:
    """
    An open viewer.

    Attributes
    ----------
    log:
        Sends to it.
    url:
        Address of the page for a browser; empty without one.
    is_interactive:
        Whether there is a window or a page, not only a file.

    """

    def __init__(self, log: ViewLog, process: _RerunProcess | None) -> None:
        self.log, self._process = log, process
        self.is_interactive = process is not None
        self.url = process.page_url if process is not None else ''

    def is_open(self) -> bool:
        """
        Return whether somebody may still look; a file is always open.

        Raises
        ------
        ViewError
            The process of the viewer failed.

        """
        return self._process is None or self._process.is_running()

    def wait_until_closed(self) -> None:
        """Wait until the window is closed; a web viewer is never closed."""
        while self.is_open():
            time.sleep(0.2)


def check(settings: ViewerSettings, inputs: Iterable[str | Path] = ()) -> None:
    """
    Check that a log can go where the settings say, before anything is computed.

    Raises
    ------
    ViewError
        rerun-sdk is not installed, or there is no display for a window.
    OutputError
        See ``output.check_file``.

    """
    with explain_missing('the view', ViewError, 'rerun-sdk'):
        import rerun  # noqa: F401
    if settings.file is not None:
        if settings.file.suffix != '.rrd':
            raise ViewError(f"the file must end in .rrd, got '{settings.file}'")
        check_file(settings.file, inputs, settings.overwrite)
    if settings.window and sys.platform == 'linux' \
            and not (os.environ.get('DISPLAY') or os.environ.get('WAYLAND_DISPLAY')):
        raise ViewError('there is no display for a window; choose the web viewer '
                        '(--web, --view web) or a file (--out, --view file)')


@contextmanager
def open_viewer(settings: ViewerSettings, name: str, inputs: Iterable[str | Path] = ()
                ) -> Iterator[Viewer]:
    """
    Open a viewer, a file or both, and close them after the block.

    Parameters
    ----------
    settings:
        Where the log goes.
    name:
        Name of the recording, which the viewer shows.
    inputs:
        Paths that the file must not overwrite.

    Raises
    ------
    ViewError, OutputError
        See ``check``. Or the viewer does not start, or the file cannot be written.

    """
    check(settings, inputs)
    import rerun as rr
    from ivf_ros.view.layout import make_blueprint
    from ivf_ros.view.log import ViewLog

    # The identity stands at the beginning of the file, where ``output.check_file`` looks.
    recording = rr.RecordingStream('ivf_ros', recording_id=f'{FILE_MARK} {uuid.uuid4()}')
    sinks: list[Any] = []
    process = None
    with ExitStack() as stack:
        if settings.window or settings.web:
            output = stack.enter_context(tempfile.TemporaryFile('w+'))
            process = _RerunProcess(settings, output)
            stack.callback(process.stop)
            sinks.append(rr.GrpcSink(process.log_url))
        if settings.file is not None:
            sinks.append(rr.FileSink(settings.file))
        stack.callback(recording.disconnect)
        try:
            recording.set_sinks(*sinks)
        except (RuntimeError, OSError) as error:
            raise ViewError(f"cannot write '{settings.file}': {error}") from None
        recording.send_recording_name(name)
        recording.send_blueprint(make_blueprint())
        yield Viewer(ViewLog(recording, settings.jpeg_quality), process)
        if process is None or process.is_running():
            recording.flush(timeout_sec=_FLUSH_TIMEOUT_S)


class _RerunProcess:
    """
    The program of Rerun, which receives the log on this machine only, and shows it.

    The functions of its SDK that do the same accept connections from the whole network.
    """

    def __init__(self, settings: ViewerSettings, output: IO[str]) -> None:
        self._port = settings.port or _find_free_port()
        web_port = (settings.web_port or _find_free_port()) if settings.web else 0
        for port in filter(None, (self._port, web_port)):
            _check_free(port)
        self.log_url = f'rerun+http://{_LOCALHOST}:{self._port}/proxy'
        self.page_url = ''
        if settings.web:
            self.page_url = f'http://{_LOCALHOST}:{web_port}/?url={quote(self.log_url, safe="")}'
        self._output = output  # of the process, to say why it failed
        shown = ['--serve-web', '--web-viewer-port', str(web_port)] if settings.web \
            else ['--hide-welcome-screen', '--memory-limit', _MEMORY_LIMIT]
        # An interrupt from the terminal ends this process first, which then ends that one.
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'rerun', '--bind', _LOCALHOST, '--port', str(self._port),
             '--server-memory-limit', _MEMORY_LIMIT, *shown],
            # Except in CI it reports its use to its maker, and it has no other switch for one run.
            env={'CI': 'true', **os.environ}, stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, start_new_session=True)
        try:
            self._wait_until_listening([self._port, web_port] if settings.web else [self._port])
        except BaseException:
            self.stop()
            raise

    def is_running(self) -> bool:
        """Return False after the user closed the window; raise ViewError after a failure."""
        code = self._process.poll()
        if code:
            raise ViewError(f'the viewer ended with exit code {code}: {self._last_line()}')
        return code is None

    def stop(self) -> None:
        """End the process and those that it started."""
        # The program is a child of its Python launcher; both are in a group of their own.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(_STOP_TIMEOUT_S)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
            break

    def _wait_until_listening(self, ports: list[int]) -> None:
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not all(_is_listening(port) for port in ports):
            if not self.is_running():
                raise ViewError(f'the viewer ended at once: {self._last_line()}')
            if time.monotonic() > deadline_s:
                raise ViewError(f'the viewer did not start within {_START_TIMEOUT_S:g} s: '
                                f'{self._last_line()}')
            time.sleep(0.05)

    def _last_line(self) -> str:
        self._output.seek(0)
        lines = _COLOR_CODES.sub('', self._output.read()).strip().splitlines()
        return lines[-1].strip() if lines else 'it said nothing'


def _find_free_port() -> int:
    with socket.socket() as free:
        free.bind((_LOCALHOST, 0))
        return int(free.getsockname()[1])


def _check_free(port: int) -> None:
    if _is_listening(port):
        raise ViewError(f'port {port} of this machine is in use; give another one, or 0 for a '
                        'free one')


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((_LOCALHOST, port)) == 0
