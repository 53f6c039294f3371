/** Studies over gRPC, from the spec to rows of data. */
import {
  AlreadyExists,
  FailedPrecondition,
  InvalidArgument,
  NotFound,
  ResourceExhausted,
  Unauthenticated,
} from '@emotune/base';
import { common, evaluation } from '@emotune/proto';
import type { Draft } from '@emotune/service';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  labelPrediction,
  numberPrediction,
  startService,
  studyFields,
  type TestService,
} from './test-service.js';

const { Task } = common;
const { Preference, StudyState } = evaluation;
let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.close());

let made = 0;

/** Makes a study of another name, and opens it. */
async function opened(fields: Draft<evaluation.StudySpec> = {}) {
  const name = `study-${++made}`;
  const study = await service.studies.call('createStudy', { spec: { ...studyFields, name, ...fields } });
  const { links } = await service.studies.call('openStudy', { name });
  return {
    name,
    study,
    links,
    tokenOf: (rater: string) => links.find((link) => link.rater === rater)!.token,
  };
}

const next = (token: string, item = 0) => service.raters.call('nextItem', { item }, { token });
const judge = (token: string, item: number, answer: Draft<evaluation.StudyAnswer>) =>
  service.raters.call('judge', { item, answer }, { token });
const consent = (token: string) => service.raters.call('joinStudy', { consent: true }, { token });

/** Judges everything that a rater is given. */
async function judgeAll(
  token: string,
  answerOf: (item: evaluation.StudyItem) => Draft<evaluation.StudyAnswer>,
): Promise<evaluation.StudyItem[]> {
  await consent(token);
  const seen: evaluation.StudyItem[] = [];
  for (;;) {
    const { item } = await next(token);
    if (!item) return seen;
    seen.push(item);
    await judge(token, item.item, answerOf(item));
  }
}

const refused = (fields: Draft<evaluation.StudySpec>) =>
  service.studies
    .call('createStudy', { spec: { ...studyFields, name: 'refused', ...fields } })
    .then(() => ['accepted'])
    .catch((error) =>
      error instanceof InvalidArgument ? error.violations.map(({ field }) => field) : [error.message],
    );

it('refuses a study without raters, consent, licence or mode, all at once', async () => {
  expect(
    await refused({
      raters: [],
      consent: ' ',
      licence: '',
      rating: undefined,
      sample: undefined,
      language: 'germanic',
    }),
  ).toEqual(['spec.consent', 'spec.licence', 'spec.language', 'spec', 'spec.sample', 'spec.raters']);
  const error = await service.studies
    .call('createStudy', { spec: { ...studyFields, raters: [] } })
    .catch((e) => e);
  expect(error.message).toContain('expected raters by name, or "anybody: true", got neither');
});

it.each<[string, Draft<evaluation.StudySpec>, string[]]>([
  ['a rater twice', { raters: ['ada', 'ada'] }, ['spec.raters[1]']],
  ['a name that nameless raters have', { raters: ['rater-3'] }, ['spec.raters[0]']],
  ['more judgements than raters', { judgements: 3 }, ['spec.judgements']],
  [
    'a scale of one point',
    { rating: { task: Task.TASK_SENTIMENT_REGRESSION, scale: { low: 1, high: 1 } } },
    ['spec.rating.scale'],
  ],
  [
    'a step that does not divide the scale',
    { rating: { task: Task.TASK_SENTIMENT_REGRESSION, scale: { low: 0, high: 1 }, step: 0.3 } },
    ['spec.rating.step'],
  ],
  [
    'labels of a regression',
    { rating: { task: Task.TASK_SENTIMENT_REGRESSION, labels: ['a', 'b'] } },
    ['spec.rating.labels'],
  ],
  [
    'labels that differ by case',
    { rating: { task: Task.TASK_SENTIMENT_CLASSIFICATION, labels: ['Joy', 'joy'] } },
    ['spec.rating.labels[1]'],
  ],
  [
    'a comparison of a dataset',
    { rating: undefined, comparison: { against: 'first-1' }, sample: { dataset: 'letters' } },
    ['spec.sample.dataset'],
  ],
  [
    'a check that no answer passes',
    { attention: { own: [{ text: 'x', right: { low: 9, high: 10 } }] } },
    ['spec.attention.own[0].right'],
  ],
  ['a check without what is right', { attention: { own: [{ text: 'x' }] } }, ['spec.attention.own[0].right']],
  [
    'a split beside an evaluation',
    { sample: { evaluation: 'first-1', split: 'test' } },
    ['spec.sample.split'],
  ],
])('refuses %s', async (_, fields, fieldPaths) => {
  expect(await refused(fields)).toEqual(fieldPaths);
});

it('names what a sample is of and is not there, has no such rows, or is not done', async () => {
  expect(await refused({ sample: { evaluation: 'absent' } })).toEqual([
    'spec.sample.evaluation: expected an evaluation, got "absent"; "emotune evaluation list" shows those that there are',
  ]);
  expect((await refused({ sample: { dataset: 'absent' } }))[0]).toContain(
    'spec.sample.dataset: expected a dataset',
  );
  expect((await refused({ rating: { task: Task.TASK_EMOTION_CLASSIFICATION } }))[0]).toBe(
    'spec.sample: expected rows of emotion-classification, got none; there are rows of sentiment-regression',
  );
  await service.context.database.query(
    `insert into evaluations (id, model, version, state) values ('waiting-1', 'waiting', 'v1', $1)`,
    [common.BuildState.BUILD_STATE_PENDING],
  );
  expect((await refused({ sample: { evaluation: 'waiting-1' } }))[0]).toContain('waiting-1 is not done yet');
});

it('makes a study once, however often it is asked, and no other of its name', async () => {
  const request = { spec: { ...studyFields, name: 'once' }, requestId: 'the-same' };
  const first = await service.studies.call('createStudy', request);
  expect(await service.studies.call('createStudy', request)).toEqual(first);
  await expect(service.studies.call('createStudy', { spec: request.spec })).rejects.toBeInstanceOf(
    AlreadyExists,
  );
  expect(first).toMatchObject({ state: StudyState.STUDY_STATE_DRAFT, items: 4, attentionChecks: 0 });
});

it('takes the scale of the rows, and draws evenly from what the model is sure and unsure of', async () => {
  const { name, study } = await opened({ sample: { evaluation: 'first-1', items: 20 } });
  expect(study.question).toMatchObject({
    scale: { low: -4, high: 4 },
    values: [-4, -3, -2, -1, 0, 1, 2, 3, 4],
  });
  const rows = await service.context.database.query<{ item: { example: string } }>(
    'select item from study_items where study = $1',
    [name],
  );
  const strata = [0, 0, 0, 0, 0];
  for (const { item } of rows) strata[Math.floor(Number(item.example.split('/')[1]) / 20)]++;
  expect(strata).toEqual([4, 4, 4, 4, 4]);
});

it('says what is judged of a sample that is smaller than asked, and asks one question once', async () => {
  await service.evaluated('few-1', [
    numberPrediction(1),
    numberPrediction(2),
    numberPrediction(2, { id: 'again' }),
  ]);
  const { study } = await opened({ sample: { evaluation: 'few-1', items: 9 } });
  expect(study.items).toBe(2);
  expect(study.notices).toEqual([
    '1 row whose question stood there before: left out',
    'the sample has 2 items, where 9 were asked: all are judged',
  ]);
  await service.evaluated('one-1', [numberPrediction(1)]);
  expect((await opened({ sample: { evaluation: 'one-1', items: 1 } })).study.notices).toEqual([
    'of one item no agreement can be told',
  ]);
});

it('lets nobody judge before the study is open, before consent, and after it is closed', async () => {
  await service.studies.call('createStudy', { spec: { ...studyFields, name: 'doors' } });
  await expect(service.studies.call('closeStudy', { name: 'doors' })).rejects.toBeInstanceOf(
    FailedPrecondition,
  );
  const { links } = await service.studies.call('openStudy', { name: 'doors' });
  expect(links.map(({ rater }) => rater)).toEqual(['ada', 'ben']);
  expect((await service.studies.call('openStudy', { name: 'doors' })).links).toEqual(links);
  const [{ token }] = links;
  await expect(next(token)).rejects.toThrow('expected consent before the first item');
  await expect(service.raters.call('joinStudy', {}, { token })).rejects.toThrow('consent: expected true');
  await consent(token);
  const { item } = await next(token);
  await judge(token, item!.item, { value: 1 });
  await service.studies.call('closeStudy', { name: 'doors' });
  await expect(next(token)).rejects.toThrow('study doors is closed: no judgements are taken');
  // It may not have been known that it arrived.
  expect(await judge(token, item!.item, { value: 1 })).toEqual({ judged: 1 });
  await expect(service.studies.call('deleteStudy', { name: 'doors' })).resolves.toEqual({});
  await expect(next(token)).rejects.toBeInstanceOf(Unauthenticated);
  await expect(service.studies.call('getStudy', { name: 'doors' })).rejects.toBeInstanceOf(NotFound);
});

it('deletes no study that is open', async () => {
  const { name } = await opened();
  await expect(service.studies.call('deleteStudy', { name })).rejects.toThrow(
    `close it first ("emotune study close ${name}")`,
  );
});

it('gives an item that was left again, and none twice', async () => {
  const { tokenOf, study } = await opened({ attention: { builtIn: 2 } });
  const token = tokenOf('ada');
  await consent(token);
  const [once, again] = [await next(token), await next(token)];
  expect(again).toEqual(once);
  expect(once).toMatchObject({ judged: 0, total: 6 });
  const seen = await judgeAll(token, ({ text }) => ({ value: Number(/choose (-?\d)/.exec(text)?.[1] ?? 1) }));
  expect(new Set(seen.map(({ item }) => item)).size).toBe(study.items + study.attentionChecks);
  expect(await next(token)).toEqual({ item: null, judged: 6, total: 6, lastJudged: 0 });
});

it('gives each rater another order, and the same one to the same seed', async () => {
  const order = async (rater: string) => {
    const { tokenOf } = await opened({ sample: { evaluation: 'first-1', items: 8 }, seed: 3 });
    return (await judgeAll(tokenOf(rater), () => ({ value: 0 }))).map(({ text }) => text);
  };
  const [ada, ben, again] = [await order('ada'), await order('ben'), await order('ada')];
  expect(again).toEqual(ada);
  expect(ben).not.toEqual(ada);
  expect([...ben].sort()).toEqual([...ada].sort());
});

it('asks for no more judgements of an item than are wanted, those with the fewest first', async () => {
  const { tokenOf, name } = await opened({
    raters: ['a', 'b', 'c'],
    judgements: 1,
    sample: { evaluation: 'first-1', items: 6 },
  });
  for (const rater of ['a', 'b', 'c']) await consent(tokenOf(rater));
  for (let round = 0; round < 2; round++)
    for (const rater of ['a', 'b', 'c']) {
      const { item } = await next(tokenOf(rater));
      await judge(tokenOf(rater), item!.item, { value: 0 });
    }
  for (const rater of ['a', 'b', 'c']) expect((await next(tokenOf(rater))).item).toBeNull();
  const counts = await service.context.database.query<{ n: number }>(
    'select item, count(*)::int as n from study_judgements where study = $1 group by item',
    [name],
  );
  expect(counts.map(({ n }) => n)).toEqual([1, 1, 1, 1, 1, 1]);
});

it('counts a judgement that is sent twice once, also at the same moment', async () => {
  const { tokenOf, name } = await opened();
  const token = tokenOf('ada');
  await consent(token);
  const { item } = await next(token);
  const answers = await Promise.all([1, 2, 3, 4].map(() => judge(token, item!.item, { value: 2 })));
  expect(answers).toEqual([1, 2, 3, 4].map(() => ({ judged: 1 })));
  expect((await service.studies.call('getStudy', { name })).judgements).toBe(1);
  await expect(judge(token, item!.item, { value: 3 })).rejects.toThrow('lets no judgement be changed');
  await expect(next(token, item!.item)).rejects.toThrow('lets no judgement be changed');
});

it('lets judgements be changed where the study says so, and keeps what was said before', async () => {
  const { tokenOf, name } = await opened({ revisable: true });
  const token = tokenOf('ada');
  await consent(token);
  const { item } = await next(token);
  await judge(token, item!.item, { value: 2 });
  expect((await next(token, item!.item)).item?.answer?.value).toBe(2);
  await judge(token, item!.item, { value: -1 });
  const { judgements } = await service.studies.call('listJudgements', { study: name });
  expect(judgements).toMatchObject([{ rater: 'ada', answer: { value: -1 }, revisions: 1, check: false }]);
});

it('refuses answers that are none, and items that were not given', async () => {
  const { tokenOf } = await opened();
  const token = tokenOf('ada');
  await consent(token);
  const { item } = await next(token);
  const said = (answer: Draft<evaluation.StudyAnswer>) =>
    judge(token, item!.item, answer).catch((e) => e.message);
  expect(await said({ value: 1.5 })).toBe(
    'answer.value: expected one of -4, -3, -2, -1, 0, 1, 2, 3, 4, got 1.5',
  );
  expect(await said({})).toContain('answer.value: expected one of');
  expect(await said({ value: 1, labels: ['joy'] })).toContain('answer.labels: expected "value" alone');
  await expect(judge(token, 99, { value: 1 })).rejects.toThrow('item 99 of study');
});

it('makes raters of whoever has the link, as many as there may be', async () => {
  const { tokenOf, name } = await opened({ raters: [], anybody: true, mostRaters: 2 });
  const link = tokenOf('');
  const invitation = await service.raters.call('getInvitation', {}, { token: link });
  expect(invitation).toMatchObject({
    study: name,
    consent: 'Your answers are kept.',
    anybody: true,
    consented: false,
  });
  await expect(next(link)).rejects.toThrow('expected consent');
  const join = (requestId: string) =>
    service.raters.call('joinStudy', { consent: true, requestId }, { token: link });
  const first = await join('one');
  expect(await join('one')).toEqual(first);
  expect((await next(first.token)).item).toBeDefined();
  await join('two');
  await expect(join('three')).rejects.toBeInstanceOf(ResourceExhausted);
  expect((await service.studies.call('getStudy', { name })).raters.map((rater) => rater.name)).toEqual([
    'rater-1',
    'rater-2',
  ]);
});

it('keeps everything over a restart, and goes on', async () => {
  const { tokenOf, name } = await opened();
  const token = tokenOf('ada');
  await consent(token);
  const { item } = await next(token);
  await judge(token, item!.item, { value: 4 });
  const left = await next(token);
  service = await service.restart();
  expect(await next(token)).toEqual(left);
  expect((await service.studies.call('getStudy', { name })).judgements).toBe(1);
  expect((await judgeAll(token, () => ({ value: 0 }))).length).toBe(3);
});

it('tells how far raters agree, who did not read, and where the model stands', async () => {
  const { name, tokenOf } = await opened({
    raters: ['ada', 'ben', 'eve'],
    sample: { evaluation: 'first-1', items: 20 },
    attention: { builtIn: 2, own: [{ text: 'The best day of my life!', right: { low: 3, high: 4 } }] },
  });
  const numberIn = (text: string) => (Number(/number (\d+)/.exec(text)?.[1] ?? 0) % 9) - 4;
  const careful =
    (shift: number) =>
    ({ text }: evaluation.StudyItem) => {
      const told = /choose (-?\d)/.exec(text)?.[1];
      if (told !== undefined) return { value: Number(told) };
      if (text.startsWith('The best')) return { value: 4 };
      return { value: Math.max(-4, Math.min(4, numberIn(text) + shift)) };
    };
  await judgeAll(tokenOf('ada'), careful(0));
  await judgeAll(tokenOf('ben'), careful(1));
  await judgeAll(tokenOf('eve'), () => ({ value: -2 }));
  const report = await service.studies.call('getStudyReport', { name });
  const without = await service.studies.call('getStudyReport', { name, excludeFailed: true });
  expect(report).toMatchObject({ items: 20, judgements: 60, failedRaters: 1, excludedRaters: 0 });
  expect(without).toMatchObject({ items: 20, judgements: 40, excludedRaters: 1, excludedJudgements: 20 });
  expect(report.raters.map((r) => [r.name, r.checks, r.checksPassed, r.failed])).toEqual([
    ['ada', 3, 3, false],
    ['ben', 3, 3, false],
    ['eve', 3, expect.any(Number), true],
  ]);
  expect(without.raters[0].agreement).toBeGreaterThan(0.95);
  expect(without.raters[0].medianSeconds).toBeGreaterThanOrEqual(0);
  expect(without.agreement[0].interval!).toBeGreaterThan(report.agreement[0].interval! + 0.2);
  // Ada answers what the model does.
  expect(without.model).toMatchObject({ metric: 'pearson', n: 2, panelItems: 20 });
  expect(without.model!.panel).toBeGreaterThan(0.99);
});

it('compares two models blind, and says which wins and how sure that is', async () => {
  const labels = ['negative', 'positive'];
  const rows = Array.from({ length: 20 }, (_, i) => i);
  await service.evaluated(
    'left-1',
    rows.map((i) => labelPrediction(i, labels[0])),
  );
  await service.evaluated(
    'right-1',
    rows.map((i) => labelPrediction(i, i < 4 ? labels[0] : labels[1])),
  );
  const { name, study, tokenOf } = await opened({
    sample: { evaluation: 'left-1', items: 12 },
    rating: undefined,
    comparison: { against: 'right-1' },
    attention: { builtIn: 1 },
  });
  expect(study.notices).toEqual(['4 rows that both models answer alike: left out']);
  const better = ({ answers }: evaluation.StudyItem) => ({
    preference: ['positive', 'this one'].includes(answers[0])
      ? Preference.PREFERENCE_FIRST
      : Preference.PREFERENCE_SECOND,
  });
  const seen = await judgeAll(tokenOf('ada'), better);
  await judgeAll(tokenOf('ben'), better);
  const orders = new Set(seen.flatMap(({ answers }) => (answers.includes('positive') ? answers[0] : [])));
  expect(orders.size).toBe(2);
  expect(seen.find(({ answers }) => answers.includes('positive'))!.asked).toBe('Sentiment');
  const report = await service.studies.call('getStudyReport', { name });
  expect(report.preferences).toMatchObject({
    ...{ first: 0, second: 24, both: 0, neither: 0, itemsFirst: 0, itemsSecond: 12, winRate: 0 },
    ...{ firstModel: 'left@v1', secondModel: 'right@v1' },
  });
  expect(report.preferences!.pValue).toBeCloseTo(2 / 4096, 10);
  expect(report.raters.map((r) => [r.checks, r.checksPassed])).toEqual([
    [1, 1],
    [1, 1],
  ]);
  await expect(service.studies.call('listStudyRows', { study: name })).rejects.toThrow(
    'gives no answers to train on',
  );
  await service.evaluated(
    'same-1',
    rows.map((i) => labelPrediction(i, labels[0])),
  );
  expect(
    (
      await refused({
        sample: { evaluation: 'left-1' },
        rating: undefined,
        comparison: { against: 'same-1' },
      })
    )[0],
  ).toContain('expected models that answer differently, got the same answers to all 20 rows');
});

it('makes rows of what raters said together, with where they come from', async () => {
  const { name, tokenOf } = await opened({
    raters: ['ada', 'ben', 'eve'],
    sample: { dataset: 'letters', items: 3 },
    rating: { task: Task.TASK_SENTIMENT_CLASSIFICATION },
    attention: { builtIn: 1 },
  });
  const texts: string[] = [];
  const answers =
    (of: readonly string[]) =>
    ({ text }: evaluation.StudyItem) => {
      const told = /choose “(\w+)”/.exec(text)?.[1];
      if (told !== undefined) return { labels: [told] };
      if (!texts.includes(text)) texts.push(text);
      return { labels: [of[texts.indexOf(text)]] };
    };
  await judgeAll(tokenOf('ada'), answers(['positive', 'negative', 'neutral']));
  await judgeAll(tokenOf('ben'), answers(['positive', 'positive', 'negative']));
  await judgeAll(tokenOf('eve'), () => ({ labels: ['neutral'] })).catch(() => {});
  const all = await service.studies.call('listStudyRows', { study: name, includeFailed: true });
  const first = all.rows.find(({ text }) => text === texts[0])!;
  expect(first).toMatchObject({
    ...{ answer: ['positive'], votes: { neutral: 1, positive: 2 }, raters: 3, source: `study:${name}` },
    ...{ licence: 'MIT AND CC-BY-4.0', textSource: 'notes', textLicence: 'MIT', language: 'en' },
  });
  // Three raters, three answers.
  expect(all.divided).toBe(1);
  expect(all.rows.length).toBe(2);
  const few = await service.studies.call('listStudyRows', {
    study: name,
    includeFailed: true,
    leastRaters: 4,
  });
  expect(few).toMatchObject({ rows: [], tooFew: 3 });
});

it('pages through judgements', async () => {
  const { name, tokenOf } = await opened();
  for (const rater of ['ada', 'ben']) await judgeAll(tokenOf(rater), () => ({ value: 0 }));
  const seen: string[] = [];
  let pageToken = '';
  do {
    const page = await service.studies.call('listJudgements', { study: name, pageSize: 3, pageToken });
    seen.push(...page.judgements.map(({ item, rater }) => `${item} ${rater}`));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(seen).toEqual([1, 2, 3, 4].flatMap((item) => [`${item} ada`, `${item} ben`]));
});

it('lets a rater do nothing but rate, in no other study', async () => {
  const { tokenOf, name } = await opened();
  const token = tokenOf('ada');
  await expect(service.studies.call('getStudyReport', { name }, { token })).rejects.toThrow(
    'that of a rater is for RaterService alone',
  );
  await expect(service.raters.call('getInvitation', {})).rejects.toBeInstanceOf(Unauthenticated);
  const forged = `${token.split('.')[0]}.${'a'.repeat(43)}`;
  await expect(service.raters.call('getInvitation', {}, { token: forged })).rejects.toBeInstanceOf(
    Unauthenticated,
  );
});
