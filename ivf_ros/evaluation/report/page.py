# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Put the page together: the template with styles, scripts and data in their places.

The browser draws everything from the data, and sets every name and number as text, never as
markup. Should a name get past that, the content security policy still runs no script but the two
whose hashes it names, and loads nothing from anywhere.
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
_NO_PLOTLY = 'the charts of the report need plotly; run: python3 -m pip install plotly'


def render(evaluation: Evaluation, title: str | None = None) -> str:
    """
    Return the page as HTML.

    Raises
    ------
    ReportError
        plotly is not installed.

    """
    title = title or f'Evaluation of {_listed(list(evaluation.summary["stages"]))}'
    content = {
        'title': title,
        'summary': evaluation.summary,
        'frames': {stage: frames.as_json() for stage, frames in evaluation.frames.items()},
        'figures': evaluation.figures,
    }
    # One function around all parts: they see each other, and the page one name, ivfReport.
    parts = '\n'.join(_resource(name) for name in _SCRIPTS)
    scripts = {'plotly': _plotly_js(),
               'script': f"'use strict';\nconst ivfReport = (() => {{\n{parts}}})();\n"}
    scripts = {name: _inside_script(text) for name, text in scripts.items()}
    return _fill(_resource('template.html'), {
        'title': html.escape(title),
        'policy': _policy(list(scripts.values())),
        'style': _resource('report.css'),
        'content': _json(content),
        'pictures': _json(evaluation.pictures),
        **scripts,
    })


def check_requirements() -> None:
    """Raise ReportError where what a report needs is not installed."""
    if importlib.util.find_spec('plotly') is None:
        raise ReportError(_NO_PLOTLY)


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise ReportError(_NO_PLOTLY) from None
    return get_plotlyjs()


def _policy(scripts: list[str]) -> str:
    """Return a content security policy that runs these scripts and loads nothing."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
              for script in scripts)
    allowed = ' '.join(f"'sha256-{digest}'" for digest in hashes)
    # Plotly makes its own style element, and blobs where a chart is saved as a picture.
    return (f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
            'img-src data: blob:')


def _fill(template: str, parts: dict[str, str]) -> str:
    """Replace each ``{{name}}``, in one pass: what is filled in may hold braces."""
    return re.sub(r'\{\{(\w+)\}\}', lambda match: parts[match[1]], template)


def _json(value: Any) -> str:
    """Return JSON that may stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(',', ':'))
    return text.replace('<', '\\u003c')


def _inside_script(text: str) -> str:
    """Return a script that cannot end its element early; the browser hashes these very bytes."""
    return text.replace('\r\n', '\n').replace('</script', '<\\/script')


def _resource(name: str) -> str:
    return (_HERE / name).read_text(encoding='utf-8')


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f'{", ".join(names[:-1])} and {names[-1]}'
