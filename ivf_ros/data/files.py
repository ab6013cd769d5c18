# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Folders of recordings and data sets, without the files that operating systems add to them."""

from __future__ import annotations

from pathlib import Path

from ivf_ros.data.recording import natural_key, SourceError

IMAGE_SUFFIXES = ('.bmp', '.jp2', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff',
                  '.webp')

# Previews and settings of Windows, macOS archives, and network drives.
_SYSTEM_NAMES = ('thumbs.db', 'ehthumbs.db', 'desktop.ini', '__macosx', '@eadir', '#recycle',
                 '$recycle.bin', 'system volume information')


def is_hidden(name: str) -> bool:
    """Return whether a file or folder of this name is no part of a recording."""
    return name.startswith('.') or name.lower() in _SYSTEM_NAMES


def list_folder(folder: Path) -> list[Path]:
    """
    Return the files and folders in a folder in natural order, without hidden ones.

    Raises
    ------
    SourceError
        The folder cannot be listed.

    """
    try:
        paths = [path for path in folder.iterdir() if not is_hidden(path.name)]
    except OSError as error:
        raise SourceError(f'cannot list {folder}: {error.strerror}') from None
    return sorted(paths, key=lambda path: natural_key(path.name))


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder in natural order; raise SourceError if unreadable."""
    return [path for path in list_folder(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
