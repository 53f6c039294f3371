/** The services to be asked, in their process on real ground, with something of each kind to ask about. */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { FailedPrecondition, sha256, Unavailable } from '@emotune/base';
import { common, data, evaluation, featurization, files, tuning } from '@emotune/proto';
import { Channel, importCheckpoint } from '@emotune/service/client';
import type { FuzzedOrder, FuzzedReply, RunningTrial } from './fuzz-process.js';
import { experimentSpec, kept, studySpec, type World } from './fuzz-requests.js';
import { shippedModel } from './model-folder.js';

const model = 'emotune-llama-4m';
const rows = Buffer.from('text,label\nfine,4\nso so,2\nbad,1\n');

type Measured = FuzzedReply & { readonly type: 'measured' };

export interface FuzzedPlatform {
  /** host:port */
  readonly address: string;
  readonly world: World;
  measure(): Promise<Measured>;
  close(): Promise<void>;
}

/** Compiled, since it runs in a process of its own. */
const program = createRequire(import.meta.url).resolve('@emotune/lab/fuzz-process');

class FuzzedProcess {
  private readonly child: ChildProcess;
  private readonly ended: Promise<never>;
  /** The trial that was started last, also when it has ended. */
  newest: RunningTrial | undefined;

  constructor() {
    // What this process was started with, as tests are, may not be for compiled code.
    this.child = fork(program, { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.ended = once(this.child, 'exit').then(([code, signal]) => {
      throw new Unavailable(`the services ended: ${signal ?? code}`);
    });
    this.ended.catch(() => {});
    this.child.on('message', (reply: FuzzedReply) => {
      if (reply.type === 'running') this.newest = reply;
    });
  }

  /** @throws Unavailable when it has failed or ended. */
  async ask<T extends FuzzedReply['type']>(
    order: FuzzedOrder,
    awaited: T,
  ): Promise<FuzzedReply & { readonly type: T }> {
    const replied = new Promise<FuzzedReply & { readonly type: T }>((resolve, reject) => {
      const take = (reply: FuzzedReply) => {
        if (reply.type === 'failed') reject(new Unavailable(`the services did not start: ${reply.message}`));
        else if (reply.type === awaited) resolve(reply as FuzzedReply & { readonly type: T });
        else return;
        this.child.off('message', take);
      };
      this.child.on('message', take);
    });
    this.child.send(order);
    return Promise.race([replied, this.ended]);
  }

  async close(): Promise<void> {
    if (this.child.connected) this.child.disconnect();
    await this.ended.catch(() => {});
  }
}

async function untilReady(
  what: string,
  state: () => Promise<{ state: common.BuildState; failure: string }>,
  signal: AbortSignal,
) {
  for (;;) {
    const { state: now, failure } = await state();
    if (now === common.BuildState.BUILD_STATE_READY) return;
    if (now === common.BuildState.BUILD_STATE_FAILED) throw new FailedPrecondition(`${what}: ${failure}`);
    await delay(50, undefined, { signal });
  }
}

async function furnish(
  channel: Channel,
  process: FuzzedProcess,
  signal: AbortSignal,
): Promise<Omit<World, 'token'>> {
  const client = <C>(service: string) => channel.client<C>(service);
  const hash = sha256(rows);
  await client<files.FileServiceClient>('FileService').send(
    'upload',
    (async function* () {
      yield { header: { sha256: hash, bytes: rows.length, offset: 0 } };
      yield { chunk: rows };
    })(),
  );
  await importCheckpoint(channel, { name: model, path: shippedModel });
  const datasets = client<data.DatasetServiceClient>('DatasetService');
  await datasets.call('createDataset', {
    spec: { name: kept, sources: [{ corpus: 'emotune-demo', limit: 60 }] },
  });
  await untilReady('the dataset', () => datasets.call('getDataset', { name: kept }), signal);
  const sets = client<featurization.FeatureServiceClient>('FeatureService');
  await sets.call('createFeatureSet', { spec: { name: kept, dataset: kept, baseModels: [model] } });
  await untilReady('the feature set', () => sets.call('getFeatureSet', { name: kept }), signal);
  const experiments = client<tuning.ExperimentServiceClient>('ExperimentService');
  await experiments.call('createExperiment', { spec: experimentSpec({ model } as World, kept) as never });
  const evaluations = client<evaluation.EvaluationServiceClient>('EvaluationService');
  const { id } = await evaluations.call('evaluate', {
    model,
    dataset: { features: kept, split: 'test' },
    limit: 2,
  });
  await untilReady('the evaluation', () => evaluations.call('getEvaluation', { id }), signal);
  const studies = client<evaluation.StudyServiceClient>('StudyService');
  await studies.call('createStudy', { spec: studySpec(kept, id) as never });
  const { links } = await studies.call('openStudy', { name: kept });
  const [{ token: rater }] = links;
  await client<evaluation.RaterServiceClient>('RaterService').call(
    'joinStudy',
    { consent: true },
    { token: rater },
  );
  while (!process.newest) await delay(50, undefined, { signal });
  return {
    model,
    evaluation: id,
    sha256: hash,
    bytes: rows.length,
    rater,
    running: () => process.newest!,
  };
}

/** In a temporary folder. @throws FailedPrecondition or Unavailable when it cannot start. */
export async function startFuzzedPlatform(signal: AbortSignal): Promise<FuzzedPlatform> {
  const dir = await mkdtemp(join(tmpdir(), `emotune-bench-fuzz-${process.pid}-`));
  const platform = new FuzzedProcess();
  const close = async () => {
    await platform.close();
    await rm(dir, { recursive: true, force: true });
  };
  const token = randomBytes(32).toString('base64url');
  try {
    const { address } = await platform.ask({ type: 'open', dir, token }, 'opened');
    const channel = Channel.connect(address, { token });
    const world = await furnish(channel, platform, signal).finally(() => channel.close());
    return {
      address,
      world: { ...world, token },
      measure: () => platform.ask({ type: 'measure' }, 'measured'),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
