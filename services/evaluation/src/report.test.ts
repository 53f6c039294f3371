import { writeFileSync } from 'node:fs';
import { ConstantBaseline, labelGold, numberGold, ratedGold, type Task, tasks } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { common, evaluation, type PlainValue, tuning } from '@emotune/proto';
import type { Prediction } from '@emotune/records';
import { describe, expect, it } from 'vitest';
import { analyseTask } from './analysis.js';
import { ticks } from './charts.js';
import { html } from './markup.js';
import { type ReportData, renderReport } from './report.js';

/** Of sentiment two raters are known, who differ a little. */
function goldOf(task: Task, value: number) {
  return task === 'sentiment-regression' ? ratedGold(value, [0.9 * value, value]) : numberGold(value);
}

const emotions = ['anger', 'fear', 'joy', 'neutral', 'sadness'];
const sentiments = ['negative', 'neutral', 'positive'];

/** Predictions as a model of some skill makes them. */
function predictions(task: Task, n: number, skill: number): Prediction[] {
  const rng = Rng.of('report', task);
  const regression = task.endsWith('regression');
  const labelSet = regression ? [] : task === 'sentiment-classification' ? sentiments : emotions;
  return Array.from({ length: n }, (_, i) => {
    const gold = rng.uniform();
    const label = labelSet[rng.int(labelSet.length || 1)] ?? '';
    const right = rng.uniform() < skill;
    const value = Math.min(1, Math.max(0, skill * gold + (1 - skill) * 0.5 + 0.12 * rng.normal()));
    return {
      id: `demo/${task}-${i}`,
      task,
      source: i % 3 ? 'vader-tweets' : 'emotune-demo',
      language: 'en',
      text:
        i % 4
          ? `a plain text number ${i} that goes on for some words`
          : `not again! #${'long'.repeat(i % 5)} <script>alert(${i})</script>`,
      emotion: task === 'emotion-regression' ? emotions[i % 3] : null,
      labelSet,
      multiLabel: false,
      scale: regression ? { low: -4, high: 4 } : null,
      decimals: regression ? 1 : 0,
      gold: regression ? goldOf(task, gold) : labelGold([label]),
      value: regression ? value : null,
      low: null,
      high: null,
      labels: regression ? [] : [right ? label : labelSet[rng.int(labelSet.length)]],
      confidence: regression
        ? null
        : Math.min(1, Math.max(0.2, 0.5 * skill + (right ? 0.35 : 0.1) + 0.2 * rng.uniform())),
      within: [],
      crps: null,
      nll: 1 + rng.uniform(),
      cut: i % 10 === 0,
    };
  });
}

function evaluated(model: string, skill: number): evaluation.Evaluation {
  const analyses = tasks.map((task) => {
    const rows = predictions(task, 240, skill);
    const constant = new ConstantBaseline();
    for (const row of rows) constant.add(row);
    return analyseTask(task, rows, {
      constant,
      otherwise: rows.slice(0, 20).map((prediction) => ({ kind: 'wording', prediction })),
      lexicon: (text) => ({
        vader: (text.length % 7) / 3.5 - 1,
        words: text.startsWith('not again') ? ['again'] : [],
      }),
      seed: 1,
    });
  });
  return {
    id: `${model}-1a2b3c4d`,
    model: `${model}@0123456789ab`,
    dataset: 'demo',
    upload: '',
    state: common.BuildState.BUILD_STATE_READY,
    failure: '',
    progress: undefined,
    tasks: analyses.map((a) => a.result),
    slices: analyses.flatMap((a) => a.slices),
    hardest: analyses.flatMap((a) => a.hardest),
    artifacts: [],
    warnings: ['the model saw no text in ro (2 of 9 rows): it was trained on en'],
    prefix: `evaluations/${model}-1a2b3c4d`,
    createTime: { seconds: 1_796_083_200, nanos: 0 },
    endTime: undefined,
    examplesPerSecond: 212.4,
    stages: [
      { stage: 1, objectives: { first: 2, second: 5 }, forgotten: {} },
      { stage: 2, objectives: { first: 2.25, second: 3 }, forgotten: { first: 0.25 } },
    ],
    checks: [
      {
        capability: 'negation',
        n: 4,
        passed: 3,
        shift: -0.2,
        size: 0.2,
        failures: [{ text: 'It is <fine>.', changed: '', expected: 'negative', answer: 'positive' }],
      },
    ],
  };
}

function trial(i: number): tuning.Trial {
  const rng = Rng.of('trial', i);
  const final = i === 12;
  const failed = i === 4 || i === 7;
  const points = failed ? 3 : 24;
  const end = 1.6 + 0.5 * rng.uniform();
  return {
    experiment: 'demo',
    number: i,
    kind: final ? tuning.TrialKind.TRIAL_KIND_FINAL : tuning.TrialKind.TRIAL_KIND_SEARCH,
    state: failed ? tuning.TrialState.TRIAL_STATE_INFEASIBLE : tuning.TrialState.TRIAL_STATE_SUCCEEDED,
    reason: failed ? 'Diverged: the loss at step 12 is not a number <b>' : '',
    parameters: {
      architecture: ['opt', 'bloom', 'llama'][final ? 2 : i % 3],
      learningRate: 10 ** (-4 + 2 * rng.uniform()),
      loraRank: 8,
    },
    attempt: 1,
    objective: failed || final ? undefined : end,
    step: 200,
    tokens: 100_000,
    totalTokens: 100_000,
    tokensPerSecond: 2345,
    bestTokens: 90_000,
    gpuHours: 0,
    folds: [],
    originTokens: 0,
    createTime: undefined,
    startTime: undefined,
    endTime: undefined,
    measurements: Array.from({ length: points }, (_, k) => ({
      step: 10 * k,
      tokens: 4000 * (k + 1),
      elapsedSeconds: k,
      trainLoss: end + 2.4 * Math.exp(-k / 5) + 0.15 * rng.normal(),
      objective: k % 3 === 2 && !final ? end + 1.4 * Math.exp(-k / 7) : undefined,
      stage: 0,
      learningRate: 1e-3,
      tokensPerSecond: 2300,
      values: {},
      examples: 0,
    })),
  };
}

function insightOf(trials: readonly tuning.Trial[]): tuning.Insight {
  const points = (parameter: string, log: boolean) => ({
    parameter,
    log,
    points: trials.map((t) => ({
      trial: t.number,
      value: t.parameters[parameter],
      objective: t.objective!,
    })),
  });
  const means = (values: PlainValue[]) =>
    values.map((value, i) => ({ value, mean: 1.7 + 0.1 * i, standardDeviation: 0.05 }));
  return {
    experiment: 'demo',
    importance: [
      { parameter: 'learningRate', fanova: 0.61, permutation: 0.7, trials: 10 },
      { parameter: 'architecture', fanova: 0.22, permutation: 0.2, trials: 10 },
    ],
    importanceMissing: '',
    interactions: [{ first: 'learningRate', second: 'architecture', fanova: 0.08 }],
    dependence: [
      { parameter: 'learningRate', log: true, points: means([1e-4, 1e-3, 1e-2]) },
      { parameter: 'architecture', log: false, points: means(['opt', 'bloom', 'llama']) },
    ],
    history: trials.map((t) => ({ trial: t.number, objective: t.objective!, best: 1.6 })),
    slices: [points('learningRate', true), points('architecture', false)],
    parallelCoordinates: {
      axes: ['learningRate', 'architecture', 'loraRank'],
      lines: trials.map((t, i) => ({
        trial: t.number,
        objective: t.objective!,
        places: [{ place: i / trials.length }, { place: (i % 3) / 2 }, { place: i % 2 ? 0.5 : undefined }],
      })),
    },
    front: {
      objectives: ['joy & fun', 'anger'],
      points: trials.map((t, i) => ({ trial: t.number, values: [1 + i, 3 - i / 10], optimal: i < 3 })),
      hypervolume: 12.345678,
      reference: [20, 4],
    },
    best: { best: 3, runnerUp: 5, difference: 0.0421, shared: 4, p: 0.0625, over: 'subtasks' },
  };
}

const model: tuning.Model = {
  name: 'affective',
  version: '0123456789ab',
  kind: tuning.ModelKind.MODEL_KIND_TUNED,
  state: tuning.ModelState.MODEL_STATE_TRAINED,
  family: 'llama',
  parameters: 3_214_592,
  tokenizer: 'f'.repeat(64),
  prefix: 'models/affective/0123456789ab',
  basePrefix: '',
  teaching: undefined,
  source: '',
  licence: '',
  notices: [],
  promoted: false,
  lineage: {
    experiment: 'demo',
    trial: 12,
    baseModel: 'emotune-llama',
    baseVersion: 'aa55aa55aa55',
    dataset: 'demo',
    datasetVersion: '1234567890ab',
    features: 'demo',
    featuresVersion: 'fedcba987654',
    parameters: { architecture: 'llama', learningRate: 0.00213, replay: 0.2 },
    seed: 7,
    tokens: 412_345,
    tokensPerSecond: 2345.6,
    codeVersion: '0.1.0',
    sources: [
      { name: 'letters', licence: 'CC-BY-4.0', url: '', rows: 10 },
      { name: 'notes', licence: 'CC-BY-4.0', url: '', rows: 10 },
    ],
    baseLicence: 'Apache-2.0',
    baseSource: '',
  },
  evaluation: '',
  createTime: undefined,
};

const data: ReportData = {
  machine: 'A processor, 2 of 4 threads, 16 GiB',
  evaluation: evaluated('affective', 0.7),
  model,
  datasetVersion: '1234567890ab',
  split: 'test',
  base: evaluated('emotune-llama', 0.2),
  trials: Array.from({ length: 13 }, (_, i) => trial(i)),
  insight: insightOf(Array.from({ length: 12 }, (_, i) => trial(i)).filter((t) => t.objective !== undefined)),
  explanations: [
    {
      trial: trial(3),
      suggestion: {
        source: tuning.SuggestionSource.SUGGESTION_SOURCE_SAMPLER,
        reason: 'tpe: <from> 10 trials',
        measured: 10,
        infeasible: 2,
        running: 0,
        bestTrial: 1,
        reproduced: true,
        evidence: [
          { parameter: 'loraRank', value: 8, bestValue: 8, logRatio: Math.log(2.5) },
          { parameter: 'learningRate', value: 0.01, bestValue: 1, logRatio: -1 },
        ],
      },
      end: { reason: 'Pruned: median', rank: 1, measured: 10, behind: 0.25, attempts: [] },
    },
  ],
};

const empty = new Set(['meta']);

/** Every tag closes in order; returns the names of all elements. */
function elements(page: string): Set<string> {
  const names = new Set<string>();
  const open: string[] = [];
  for (const [, close, name, , self] of page.matchAll(
    /<(\/?)([a-z][a-z0-9]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>/g,
  )) {
    names.add(name);
    if (close) expect(open.pop()).toBe(name);
    else if (!self && !empty.has(name)) open.push(name);
  }
  expect(open).toEqual([]);
  // Nothing but those tags and the doctype begins with "<".
  expect(page.replace(/<\/?[a-z][a-z0-9]*(?:\s+[\w:-]+="[^"<]*")*\s*\/?>/g, '').match(/<[^!]/)).toBeNull();
  return names;
}

describe('the report', () => {
  const page = renderReport(data);
  const preview = process.env['EMOTUNE_REPORT_PREVIEW'];
  if (preview) writeFileSync(preview, page);

  it('is well-formed and needs no script and no other file', () => {
    const names = elements(page);
    for (const name of ['svg', 'table', 'figure', 'dl', 'path', 'circle']) expect(names).toContain(name);
    expect(names).not.toContain('script');
    expect(page).not.toMatch(/<link|<img|url\(|href=|src=|@import|NaN|undefined|null|\[object/);
  });

  it('escapes texts, reasons and names', () => {
    expect(page).toContain('&lt;script&gt;alert(');
    expect(page).toContain('not a number &lt;b&gt;');
    const named = renderReport({
      ...data,
      evaluation: { ...data.evaluation, dataset: `"><script>x</script>` },
    });
    expect(elements(named)).not.toContain('script');
    expect(named).toContain('&quot;&gt;&lt;script&gt;');
  });

  it('shows every section', () => {
    for (const wanted of [
      'Summary',
      'Behavioural checks',
      'Warning: the model saw no text in ro (2 of 9 rows): it was trained on en.',
      '<th>negation</th><td>3 of 4</td><td>75 %</td>',
      'It is &lt;fine&gt;.',
      'Model and data',
      'Sentiment classification',
      'Sentiment regression',
      'Emotion classification',
      'Emotion regression',
      'Calibration',
      'Confusion',
      'Slices',
      '<th>Label</th><th>Precision</th><th>Recall</th><th>F1</th><th>Support</th>',
      'Confusion of 5 labels',
      'By intensity',
      'overestimated',
      'Asked as training never does',
      'in other words',
      '<th>p (Holm)</th>',
      'Every label of 30 examples or more is found at least once.',
      '<dt>Asked on</dt><dd>2026-12-01</dd>',
      '<dt>Computed on</dt><dd>A processor, 2 of 4 threads, 16 GiB</dd>',
      '<dt>Licences</dt><dd>Apache-2.0 (base model); CC-BY-4.0 (letters, notes)</dd>',
      '<dt>Method</dt><dd>full</dd>',
      '<h2>Forgetting</h2>',
      '<tr><th>Stage 2</th><td>2.250 <span class="interval">+0.250</span></td><td>3.000</td></tr>',
      'Of fewer than 20 trials',
      'Hardest examples',
      'Search',
      'Loss curves',
      'Untuned base',
      'Raters',
      'learningRate 0.00213, replay 0.2',
      'affective@0123456789ab',
      '3\u202f214\u202f592',
    ])
      expect(page).toContain(wanted);
    const { pearson } = data.evaluation.tasks[1].metrics;
    expect(page).toContain(pearson.toFixed(3));
    // Ten search trials have an objective, two failed; three architectures have a colour each.
    expect(page.match(/class="cross"/g)).toHaveLength(2);
    for (const c of ['c0', 'c1', 'c2']) expect(page).toContain(`class="line ${c}"`);
  });

  it('shows what the search teaches', () => {
    for (const wanted of [
      'What the search teaches',
      'Trial 3 leads trial 5 by 0.042 on average of the 4 subtasks they share; p = 0.063',
      '<th>learningRate</th><td>61.0 %</td><td>70.0 %</td><td>10</td>',
      'learningRate × architecture',
      'Objective by learningRate',
      'Trials over their parameters',
      'joy &amp; fun',
      'Hypervolume 12.35 below the reference 20.000, 4.000',
      'tpe: &lt;from&gt; 10 trials',
      'loraRank 8: ×2.5',
      'Pruned: median',
    ])
      expect(page).toContain(wanted);
    // Logarithmic axes are told in values, categories by name.
    for (const tick of ['0.001', 'bloom']) expect(page).toContain(`text-anchor="middle">${tick}</text>`);
    // The best of ten lines, and the three trials of the front.
    expect(page.match(/<path class="line c1" d="[^"]*"><title>trial \d+: [\d., ]+</g)).toHaveLength(4);
    // A line is broken where it has no place.
    expect(page).toMatch(/<path class="line faint" d="M[\d.]+ [\d.]+L[\d.]+ [\d.]+">/);
    const byFolds = renderReport({
      ...data,
      insight: { ...data.insight!, best: { ...data.insight!.best!, over: 'folds' } },
    });
    expect(byFolds).toContain('of the 4 folds they share');
    const untold = renderReport({
      ...data,
      insight: {
        ...data.insight!,
        importance: [],
        importanceMissing: 'too <few>',
        front: undefined,
        best: undefined,
      },
      explanations: [],
    });
    elements(untold);
    expect(untold).toContain('too &lt;few&gt;');
    for (const absent of ['leads trial', 'Hypervolume', 'were suggested'])
      expect(untold).not.toContain(absent);
  });

  it('draws each fold of a trial, and tells the spread of its objective', () => {
    const [whole, ...rest] = data.trials;
    const half = whole.measurements[11].tokens;
    const folded = {
      ...whole,
      objective: 1.5,
      objectiveError: 0.0625,
      folds: [{ tokens: half, objective: 1, bestTokens: 1, step: 1, examples: 1, elapsedSeconds: 1 }],
      measurements: whole.measurements.map((m, i) => ({ ...m, fold: i < 12 ? 0 : 1 })),
    };
    const shown = renderReport({ ...data, trials: [folded, ...rest] });
    elements(shown);
    expect(shown).toContain('<td>1.500 ± 0.063</td>');
    const lines = (html: string) =>
      html.match(/<path class="line c[0-9]" d="[^"]*"><title>trial 0(, fold [12])?</g) ?? [];
    expect(lines(shown)).toEqual(
      expect.arrayContaining([expect.stringContaining('fold 1'), expect.stringContaining('fold 2')]),
    );
  });

  it('leaves out what a base model evaluated on a file does not have', () => {
    const { lineage: _, ...base } = model;
    const [task] = data.evaluation.tasks;
    const plain = renderReport({
      evaluation: { ...data.evaluation, tasks: [{ ...task, constant: {}, vader: {}, pConstant: undefined }] },
      model: { ...base, lineage: undefined },
      datasetVersion: '',
      split: '',
      base: undefined,
      trials: [],
      insight: undefined,
      explanations: [],
      machine: '',
    });
    elements(plain);
    for (const absent of ['Search', 'What the search', 'Untuned base', 'Base model', 'NaN', 'undefined'])
      expect(plain).not.toContain(absent);
    expect(plain).toContain('Hardest examples');
  });
});

it('ticks are round and span the range', () => {
  expect(ticks({ min: 0, max: 1 })).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
  expect(ticks({ min: 1.37, max: 2.11 })).toEqual([1.4, 1.6, 1.8, 2]);
  expect(ticks({ min: 0, max: 412_345 })).toEqual([0, 100_000, 200_000, 300_000, 400_000]);
  expect(ticks({ min: 3, max: 3 })).toEqual([3]);
});

it('html escapes values in text and in attributes, not markup', () => {
  expect(html`<i title="${`a"b`}">${'<'}${html`<b>${'&'}</b>`}${[1, undefined, "'"]}</i>`.text).toBe(
    '<i title="a&quot;b">&lt;<b>&amp;</b>1&#39;</i>',
  );
});
