# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The method ``rift``: features of phase congruency that no change of intensity moves."""

from ivf_ros.registration.rift.registrar import RiftParameters, RiftRegistrar

__all__ = ['RiftParameters', 'RiftRegistrar']
