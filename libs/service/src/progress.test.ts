import { ManualClock, NotFound } from '@emotune/base';
import { expect, it } from 'vitest';
import { jsonLog } from './log.js';
import { failureText, ProgressRecorder } from './progress.js';

const at = (phase: string, done: number) => ({ phase, done, total: 10, unit: 'rows' });

it('stores progress in order, seldom within a phase, and outlives what cannot be stored', async () => {
  const clock = new ManualClock();
  const lines: string[] = [];
  const stored: string[] = [];
  const recorder = new ProgressRecorder(
    async (text) => {
      if (text.includes('bad')) throw new Error('the database is away');
      stored.push(text);
    },
    { clock, log: jsonLog((line) => lines.push(line)) },
  );
  for (const done of [1, 2, 3]) void recorder.report(at('reading', done));
  clock.advance(250);
  void recorder.report(at('reading', 4));
  void recorder.report(at('bad', 0));
  await recorder.report(at('writing', 5));
  await recorder.settled();
  expect(stored.map((text) => JSON.parse(text))).toEqual([
    at('reading', 1),
    at('reading', 4),
    at('writing', 5),
  ]);
  expect(lines.join()).toContain('the database is away');
});

it('shows the words of errors with a name of ours, and marks the others', () => {
  expect(failureText(new NotFound('no such file'))).toBe('no such file');
  expect(failureText(new TypeError('x is undefined'))).toBe('internal error: x is undefined');
});
