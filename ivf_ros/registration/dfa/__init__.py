# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The method ``dfa``: deep-feature alignment (DFA-Net, Sensors 2025)."""

from ivf_ros.registration.dfa.registrar import DfaParameters, DfaRegistrar

__all__ = ['DfaParameters', 'DfaRegistrar']
