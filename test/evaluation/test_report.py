# Copyright 2026 The ivf_ros authors
# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation shows the stored values, in a real browser and without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterator
import csv
import hashlib
from html.parser import HTMLParser
import io
import json
from pathlib import Path
import shutil
import sys

import cv2
from ivf_ros import fusion
from ivf_ros.data.folder import find_pairs, FolderSource
from ivf_ros.evaluation import report
from ivf_ros.evaluation.report import ReportError
import numpy as np
import pytest

SCRIPT_NAME = '<b>&amp;</b><script>window.injected = 1</script>'
IMAGE_NAME = '<img src=x onerror="window.injected=2">'
DASH = '\N{EN DASH}'
HEADER = ['stage', 'method', 'dataset', 'case', 'group', 'set', 'error', 'EN', 'error_px']
# Stage, method, data set, case, group, set, error, EN, error_px.
ROWS = [
    ['fusion', 'alpha', 'road', 'a1', 'night', '', '', '3', ''],
    ['fusion', 'alpha', 'road', 'a2', 'night;rain', '', '', '1', ''],
    ['fusion', 'alpha', 'road', IMAGE_NAME, '', '', '', '2', ''],
    ['fusion', 'alpha', 'town', 'b1', '', '', 'ran out of memory, twice', '', ''],
    ['fusion', SCRIPT_NAME, 'road', 'a1', 'night', '', '', '7.5', ''],
    ['fusion', SCRIPT_NAME, 'road', 'a2', 'night;rain', '', '', '6.5', ''],
    ['fusion', SCRIPT_NAME, 'road', IMAGE_NAME, '', '', '', 'inf', ''],
    ['registration', 'dense', 'road', 'a1', '', 'medium', '', '', '4'],
    ['registration', 'dense', 'road', 'a1', '', 'large', 'LOST', '', ''],
    ['registration', 'dense', 'road', 'a2', '', 'medium', '', '', '2'],
]


def score(mean, rank, sd=0.5):
    return {'mean': mean, 'sd': sd, 'median': mean, 'rank': rank}


def example_summary() -> dict:
    """Return two stages, with a number that is missing and names that would be markup."""
    fusion_rows = {
        'alpha': {'cases': 4, 'failed': 1, 'mean_rank': 2.0,
                  'values': {'EN': score(2.0, 2), 'SD': score(30.0, 1)}, 'overall': {}},
        SCRIPT_NAME: {'cases': 3, 'failed': 0, 'mean_rank': 1.5,
                      'values': {'EN': score(7.0, 1), 'SD': score(None, None, None)},
                      'overall': {}},
    }
    night = {'alpha': {'cases': 2, 'failed': 0, 'mean_rank': 1.0,
                       'values': {'EN': score(2.5, 1)}, 'overall': {}}}
    dense = {'cases': 3, 'failed': 1, 'mean_rank': 1.0, 'values': {'error_px': score(3.0, 1)},
             'overall': {'AUC@10': 0.47}}
    return {
        'format': 1, 'version': '0.1.0', 'sources': ['road', 'town'],
        'command': 'ivf evaluate </script><b>',
        'stages': {
            'fusion': {
                'methods': ['alpha', SCRIPT_NAME],
                'metrics': {'EN': {'better': 'higher', 'unit': 'bit', 'about': 'entropy'},
                            'SD': {'better': 'higher', 'unit': '', 'about': 'contrast'}},
                'groups': {'all': 4, 'night': 2}, 'notes': ['labels & <i>agreement</i>'],
                'table': {'all': fusion_rows, 'night': night}, 'overall': {}},
            'registration': {
                'methods': ['dense'],
                'metrics': {'error_px': {'better': 'lower', 'unit': 'px', 'about': 'corners'}},
                'groups': {'all': 3}, 'notes': [], 'table': {'all': {'dense': dense}},
                'overall': {'AUC@10': {'better': 'higher', 'unit': '', 'about': 'recall'}}},
        },
        'studies': {'metrics': {
            'title': 'Which metrics <agree>', 'paragraphs': ['Most do.'],
            'tables': [{'caption': 'pairs', 'columns': ['pair', 'rho'],
                        'rows': [['EN, SD', 0.875], ['none', None]]}],
            'figures': [{'caption': 'tree', 'png': 'studies/metrics/tree.png'}]}},
    }


def write_folder(folder: Path, summary: dict, rows=ROWS, header=HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'summary.json').write_text(json.dumps(summary))
    with (folder / 'frames.csv').open('w', newline='') as file:
        csv.writer(file).writerows([header, *rows])
    return folder


def write_picture(path: Path, gray: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((60, 80, 3), gray, np.uint8))


def write_pictures(folder: Path) -> None:
    """Write all that the example can have, but none of the method with the odd name."""
    for gray, layer in ((40, 'thermal'), (120, 'rgb'), (200, 'alpha')):
        for case in ('road/a1', 'road/a2', f'road/{IMAGE_NAME}', 'town/b1'):
            if (layer, case) != ('alpha', 'town/b1'):
                write_picture(folder / 'pictures' / 'fusion' / layer / f'{case}.webp', gray)
    for name in ('rgb/road/a1', 'thermal/road/a1@medium', 'dense/road/a1@medium'):
        write_picture(folder / 'pictures' / 'registration' / f'{name}.webp', 120)
    write_picture(folder / 'studies' / 'metrics' / 'tree.png', 250)


class Elements(HTMLParser):
    """The start tags of a page with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == 'script':
            self.scripts.append('')

    def handle_data(self, data):
        if self.cdata_elem == 'script':
            self.scripts[-1] += data


@pytest.fixture(scope='module')
def example(tmp_path_factory) -> Path:
    """Return a folder with everything in it, and its report."""
    pytest.importorskip('plotly', reason='the report needs plotly')
    folder = write_folder(tmp_path_factory.mktemp('report') / 'evaluation', example_summary())
    write_pictures(folder)
    report.write(folder)
    return folder


@pytest.fixture(scope='module')
def browser() -> Iterator:
    """Give the tests a headless Chromium that logs its console and its requests."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='needs selenium')
    chromium, driver = (shutil.which(name) for name in ('chromium', 'chromedriver'))
    if not chromium or not driver:
        pytest.skip('needs chromium and chromedriver: apt install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                 '--force-prefers-reduced-motion', '--window-size=1280,900'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        chrome.set_page_load_timeout(60)
        chrome.set_script_timeout(20)
        yield chrome
    finally:
        chrome.quit()


class Page:
    """A report in the browser, with the few actions that the tests share."""

    def __init__(self, browser, path: Path) -> None:
        self.browser, self.url = browser, path.as_uri()
        for log in ('browser', 'performance'):
            browser.get_log(log)
        browser.get(self.url)

    def __getitem__(self, name: str):
        return self.browser.find_element('id', name)

    def run(self, script: str, *arguments):
        return self.browser.execute_script(script, *arguments)

    def choose(self, name: str, value: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self[name]).select_by_value(value)

    def options(self, name: str) -> list[str]:
        return self.run('return [...arguments[0].options].map((one) => one.textContent)',
                        self[name])

    def cells(self, name: str) -> list[list[str]]:
        """Return the visible text of the body of a table, row by row."""
        return self.run('return [...arguments[0].tBodies[0].rows].map((row) => '
                        '[...row.cells].map((cell) => cell.innerText.trim()))', self[name])

    def traces(self, name: str) -> list[dict]:
        return json.loads(self.run('return JSON.stringify(arguments[0].data)', self[name]))

    def divider(self) -> tuple[float, str]:
        """Return where the divider says it is, and where the right picture is cut off."""
        return (float(self['divider'].get_attribute('aria-valuenow')),
                self['layer-right'].value_of_css_property('clip-path'))

    def wait_for(self, script: str) -> None:
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.browser, 10).until(lambda browser: browser.execute_script(script))

    def check_quiet(self) -> None:
        """Nothing was injected, reported on the console or asked of a network."""
        assert self.run('return window.injected') is None
        assert self.browser.get_log('browser') == []
        messages = [json.loads(entry['message'])['message']
                    for entry in self.browser.get_log('performance')]
        urls = [message['params']['request']['url'] for message in messages
                if message['method'] == 'Network.requestWillBeSent']
        assert {url for url in urls if not url.startswith('data:')} == {self.url}


@pytest.fixture
def page(browser, example) -> Iterator[Page]:
    """Open the example anew; whatever a test does to it, it stays quiet."""
    opened = Page(browser, example / 'report.html')
    yield opened
    opened.check_quiet()


def test_the_report_is_one_file_that_asks_for_no_other(example):
    text = (example / 'report.html').read_text()
    elements = Elements(text)
    links = [attributes[name] for _, attributes in elements.tags for name in ('src', 'href')
             if name in attributes]
    assert set(links) == {'data:,', '#panel'}
    assert sorted(path.name for path in example.iterdir()) == [
        'frames.csv', 'pictures', 'report.html', 'studies', 'summary.json']


def test_no_name_ends_a_script_or_makes_an_element(example):
    elements = Elements((example / 'report.html').read_text())
    assert len(elements.scripts) == 4
    assert json.loads(elements.scripts[0])['summary'] == example_summary()
    assert '<script>window' not in (example / 'report.html').read_text()


def test_the_policy_names_the_hashes_of_the_scripts_that_run(example):
    elements = Elements((example / 'report.html').read_text())
    policy = next(attributes['content'] for tag, attributes in elements.tags
                  if attributes.get('http-equiv') == 'Content-Security-Policy')
    assert policy.startswith("default-src 'none'")
    for script in elements.scripts[2:]:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_ids_are_unique_and_what_refers_to_them_finds_them(example):
    tags = [attributes for _, attributes in Elements((example / 'report.html').read_text()).tags]
    ids = [attributes['id'] for attributes in tags if 'id' in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes['aria-labelledby'] for attributes in tags
            if 'aria-labelledby' in attributes} <= set(ids)


def test_equal_pictures_are_stored_once(example):
    elements = Elements((example / 'report.html').read_text())
    pictures = json.loads(elements.scripts[1])
    assert len(pictures) == 4  # three greys of the cases and the figure
    png = (example / 'studies' / 'metrics' / 'tree.png').read_bytes()
    assert f'data:image/png;base64,{base64.b64encode(png).decode()}' in pictures


def test_a_title_replaces_the_names_of_the_stages(tmp_path):
    pytest.importorskip('plotly')
    folder = write_folder(tmp_path, example_summary())
    assert '<h1>Evaluation of fusion and registration</h1>' in report.write(folder).read_text()
    path = report.write(folder, title='Night & <fog>')
    assert path == folder / 'report.html'
    assert '<h1>Night &amp; &lt;fog&gt;</h1>' in path.read_text()


def test_a_folder_without_an_evaluation_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r'holds no evaluation: summary\.json is missing'):
        report.write(tmp_path)
    write_folder(tmp_path, example_summary())
    (tmp_path / 'frames.csv').unlink()
    with pytest.raises(ReportError, match=r'holds no evaluation: frames\.csv is missing'):
        report.write(tmp_path)
    assert not (tmp_path / 'report.html').exists()


@pytest.mark.parametrize('change, message', [
    (lambda summary: summary.update(format=2), 'has format 2, this version reads 1'),
    (lambda summary: summary.pop('format'), "it has no 'format'"),
    (lambda summary: summary.update(stages={}), "has no stage in 'stages'"),
    (lambda summary: summary['stages']['fusion'].pop('groups'), "'fusion' has no dict 'groups'"),
    (lambda summary: summary['stages']['fusion']['metrics']['EN'].update(better='more'),
     "'better' of metric 'EN' must be 'higher' or 'lower'"),
    (lambda summary: summary['studies']['metrics']['figures'][0].update(png='../secret.png'),
     r"'\.\./secret\.png' is not a picture"),
    (lambda summary: summary['studies']['metrics'].update(figures=[{}]),
     "study 'metrics' has a figure without 'png'"),
    (lambda summary: summary['studies']['metrics'].update(tables=[{'rows': []}]),
     "study 'metrics' has a table without 'columns'"),
])
def test_a_summary_that_does_not_fit_is_refused(tmp_path, change, message):
    summary = example_summary()
    change(summary)
    with pytest.raises(ReportError, match=message):
        report.write(write_folder(tmp_path, summary))


@pytest.mark.parametrize('text, message', [
    ('{"format": 1,', 'is not valid JSON'),
    ('[' * 100_000, 'is not valid JSON'),
    ('[]', "it has no 'format'"),
    (b'\xff\xfe', 'is not UTF-8 text'),
])
def test_a_summary_that_is_no_json_is_refused(tmp_path, text, message):
    (tmp_path / 'summary.json').write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ReportError, match=message):
        report.write(tmp_path)


@pytest.mark.parametrize('lines, message', [
    ([], 'must start with the columns .*, got nothing'),
    (['method,stage'], 'must start with the columns stage,method,.*, got method,stage'),
    ([','.join(HEADER), 'fusion,alpha,road,a1,,,,3'], 'line 2: 8 cells for 9 columns'),
    ([','.join(HEADER), 'fusion,alpha,road,a1,,,,high,'], "line 2, column EN: 'high' is not a n"),
    ([','.join(HEADER), 'fusion,beta,road,a1,,,,3,'], "line 2: summary.json has no method 'beta'"),
    ([','.join(HEADER), 'night,alpha,road,a1,,,,3,'], "no method 'alpha' of stage 'night'"),
    ([','.join(HEADER), *['fusion,alpha,road,a1,,,,3,'] * 2], "line 3: a second row for .*'a1'"),
    ([','.join(HEADER), 'fusion,alpha,road,"a1'], 'line 2: unexpected end of data'),
])
def test_a_malformed_table_of_frames_is_refused(tmp_path, lines, message):
    write_folder(tmp_path, example_summary())
    (tmp_path / 'frames.csv').write_text('\n'.join(lines))
    with pytest.raises(ReportError, match=message):
        report.write(tmp_path)


def test_a_missing_plotly_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'plotly.offline', None)
    with pytest.raises(ReportError, match=r'need plotly; run: .* pip install plotly$'):
        report.write(write_folder(tmp_path, example_summary()))


def test_the_header_says_what_was_evaluated(page):
    facts = page['facts'].text
    assert 'road, town' in facts and 'ivf_ros 0.1.0' in facts
    assert page['command'].text == 'ivf evaluate </script><b>'
    assert page['notes'].text == 'labels & <i>agreement</i>'
    assert page['stage-counts'].text == '4 cases · 2 methods · 2 metrics'


def test_the_table_has_the_numbers_of_the_summary_and_dashes_for_the_missing(page):
    assert page.cells('scores') == [
        [SCRIPT_NAME, '1.50', '3', '0', '7.0001\n± 0.500', f'{DASH}\n± {DASH}'],
        ['alpha', '2.00', '4', '1', '2.0002\n± 0.500', '30.001\n± 0.50']]
    best = page.run('return [...document.querySelectorAll("#scores .best, #scores .second")]'
                    '.map((cell) => cell.className + cell.querySelector(".mean").innerText)')
    assert best == ['best1.50', 'best7.000', 'second2.00', 'second2.000', 'best30.00']
    head = page.run('return document.querySelector("#scores th[data-column=\'metric EN\']")')
    assert head.text.split() == ['EN', '↑', 'bit']
    assert head.get_attribute('title') == 'entropy; higher is better'


def test_metrics_over_all_cases_have_columns_of_their_own(page):
    page['tab-1'].click()
    assert page.cells('scores') == [['dense', '1.00', '3', '1', '3.0001\n± 0.500', '0.470']]
    assert 'Over all cases at once' in page['scores'].text


def test_a_column_head_sorts_best_first_then_worst_first_and_missing_last(page):
    def order():
        return [row[0] for row in page.cells('scores')]

    def click(column):
        head = page.run('return document.querySelector(`th[data-column="${arguments[0]}"]`)',
                        column)
        head.find_element('tag name', 'button').click()
        return head.get_attribute('aria-sort')

    assert order() == [SCRIPT_NAME, 'alpha']  # by mean rank
    assert click('failed') == 'ascending' and order() == [SCRIPT_NAME, 'alpha']
    assert click('failed') == 'descending' and order() == ['alpha', SCRIPT_NAME]
    assert click('metric EN') == 'descending' and order() == [SCRIPT_NAME, 'alpha']
    assert click('metric SD') == 'descending' and order() == ['alpha', SCRIPT_NAME]
    assert click('metric SD') == 'ascending' and order() == ['alpha', SCRIPT_NAME]


def test_a_subset_has_its_own_numbers_curves_and_cases(page):
    assert page.options('subset') == ['all cases (4)', 'night (2)']
    page.choose('subset', 'night')
    assert [row[:5] for row in page.cells('scores')] == [
        ['alpha', '1.00', '2', '0', '2.5001\n± 0.500'],
        [SCRIPT_NAME, DASH, DASH, DASH, f'{DASH}\n± {DASH}']]
    assert page.traces('curve')[0]['y'] == [1, 3]
    assert page.options('viewer-case') == ['a1', 'a2']


@pytest.mark.parametrize('button, lines', [
    ('copy-markdown', [
        '| Method | Mean rank | Cases | Failed | EN ↑ | SD ↑ |',
        '| --- | ---: | ---: | ---: | ---: | ---: |',
        r'| \<b\>\&amp;\</b\>\<script\>window.injected = 1\</script\> | 1.50 | 3 | 0 '
        f'| **7.000 ± 0.500** | {DASH} ± {DASH} |',
        '| alpha | 2.00 | 4 | 1 | <u>2.000 ± 0.500</u> | **30.00 ± 0.50** |']),
    ('copy-csv', [
        'method,mean_rank,cases,failed,EN mean,EN sd,EN median,EN rank,SD mean,SD sd,SD median,'
        'SD rank',
        f'{SCRIPT_NAME},1.5,3,0,7,0.5,7,1,,,,', 'alpha,2,4,1,2,0.5,2,2,30,0.5,30,1']),
])
def test_the_table_can_be_copied(page, button, lines):
    page.run('navigator.clipboard.writeText = async (text) => { window.copied = text; }')
    page[button].click()
    page.wait_for('return window.copied !== undefined')
    text = page.run('const text = window.copied; delete window.copied; return text')
    assert text.splitlines() == lines
    assert page[button].text == 'Copied'


def test_curves_are_sorted_values_over_the_share_of_cases(page):
    alpha, other = page.traces('curve')
    # One of four failed; higher is better, so it lies below all others.
    assert alpha['x'] == [0.5, 0.75, 1.0] and alpha['y'] == [1, 2, 3]
    assert alpha['name'] == 'alpha (2.000)'
    assert other['x'] == [0.5, 1.0] and other['y'] == [6.5, 7.5]  # inf is not measured
    assert 'alpha' in page['curve-failures'].text
    page['tab-1'].click()
    (dense,) = page.traces('curve')
    # Lower is better, so the failed one lies above all others.
    assert dense['x'] == pytest.approx([1 / 3, 2 / 3]) and dense['y'] == [2, 4]


def test_boxes_show_the_same_values_in_the_same_colours(page):
    alpha, other = page.traces('boxes')
    assert sorted(alpha['x']) == [1, 2, 3] and sorted(other['x']) == [6.5, 7.5]
    assert [trace['marker']['color'] for trace in page.traces('boxes')] == \
        [trace['line']['color'] for trace in page.traces('curve')]
    assert page['boxes'].text.count(SCRIPT_NAME) == 1
    assert f'{SCRIPT_NAME} (7.000)' in page['curve'].text


def test_another_metric_changes_the_curve(browser, tmp_path):
    summary = example_summary()
    rows = [[*row, str(10 * index)] for index, row in enumerate(ROWS[:3])]
    page = Page(browser, report.write(write_folder(tmp_path, summary, rows, [*HEADER, 'SD'])))
    assert page.traces('curve')[0]['y'] == [1, 2, 3]
    page.choose('curve-metric', 'SD')
    assert page.traces('curve')[0]['y'] == [0, 10, 20]
    assert page.traces('boxes')[0]['x'] == [0, 10, 20]
    assert page['extremes-metric'].get_attribute('value') == 'SD'
    assert page['metric-about'].text == 'contrast; higher is better'
    page.check_quiet()


def test_worst_and_best_cases_are_those_of_the_method(page):
    page.choose('extremes-method', 'alpha')
    worst, best = (page[name].text.split('\n') for name in ('worst', 'best'))
    assert [line for line in worst if 'failed' in line or 'EN' in line] == [
        'failed: ran out of memory, twice', 'EN 1.000']
    assert [line for line in best if 'EN' in line] == ['EN 3.000', 'EN 2.000']
    assert f'road · {IMAGE_NAME}' in best


def test_a_click_on_a_case_opens_it_in_the_viewer(page):
    page.choose('extremes-method', 'alpha')
    page['best'].find_element('tag name', 'button').click()
    assert page['viewer-name'].text == 'road · a1'
    assert page['layer-right-name'].get_attribute('value') == 'alpha'
    assert page.run('return document.activeElement.id') == 'divider'


def test_pictures_are_decoded_only_when_they_are_shown(page):
    shown = 'return [...document.images].filter((image) => image.src).length'
    assert page.run(shown) == 0 < page.run('return document.images.length')
    page.run('document.getElementById("compare").scrollIntoView({behavior: "instant"})')
    page.wait_for('return [...document.querySelectorAll("#compare img")]'
                  '.some((image) => image.naturalWidth === 80)')


def test_keys_move_the_divider_and_the_clip(page):
    from selenium.webdriver.common.keys import Keys

    divider = page['divider']
    assert divider.get_attribute('role') == 'slider'
    assert page.divider() == (50, 'inset(0px 0px 0px 50%)')
    divider.send_keys(Keys.ARROW_RIGHT)
    assert page.divider() == (52, 'inset(0px 0px 0px 52%)')
    divider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert page.divider() == (48, 'inset(0px 0px 0px 48%)')
    divider.send_keys(Keys.HOME)
    assert page.divider() == (0, 'inset(0px 0px 0px 0%)')
    divider.send_keys(Keys.END)
    assert page.divider() == (100, 'inset(0px 0px 0px 100%)')
    assert divider.get_attribute('aria-valuetext') == f'100 % RGB, 0 % {SCRIPT_NAME}'


@pytest.mark.parametrize('kind', ['mouse', 'touch'])
def test_dragging_moves_the_divider_and_the_clip(page, kind):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.actions.pointer_input import PointerInput

    compare = page['compare']
    page.run('arguments[0].scrollIntoView({behavior: "instant", block: "center"})', compare)
    width = compare.rect['width']
    actions = ActionChains(page.browser, devices=[PointerInput(kind, kind)])
    actions.w3c_actions.pointer_action.source = actions.w3c_actions.devices[0]
    actions.move_to_element(page['divider']).click_and_hold()
    actions.move_by_offset(round(width / 4), 0).release().perform()
    percent, clip = page.divider()
    assert percent == pytest.approx(75, abs=1)
    assert float(clip.removesuffix('%)').rpartition(' ')[2]) == pytest.approx(percent, abs=0.6)


def test_any_two_layers_can_be_compared(page):
    assert page.options('layer-left-name') == ['thermal', 'RGB', 'alpha', SCRIPT_NAME]
    page.choose('layer-left-name', 'thermal')
    page.choose('layer-right-name', 'alpha')
    assert page['layer-left-label'].text == 'thermal'
    gray = 'return [...document.querySelectorAll("#compare img")].map((image) => image.alt)'
    assert page.run(gray) == ['thermal', 'alpha']
    page['viewer-swap'].click()
    assert page.run(gray) == ['alpha', 'thermal']
    page.choose('layer-right-name', SCRIPT_NAME)
    assert page['layer-right'].text == f'no picture: {SCRIPT_NAME}'


def test_search_and_next_and_previous_go_through_the_cases(page):
    from selenium.webdriver.common.keys import Keys

    body = page.browser.find_element('tag name', 'body')
    assert page.options('viewer-case') == ['a1', 'a2', IMAGE_NAME, 'b1']
    assert page['viewer-count'].text == '1 of 4'
    page['viewer-next'].click()
    assert page['viewer-name'].text == 'road · a2'
    body.send_keys('n')
    assert page['viewer-name'].text == f'road · {IMAGE_NAME}'
    body.send_keys('nn')
    assert page['viewer-name'].text == 'road · a1'  # round the end
    page['viewer-search'].send_keys('TOWN b')
    assert page.options('viewer-case') == ['b1'] and page['viewer-name'].text == 'town · b1'
    page['viewer-search'].send_keys(' nothing')
    assert page['viewer-count'].text == 'No case matches.'
    assert not page['viewer-body'].is_displayed()
    page['viewer-search'].send_keys(Keys.CONTROL, 'a', Keys.NULL, 'rain')
    assert page['viewer-name'].text == 'road · a2'


def test_the_values_of_a_case_are_shown_with_the_reason_of_a_failure(page):
    assert page.cells('case-values') == [['alpha', '3.000'], [SCRIPT_NAME, '7.500']]
    page['viewer-search'].send_keys('b1')
    assert page.cells('case-values') == [
        ['alpha', 'ran out of memory, twice'], [SCRIPT_NAME, 'not evaluated on this case']]


def test_variants_of_a_case_share_a_source(page):
    page['tab-1'].click()
    assert page.options('viewer-case') == ['a1 @ medium', 'a1 @ large', 'a2 @ medium']
    assert page.options('viewer-set') == ['all variants', 'medium', 'large']
    page.choose('viewer-set', 'large')
    assert page['viewer-name'].text == 'road · a1 @ large'
    assert page.run('return document.querySelector("#layer-left img").alt') == 'RGB'
    assert page.cells('case-values') == [['dense', 'LOST']]


def test_stages_are_tabs_that_arrow_keys_reach(page):
    from selenium.webdriver.common.keys import Keys

    page['tab-0'].send_keys(Keys.ARROW_RIGHT)
    assert page['stage-name'].text == 'Registration'
    assert page['tab-1'].get_attribute('aria-selected') == 'true'
    assert page.run('return document.activeElement.id') == 'tab-1'


def test_studies_are_shown_with_tables_and_figures(page):
    page.run('document.getElementById("studies").scrollIntoView({behavior: "instant"})')
    text = page['studies'].text
    assert 'Which metrics <agree>' in text and 'Most do.' in text and 'tree' in text
    rows = page.run('return [...document.querySelectorAll("#studies tbody tr")]'
                    '.map((row) => row.innerText.trim().split("\\t"))')
    assert rows == [['EN, SD', '0.875'], ['none', DASH]]
    page.wait_for('return document.querySelector("#studies img").naturalWidth === 80')


def test_the_page_adds_one_name_to_those_of_plotly(browser, example, tmp_path):
    from plotly.offline import get_plotlyjs

    (tmp_path / 'plotly.html').write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><body><script>{get_plotlyjs()}</script>')
    names = []
    for path in (tmp_path / 'plotly.html', example / 'report.html'):
        page = Page(browser, path)
        page.run('Plotly.newPlot(document.createElement("div"), [{type: "box", x: [1, 2]}])')
        names.append(set(page.run('return Object.keys(window)')))
    assert names[0] == names[1]
    assert page.run('return typeof ivfReport') == 'object'


@pytest.mark.parametrize('name, width, scheme', [
    ('light', 1280, 'light'), ('dark', 1280, 'dark'), ('phone', 380, 'light')])
def test_the_page_fits_its_window_and_its_colour_scheme(page, tmp_path, name, width, scheme):
    send = page.browser.execute_cdp_cmd
    send('Emulation.setEmulatedMedia',
         {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]})
    send('Emulation.setDeviceMetricsOverride', {
        'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': width < 500})
    try:
        page.browser.refresh()
        assert page.run('return document.documentElement.scrollWidth - '
                        'document.documentElement.clientWidth') == 0
        paper, ink = page.run('const style = getComputedStyle(document.body);'
                              'return [style.backgroundColor, style.color]')
        light = sum(map(int, paper[4:-1].split(','))) > sum(map(int, ink[4:-1].split(',')))
        assert light == (scheme == 'light')
        assert page.browser.save_screenshot(str(tmp_path / f'{name}.png'))
    finally:
        send('Emulation.clearDeviceMetricsOverride', {})
        send('Emulation.setEmulatedMedia', {'features': []})


def test_the_page_prints_with_its_pictures(page):
    document = page.browser.execute_cdp_cmd('Page.printToPDF', {'printBackground': True})
    assert base64.b64decode(document['data']).startswith(b'%PDF')
    assert page.run('return document.documentElement.className') == ''
    assert page.run('return [...document.images].every((image) => image.src)')


def test_a_folder_without_pictures_and_cases_still_gives_a_page(browser, tmp_path):
    summary = example_summary()
    del summary['studies']
    page = Page(browser, report.write(write_folder(tmp_path / 'bare', summary)))
    assert page.cells('scores')[1][0] == 'alpha'
    assert page.options('layer-left-name') == ['alpha', SCRIPT_NAME]
    assert page['layer-left'].text == 'no picture: alpha'
    assert not page['studies'].is_displayed()
    page.check_quiet()
    page = Page(browser, report.write(write_folder(tmp_path / 'empty', summary, [])))
    assert page.cells('scores')[1][0] == 'alpha'
    assert not page['viewer'].is_displayed()
    page.check_quiet()


def test_real_pairs_and_fusers_make_a_report(browser, shared_data, tmp_path):
    pairs = FolderSource('roadscene', find_pairs(shared_data / 'roadscene' / 'train'), 10.0,
                         aligned=True).pairs[:2]
    rows = []
    for thermal_path, rgb_path in pairs:
        rgb = cv2.imread(str(rgb_path))
        thermal = cv2.resize(cv2.imread(str(thermal_path), cv2.IMREAD_GRAYSCALE),
                             rgb.shape[1::-1])
        for method in ('laplacian', 'average'):
            fused = fusion.create(method).fuse(thermal, rgb)
            rows.append(['fusion', method, 'roadscene', rgb_path.stem, '', '', '', '',
                         np.median(fused), fused.std()])
            for layer, image in (('thermal', thermal), ('rgb', rgb), (method, fused)):
                path = tmp_path / 'pictures' / 'fusion' / layer / 'roadscene'
                path.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path / f'{rgb_path.stem}.webp'), image,
                            [cv2.IMWRITE_WEBP_QUALITY, 80])
    stage = {'methods': ['laplacian', 'average'], 'groups': {'all': 2}, 'notes': [], 'table': {},
             'metrics': {name: {'better': 'higher', 'unit': '', 'about': ''}
                         for name in ('median', 'SD')}, 'overall': {}}
    summary = {'format': 1, 'version': '0.1.0', 'sources': ['roadscene/train'],
               'command': 'ivf evaluate', 'stages': {'fusion': stage}}
    write_folder(tmp_path, summary, rows, [*HEADER[:-2], 'ignored', 'median', 'SD'])
    page = Page(browser, report.write(tmp_path))
    page.run('document.getElementById("compare").scrollIntoView({behavior: "instant"})')
    width = cv2.imread(str(pairs[0][1])).shape[1]
    page.wait_for('return [...document.querySelectorAll("#compare img")]'
                  f'.every((image) => image.naturalWidth === {width})')
    written = csv.DictReader(io.StringIO((tmp_path / 'frames.csv').read_text()))
    expected = sorted(float(row['median']) for row in written if row['method'] == 'laplacian')
    assert page.traces('curve')[0]['y'] == expected
    page.check_quiet()
