// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// The viewer: two layers of any case under a divider, and what was measured on it.

const DIVIDER_KEYS = {
  ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10,
  Home: -100, End: 100,
};

const view = {left: null, right: null, percent: 50, dataset: '', set: '', search: ''};

/** Return the indices of the cases that the subset, the menus and the search box leave. */
function listedCases() {
  const words = view.search.toLowerCase().split(/\s+/).filter(Boolean);
  return frames().cases.map((one, index) => [one, index]).filter(([one]) => {
    const text = [one.dataset, one.name, one.set, ...one.groups].join(' ').toLowerCase();
    return inSubset(one) && (!view.dataset || one.dataset === view.dataset)
      && (!view.set || one.set === view.set) && words.every((word) => text.includes(word));
  }).map(([, index]) => index);
}

/** Fill the menus for the current stage; what was chosen stays where it still exists. */
function renderViewer() {
  const {cases} = frames();
  find('viewer').hidden = cases.length === 0;
  if (cases.length === 0) {
    return;
  }
  fillFilter('viewer-dataset', 'dataset', cases.map(({dataset}) => dataset), 'all data sets');
  fillFilter('viewer-set', 'set', cases.map(({set}) => set).filter(Boolean), 'all variants');
  chooseLayers();
  renderList();
}

function fillFilter(id, key, names, allLabel) {
  const distinct = [...new Set(names)];
  view[key] = distinct.includes(view[key]) ? view[key] : '';
  fillSelect(find(id), [['', allLabel], ...distinct.map((name) => [name, name])], view[key]);
  find(id).closest('label').hidden = distinct.length < 2;
}

function chooseLayers() {
  const names = layers();
  const best = names.includes(state.method) ? state.method : names[names.length - 1];
  view.left = names.includes(view.left) ? view.left : defaultLayer();
  view.right = names.includes(view.right) ? view.right : best;
  const pairs = names.map((name) => [name, layerLabel(name)]);
  fillSelect(find('layer-left-name'), pairs, view.left);
  fillSelect(find('layer-right-name'), pairs, view.right);
}

/** Return what results are best compared with: RGB, on whose grid they are, if there is any. */
function defaultLayer() {
  const names = layers();
  return names.includes('rgb') ? 'rgb' : names[0];
}

/** List what is left to choose from, and show the first of it if the current case is not. */
function renderList() {
  const {cases} = frames();
  const listed = listedCases();
  if (listed.length && !listed.includes(state.caseIndex)) {
    [state.caseIndex] = listed;
  }
  const datasets = [...new Set(listed.map((index) => cases[index].dataset))];
  find('viewer-case').replaceChildren(...datasets.map((dataset) => element(
    'optgroup', {label: dataset}, ...listed.filter((index) => cases[index].dataset === dataset)
      .map((index) => element('option', {value: index}, caseLabel(cases[index]))))));
  for (const id of ['viewer-case', 'viewer-previous', 'viewer-next']) {
    find(id).disabled = listed.length === 0;
  }
  find('viewer-body').hidden = listed.length === 0;
  find('viewer-count').textContent = listed.length ? '' : 'No case matches.';
  if (listed.length) {
    renderCase(listed);
  }
}

function renderCase(listed = listedCases()) {
  const one = frames().cases[state.caseIndex];
  find('viewer-case').value = String(state.caseIndex);
  find('viewer-count').textContent =
    `${listed.indexOf(state.caseIndex) + 1} of ${listed.length}`;
  find('viewer-name').textContent = `${one.dataset} · ${caseLabel(one)}`;
  find('viewer-groups').textContent = one.groups.join(', ');
  showLayer('left');
  showLayer('right');
  placeDivider(view.percent);
  renderValues();
}

function showLayer(side) {
  const name = view[side];
  const shown = picture(layerPicture(name, state.caseIndex), layerLabel(name));
  shown.addEventListener('load', () => fitPictures(find('compare')));
  find(`layer-${side}`).replaceChildren(shown);
  find(`layer-${side}-label`).textContent = layerLabel(name);
}

/** Show the left layer up to here. */
function placeDivider(percent) {
  view.percent = Math.min(100, Math.max(0, percent));
  const divider = find('divider');
  const shown = Math.round(view.percent);
  divider.style.left = `${view.percent}%`;
  find('layer-right').style.clipPath = `inset(0 0 0 ${view.percent}%)`;
  divider.setAttribute('aria-valuenow', String(shown));
  divider.setAttribute('aria-valuetext',
    `${shown} % ${layerLabel(view.left)}, ${100 - shown} % ${layerLabel(view.right)}`);
}

function dragDivider(event) {
  const {left, width} = find('compare').getBoundingClientRect();
  placeDivider(100 * (event.clientX - left) / width);
}

function startDrag(event) {
  if (event.button !== 0) {
    return;
  }
  event.preventDefault(); // no selection of text, no dragging of the picture itself
  find('divider').focus({preventScroll: true});
  find('compare').setPointerCapture(event.pointerId);
  dragDivider(event);
}

function moveDividerByKey(event) {
  const step = DIVIDER_KEYS[event.key];
  if (step !== undefined && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    placeDivider(view.percent + (event.shiftKey ? 5 * step : step));
  }
}

/** Write the values of the case: one row a method, the reason where it failed. */
function renderValues() {
  const {metrics, results} = frames();
  const methods = stage().methods;
  const ofCase = methods.map((method) => results[method][state.caseIndex]);
  const columns = metrics.map((name, column) => {
    const values = ofCase.map((result) => (result ? result.values[column] : null));
    return {
      name, metric: stage().metrics[name], values, decimals: decimalsFor(values),
      places: placesOf(values, stage().metrics[name].better),
    };
  });
  const head = element('tr', {}, element('th', {scope: 'col'}, 'Method'),
    ...columns.map(({name, metric}) => element('th', {scope: 'col', title: metric.about},
      `${name} ${arrow(metric)}`)));
  find('case-values').replaceChildren(
    element('caption', {class: 'off-screen'}, 'Values of this case'),
    element('thead', {}, head),
    element('tbody', {}, ...methods.map((method, row) => valueRow(method, row, columns,
      ofCase[row]))));
}

function valueRow(method, row, columns, result) {
  const name = element('th', {scope: 'row'}, ...methodName(method));
  const problem = result ? result.error : 'not evaluated on this case';
  const empty = columns.every(({values}) => values[row] === null);
  if (problem && empty) {
    return element('tr', {}, name, element('td', {class: 'failed reason',
      colspan: Math.max(1, columns.length)}, problem));
  }
  if (problem) {
    name.append(element('span', {class: 'failed reason'}, problem));
  }
  return element('tr', {}, name, ...columns.map(({values, decimals, places}) => element('td',
    {class: places[row] || null},
    element('span', {class: 'mean'}, formatNumber(values[row], decimals)))));
}

/** Go to a case from elsewhere on the page: sources on the left, the method on the right. */
function openCase(caseIndex, method) {
  Object.assign(view, {search: '', dataset: '', set: '', right: method});
  find('viewer-search').value = '';
  state.caseIndex = caseIndex;
  if (view.left === method) {
    view.left = defaultLayer();
  }
  renderViewer();
  find('viewer').scrollIntoView();
  find('divider').focus({preventScroll: true});
}

function stepCase(step) {
  const listed = listedCases();
  if (listed.length) {
    const place = listed.indexOf(state.caseIndex) + step;
    state.caseIndex = listed[(place + listed.length) % listed.length];
    renderCase(listed);
  }
}

/** Step with n and p from anywhere but where letters are typed. */
function stepByKey(event) {
  const step = {n: 1, p: -1}[event.key];
  const typing = event.target.closest('input, select, textarea');
  if (step && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    stepCase(step);
  }
}

function startViewer() {
  const listen = (id, type, action) => find(id).addEventListener(type, action);
  listen('viewer-search', 'input', (event) => {
    view.search = event.target.value;
    renderList();
  });
  for (const key of ['dataset', 'set']) {
    listen(`viewer-${key}`, 'change', (event) => {
      view[key] = event.target.value;
      renderList();
    });
  }
  listen('viewer-case', 'change', (event) => {
    state.caseIndex = Number(event.target.value);
    renderCase();
  });
  for (const side of ['left', 'right']) {
    listen(`layer-${side}-name`, 'change', (event) => {
      view[side] = event.target.value;
      renderCase();
    });
  }
  listen('viewer-swap', 'click', () => {
    [view.left, view.right] = [view.right, view.left];
    chooseLayers();
    renderCase();
  });
  listen('viewer-previous', 'click', () => stepCase(-1));
  listen('viewer-next', 'click', () => stepCase(1));
  listen('divider', 'keydown', moveDividerByKey);
  listen('compare', 'pointerdown', startDrag);
  listen('compare', 'pointermove', (event) => {
    if (find('compare').hasPointerCapture(event.pointerId)) {
      dragDivider(event);
    }
  });
  document.addEventListener('keydown', stepByKey);
}
