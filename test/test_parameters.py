# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Parameter dataclasses: names, checks and copies."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros import parameters
from ivf_ros.parameters import group, parameter, ParameterError
import pytest


@dataclass(frozen=True)
class Inner:
    gain: float = parameter(0.5, 'Weight of the new value.', minimum=0.0, maximum=1.0)
    mode: str = parameter('fast', 'Method.', choices=('fast', 'slow'))


@dataclass(frozen=True)
class Outer:
    count: int = parameter(3, 'Number.', minimum=1, live=False)
    enabled: bool = parameter(True, 'Enable it.')
    corners_px: tuple = parameter((), 'Pairs of coordinates.')
    inner: Inner = group(Inner)


def test_declarations_come_in_order_with_dotted_names():
    declared = list(parameters.declarations(Outer))
    assert [d.name for d in declared] == ['count', 'enabled', 'corners_px', 'inner.gain',
                                          'inner.mode']
    assert declared[0].live is False and declared[0].minimum == 1
    assert declared[3].description == 'Weight of the new value.'


def test_build_without_values_gives_the_defaults():
    assert parameters.build(Outer, {}) == Outer()


def test_build_sets_the_named_values_and_flatten_inverts_it():
    values = {'count': 7, 'enabled': False, 'corners_px': (1.0, 2.0), 'inner.gain': 0.25,
              'inner.mode': 'slow'}
    built = parameters.build(Outer, values)
    assert built == Outer(7, False, (1.0, 2.0), Inner(0.25, 'slow'))
    assert parameters.flatten(built) == values


def test_replace_keeps_everything_else():
    original = parameters.build(Outer, {'count': 7, 'inner.mode': 'slow'})
    changed = parameters.replace(original, {'inner.gain': 1})
    assert changed == Outer(7, True, (), Inner(1.0, 'slow'))
    assert isinstance(changed.inner.gain, float)


@pytest.mark.parametrize('values, message', [
    ({'cuont': 3}, "unknown parameter 'cuont'; did you mean count?"),
    ({'speed': 3}, "unknown parameter 'speed'; known: count, enabled"),
    ({'inner': 3}, "unknown parameter 'inner'"),  # a group is no parameter
    ({'count': 0}, "'count' must be at least 1, got 0"),
    ({'inner.gain': 1.5}, "'inner.gain' must be at most 1.0, got 1.5"),
    ({'inner.gain': float('nan')}, "'inner.gain' must be at least 0.0, got nan"),
    ({'inner.mode': 'Fast'}, "'inner.mode' must be one of fast, slow, got 'Fast'"),
    ({'count': 2.0}, "'count' must be int, got float 2.0"),
    ({'count': True}, "'count' must be int, got bool True"),  # although bool is a subclass of int
    ({'enabled': 'yes'}, "'enabled' must be bool, got str 'yes'"),
    ({'corners_px': ('a',)}, "'corners_px' must be a list of numbers, got ('a',)"),
    ({'corners_px': 3.0}, "'corners_px' must be a list of numbers, got 3.0"),
    # values of any size, as a file may have them
    ({'inner.gain': 10 ** 400}, "'inner.gain' must be at most 2e+308, got 1000"),
    ({'corners_px': [10 ** 5000]}, "'corners_px' must be at most 2e+308, got an integer that is"),
    ({'count': -10 ** 5000}, "'count' must be at least 1, got an integer that is too long"),
    ({'enabled': 'yes' * 10 ** 6}, "'enabled' must be bool, got str 'yesyes"),
])
def test_invalid_values_are_rejected_with_the_reason(values, message):
    with pytest.raises(ParameterError) as error:
        parameters.build(Outer, values)
    assert message in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize('text, value', [
    ('key=3', 3),
    ('key=0.5', 0.5),
    ('key=true', True),
    ('key=slow', 'slow'),
    ('key=[1, 2]', (1, 2)),
    ('key=inf', float('inf')),
    ('key=.inf', float('inf')),  # as YAML has it
    ('key=a=b', 'a=b'),  # only the first equals sign counts
    ('key=', ''),
    pytest.param('key=' + '[' * 10 ** 5, '[' * 10 ** 5, id='deep'),
    pytest.param('key=' + '7' * 5000, '7' * 5000, id='more digits than Python converts'),
])
def test_settings_of_a_command_line(text, value):
    assert parameters.parse_settings([text]) == {'key': value}


@pytest.mark.parametrize('text', ['key', '=3', ''])
def test_a_setting_without_key_or_equals_sign_is_rejected(text):
    with pytest.raises(ParameterError, match='key=value'):
        parameters.parse_settings([text])
