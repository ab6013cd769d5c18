# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recovery of bags that were not closed, for ``ros2 bag play`` and other readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
import os
from pathlib import Path
import tempfile

from ivf_ros.data.bag_writer import BagError, BagWriter, MessageTypeError
from ivf_ros.data.bags.bag import Bag
from ivf_ros.data.bags.files import METADATA
from ivf_ros.data.bags.mcap import McapStorage
from ivf_ros.data.bags.sqlite import SqliteStorage
from ivf_ros.data.bags.storage import Topic
from ivf_ros.data.recording import SourceError
from ivf_ros.output import is_marked

_SUFFIXES = {'mcap': '.mcap', 'sqlite3': '.db3'}
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
        The new file, of the storage of the old ones; None if the bag was complete.
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
    Write the messages of a bag that was not closed into a new file.

    An MCAP file is without its index then. An SQLite file may have a journal beside it, from which
    SQLite completes a copy, or its end may be lost. ``metadata.yaml`` may say other numbers of
    messages, or be missing.

    The new file stands beside the old ones, which stay as they are. In a folder, ``metadata.yaml``
    then names the new file; one that this package did not write is kept under another name.

    Parameters
    ----------
    path:
        Folder of a bag, or a file of one.

    Raises
    ------
    SourceError
        The bag cannot be read, is neither MCAP nor SQLite, or has no messages in CDR.
    BagError
        The new files cannot be written, or there are files of these names.

    """
    path = path.parent if path.name == METADATA else path
    folder = path if path.is_dir() else path.parent
    try:
        bag = Bag(path)
    except OSError as error:
        raise SourceError(f'{path} cannot be read: {error}') from None
    problems = list(bag.problems)
    parts = [part for part in bag.parts if isinstance(part, McapStorage | SqliteStorage)]
    if len(parts) < len(bag.parts):
        raise SourceError(f'{path} is a bag of ROS 1; only MCAP and SQLite files are recovered')
    is_closed = not any(isinstance(part, SqliteStorage) and part.has_journal for part in parts)
    if is_closed and not problems and (
            path.is_file() or bag.n_described == sum(bag.counts.values())):
        return Recovery(path, None, {}, ())
    kind = 'mcap' if isinstance(parts[0], McapStorage) else 'sqlite3'
    name = (path.resolve().name if path.is_dir() else path.stem) + '_recovered'
    file, kept = folder / f'{name}{_SUFFIXES[kind]}', folder / _KEPT_METADATA
    is_foreign = path.is_dir() and (folder / METADATA).is_file() \
        and not is_marked(folder / METADATA)
    for taken in [file, *[kept] * is_foreign]:
        if taken.exists():
            raise BagError(f'{taken} is in the way; move it away')
    try:
        with tempfile.TemporaryDirectory(prefix='.recovery_', dir=folder) as scratch:
            copy = Path(scratch, name)
            counts = _copy(bag, parts, copy, kind, problems)
            # The metadata first: if this process is killed in between, the old files count.
            if path.is_dir():
                if is_foreign:
                    os.rename(folder / METADATA, kept)
                os.replace(copy / METADATA, folder / METADATA)
            os.rename(copy / file.name, file)
    except OSError as error:
        raise BagError(f'cannot recover {path}: {error}') from None
    return Recovery(path if path.is_dir() else file, file, counts,
                    tuple(dict.fromkeys(problems)))


def _copy(bag: Bag, parts: Sequence[McapStorage | SqliteStorage], path: Path, kind: str,
          problems: list[str]) -> dict[str, int]:
    """Write all messages in CDR to a new bag; return their number by topic."""
    # Files from before Iron have no definitions.
    definitions = {msgtype: definition for part in parts
                   for msgtype, definition in part.definitions.items()} or None
    latched = {topic for part in parts for topic in part.latched}
    lost: Counter[Topic] = Counter()
    with BagWriter(path, kind, definitions=definitions) as writer:
        for message in bag.messages(bag.counts, problems.append):
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
