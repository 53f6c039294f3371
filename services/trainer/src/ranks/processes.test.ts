import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endingExitCodes, policyOf } from '@emotune/base';
import { SafetensorsFile } from '@emotune/models';
import { LostRank, parseSettings } from '@emotune/training';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeTinyInputs } from '../testing.js';
import { type TrainOnceOptions, trainOnce } from '../tune.js';
import { RankLink } from './link.js';

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-ranks-'));
  await writeTinyInputs(folder);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const given = { tokens: 3_000, batchTokens: 128, gradientAccumulation: 2, validationExamples: 40, seed: 3 };

const run = (name: string, settings: object, hooks: Partial<TrainOnceOptions> = {}) =>
  trainOnce({
    baseModel: join(folder, 'base'),
    features: join(folder, 'features'),
    out: join(folder, name),
    settings: parseSettings({ ...given, ...settings }),
    ...hooks,
  });

async function weightsOf(name: string): Promise<Map<string, Float32Array>> {
  const file = await SafetensorsFile.open(join(folder, name, 'model.safetensors'));
  try {
    const read = [...file.entries.keys()].map(
      async (tensor) => [tensor, (await file.float32(tensor)).data as Float32Array] as const,
    );
    return new Map(await Promise.all(read));
  } finally {
    await file.close();
  }
}

async function deviation(some: string, other: string): Promise<number> {
  const [a, b] = [await weightsOf(some), await weightsOf(other)];
  return Math.max(
    ...[...a].map(([name, values]) =>
      values.reduce((most, x, i) => Math.max(most, Math.abs(x - b.get(name)![i])), 0),
    ),
  );
}

/** The processes that this one has started. */
const children = () =>
  execFileSync('ps', ['-o', 'pid=,args=', '--ppid', `${process.pid}`], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('rank-main'))
    .map((line) => Number.parseInt(line.trim(), 10));

it('processes of one run come to the weights of one process', async () => {
  await run('one', {});
  const result = await run('two', { ranks: 2 });
  expect(result.best!.objective).toBeGreaterThan(0);
  // The same sums in another order, of float32.
  expect(await deviation('one', 'two')).toBeLessThan(1e-5);
  expect(children()).toEqual([]);
});

it('a rank that is killed ends the run, which goes on from its checkpoint to the same end', async () => {
  await run('whole', { ranks: 2 });
  const checkpoints = join(folder, 'checkpoints');
  const killed = run(
    'resumed',
    { ranks: 2, checkpointSeconds: 1e-9 },
    {
      checkpoints,
      onMeasurement: ({ step }) => {
        if (step === 5) for (const pid of children()) process.kill(pid, 'SIGKILL');
        return 'continue';
      },
    },
  );
  await expect(killed).rejects.toThrow(
    'rank 1 is gone (signal SIGKILL); run it again to go on from the last checkpoint',
  );
  const steps: number[] = [];
  await run(
    'resumed',
    { ranks: 2, checkpointSeconds: 1e-9 },
    {
      checkpoints,
      onMeasurement: ({ step }) => {
        steps.push(step);
        return 'continue';
      },
    },
  );
  expect(steps[0]).toBeGreaterThan(4);
  expect(await deviation('whole', 'resumed')).toBe(0);
});

it('ends as the rank does that fails first', async () => {
  const diverging = run('diverged', { ranks: 2, learningRate: 1e30 });
  const error = await diverging.catch((thrown) => thrown);
  expect(policyOf(error).ending).toBe('Diverged');
  expect(children()).toEqual([]);
  expect(new LostRank('rank 1: x', 'OutOfMemory').policy.exitCode).toBe(endingExitCodes.OutOfMemory);
});

it('a rank hears nobody without the token of the run, and no second one before it', async () => {
  const { link, address } = await RankLink.listen('secret', 1);
  const answerTo = (token: string) =>
    new Promise<string>((resolve) => {
      const client = new Client(address, credentials.createInsecure());
      const metadata = new Metadata();
      metadata.set('authorization', token);
      const bytes = (b: Buffer) => b;
      const stream = client.makeClientStreamRequest(
        '/emotune.training.v1.RankService/Pass',
        bytes,
        bytes,
        metadata,
        (error) => {
          resolve(error?.details ?? 'heard');
          client.close();
        },
      );
      stream.on('error', () => {});
      stream.write(Buffer.from('garbage'));
      if (token === 'secret') setTimeout(() => stream.end(), 200);
    });
  expect(await answerTo('guess')).toBe('expected the token of the run');
  const first = answerTo('secret');
  expect(Buffer.from(await link.receive()).toString()).toBe('garbage');
  expect(await answerTo('secret')).toBe('expected one rank before this one');
  expect(await first).toBe('heard');
  await expect(link.receive()).rejects.toThrow('rank 1: the rank before it has ended');
  link.close();
});
