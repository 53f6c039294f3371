import { testDatabase } from '@emotune/database/testing';
import { expect, it } from 'vitest';
import { tuningMigrations } from './index.js';
import { planOf } from './spec.js';
import { experimentRow } from './store.js';
import { experimentSpec } from './testing.js';

it('values of an experiment that was accepted before they were plain are read as they were meant', async () => {
  const database = await testDatabase('migrations');
  const until = tuningMigrations.findIndex((text) => text.includes('pg_temp.plain'));
  await database.migrate(tuningMigrations.slice(0, until));
  const { parameters: numeric, training, ...rest } = experimentSpec({ name: 'before' });
  const spec = {
    ...rest,
    training: {
      ...training,
      settings: {
        method: { text: 'lora' },
        batchTokens: { number: 512 },
        packing: { flag: false },
        'lora.targets': { list: { values: [{ text: 'q_proj' }, { text: 'v_proj' }] } },
        'loss.numberTokens': {},
      },
    },
    parameters: [
      ...numeric.map((parameter) => ({ ...parameter, default: { number: 1e-3 } })),
      {
        name: 'loraRank',
        categorical: { values: [{ number: 4 }, { number: 8 }] },
        condition: { parameter: 'optimizer', values: [{ text: 'lion' }] },
      },
      { name: 'optimizer', categorical: { values: [{ text: 'adamw' }, { text: 'lion' }] } },
    ],
  };
  await database.query(
    `insert into experiments (name, spec, bases, state, reason, created_at) values ('before', $1, '[]', 'running', '', now())`,
    [JSON.stringify(spec)],
  );
  await database.migrate(tuningMigrations);
  const after = (await experimentRow(database, 'before')).spec;
  expect(after.training).toEqual({
    ...training,
    settings: {
      method: 'lora',
      batchTokens: 512,
      packing: false,
      'lora.targets': ['q_proj', 'v_proj'],
      'loss.numberTokens': {},
    },
  });
  expect(after.parameters.slice(-2)).toEqual([
    {
      name: 'loraRank',
      categorical: { values: [4, 8] },
      condition: { parameter: 'optimizer', values: ['lion'] },
    },
    { name: 'optimizer', categorical: { values: ['adamw', 'lion'] } },
  ]);
  expect(planOf(after).space.byName.get('learningRate')?.default).toBe(1e-3);
});
