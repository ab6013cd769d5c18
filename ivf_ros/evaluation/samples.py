# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Samples to evaluate, read from data sets on disk or from any source of frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
import re
from typing import TypeVar

from ivf_ros.camera_input import CameraParameters
from ivf_ros.data.bags.files import is_bag
from ivf_ros.data.datasets import find_datasets
from ivf_ros.data.drawn_boxes import keep_drawn, read_frames
from ivf_ros.data.frame_pairs import pair_events
from ivf_ros.data.sample import Annotation, Dataset, Origin, Sample
from ivf_ros.data.sources import BagOptions, open_source, Source, SourceError
from ivf_ros.thermal_input import ThermalCameraParameters
from ivf_ros.types import Event, Truth

T = TypeVar('T')

_UNSAFE = re.compile(r'[^\w.+-]+')


class SampleList:
    """
    The samples of several sources, in order.

    Attributes
    ----------
    names:
        Names of the sources.

    """

    def __init__(self, specs: Iterable[str], *, every: int = 1, limit: int | None = None,
                 held_back: bool = False, aligned: bool = False,
                 machine_labels: bool = False,
                 drawn_boxes: Path | None = None, half: str = '',
                 bag_options: BagOptions | None = None,
                 thermal_camera: ThermalCameraParameters | None = None,
                 rgb_camera: CameraParameters | None = None) -> None:
        """
        Open the sources.

        Parameters
        ----------
        specs:
            Folders that ``find_datasets`` reads, or sources that ``open_source`` opens: bags,
            pairs of videos, 'simulator:condition=night'.
        every:
            Use every n-th pair of each data set or stream.
        limit:
            Maximum number of pairs of each data set or stream.
        held_back:
            Use only the samples that no training of this package has used. Streams are used
            completely.
        aligned:
            Treat all pairs as aligned, also where the data set does not say so.
        machine_labels:
            Use machine-made labels instead of human ones.
        drawn_boxes, half:
            File of boxes that the developers drew, and the half of it to use; see
            ``data.drawn_boxes``. Pairs without such boxes are left out.
        bag_options:
            Arguments of ``open_source`` that are for bags.
        thermal_camera, rgb_camera:
            How the cameras are built in; the images are corrected as the nodes do it.

        Raises
        ------
        SourceError
            A source does not exist or has an unknown format.

        """
        specs = list(specs)
        named = [name for name, value in (bag_options or {}).items()
                 if value and name != 'stamps']
        if named and not any(is_bag(Path(spec).expanduser()) for spec in specs):
            raise SourceError('only bags have topics, and none of these sources is a bag: '
                              f"{', '.join(specs)}")
        self._parts: list[Dataset | Source] = []
        frames = read_frames(drawn_boxes) if drawn_boxes else None
        for spec in specs:
            if _is_stream(spec):
                if frames is not None:
                    raise SourceError(f'{spec}: drawn boxes are for data sets, not for streams')
                path = Path(spec).expanduser()
                of_bag = bag_options if bag_options and is_bag(path) else BagOptions()
                self._parts.append(open_source(spec, **of_bag))
            else:
                found = find_datasets(Path(spec).expanduser(), machine_labels=machine_labels)
                self._parts.extend(found if frames is None else keep_drawn(found, frames, half))
        self._every, self._limit, self._aligned = every, limit, aligned
        self._held_back = held_back
        self._thermal_camera = thermal_camera or ThermalCameraParameters()
        self._rgb_camera = rgb_camera or CameraParameters()
        self.names = tuple(part.name for part in self._parts)

    @property
    def total(self) -> int | None:
        """Return the number of samples, or None if a source is a stream of unknown length."""
        total = 0
        for part in self._parts:
            if not isinstance(part, Dataset):
                return None
            total += len(list(self._select(self._dataset_samples(part))))
        return total

    def __iter__(self) -> Iterator[Sample]:
        """
        Yield the samples. Samples of streams hold images, samples of data sets hold file paths.

        Characters of the names that are not allowed in file names are replaced by underscores.

        Raises
        ------
        SourceError
            The corrections of the cameras move the pixels of images with annotations.

        """
        moves_pixels = self._thermal_camera.moves_pixels or self._rgb_camera.moves_pixels
        for part in self._parts:
            samples = self._dataset_samples(part) if isinstance(part, Dataset) \
                else _read_stream(part)
            for sample in self._select(samples):
                if moves_pixels and _is_annotated(sample):
                    raise SourceError(
                        f'{part.name}: crop, undistort, rotate and mirror move the pixels, and '
                        'the annotations do not follow; evaluate the images as they are')
                yield replace(sample, dataset=_to_file_name(sample.dataset),
                              name=_to_file_name(sample.name),
                              aligned=sample.aligned or self._aligned,
                              thermal_camera=self._thermal_camera, rgb_camera=self._rgb_camera)

    def _dataset_samples(self, dataset: Dataset) -> Iterable[Sample]:
        return dataset.held_back if self._held_back else dataset.samples

    def _select(self, samples: Iterable[T]) -> Iterator[T]:
        return islice(islice(samples, 0, None, self._every), self._limit)


def _to_file_name(name: str) -> str:
    return _UNSAFE.sub('_', name).strip('._') or '_'


def _is_annotated(sample: Sample) -> bool:
    annotations = (sample.H_thermal_to_rgb, sample.landmarks, sample.detections,
                   sample.segmentation)
    return sample.aligned or any(annotation is not None for annotation in annotations)


def _is_stream(spec: str) -> bool:
    path = Path(spec).expanduser()
    return not path.is_dir() or is_bag(path)


def _read_stream(source: Source) -> Iterator[Sample]:
    light = 'night' if 'night' in source.name else 'day' if ' day ' in source.name else ''
    for index, (thermal, rgb) in enumerate(pair_events(source)):
        yield _make_sample(source.name, index, thermal, rgb, light)


def _make_sample(dataset: str, index: int, thermal: Event, rgb: Event, light: str) -> Sample:
    truth = rgb.truth or Truth()
    return Sample(
        dataset, f'{index:06d}', thermal.frame.image, rgb.frame.image, scene=dataset, light=light,
        H_thermal_to_rgb=truth.H_thermal_to_rgb, stamp_ns=rgb.frame.stamp_ns,
        detections=None if truth.detections is None else _exact_annotation(truth.detections),
        segmentation=None if truth.segmentation is None else _exact_annotation(truth.segmentation))


def _exact_annotation(value: T) -> Annotation[T]:
    return Annotation(partial(_identity, value), Origin.EXACT)


def _identity(value: T) -> T:
    """Return the argument; in contrast to a lambda, it can be pickled."""
    return value
