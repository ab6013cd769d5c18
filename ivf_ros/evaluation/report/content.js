// Copyright 2026 The ivf_ros authors
// SPDX-License-Identifier: Apache-2.0

// What was evaluated, and what of it is being looked at.

const ALL = 'all';
const SOURCE_LABELS = {thermal: 'thermal', rgb: 'RGB'};

const content = JSON.parse(find('content').textContent);
const stageNames = Object.keys(content.summary.stages);

// Every method of every stage, in order: a method has one colour in all charts.
const methodNames = [...new Set(stageNames.flatMap(
  (stage) => content.summary.stages[stage].methods))];

const state = {
  stage: stageNames[0],
  subset: ALL,
  metric: null, // one that has values for single cases
  method: null, // whose worst and best cases are shown
  caseIndex: 0,
};

const stage = () => content.summary.stages[state.stage];
const frames = () => content.frames[state.stage];
const table = () => stage().table[state.subset] || {};
const title = (name) => name.charAt(0).toUpperCase() + name.slice(1);
const arrow = (metric) => (metric.better === 'higher' ? '↑' : '↓');
const caseLabel = (one) => [one.name, one.set].filter(Boolean).join(' @ ');

function inSubset(one) {
  return state.subset === ALL || one.groups.includes(state.subset);
}

/** Return the subsets of the stage, all cases first. */
function subsets() {
  return [...new Set([ALL, ...Object.keys(stage().groups)])];
}

/** Return {value, error, caseIndex} for each case of the subset that a method has seen. */
function measurements(method) {
  const {cases, results, metrics} = frames();
  const column = metrics.indexOf(state.metric);
  return cases.flatMap((one, caseIndex) => {
    const result = results[method][caseIndex];
    if (!result || !inSubset(one)) {
      return [];
    }
    return [{value: result.values[column] ?? null, error: result.error, caseIndex}];
  });
}

/** Return the layers that can be looked at: sources with pictures, then all methods. */
function layers() {
  const sources = Object.keys(SOURCE_LABELS).filter((name) => frames().pictures[name]);
  return [...new Set([...sources, ...stage().methods])];
}

const layerLabel = (name) => SOURCE_LABELS[name] || name;

function layerPicture(name, caseIndex) {
  const places = frames().pictures[name];
  return places ? places[caseIndex] : null;
}

/** Return 'best', 'second' or '' for each value; equal values share a place. */
function placesOf(values, better) {
  const sign = better === 'higher' ? -1 : 1;
  const distinct = [...new Set(values.filter((value) => value !== null))]
    .sort((a, b) => sign * (a - b));
  return values.map((value) => ['best', 'second'][distinct.indexOf(value)] ?? '');
}
