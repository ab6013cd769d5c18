# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Build the page: the template filled with styles, scripts and data.

The browser draws everything from the data, and inserts every name and number as text, never as
markup. As a second protection, the content security policy allows only the two scripts whose
hashes it lists, and no network access.
"""

from __future__ import annotations

import base64
import hashlib
import html
import importlib.util
import json
from pathlib import Path
import re
from typing import Any

from ivf_ros.evaluation.report.errors import ReportError
from ivf_ros.evaluation.report.folder import Evaluation

_HERE = Path(__file__).resolve().parent
_SCRIPTS = ('dom.js', 'content.js', 'table.js', 'charts.js', 'gallery.js', 'viewer.js',
            'report.js')
_PLOTLY_MISSING = 'the charts of the report need plotly; run: python3 -m pip install plotly'


def render(evaluation: Evaluation, title: str | None = None) -> str:
    """
    Return the page as HTML.

    Raises
    ------
    ReportError
        plotly is not installed.

    """
    title = title or f'Evaluation of {_join_names(list(evaluation.summary["stages"]))}'
    content = {
        'title': title,
        'summary': evaluation.summary,
        'frames': {stage: frames.to_json() for stage, frames in evaluation.frames.items()},
        'figures': evaluation.figures,
    }
    # All parts are in one function: they share a scope, and the page has one new name, ivfReport.
    parts = '\n'.join(_read_resource(name) for name in _SCRIPTS)
    scripts = {'plotly': _plotly_js(),
               'script': f"'use strict';\nconst ivfReport = (() => {{\n{parts}}})();\n"}
    scripts = {name: _escape_script(text) for name, text in scripts.items()}
    return _fill(_read_resource('template.html'), {
        'title': html.escape(title),
        'policy': _make_policy(list(scripts.values())),
        'style': _read_resource('report.css'),
        'content': _to_json(content),
        'pictures': _to_json(evaluation.pictures),
        **scripts,
    })


def check_requirements() -> None:
    """Raise ReportError if a requirement of the report is not installed."""
    if importlib.util.find_spec('plotly') is None:
        raise ReportError(_PLOTLY_MISSING)


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ReportError(_PLOTLY_MISSING) from None
    return get_plotlyjs()


def _make_policy(scripts: list[str]) -> str:
    """Return a content security policy that allows only these scripts, and no network access."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
              for script in scripts)
    allowed = ' '.join(f"'sha256-{digest}'" for digest in hashes)
    # Plotly adds a style element, and blobs if a chart is saved as a picture.
    return (f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
            'img-src data: blob:')


def _fill(template: str, parts: dict[str, str]) -> str:
    """Replace each ``{{name}}`` in one pass, because the inserted text may contain braces."""
    return re.sub(r'\{\{(\w+)\}\}', lambda match: parts[match[1]], template)


def _to_json(value: Any) -> str:
    """Return JSON for a script element; no part of it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(',', ':'))
    return text.replace('<', '\\u003c')


def _escape_script(text: str) -> str:
    """Return a script that cannot end its element early. The browser hashes these bytes."""
    return text.replace('\r\n', '\n').replace('</script', '<\\/script')


def _read_resource(name: str) -> str:
    return (_HERE / name).read_text(encoding='utf-8')


def _join_names(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'
