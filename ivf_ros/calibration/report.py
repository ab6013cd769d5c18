# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The page of a calibration: one HTML file without scripts, with its pictures inside.

The content security policy of the page allows no script and no network access, and every name is
escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
import html
from typing import Any

import cv2
from ivf_ros.output import FILE_MARK
import numpy as np

_STYLE = """
:root { --paper: #fbfbf9; --panel: #fff; --ink: #1b1d21; --soft: #565b64; --rule: #dfe0dc;
  --good: #0072b2; --bad: #d55e00; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15171a; --panel: #1d2024; --ink: #eceef0; --soft: #a3a9b2; --rule: #33373d;
    --good: #4aa3e0; --bad: #ff8140; } }
body { margin: 0 auto; max-width: 72rem; padding: 1.5rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, 'Noto Sans', 'Liberation Sans', sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { max-width: 65ch; } .soft { color: var(--soft); }
code, pre { font: 13px/1.45 ui-monospace, Menlo, 'Liberation Mono', monospace; }
pre { background: var(--panel); border: 1px solid var(--rule); padding: .7rem; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; background: var(--panel); }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; } th.text, td.text { text-align: left; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } img { max-width: 100%; max-height: 30rem; height: auto;
  border: 1px solid var(--rule); } figcaption { color: var(--soft); }
svg { width: 100%; height: auto; background: var(--panel); border: 1px solid var(--rule); }
svg text { fill: var(--soft); font-size: 11px; } .used { fill: var(--good); }
.axis { stroke: var(--rule); }
.scroll { overflow-x: auto; }
"""


def render(summary: Mapping[str, Any], pictures: Mapping[str, np.ndarray],
           command: str = '') -> str:
    """
    Return the page of a calibration.

    Parameters
    ----------
    summary:
        ``summary.summarize``.
    pictures:
        BGR images ``(h, w, 3)`` uint8: ``thermal`` and ``rgb`` for the coverage of each camera,
        and optionally ``overlay``.
    command:
        The command line that made it.

    """
    cameras = summary['cameras']
    left_out = summary['left_out']
    pose = summary['thermal_to_rgb']
    homography = summary['H_thermal_to_rgb']
    where = 'at infinity' if homography['distance_m'] is None \
        else f'at {homography["distance_m"]:g} m'
    sections = [
        '<h1>Calibration of a thermal and an RGB camera</h1>',
        f'<pre>{html.escape(command)}</pre>' if command else '',
        '<div class="pair">', *(_camera(name, camera) for name, camera in cameras.items()),
        '</div>',
        '<h2>From thermal to RGB</h2>',
        f'<p>From {pose["pairs"]} pairs, in which the board has the same place for both cameras. '
        'The deviations contain those of the cameras.</p>', _pose_table(pose),
        '<p>For tf:</p>', f'<pre>{html.escape(pose["static_transform"])}</pre>',
        f'<h2>H_thermal_to_rgb {where}</h2>',
        '<p>For rectified images:</p>', f'<pre>{_matrix(homography["at_distance"])}</pre>',
        '<p>For the images as recorded, the homography that suits both lenses best; it is within '
        f'{homography["recorded_misfit_px"]:.1f} px RMS of them, in pixels of RGB:</p>',
        f'<pre>{_matrix(homography["recorded"])}</pre>',
        _figure(pictures['overlay'], 'Edges of thermal on RGB, by the homography for the images '
                'as recorded, with the plane at the board '
                f'({summary["board_distance_m"]:.2f} m). The frame is the outline of the thermal '
                'image.') if 'overlay' in pictures else '',
        '<h2>Errors of the views</h2>',
        '<div class="pair">', *(_error_chart(name, camera) for name, camera in cameras.items()),
        '</div>',
        '<h2>Coverage</h2>',
        '<p class="soft">The points of all views; vermilion: views that were left out. Where no '
        'point lies, the lens is not measured.</p>',
        '<div class="pair">', *(_figure(pictures[name], f'{name}: the points covered '
                                        f'{camera["coverage"]:.0%} of the image')
                                for name, camera in cameras.items()), '</div>',
        f'<h2>Left out ({len(left_out)})</h2>',
        _left_out_table(left_out) if left_out else '<p>No view was left out.</p>',
    ]
    return '\n'.join([
        '<!DOCTYPE html>', f'<!-- {FILE_MARK} -->', '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        'style-src \'unsafe-inline\'; img-src data:">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<title>Calibration of a thermal and an RGB camera</title>', '<link rel="icon" href='
        '"data:,">', f'<style>{_STYLE}</style></head><body>', *filter(None, sections),
        '</body></html>']) + '\n'


def _camera(name: str, camera: Mapping[str, Any]) -> str:
    width, height = camera['size']
    rows = [_row(parameter, *_value_cells(parameter, values))
            for parameter, values in camera['parameters'].items()]
    return '\n'.join([
        f'<section><h2>{html.escape(name)}</h2>',
        f'<p>{width} x {height} pixels, {html.escape(camera["distortion_model"])}; '
        f'<b>{camera["rms_px"]:.3f} px</b> RMS over {camera["views_used"]} of '
        f'{camera["views_found"]} views with the board.</p>',
        '<table><tr><th>parameter</th><th>value</th><th>deviation</th></tr>', *rows,
        '</table></section>'])


def _value_cells(name: str, parameter: Mapping[str, Any]) -> tuple[str, str]:
    digits = 2 if name in ('fx', 'fy', 'cx', 'cy') else 4
    value = f'{parameter["value"]:.{digits}f}'
    if not parameter['determined']:
        return value, 'not determined'
    return value, f'{parameter["deviation"]:.{digits}f}'


def _pose_table(pose: Mapping[str, Any]) -> str:
    rows = [_row(f'rotation about {axis}, degrees', f'{value:.3f}', f'{deviation:.3f}')
            for axis, value, deviation in zip('xyz', pose['rotation_deg'],
                                              pose['rotation_deviation_deg'])]
    rows += [_row(f'translation {axis}, mm', f'{1e3 * value:.1f}', f'{1e3 * deviation:.1f}')
             for axis, value, deviation in zip('xyz', pose['t_m'], pose['t_deviation_m'])]
    return '\n'.join(['<table><tr><th></th><th>value</th><th>deviation</th></tr>', *rows,
                      '</table>'])


def _left_out_table(left_out: Sequence[Mapping[str, str]]) -> str:
    rows = [f'<tr><td>{html.escape(one["view"])}</td><td class="text">'
            f'{html.escape(one["images"])}</td><td class="text">{html.escape(one["reason"])}</td>'
            '</tr>' for one in left_out]
    return '\n'.join(['<div class="scroll"><table><tr><th>view</th><th class="text">images</th>'
                      '<th class="text">reason</th></tr>', *rows, '</table></div>'])


def _row(*cells: str) -> str:
    return '<tr>' + ''.join(f'<td>{html.escape(cell)}</td>' for cell in cells) + '</tr>'


def _matrix(matrix: Sequence[Sequence[float]]) -> str:
    return html.escape('\n'.join('  '.join(f'{value:12.6g}' for value in row) for row in matrix))


def _error_chart(name: str, camera: Mapping[str, Any]) -> str:
    """Return the errors of the views as bars, in the order of the views."""
    errors = camera['view_rms_px']
    height, left, bar = 140, 46, 9
    top = max(errors.values()) * 1.1
    bars = []
    for index, (view, error) in enumerate(errors.items()):
        size = error / top * height
        bars.append(f'<rect class="used" x="{left + index * bar + 1}" '
                    f'y="{10 + height - size:.1f}" width="{bar - 2}" height="{size:.1f}">'
                    f'<title>{html.escape(view)}: {error:.3f} px</title></rect>')
    ticks = []
    for fraction in (0.0, 0.5, 1.0):
        y = 10 + height * (1 - fraction)
        ticks.append(f'<line class="axis" x1="{left}" x2="{left + bar * len(errors)}" y1="{y}" '
                     f'y2="{y}"/><text x="{left - 6}" y="{y + 4}" text-anchor="end">'
                     f'{top * fraction:.2f}</text>')
    width = max(left + bar * len(errors) + 10, 320)
    return (f'<figure><svg viewBox="0 0 {width} {height + 20}" role="img" aria-label="errors of '
            f'the views of {html.escape(name)}">' + ''.join(ticks + bars)
            + f'</svg><figcaption>{html.escape(name)}: RMS error in pixels of each view that is '
            'used</figcaption></figure>')


def _figure(image: np.ndarray, caption: str) -> str:
    _, encoded = cv2.imencode('.png', image)
    data = base64.b64encode(encoded.tobytes()).decode()
    return (f'<figure><img src="data:image/png;base64,{data}" alt="{html.escape(caption)}">'
            f'<figcaption>{html.escape(caption)}</figcaption></figure>')
