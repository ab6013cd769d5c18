# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The parameters of the rig simulator."""

from __future__ import annotations

from dataclasses import dataclass

from ivf_ros.data.simulator.climate import CONDITIONS
from ivf_ros.data.simulator.rig import RigParameters
from ivf_ros.data.simulator.sensors import RgbParameters, ThermalParameters
from ivf_ros.parameters import group, parameter

PLACES = ('street', 'park', 'forest', 'stairs', 'courtyard', 'market', 'hall')


@dataclass(frozen=True)
class SimulatorParameters:
    """Parameters of the rig simulator."""

    place: str = parameter(
        'street', "The scene; 'hall' is indoors, 'mixed': one of them by the seed.",
        choices=(*PLACES, 'mixed'), live=False)
    condition: str = parameter('day', 'Light, weather and smoke.', choices=CONDITIONS, live=False)
    seed: int = parameter(
        0, 'Random seed of the scene, the rig and the noise.', minimum=0,
        maximum=2 ** 31 - 1, live=False)
    people: float = parameter(
        1.0, 'Factor of the usual number of people.', minimum=0.0, maximum=5.0, live=False)
    lookalikes: float = parameter(
        1.0, 'Factor of the usual number of statues, posters, mannequins, animals and robots; the '
        'street has none.', minimum=0.0, maximum=5.0, live=False)
    duration_s: float = parameter(
        10.0, 'Duration of the recording; infinity: endless.', minimum=0.0, live=False)
    start_ns: int = parameter(
        1_700_000_000_000_000_000, 'Stamp of the first frame in nanoseconds; messages of ROS hold '
        'stamps up to the year 2038.', minimum=0, maximum=2_000_000_000_000_000_000, live=False)
    time_offset_s: float = parameter(
        0.0, 'Delay of the thermal stamps relative to the acquisition.', minimum=-10.0,
        maximum=10.0, live=False)
    jitter_s: float = parameter(
        0.0, 'Standard deviation of the stamps, limited to 0.4 frame periods.',
        minimum=0.0, maximum=1.0, live=False)
    dropped: float = parameter(
        0.0, 'Fraction of lost frames of each camera.', minimum=0.0, maximum=1.0, live=False)
    smoke_density: float = parameter(
        0.8, "Density of the smoke in condition 'smoke'.", minimum=0.0, maximum=2.0, live=False)
    min_visible: float = parameter(
        0.25, 'Minimum visible fraction of an object with a true box.', minimum=0.0,
        maximum=1.0, live=False)
    min_box_px: float = parameter(
        8.0, 'Minimum length of the longer side of a true box.',
        minimum=1.0, maximum=1000.0, live=False)
    rig: RigParameters = group(RigParameters, 'Relative pose of the cameras.')
    thermal: ThermalParameters = group(ThermalParameters, 'The thermal camera.')
    rgb: RgbParameters = group(RgbParameters, 'The RGB camera.')
