/** One attempt of a trial: fetch the assignment, train, report, store what came of it. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  endingExitCodes,
  NotFound,
  policyOf,
  type ResourceExhausted,
  Unavailable,
} from '@emotune/base';
import { meaningOf } from '@emotune/jobs';
import type { FolderLease, ObjectStore } from '@emotune/objects';
import { tuning } from '@emotune/proto';
import type { Client, Draft, Log } from '@emotune/service/client';
import { Interrupted, LostOrigin, type Measurement, type TrainHooks } from '@emotune/training';
import { inWordsOfSpec, settingsOf } from './assignment.js';
import { calibrate } from './calibrating.js';
import { CheckpointStore } from './checkpoint-store.js';
import { crossValidate } from './cross-validation.js';
import { Heartbeats, type Observed } from './heartbeats.js';
import { failureOf } from './outcome.js';
import { saveCalibrations, saveTuned, type Tuned, type Tuning, tune } from './tune.js';

export interface TrialOptions {
  readonly trial: tuning.TrialReference;
  readonly client: Client<tuning.TrialServiceClient>;
  readonly token: string;
  readonly objects: ObjectStore;
  readonly threads: number;
  readonly device?: string | undefined;
  /** A folder for what is written on the way. */
  readonly work: string;
  /** When it aborts, a checkpoint is stored and the attempt ends. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

const { TRIAL_STATE_STOPPED, TRIAL_STATE_SUCCEEDED } = tuning.TrialState;
const { TRIAL_KIND_FINAL } = tuning.TrialKind;
const callMs = 5000;
const retryMs = 500;
/** For the assignment, before there is a lease. */
const patienceMs = 30_000;

/** The tuning service did not answer for as long as it was worth waiting. */
class Unreachable extends Error {}

export class Trial {
  /** Folders that the attempt reads and maps weights from, until its work has ended. */
  private readonly held: FolderLease[] = [];

  constructor(private readonly options: TrialOptions) {}

  private async hold(prefix: string): Promise<FolderLease> {
    const folder = await this.options.objects.folder(prefix);
    this.held.push(folder);
    return folder;
  }

  private async release(): Promise<void> {
    await Promise.all(this.held.splice(0).map((folder) => folder.release()));
  }

  /** Repeats a call until it is answered. @throws Unreachable after `patience`; the answer, where it is an error for good. */
  private async insist<T>(patience: number, call: () => Promise<T>): Promise<T> {
    const { clock, signal } = this.options;
    const deadline = clock.now() + patience;
    for (;;) {
      try {
        return await call();
      } catch (error) {
        if (policyOf(error).final) throw error;
        if (clock.now() >= deadline || signal.aborted)
          throw new Unreachable((error as Error).message, { cause: error });
        const { retryAfterMs = retryMs } = error as Partial<ResourceExhausted>;
        await clock.sleep(retryAfterMs);
      }
    }
  }

  /** Runs the attempt to its end. The exit code of the process. */
  async run(): Promise<number> {
    const { trial, client, token, log } = this.options;
    const call = { token, deadlineMs: callMs };
    let assignment: tuning.Assignment;
    try {
      assignment = await this.insist(patienceMs, () => client.call('getAssignment', { trial }, call));
    } catch (error) {
      log.error('no assignment', { error });
      return error instanceof Unreachable ? endingExitCodes.Interrupted : endingExitCodes.Crashed;
    }
    const { architecture, parameters, totalTokens } = assignment;
    log.info('training', { ...trial, architecture, parameters, totalTokens });
    const leaseMs = assignment.leaseSeconds * 1000;
    const unreachable = new AbortController();
    let owned = true;
    let lose: (error: Error) => void = () => {};
    const lost = new Promise<never>((_, reject) => {
      lose = (error) => {
        owned = false;
        reject(error);
      };
    });
    lost.catch(() => {});
    const heartbeats = new Heartbeats({
      send: (measurements, checkpoint, folds) =>
        client.call(
          'heartbeat',
          { trial, measurements: [...measurements], checkpoint, folds: [...folds] },
          { token, deadlineMs: Math.min(callMs, leaseMs / 2) },
        ),
      leaseSeconds: assignment.leaseSeconds,
      clock: this.options.clock,
      onLost: (error) => lose(error),
      onUnreachable: (error) => unreachable.abort(new Unavailable(error.message, { cause: error })),
    });
    const checkpoints = new CheckpointStore(this.options.objects, `${assignment.outputPrefix}/checkpoints`);
    heartbeats.start();
    let report: Draft<tuning.FinishTrialRequest> | undefined;
    let exitCode = 0;
    const signal = AbortSignal.any([this.options.signal, unreachable.signal]);
    const work = this.work(assignment, heartbeats, checkpoints, signal, () => owned)
      .finally(() => this.release())
      .then(
        (result) => {
          report = result;
        },
        (error) => {
          ({ report, exitCode } = { report: undefined, ...failureOf(inWordsOfSpec(error)) });
          log[error instanceof Interrupted ? 'info' : 'error']('training ended early', { error, exitCode });
        },
      );
    try {
      await Promise.race([lost, work]);
      await heartbeats.close();
      if (!report) {
        if (!unreachable.signal.aborted)
          await heartbeats
            .tellLast()
            .catch((error) => log.warn('the last heartbeat was not heard', { error }));
        return exitCode;
      }
      const request = { trial, ...report, measurements: heartbeats.take() };
      await this.insist(leaseMs, () => client.call('finishTrial', request, call));
      // It waits for something outside, and goes on from its checkpoint.
      if (meaningOf(report.reason ?? '').waits) return exitCode;
      const { objective, tokens, step, tokensPerSecond } = report;
      log.info('trained', { step, tokens, objective, tokensPerSecond });
      // With others that may go on from it, its last checkpoint is the tuning service's to remove.
      const { kind, lineageTokens } = assignment;
      if (lineageTokens === 0 || kind === TRIAL_KIND_FINAL) await checkpoints.clear();
      return exitCode;
    } catch (error) {
      log.error('the trial is lost', { error });
      // Training ends after its step: a process that exits in the middle of one is aborted by the runtime.
      await work;
      return error instanceof Unreachable ? exitCode || endingExitCodes.Interrupted : endingExitCodes.Crashed;
    }
  }

  /** @throws LostOrigin */
  private async origin({ originPrefix }: tuning.Assignment): Promise<string> {
    try {
      return (await this.hold(originPrefix)).path;
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
      throw new LostOrigin(`there is none in ${originPrefix}`, { cause: error });
    }
  }

  private async work(
    assignment: tuning.Assignment,
    heartbeats: Heartbeats,
    checkpoints: CheckpointStore,
    signal: AbortSignal,
    owned: () => boolean,
  ): Promise<Draft<tuning.FinishTrialRequest>> {
    const { objects, threads, work, log } = this.options;
    const settings = settingsOf(assignment, this.options);
    const base = await this.hold(assignment.baseModelPrefix);
    const features = await this.hold(assignment.featuresPrefix);
    // Nothing counts that was learnt from files that were damaged meanwhile.
    const intact = async () => {
      await base.intact();
      await features.intact();
    };
    const baseModel = base.path;
    const request: Tuning = {
      baseModel,
      settings,
      features: features.path,
      trainSplits: assignment.trainSplits,
      validationSplit: assignment.validationSplit,
      // The final training takes in the rows that trials were compared by, but for those that calibrate it.
      ...(assignment.kind === TRIAL_KIND_FINAL ? { calibrationSplit: 'validation' } : {}),
    };
    const local = join(work, 'checkpoints');
    let stepped = false;
    const train = async (
      what: Tuning,
      store = checkpoints,
      folder = local,
      observed: (m: Measurement) => Observed = (m) => m,
    ): Promise<Tuned> => {
      await store.restore(folder, (error) => log.warn('a checkpoint is passed over', { error }));
      const hooks: TrainHooks = {
        checkpoints: folder,
        startFrom: assignment.originPrefix === '' ? undefined : () => this.origin(assignment),
        signal,
        onMeasurement: (measurement) => {
          const { step, tokens, objective, trainLoss, stage } = measurement;
          if (!stepped) log.info('first step', { step, startSeconds: process.uptime() });
          stepped = true;
          if (objective !== undefined) log.info('validated', { step, tokens, objective, trainLoss, stage });
          return owned() ? heartbeats.observe(observed(measurement)) : 'stop';
        },
        onCheckpoint: async (checkpoint) => {
          // The checkpoints are another attempt's now.
          if (!owned()) return;
          await intact();
          const stored = await store.store(checkpoint, settings.keepCheckpoints);
          log.info('checkpoint', { stored });
          heartbeats.checkpointed(stored);
        },
        onNotice: (text) => log.warn(text),
      };
      const tuned = await tune(what, hooks, this.options.clock);
      await intact();
      return tuned;
    };
    const folds = assignment.training?.folds ?? 0;
    if (folds > 1) {
      const place = (fold: number) => `fold-${fold}`;
      const each = { ...settings, tokens: Math.round(settings.tokens / folds) };
      return crossValidate({
        folds,
        finished: assignment.finishedFolds,
        signal,
        train: (fold, observed) =>
          train(
            { ...request, settings: each, fold: { fold, of: folds } },
            checkpoints.below(place(fold)),
            join(local, place(fold)),
            observed,
          ),
        tell: (ended) => heartbeats.foldsEnded(ended, signal),
        forget: async (fold) => {
          await checkpoints.below(place(fold)).clear();
          await rm(join(local, place(fold)), { recursive: true, force: true });
        },
      });
    }
    const tuned = await train(request);
    const report = {
      ...(tuned.best ? { objective: tuned.best.objective } : {}),
      bestTokens: tuned.best?.tokens ?? tuned.tokens,
      tokens: tuned.tokens,
      step: tuned.step,
      tokensPerSecond: tuned.tokensPerSecond,
    };
    if (tuned.stopped === 'directive') return { ...report, state: TRIAL_STATE_STOPPED };
    if (assignment.kind !== TRIAL_KIND_FINAL) return { ...report, state: TRIAL_STATE_SUCCEEDED };
    const folder = join(work, 'model');
    await rm(folder, { recursive: true, force: true });
    await saveTuned(folder, tuned, { baseModel, baseName: assignment.baseModelPrefix });
    const whole = tuned.method.name === 'full';
    const asked = whole ? { folder, threads } : { folder: baseModel, adapter: folder, threads };
    const calibrations = await calibrate(asked, tuned.teaching, tuned.held, signal);
    await intact();
    await saveCalibrations(folder, tuned.teaching, calibrations);
    log.info('calibrated', { rows: tuned.held.length, kinds: calibrations.length });
    const modelPrefix = `${assignment.outputPrefix}/model`;
    await objects.putFolder(
      modelPrefix,
      folder,
      tuned.method.name === 'full' ? 'config.json' : 'adapter_config.json',
    );
    return { ...report, state: TRIAL_STATE_SUCCEEDED, modelPrefix };
  }
}
