# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Things with an outline of their own: people, vehicles, plants, furniture, and lookalikes."""
