# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Recordings of Rerun, read by Rerun's own reader."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any


def read_rows(path: Path) -> dict[str, list[dict[str, Any]]]:
    """
    Return the rows of an ``.rrd`` file by entity path, without those that have no time.

    A row has its components by name, and ``stamp_ns``.
    """
    rows = defaultdict(list)
    for chunk in _chunks(path):
        if not chunk.is_static:
            stamps_ns = chunk.to_record_batch().column('stamp').cast('int64').to_pylist()
            rows[chunk.entity_path] += [
                {**components, 'stamp_ns': stamp_ns}
                for components, stamp_ns in zip(_components(chunk), stamps_ns, strict=True)]
    return {entity: sorted(found, key=lambda row: row['stamp_ns'])
            for entity, found in rows.items()}


def read_static(path: Path) -> dict[str, dict[str, Any]]:
    """Return the components that have no time, by entity path."""
    static: dict[str, dict[str, Any]] = defaultdict(dict)
    for chunk in _chunks(path):
        if chunk.is_static:
            for components in _components(chunk):
                static[chunk.entity_path].update(components)
    return dict(static)


def timeline_type(path: Path) -> str:
    """Return the type of the timeline of all rows."""
    type_, = {str(chunk.to_record_batch().column('stamp').type) for chunk in _chunks(path)
              if not chunk.is_static}
    return type_


def view_names(path: Path) -> set[str]:
    """Return the names of the views of the layout in the file."""
    from rerun.chunk import RrdReader

    reader = RrdReader(path)
    layout, = reader.blueprints()
    return {name for chunk in reader.stream(store=layout) for components in _components(chunk)
            for name in components.get('ViewBlueprint:display_name') or ()}


def _chunks(path: Path) -> list[Any]:
    from rerun.chunk import RrdReader

    return list(RrdReader(path).stream())


def _components(chunk: Any) -> list[dict[str, Any]]:
    batch = chunk.to_record_batch()
    return batch.select([name for name in batch.schema.names if ':' in name]).to_pylist()
