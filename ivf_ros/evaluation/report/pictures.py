# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Picture files as data URIs, each content stored once."""

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
        Names are relative to this folder and must not leave it.

    """

    def __init__(self, folder: Path) -> None:
        self.data_uris: list[str] = []
        self._folder = folder.resolve()
        self._index_of: dict[str, int] = {}

    def add(self, name: str) -> int | None:
        """
        Add a file and return its index in ``data_uris``, or None if there is no such file.

        Raises
        ------
        ReportError
            The name leaves the folder or does not end in .webp or .png, or the file cannot be
            read.

        """
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder) or path.suffix not in _MEDIA_TYPES:
            raise ReportError(f"'{name}' is not a picture (.webp, .png) inside {self._folder}")
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ReportError(f'cannot read {path}: {error.strerror}') from None
        uri = f'data:{_MEDIA_TYPES[path.suffix]};base64,{base64.b64encode(data).decode()}'
        index = self._index_of.setdefault(uri, len(self.data_uris))
        if index == len(self.data_uris):
            self.data_uris.append(uri)
        return index
