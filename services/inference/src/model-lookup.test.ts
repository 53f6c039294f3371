import type { tuning } from '@emotune/proto';
import { expect, it } from 'vitest';
import { ModelLookup } from './model-lookup.js';

it('asks once for all who ask meanwhile, and never answers with what was known before the question', async () => {
  let [asked, version] = [0, 1];
  const answers: (() => void)[] = [];
  const lookup = new ModelLookup((name) => {
    asked++;
    const model = { name, version: `v${version}` } as tuning.Model;
    return new Promise((resolve) => {
      answers.push(() => resolve(model));
    });
  });
  const first = lookup.find('a');
  // Promoted while the first is asked for.
  version = 2;
  const later = [lookup.find('a'), lookup.find('a')];
  expect(asked).toBe(1);
  answers[0]();
  expect((await first).version).toBe('v1');
  await expect.poll(() => asked).toBe(2);
  answers[1]();
  expect((await Promise.all(later)).map((model) => model.version)).toEqual(['v2', 'v2']);
  expect(asked).toBe(2);
});

it('asks again after a failure', async () => {
  let asked = 0;
  const lookup = new ModelLookup(async () => {
    if (++asked === 1) throw new Error('away');
    return { name: 'a' } as tuning.Model;
  });
  const [first, second] = [lookup.find('a'), lookup.find('a')];
  await expect(first).rejects.toThrow('away');
  expect((await second).name).toBe('a');
});
