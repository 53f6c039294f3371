import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { suggest } from './samplers.js';
import { parseSearchSpace } from './space.js';
import { studyOfRows } from './study-csv.js';
import { readOptunaStudy } from './study-sqlite.js';
import { warmStart } from './warm-start.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-study-test-'));
const file = join(folder, 'study.db');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const distribution = (name: string, attributes: object) => JSON.stringify({ name, attributes });
const lr = distribution('FloatDistribution', { step: null, low: 1e-6, high: 0.01, log: true });
const arch = distribution('CategoricalDistribution', { choices: ['opt', 'bloom', 'llama'] });
const bias = distribution('CategoricalDistribution', { choices: [true, false, null] });
const rank = distribution('IntDistribution', { log: true, step: 1, low: 1, high: 64 });

/** The tables that Optuna 5.0.0 makes and the rows that it writes, without indexes and keys. */
beforeAll(() => {
  const database = new DatabaseSync(file);
  database.exec(`
    CREATE TABLE version_info (version_info_id INTEGER, schema_version INTEGER, library_version VARCHAR(256));
    CREATE TABLE studies (study_id INTEGER, study_name VARCHAR(512));
    CREATE TABLE study_directions (study_direction_id INTEGER, direction VARCHAR(8), study_id INTEGER, objective INTEGER);
    CREATE TABLE trials (trial_id INTEGER, number INTEGER, study_id INTEGER, state VARCHAR(8), datetime_start DATETIME,
      datetime_complete DATETIME);
    CREATE TABLE trial_params (param_id INTEGER, trial_id INTEGER, param_name VARCHAR(512), param_value FLOAT,
      distribution_json TEXT);
    CREATE TABLE trial_values (trial_value_id INTEGER, trial_id INTEGER, objective INTEGER, value FLOAT,
      value_type VARCHAR(7));
    CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER, trial_id INTEGER, step INTEGER,
      intermediate_value FLOAT, intermediate_value_type VARCHAR(7));
    INSERT INTO version_info VALUES (1, 12, '5.0.0');
    INSERT INTO studies VALUES (1, 'emotions'), (2, 'other');
    INSERT INTO study_directions VALUES (1, 'MAXIMIZE', 1, 0), (2, 'MINIMIZE', 2, 0);
    INSERT INTO trials VALUES (1, 0, 1, 'COMPLETE', NULL, NULL), (2, 1, 1, 'COMPLETE', NULL, NULL),
      (3, 2, 1, 'PRUNED', NULL, NULL), (4, 3, 1, 'FAIL', NULL, NULL), (5, 4, 1, 'COMPLETE', NULL, NULL),
      (6, 5, 1, 'RUNNING', NULL, NULL), (7, 6, 1, 'WAITING', NULL, NULL), (8, 0, 2, 'COMPLETE', NULL, NULL);
    INSERT INTO trial_values VALUES (1, 1, 0, 0.75, 'FINITE'), (2, 2, 0, 0.0, 'FINITE'), (4, 5, 0, NULL, 'INF_POS'),
      (5, 8, 0, 7, 'FINITE');
    INSERT INTO trial_intermediate_values VALUES (1, 1, 1, 0.5, 'FINITE'), (2, 1, 2, NULL, 'NAN'),
      (3, 1, 3, 0.75, 'FINITE'), (4, 3, 1, 0.25, 'FINITE');
  `);
  const insert = database.prepare('INSERT INTO trial_params VALUES (?, ?, ?, ?, ?)');
  const rows: [number, string, number, string][] = [
    [1, 'lr', 0.0001, lr],
    [1, 'arch', 2, arch],
    [1, 'rank', 8, rank],
    [1, 'bias', 0, bias],
    [2, 'lr', 0.001, lr],
    [2, 'arch', 0, arch],
    [2, 'bias', 1, bias],
    [3, 'lr', 0.01, lr],
    [3, 'arch', 1, arch],
    [3, 'rank', 64, rank],
    [4, 'lr', 0.005, lr],
    [4, 'arch', 0, arch],
    [5, 'lr', 0.00001, lr],
    [5, 'arch', 0, arch],
    [5, 'bias', 2, bias],
    [6, 'lr', 0.00002, lr],
    [6, 'arch', 2, arch],
    [8, 'x', 1, lr],
  ];
  for (const [i, row] of rows.entries()) insert.run(i + 1, ...row);
  database.close();
});

/** A copy of the file with something changed. */
function changed(name: string, sql: string): string {
  const copy = join(folder, name);
  writeFileSync(copy, readFileSync(file));
  const database = new DatabaseSync(copy);
  database.exec(sql);
  database.close();
  return copy;
}

describe('a study of Optuna', () => {
  it('is read as it was recorded', async () => {
    const { name, directions, trials } = await readOptunaStudy(file, 'emotions');
    expect({ name, directions }).toEqual({ name: 'emotions', directions: ['maximize'] });
    expect(trials.map(({ number, state, objectives }) => [number, state, objectives[0]])).toEqual([
      [0, 'complete', 0.75],
      [1, 'complete', 0],
      [2, 'pruned', undefined],
      [3, 'failed', undefined],
      [4, 'complete', Number.POSITIVE_INFINITY],
      [5, 'running', undefined],
      [6, 'waiting', undefined],
    ]);
    expect(trials[0]).toMatchObject({
      parameters: { lr: 0.0001, arch: 'llama', rank: 8, bias: true },
      measurements: [
        { step: 1, value: 0.5 },
        { step: 2, value: Number.NaN },
        { step: 3, value: 0.75 },
      ],
    });
    expect(trials[4].parameters['bias']).toBeNull();
    expect((await readOptunaStudy(file, 'other')).trials).toHaveLength(1);
  });

  it('is refused by name where it is broken', async () => {
    await expect(readOptunaStudy(file)).rejects.toThrow(
      'expected the name of one of 2 studies: emotions, other',
    );
    await expect(readOptunaStudy(file, 'emotion')).rejects.toThrow('did you mean "emotions"?');
    await expect(readOptunaStudy(join(folder, 'nowhere.db'))).rejects.toThrow(
      'expected a readable SQLite file',
    );
    writeFileSync(join(folder, 'text.db'), 'no database, but long enough to be looked at '.repeat(40));
    await expect(readOptunaStudy(join(folder, 'text.db'))).rejects.toThrow('expected a database of Optuna');
    const cases = {
      'UPDATE version_info SET schema_version = 11': "expected Optuna's schema version 12, got 11",
      'DROP TABLE trial_values': 'no such table',
      'UPDATE trial_params SET param_value = 3 WHERE param_id = 2':
        'trials[0].arch: expected the index of one',
      "UPDATE trial_params SET distribution_json = '{' WHERE param_id = 2":
        'trials[0].arch: expected a distribution',
      "UPDATE trials SET state = 'LOST' WHERE trial_id = 2": 'trials[1].state: expected one of COMPLETE',
      'UPDATE trial_values SET value = NULL WHERE trial_id = 1': 'trials[0].value: expected a number',
    };
    for (const [i, [sql, message]] of Object.entries(cases).entries())
      await expect(readOptunaStudy(changed(`broken-${i}.db`, sql), 'emotions')).rejects.toThrow(message);
  });
});

const lora = { parameter: 'arch', values: ['llama'] };
const space = parseSearchSpace([
  { name: 'lr', double: { min: 1e-5, max: 1e-2, log: true } },
  { name: 'arch', categorical: { values: ['opt', 'llama'] } },
  { name: 'rank', integer: { min: 4, max: 64, step: 4 }, condition: lora, default: 16 },
  { name: 'dropout', double: { min: 0, max: 0.5 } },
]);

describe('a warm start', () => {
  it('maps what fits, and says by name what does not', async () => {
    const study = await readOptunaStudy(file, 'emotions');
    const { history, misfits } = warmStart(space, study, { fixed: { dropout: 0.1 }, firstNumber: 100 });
    expect(history).toEqual([
      {
        number: 100,
        state: 'succeeded',
        parameters: { lr: 0.0001, arch: 'llama', rank: 8, dropout: 0.1 },
        objective: -0.75,
        step: 3,
      },
      {
        number: 101,
        state: 'succeeded',
        parameters: { lr: 0.001, arch: 'opt', dropout: 0.1 },
        objective: -0,
      },
      {
        number: 102,
        state: 'succeeded',
        parameters: { lr: 0.00001, arch: 'opt', dropout: 0.1 },
        objective: Number.NEGATIVE_INFINITY,
      },
    ]);
    expect(misfits).toEqual([
      { name: 'bias', problem: 'not in the space', leftOut: false, trials: 3, example: 0 },
      { name: 'arch', problem: '"bloom" is outside of its range', leftOut: true, trials: 1, example: 2 },
      {
        name: 'state',
        problem: 'failed, for reasons that are not recorded',
        leftOut: true,
        trials: 1,
        example: 3,
      },
      { name: 'state', problem: 'running, so nothing is known of it', leftOut: true, trials: 1, example: 5 },
      { name: 'state', problem: 'waiting, so nothing is known of it', leftOut: true, trials: 1, example: 6 },
    ]);
    // What comes next can be asked for.
    const context = { seed: 1, trialNumber: 103 };
    const next = suggest({ name: 'tpe', settings: { startUpTrials: 2 } }, space, history, context);
    expect(Object.keys(next)).toEqual(expect.arrayContaining(['lr', 'arch', 'dropout']));
    expect(next).not.toEqual(suggest({ name: 'tpe', settings: { startUpTrials: 2 } }, space, [], context));
  });

  it('leaves trials out that lack a value, and takes failures where they teach', async () => {
    const study = await readOptunaStudy(file, 'emotions');
    const { history, misfits } = warmStart(space, study);
    expect(history).toEqual([]);
    expect(misfits).toContainEqual({
      name: 'dropout',
      problem: 'missing, and neither fixed nor with a default',
      leftOut: true,
      trials: 4,
      example: 0,
    });
    const taught = warmStart(space, study, { fixed: { dropout: 0 }, failuresTeach: true }).history;
    expect(taught.map(({ state }) => state)).toEqual(['succeeded', 'succeeded', 'infeasible', 'succeeded']);
  });

  it('needs to know what is better', () => {
    const study = parseStudyCsv('lr,value\n0.001,1');
    expect(() => warmStart(space, study)).toThrow('direction: expected minimize or maximize');
    expect(() => warmStart(space, study, { objective: 1 })).toThrow(
      'objective: expected one of 1, from 0, got 1',
    );
  });
});

/** Rows of a text without quotes. */
function parseStudyCsv(text: string) {
  const [header, ...rows] = text
    .trim()
    .split('\n')
    .map((line) => line.split(','));
  return studyOfRows(
    rows.map((row, n) => ({
      at: `line ${n + 2}`,
      values: Object.fromEntries(header.map((name, i) => [name, row[i]])),
    })),
  );
}

describe('CSV', () => {
  it("takes the columns of Optuna's data frames", () => {
    const text = [
      'number,value,datetime_start,duration,params_lr,params_arch,params_rank,params_dropout,user_attrs_note,state',
      '1,0.5,2026-01-01,0 days,0.001,opt,,0.25,a b,COMPLETE',
      '0,,2026-01-01,0 days,0.001,llama,9.0,0.25,,FAIL',
      '2,nan,2026-01-01,0 days,1e-4,llama,9.0,0.25,,PRUNED',
      '3,,2026-01-01,0 days,1e-4,llama,9.0,0.25,,PRUNED',
    ].join('\n');
    const study = parseStudyCsv(text);
    expect(study.trials.map(({ number }) => number)).toEqual([0, 1, 2, 3]);
    const { history, misfits } = warmStart(space, study, { direction: 'minimize' });
    expect(history).toEqual([
      {
        number: 0,
        state: 'succeeded',
        parameters: { lr: 0.001, arch: 'opt', dropout: 0.25 },
        objective: 0.5,
      },
      {
        number: 1,
        state: 'stopped',
        // On the nearest step.
        parameters: { lr: 1e-4, arch: 'llama', rank: 8, dropout: 0.25 },
        objective: Number.NaN,
      },
    ]);
    expect(misfits.map(({ name }) => name)).toEqual(['state', 'objective']);
  });

  it('takes values that rounding put outside of the range', () => {
    const rate = parseSearchSpace([{ name: 'lr', double: { min: 1e-5, max: 1e-2, log: true } }]);
    const { history } = warmStart(rate, parseStudyCsv('lr,value\n0.000009999999999999999,1\n0.00000999,2'), {
      direction: 'minimize',
    });
    expect(history.map(({ parameters }) => parameters)).toEqual([{ lr: 1e-5 }]);
  });

  it('takes plain columns, texts as the values they are', () => {
    const typed = parseSearchSpace([
      { name: 'batch', categorical: { values: [8, 16] } },
      { name: 'tied', categorical: { values: [true, false] } },
    ]);
    const { history } = warmStart(typed, parseStudyCsv('batch,tied,objective\n8.0,True,1\n16,false,2\n'), {
      direction: 'maximize',
    });
    expect(history.map(({ parameters, objective }) => [parameters, objective])).toEqual([
      [{ batch: 8, tied: true }, -1],
      [{ batch: 16, tied: false }, -2],
    ]);
  });

  it.each([
    ['', 'expected a header and at least one row'],
    ['a,b\n1,2', 'expected a column value, values_0 or objective, got a, b'],
    [
      'number,value\nx,1\n1,y',
      'line 2, number: expected a whole number from 0, got "x"; line 3, value: expected a number',
    ],
    ['number,value\n1,1\n1,2', 'got 1 twice'],
    ['state,value\nDONE,1', 'line 2, state: expected one of COMPLETE'],
  ])('%j is refused', (text, message) => {
    expect(() => parseStudyCsv(text)).toThrow(message);
  });
});
