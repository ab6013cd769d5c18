# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Picture files as data URIs, each content once."""

from __future__ import annotations

import base64
from pathlib import Path

from ivf_ros.evaluation.report.errors import ReportError

_MEDIA_TYPES = {'.webp': 'image/webp', '.png': 'image/png'}


class PicturePool:
    """
    The pictures of a page.

    Stages share their sources, so equal files are stored once.

    Parameters
    ----------
    folder:
        Names are relative to it and may not lead out of it.

    """

    def __init__(self, folder: Path) -> None:
        self.data_uris: list[str] = []
        self._folder = folder.resolve()
        self._places: dict[str, int] = {}

    def add(self, name: str) -> int | None:
        """
        Return the place of a file in ``data_uris``, None where there is no such file.

        Raises
        ------
        ReportError
            The name leads out of the folder or ends neither in .webp nor in .png, or the file
            cannot be read.

        """
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder) or path.suffix not in _MEDIA_TYPES:
            raise ReportError(f"'{name}' is no picture (.webp, .png) inside {self._folder}")
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReportError(f'cannot read {path}: {error.strerror}') from None
        uri = f'data:{_MEDIA_TYPES[path.suffix]};base64,{base64.b64encode(data).decode()}'
        place = self._places.setdefault(uri, len(self.data_uris))
        if place == len(self.data_uris):
            self.data_uris.append(uri)
        return place
