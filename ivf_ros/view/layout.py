# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The entities of the log, named like the topics of the graph, and how the viewer lays them out.

It imports rerun, which is optional, so only functions that need rerun import this module.
"""

from __future__ import annotations

from rerun import blueprint as rrb

TIMELINE = 'stamp'

THERMAL = 'thermal/image'
RGB = 'rgb/image'
REGISTERED = 'thermal_registered/image'
FUSED = 'fused/image'
LABELS = 'segmentation/labels'
DETECTIONS = 'detections'
OUTLINE = 'registration/outline'
CONFIDENCE = 'registration/confidence'
CORNER_DEVIATION = 'registration/corner_deviation_px'
REGISTRATION_STATE = 'state/registration'
FUSION_MODE = 'state/fusion'
LATENCY = 'latency_ms'

_PLOT_WINDOW_S = 30.0
_DARK_GRAY = (30, 30, 30)


def make_blueprint() -> rrb.Blueprint:
    """Return the layout: the cameras at the left, the fused image large, plots below."""
    cameras = rrb.Grid(
        _image_view('Thermal', THERMAL),
        _image_view('RGB, and the outline of thermal', RGB, OUTLINE),
        _image_view('Thermal on the RGB grid', REGISTERED),
        _image_view('Labels', RGB, LABELS),
        grid_columns=2)
    fused = _image_view('Fused, with detections', FUSED, DETECTIONS)
    plots = rrb.Horizontal(
        _plot('Latency in ms', f'/{LATENCY}/**', has_legend=True),
        _plot('Confidence', f'/{CONFIDENCE}', rrb.ScalarAxis(range=(0.0, 1.0))),
        _plot('Corner deviation in px', f'/{CORNER_DEVIATION}'),
        rrb.StateTimelineView(name='States', origin='/state'), column_shares=(2, 1, 1, 1))
    return rrb.Blueprint(
        rrb.Vertical(rrb.Horizontal(cameras, fused), plots, row_shares=(3, 1)),
        rrb.BlueprintPanel(state='hidden'), rrb.SelectionPanel(state='hidden'),
        rrb.TimePanel(state='collapsed', timeline=TIMELINE, play_state='following'))


def _image_view(name: str, *entities: str) -> rrb.Spatial2DView:
    return rrb.Spatial2DView(name=name, origin='/', contents=[f'/{path}' for path in entities],
                             background=_DARK_GRAY)


def _plot(name: str, contents: str, axis_y: rrb.ScalarAxis | None = None,
          has_legend: bool = False) -> rrb.TimeSeriesView:
    """Return a plot of the latest half minute before the time cursor."""
    window = rrb.VisibleTimeRange(
        TIMELINE, start=rrb.TimeRangeBoundary.cursor_relative(seconds=-_PLOT_WINDOW_S),
        end=rrb.TimeRangeBoundary.cursor_relative())
    legend = rrb.PlotLegend(corner='LeftTop', visible=has_legend)
    return rrb.TimeSeriesView(name=name, origin='/', contents=[contents], axis_y=axis_y,
                              plot_legend=legend, time_ranges=window)
