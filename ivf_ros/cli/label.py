# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Command ``ivf label``: boxes for a recording, and their way to a labelling tool and back."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any, TYPE_CHECKING

from ivf_ros.cli.bag_options import add_bag_options, bag_options_of
from ivf_ros.cli.cameras import add_camera_options, rgb_camera_of, thermal_camera_of
from ivf_ros.cli.output import (
    add_overwrite_option,
    check_suffix,
    command_line,
    CommandError,
    print_note,
    read_count,
    report,
    report_settings,
    UsageError,
)
from ivf_ros.cli.pair_commands import add_prior_option
from ivf_ros.data.label_files.formats import read_label_file, SUFFIXES, write_label_file
from ivf_ros.data.labelled_folder import (
    check_new_labels,
    HUMAN_FILE,
    PairFolder,
    read_latest_labels,
    store_corrections,
    write_machine_labels,
)
from ivf_ros.output import check_file, check_folder, open_folder
from ivf_ros.parameters import build, declarations, parse_settings
from ivf_ros.progress import Progress

if TYPE_CHECKING:
    from ivf_ros.data.annotated_image import AnnotatedImage
    from ivf_ros.data.sources import Source

_ADDRESS = '/data/local-files/?d='  # of files on the machine of Label Studio


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``ivf label``."""
    from ivf_ros.labelling import DEFAULT_TEACHERS

    parser.usage = ('ivf label SOURCE --out DIR [options]\n'
                    '       ivf label DIR --export FORMAT --out FILE\n'
                    '       ivf label DIR --import FILE')
    parser.add_argument('source', nargs='*', help='folder of pairs, two videos, bag or '
                        'simulator[:...]; with --export and --import a folder of ivf label')
    parser.add_argument('--out', type=Path, metavar='PATH', help='folder for the registered pairs '
                        'and their boxes; with --export the file to write')
    parser.add_argument('--teacher', dest='teachers', action='append', default=[],
                        metavar='METHOD@INPUT[:KEY=VALUE,...]',
                        help='a detector and what it looks at: rgb, thermal, rgb+thermal or fast, '
                        'the fused image, such as onnx@rgb:onnx.model=yolo.onnx; may be repeated '
                        f'(default: {" ".join(DEFAULT_TEACHERS)})')
    parser.add_argument('--set', dest='settings', action='append', default=[],
                        metavar='KEY=VALUE', help='a setting, see --list; may be repeated')
    parser.add_argument('--list', action='store_true', help='print the settings and end')
    parser.add_argument('--every', type=read_count, default=1, metavar='N',
                        help='label every Nth pair; its neighbours are looked at, too '
                        '(default: 1)')
    parser.add_argument('--limit', type=read_count, metavar='N',
                        help='stop after N labelled pairs (default: all)')
    parser.add_argument('--aligned', action='store_true', help='the images of a pair show the '
                        'same view: thermal is resized, not registered')
    tool = parser.add_argument_group('labelling tools')
    tool.add_argument('--export', choices=SUFFIXES, metavar='FORMAT',
                      help=f'write the boxes for a tool: {", ".join(SUFFIXES)}')
    tool.add_argument('--images', choices=('fused', 'visible', 'thermal'), default='fused',
                      help='the images to show in Label Studio (default: fused)')
    tool.add_argument('--address', metavar='PREFIX', help='what precedes the names of the folders '
                      f'of images for Label Studio (default: {_ADDRESS}DIR/)')
    tool.add_argument('--import', dest='imported', type=Path, metavar='FILE',
                      help='read corrected boxes: ZIP or JSON in COCO, ZIP or XML of CVAT for '
                      'images, JSON of Label Studio')
    tool.add_argument('--only-changed', action='store_true',
                      help='with --import: images whose boxes nobody changed stay machine-made')
    add_prior_option(parser)
    add_camera_options(parser)
    add_overwrite_option(parser)
    add_bag_options(parser)
    parser.set_defaults(run=_label, paths='source')


def _label(options: argparse.Namespace) -> int:
    if options.list:
        return _list_settings(options)
    if not options.source:
        raise UsageError('give a source')
    if len(options.source) > 2:
        raise UsageError(f'got {len(options.source)} paths; give one source, or thermal and RGB')
    if options.imported:
        return _import(options)
    if not options.out:
        raise UsageError('give --out, or --import')
    return _export(options) if options.export else _label_source(options)


def _list_settings(options: argparse.Namespace) -> int:
    from ivf_ros.labelling import LabellingParameters

    report_settings(options, list(declarations(LabellingParameters)))
    return 0


def _label_source(options: argparse.Namespace) -> int:
    from ivf_ros.data.folder import FolderSource
    from ivf_ros.data.sources import open_source
    from ivf_ros.labelling import (
        DEFAULT_TEACHERS,
        LabellingParameters,
        RecordingLabels,
        Teacher,
    )

    spec = ','.join(options.source)
    parameters = build(LabellingParameters, parse_settings(options.settings))
    check_folder(options.out, 'label', options.source)
    check_new_labels(options.out)
    source = open_source(spec, **bag_options_of(options))
    is_sequence = not (isinstance(source, FolderSource) and source.shows_unrelated_scenes())
    if not is_sequence:
        print_note(options, 'the files show unrelated scenes: there are no neighbouring frames, '
                   'and a box that two teachers show is an object')
    labels = RecordingLabels([Teacher(text) for text in options.teachers or DEFAULT_TEACHERS],
                             parameters, is_sequence)
    open_folder(options.out, 'label', options.source)
    left_out: Counter[str] = Counter()
    skipped: dict[str, int] = {}
    interrupted = False
    try:
        skipped = _collect(options, source, labels, is_sequence, left_out)
    except KeyboardInterrupt:
        interrupted = True
    images = labels.annotate()
    if not images:
        raise CommandError('no pair can be labelled: ' + (', '.join(
            f'{count} {reason}' for reason, count in left_out.most_common())
            or 'the source holds no pair'))
    from ivf_ros.detection import CLASS_NAMES
    write_machine_labels(options.out, images, CLASS_NAMES, {
        'source': spec, 'command': command_line(options), **labels.describe()})
    for reason, count in {**left_out, **skipped}.items():
        print_note(options, f'left out: {count} ({reason})')
    if labels.dropped:
        print_note(options, 'boxes of other classes, dropped: ' + ', '.join(
            f'{count} {name}' for name, count in labels.dropped.most_common()))
    _report(options, {**_count(images), 'left_out': dict(left_out), 'skipped': skipped,
                      'out': str(options.out)})
    if interrupted:
        print_note(options, f'interrupted; {len(images)} pairs are labelled')
    return 130 if interrupted else 0


def _collect(options: argparse.Namespace, source: Source, labels: Any, is_sequence: bool,
             left_out: Counter[str]) -> dict[str, int]:
    """
    Write the pairs of a source and collect their labels.

    Returns the number of unreadable frames by reason. ``left_out`` counts the pairs that cannot be
    registered, by reason.
    """
    from ivf_ros.data.corrected_source import CorrectedSource
    from ivf_ros.data.frame_pairs import pair_events
    from ivf_ros.labelling import PairRegistration

    prior = None
    if options.prior:
        from ivf_ros.calibration.rig_files import read_prior  # needs SciPy
        prior = read_prior(options.prior)
    registration = PairRegistration(is_sequence, prior, options.aligned)
    folder = PairFolder(options.out, options.overwrite)
    corrected = CorrectedSource(source, thermal_camera_of(options), rgb_camera_of(options))
    n_labelled, latest = 0, -1  # index of the latest labelled pair
    with Progress(None, 'pair') as progress:
        for index, (thermal, rgb) in enumerate(pair_events(corrected)):
            is_full = n_labelled == options.limit
            if is_full and index > latest + 1:
                break
            is_selected = index % options.every == 0 and not is_full
            pair = registration.register(thermal.frame, rgb.frame)
            progress.update()
            if isinstance(pair, str):
                if is_selected:
                    left_out[pair.partition(':')[0]] += 1
                continue
            name = f'{index // options.every:06d}' if is_selected else ''
            # The pairs before and after a labelled one tell whether its boxes last.
            is_neighbour = index == latest + 1 or (index + 1) % options.every == 0
            if name or (is_sequence and is_neighbour):
                labels.add(pair, rgb.frame.stamp_ns, name)
            if name:
                folder.write(name, {'thermal': pair.thermal, 'visible': pair.rgb,
                                    'fused': pair.fused})
                n_labelled, latest = n_labelled + 1, index
    return dict(corrected.skipped)


def _count(images: list[AnnotatedImage]) -> dict[str, Any]:
    """Return the numbers of images, of objects by class, and of ignored boxes by reason."""
    from ivf_ros.data.sample import IGNORED

    boxes = [(box, detail) for image in images
             for box, detail in zip(image.boxes, image.details, strict=True)]
    objects = [box for box, _ in boxes if box.class_name != IGNORED]
    return {'pairs': len(images), 'objects': dict(Counter(box.class_name for box in objects)),
            'ignored': dict(Counter(detail['ignored_because'] for box, detail in boxes
                                    if box.class_name == IGNORED)),
            'agreement': round(sum(box.score for box in objects) / max(len(objects), 1), 3)}


def _report(options: argparse.Namespace, values: dict[str, Any]) -> None:
    """Print values by name; numbers by name, as of the boxes of each class, in one line."""
    if not options.json:
        values = {name: ', '.join(f'{count} {key}' for key, count in value.items()) or 'none'
                  if isinstance(value, dict) else value for name, value in values.items()}
    report(options, values)


def _export(options: argparse.Namespace) -> int:
    from ivf_ros.detection import CLASS_NAMES

    folder = _only_folder(options)
    check_suffix(options.out, (SUFFIXES[options.export],))
    check_file(options.out, [], options.overwrite)
    images = read_latest_labels(folder)
    address = options.address or f'{_ADDRESS}{folder.resolve().name}/'
    addresses = {'image': f'{address}{options.images}/', **{
        name: f'{address}{name}/' for name in ('thermal', 'visible')}}
    write_label_file(options.out, options.export, images, CLASS_NAMES, addresses)
    _report(options, {'images': len(images), 'boxes': sum(len(image.boxes) for image in images),
                      'file': str(options.out)})
    return 0


def _import(options: argparse.Namespace) -> int:
    from ivf_ros.detection import CLASS_NAMES

    folder = _only_folder(options)
    corrected = read_label_file(options.imported)
    check_file(folder / HUMAN_FILE, [options.imported], options.overwrite)
    found = store_corrections(folder, corrected, CLASS_NAMES, options.only_changed)
    if found.unchanged_images and not options.only_changed:
        print_note(options, f'{found.unchanged_images} of {found.images} images hold exactly the '
                   'boxes of the machine and count as checked by a person; --only-changed leaves '
                   'them out')
    _report(options, {'images': found.images, 'boxes': dict(found.counts),
                      'file': str(folder / HUMAN_FILE)})
    return 0


def _only_folder(options: argparse.Namespace) -> Path:
    if len(options.source) != 1:
        raise UsageError('give one folder of ivf label')
    return Path(options.source[0]).expanduser()
