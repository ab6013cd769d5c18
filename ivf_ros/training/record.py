# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""What a training was made from: ``training.json`` in its folder, and the commit."""

from __future__ import annotations

import json
from pathlib import Path
import subprocess
from typing import Any

from ivf_ros.output import OutputError


def record_training(out: Path, record: dict[str, Any]) -> None:
    """
    Write the network and its data to ``training.json``, or compare them with an existing file.

    The settings are stored in the checkpoints.

    Raises
    ------
    OutputError
        The folder holds the training of another network, or on other data.

    """
    path = out / 'training.json'
    stored = json.loads(path.read_text()) if path.is_file() else record
    changed = [f'{name} was {stored.get(name)}, is {record.get(name)}'
               for name in dict.fromkeys((*stored, *record))
               if stored.get(name) != record.get(name)]
    if changed:
        raise OutputError(f'{out} holds another training: {"; ".join(changed)}; use another --out')
    path.write_text(json.dumps(record, indent=1) + '\n')


def describe_commit() -> str:
    """Return the commit of the checkout of this package, or '' if it is not in a checkout."""
    result = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=12'],
                            cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return result.stdout.strip()
