import { lessonOf } from '@emotune/search';
import { describe, expect, it } from 'vitest';
import { meaningOf, readEnvironment, reasonOfEnd, writeEnvironment } from './trainer-protocol.js';

it('a lost checkpoint of another trial is tried again, and no fault of the parameters', () => {
  const { blames, interrupts = false } = meaningOf('LostOrigin: it is gone');
  const lost = { number: 0, state: 'failed', blames, parameters: {} } as const;
  expect([interrupts, lessonOf(lost)]).toEqual([false, 'nothing']);
});

it('reads exit codes and causes', () => {
  const table: [Parameters<typeof reasonOfEnd>[0], word: string, blames: string, interrupted: boolean][] = [
    [{ phase: 'succeeded', exitCode: 0 }, 'NoReport', 'machine', false],
    [{ phase: 'failed', exitCode: 42 }, 'OutOfMemory', 'parameters', false],
    [{ phase: 'failed', exitCode: 137, cause: 'OOMKilled' }, 'OutOfMemory', 'parameters', false],
    [{ phase: 'failed', exitCode: 43 }, 'InvalidConfiguration', 'parameters', false],
    [{ phase: 'failed', exitCode: 44 }, 'Diverged', 'parameters', false],
    [{ phase: 'failed', exitCode: 75 }, 'Interrupted', 'machine', true],
    [{ phase: 'failed', cause: 'Evicted' }, 'Evicted', 'machine', true],
    [{ phase: 'failed', cause: 'DeadlineExceeded', exitCode: 75 }, 'DeadlineExceeded', 'parameters', false],
    [{ phase: 'failed', exitCode: 137 }, 'Killed', 'machine', false],
    [{ phase: 'failed', exitCode: 143 }, 'Interrupted', 'machine', true],
    [{ phase: 'failed', exitCode: 130 }, 'Interrupted', 'machine', true],
    [{ phase: 'failed', exitCode: 137, cause: 'Stopped' }, 'Interrupted', 'machine', true],
    [{ phase: 'failed', exitCode: 139, cause: 'Stopped' }, 'Interrupted', 'machine', true],
    [{ phase: 'failed', exitCode: 1 }, 'Crashed', 'unknown', false],
    [{ phase: 'failed' }, 'Killed', 'machine', false],
    [{ phase: 'failed', cause: 'toString' }, 'Killed', 'machine', false],
  ];
  for (const [job, word, blames, interrupted] of table) {
    const reason = reasonOfEnd(job);
    const ending = meaningOf(reason);
    expect([reason.split(':')[0], ending.blames, ending.interrupts ?? false]).toEqual([
      word,
      blames,
      interrupted,
    ]);
  }
});

it('blames nobody for words that it does not know', () => {
  for (const reason of ['', 'constructor: x', 'Failed: in another study'])
    expect(meaningOf(reason)).toEqual({ blames: 'unknown' });
});

describe('the environment of a trainer', () => {
  const given = {
    tuning: '127.0.0.1:5000',
    trial: { experiment: 'tweets', number: 0, attempt: 2 },
    objects: 'file:///objects',
    threads: 0,
  };

  it('is read as it was written', () => {
    expect(readEnvironment(writeEnvironment(given))).toEqual({ ...given });
    const more = { ...given, token: 'a secret' };
    expect(readEnvironment(writeEnvironment(more))).toEqual(more);
  });

  it('names every variable that is missing or wrong', () => {
    const wrong = { ...writeEnvironment(given), EMOTUNE_TUNING: 'nowhere', EMOTUNE_ATTEMPT: '0' };
    expect(() => readEnvironment(wrong)).toThrow(
      /EMOTUNE_TUNING: expected host:port or https:\/\/host:port, got "nowhere"; EMOTUNE_ATTEMPT: /,
    );
    expect(() => readEnvironment({})).toThrow(/EMOTUNE_TUNING: .*EMOTUNE_EXPERIMENT: .*EMOTUNE_OBJECTS: /);
  });

  it.each([{ ca: 'PEM' }, { caFile: '/ca.pem' }, {}])('tells how tuning is called by TLS: %j', (tls) => {
    const { EMOTUNE_TUNING: tuning, ...written } = writeEnvironment({ ...given, tls });
    expect(tuning).toBe(`https://${given.tuning}`);
    expect(readEnvironment({ EMOTUNE_TUNING: tuning, ...written })).toEqual({ ...given, tls });
  });
});
