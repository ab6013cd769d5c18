// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// The table of scores: one row a method, sorted by a click on a column head.

const sorting = {column: 'mean_rank', reversed: false};

/** Return the columns of the current stage: how to read, show and copy each. */
function scoreColumns() {
  const metrics = Object.entries(stage().metrics);
  const overall = Object.entries(stage().overall);
  return [
    ...[['mean_rank', 'Mean rank', 'mean of the ranks in all metrics; 1 is best'],
      ['cases', 'Cases', 'cases that were evaluated'],
      ['failed', 'Failed', 'cases where the method gave no result']].map(
      ([id, label, about]) => countColumn(id, label, about)),
    ...metrics.map(([name, metric]) => metricColumn(name, metric)),
    ...overall.map(([name, metric]) => overallColumn(name, metric)),
  ];
}

function countColumn(id, label, about) {
  const decimals = id === 'mean_rank' ? 2 : 0;
  const rows = Object.values(table());
  const places = id === 'mean_rank' ? placesOf(rows.map((row) => row[id] ?? null), 'lower') : [];
  return {
    id, label, about, better: id === 'cases' ? 'higher' : 'lower', group: '',
    value: (row) => row[id] ?? null,
    cell(row) {
      const alarm = id === 'failed' && row.failed > 0 ? 'failed' : null;
      return element('td', {class: alarm || places[rows.indexOf(row)] || null},
        element('span', {class: 'mean'}, formatNumber(row[id], decimals)));
    },
    plain: (row) => formatNumber(row[id], decimals),
    csv: (row) => [[id, row[id]]],
  };
}

function metricColumn(name, metric) {
  const of = (row) => (row.values || {})[name] || {};
  const decimals = decimalsFor(Object.values(table()).map((row) => of(row).mean ?? null));
  const places = {1: 'best', 2: 'second'};
  return {
    id: `metric ${name}`, label: name, metric, about: metric.about, better: metric.better,
    group: 'Mean ± standard deviation over the cases, rank',
    value: (row) => of(row).mean ?? null,
    cell(row) {
      const {mean, sd, median, rank} = of(row);
      return element('td', {
        class: places[rank] || null, title: `median ${formatNumber(median, decimals)}`,
      },
      element('span', {class: 'mean'}, formatNumber(mean, decimals)),
      rank ? element('span', {class: 'rank', title: 'rank'}, String(rank)) : null,
      element('span', {class: 'spread'}, `± ${formatNumber(sd, decimals)}`));
    },
    plain(row) {
      const {mean, sd, rank} = of(row);
      const text = `${formatNumber(mean, decimals)} ± ${formatNumber(sd, decimals)}`;
      return {1: `**${text}**`, 2: `<u>${text}</u>`}[rank] || text;
    },
    csv: (row) => ['mean', 'sd', 'median', 'rank'].map((key) => [`${name} ${key}`, of(row)[key]]),
  };
}

function overallColumn(name, metric) {
  const of = (row) => (row.overall || {})[name] ?? null;
  const rows = Object.values(table());
  const values = rows.map(of);
  const decimals = decimalsFor(values);
  const places = placesOf(values, metric.better);
  return {
    id: `overall ${name}`, label: name, metric, about: metric.about, better: metric.better,
    group: 'Over all cases at once',
    value: of,
    cell: (row) => element('td', {class: places[rows.indexOf(row)] || null},
      element('span', {class: 'mean'}, formatNumber(of(row), decimals))),
    plain(row) {
      const text = formatNumber(of(row), decimals);
      return {best: `**${text}**`, second: `<u>${text}</u>`}[places[rows.indexOf(row)]] || text;
    },
    csv: (row) => [[name, of(row)]],
  };
}

/** Return the methods as [name, row], best first in the column that is sorted by. */
function sortedRows(columns) {
  const column = columns.find(({id}) => id === sorting.column) || columns[0];
  const sign = (column.better === 'higher' ? -1 : 1) * (sorting.reversed ? -1 : 1);
  const rows = stage().methods.map((method) => [method, table()[method] || {}]);
  return rows.sort(([, a], [, b]) => {
    const [left, right] = [column.value(a), column.value(b)];
    if (left === null || right === null) {
      return (left === null) - (right === null); // what is missing comes last either way
    }
    return sign * (left - right);
  });
}

function renderTable() {
  const columns = scoreColumns();
  const head = element('tr', {}, element('th', {scope: 'col'}, 'Method'),
    ...columns.map((column) => headCell(column)));
  find('scores').replaceChildren(
    element('caption', {class: 'off-screen'}, `Scores of ${state.stage}, ${state.subset}`),
    element('thead', {}, groupRow(columns), head), element('tbody'));
  fillRows(columns);
  find('about-metrics').replaceChildren(...columns.filter(({metric}) => metric)
    .flatMap(({label, metric}) => [element('dt', {}, `${label} ${arrow(metric)}`),
      element('dd', {}, [metric.about, metric.unit && `in ${metric.unit}`]
        .filter(Boolean).join(', '))]));
}

/** Return the row above the head, which says what the numbers of several columns are. */
function groupRow(columns) {
  const groups = [...new Set(columns.map(({group}) => group))];
  return element('tr', {class: 'groups'}, element('td'), ...groups.map((group) => element(
    group ? 'th' : 'td',
    {colspan: columns.filter((column) => column.group === group).length,
      scope: group ? 'colgroup' : null},
    group)));
}

function headCell(column) {
  const label = column.metric ? `${column.label} ${arrow(column.metric)}` : column.label;
  const unit = column.metric && column.metric.unit;
  const hover = [column.about, column.metric && `${column.metric.better} is better`]
    .filter(Boolean).join('; ');
  return element('th', {scope: 'col', title: hover, 'data-column': column.id},
    element('button', {type: 'button', click: () => sortBy(column.id)}, label,
      unit ? element('small', {}, unit) : null));
}

function sortBy(id) {
  sorting.reversed = sorting.column === id && !sorting.reversed;
  sorting.column = id;
  fillRows(scoreColumns());
}

/** Write the rows and mark the column that they are sorted by; the heads keep the focus. */
function fillRows(columns) {
  find('scores').tBodies[0].replaceChildren(...sortedRows(columns).map(([method, row]) => element(
    'tr', {}, element('th', {scope: 'row'}, ...methodName(method)),
    ...columns.map((column) => column.cell(row)))));
  for (const column of columns) {
    const head = [...find('scores').querySelectorAll('th[data-column]')]
      .find((cell) => cell.dataset.column === column.id);
    head.removeAttribute('aria-sort');
    if (column.id === sorting.column) {
      const descending = (column.better === 'higher') !== sorting.reversed;
      head.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
    }
  }
}

/** Return the colour of a method in the charts, and its name. */
function methodName(method) {
  const kind = roundOf(method) ? 'swatch hollow' : 'swatch';
  const swatch = element('span', {class: kind, 'aria-hidden': 'true'});
  swatch.style.color = `var(--series-${seriesOf(method)})`;
  return [swatch, element('span', {class: 'method'}, method)];
}

/** Return a name as Markdown shows it, whatever is in it. */
const markdownName = (name) => name.replace(/[\\|<>&*_`]/g, '\\$&');

function markdownTable() {
  const columns = scoreColumns();
  const heads = columns.map(({label, metric}) => (
    metric ? `${markdownName(label)} ${arrow(metric)}` : label));
  const line = (cells) => `| ${cells.join(' | ')} |\n`;
  return [line(['Method', ...heads]), line(['---', ...heads.map(() => '---:')]),
    ...sortedRows(columns).map(([method, row]) => line(
      [markdownName(method), ...columns.map((column) => column.plain(row))]))].join('');
}

function csvTable() {
  const columns = scoreColumns();
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell);
  const lines = sortedRows(columns).map(([method, row]) => [
    ['method', method], ...columns.flatMap((column) => column.csv(row))]);
  const heads = lines.length ? lines[0].map(([name]) => name) : [];
  return [heads, ...lines.map((line) => line.map(([, value]) => value))]
    .map((cells) => cells.map((cell) => quoted(String(cell ?? ''))).join(',')).join('\n') + '\n';
}
