# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The numbers of a calibration, as the command prints them and the page shows them."""

from __future__ import annotations

from typing import Any

from ivf_ros.calibration.rig_calibration import RigCalibration, STREAMS
from ivf_ros.calibration.rig_files import format_static_transform
from ivf_ros.calibration.view_collection import measure_covered_area
import numpy as np
from scipy.spatial.transform import Rotation


def summarize(calibration: RigCalibration, distance_m: float = np.inf) -> dict[str, Any]:
    """Return the calibration with its errors and deviations, ready for JSON."""
    pose = calibration.thermal_to_rgb
    recorded, misfit_px = calibration.recorded_homography(distance_m)
    return {
        'cameras': {stream: _summarize_camera(calibration, stream) for stream in STREAMS},
        'thermal_to_rgb': {
            'pairs': len(calibration.names),
            'R': pose.R.tolist(),
            't_m': pose.t_m.tolist(),
            'rotation_deg': Rotation.from_matrix(pose.R).as_rotvec(degrees=True).tolist(),
            'rotation_deviation_deg': np.degrees(calibration.pose_deviations[:3]).tolist(),
            't_deviation_m': calibration.pose_deviations[3:].tolist(),
            'rms_px': {stream: calibration.fit.rms_px(stream) for stream in STREAMS},
            'static_transform': format_static_transform(pose),
        },
        'H_thermal_to_rgb': {
            'infinite': calibration.homography().tolist(),
            'distance_m': None if np.isinf(distance_m) else distance_m,
            'at_distance': calibration.homography(distance_m).tolist(),
            'recorded': recorded.tolist(),
            'recorded_misfit_px': misfit_px,
        },
        'board_distance_m': calibration.board_distance_m,
        'left_out': [{'images': images, 'view': name, 'reason': reason}
                     for (images, name), reason in calibration.left_out.items()],
    }


def _summarize_camera(calibration: RigCalibration, stream: str) -> dict[str, Any]:
    single = calibration.single[stream]
    camera = single.camera
    return {
        'size': list(camera.size),
        'distortion_model': camera.distortion,
        'views_found': sum(stream in view.found for view in calibration.views),
        'views_used': len(single.kept),
        'rms_px': single.fit.rms_px(stream),
        'parameters': {name: {'value': float(value),
                              'deviation': single.fit.deviation(stream, name),
                              'determined': name not in single.not_determined}
                       for name, value in zip(camera.names, camera.vector)},
        'view_rms_px': dict(zip(single.kept, single.fit.view_rms_px(stream).tolist())),
        'coverage': measure_covered_area(calibration.views, stream, camera.size),
    }


def describe(summary: dict[str, Any]) -> list[str]:
    """Return the lines that the command prints."""
    lines = []
    for stream, camera in summary['cameras'].items():
        lines.append(f'{stream}: {camera["rms_px"]:.3f} px RMS, {camera["views_used"]} of '
                     f'{camera["views_found"]} views, {camera["coverage"]:.0%} of the image '
                     'covered')
        lines += ['  ' + _describe_parameter(name, parameter)
                  for name, parameter in camera['parameters'].items()]
    pose = summary['thermal_to_rgb']
    angles = ', '.join(f'{value:.2f} ± {deviation:.2f}' for value, deviation in
                       zip(pose['rotation_deg'], pose['rotation_deviation_deg']))
    shifts = ', '.join(f'{1e3 * value:.1f} ± {1e3 * deviation:.1f}' for value, deviation in
                       zip(pose['t_m'], pose['t_deviation_m']))
    lines += [f'thermal to RGB, from {pose["pairs"]} pairs: rotation ({angles}) degrees, '
              f'translation ({shifts}) mm']
    homography = summary['H_thermal_to_rgb']
    where = 'infinity' if homography['distance_m'] is None else f'{homography["distance_m"]:g} m'
    lines.append(f'H_thermal_to_rgb for {where}, images as recorded: within '
                 f'{homography["recorded_misfit_px"]:.1f} px RMS of both lenses')
    lines += [f'left out ({one["images"]}): {one["view"]}: {one["reason"]}'
              for one in summary['left_out']]
    return [*lines, pose['static_transform']]


def _describe_parameter(name: str, parameter: dict[str, Any]) -> str:
    unit = ' px' if name in ('fx', 'fy', 'cx', 'cy') else ''
    if not parameter['determined']:
        return f'{name} {parameter["value"]:.4g}{unit}, not determined by these views'
    digits = 2 if unit else 4
    return f'{name} {parameter["value"]:.{digits}f} ± {parameter["deviation"]:.{digits}f}{unit}'
