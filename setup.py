# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Build and install the package; what a person would look up lies in package.xml and setup.cfg."""

from glob import glob
from xml.etree import ElementTree

from setuptools import find_packages, setup

manifest = ElementTree.parse('package.xml').getroot()
package_name = manifest.findtext('name')
maintainer = manifest.find('maintainer')
nodes = ('registration', 'fusion', 'perception', 'segmentation', 'detection', 'detection3d',
         'replay')

setup(
    name=package_name,
    version=manifest.findtext('version'),
    description=' '.join(manifest.findtext('description').split()),
    maintainer=maintainer.text,
    maintainer_email=maintainer.get('email'),
    license=manifest.findtext('license'),
    packages=find_packages(include=[package_name, f'{package_name}.*']),
    package_data={'': ['*.css', '*.html', '*.js', 'weights/*.safetensors', 'weights/*.onnx',
                       'py.typed']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{package_name}']),
        (f'share/{package_name}', ['package.xml']),
        (f'share/{package_name}/launch', sorted(glob('launch/*.py'))),
        (f'share/{package_name}/launch/examples', sorted(glob('launch/examples/*.*'))),
        (f'share/{package_name}/config', sorted(glob('config/*.*'))),
    ],
    install_requires=['setuptools'],
    python_requires='>=3.10',
    zip_safe=False,
    entry_points={
        'console_scripts': [
            f'ivf = {package_name}.cli.main:main',
            f'component_container = {package_name}.nodes.component_container:main',
            *(f'{node}_node = {package_name}.nodes.{node}_node:main' for node in nodes),
        ],
        # What a container of Python nodes can load, ours and the one that rclpy may have one day.
        'rclpy_components': [
            f'{package_name}::{node.capitalize()}Node = '
            f'{package_name}.nodes.{node}_node:{node.capitalize()}Node' for node in nodes
        ],
    },
)
