# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Boxes as XML in the format 'CVAT for images 1.1'.

Images are numbered in the order of their names, as CVAT numbers those of a task. A box is
``xtl, ytl, xbr, ybr`` in pixels, pixel 0 from 0 to 1, and may be turned about its centre.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from xml.etree import ElementTree

from ivf_ros.data.annotated_image import AnnotatedImage, enclose_rotated
from ivf_ros.data.label_files.coco import IMAGE_SUFFIX, list_categories
from ivf_ros.data.recording import SourceError
from ivf_ros.output import FILE_MARK
from ivf_ros.types import Detection

_EDGES = ('xtl', 'ytl', 'xbr', 'ybr')


def format_cvat_xml(images: Sequence[AnnotatedImage], class_names: Sequence[str]) -> str:
    """Return the text of the XML file; ``class_names`` as in ``format_coco``."""
    root = ElementTree.Element('annotations')
    root.append(ElementTree.Comment(FILE_MARK))
    ElementTree.SubElement(root, 'version').text = '1.1'
    task = ElementTree.SubElement(ElementTree.SubElement(root, 'meta'), 'task')
    for name, text in (('size', str(len(images))), ('mode', 'annotation')):
        ElementTree.SubElement(task, name).text = text
    labels = ElementTree.SubElement(task, 'labels')
    for name in list_categories(images, class_names):
        label = ElementTree.SubElement(labels, 'label')
        ElementTree.SubElement(label, 'name').text = name
        ElementTree.SubElement(label, 'attributes')
    for number, image in enumerate(sorted(images, key=lambda image: image.name)):
        element = ElementTree.SubElement(root, 'image', {
            'id': str(number), 'name': image.name + IMAGE_SUFFIX,
            'width': str(image.size[0]), 'height': str(image.size[1])})
        for box in image.boxes:
            edges = {name: f'{value:.2f}' for name, value in zip(_EDGES, box.box_xyxy_px)}
            ElementTree.SubElement(element, 'box', {
                'label': box.class_name, 'source': 'file', 'occluded': '0', **edges,
                'z_order': '0'})
    ElementTree.indent(root)
    return ElementTree.tostring(root, 'unicode', xml_declaration=True) + '\n'


def parse_cvat_xml(text: str, location: str) -> dict[str, AnnotatedImage]:
    """
    Return the images of an XML file by name.

    Raises
    ------
    SourceError
        The text is no XML file of CVAT for images, or holds other shapes than boxes; ``location``
        names it in the message.

    """
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise SourceError(f'{location} is no complete XML: {error}') from None
    elements = root.findall('image')
    if root.tag != 'annotations' or not elements:
        hint = "; export it as 'CVAT for images 1.1'" if root.find('track') is not None else ''
        raise SourceError(f'{location} holds no images of CVAT{hint}')
    images: dict[str, AnnotatedImage] = {}
    for element in elements:
        name = element.get('name', '').rpartition('/')[2].rpartition('.')[0]
        if not name or name in images:
            raise SourceError(f"{location}: an image without a name, or a second one of '{name}'")
        size = [_parse_number(f'{location}, image {name}', element, side)
                for side in ('width', 'height')]
        boxes = tuple(_parse_box(f'{location}, image {name}', child) for child in element
                      if child.tag != 'tag')
        images[name] = AnnotatedImage(name, (int(size[0]), int(size[1])), boxes)
    return images


def _parse_box(location: str, element: ElementTree.Element) -> Detection:
    if element.tag != 'box':
        raise SourceError(f"{location}: only boxes are read, got a '{element.tag}'")
    label = element.get('label', '').lower()
    if not label:
        raise SourceError(f'{location}: a box has no label')
    left, top, right, bottom = (_parse_number(location, element, name) for name in _EDGES)
    if right <= left or bottom <= top:
        raise SourceError(f'{location}: a box ends before it starts: '
                          f'{left:g} {top:g} {right:g} {bottom:g}')
    degrees = _parse_number(location, element, 'rotation') if 'rotation' in element.attrib else 0.0
    return Detection(enclose_rotated((left, top, right, bottom), degrees), label, 1.0)


def _parse_number(location: str, element: ElementTree.Element, name: str) -> float:
    text = element.get(name, '')
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SourceError(f"{location}: {name} must be a number, got '{text}'")
    return value
