# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
The files of a calibration: parameters of the registration node, CameraInfo, and the tf line.

``rig.yaml`` is a parameter file for ``/**/registration``. The camera files have the layout that
camera_info_manager reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ivf_ros.calibration.bundle_adjustment import Pose
from ivf_ros.calibration.cameras import Camera
from ivf_ros.calibration.errors import CalibrationError
from ivf_ros.data.recording import FRAME_IDS
from ivf_ros.output import FILE_MARK
from ivf_ros.parameters import build, ParameterError
from ivf_ros.registration import CalibratedParameters, RegistrationError
from ivf_ros.registration.calibrated import make_homography
from ivf_ros.regular_files import read_text
import numpy as np
from scipy.spatial.transform import Rotation
import yaml

_CALIBRATED = 'registration.calibrated.'
_MAX_BYTES = 1 << 18  # PyYAML reads 0.2 MB in a second or two
# Exceptions of PyYAML for a file that is none, and for values that are not what their tags say.
_YAML_ERRORS = (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError, RecursionError)


def read_prior(path: Path) -> np.ndarray:
    """
    Return H_thermal_to_rgb ``(3, 3)`` of a parameter file of the registration node.

    Of the file only ``registration.calibrated.*`` is read, of ``rig.yaml`` or of any other one.

    Raises
    ------
    CalibrationError
        The file cannot be read, or it holds no calibration.

    """
    try:
        content = yaml.safe_load(read_text(path, max_bytes=_MAX_BYTES))
        calibrated: dict[str, Any] = {}
        for node in content.values() if isinstance(content, dict) else ():
            if isinstance(node, dict) and isinstance(node.get('ros__parameters'), dict):
                calibrated.update(_find_calibrated(node['ros__parameters']))
    except OSError as error:
        raise CalibrationError(f"cannot read '{path}': {error.strerror}") from None
    except _YAML_ERRORS as error:
        raise CalibrationError(f"'{path}' is no YAML file: {' '.join(str(error).split())}"
                               ) from None
    try:
        H_thermal_to_rgb = make_homography(build(CalibratedParameters, calibrated))
    except (ParameterError, RegistrationError) as error:
        raise CalibrationError(f"'{path}': {error}") from None
    if H_thermal_to_rgb is None:
        raise CalibrationError(f"'{path}' holds no calibration: need {_CALIBRATED}"
                               'H_thermal_to_rgb, or K_thermal and K_rgb')
    return H_thermal_to_rgb


def _find_calibrated(parameters: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return the values below ``registration.calibrated`` by name; a file may nest them."""
    # What is beside the way is not followed: aliases make YAML endless, or of any size.
    found: dict[str, Any] = {}
    for key, value in parameters.items():
        name = f'{prefix}{key}'
        if isinstance(value, dict) and _CALIBRATED.startswith(f'{name}.'):
            found.update(_find_calibrated(value, f'{name}.'))
        elif name.startswith(_CALIBRATED):
            found[name.removeprefix(_CALIBRATED)] = value
    return found


def format_rig(comments: Sequence[str], H_thermal_to_rgb: np.ndarray,
               cameras: dict[str, Camera] | None = None, thermal_to_rgb: Pose | None = None,
               plane_distance_m: float = np.inf, rectified: bool = False) -> str:
    """
    Return the text of a parameter file of the registration node.

    Parameters
    ----------
    comments:
        Lines at the top.
    H_thermal_to_rgb:
        ``(3, 3)``, for the images as recorded.
    cameras, thermal_to_rgb, plane_distance_m:
        The calibration behind it, where there is one.
    rectified:
        The node receives rectified images: intrinsics and extrinsics apply, and the homography of
        the recorded images becomes a comment.

    """
    lines = [f'# {FILE_MARK}: calibration of a thermal and an RGB camera.',
             *(f'# {comment}' for comment in comments), '', '/**/registration:',
             '  ros__parameters:']
    prefix = f'    {_CALIBRATED}'
    H_line = f'H_thermal_to_rgb: {_format_numbers(H_thermal_to_rgb)}'
    if cameras is None or thermal_to_rgb is None:
        return '\n'.join([*lines, f'{prefix}{H_line}']) + '\n'
    if rectified:
        lines += ['    # For the images as recorded, with lens distortion, it would be:',
                  f'    # registration.calibrated.{H_line}']
    else:
        lines += ['    # For the images as recorded: the homography that suits both lenses best. '
                  'It replaces',
                  '    # the values below, which apply to rectified images.', f'{prefix}{H_line}']
    lines += [f'{prefix}K_{stream}: {_format_numbers(cameras[stream].K)}'
              for stream in ('thermal', 'rgb')]
    distance = '.inf' if np.isinf(plane_distance_m) else repr(float(plane_distance_m))
    lines += [f'{prefix}R_thermal_to_rgb: {_format_numbers(thermal_to_rgb.R)}',
              f'{prefix}t_thermal_to_rgb_m: {_format_numbers(thermal_to_rgb.t_m)}',
              f'{prefix}plane_distance_m: {distance}']
    return '\n'.join(lines) + '\n'


def format_camera_info(name: str, camera: Camera, comments: Sequence[str] = ()) -> str:
    """Return the text of a CameraInfo file for camera_info_manager."""
    K = camera.K
    coefficients = camera.coefficients if len(camera.coefficients) else np.zeros(5)
    model = 'plumb_bob' if camera.distortion == 'none' else camera.distortion
    P = np.hstack([K, np.zeros((3, 1))])
    return '\n'.join([
        f'# {FILE_MARK}', *(f'# {comment}' for comment in comments),
        f'image_width: {camera.size[0]}',
        f'image_height: {camera.size[1]}',
        f'camera_name: {name}',
        *_format_matrix('camera_matrix', K),
        f'distortion_model: {model}',
        *_format_matrix('distortion_coefficients', coefficients[None]),
        *_format_matrix('rectification_matrix', np.eye(3)),
        *_format_matrix('projection_matrix', P)]) + '\n'


def format_static_transform(thermal_to_rgb: Pose,
                            parent: str = FRAME_IDS['rgb'], child: str = FRAME_IDS['thermal']
                            ) -> str:
    """
    Return the command that publishes the pose of the thermal camera in the RGB optical frame.

    tf maps points of the child frame to the parent frame, so with RGB as the parent the
    translation and the rotation are those from thermal to RGB.
    """
    names = ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')
    values = [*thermal_to_rgb.t_m, *Rotation.from_matrix(thermal_to_rgb.R).as_quat()]
    numbers = ' '.join(f'--{name} {value:.6f}' for name, value in zip(names, values))
    return (f'ros2 run tf2_ros static_transform_publisher {numbers} --frame-id {parent} '
            f'--child-frame-id {child}')


def _format_matrix(name: str, matrix: np.ndarray) -> list[str]:
    return [f'{name}:', f'  rows: {matrix.shape[0]}', f'  cols: {matrix.shape[1]}',
            f'  data: {_format_numbers(matrix)}']


def _format_numbers(values: np.ndarray) -> str:
    """Return a list of floats; ROS reads a list with an integer in it as another type."""
    return '[' + ', '.join(_format_number(value) for value in np.ravel(values)) + ']'


def _format_number(value: float) -> str:
    """Return a float with a point, without which YAML 1.1 reads 1e-05 as text."""
    text = repr(float(f'{value:.9g}'))
    return text if '.' in text else text.replace('e', '.0e')
