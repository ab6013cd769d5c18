// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// The worst and the best cases of one method in one metric.

const GALLERY_CASES = 4;

/** Return the cases of a method from worst to best; those that failed come first. */
function worstFirst(method) {
  const sign = stage().metrics[state.metric].better === 'higher' ? 1 : -1;
  const seen = measurements(method);
  return [...seen.filter(({value, error}) => value === null && error),
    ...seen.filter(({value}) => value !== null).sort((a, b) => sign * (a.value - b.value))];
}

function renderGallery() {
  const hasMetric = state.metric !== null;
  find('extremes').hidden = !hasMetric;
  if (!hasMetric) {
    return;
  }
  const ordered = worstFirst(state.method);
  const bestCount = Math.min(GALLERY_CASES, Math.ceil(ordered.length / 2));
  const worstCount = Math.min(GALLERY_CASES, Math.floor(ordered.length / 2));
  const decimals = decimalsFor(ordered.map(({value}) => value));
  const cards = (points) => (points.length ? points.map((point) => card(point, decimals))
    : [element('p', {class: 'note'}, 'No case to show.')]);
  find('worst').replaceChildren(...cards(ordered.slice(0, worstCount)));
  find('best').replaceChildren(...cards(ordered.slice(ordered.length - bestCount).reverse()));
}

/** Return a button with the pictures of a case: sources, then what the method made of them. */
function card({value, error, caseIndex}, decimals) {
  const one = frames().cases[caseIndex];
  const shown = layers().filter((layer) => layer in SOURCE_LABELS || layer === state.method);
  const result = value === null ? `failed: ${error}`
    : `${state.metric} ${formatNumber(value, decimals)}`;
  const strip = element('span', {class: 'strip'}, ...shown.map((layer) => element('span',
    {class: 'shot'}, picture(layerPicture(layer, caseIndex), layerLabel(layer)),
    element('small', {}, layerLabel(layer)))));
  strip.addEventListener('load', () => fitPictures(strip), true); // load does not bubble
  return element('button', {
    type: 'button', class: 'card', title: 'Open in the viewer',
    click: () => openCase(caseIndex, state.method),
  },
  strip,
  element('span', {class: 'card-text'},
    element('span', {class: value === null ? 'value failed' : 'value'}, result),
    element('span', {class: 'case'}, `${one.dataset} · ${caseLabel(one)}`)));
}
