# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Places other than the street, and the choice among all."""

from ivf_ros.data.simulator.places.places import build_scene, choose_place

__all__ = ['build_scene', 'choose_place']
