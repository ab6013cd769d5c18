# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The web viewer of ``ivf view --web`` in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import time

from conftest import REPOSITORY, wait_until
import cv2
import numpy as np
import pytest

pytest.importorskip('rerun', reason='the view needs rerun-sdk')

# The viewer is compiled in the browser and drawn without a graphics card.
TIMEOUT_S = 120
ORANGE_BGR = (20, 130, 250)  # neither the viewer nor another view has it


@pytest.fixture
def browser() -> Iterator:
    """Give the test a headless Chromium with WebGL that logs its requests."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='needs selenium')
    chromium, driver = (shutil.which(name) for name in ('chromium', 'chromedriver'))
    if not chromium or not driver:
        pytest.skip('needs chromium and chromedriver: apt install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage',
                 '--enable-unsafe-swiftshader', '--window-size=1280,800'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.set_page_load_timeout(60)
        yield chrome
    finally:
        chrome.quit()


@pytest.fixture
def page_url(tmp_path) -> Iterator[str]:
    """Serve a view of one still scene; return the address of its page."""
    thermal = np.random.default_rng(0).integers(0, 256, (60, 80), np.uint8)
    rgb = np.full((120, 160, 3), ORANGE_BGR, np.uint8)
    for stream, image in (('thermal', thermal), ('rgb', rgb)):
        (tmp_path / stream).mkdir()
        for index in range(3):
            cv2.imwrite(str(tmp_path / stream / f'{index}.png'), image)
    environment = {name: value for name, value in os.environ.items()
                   if name != 'CI' and not name.startswith('XDG_')}
    process = subprocess.Popen(
        [sys.executable, '-m', 'ivf_ros.cli', 'view', str(tmp_path), '--web', '--port', '0',
         '--web-port', '0'], cwd=REPOSITORY,
        env={**environment, 'PYTHONPATH': str(REPOSITORY), 'HOME': str(tmp_path / 'home')},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        lines: list[str] = []
        while not lines or not lines[-1].startswith('end of the recording'):
            lines.append(process.stderr.readline())
            assert lines[-1], ''.join(lines)
        yield lines[0].removeprefix('open ').strip()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert '3 pairs' in out
    finally:
        process.kill()
        process.communicate()


def responses(browser) -> dict[str, int]:
    """Return the status of the responses since the last call, by address."""
    messages = [json.loads(entry['message'])['message'] for entry in
                browser.get_log('performance')]
    return {message['params']['response']['url']: message['params']['response']['status']
            for message in messages if message['method'] == 'Network.responseReceived'}


def count_orange_pixels(browser) -> int:
    shot = cv2.imdecode(np.frombuffer(browser.get_screenshot_as_png(), np.uint8),
                        cv2.IMREAD_COLOR)
    return int((np.abs(shot.astype(int) - ORANGE_BGR).max(axis=2) < 25).sum())


def test_the_page_connects_and_shows_the_image(browser, page_url):
    assert re.fullmatch(r'http://127\.0\.0\.1:\d+/\?url=rerun%2Bhttp%3A%2F%2F127\.0\.0\.1'
                        r'%3A\d+%2Fproxy', page_url)
    browser.get(page_url)
    statuses: dict[str, int] = {}

    def is_shown() -> bool:
        statuses.update(responses(browser))
        time.sleep(0.5)  # screenshots cost the browser the time to draw
        return count_orange_pixels(browser) > 10_000
    assert wait_until(is_shown, TIMEOUT_S), f'no orange image is drawn; {statuses}'
    connections = {url: status for url, status in statuses.items() if '/rerun.' in url}
    assert connections and set(connections.values()) == {200}
    assert all(url.startswith('http://127.0.0.1:') for url in connections)


def test_only_this_machine_can_connect(page_url):
    ports = {int(port) for port in re.findall(r'(?::|%3A)(\d+)', page_url)}
    assert len(ports) == 2
    lines = [line for name in ('tcp', 'tcp6') if (table := Path(f'/proc/net/{name}')).is_file()
             for line in table.read_text().splitlines()[1:]]
    listening = {(entry[1].split(':')[0], int(entry[1].split(':')[1], 16))
                 for entry in map(str.split, lines) if entry[3] == '0A'}
    addresses = {address for address, port in listening if port in ports}
    assert addresses == {'0100007F'}, '127.0.0.1 alone'


def test_the_viewer_reports_nothing_to_its_maker(page_url, tmp_path):
    assert page_url
    assert not list((tmp_path / 'home').rglob('*analytics*'))
