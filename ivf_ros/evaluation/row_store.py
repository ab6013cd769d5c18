# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The rows of an evaluation on disk, and the plan of the evaluation that they belong to."""

from __future__ import annotations

from collections.abc import Sequence
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import ivf_ros
from ivf_ros.evaluation.results import EvaluationError, json_bytes, Row
from ivf_ros.output import write_atomically

_ROWS_FILE = 'rows.jsonl'


class RowStore:
    """
    The lines of ``rows.jsonl``.

    Attributes
    ----------
    done:
        Keys of the tasks whose rows are stored.

    Raises
    ------
    EvaluationError
        The folder holds another evaluation.

    """

    def __init__(self, out: Path, plan: dict[str, Any], restart: bool) -> None:
        self._path = out / _ROWS_FILE
        plan_path = out / 'plan.json'
        if plan_path.is_file() and not restart:
            changed = _list_changes(json.loads(plan_path.read_text()), plan)
            if changed:
                raise EvaluationError(f'{out} holds another evaluation: {", ".join(changed)} '
                                      'changed; use another --out, or --restart')
        elif self._path.exists():
            self._path.unlink()
        write_atomically(plan_path, json_bytes(plan))
        self._lines = self._read()
        self.done = set(self._lines)

    def add(self, key: str, rows: Sequence[Row]) -> None:
        """Store the rows of a task. They are on disk when this returns."""
        rows_as_json = [row.to_json() for row in rows]
        record = {'task': key, 'rows': rows_as_json}
        with self._path.open('a') as file:
            file.write(json.dumps(record) + '\n')
            file.flush()
            os.fsync(file.fileno())
        self._lines[key] = rows_as_json

    def rows(self) -> list[Row]:
        """Return all stored rows."""
        return [Row.from_json(record) for records in self._lines.values() for record in records]

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        if not self._path.is_file():
            return {}
        lines: dict[str, list[dict[str, Any]]] = {}
        complete_bytes = 0
        data = self._path.read_bytes()
        for line in data.splitlines(keepends=True):
            if not line.endswith(b'\n'):
                break  # the process was killed while it wrote this line
            record = json.loads(line)
            lines[record['task']] = record['rows']
            complete_bytes += len(line)
        if complete_bytes < len(data):
            with self._path.open('r+b') as file:
                file.truncate(complete_bytes)
        return lines


def read_rows(folder: Path) -> list[Row]:
    """Return the rows of a finished evaluation."""
    return [Row.from_json(record) for line in (folder / _ROWS_FILE).read_text().splitlines()
            for record in json.loads(line)['rows']]


def _list_changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    names = {'code': 'the package itself'}
    return [names.get(name, name) for name in new if old.get(name) != new[name]]


def fingerprint_code() -> str:
    """Return a digest of the code and the weights of this package."""
    root = Path(ivf_ros.__file__).parent
    digest = hashlib.sha256()
    for path in sorted([*root.rglob('*.py'), *root.rglob('*.safetensors')]):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
