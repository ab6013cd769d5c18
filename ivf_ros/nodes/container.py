# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
One process that hosts any of the nodes; frames go from node to node by reference.

Run it with the stages that it shall host, then ROS arguments::

    container registration fusion detection --ros-args --params-file ivf.yaml
"""

from __future__ import annotations

import argparse
from functools import partial
import sys

from ivf_ros.nodes.detection_node import DetectionNode
from ivf_ros.nodes.fusion_node import FusionNode
from ivf_ros.nodes.process import run_nodes
from ivf_ros.nodes.registration_node import RegistrationNode
from ivf_ros.nodes.replay_node import ReplayNode
from ivf_ros.nodes.segmentation_node import SegmentationNode
from ivf_ros.nodes.transport import Hub
from rclpy.utilities import remove_ros_args

NODES = {
    'registration': RegistrationNode,
    'fusion': FusionNode,
    'segmentation': SegmentationNode,
    'detection': DetectionNode,
    'replay': ReplayNode,
}


def main(arguments: list[str] | None = None) -> int:
    """Host the nodes named on the command line; without names, the four stages."""
    arguments = sys.argv if arguments is None else ['container', *arguments]
    parser = argparse.ArgumentParser(prog='container', description='Host nodes in one process.')
    parser.add_argument('nodes', nargs='*', metavar='node',
                        help=f'any of {", ".join(NODES)}; default: all but replay')
    chosen = parser.parse_args(remove_ros_args(arguments)[1:]).nodes
    unknown = [name for name in chosen if name not in NODES]
    if unknown:
        parser.error(f"unknown node '{unknown[0]}'; known: {', '.join(NODES)}")
    names = chosen or [name for name in NODES if name != 'replay']
    hub = Hub()
    return run_nodes([partial(NODES[name], hub=hub) for name in names], arguments)


if __name__ == '__main__':
    sys.exit(main())
