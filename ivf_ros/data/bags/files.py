# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder make up one bag, with ``metadata.yaml`` or without."""

from __future__ import annotations

from dataclasses import dataclass, field
import logging
from pathlib import Path, PurePosixPath
import re
from typing import Any

from ivf_ros.data.files import is_hidden
from ivf_ros.data.recording import natural_key, SourceError
from ivf_ros.regular_files import read_bytes

BAG_SUFFIXES = ('.mcap', '.db3', '.bag')
METADATA = 'metadata.yaml'
MCAP_MAGIC, SQLITE_MAGIC, ROSBAG1_MAGIC = b'\x89MCAP0\r\n', b'SQLite format 3\0', b'#ROSBAG V'

_MAX_METADATA_BYTES = 1 << 24  # YAML takes a minute for it
_METADATA_KEY = 'rosbag2_bagfile_information'
_PART = re.compile(r'(?P<name>.+)_(?P<number>\d+)')


@dataclass(frozen=True)
class BagFiles:
    """
    The files of a bag.

    Attributes
    ----------
    paths:
        By name, without ``.zstd``, in the order of recording; None for a file that is missing.
    periods:
        Description of the seconds that a file holds, by name, where ``metadata.yaml`` says them.
    n_messages:
        Number of messages that ``metadata.yaml`` says; None if it says none.

    """

    paths: dict[str, Path | None]
    periods: dict[str, str] = field(default_factory=dict)
    n_messages: int | None = None


def is_bag_file(path: Path) -> bool:
    """Return whether a name is that of a file of a bag; hidden files are none."""
    return not is_hidden(path.name) and _bag_name(path).suffix.lower() in BAG_SUFFIXES


def has_bag_content(path: Path) -> bool:
    """Return whether a file of any name begins as those of bags do."""
    with path.open('rb') as file:
        return file.read(len(SQLITE_MAGIC)).startswith((MCAP_MAGIC, SQLITE_MAGIC, ROSBAG1_MAGIC))


def is_bag_folder(folder: Path) -> bool:
    """Return whether a folder holds a bag, also one whose files are missing."""
    return any(is_bag_file(path) for path in folder.iterdir()) or bool(_read_metadata(folder)[0])


def is_bag(path: Path) -> bool:
    """Return whether a path is a file or a folder of a bag."""
    if path.is_dir():
        return is_bag_folder(path)
    return path.is_file() and (path.name == METADATA or is_bag_file(path) or has_bag_content(path))


def find_bag_files(path: Path) -> BagFiles:
    """
    Return the files of a bag.

    ``metadata.yaml`` gives their order and says which are missing. Without it, or where its
    names do not exist, the numbers in the names do.

    Raises
    ------
    SourceError
        There is no file, or there are files of several bags.

    """
    if path.name == METADATA:
        path = path.parent
    if path.is_file():
        return BagFiles({path.name: path})
    # A decompressed file is preferred to the compressed one beside it.
    present = {_bag_name(file).name: file for file in sorted(path.iterdir(), reverse=True)
               if is_bag_file(file) and file.is_file()}
    listed, n_messages = _read_metadata(path)
    if any(name in present for name in listed):
        return BagFiles({name: present.get(name) for name in listed}, listed, n_messages)
    if not present:
        named = f' ({", ".join(listed)})' if listed else ''
        raise SourceError(f'{path}: the files of the bag{named} are missing; put them beside '
                          f'{METADATA}')
    names = sorted(present, key=natural_key)
    parts = [_PART.fullmatch(Path(name).stem) for name in names]
    bags = {(part['name'] if part else name, Path(name).suffix)
            for name, part in zip(names, parts, strict=True)}
    if len(bags) > 1:
        raise SourceError(f'{path}: {len(names)} bag files of {len(bags)} bags and no '
                          f'{METADATA} that names them; name one of them, or run ros2 bag '
                          f'reindex on the folder: {", ".join(names)}')
    if len(names) > 1:
        [(name, suffix)] = bags
        last = max(int(part['number']) for part in parts if part)
        names = [f'{name}_{number}{suffix}' for number in range(last + 1)]
    return BagFiles({name: present.get(name) for name in names})


def _bag_name(path: Path) -> Path:
    """Return the path without the suffix of zstd."""
    return path.with_suffix('') if path.suffix.lower() in ('.zstd', '.zst') else path


def _read_metadata(folder: Path) -> tuple[dict[str, str], int | None]:
    """Return the seconds that each file holds, by name without ``.zstd``, and the messages."""
    import yaml  # of bags only; most sources are none

    file = folder / METADATA
    try:
        text = read_bytes(file, _MAX_METADATA_BYTES).decode(errors='replace') \
            if file.is_file() else ''
        if _METADATA_KEY not in text:
            return {}, None
        content = yaml.safe_load(text)[_METADATA_KEY]
        names = [_bag_name(Path(PurePosixPath(name).name)).name
                 for name in content['relative_file_paths']]
        start_ns = content.get('starting_time', {}).get('nanoseconds_since_epoch', 0)
        periods = {_bag_name(Path(PurePosixPath(part['path']).name)).name:
                   _describe_period(part, start_ns) for part in content.get('files') or ()}
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError,
            RecursionError) as error:
        logging.getLogger(__name__).warning(
            '%s is not used, it is damaged: %s', file, ' '.join(str(error).split()))
        return {}, None
    return {name: periods.get(name, '') for name in names}, content.get('message_count')


def _describe_period(part: dict[str, Any], start_ns: int) -> str:
    first_ns = part['starting_time']['nanoseconds_since_epoch'] - start_ns
    last_ns = first_ns + part['duration']['nanoseconds']
    return f'seconds {first_ns * 1e-9:.1f} to {last_ns * 1e-9:.1f}'
