import { Writable } from 'node:stream';
import { ManualClock } from '@emotune/base';
import { describe, expect, it } from 'vitest';
import { Progress, progressText } from './progress.js';

function output(isTTY: boolean): {
  text: () => string;
  stream: Writable & { isTTY: boolean; columns: number };
} {
  let written = '';
  const stream = new Writable({
    write: (chunk, _, done) => {
      written += chunk;
      done();
    },
  });
  return { text: () => written, stream: Object.assign(stream, { isTTY, columns: 80 }) };
}

it('amounts are told in their unit', () => {
  expect(progressText('reading', 1200, 5000, 'rows')).toBe('reading: 1,200 of 5,000 rows');
  expect(progressText('fetching', 1024 ** 2, 5.5 * 1024 ** 2, 'bytes')).toBe('fetching: 1.0 of 5.5 MiB');
  expect(progressText('reading', 3, 0, 'rows')).toBe('reading: 3 rows');
  expect(progressText('waiting', 0, 0, '')).toBe('waiting');
});

describe('progress', () => {
  it('is a line a second where there is no terminal', () => {
    const { text, stream } = output(false);
    const clock = new ManualClock();
    const progress = new Progress(stream, clock);
    for (let i = 0; i < 25; i++) {
      progress.update('work', i, 25, 'rows');
      clock.advance(100);
    }
    progress.end();
    expect(text()).toBe('work: 0 of 25 rows\nwork: 10 of 25 rows\nwork: 20 of 25 rows\n');
  });

  it('says what is left once it is known how fast it is, and says less often what takes long', () => {
    const { text, stream } = output(false);
    const clock = new ManualClock();
    const progress = new Progress(stream, clock);
    for (let i = 0; i <= 60; i++) {
      progress.update('training', 10 * i, 600, 'tokens', 'loss 2.5');
      clock.advance(1000);
    }
    const lines = text().trimEnd().split('\n');
    expect(lines.slice(0, 2)).toEqual([
      'training: 0 of 600 tokens, loss 2.5',
      'training: 10 of 600 tokens, loss 2.5',
    ]);
    expect(lines[5]).toBe('training: 50 of 600 tokens, loss 2.5, about 55 s left');
    expect(lines.length).toBeLessThan(35);
  });

  it('says nothing twice', () => {
    const { text, stream } = output(false);
    const clock = new ManualClock();
    const progress = new Progress(stream, clock);
    for (let i = 0; i < 3; i++) {
      progress.update('waiting', 0, 0, '');
      clock.advance(2000);
    }
    progress.line('done');
    expect(text()).toBe('waiting\ndone\n');
  });

  it('is a bar on a terminal, gone when it ends, with the cursor back', () => {
    const { text, stream } = output(true);
    const progress = new Progress(stream, new ManualClock());
    progress.update('waiting', 0, 0, '');
    progress.update('work', 5, 10, 'rows');
    progress.line('a notice');
    progress.update('work', 10, 10, 'rows');
    progress.end();
    progress.end();
    expect(text()).toContain('████████████░░░░░░░░░░░░ work: 5 of 10 rows');
    expect(text()).toContain('a notice\n');
    const hidden = text().split('\u001b[?25l').length - 1;
    const shown = text().split('\u001b[?25h').length - 1;
    expect([hidden > 0, shown]).toEqual([true, hidden]);
  });
});
