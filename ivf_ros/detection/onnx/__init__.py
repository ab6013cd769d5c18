# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""External detectors in ONNX format: what their outputs mean is recognised."""

from ivf_ros.detection.onnx.detector import LAYOUTS, OnnxDetector, OnnxParameters
from ivf_ros.detection.onnx.inputs import letterbox
from ivf_ros.detection.onnx.nanodet import decode_nanodet

__all__ = ['decode_nanodet', 'LAYOUTS', 'letterbox', 'OnnxDetector', 'OnnxParameters']
