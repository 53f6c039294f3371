import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const folder = new URL('.', import.meta.url);
const written =
  /\b(insert into|update|delete from|truncate)\s+(experiments|trials|attempts|measurements|\$\{)/i;

it('experiments, trials, attempts and measurements are written by save.ts alone', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && !/test/.test(file));
  const writers = files.filter((file) => written.test(readFileSync(new URL(file, folder), 'utf8')));
  expect(writers.sort()).toEqual(['migrations.ts', 'save.ts']);
});
