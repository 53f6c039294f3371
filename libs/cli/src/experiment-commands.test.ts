import { describe, expect, it } from 'vitest';
import type { LogLine } from './format/trial-log.js';
import { emotune, json, text } from './test-command-line.js';
import { asked, watched } from './test-server.js';

describe('experiment', () => {
  it('submit tells what was accepted', async () => {
    expect(await json('experiment', 'submit', '-f', 'first.yaml')).toEqual([
      expect.objectContaining({ name: 'first', state: 'waiting' }),
    ]);
    expect(asked.get('createExperiment')).toMatchObject({
      spec: { features: 'mine', objective: { goal: 'GOAL_MINIMIZE' } },
    });
  });

  it('submit --watch shows trials until the winner', async () => {
    const shown = (await text('experiment', 'submit', '-f', 'first.yaml', '--watch')).split('\n');
    expect(shown).toEqual([
      'experiment first running',
      'trial 0 running: architecture=opt learningRate=0.001235',
      'trial 0 succeeded: objective 2.5 ± 0.125, 1,235 tokens/s',
      'trial 1 failed: Diverged: not finite',
      'experiment first succeeded',
      'trial 0 won with objective 2.5 ± 0.125: architecture=opt learningRate=0.001235',
      'model first@aa11',
      '',
    ]);
  });

  it('watch --json gives every update as a line', async () => {
    const updates = await json('experiment', 'watch', 'first');
    expect(updates).toHaveLength(4);
    expect(updates[1]).toMatchObject({
      experiment: { name: 'first', state: 'running' },
      trials: [{ number: 0, tokens: 4096, parameters: { architecture: 'opt', learningRate: 0.00123456 } }],
    });
    expect(updates[3]).toMatchObject({ experiment: { state: 'succeeded', modelVersion: 'first@aa11' } });
  });

  it('one that fails ends with 1 and its reason', async () => {
    const { code, stderr } = await emotune(['experiment', 'submit', '-f', 'hopeless.yaml', '--watch']);
    expect(code).toBe(1);
    expect(stderr).toContain('ended without a model: more than 1 trial failed');
  });

  it('Ctrl-C while watching leaves the stream and ends with 130', async () => {
    const { code, stdout, stderr } = await emotune(['experiment', 'watch', 'endless'], {
      interruptAt: (out) => out.includes('trial 0 running'),
    });
    expect([code, stderr]).toEqual([130, 'emotune: stopped\n']);
    expect(stdout).toContain('trial 0 running');
    await expect.poll(() => watched).toBe(0);
  });

  it('logs shows entries as sentences, what was left out, and where the next attempt begins', async () => {
    const { code, stdout, stderr } = await emotune(['experiment', 'logs', 'first', '3', '--follow']);
    expect(asked.get('readTrialLog')).toEqual({ experiment: 'first', number: 3, attempt: 0, follow: true });
    expect([code, stderr]).toEqual([0, 'attempt 2\n']);
    expect(stdout.split('\n')).toEqual([
      '2026-01-02T03:04:05.678Z error training failed step=3',
      '  Full: no more',
      '      at a.js:1',
      '  caused by Error: no room',
      '      at b.js:1',
      '{"time": br',
      expect.stringMatching(/^\[299,\d\d\d bytes are left out here\]$/),
      'oken',
      'ends 🙂',
      'last',
      '',
    ]);
    expect((await emotune(['experiment', 'logs', 'first', '8'])).stderr).toContain('has written nothing');
  });

  it('logs --json gives every line with its place', async () => {
    const lines = await json('experiment', 'logs', 'first', '3', '--attempt', '2');
    expect(asked.get('readTrialLog')).toMatchObject({ attempt: 2, follow: false });
    expect(lines).toEqual([
      { attempt: 2, offset: 0, line: 'ends 🙂' },
      { attempt: 2, offset: 10, line: 'last' },
    ]);
    const [first, broken, gap, rest] = (await json('experiment', 'logs', 'first', '3')) as LogLine[];
    expect(JSON.parse(first.line!)).toMatchObject({ message: 'training failed' });
    expect(broken.line).toBe('{"time": br');
    expect(gap).toEqual({ attempt: 1, offset: broken.offset + 11, leftOut: 300_000 - broken.offset - 11 });
    expect(rest).toEqual({ attempt: 1, offset: 300_000, line: 'oken' });
  });

  it.each(['first 7', 'missing 0'])('logs of %s is not found: 3', async (line) => {
    const { code, stdout, stderr } = await emotune(['experiment', 'logs', ...line.split(' ')]);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/^emotune: expected an? /);
  });

  it('list, get, trials', async () => {
    expect(await text('experiment', 'list')).toMatch(
      /^first +succeeded +2 of 2, 1 failed +2\.5 +first@aa11$/m,
    );
    expect(await text('experiment', 'get', 'first')).toMatch(/^base models: +opt=emotune-opt-4m$/m);
    expect(await text('experiment', 'trials', 'first')).toMatch(
      /^ *0 +search +succeeded +2\.5 ± 0\.125 +100,000 +1,235 +architecture=opt/m,
    );
    expect(asked.get('listTrials')).toMatchObject({ withoutMeasurements: true });
    expect(await json('experiment', 'trials', 'first')).toEqual([
      [expect.objectContaining({ number: 0, kind: 'search', objective: 2.5 })],
    ]);
    expect(asked.get('listTrials')).toMatchObject({ withoutMeasurements: false });
  });

  it.each([
    ['pause', 'paused'],
    ['resume', 'running'],
    ['cancel', 'cancelled'],
  ])('%s', async (verb, state) => {
    expect(await json('experiment', verb, 'first')).toEqual([expect.objectContaining({ state })]);
    expect((await emotune(['experiment', verb, 'missing'])).code).toBe(3);
  });

  it('insight shows what trials teach', async () => {
    const shown = await text('experiment', 'insight', 'first');
    expect(shown).toMatch(/^lead: +trial 0 leads trial 1 by 0\.5 on average of 4 folds, p = 0\.0625$/m);
    expect(shown).toMatch(/^learningRate +75 % +80 % +12$/m);
    expect(shown).toMatch(/^learningRate +replay +5 %$/m);
    expect(shown).toMatch(/^learningRate +0\.001 +2 +0\.01 +4$/m);
    expect(shown).toMatch(/^trial 0 +2\.5\nhypervolume 0\.25 below 2\.75$/m);
    const [document] = await json('experiment', 'insight', 'first');
    expect(document).toMatchObject({
      slices: [{ points: [{ trial: 0, value: 0.001 }] }],
      parallelCoordinates: { lines: [{ places: [{ place: 0 }] }] },
    });
    expect((await emotune(['experiment', 'insight', 'missing'])).code).toBe(3);
  });

  it('explain says why a trial was suggested and ended', async () => {
    const shown = await text('experiment', 'explain', 'first', '0');
    expect(shown).toMatch(/^why suggested: +tpe: from trials known then$/m);
    expect(shown).toMatch(/^known then: +12 measured, 1 infeasible, 2 running$/m);
    expect(shown).toMatch(/^rank: +1 of 13, 0 behind the best$/m);
    expect(shown).toMatch(/^attempt 1: +lost: LostLease: silent$/m);
    expect(shown).toMatch(/^learningRate +0\.001 +0\.002 +3$/m);
    expect(await json('experiment', 'explain', 'first', '0')).toMatchObject([
      { suggestion: { source: 'sampler', reproduced: true, evidence: [{ value: 0.001 }] } },
    ]);
    expect((await emotune(['experiment', 'explain', 'first', '7'])).code).toBe(3);
    expect((await emotune(['experiment', 'explain', 'first', 'x'])).code).toBe(2);
  });

  it('enqueue reads numbers, flags and texts', async () => {
    const [trial] = await json(
      'experiment',
      'enqueue',
      'first',
      ...['learningRate=1e-3', 'method=lora', 'loraRank=8', 'frozen=true', 'tag=1.2.3'].flatMap((p) => [
        '-p',
        p,
      ]),
    );
    expect(trial).toMatchObject({
      state: 'queued',
      parameters: { learningRate: 0.001, method: 'lora', loraRank: 8, frozen: true, tag: '1.2.3' },
    });
    expect((await emotune(['experiment', 'enqueue', 'first', '-p', 'x'])).code).toBe(2);
  });

  it('estimates before and after it is submitted', async () => {
    const line =
      '8 trials of 5 folds, up to limits.maxTrials, about 1.5 GPU-h (cost 3), 0.75 h by the clock, then 0.25 GPU-h for the winner; from 4 finished trials of the same base models\n';
    expect(await text('experiment', 'estimate', 'first')).toBe(line);
    expect(asked.get('estimateExperiment')).toMatchObject({ name: 'first' });
    expect(await json('experiment', 'estimate', '-f', 'first.yaml')).toEqual([
      expect.objectContaining({ trials: 8, gpuHours: 1.5, basis: 'measured', limitedBy: 'limits.maxTrials' }),
    ]);
    expect(asked.get('estimateExperiment')).toMatchObject({ name: '', spec: { name: 'first' } });
    expect((await emotune(['experiment', 'submit', '-f', 'first.yaml'])).stderr).toContain(line);
    expect((await emotune(['experiment', 'estimate'])).code).toBe(2);
    expect((await emotune(['experiment', 'estimate', 'first', '-f', 'first.yaml'])).code).toBe(2);
  });

  it('raises limits by the words of the spec', async () => {
    await json('experiment', 'raise', 'first', '--max-trials', '20', '--max-gpu-hours', '1.5');
    expect(asked.get('raiseLimits')).toMatchObject({
      name: 'first',
      limits: { maxTrials: 20, maxGpuHours: 1.5, parallelTrials: 0 },
    });
    for (const wrong of ['0', '-1', 'x', ''])
      expect((await emotune(['experiment', 'raise', 'first', '--max-cost', wrong])).code).toBe(2);
  });
});
