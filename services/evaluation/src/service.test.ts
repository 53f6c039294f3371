import { DataLoss, NotFound, sha256 } from '@emotune/base';
import { emit, topics } from '@emotune/events';
import { damageObject, putUpload } from '@emotune/objects/testing';
import { common, type evaluation } from '@emotune/proto';
import { decodePredictions } from '@emotune/records';
import { expect, it } from 'vitest';
import {
  completed,
  context,
  evaluations,
  eventually,
  finished,
  model,
  models,
  moods,
  objects,
  onFeatures,
  test,
  train,
  withService,
} from './test-evaluations.js';

const { BuildState } = common;
withService();

it('evaluates a base model on a feature set: results, predictions, report and event', async () => {
  const accepted = await evaluations.call('evaluate', { model: 'base', ...onFeatures });
  expect(accepted).toMatchObject({
    model: 'base@base-v1',
    dataset: 'letters',
    state: BuildState.BUILD_STATE_PENDING,
  });
  const phases = new Set<string>();
  let done = accepted;
  for await (const update of evaluations.stream('watchEvaluation', { id: accepted.id })) {
    if (update.progress) phases.add(update.progress.phase);
    done = update;
  }
  expect(done.failure).toBe('');
  expect(done.state).toBe(BuildState.BUILD_STATE_READY);
  expect(phases.size).toBeGreaterThan(0);
  expect(done.tasks.map(({ task, n, valid }) => [task, n, valid])).toEqual([
    ['TASK_SENTIMENT_CLASSIFICATION', 24, 1],
    ['TASK_SENTIMENT_REGRESSION', 24, 1],
    ['TASK_EMOTION_CLASSIFICATION', 24, 1],
    ['TASK_EMOTION_REGRESSION', 24, 1],
  ]);
  const [classes, numbers, several, intensity] = done.tasks;
  // The constant knows only train rows: 10 of 30 are of each sentiment, so it answers the first, right in 8 of 24.
  expect(classes.constant['accuracy']).toBeCloseTo(1 / 3);
  const sentiments = train.filter((e) => e.task === 'sentiment-regression').map((e) => e.gold.value!);
  const mean = sentiments.reduce((a, b) => a + b, 0) / sentiments.length;
  const golds = test.filter((e) => e.task === 'sentiment-regression').map((e) => e.gold.value!);
  const error = Math.sqrt(golds.reduce((sum, gold) => sum + (gold - mean) ** 2, 0) / golds.length);
  expect(numbers.constant['rmse']).toBeCloseTo(error, 10);
  expect(numbers.constant['skill']).toBeCloseTo(0, 10);
  expect(numbers.metrics['skill']).toBeCloseTo(1 - (numbers.metrics['rmse'] / error) ** 2, 10);
  for (const name of ['pearson', 'spearman', 'ccc', 'rmse', 'mae', 'skill', 'nll'])
    expect(numbers.intervals[name].low).toBeLessThanOrEqual(numbers.intervals[name].high);
  for (const name of ['accuracy', 'macroF1', 'microF1', 'jaccard', 'ece', 'nll'])
    expect(several.metrics).toHaveProperty(name);
  expect(classes.vader).toHaveProperty('accuracy');
  expect(several.vader).toEqual({});
  expect(several.confusions.map(({ labels }) => labels)).toEqual([['anger', 'fear', 'joy']]);
  expect(several.labels.map(({ label }) => label)).toEqual(['anger', 'fear', 'joy']);
  for (const { labels, counts } of classes.confusions) {
    expect(labels).toEqual(['negative', 'neutral', 'positive']);
    expect(counts.reduce((sum, n) => sum + n, 0)).toBe(24);
  }
  const fifths = numbers.intensity.reduce((sum, { n }) => sum + n, 0);
  expect([fifths, classes.intensity]).toEqual([24, []]);
  // Asked otherwise, answers are still on what was asked, and mapped back.
  expect(classes.otherwise.map(({ kind, n, valid }) => [kind, n, valid])).toEqual([
    ['synonyms', 24, 1],
    ['wording', 24, 1],
  ]);
  expect(intensity.otherwise.map(({ kind, n, valid }) => [kind, n, valid])).toEqual(
    ['inverted', 'scale', 'wording', 'words'].map((kind) => [kind, 24, 1]),
  );
  for (const { usual } of intensity.otherwise)
    expect(usual['rmse']).toBeCloseTo(intensity.metrics['rmse'], 12);
  expect(done.stages).toEqual([]);
  expect(intensity.humanCeiling).toBeGreaterThan(0.9);
  expect(numbers.humanCeiling).toBeUndefined();
  expect(numbers.pConstant).toBeGreaterThan(0);
  // Three raters each, half of the rows above the median of their spread.
  const apart = done.slices.filter(({ slice }) => slice.startsWith('raters'));
  expect(apart.map(({ task, n }) => [task, n])).toEqual(new Array(2).fill(['TASK_EMOTION_REGRESSION', 12]));
  for (const { pValue, pAdjusted } of done.slices.filter(({ slice }) => slice.startsWith('source'))) {
    expect(pAdjusted).toBeGreaterThanOrEqual(pValue!);
    expect(pValue).toBeGreaterThan(0);
  }
  expect(done.slices.find(({ slice }) => slice === 'language en')!.pValue).toBeUndefined();
  expect(done.slices.filter((s) => s.slice === 'source notes').map((s) => s.n)).toEqual([12, 12, 12, 12]);
  expect(done.hardest.length).toBeGreaterThan(20);

  const encoded = await objects.get(`${done.prefix}/predictions.arrow`);
  const predictions = decodePredictions(encoded);
  expect(predictions.map((p) => p.id).sort()).toEqual(test.map((e) => e.id).sort());
  for (const p of predictions.filter((row) => row.value !== null)) {
    expect(p.low!).toBeLessThanOrEqual(p.high!);
    expect(p.nll!).toBeGreaterThan(0);
  }
  // Damaged ones are named, not compared.
  damageObject(objects, `${done.prefix}/predictions.arrow`);
  const compared = evaluations.call('compareEvaluations', { first: done.id, second: done.id });
  await expect(compared).rejects.toThrow(DataLoss);
  await objects.put(`${done.prefix}/predictions.arrow`, encoded);
  const document = JSON.parse(Buffer.from(await objects.get(`${done.prefix}/results.json`)).toString());
  expect(document).toMatchObject({ model: 'base@base-v1', dataset: 'letters', split: 'test' });
  expect(document.tasks[1]).toMatchObject({
    task: 'sentiment-regression',
    n: 24,
    valid: 1,
    baselines: { constant: numbers.constant, vader: numbers.vader },
    intensity: numbers.intensity,
    otherwise: numbers.otherwise,
  });
  expect(document.tasks[0].confusions).toEqual(classes.confusions);
  expect(done.artifacts.map(({ path, name }) => [path, name])).toEqual(
    ['predictions.arrow', 'results.json', 'report.html'].map((path) => [path, `${done.prefix}/${path}`]),
  );
  const page = Buffer.from(await objects.get(`${done.prefix}/report.html`)).toString();
  expect(done.artifacts[2].sha256).toBe(sha256(page));
  expect(page).toContain('base@base-v1');
  expect(page).not.toContain('Search');
  const event = await eventually(() => completed.find((e) => e.id === done.id));
  const questions = done.tasks.flatMap((result) => result.questions);
  expect(questions.map(({ n, skill }) => [n, skill])).toEqual(
    new Array(4).fill([24, common.Skill.SKILL_NONE]),
  );
  expect(event).toMatchObject({
    id: done.id,
    model: 'base',
    version: 'base-v1',
    prefix: done.prefix,
    failure: '',
    questions,
  });
});

it('asks a calibrated model as it is served, and shows what calibration has changed', async () => {
  const task = common.Task.TASK_SENTIMENT_REGRESSION;
  const numbers = {
    temperature: 1,
    // Whatever the model says is the middle.
    curve: { method: 'linear', x: [0, 1], y: [0.5, 0.5] },
    margin: 1,
    margins: [],
  };
  const calibration = {
    task,
    emotion: '',
    labelSet: [],
    multiLabel: false,
    n: 40,
    numbers,
    labels: undefined,
  };
  const teaching = { cues: true, inquiries: [], calibrations: [calibration] };
  models.set('calibrated', model('calibrated', { prefix: 'models/base/v1', teaching }));
  const { id } = await evaluations.call('evaluate', { model: 'calibrated', ...onFeatures });
  const done = await finished(id);
  expect(done.failure).toBe('');
  const before = await evaluations.call('evaluate', { model: 'base', ...onFeatures });
  const { tasks: uncalibrated } = await finished(before.id);
  const [classes, valence] = done.tasks;
  expect(valence.metrics).toMatchObject({ coverage: 1, width: 1 });
  expect(valence.raw).toEqual(uncalibrated[1].metrics);
  expect(valence.raw['coverage']).toBeLessThan(1);
  expect(classes.raw).toEqual({});
  const [source] = done.slices.filter(({ slice, task: of }) => slice.startsWith('source') && of === task);
  expect([source.metrics['coverage'], source.raw['coverage'] < 1]).toEqual([1, true]);
  const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
  for (const { value } of predictions.filter((p) => p.task === 'sentiment-regression'))
    expect(value).toBeCloseTo(0.5, 9);
  const page = Buffer.from(await objects.get(`${done.prefix}/report.html`)).toString();
  expect(page).toContain('<h3>Coverage</h3>');
});

it('evaluates a trained model once, with its base and its search in the report', async () => {
  for (const key of ['first', 'second']) {
    await context.database.transaction((sql) =>
      emit(sql, topics.modelTrained, key, { name: 'tuned', version: 'tuned-v1' }),
    );
    context.outbox.wake();
  }
  const event = await eventually(() => completed.find((e) => e.model === 'tuned'));
  expect(event.failure).toBe('');
  await expect(evaluations.call('deleteEvaluation', { id: event.id })).rejects.toThrow(
    `evaluation ${event.id} is that of model tuned@tuned-v1`,
  );
  const { evaluations: all } = await evaluations.call('listEvaluations', { model: 'tuned' });
  expect(all.map((e) => e.id)).toEqual([event.id]);
  const page = Buffer.from(await objects.get(`${event.prefix}/report.html`)).toString();
  for (const wanted of ['Untuned base', 'Loss curves', 'Objective by trial', 'search-1, trial 2'])
    expect(page).toContain(wanted);
  // Both pages of trials.
  expect(page).toContain('<i class="c1"></i>opt');
  // The best of them first.
  expect(page).toMatch(/What the search teaches.*trial 1 was drawn at random.*trial 0 was drawn at random/s);
});

it('compares two evaluations on the examples they share', async () => {
  const { evaluations: all } = await evaluations.call('listEvaluations', {});
  const tuned = all.find((e) => e.model.startsWith('tuned'))!;
  const base = all.find((e) => e.model.startsWith('base'))!;
  const { tasks } = await evaluations.call('compareEvaluations', { first: tuned.id, second: base.id });
  expect(tasks.map(({ task, metric, n }) => [task, metric, n])).toEqual([
    ['TASK_SENTIMENT_CLASSIFICATION', 'accuracy', 24],
    ['TASK_SENTIMENT_REGRESSION', 'rmse', 24],
    ['TASK_EMOTION_CLASSIFICATION', 'jaccard', 24],
    ['TASK_EMOTION_REGRESSION', 'rmse', 24],
  ]);
  expect(tasks[1].first).toBeCloseTo(tuned.tasks[1].metrics['rmse'], 12);
  expect(tasks[1].second).toBeCloseTo(base.tasks[1].metrics['rmse'], 12);
  const same = await evaluations.call('compareEvaluations', { first: base.id, second: base.id });
  expect(same.tasks.map((t) => t.pValue)).toEqual([1, 1, 1, 1]);
  await expect(
    evaluations.call('compareEvaluations', { first: base.id, second: 'absent' }),
  ).rejects.toBeInstanceOf(NotFound);
  // By model: the two that asked the same rows.
  const named = await evaluations.call('compareEvaluations', { first: 'tuned@tuned-v1', second: 'base' });
  expect([named.first, named.second]).toEqual([tuned.id, base.id]);
  expect(named.tasks).toEqual(tasks);
  for (const { pAdjusted, pValue } of tasks) expect(pAdjusted).toBeGreaterThanOrEqual(pValue);
  models.set('unasked', model('unasked'));
  await expect(evaluations.call('compareEvaluations', { first: 'unasked', second: 'base' })).rejects.toThrow(
    'expected evaluations of "unasked" and "base" on the same rows, got none',
  );
});

it('asks a file of the user’s own, at most as many rows as wanted, and has no constant for it', async () => {
  const hash = await putUpload(
    objects,
    `id\ttext\tlabel\temotion\n${moods.map((text, i) => `${i}\t${text}\t${10 * i}\tfear`).join('\n')}\n`,
  );
  const upload = { sha256: hash, name: 'data/mine.tsv' };
  const file = { upload, task: common.Task.TASK_EMOTION_REGRESSION, scale: { low: 0, high: 100 } };
  const { id } = await evaluations.call('evaluate', { model: 'base', file, limit: 3 });
  const done = await finished(id);
  expect(done).toMatchObject({ failure: '', dataset: 'mine.tsv' });
  const [task] = done.tasks;
  expect([task.n, task.valid, task.constant]).toEqual([3, 1, {}]);
  expect(task.pConstant).toBeUndefined();
  expect(task.metrics).not.toHaveProperty('skill');
  expect(done.hardest[0].gold).toMatch(/^fear \d+$/);
  const other = (await evaluations.call('listEvaluations', {})).evaluations.find((e) => e.id !== id)!;
  await expect(evaluations.call('compareEvaluations', { first: other.id, second: id })).rejects.toThrow(
    /second: expected an evaluation of the same examples/,
  );
});

const untold = { rows: 9, languages: [], skill: common.Skill.SKILL_UNKNOWN };

it('a file is asked on the labels that the model was taught, where none are given, from the columns that it has', async () => {
  const rows = `text\tlabel\n${moods.map((text, i) => `${text}\t${i % 2 ? 'gloomy|calm' : 'calm'}`).join('\n')}\n`;
  const upload = { sha256: await putUpload(objects, rows), name: 'own.tsv' };
  const file = { upload, task: common.Task.TASK_EMOTION_CLASSIFICATION };
  const [inquiry] = [
    { task: file.task, emotion: '', scale: undefined, labels: ['gloomy', 'calm', 'wild'], multiLabel: true },
  ];
  const teaching = { cues: false, inquiries: [{ ...inquiry, ...untold, threshold: 0.5 }], calibrations: [] };
  models.set('taught', model('taught', { prefix: 'models/base/v1', teaching }));
  const { id } = await evaluations.call('evaluate', { model: 'taught', file });
  const done = await finished(id);
  expect(done.failure).toBe('');
  const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
  expect(predictions[0]).toMatchObject({ labelSet: ['gloomy', 'calm', 'wild'], multiLabel: true });
  const named = rows.replaceAll('|', ' / ').replace('text\tlabel', 'review\tmood');
  const divided = { sha256: await putUpload(objects, named), name: 'own.tsv' };
  const again = await evaluations.call('evaluate', {
    model: 'taught',
    file: { ...file, upload: divided, labelSeparator: '/', textColumn: 'review', labelColumn: 'mood' },
  });
  expect((await finished(again.id)).tasks).toEqual(done.tasks);
  const known = { ...teaching, inquiries: [{ ...teaching.inquiries[0], languages: ['en'] }] };
  models.set('english', model('english', { prefix: 'models/base/v1', teaching: known }));
  const warningsIn = async (language: string) => {
    const asked = await evaluations.call('evaluate', { model: 'english', file: { ...file, language } });
    const { warnings, slices } = await finished(asked.id);
    return [warnings, slices.filter(({ slice }) => slice.startsWith('language')).map(({ slice }) => slice)];
  };
  expect(await warningsIn('')).toEqual([[], ['language en']]);
  expect(await warningsIn('ro')).toEqual([
    [`the model saw no text in ro (${moods.length} of ${moods.length} rows): it was trained on en`],
    ['language ro'],
  ]);
  await expect(
    evaluations.call('evaluate', { model: 'english', file: { ...file, language: 'romanian' } }),
  ).rejects.toThrow(/file\.language: expected a language as BCP 47 names it.*did you mean "ro"/);
  await expect(evaluations.call('evaluate', { model: 'base', file })).rejects.toThrow(
    /file\.labels: expected every label .* does not tell what it was taught for emotion-classification/,
  );
});

it('asks the plain sentences, whatever the model was taught, and shows every wrong answer', async () => {
  const asked = common.Task.TASK_EMOTION_CLASSIFICATION;
  const labels = ['surprise', 'sadness', 'neutral', 'joy', 'fear', 'disgust', 'anger'];
  const inquiry = { task: asked, emotion: '', scale: undefined, labels, multiLabel: true };
  const teaching = { cues: true, inquiries: [{ ...inquiry, ...untold, threshold: 0.01 }], calibrations: [] };
  models.set('plain', model('plain', { prefix: 'models/base/v1', teaching }));
  for (const [name, multiLabel] of [
    ['base', false],
    ['plain', true],
  ] as const) {
    const { id, dataset } = await evaluations.call('evaluate', { model: name, plain: {} });
    expect(dataset).toBe('plain-sentences');
    const done = await finished(id);
    expect(done.failure).toBe('');
    expect(done.tasks.map(({ n, valid, constant }) => [n, valid, constant])).toEqual([
      [100, 1, {}],
      [100, 1, {}],
    ]);
    const [sentiment, emotion] = done.tasks;
    expect(sentiment.labels.map((row) => row.label)).toEqual(['negative', 'neutral', 'positive']);
    expect(emotion.labels.map((row) => row.label)).toEqual([...labels].sort());
    const right = (task: evaluation.TaskResult) => task.labels.reduce((sum, row) => sum + row.right, 0);
    for (const task of done.tasks) {
      expect(right(task)).toBeCloseTo(100 * task.metrics['accuracy'], 9);
      expect(task.labels.reduce((sum, { answered }) => sum + answered, 0)).toBe(100);
    }
    // VADER sees nothing in half of them.
    expect(sentiment.vader['accuracy']).toBeGreaterThan(0.4);
    expect(done.hardest).toHaveLength(200 - right(sentiment) - right(emotion));
    const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
    expect(new Set(predictions.map((p) => p.labels.length))).toEqual(new Set([1]));
    expect(predictions[1]).toMatchObject({ multiLabel, labelSet: multiLabel ? labels : [...labels].sort() });
  }
});

it('asks the behavioural checks, and tells by capability what passed', async () => {
  const { id, dataset } = await evaluations.call('evaluate', { model: 'base', checks: {} });
  expect(dataset).toBe('behavioural-checks');
  const done = await finished(id);
  expect([done.failure, done.tasks]).toEqual(['', []]);
  const found = new Map(done.checks.map((check) => [check.capability, check]));
  for (const wanted of ['negation', 'sarcasm', 'a typing error', 'upper case', 'pronouns', 'dialect'])
    expect(found.get(wanted)!.n).toBeGreaterThan(5);
  for (const { n, passed, failures } of done.checks) expect(failures).toHaveLength(Math.min(10, n - passed));
  // An untrained model hardly reads: what should change nothing changes little.
  expect(found.get('pronouns')!.size).toBeLessThan(0.1);
  expect(found.get('sarcasm')!.shift).toBeUndefined();
  const page = Buffer.from(await objects.get(`${done.prefix}/report.html`)).toString();
  expect(page).toContain('Behavioural checks');
  expect(page).not.toContain('Summary');
});

it('asks the rows of a dataset', async () => {
  const dataset = { dataset: 'letters', split: 'train' };
  const { id } = await evaluations.call('evaluate', { model: 'base', dataset, limit: 5 });
  const done = await finished(id);
  expect(done.failure).toBe('');
  expect(done.tasks.map((t) => t.n)).toEqual([5, 5, 5, 5]);
  const predictions = decodePredictions(await objects.get(`${done.prefix}/predictions.arrow`));
  expect(predictions.every((p) => p.id.startsWith('train-'))).toBe(true);
});
