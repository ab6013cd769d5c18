# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The choice of a place, and its scene."""

from __future__ import annotations

from ivf_ros.data.simulator.places.courtyard import build_courtyard
from ivf_ros.data.simulator.places.forest import build_forest
from ivf_ros.data.simulator.places.hall import build_hall
from ivf_ros.data.simulator.places.market import build_market
from ivf_ros.data.simulator.places.park import build_park
from ivf_ros.data.simulator.places.stairs import build_stairs
from ivf_ros.data.simulator.scene import Scene
from ivf_ros.data.simulator.settings import PLACES
from ivf_ros.data.simulator.street.street import build_street
import numpy as np

_BUILDERS = {'park': build_park, 'forest': build_forest, 'stairs': build_stairs,
             'courtyard': build_courtyard, 'market': build_market, 'hall': build_hall}


def choose_place(place: str, seed: int) -> str:
    """Return the place; 'mixed' is one of all by the seed."""
    if place != 'mixed':
        return place
    return PLACES[np.random.default_rng([seed, 4]).integers(len(PLACES))]


def build_scene(place: str, condition: str, seed: int, people: float, lookalikes: float) -> Scene:
    """
    Create the random scene of a seed.

    A seed gives the same scene in every condition, because each part has its own generator.

    Parameters
    ----------
    place:
        One of ``settings.PLACES``.
    condition:
        One of ``climate.CONDITIONS``.
    seed:
        Random seed.
    people, lookalikes:
        Factors of their usual numbers.

    """
    if place == 'street':
        return build_street(condition, seed, people)
    return _BUILDERS[place](condition, seed, people, lookalikes)
