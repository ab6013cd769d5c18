# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Metrics of identities: closed forms, and the values of TrackEval 1.3.0."""

from __future__ import annotations

import math

from ivf_ros.evaluation.metrics.identities import identities, IDENTITY_METRICS
from ivf_ros.evaluation.metrics.inputs import MetricError
from ivf_ros.types import Detection
import numpy as np
import pytest


def person(x, identity, name='person'):
    return Detection((x, 0.0, x + 30.0, 60.0), name, 1.0, identity)


def walk(tracks, n_frames=10, name='person'):
    """Return frames of two people; ``tracks`` maps frame and person to the track, or None."""
    return [([person(100.0 * i + t, track, name) for i in range(2)
              if (track := tracks(t, i)) is not None],
             [person(100.0 * i + t, f'true {i}') for i in range(2)]) for t in range(n_frames)]


def test_perfect_tracks():
    assert identities(walk(lambda t, i: str(i))) == {
        'HOTA': 1.0, 'DetA': 1.0, 'AssA': 1.0, 'IDF1': 1.0, 'switches': 0.0, 'fragments': 0.0}


def test_tracks_that_change_over_in_the_middle():
    values = identities(walk(lambda t, i: str(i if t < 5 else 1 - i)))
    # Each track has 5 of the 10 boxes of its object: 5 / (10 + 10 - 5).
    assert values['AssA'] == pytest.approx(1 / 3) and values['DetA'] == 1.0
    assert values['HOTA'] == pytest.approx(math.sqrt(1 / 3)) and values['IDF1'] == 0.5
    assert values['switches'] == 2 and values['fragments'] == 0


def test_an_object_that_is_lost_and_found_again():
    values = identities(walk(lambda t, i: None if i and 4 <= t < 6 else str(i)))
    assert values['switches'] == 0 and values['fragments'] == 1
    assert values['DetA'] == pytest.approx(18 / 20) and values['IDF1'] == pytest.approx(36 / 38)


def test_boxes_of_another_class_do_not_match():
    assert identities(walk(lambda t, i: str(i), name='vehicle'))['HOTA'] == 0.0


def test_nothing_found_and_nothing_there():
    nothing = identities(walk(lambda t, i: None))
    assert set(nothing) == {info.name for info in IDENTITY_METRICS}
    assert all(value == 0 for value in nothing.values())
    assert all(math.isnan(value) for value in identities([([person(0, '1')], [])]).values())


def test_an_identity_twice_in_a_frame_is_an_error():
    with pytest.raises(MetricError, match='same identity'):
        identities([([person(0, '1'), person(90, '1')], [person(0, 'a')])])


def random_frames(seed, n_frames=40, n_people=5):
    """Return people who walk, and tracks with gaps, noise, false starts and exchanges."""
    random = np.random.default_rng(seed)
    position, velocity = random.uniform(0, 200, (n_people, 2)), random.normal(0, 3, (n_people, 2))
    tracks, n_tracks, frames = [str(i) for i in range(n_people)], 100, []
    for t in range(n_frames):
        true, predicted = [], []
        for i in range(1, n_people):
            if random.uniform() < 0.03:
                tracks[i], tracks[i - 1] = tracks[i - 1], tracks[i]
        for i in range(n_people):
            x, y = position[i] + velocity[i] * t
            if random.uniform() < 0.9:
                true.append(Detection((x, y, x + 30, y + 60), 'person', 1.0, str(i)))
            if random.uniform() < 0.1:
                tracks[i], n_tracks = str(n_tracks), n_tracks + 1
            if random.uniform() < 0.8:
                dx, dy = random.normal(0, 3, 2)
                predicted.append(Detection((x + dx, y + dy, x + dx + 30, y + dy + 60), 'person',
                                           1.0, tracks[i]))
        frames.append((predicted, true))
    return frames


@pytest.mark.parametrize('seed, expected', [
    (0, (0.388761038644438, 0.557069126051127, 0.2724804275497938, 0.45454545454545453, 18, 38)),
    (1, (0.31328668588706365, 0.5394771159467953, 0.18348054227142385, 0.33532934131736525, 24,
         40)),
    (2, (0.3368578260727051, 0.5585274177345493, 0.20386244098886474, 0.4437869822485207, 20,
         44))])
def test_the_values_are_those_of_trackeval(seed, expected):
    values = identities(random_frames(seed))
    assert [values[info.name] for info in IDENTITY_METRICS] == pytest.approx(expected, rel=1e-9)
