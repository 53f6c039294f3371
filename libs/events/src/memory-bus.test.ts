import { ManualClock, systemClock, Unavailable } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { standardRetry } from './bus.js';
import { MemoryBus } from './memory-bus.js';
import { busContract, testEvent } from './testing.js';

busContract('MemoryBus', (retry) => new MemoryBus(systemClock, retry), 'one process');

describe('MemoryBus', () => {
  it('resolves publish when every group has handled the event', async () => {
    const bus = new MemoryBus();
    const handled: string[] = [];
    for (const group of ['one', 'two']) {
      await bus.subscribe(group, ['topic'], async () => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        handled.push(group);
      });
    }
    await bus.publish([testEvent('topic', 'key')]);
    expect(handled.sort()).toEqual(['one', 'two']);
    await bus.close();
  });

  it('doubles the pause from try to try, up to the longest', async () => {
    const clock = new ManualClock();
    const bus = new MemoryBus(clock);
    const tries: number[] = [];
    await bus.subscribe('group', ['topic'], async () => {
      tries.push(clock.now());
      throw new Error('no');
    });
    let settled = false;
    const published = bus.publish([testEvent('topic', 'key')]).then(() => {
      settled = true;
    });
    while (!settled) {
      clock.advance(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await published;
    const pauses = tries.slice(1).map((at, i) => at - tries[i]);
    expect(pauses).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
    expect(tries).toHaveLength(standardRetry.tries);
  });

  it('tells the publisher when it closes before an event was handled', async () => {
    const bus = new MemoryBus(new ManualClock());
    await bus.subscribe('group', ['topic'], async () => {
      throw new Error('no');
    });
    const leave = await bus.subscribe('absent', ['other'], async () => {});
    await leave();
    const retried = bus.publish([testEvent('topic', 'key')]);
    const waiting = bus.publish([testEvent('other', 'key')]);
    const outcomes = Promise.all([
      expect(retried).rejects.toThrow(Unavailable),
      expect(waiting).rejects.toThrow(Unavailable),
    ]);
    await bus.close();
    await outcomes;
  });
});
