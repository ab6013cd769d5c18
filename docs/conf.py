# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""
Settings of Sphinx for the documentation, alone or under rosdoc2.

    pip install '.[docs]' && sphinx-build -W docs site
"""

project = 'ivf_ros'
copyright = '2026, The ivf_ros authors'  # noqa: A001
author = 'The ivf_ros authors'

extensions = ['myst_parser']
source_suffix = {'.md': 'markdown'}
master_doc = 'index'
html_theme = 'sphinx_rtd_theme'

# Links to headings are written as GitHub makes their anchors.
myst_heading_anchors = 4

# The modules of the nodes need ROS to be imported, and the pages say what their docstrings say.
rosdoc2_settings = {'enable_autodoc': False}
