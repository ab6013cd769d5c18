# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The image files that a command writes: one that the user names, or a folder of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ivf_ros.cli.inputs import Inputs, Item
from ivf_ros.cli.output import check_outputs, check_suffix, CommandError
from ivf_ros.data.files import IMAGE_SUFFIXES
from ivf_ros.data.video import VIDEO_SUFFIXES
from ivf_ros.output import check_file, check_folder, mark_image, open_folder

if TYPE_CHECKING:
    import numpy as np

# What is looked at, and what must keep each value.
PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.tif', '.tiff', '.bmp', '.jp2')
VALUE_SUFFIXES = ('.png', '.tif', '.tiff')


@dataclass(frozen=True)
class ImageOutputs:
    """
    Where the images of each item go.

    Attributes
    ----------
    paths:
        The file of a single item, or the folder, by the name of the option.
    is_single:
        Whether they are files.
    suffix:
        Of the files in folders; '' for .png, or .tif where the image is float.
    overwrite:
        Files of other origin may be overwritten.

    """

    paths: Mapping[str, Path]
    is_single: bool
    suffix: str
    overwrite: bool

    @classmethod
    def prepare(cls, options: argparse.Namespace, inputs: Inputs,
                suffixes: Mapping[str, tuple[str, ...]]) -> ImageOutputs:
        """
        Check the outputs before any work, and create the folders.

        Parameters
        ----------
        suffixes:
            Allowed suffixes by the name of the option, such as 'out'.

        Raises
        ------
        CommandError
            A suffix is not known.
        OutputError
            Other files would be lost; see ``ivf_ros.output``.

        """
        paths = {name: getattr(options, name) for name in suffixes if getattr(options, name)}
        if inputs.is_single:
            for name, path in paths.items():
                check_suffix(path, suffixes[name])
            files = [Path(source) for source in inputs.sources]
            check_outputs(options, list(paths.values()), files)
        else:
            for name, path in paths.items():
                if path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES):
                    raise CommandError(f'--{name} is a folder for several images, got '
                                       f"'{path}'; give a name without a suffix")
                if options.suffix:
                    check_suffix(Path(options.suffix), suffixes[name])
            # Of files the folder: they may be many.
            sources = {source.parent if isinstance(source, Path) else source
                       for source in inputs.sources}
            for path in paths.values():
                check_folder(path, options.command, sources)
            if len({path.resolve() for path in paths.values()}) < len(paths):
                raise CommandError('two outputs have the same name')
            for path in sorted(paths.values(), key=lambda path: len(path.parts)):
                open_folder(path, options.command)  # one of them may lie in the other
        return cls(paths, inputs.is_single, options.suffix, options.overwrite)

    def write(self, name: str, item: Item, image: np.ndarray) -> Path | None:
        """
        Write an image of an item where the option says; return the path, None without the option.

        Raises
        ------
        CommandError, OutputError
            The file cannot be written, or it exists and was not made by ivf.

        """
        path = self.paths.get(name)
        if path is None:
            return None
        if not self.is_single:
            suffix = self.suffix or ('.tif' if image.dtype.kind == 'f' else '.png')
            path /= item.name + suffix
            check_file(path, item.files, self.overwrite)
        _write_image(path, image)
        return path


def _write_image(path: Path, image: np.ndarray) -> None:
    import cv2
    if image.dtype.kind == 'f' and path.suffix.lower() not in ('.tif', '.tiff'):
        raise CommandError(f"cannot write '{path}': temperatures in float need .tif")
    try:
        written, encoded = cv2.imencode(path.suffix, image)
    except cv2.error:
        written = False
    if not written:
        raise CommandError(f"cannot write '{path}': OpenCV has no encoder of this format for "
                           f'{image.shape} {image.dtype}; use .png')
    try:
        path.write_bytes(mark_image(encoded.tobytes()))
    except OSError as error:
        raise CommandError(f"cannot write '{path}': {error.strerror}") from None
