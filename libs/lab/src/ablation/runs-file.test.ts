import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvalidArgument } from '@emotune/base';
import { afterAll, expect, it } from 'vitest';
import { type AblationRun, RunsFile, type Workload } from './runs-file.js';

const folder = mkdtempSync(join(tmpdir(), 'emotune-runs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'runs.jsonl');

const workload: Workload = {
  model: 'small abc',
  rows: 'def',
  tokens: 1000,
  trainRows: 10,
  method: 'full',
  learningRate: 0.001,
  batchTokens: 256,
};
const nothing = { usual: [], otherwise: [] };
const run = (variant: string, seed: number): AblationRun => ({
  ...{ workload, variant, seed, seconds: 1, tokensPerSecond: 1000, objective: null },
  answers: { validation: nothing, test: nothing },
});

it('keeps runs, and goes on behind a line that was cut short', async () => {
  const fresh = await RunsFile.open(path, workload);
  expect(fresh.runs).toEqual([]);
  await fresh.add(run('reference', 1));
  appendFileSync(path, JSON.stringify(run('mixout', 1)).slice(0, 50));
  const again = await RunsFile.open(path, workload);
  expect([again.has('reference', 1), again.has('reference', 2), again.has('mixout', 1)]).toEqual([
    true,
    false,
    false,
  ]);
  await again.add(run('mixout', 1));
  expect((await RunsFile.open(path, workload)).runs).toEqual([run('reference', 1), run('mixout', 1)]);
  expect(readFileSync(path, 'utf8').split('\n')).toHaveLength(3);
});

it('refuses runs of another workload, and lines that are none', async () => {
  const other = RunsFile.open(path, { ...workload, tokens: 2000, rows: 'xyz' });
  await expect(other).rejects.toThrow(
    `${path}:1: expected a run of this ablation: rows "xyz", got "def"; tokens 2000, got 1000. Name another file for other runs`,
  );
  await expect(other).rejects.toBeInstanceOf(InvalidArgument);
  const torn = join(folder, 'torn.jsonl');
  writeFileSync(torn, '{"workload":\n');
  await expect(RunsFile.open(torn, workload)).rejects.toThrow(
    /torn\.jsonl:1: expected a run of an ablation, got/,
  );
  for (const line of ['7', 'null', '{"workload":null}']) {
    writeFileSync(torn, `${line}\n`);
    await expect(RunsFile.open(torn, workload)).rejects.toThrow(/model "small abc", got nothing/);
  }
});
