# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The label files of tools: written by the name of the format, read by their content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
import re
import zipfile
import zlib

from ivf_ros.data.annotated_image import AnnotatedImage
from ivf_ros.data.datasets.boxes import parse_coco
from ivf_ros.data.label_files.coco import format_coco
from ivf_ros.data.label_files.cvat import format_cvat_xml, parse_cvat_xml
from ivf_ros.data.label_files.label_studio import format_tasks, parse_tasks
from ivf_ros.data.recording import SourceError
from ivf_ros.regular_files import MAX_TEXT_BYTES, open_regular, read_bytes

# Format -> suffix of its file.
SUFFIXES = {'cvat-coco': '.zip', 'cvat-xml': '.xml', 'label-studio': '.json'}
_COCO_MEMBER = 'annotations/instances_default.json'
_MEMBERS = re.compile(r'annotations\.xml|annotations/instances_[^/]+\.json')
_ZIP_START = b'PK\x03\x04'


def write_label_file(path: Path, format_name: str, images: Sequence[AnnotatedImage],
                     class_names: Sequence[str], addresses: Mapping[str, str]) -> None:
    """
    Write boxes for a labelling tool.

    Parameters
    ----------
    path:
        The file to write.
    format_name:
        A key of ``SUFFIXES``.
    images:
        The images with their boxes.
    class_names:
        Classes to name first, see ``format_coco``.
    addresses:
        Where Label Studio finds the images, see ``format_tasks``.

    """
    if format_name == 'cvat-coco':
        with zipfile.ZipFile(path, 'w') as archive:  # not compressed, so that its mark is found
            archive.writestr(_COCO_MEMBER, format_coco(images, class_names, {}))
        return
    path.write_text(format_cvat_xml(images, class_names) if format_name == 'cvat-xml'
                    else format_tasks(images, addresses), encoding='utf-8')


def read_label_file(path: Path) -> dict[str, AnnotatedImage]:
    """
    Read the boxes that a labelling tool exported; the format is recognised by the content.

    Known are COCO (a file, or a ZIP file of CVAT), XML of CVAT for images (likewise), and JSON of
    Label Studio.

    Returns
    -------
    dict[str, AnnotatedImage]
        The images by name. Of Label Studio only those that people annotated.

    Raises
    ------
    SourceError
        The file cannot be read, is of another format, or contradicts itself.

    """
    images: dict[str, AnnotatedImage] = {}
    for location, text in _read_texts(path):
        found = _parse(text, location)
        twice = images.keys() & found.keys()
        if twice:
            raise SourceError(f"{path}: two images are called '{min(twice)}'")
        images |= found
    return images


def _parse(text: str, location: str) -> Mapping[str, AnnotatedImage]:
    start = text.lstrip()[:1]
    if start == '<':
        return parse_cvat_xml(text, location)
    if start == '[':
        return parse_tasks(text, location)
    if start == '{':
        return parse_coco(text, location).images
    raise SourceError(f'{location} is neither COCO nor XML of CVAT nor JSON of Label Studio')


def _read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the location and the text of a file, or of each label file of a ZIP file."""
    try:
        with open_regular(path) as file:
            is_zip = file.read(len(_ZIP_START)) == _ZIP_START
            if is_zip:
                with zipfile.ZipFile(file) as archive:
                    yield from _read_members(path, archive)
        if not is_zip:
            yield str(path), read_bytes(path, MAX_TEXT_BYTES).decode('utf-8-sig')
    except OSError as error:
        raise SourceError(f'cannot read {path}: {error.strerror or error}') from None
    except UnicodeDecodeError:
        raise SourceError(f'{path} is no text') from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f'{path} is no ZIP file that can be read: {error}') from None


def _read_members(path: Path, archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    members = [member for member in archive.infolist() if _MEMBERS.fullmatch(member.filename)]
    if not members:
        raise SourceError(f'{path} holds neither annotations.xml nor annotations/instances_*.json')
    left_bytes = MAX_TEXT_BYTES  # together; what the archive says of their sizes may be wrong
    for member in members:
        with archive.open(member) as file:
            data = file.read(left_bytes + 1)
        left_bytes -= len(data)
        if left_bytes < 0:
            raise SourceError(f'{path}: the label files have more than {MAX_TEXT_BYTES} bytes')
        yield f'{path}: {member.filename}', data.decode('utf-8-sig')
