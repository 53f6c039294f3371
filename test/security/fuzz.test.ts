/** Requests that nobody should send, to every method of the platform: each is answered, or refused by name. */
import { benchFuzz } from '@emotune/lab/fuzz';
import { expect, it } from 'vitest';

it('2,000 requests find no defect', async () => {
  const { signal } = new AbortController();
  const { statuses, defects, logged } = await benchFuzz({ requests: 2000, seed: 1, signal, restSeconds: 0 });
  expect({ defects, logged }).toEqual({ defects: [], logged: {} });
  expect(statuses['OK']).toBeGreaterThan(200);
  expect(statuses['INVALID_ARGUMENT']).toBeGreaterThan(200);
});
