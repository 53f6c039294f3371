/** The trainer as the platform runs it: a process of its own, against a trial service over gRPC. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endingExitCodes } from '@emotune/base';
import { type JobStatus, ProcessRunner, reasonOfEnd, writeEnvironment } from '@emotune/jobs';
import { loadAdapter, loadModel, SafetensorsFile } from '@emotune/models';
import { FolderStore } from '@emotune/objects';
import { damageObject, smallDisk } from '@emotune/objects/testing';
import { tuning } from '@emotune/proto';
import { clientClass } from '@emotune/service/client';
import { parseSettings } from '@emotune/training';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { writeTinyInputs } from './testing.js';
import { trainOnce, tune } from './tune.js';

const { service } = clientClass('TrialService');

type Call<T> = ServerUnaryCall<T, object>;

/** Hands out one assignment and writes down what it hears. */
class TrialServer {
  assignment!: Partial<tuning.Assignment>;
  directive: tuning.Directive = tuning.Directive.DIRECTIVE_CONTINUE;
  /** Attempts that own the trial no longer. */
  readonly over = new Set<number>();
  readonly tokens = new Set<string>();
  readonly heartbeats: tuning.HeartbeatRequest[] = [];
  readonly finished: tuning.FinishTrialRequest[] = [];
  private readonly server = new Server();
  address = '';

  async start(port = 0): Promise<void> {
    const answer =
      <T extends { trial?: tuning.TrialReference | undefined }>(make: (request: T) => object) =>
      (call: Call<T>, callback: sendUnaryData<object>) => {
        this.tokens.add(String(call.metadata.get('authorization')[0]));
        if (this.over.has(call.request.trial!.attempt))
          callback({ code: status.ABORTED, details: 'another attempt owns the trial' });
        else callback(null, make(call.request));
      };
    this.server.addService(service, {
      GetAssignment: answer<tuning.GetAssignmentRequest>((request) => ({
        ...this.assignment,
        trial: request.trial,
      })),
      Heartbeat: answer<tuning.HeartbeatRequest>((request) => {
        this.heartbeats.push(request);
        return { directive: this.directive, reason: '' };
      }),
      FinishTrial: answer<tuning.FinishTrialRequest>((request) => {
        this.finished.push(request);
        return {};
      }),
    });
    const bound = await new Promise<number>((resolve, reject) =>
      this.server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
        error ? reject(error) : resolve(at),
      ),
    );
    this.address = `127.0.0.1:${bound}`;
  }

  stop(): void {
    this.server.forceShutdown();
  }

  get measurements(): tuning.Measurement[] {
    return [...this.heartbeats, ...this.finished].flatMap(({ measurements }) => measurements);
  }
}

function trainingSpec({ folds = 0, ...settings }: Record<string, number>): tuning.TrainingSpec {
  return {
    trialTokens: 0,
    finalScale: 0,
    threads: 0,
    memoryLimitMib: 0,
    folds,
    settings: { batchTokens: 256, validationExamples: 40, ...settings },
  };
}

let folder: string;
let server: TrialServer;
let objects: FolderStore;
let runner: ProcessRunner;

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

function openRunner(): ProcessRunner {
  return ProcessRunner.open({
    folder: join(folder, 'jobs'),
    entry: source('./main.ts'),
    environment: { PATH: '/usr/bin:/bin' },
    nodeArguments: [
      '--conditions=source',
      '--disable-warning=ExperimentalWarning',
      '--import',
      source('../../../scripts/source-loader.mjs'),
    ],
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'emotune-trainer-test-'));
  server = new TrialServer();
  await server.start();
  objects = await FolderStore.open(join(folder, 'objects'));
  runner = openRunner();
});
afterEach(async () => {
  await runner.close();
  server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function storeInputs(): Promise<void> {
  await objects.putFolder('models/tiny/v1', join(folder, 'inputs', 'base'));
  await objects.putFolder('features/f/v1/abc', join(folder, 'inputs', 'features'));
}

async function assign(
  more: Partial<tuning.Assignment> = {},
  inputs: Parameters<typeof writeTinyInputs>[1] = {},
): Promise<void> {
  await writeTinyInputs(join(folder, 'inputs'), inputs);
  await storeInputs();
  server.assignment = {
    kind: tuning.TrialKind.TRIAL_KIND_SEARCH,
    architecture: 'llama',
    baseModelPrefix: 'models/tiny/v1',
    featuresPrefix: 'features/f/v1/abc',
    trainSplits: ['train'],
    validationSplit: 'validation',
    parameters: { learningRate: 0.01, replay: 0.2 },
    training: trainingSpec({}),
    seed: 3,
    totalTokens: 12_000,
    outputPrefix: 'trials/exp/4',
    leaseSeconds: 20,
    originPrefix: '',
    originTokens: 0,
    lineageTokens: 0,
    ...more,
  };
}

async function startAttempt(attempt: number): Promise<string> {
  const name = `exp-t4-a${attempt}`;
  await runner.start({
    name,
    labels: {},
    annotations: {},
    environment: writeEnvironment({
      tuning: server.address,
      trial: { experiment: 'exp', number: 4, attempt },
      objects: objects.url,
      threads: 1,
    }),
    token: 'its token',
    resources: { cpus: 1, memoryMib: 0, gpus: 0 },
    ranks: 1,
    nodeSelector: {},
  });
  return name;
}

function log(name: string): string {
  const segments = join(folder, 'jobs', `${name}.log`);
  if (!existsSync(segments)) return '';
  return readdirSync(segments)
    .map((segment) => readFileSync(join(segments, segment), 'utf8'))
    .join('');
}

async function statusOf(name: string): Promise<JobStatus> {
  return (await runner.list()).find((job) => job.name === name)!;
}

async function poll(done: () => boolean | Promise<boolean>): Promise<void> {
  await vi.waitFor(async () => expect(await done()).toBe(true), { timeout: 200_000, interval: 20 });
}

/** Waits for something that a running attempt brings about. */
async function until(name: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  await poll(async () => (await holds()) || (await statusOf(name)).phase !== 'running');
  expect(await holds(), log(name)).toBe(true);
}

const measured = () => server.measurements.length > 0;

async function expectExit(name: string, exitCode: number): Promise<void> {
  await poll(async () => (await statusOf(name)).phase !== 'running');
  expect(await statusOf(name), log(name)).toMatchObject({ exitCode });
}

const pidOf = (name: string): number =>
  JSON.parse(readFileSync(join(folder, 'jobs', `${name}.job.json`), 'utf8')).pid;
const checkpointKeys = async () => (await objects.list('trials/exp/4/checkpoints/')).map(({ key }) => key);
/** Runs long and leaves checkpoints at every step but few. */
const long = {
  totalTokens: 5_000_000,
  training: trainingSpec({ checkpointSeconds: 0.2 }),
};

describe('the trainer', { timeout: 1_200_000 }, () => {
  it('trains a search trial, reports what it measures, and leaves nothing behind', async () => {
    await assign();
    await expectExit(await startAttempt(1), 0);
    expect([...server.tokens]).toEqual(['Bearer its token']);
    expect(log('exp-t4-a1')).not.toContain('its token');
    const [report] = server.finished;
    expect(report).toMatchObject({
      trial: { experiment: 'exp', number: 4, attempt: 1 },
      state: tuning.TrialState.TRIAL_STATE_SUCCEEDED,
      modelPrefix: '',
    });
    expect(report.tokens).toBeLessThanOrEqual(12_000);
    // Less than a row is left of each of four stages.
    expect(report.tokens).toBeGreaterThan(12_000 - 4 * 64);
    expect(report.tokensPerSecond).toBeGreaterThan(0);
    const objectives = server.measurements.filter(({ objective }) => objective != null);
    // Four stage ends at least.
    expect(objectives.length).toBeGreaterThanOrEqual(4);
    expect(report.objective).toBe(Math.min(...objectives.map(({ objective }) => objective!)));
    expect(objectives.find(({ objective }) => objective === report.objective)!.tokens).toBe(
      report.bestTokens,
    );
    // It has learnt: a uniform guess costs 2·ln 64 = 8.3 nats.
    expect(report.objective).toBeLessThan(3.5);
    const { values, trainLoss, learningRate, tokensPerSecond } = objectives[0];
    expect(Object.keys(values).sort()).toEqual([
      'objective/emotion-classification',
      'objective/emotion-regression',
      'objective/sentiment-classification',
      'objective/sentiment-regression',
    ]);
    // Three stages follow others.
    const told = objectives.filter((measured) => 'forgetting/backward-transfer' in measured.values);
    expect(told).toHaveLength(3);
    expect(told[2].values).toMatchObject({
      'forgetting/average': expect.any(Number),
      'forgetting/maximum': expect.any(Number),
      'forgetting/sentiment-classification': expect.any(Number),
    });
    for (const number of [trainLoss, learningRate, tokensPerSecond]) expect(number).toBeGreaterThan(0);
    expect(server.measurements.map(({ step }) => step)).toEqual(
      [...new Set(server.measurements.map(({ step }) => step))].sort((a, b) => a - b),
    );
    expect(await checkpointKeys()).toEqual([]);
    expect(existsSync(join(folder, 'jobs', 'exp-t4-a1.work'))).toBe(false);
  });

  it('goes on when its runner leaves it, and tells the next one how it ended', async () => {
    await assign(long);
    const name = await startAttempt(1);
    await poll(measured);
    await runner.detach();
    runner = openRunner();
    expect(await statusOf(name)).toMatchObject({ phase: 'running' });
    const before = server.measurements.length;
    await poll(() => server.measurements.length > before);
    server.directive = tuning.Directive.DIRECTIVE_STOP;
    await expectExit(name, 0);
    expect(server.finished).toMatchObject([{ state: tuning.TrialState.TRIAL_STATE_STOPPED }]);
  });

  it('stores the model of a final trial: weights, config and tokenizer', async () => {
    const final = {
      kind: tuning.TrialKind.TRIAL_KIND_FINAL,
      trainSplits: ['train', 'validation'],
      validationSplit: '',
      totalTokens: 6000,
    };
    await assign(final);
    await expectExit(await startAttempt(1), 0);
    expect(server.finished[0].objective ?? undefined).toBeUndefined();
    expect(server.finished[0].modelPrefix).toBe('trials/exp/4/model');
    const { path: saved } = await objects.folder('trials/exp/4/model');
    const [tuned, base] = [await loadModel(saved), await loadModel(join(folder, 'inputs', 'base'))];
    expect(tuned.tensors.get('model.norm.weight')!.data).not.toEqual(
      base.tensors.get('model.norm.weight')!.data,
    );
    for (const name of ['tokenizer.json', 'tokenizer_config.json'])
      expect(readFileSync(join(saved, name))).toEqual(readFileSync(join(folder, 'inputs', 'base', name)));

    server.assignment = {
      ...server.assignment,
      parameters: { method: 'lora', loraRank: 2 },
    };
    await runner.remove('exp-t4-a1');
    await objects.delete('trials/exp/4');
    await expectExit(await startAttempt(2), 0);
    const { path } = await objects.folder('trials/exp/4/model');
    const adapter = await loadAdapter(path, base.config);
    expect(adapter.lora.rank).toBe(2);
    expect(await objects.exists('trials/exp/4/model/tokenizer.json')).toBe(true);
  });

  it.each([
    'models/tiny/v1/model.safetensors',
    'models/tiny/v1/tokenizer.json',
    'features/f/v1/abc/train-00000.arrow',
  ])('learns nothing from damaged files (%s), names them, and waits for whole ones', async (key) => {
    await assign();
    damageObject(objects, key);
    await expectExit(await startAttempt(1), endingExitCodes.Damaged);
    expect(server.finished).toHaveLength(1);
    expect(server.finished[0].reason).toMatch(new RegExp(`^Damaged: ${key}: expected .* got .* again`));
    expect(server.measurements).toEqual([]);
    await storeInputs();
    await expectExit(await startAttempt(2), 0);
  });

  it('is interrupted by a full disk, and goes on once there is space', async (test) => {
    const disk = join(folder, 'disk');
    const unmount = smallDisk(disk, 2 ** 21);
    if (!unmount) return test.skip('only root may mount a small disk');
    const ballast = join(disk, 'ballast');
    // Again and again, since removed checkpoints leave some.
    let filling: NodeJS.Timeout | undefined;
    const fill = () => {
      try {
        for (;;) writeFileSync(ballast, Buffer.alloc(4096), { flag: 'a' });
      } catch {
        // It is full.
      }
    };
    try {
      objects = await FolderStore.open(join(disk, 'objects'));
      await assign(long);
      const name = await startAttempt(1);
      await until(name, async () => (await checkpointKeys()).length > 0);
      filling = setInterval(fill, 20);
      await expectExit(name, endingExitCodes.DiskFull);
      expect(server.finished[0].reason).toMatch(/^DiskFull: .*the disk is full \(ENOSPC\)/);
      expect((await checkpointKeys()).length).toBeGreaterThan(0);
      clearInterval(filling);
      rmSync(ballast);
      const before = server.measurements.length;
      const next = await startAttempt(2);
      await until(next, () => server.measurements.length > before);
      await runner.stop(next, 60);
      await expectExit(next, endingExitCodes.Interrupted);
    } finally {
      clearInterval(filling);
      unmount();
    }
  });

  it('ends where files are damaged that it maps, and passes over a damaged checkpoint', async () => {
    await assign(long);
    const name = await startAttempt(1);
    await until(name, async () => (await checkpointKeys()).length > 3);
    damageObject(objects, 'models/tiny/v1/model.safetensors');
    await expectExit(name, endingExitCodes.Damaged);
    expect(server.finished[0].reason).toMatch(/^Damaged: models.tiny.v1.model.safetensors: /);
    await storeInputs();
    const newest = (await checkpointKeys()).filter((key) => key.endsWith('tensors.safetensors')).at(-1)!;
    damageObject(objects, newest);
    const before = server.measurements.length;
    const next = await startAttempt(2);
    await until(next, () => server.measurements.length > before);
    expect(log(next)).toContain(`${newest}: expected`);
    await runner.stop(next, 60);
    await expectExit(next, endingExitCodes.Interrupted);
  });

  it("goes on from another trial's checkpoint, leaves its own, and makes its weights the model of a final trial", async () => {
    await assign({ lineageTokens: 24_000 });
    await expectExit(await startAttempt(1), 0);
    expect((await checkpointKeys()).length).toBeGreaterThan(0);
    const origin = { originPrefix: 'trials/exp/4/checkpoints', originTokens: 12_000 };
    server.assignment = { ...server.assignment, ...origin, outputPrefix: 'trials/exp/5' };
    const before = server.heartbeats.length;
    await expectExit(await startAttempt(2), 0);
    const [first, second] = server.finished;
    expect(second).toMatchObject({ state: tuning.TrialState.TRIAL_STATE_SUCCEEDED });
    const [{ step, tokens }] = server.heartbeats.slice(before).flatMap(({ measurements }) => measurements);
    expect(step).toBeLessThan(first.step);
    expect(tokens).toBeLessThan(first.tokens);
    // It has learnt on.
    expect(second.objective!).toBeLessThan(first.objective!);

    server.assignment = {
      ...server.assignment,
      kind: tuning.TrialKind.TRIAL_KIND_FINAL,
      trainSplits: ['train', 'validation'],
      validationSplit: '',
      totalTokens: 0,
      outputPrefix: 'trials/exp/6',
      originPrefix: 'trials/exp/5/checkpoints',
      originTokens: 24_000,
    };
    await expectExit(await startAttempt(3), 0);
    expect(server.finished[2]).toMatchObject({ step: 0, tokens: 0, modelPrefix: 'trials/exp/6/model' });
    const { path } = await objects.folder('trials/exp/6/model');
    const model = await loadModel(path);
    const { path: kept } = await objects.folder('trials/exp/5/checkpoints');
    const last = await SafetensorsFile.open(
      join(kept, readdirSync(kept).sort().at(-1)!, 'tensors.safetensors'),
    );
    for (const [name, { data }] of model.tensors) expect(data).toEqual((await last.float32(name)).data);
    await last.close();
    expect(await objects.list('trials/exp/6/checkpoints/')).toEqual([]);

    server.assignment = { ...server.assignment, originPrefix: 'trials/exp/9/checkpoints' };
    await expectExit(await startAttempt(4), 1);
    expect(server.finished[3]).toMatchObject({
      state: tuning.TrialState.TRIAL_STATE_FAILED,
      reason: expect.stringMatching(/^LostOrigin: .*there is none in trials\/exp\/9\/checkpoints/),
    });
  });

  it('goes on from the checkpoint of an attempt that was killed, with the same result', async () => {
    await assign({ ...long, totalTokens: 120_000 });
    const first = await startAttempt(1);
    await until(first, () => server.heartbeats.some(({ checkpoint }) => checkpoint !== ''));
    process.kill(pidOf(first), 'SIGKILL');
    await expectExit(first, 137);
    expect(server.finished).toEqual([]);
    const before = server.heartbeats.length;
    await expectExit(await startAttempt(2), 0);
    const second = server.heartbeats.slice(before).flatMap(({ measurements }) => measurements);
    const storedStep = Number(/step-(\d+)/.exec(server.heartbeats[before - 1].checkpoint)![1]);
    expect(second[0].step).toBeGreaterThan(storedStep);
    const straight = await trainOnce({
      baseModel: join(folder, 'inputs', 'base'),
      features: join(folder, 'inputs', 'features'),
      out: join(folder, 'out'),
      settings: parseSettings({
        learningRate: 0.01,
        replay: 0.2,
        batchTokens: 256,
        validationExamples: 40,
        seed: 3,
        tokens: 120_000,
      }),
    });
    expect(server.finished[0]).toMatchObject({
      objective: straight.best!.objective,
      bestTokens: straight.best!.tokens,
      step: straight.step,
    });
  });

  it('trains folds, and goes on in the second without training the first again', async () => {
    const folded = { training: trainingSpec({ folds: 2, checkpointSeconds: 0.2 }), totalTokens: 120_000 };
    await assign({ ...folded, validationSplit: '', finishedFolds: [] });
    const first = await startAttempt(1);
    await until(first, () =>
      server.heartbeats.some(({ checkpoint }) => checkpoint.startsWith('trials/exp/4/checkpoints/fold-1/')),
    );
    process.kill(pidOf(first), 'SIGKILL');
    await expectExit(first, 137);
    expect(server.finished).toEqual([]);
    expect((await checkpointKeys()).filter((key) => !key.includes('/fold-1/'))).toEqual([]);
    const [done] = server.heartbeats.at(-1)!.folds;
    const before = server.heartbeats.length;
    const objectives = server.measurements.filter(({ fold, objective }) => fold === 0 && objective != null);
    expect(done).toMatchObject({
      objective: Math.min(...objectives.map(({ objective }) => objective!)),
      step: objectives.at(-1)!.step,
    });
    server.assignment = { ...server.assignment, finishedFolds: [done] };
    await expectExit(await startAttempt(2), 0);
    const again = [...server.heartbeats.slice(before), ...server.finished].flatMap((r) => r.measurements);
    expect(new Set(again.map(({ fold }) => fold))).toEqual(new Set([1]));
    expect(again[0].step).toBeGreaterThan(done.step + 1);
    const [report] = server.finished;
    expect(report).toMatchObject({ state: tuning.TrialState.TRIAL_STATE_SUCCEEDED, folds: [done, {}] });
    expect(await checkpointKeys()).toEqual([]);

    // Each fold is as it would be by itself, from the base model and never interrupted.
    for (const [fold, { objective, bestTokens }] of report.folds.entries()) {
      const { best } = await tune(
        {
          baseModel: join(folder, 'inputs', 'base'),
          features: join(folder, 'inputs', 'features'),
          trainSplits: ['train'],
          validationSplit: '',
          fold: { fold, of: 2 },
          settings: parseSettings({
            learningRate: 0.01,
            replay: 0.2,
            batchTokens: 256,
            validationExamples: 40,
            seed: 3,
            tokens: 60_000,
          }),
        },
        {},
      );
      expect(best).toMatchObject({ objective, tokens: bestTokens });
    }
    expect(report.folds[1].step).toBe(report.step);
  });

  it('leaves a checkpoint and exits with 75 when it is asked to end', async () => {
    await assign({ ...long, training: trainingSpec({ checkpointSeconds: 3600 }) });
    const name = await startAttempt(1);
    await until(name, measured);
    expect(await checkpointKeys()).toEqual([]);
    await runner.stop(name, 60);
    await expectExit(name, 75);
    expect(await checkpointKeys()).toHaveLength(2);
    expect(server.finished).toEqual([]);
  });

  it('tells in its log why it cannot begin', async () => {
    await runner.start({
      name: 'exp-t4-a1',
      labels: {},
      annotations: {},
      environment: { EMOTUNE_TUNING: 'nowhere' },
      token: 'its token',
      resources: { cpus: 1, memoryMib: 0, gpus: 0 },
      ranks: 1,
      nodeSelector: {},
    });
    await expectExit('exp-t4-a1', 43);
    expect(log('exp-t4-a1')).toContain('EMOTUNE_TUNING: expected host:port');
  });

  it('counts as interrupted, at whatever moment of its start it is asked to end', async () => {
    await assign(long);
    const ways: ((name: string) => Promise<void>)[] = [
      async () => {},
      // Node.js has begun, and nothing is loaded.
      (name) => poll(() => existsSync(join(folder, 'jobs', `${name}.job.json`))),
      () => new Promise((resolve) => setTimeout(resolve, 300)),
      () => poll(() => server.tokens.size > 0),
      (name) => until(name, () => log(name).includes('"training"')),
    ];
    for (const [i, moment] of ways.entries()) {
      const name = await startAttempt(i + 1);
      await moment(name);
      await runner.stop(name, 60);
      await poll(async () => (await statusOf(name)).phase !== 'running');
      const { phase, ...end } = await statusOf(name);
      expect(reasonOfEnd({ ...end, phase: 'failed' }), log(name)).toMatch(/^Interrupted: /);
      expect(phase).toBe('failed');
    }
    expect(server.finished).toEqual([]);
  });

  it('leaves a checkpoint in the middle of a long step, of which nothing is kept', async () => {
    // Every epoch is one step, so the first of them is seldom over when the trainer is asked to end.
    const parameters = { gradientAccumulation: 100_000, curriculum: 'mixed' };
    await assign({ ...long, parameters, training: trainingSpec({ checkpointSeconds: 3600 }) });
    // One that is asked before its training has begun has nothing to leave: the next one is asked later.
    for (let attempt = 1; (await checkpointKeys()).length === 0; attempt++) {
      const before = server.heartbeats.length;
      const name = await startAttempt(attempt);
      await until(name, () => server.heartbeats.length >= before + 2 ** attempt);
      await runner.stop(name, 10);
      await expectExit(name, 75);
    }
    expect(await checkpointKeys()).toHaveLength(2);
    const steps = server.measurements.map(({ step }) => step);
    expect((await checkpointKeys())[0]).toContain(`step-${String(Math.max(0, ...steps)).padStart(9, '0')}/`);
  });

  it('leaves a checkpoint when the platform dies', async () => {
    await assign({ ...long, training: trainingSpec({ checkpointSeconds: 3600 }) });
    const name = await startAttempt(1);
    await until(name, measured);
    const { child } = (runner as unknown as { jobs: Map<string, { child: NodeJS.Process }> }).jobs.get(name)!;
    child.disconnect!();
    await expectExit(name, 75);
    expect(await checkpointKeys()).toHaveLength(2);
  });

  it('stops with what it has when it is told to, and takes a checkpoint when it is told to', async () => {
    await assign({ ...long, training: trainingSpec({ checkpointSeconds: 3600 }) });
    const name = await startAttempt(1);
    await until(name, measured);
    server.directive = tuning.Directive.DIRECTIVE_CHECKPOINT;
    await until(name, () => /checkpoints\/step-/.test(server.heartbeats.at(-1)!.checkpoint));
    server.directive = tuning.Directive.DIRECTIVE_STOP;
    await expectExit(name, 0);
    expect(server.finished[0].state).toBe(tuning.TrialState.TRIAL_STATE_STOPPED);
    expect(server.finished[0].tokens).toBeLessThan(long.totalTokens);
  });

  it('ends at once, without a word, when another attempt owns the trial', async () => {
    await assign(long);
    const name = await startAttempt(1);
    await until(name, measured);
    server.over.add(1);
    await expectExit(name, 1);
    expect(server.finished).toEqual([]);
  });

  it('goes on when the tuning service comes back, and leaves with a checkpoint when it does not', async () => {
    await assign({ ...long, leaseSeconds: 5, training: trainingSpec({ checkpointSeconds: 3600 }) });
    const name = await startAttempt(1);
    await until(name, measured);
    const { assignment, address } = server;
    server.stop();
    const heard = server;
    server = new TrialServer();
    server.assignment = assignment;
    await server.start(Number(address.split(':')[1]));
    await until(name, measured);
    expect(server.measurements[0].step).toBeGreaterThan(heard.measurements.at(-1)!.step);
    server.stop();
    await expectExit(name, 75);
    expect(await checkpointKeys()).toHaveLength(2);
  });

  it('reports a batch that cannot fit into memory, before it takes any', async () => {
    await assign({ parameters: { batchTokens: 2 ** 28 } });
    await expectExit(await startAttempt(1), 42);
    expect(server.finished[0].state).toBe(tuning.TrialState.TRIAL_STATE_INFEASIBLE);
    expect(server.finished[0].reason).toMatch(/^OutOfMemory: .*batchTokens/s);
  });

  it('reports a divergence, and features that were made for another model', async () => {
    await assign({ parameters: { learningRate: 1e6 } });
    await expectExit(await startAttempt(1), 44);
    const state = tuning.TrialState.TRIAL_STATE_INFEASIBLE;
    expect(server.finished[0]).toMatchObject({ state });
    expect(server.finished[0].reason).toMatch(
      /^Diverged: training diverged at step \d+: ((grad\.)?model\.\S+ is not finite|loss is)/,
    );
    rmSync(join(folder, 'inputs'), { recursive: true });
    await assign({ parameters: { optimizer: 'adafactor', beta1: 0.8 } });
    await expectExit(await startAttempt(3), 43);
    expect(server.finished[1].reason).toMatch(
      /^InvalidConfiguration: beta1: expected none with optimizer: adafactor/,
    );
    rmSync(join(folder, 'inputs'), { recursive: true });
    await assign({}, { vocabSize: 40 });
    await expectExit(await startAttempt(2), 43);
    expect(server.finished[2]).toMatchObject({ state });
    expect(server.finished[2].reason).toMatch(
      /^InvalidConfiguration: features\.train-\d+\.tokens: expected tokens below 40/,
    );
  });
});
