# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The method ``rift``: keypoints with descriptors of phase congruency."""

from ivf_ros.registration.rift.registrar import RiftParameters, RiftRegistrar

__all__ = ['RiftParameters', 'RiftRegistrar']
