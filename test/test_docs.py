# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation: links and anchors exist, and quoted messages are those of the code."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
import re
import subprocess
import sys

from conftest import REPOSITORY
import pytest

PAGES = [REPOSITORY / f'{name}.md'
         for name in ('README', 'CONTRIBUTING', 'QUALITY_DECLARATION', 'SECURITY')]
PAGES += sorted((REPOSITORY / 'docs').rglob('*.md'))
PACKAGE = REPOSITORY / 'ivf_ros'
TROUBLESHOOTING = REPOSITORY / 'docs' / 'troubleshooting.md'

_CODE_BLOCK = re.compile(r'^```.*?^```$', re.DOTALL | re.MULTILINE)
_LINK = re.compile(r'\]\(([^)\s]+)\)')
_HEADING = re.compile(r'^#{1,6} +(.+?) *$', re.MULTILINE)


def identify(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@lru_cache(None)
def prose_of(page: Path) -> str:
    """Return the text of a page without its code blocks."""
    return _CODE_BLOCK.sub('', page.read_text())


@lru_cache(None)
def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(prose_of(page)):
        text = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading)
        anchor = re.sub(r'[^\w\- ]', '', text.lower()).replace(' ', '-')
        while anchor in anchors:
            anchor += '-1'
        anchors.add(anchor)
    return anchors


def find_broken_links(page: Path) -> list[str]:
    """Return the links of a page whose file or heading does not exist; the web is not asked."""
    broken = []
    for link in _LINK.findall(prose_of(page)):
        name, _, anchor = link.partition('#')
        if re.match(r'[a-z]+:', name):
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    return broken


@pytest.mark.parametrize('page', PAGES, ids=identify)
def test_every_link_leads_to_a_file_and_a_heading(page):
    assert find_broken_links(page) == []


def test_a_broken_link_is_found(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('# A `b` heading: c\n[1](#a-b-heading-c) [2](#b) [3](none.md) [4](page.md)\n'
                    '[5](page.md#a) [6](https://example.org/none)\n```\n[7](none.md)\n```\n')
    assert find_broken_links(page) == ['#b', 'none.md', 'page.md#a']


def test_every_page_is_linked_from_another():
    linked = {(page.parent / link.partition('#')[0]).resolve()
              for page in PAGES for link in _LINK.findall(prose_of(page))}
    assert [identify(page) for page in PAGES[2:] if page not in linked] == []


def test_the_site_is_built_without_a_warning(tmp_path):
    for module in ('sphinx', 'myst_parser', 'sphinx_rtd_theme'):
        pytest.importorskip(module, reason=f"{module} of '.[docs]' is not installed")
    build = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q', '-d', tmp_path / 'doctrees',
         REPOSITORY / 'docs', tmp_path / 'site'], capture_output=True, text=True, timeout=120,
        check=False)
    assert (build.returncode, build.stderr) == (0, '')
    assert (tmp_path / 'site' / 'your_cameras.html').is_file()


@lru_cache(None)
def literals_of_the_code() -> tuple[str, ...]:
    """Return the literal texts of the package; what an f-string fills in splits them."""
    literals: list[str] = []
    for path in PACKAGE.rglob('*.py'):
        literals += [node.value for node in ast.walk(ast.parse(path.read_text()))
                     if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return tuple(literals)


def quoted_messages() -> list[str]:
    """Return the messages in the first columns of the tables of the page."""
    cells = re.findall(r'^\| (.+?) \| ', TROUBLESHOOTING.read_text(), re.MULTILINE)
    return [message for cell in cells for message in re.findall(r'`([^`]+)`', cell)]


@pytest.mark.parametrize('message', quoted_messages())
def test_every_quoted_message_is_in_the_code(message):
    fragments = [fragment.strip(" '") for fragment in re.split(r'<[^>]*>', message)]
    missing = [fragment for fragment in fragments
               if not any(fragment in literal for literal in literals_of_the_code())]
    assert missing == []
    # A single word may be part of anything.
    assert max(map(len, fragments)) > 10 or message in literals_of_the_code()
