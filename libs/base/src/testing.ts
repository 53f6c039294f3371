/** The contract that every clock keeps. */
import { describe, expect, it } from 'vitest';
import type { Clock } from './clock.js';

/** `advance` makes at least `ms` pass on that clock. */
export function clockContract(
  name: string,
  create: () => { clock: Clock; advance(ms: number): Promise<void> | void },
): void {
  describe(`${name} keeps the clock contract`, () => {
    it('never goes backwards and moves by what has passed', async () => {
      const { clock, advance } = create();
      const before = clock.now();
      await advance(20);
      expect(clock.now()).toBeGreaterThanOrEqual(before + 19);
    });

    it('wakes a sleeper after its time, not before', async () => {
      const { clock, advance } = create();
      const start = clock.now();
      const slept = clock.sleep(15).then(() => clock.now() - start);
      await advance(20);
      expect(await slept).toBeGreaterThanOrEqual(14);
    });

    it('rejects with the reason of the signal', async () => {
      const { clock } = create();
      const reason = new Error('stop');
      const abort = new AbortController();
      const sleeping = clock.sleep(60_000, abort.signal);
      abort.abort(reason);
      await expect(sleeping).rejects.toBe(reason);
      await expect(clock.sleep(1, abort.signal)).rejects.toBe(reason);
    });
  });
}
