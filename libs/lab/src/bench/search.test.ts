import { expect, it } from 'vitest';
import { benchSearch } from './search.js';

it('stops in the middle when it is told to', async () => {
  const stopped = benchSearch({
    trials: 50,
    seeds: 1e9,
    algorithms: ['tpe'],
    functions: [],
    parallel: 1,
    histories: [],
    signal: AbortSignal.timeout(1000),
  });
  await expect(stopped).rejects.toMatchObject({ name: 'TimeoutError' });
});
