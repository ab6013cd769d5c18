# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recovery of MCAP bags that were not closed, for ``ros2 bag play`` and other readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
import os
from pathlib import Path
import tempfile

from ivf_ros.data.bag_writer import BagError, BagWriter, MessageTypeError
from ivf_ros.data.bags.files import find_bag_files, has_mcap_content, METADATA
from ivf_ros.data.bags.mcap import McapStorage
from ivf_ros.data.bags.storage import merge_by_time, Span, Topic
from ivf_ros.data.recording import SourceError
from ivf_ros.output import is_marked

_SUFFIX = '_recovered'
_KEPT_METADATA = f'{METADATA}.before_recovery'


@dataclass(frozen=True)
class Recovery:
    """
    A bag that was recovered, or that needs no recovery.

    Attributes
    ----------
    path:
        What readers open: the folder of the bag, or the new file.
    file:
        The new MCAP file with an index; None if the bag was complete.
    counts:
        Messages in the new file by topic name.
    problems:
        What was lost, a sentence each.

    """

    path: Path
    file: Path | None
    counts: dict[str, int]
    problems: tuple[str, ...]


def recover(path: Path) -> Recovery:
    """
    Write the messages of a bag that was not closed into a new file with an index.

    The new file stands beside the old ones, which stay as they are. In a folder, ``metadata.yaml``
    then names the new file; one that this package did not write is kept under another name.

    Parameters
    ----------
    path:
        Folder of a bag, or an MCAP file.

    Raises
    ------
    SourceError
        The bag cannot be read, is no MCAP bag, or has no messages in CDR.
    BagError
        The new files cannot be written, or there are files of these names.

    """
    folder = path if path.is_dir() else path.parent
    try:
        storages, problems = _open(path)
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {error}') from None
    problems += [problem for storage in storages for problem in storage.problems]
    if not problems and (path.is_file() or (folder / METADATA).is_file()):
        return Recovery(path, None, {}, ())
    name = (path.resolve().name if path.is_dir() else path.stem) + _SUFFIX
    file, kept = folder / f'{name}.mcap', folder / _KEPT_METADATA
    is_foreign = path.is_dir() and (folder / METADATA).is_file() \
        and not is_marked(folder / METADATA)
    for taken in [file, *[kept] * is_foreign]:
        if taken.exists():
            raise BagError(f'{taken} is in the way; move it away')
    try:
        with tempfile.TemporaryDirectory(prefix='.recovery_', dir=folder) as scratch:
            bag = Path(scratch, name)
            counts = _copy(storages, bag, problems)
            # The metadata first: if this process is killed in between, the old files count.
            if path.is_dir():
                if is_foreign:
                    os.rename(folder / METADATA, kept)
                os.replace(bag / METADATA, folder / METADATA)
            os.rename(bag / file.name, file)
    except OSError as error:
        raise BagError(f'cannot recover {path}: {error}') from None
    return Recovery(path if path.is_dir() else file, file, counts,
                    tuple(dict.fromkeys(problems)))


def _open(path: Path) -> tuple[list[McapStorage], list[str]]:
    """Open the files of a bag; return also what is missing."""
    storages, problems = [], []
    for name, file in find_bag_files(path).paths.items():
        if file is None:
            problems.append(f'{name} is missing')
        elif has_mcap_content(file):
            storages.append(McapStorage(file))
        else:
            raise SourceError(f'{file} is no MCAP file, and only those can be recovered; an '
                              'SQLite file completes itself when it is opened, and ros2 bag '
                              f'reindex writes its {METADATA}')
    return storages, problems


def _copy(storages: Iterable[McapStorage], bag: Path, problems: list[str]) -> dict[str, int]:
    """Write all messages in CDR to a new bag; return their number by topic."""
    definitions = {msgtype: definition for storage in storages
                   for msgtype, definition in storage.definitions.items()}
    latched = {topic for storage in storages for topic in storage.latched}
    spans = [Span(storage.start_ns or 0, partial(storage.messages, storage.counts,
                                                 problems.append)) for storage in storages]
    lost: Counter[Topic] = Counter()
    with BagWriter(bag, definitions=definitions) as writer:
        for message in merge_by_time(spans):
            topic = message.topic
            with suppress(MessageTypeError):
                if topic.serialization == 'cdr':
                    writer.write_raw(topic.name, topic.msgtype, message.data, message.time_ns,
                                     latched=topic in latched)
                    continue
            lost[topic] += 1
    problems += [f"{count} messages of '{topic.name}' are left out: they are "
                 + (f'in {topic.serialization}, not CDR' if topic.serialization != 'cdr'
                    else 'of no known type') for topic, count in lost.items()]
    if not writer.counts:
        raise SourceError('; '.join(['the bag has no message that can be recovered', *problems]))
    return writer.counts
