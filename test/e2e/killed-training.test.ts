/** `emotune train` as users run it, killed without warning again and again: run once more, it ends with the same model. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Rng } from '@emotune/base';
import { writeTinyInputs } from '@emotune/trainer/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { begin, type Running, until } from './platform-process.js';

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-killed-'));
  await writeTinyInputs(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function train(out: string): Running {
  writeFileSync(
    join(folder, `${out}.yaml`),
    JSON.stringify({
      model: 'base',
      features: 'features',
      out,
      tokens: 100_000,
      batchTokens: 128,
      gradientAccumulation: 2,
      ema: 0.9,
      optimizer: 'adafactor',
      validationExamples: 20,
      checkpointSeconds: 0.02,
      replay: 0.2,
      regularisation: { mixout: { rate: 0.1 }, dropout: { hidden: 0.1 } },
    }),
  );
  return begin(['train', '-f', `${out}.yaml`], { cwd: folder });
}

/** Names in a folder that a process may be changing. */
const namesIn = (path: string) => (existsSync(path) ? readdirSync(path) : []);

it('has the same weights to the bit', async () => {
  const straight = await train('straight').ended;
  expect([straight.code, straight.stderr]).toEqual([0, expect.any(String)]);
  const rng = Rng.of('kills');
  const checkpoints = join(folder, 'killed.checkpoints');
  for (let kills = 0; kills < 4; kills++) {
    const { child, ended } = train('killed');
    // Somewhere in the writing of a checkpoint or between two: as many changes of the folder as the draw says.
    let [changes, names] = [1 + rng.int(12), ''];
    await until('checkpoints', () => {
      const now = namesIn(checkpoints).join();
      if (now !== names && now !== '') [changes, names] = [changes - 1, now];
      return changes <= 0 || child.exitCode !== null;
    });
    child.kill('SIGKILL');
    expect((await ended).code).toBe(null);
    expect(existsSync(join(folder, 'killed'))).toBe(false);
  }
  const last = await train('killed').ended;
  expect([last.code, last.stderr]).toEqual([0, expect.any(String)]);
  const weights = (out: string) => readFileSync(join(folder, out, 'model.safetensors'));
  expect(weights('killed').equals(weights('straight'))).toBe(true);
});
