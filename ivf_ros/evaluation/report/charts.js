// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// Curves and boxes of the metric that is chosen.

const SERIES = 8; // colours in the style sheet
const DASHES = ['solid', 'dash', 'dot', 'dashdot'];
const PRINT_WIDTH_PX = 440; // two in the width of a page

const seriesOf = (method) => methodNames.indexOf(method) % SERIES + 1;

/** Return how often the colours were used up before this method: it is drawn differently then. */
const roundOf = (method) => Math.floor(methodNames.indexOf(method) / SERIES);

function cssColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Return text that Plotly shows as it is; it would read tags and entities. */
function plotText(text) {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

/**
 * Return the cumulative curve of a method: (x, y) says that the share x of its cases has values of
 * at most y. A failed case counts as worse than any value: where higher is better the curve
 * starts, and where lower is better it ends, short of the failed ones.
 */
function curveOf(method) {
  const seen = measurements(method);
  const measured = seen.filter(({value}) => value !== null).sort((a, b) => a.value - b.value);
  const failed = seen.filter(({value, error}) => value === null && error).length;
  const count = measured.length + failed;
  const below = stage().metrics[state.metric].better === 'higher' ? failed : 0;
  return measured.map((point, index) => ({...point, share: (below + index + 1) / count}));
}

function curveTrace(method, decimals) {
  const points = curveOf(method);
  const {mean} = ((table()[method] || {}).values || {})[state.metric] || {};
  const cases = frames().cases;
  return {
    type: 'scatter', mode: points.length > 60 ? 'lines' : 'lines+markers',
    name: plotText(`${method} (${formatNumber(mean, decimals)})`),
    x: points.map(({share}) => share), y: points.map(({value}) => value),
    customdata: points.map(({caseIndex}) => caseIndex),
    hoverinfo: 'text',
    hovertext: points.map(({value, share, caseIndex}) => plotText(
      `${method}: ${(100 * share).toFixed(0)} % of cases ≤ ${formatNumber(value, decimals)}`)
      + `<br>${plotText(caseLabel(cases[caseIndex]))}`),
    line: {color: cssColor(`--series-${seriesOf(method)}`), width: 2,
      dash: DASHES[roundOf(method) % DASHES.length]},
    marker: {size: 5},
  };
}

function boxTrace(method) {
  const measured = measurements(method).filter(({value}) => value !== null);
  const cases = frames().cases;
  return {
    type: 'box', orientation: 'h', name: plotText(method),
    x: measured.map(({value}) => value), y: measured.map(() => plotText(method)),
    customdata: measured.map(({caseIndex}) => caseIndex),
    hovertext: measured.map(({caseIndex}) => plotText(caseLabel(cases[caseIndex]))),
    hoverinfo: 'x+text', boxpoints: 'outliers', boxmean: true,
    line: {width: 1.5}, marker: {color: cssColor(`--series-${seriesOf(method)}`), size: 4},
    showlegend: false, ...(roundOf(method) ? {fillcolor: 'rgba(0,0,0,0)'} : {}),
  };
}

function chartLayout(changes) {
  const axis = {
    gridcolor: cssColor('--rule'), zeroline: false, linecolor: cssColor('--rule'),
    automargin: true, ticks: '', fixedrange: true,
  };
  const layout = {
    paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: {family: cssColor('--sans'), size: 13, color: cssColor('--ink-soft')},
    margin: {l: 12, r: 12, t: 8, b: 12},
    height: Math.max(380, 300 + 18 * stage().methods.length), // room for the legend
    hovermode: 'closest',
    hoverlabel: {
      bgcolor: cssColor('--panel'), bordercolor: cssColor('--rule'), align: 'left',
      font: {family: cssColor('--sans'), size: 13, color: cssColor('--ink')},
    },
    ...changes, xaxis: {...axis, ...changes.xaxis}, yaxis: {...axis, ...changes.yaxis},
  };
  if (document.documentElement.classList.contains('printing')) {
    layout.width = PRINT_WIDTH_PX;
  }
  return layout;
}

/** Draw into an element, and open the case of a point that is clicked. */
function draw(id, traces, layout) {
  const config = {displaylogo: false, responsive: true, displayModeBar: false};
  const chart = find(id);
  Plotly.react(chart, traces, chartLayout(layout), config);
  chart.removeAllListeners('plotly_click');
  chart.on('plotly_click', ({points: [point]}) => {
    if (point && typeof point.customdata === 'number') {
      const method = stage().methods[point.curveNumber];
      openCase(point.customdata, method);
    }
  });
}

function renderCharts() {
  const hasMetric = state.metric !== null;
  find('distribution').hidden = !hasMetric;
  if (!hasMetric) {
    return;
  }
  const metric = stage().metrics[state.metric];
  const methods = stage().methods;
  const means = methods.map((method) => (
    ((table()[method] || {}).values || {})[state.metric] || {}).mean ?? null);
  const decimals = decimalsFor(means);
  const axisTitle = plotText(state.metric + (metric.unit ? ` [${metric.unit}]` : ''));
  draw('curve', methods.map((method) => curveTrace(method, decimals)), {
    xaxis: {
      title: {text: 'share of cases'}, tickformat: '.0%', tickvals: [0, 0.25, 0.5, 0.75, 1],
      range: [0, 1.02],
    },
    yaxis: {title: {text: axisTitle}},
    showlegend: true, legend: {orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom'},
  });
  draw('boxes', methods.map(boxTrace), {
    xaxis: {title: {text: axisTitle}},
    yaxis: {type: 'category', autorange: 'reversed', gridcolor: 'rgba(0,0,0,0)'},
  });
  describeCharts(metric, methods, means, decimals);
}

/** Say in words what the charts show, for those who look and for those who cannot. */
function describeCharts(metric, methods, means, decimals) {
  const text = methods.map((method, index) => (
    `${method} ${formatNumber(means[index], decimals)}`)).join(', ');
  find('curve').setAttribute('aria-label', `Cumulative curves of ${state.metric}; means: ${text}`);
  find('boxes').setAttribute('aria-label', `Box plots of ${state.metric}; means: ${text}`);
  find('metric-about').textContent = [metric.about, `${metric.better} is better`]
    .filter(Boolean).join('; ');
  const failed = methods.filter((method) => measurements(method)
    .some(({value, error}) => value === null && error));
  find('curve-failures').textContent = failed.length
    ? `Failed cases count as worse than any value (${failed.join(', ')}).` : '';
}
