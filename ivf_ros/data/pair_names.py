# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Which thermal and visible files belong together, by their names or the time stamps in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
import re
from typing import NamedTuple

from ivf_ros.data.recording import DJI_NAME, natural_key, RGB_LENSES, SourceError, split_stem

TOLERANCE_S = 0.05  # between the time stamps in the names of two partners
_DJI_TOLERANCE_S = 2.0  # the cameras of a drone save a shot one after the other

# Time of the Unix epoch in seconds, with a fraction or as milli-, micro- or nanoseconds; from 2004
# to 2033. Running numbers are shorter.
_UNIX = re.compile(r'(?<!\d)(1[1-9]\d{8})(?:[._](\d{9}|\d{6}|\d{3})|(\d{9}|\d{6}|\d{3}))?(?!\d)')
_CALENDAR = re.compile(
    r'(?<!\d)((?:19|20)\d\d)[-_.]?([01]\d)[-_.]?([0-3]\d)[-_.T ]?'
    r'([0-2]\d)[-_.:]?([0-5]\d)[-_.:]?([0-5]\d)(?:[-_.]?(\d{6}|\d{3}))?(?!\d)')


class FilePairs(NamedTuple):
    """
    Files of two cameras that belong together.

    Attributes
    ----------
    pairs:
        The thermal and the visible file by key, in natural order of the keys. The key is what the
        names have in common, or without that the key of the visible file.
    unpaired:
        The other files by stream name.
    other_lenses:
        Visible files that ``select_lens`` leaves out.

    """

    pairs: Mapping[str, tuple[Path, Path]]
    unpaired: Mapping[str, list[Path]]
    other_lenses: list[Path]


def pair_files(thermal: list[Path], rgb: list[Path], name: str,
               tolerance_s: float = TOLERANCE_S) -> FilePairs:
    """
    Find the files that belong together.

    Partners have the same stem, apart from the word for the camera. Of the remaining files those
    belong together whose names hold time stamps that differ by at most ``tolerance_s``, the
    nearest first; each file is used once. Beside stamps in whole seconds the other numbers in the
    names must be equal. Files of DJI must have the same number and may differ by two seconds.

    Raises
    ------
    SourceError
        Two files of one camera have the same key. ``name`` is that of the source in the message.

    """
    visible = select_lens(rgb)
    by_key = {'thermal': _map_by_key(thermal, name), 'rgb': _map_by_key(visible, name)}
    common = by_key['thermal'].keys() & by_key['rgb'].keys()
    partners = {key: key for key in common}  # visible key -> thermal key
    left = {stream: [key for key in keys if key not in common] for stream, keys in by_key.items()}
    partners |= _match_by_time(left['thermal'], left['rgb'], tolerance_s)
    pairs = {key: (by_key['thermal'][partners[key]], by_key['rgb'][key])
             for key in sorted(partners, key=natural_key)}
    used = {'thermal': set(partners.values()), 'rgb': set(partners)}
    unused = {stream: sorted(paths.keys() - used[stream], key=natural_key)
              for stream, paths in by_key.items()}
    unpaired = {stream: [by_key[stream][key] for key in keys] for stream, keys in unused.items()}
    chosen = set(visible)
    return FilePairs(pairs, unpaired, [path for path in rgb if path not in chosen])


def pair_by_order(thermal: list[Path], rgb: list[Path], name: str) -> FilePairs:
    """
    Pair the files of two cameras in the order in which they are given; the key is that of RGB.

    Raises
    ------
    SourceError
        There are more files of one camera than of the other, or two visible files have the same
        key.

    """
    if len(thermal) != len(rgb):
        raise SourceError(f'{name}: no names belong together, and {len(thermal)} thermal and '
                          f'{len(rgb)} visible files do not pair by order; the numbers must be '
                          'equal')
    pairs = {key: (thermal_path, rgb_path) for (key, rgb_path), thermal_path
             in zip(_map_by_key(rgb, name).items(), thermal, strict=True)}
    return FilePairs(pairs, {'thermal': [], 'rgb': []}, [])


def select_lens(files: list[Path]) -> list[Path]:
    """Return files without those of further visible lenses of a DJI camera, such as the zoom."""
    lenses = [_lens_of(path.stem) for path in files]
    best = next((lens for lens in RGB_LENSES if lens in lenses), '')
    return [path for path, lens in zip(files, lenses) if lens not in RGB_LENSES or lens == best]


def stamp_of(stem: str) -> tuple[float, tuple[str, ...]] | None:
    """
    Find a time stamp in the stem of a file name.

    Returns the time in seconds, and if it has no fraction the other numbers in the stem, which
    tell files of one second apart. None without a time stamp. Known are times of the Unix epoch
    (s, ms, us, ns, or s with a fraction) and ``YYYYMMDD_HHMMSS`` with or without separators and a
    fraction.
    """
    if match := _CALENDAR.search(stem):
        *fields, fraction = match.groups()
        try:
            moment = datetime.strptime(''.join(fields), '%Y%m%d%H%M%S')
        except ValueError:
            return None
        time_s = moment.replace(tzinfo=timezone.utc).timestamp()
        return time_s + _fraction_s(fraction), _other_numbers(stem, match, fraction)
    if match := _UNIX.search(stem):
        fraction = match[2] or match[3]
        return int(match[1]) + _fraction_s(fraction), _other_numbers(stem, match, fraction)
    return None


def _lens_of(stem: str) -> str:
    match = DJI_NAME.fullmatch(stem)
    return match['lens'][0].upper() if match and match['lens'] else ''


def _fraction_s(digits: str | None) -> float:
    return int(digits) / 10 ** len(digits) if digits else 0.0


def _other_numbers(stem: str, match: re.Match[str], fraction: str | None) -> tuple[str, ...]:
    rest = f'{stem[:match.start()]} {stem[match.end():]}'
    return () if fraction else tuple(re.findall(r'\d+', rest))


def _map_by_key(files: Iterable[Path], name: str) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in files:
        key = split_stem(path.stem)[1]
        if key in paths:
            raise SourceError(f"{name}: '{paths[key].name}' and '{path.name}' claim the same pair")
        paths[key] = path
    return paths


def _match_by_time(thermal: list[str], rgb: list[str], tolerance_s: float) -> dict[str, str]:
    """Return the thermal key by visible key of those whose time stamps agree."""
    partners: dict[str, str] = {}
    thermal_groups, rgb_groups = _group_by_number(thermal), _group_by_number(rgb)
    for group in thermal_groups.keys() & rgb_groups.keys():
        limit_s = _DJI_TOLERANCE_S if group[:1] == ('DJI',) else tolerance_s
        partners |= _match_nearest(thermal_groups[group], rgb_groups[group], limit_s)
    return partners


def _group_by_number(keys: list[str]) -> dict[tuple[str, ...], list[tuple[float, str]]]:
    """Return time and key of the stamped names, in order of time, by numbers that must agree."""
    groups: dict[tuple[str, ...], list[tuple[float, str]]] = defaultdict(list)
    for key in keys:
        dji = DJI_NAME.fullmatch(key)
        stamped = stamp_of(dji['stamp']) if dji and dji['stamp'] else stamp_of(key)
        if stamped:
            group = ('DJI', dji['number']) if dji else stamped[1]
            groups[group].append((stamped[0], key))
    return {group: sorted(members) for group, members in groups.items()}


def _match_nearest(thermal: list[tuple[float, str]], rgb: list[tuple[float, str]],
                   limit_s: float) -> dict[str, str]:
    candidates: list[tuple[float, str, str]] = []
    first = 0
    for time_s, key in thermal:
        while first < len(rgb) and rgb[first][0] < time_s - limit_s - 1e-6:
            first += 1
        index = first
        while index < len(rgb) and rgb[index][0] <= time_s + limit_s + 1e-6:
            candidates.append((abs(time_s - rgb[index][0]), key, rgb[index][1]))
            index += 1
    partners: dict[str, str] = {}
    used: set[str] = set()
    for _, key, rgb_key in sorted(candidates):
        if key not in used and rgb_key not in partners:
            partners[rgb_key] = key
            used.add(key)
    return partners
