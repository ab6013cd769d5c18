// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// The page as a whole: header, choice of stage, subset and metric, studies, printing.

const PAGE_WIDTH_PX = 920; // landscape Letter, the shorter of the common ones

// What has to be drawn again when a part of the state changes.
const DEPENDENTS = {
  stage: [renderStage, renderTable, renderCharts, renderGallery, renderViewer],
  subset: [renderSubset, renderTable, renderCharts, renderGallery, renderViewer],
  metric: [renderMenus, renderCharts, renderGallery],
  method: [renderMenus, renderGallery],
};

/** Change the state and draw what depends on it, each part once. */
function show(changes) {
  Object.assign(state, changes);
  new Set(Object.keys(changes).flatMap((key) => DEPENDENTS[key])).forEach((render) => render());
}

/** Go to another stage, keeping the subset, the metric and the case where it has them too. */
function showStage(name) {
  const before = frames().cases[state.caseIndex];
  state.stage = name;
  const key = (one) => JSON.stringify([one.dataset, one.name, one.set]);
  const same = before ? frames().cases.findIndex((one) => key(one) === key(before)) : -1;
  state.caseIndex = Math.max(0, same);
  const keep = (chosen, names) => (names.includes(chosen) ? chosen : names[0] ?? null);
  state.subset = keep(state.subset, subsets());
  state.metric = keep(state.metric, frames().metrics);
  state.method = keep(state.method, bestFirst());
  show({stage: name});
}

function bestFirst() {
  const rank = (method) => (table()[method] || {}).mean_rank ?? Infinity;
  return [...stage().methods].sort((a, b) => rank(a) - rank(b) || 0);
}

function renderStage() {
  for (const tab of find('stages').children) {
    const chosen = tab.dataset.stage === state.stage;
    tab.setAttribute('aria-selected', String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen) {
      find('panel').setAttribute('aria-labelledby', tab.id);
    }
  }
  find('stage-name').textContent = title(state.stage);
  find('notes').replaceChildren(...stage().notes.map((note) => element('li', {}, note)));
  renderSubset();
  renderMenus();
}

function renderSubset() {
  const count = (name) => stage().groups[name] ?? frames().cases.length;
  fillSelect(find('subset'), subsets().map((name) => [
    name, `${name === ALL ? 'all cases' : name} (${count(name)})`]), state.subset);
  find('stage-counts').textContent = [plural(count(state.subset), 'case'),
    plural(stage().methods.length, 'method'),
    plural(Object.keys(stage().metrics).length + Object.keys(stage().overall).length, 'metric')]
    .join(' · ');
}

function renderMenus() {
  const metrics = frames().metrics.map((name) => [
    name, `${name} ${arrow(stage().metrics[name])}`]);
  fillSelect(find('curve-metric'), metrics, state.metric);
  fillSelect(find('extremes-metric'), metrics, state.metric);
  fillSelect(find('extremes-method'), stage().methods.map((name) => [name, name]), state.method);
}

function renderHeader() {
  const {version, sources = [], command, stages} = content.summary;
  const cases = Math.max(...stageNames.map((name) => stages[name].groups[ALL]
    ?? content.frames[name].cases.length));
  const facts = [['Sources', sources.join(', ')], ['Cases', String(cases)],
    ['Stages', stageNames.map((name) => `${name} (${plural(stages[name].methods.length,
      'method')})`).join(', ')],
    ['Version', `ivf_ros ${version ?? MISSING}`]];
  find('facts').replaceChildren(...facts.map(([name, value]) => element('div', {},
    element('dt', {}, name), element('dd', {}, value))));
  find('command').textContent = command ?? MISSING;
  find('made-with').textContent = `Made by ivf_ros ${version ?? MISSING}; charts by plotly.js `
    + `${Plotly.version}.`;
}

function renderTabs() {
  find('stages').replaceChildren(...stageNames.map((name, index) => element('button', {
    type: 'button', role: 'tab', id: `tab-${index}`, 'data-stage': name, 'aria-controls': 'panel',
    click: () => showStage(name), keydown: moveTab,
  }, title(name))));
}

/** Choose the next or the previous stage with the arrow keys. */
function moveTab(event) {
  const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
  if (step) {
    const place = stageNames.indexOf(state.stage) + step + stageNames.length;
    const name = stageNames[place % stageNames.length];
    showStage(name);
    find('stages').children[stageNames.indexOf(name)].focus();
  }
}

function renderStudies() {
  const studies = Object.values(content.summary.studies || {});
  find('studies').hidden = studies.length === 0;
  find('studies-list').replaceChildren(...studies.map((study) => element('article', {},
    element('h3', {}, study.title ?? ''),
    ...(study.paragraphs || []).map((text) => element('p', {}, text)),
    ...(study.tables || []).map(studyTable),
    ...(study.figures || []).map(({caption, png}) => element('figure', {},
      picture(content.figures[png], caption ?? png),
      element('figcaption', {}, caption ?? ''))))));
}

function studyTable({caption, columns, rows}) {
  const cell = (value) => (typeof value === 'number' && !Number.isInteger(value)
    ? formatNumber(value, decimalsFor([value])) : String(value ?? MISSING));
  return element('div', {class: 'scroll', tabindex: 0, role: 'region',
    'aria-label': caption ?? 'table'},
  element('table', {}, element('caption', {}, caption ?? ''),
    element('thead', {}, element('tr', {}, ...columns.map(
      (name) => element('th', {scope: 'col'}, String(name))))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...row.map(
      (value, index) => element(index ? 'td' : 'th', {scope: index ? null : 'row'},
        cell(value))))))));
}

/** Draw for paper: light, with all pictures, tables and charts in the width of a page. */
function setPrinting(printing) {
  document.documentElement.classList.toggle('printing', printing);
  for (const shown of document.querySelectorAll('.scroll table')) {
    shown.style.zoom = printing ? Math.min(1, PAGE_WIDTH_PX / shown.scrollWidth) : '';
  }
  if (printing) {
    showAllPictures();
  }
  renderCharts();
}

function start() {
  renderHeader();
  renderTabs();
  renderStudies();
  startViewer();
  const choose = (id, key) => find(id).addEventListener('change', (event) => {
    show({[key]: event.target.value});
  });
  choose('subset', 'subset');
  choose('curve-metric', 'metric');
  choose('extremes-metric', 'metric');
  choose('extremes-method', 'method');
  const copies = {'copy-command': () => content.summary.command ?? '',
    'copy-markdown': markdownTable, 'copy-csv': csvTable};
  for (const [id, text] of Object.entries(copies)) {
    find(id).addEventListener('click', (event) => copyText(text(), event.currentTarget));
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', renderCharts);
  addEventListener('beforeprint', () => setPrinting(true));
  addEventListener('afterprint', () => setPrinting(false));
  showStage(state.stage);
}

start();

// For the console: everything that the page was made of.
return Object.freeze({content, state, view});
