import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { emotune, folder, json, text } from './test-command-line.js';
import { asked } from './test-server.js';

const spec = `name: by-hand
consent: Your answers are kept.
licence: CC-BY-4.0
sample: {evaluation: e1, items: 12}
rating: {task: sentiment-regression, scale: -4..4}
raters: [ada]
anybody: true
attention: {own: [{text: The best day of my life!, right: 3..4}]}
`;

it('study create', async () => {
  writeFileSync(join(folder, 'study.yaml'), spec);
  expect(await text('study', 'create', '-f', 'study.yaml')).toMatch(
    /^state: +draft$[\s\S]*^note: the sample has 12 items/m,
  );
  expect(asked.get('createStudy')).toMatchObject({
    spec: {
      name: 'by-hand',
      sample: { evaluation: 'e1', items: 12 },
      rating: { task: 'TASK_SENTIMENT_REGRESSION', scale: { low: -4, high: 4 } },
      attention: { own: [{ right: { low: 3, high: 4 } }] },
    },
  });
});

it('study create refuses what is misspelt', async () => {
  writeFileSync(join(folder, 'misspelt-study.yaml'), spec.replace('raters:', 'ratres:'));
  const { code, stderr } = await emotune(['study', 'create', '-f', 'misspelt-study.yaml']);
  expect([code, stderr]).toEqual([2, expect.stringContaining('did you mean "raters"?')]);
});

it('study list, get, close and delete', async () => {
  expect(await text('study', 'list')).toMatch(/^by-hand +closed +12 +2 +17$/m);
  expect(await text('study', 'get', 'by-hand')).toMatch(/^ada +by name +yes +12$/m);
  expect(await json('study', 'get', 'by-hand')).toMatchObject([
    { name: 'by-hand', state: 'open', judgements: 17 },
  ]);
  expect((await emotune(['study', 'get', 'missing'])).code).toBe(3);
  expect(await text('study', 'close', 'by-hand')).toMatch(/^state: +closed$/m);
  expect(await json('study', 'delete', 'by-hand')).toEqual([{ name: 'by-hand', deleted: true }]);
});

it('study open prints a link for each rater, and why there is none', async () => {
  const { stdout, stderr } = await emotune(['study', 'open', 'by-hand']);
  expect(stdout).toMatch(/^ada +http:\/\/127\.0\.0\.1:50052\/studies\/join\/a\.b$/m);
  expect(stdout).toMatch(/^\(anybody\) +\(no page\) token c\.d$/m);
  expect(stderr).toContain('the page is served elsewhere');
});

it('study report', async () => {
  const shown = await text('study', 'report', 'by-hand', '--exclude-failed');
  expect(asked.get('getStudyReport')).toEqual({ name: 'by-hand', excludeFailed: true });
  expect(shown).toMatch(/1 of 1 raters failed their attention checks: left out with 5 judgements/);
  expect(shown).toMatch(/^answers +5 +10 +0\.25 +0\.5 +0\.625 +0\.5 … 0\.75$/m);
  expect(shown).toMatch(/^ada +12 +0\.75 +1 of 2 +2\.5 +failed$/m);
  expect(shown).toMatch(/^the model +0\.5 +0\.625$/m);
  expect(shown).toContain('66.7 % of the items that one of them wins (95 %: 0.2 … 0.94)');
  expect(await json('study', 'report', 'by-hand')).toMatchObject([
    { agreement: [{ interval: 0.625 }], model: { raters: 0.75 } },
  ]);
});

it('study export writes judgements that a spreadsheet reads, and rows that a dataset takes', async () => {
  expect(
    await text('study', 'export', 'by-hand', '--out', 'j.csv', '--rows', 'r.jsonl', '--least-raters', '2'),
  ).toBe(
    '3 judgements in j.csv\n1 rows (left out: 1 whose raters are divided, 2 with too few raters) in r.jsonl\n',
  );
  expect(readFileSync(join(folder, 'j.csv'), 'utf8').split('\r\n')).toEqual([
    'study,item,id,text,emotion,rater,answer,seconds,judged_at,check,passed,revisions',
    'by-hand,1,e/1,"a ""day"", well",,ada,2,2.250,2023-11-14T22:13:20.000Z,,,0',
    'by-hand,2,e/2,"two\nlines",,ada,joy|love,2.250,2023-11-14T22:13:20.000Z,yes,no,0',
    'by-hand,3,e/3,fine,,ada,both,2.250,2023-11-14T22:13:20.000Z,,,0',
    '',
  ]);
  expect(JSON.parse(readFileSync(join(folder, 'r.jsonl'), 'utf8'))).toMatchObject({
    ...{ id: 'e/1', task: 'sentiment-regression', value: 1.5, ratings: [1, 2], source: 'study:by-hand' },
  });
  expect(asked.get('listStudyRows')).toEqual({ study: 'by-hand', leastRaters: 2, includeFailed: false });
  expect(await emotune(['study', 'export', 'by-hand'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--out: expected this or --rows, got neither'),
  });
  expect(await emotune(['study', 'export', 'by-hand', '--out', 'absent/j.csv'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('absent/j.csv: expected a file that can be written, got ENOENT'),
  });
});
