# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""One line of status on standard error, for commands that run for long."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import sys

_LINES_PERIOD_S = 5.0  # where standard error is no terminal
# Colours that are readable on dark and on light terminals.
_COLORS = {'TRACKING': 32, 'FUSED': 32, 'PRIOR': 36, 'RGB_ONLY': 36, 'HOLDING': 33,
           'THERMAL_ONLY': 33, 'LOST': 31, 'NOTHING': 31}


class StatusLine:
    """A line that is rewritten in a terminal; elsewhere a new line every few seconds."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._next_s = 0.0
        self._is_open = False

    def show(self, position_s: float, parts: Sequence[str]) -> None:
        """Show a position in seconds and parts; words for states have colours in a terminal."""
        if self._is_terminal:
            sys.stderr.write('\r\x1b[K' + self._format(position_s, map(_paint, parts)))
            sys.stderr.flush()
            self._is_open = True
        elif position_s >= self._next_s:
            self._next_s = position_s + _LINES_PERIOD_S
            sys.stderr.write(self._format(position_s, parts) + '\n')

    def end(self) -> None:
        """Let the next output begin on a line of its own."""
        if self._is_open:
            sys.stderr.write('\n')
        self._is_open = False

    @staticmethod
    def _format(position_s: float, parts: Iterable[str]) -> str:
        return '  '.join([f'{position_s:6.1f} s', *filter(None, parts)])


def _paint(part: str) -> str:
    """Colour the first word of a part if it names a state."""
    word, space, rest = part.partition(' ')
    return f'\x1b[{_COLORS[word]}m{word}\x1b[0m{space}{rest}' if word in _COLORS else part
