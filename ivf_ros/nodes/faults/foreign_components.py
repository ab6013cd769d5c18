# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Components as another package may have them, with defects; a container loads them."""

from __future__ import annotations

import sys
import time
from typing import Any, ClassVar

from rclpy.node import Node

_DELAY_S = 0.1
_BLOCKED_S = 4.0


class Failing(Node):
    """Raises an exception in a timer, once for each value of its parameter ``occasion``."""

    _occasions: ClassVar[set[str]] = set()

    def __init__(self, **node_options: Any) -> None:
        super().__init__('failing', **node_options)
        self._occasion: str = self.declare_parameter('occasion', '').value
        self.create_timer(_DELAY_S, self._tick)

    def _tick(self) -> None:
        if self._occasion not in self._occasions:
            self._occasions.add(self._occasion)
            self._fail()

    def _fail(self) -> None:
        raise KeyError('no such camera')


class Exiting(Failing):
    """Ends its process instead, as a node does that once was a program of its own."""

    def _fail(self) -> None:
        sys.exit(0)


class FailingAtStart(Node):
    """Raises an exception before it is complete."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('failing_at_start', **node_options)
        self.create_timer(_DELAY_S, self._tick)
        raise KeyError('no such camera')

    def _tick(self) -> None:
        pass


class Blocking(Node):
    """Spends some seconds in each call of a timer."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__('blocking', **node_options)
        self.create_timer(_DELAY_S, lambda: time.sleep(_BLOCKED_S))
