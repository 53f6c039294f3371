/**
 * Whatever happens in whatever order, the rules hold: trainers die, messages come twice, late, in another order or never,
 * the controller is killed between what it recorded and what it did about it, and clocks jump. The world around is
 * simulated; what is decided, recorded and answered is the service's own.
 */
import { Aborted, FailedPrecondition, Rng } from '@emotune/base';
import type { JobStatus } from '@emotune/jobs';
import { mean, type TrialCurve } from '@emotune/search';
import { expect, it } from 'vitest';
import { cancelled, enqueued, paused, raised, resumed } from './commands.js';
import { gpuHoursSpent } from './cost.js';
import type { Action } from './decide.js';
import {
  answer,
  assertOwner,
  checkReport,
  type FinalReport,
  finished,
  judged,
  type Measured,
  measure,
  type Owner,
  unwanted,
  withFolds,
} from './reports.js';
import { planOf } from './spec.js';
import {
  type Attempt,
  type Experiment,
  type Fold,
  foldScores,
  hasEnded,
  isOpen,
  jobName,
  type Trial,
} from './state.js';
import { boundFeatures, experimentSpec } from './testing.js';
import {
  advance,
  assertAttemptMayBecome,
  assertMayBecome,
  newExperiment,
  withModel,
  withoutCheckpoints,
} from './transitions.js';

const worlds = 80;
const eventsEach = 140;
const leaseMs = 30_000;
const stepsOfTrial = 6;
const stepsOfFold = 2;

type Place = { readonly trial: number; readonly attempt: number };
type Message = Place & {
  readonly measurements: readonly Measured[];
  /** That have ended. */
  readonly folds: readonly Fold[];
  readonly report?: FinalReport;
};

interface Trainer extends Place {
  /** Steps that its trial's checkpoint holds. */
  step: number;
  /** Folds of which it knows that the service has heard. */
  heard: number;
  stopping: boolean;
  told: boolean;
  reported: boolean;
}

interface Job {
  status: JobStatus;
  readonly trainer: Trainer;
}

const prunings = [
  { name: 'none' },
  { name: 'patience', settings: { patience: 2 } },
  { name: 'median', settings: { startUpTrials: 1, warmUp: 20 }, compareAll: true },
  {
    name: 'asha',
    settings: { minExamples: 20, warmUp: 0, reductionFactor: 2 },
    variant: 'promote',
    compareAll: true,
  },
];
const foldPrunings = [
  { name: 'none' },
  { name: 'wilcoxon', settings: { pThreshold: 0.3 }, compareAll: true },
];

/** As every attempt of a trial trains it. */
function foldOf(trial: number, fold: number): Fold {
  const step = stepsOfFold * (fold + 1);
  return {
    objective: 1 + trial / 10 + fold / 100,
    bestTokens: 10 + fold,
    step,
    tokens: (100 * step) / stepsOfTrial,
    examples: 10 * step,
    elapsedSeconds: step,
  };
}

class World {
  readonly trace: string[] = [];
  private readonly rng: Rng;
  experiment: Experiment;
  private now = 1_000_000;
  private skew = 0;
  private effects: (() => void)[] = [];
  readonly jobs = new Map<string, Job>();
  private inFlight: Message[] = [];
  private lost: Message[] = [];
  /** By trial, attempt and step. */
  private readonly stored = new Map<string, Measured>();
  private readonly checkpoints = new Map<number, number>();
  private readonly terminal = new Map<number, Trial>();
  private endedWith: { state: string; attempts: number; trials: number } | undefined;
  refused = 0;
  /** Attempts that go on from another trial. */
  lineages = 0;

  constructor(readonly seed: number) {
    this.rng = Rng.of('interleavings', seed);
    const lineages = seed % 5 === 4;
    const folded = seed % 5 === 3;
    const prune = folded ? foldPrunings : prunings;
    const plan = planOf(
      experimentSpec({
        limits: {
          maxTrials: (lineages ? 4 : 2) + this.rng.int(6),
          parallelTrials: 1 + this.rng.int(4),
          maxAttempts: 1 + this.rng.int(3),
          maxInterruptions: 2 + this.rng.int(4),
          maxFailedTrials: 2 + this.rng.int(3),
          ...(this.rng.int(4) === 0 ? { maxGpuHours: 0.2 } : {}),
          ...(this.rng.int(4) === 0 ? { maxTokens: 400 } : {}),
          ...(this.rng.int(6) === 0 ? { maxDurationSeconds: 900 } : {}),
        },
        training: { trialTokens: 100, batchTokens: 16, folds: folded ? stepsOfTrial / stepsOfFold : 0 },
        searchAlgorithm: lineages ? { name: 'pbt', settings: { population: 2 } } : { name: 'random' },
        earlyStopping: prune[lineages ? 0 : this.rng.int(prune.length)],
      }),
    );
    this.experiment = {
      ...newExperiment(plan, [], [], this.now),
      features: boundFeatures,
      rates: new Map([['opt', { tokensPerSecond: 1, basis: 'measured', trials: 1 }]]),
      curves: () => this.curves(),
      listeningSince: this.now,
      leaseMs,
    };
  }

  private chance(share: number): boolean {
    return this.rng.uniform() < share;
  }

  private pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.rng.int(items.length)];
  }

  private clock(): number {
    return this.now + this.skew;
  }

  private curves(): TrialCurve[] {
    return this.experiment.trials
      .filter(({ kind }) => kind === 'search')
      .map((trial) => {
        const { number, state, parameters, judgedAt } = trial;
        const points = new Map<number, number>();
        for (const [place, m] of this.stored)
          if (place.startsWith(`${number}/`) && m.objective !== undefined)
            points.set(m.examples, m.objective);
        return {
          number,
          parameters,
          judgedAt,
          folds: foldScores(trial),
          state: state === 'queued' || state === 'cancelled' ? 'running' : state,
          points: [...points]
            .sort(([a], [b]) => a - b)
            .map(([examples, objective]) => ({ examples, values: [objective] })),
        };
      });
  }

  // The controller.

  private reconcile(): void {
    const jobs = new Map([...this.jobs].map(([name, { status }]) => [name, status]));
    const before = { ...this.experiment, jobs };
    const spentBefore = gpuHoursSpent(before, this.clock());
    const { experiment, acts } = advance(before, this.clock());
    assertMayBecome(before, experiment);
    this.experiment = experiment;
    for (const trial of experiment.trials) {
      const known = before.trials[trial.number]?.attempts.length ?? 0;
      for (const { number } of trial.attempts.slice(known)) {
        this.effects.push(() => this.startJob({ trial: trial.number, attempt: number }));
        const { maxGpuHours } = experiment.plan.limits;
        if (maxGpuHours > 0 && trial.kind === 'search' && number === 1)
          this.assert(spentBefore < maxGpuHours, 'budget');
      }
    }
    for (const act of acts) this.effects.push(() => this.act(act));
  }

  private act(action: Action): void {
    const job =
      action.type === 'stop-job' || action.type === 'remove-job' ? this.jobs.get(action.job) : undefined;
    if (action.type === 'stop-job' && job) job.trainer.stopping = true;
    if (action.type === 'remove-job' && job?.status.phase !== 'running') this.jobs.delete(action.job);
    const { experiment } = this;
    const { model } = experiment;
    if (action.type === 'clear-checkpoints') {
      this.checkpoints.delete(action.trial);
      this.experiment = withoutCheckpoints(experiment, [action.trial]);
    }
    if (action.type === 'store-model' && experiment.state === 'finalizing' && !model)
      this.experiment = withModel(experiment, 'run@1');
    if (action.type === 'register-model' && model)
      this.experiment = { ...experiment, model: { ...model, state: 'registered' } };
  }

  private startJob({ trial, attempt }: Place): void {
    const name = jobName('run', trial, attempt);
    if (this.jobs.has(name)) return;
    const status: JobStatus = { name, labels: {}, phase: 'running' };
    const { trials } = this.experiment;
    const { origin, attempts, folds } = trials[trial];
    if (origin !== null && trials[origin].state === 'succeeded' && attempts[attempt - 1].outcome === null) {
      this.assert(this.checkpoints.has(origin), 'the checkpoint to go on from is gone');
      this.lineages++;
    }
    const heard = folds.length;
    const step = Math.max(this.checkpoints.get(trial) ?? 0, stepsOfFold * heard);
    const trainer = { trial, attempt, step, heard, stopping: false, told: false, reported: false };
    this.jobs.set(name, { status, trainer });
  }

  private restart(): void {
    this.effects = [];
    this.skew = this.chance(0.5) ? 0 : (this.rng.uniform() - 0.5) * 120_000;
    this.experiment = { ...this.experiment, listeningSince: this.clock() };
  }

  // Trainers and what they say.

  private running(): Job[] {
    return [...this.jobs.values()].filter(({ status }) => status.phase === 'running');
  }

  private exit(job: Job, exitCode: number | undefined, cause?: string): void {
    const phase = exitCode === 0 ? 'succeeded' : 'failed';
    job.status = {
      ...job.status,
      phase,
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(cause === undefined ? {} : { cause }),
    };
  }

  private objective(trainer: Trainer, faults: boolean): number | undefined {
    if (faults && this.chance(0.06)) return [Number.NaN, Infinity, -Infinity][this.rng.int(3)];
    return trainer.step % 2 === 0 ? 1 + trainer.trial / 10 + 1 / (1 + trainer.step) : undefined;
  }

  private hasFolds(trial: number): boolean {
    const { plan, trials } = this.experiment;
    return plan.training.folds > 1 && trials[trial].kind === 'search';
  }

  private train(job: Job, faults: boolean): void {
    const { trainer } = job;
    const { trial, attempt } = trainer;
    const ended = this.hasFolds(trial) ? Math.floor(trainer.step / stepsOfFold) : 0;
    const folds = Array.from({ length: ended }, (_, fold) => foldOf(trial, fold));
    if (trainer.reported) {
      this.exit(job, 0);
      return;
    }
    if (trainer.stopping) {
      this.checkpoints.set(trial, trainer.step);
      this.exit(job, faults && this.chance(0.3) ? 137 : 75);
      return;
    }
    if (trainer.told || trainer.step >= stepsOfTrial) {
      const state = trainer.told ? 'stopped' : 'succeeded';
      const tokens = (100 * trainer.step) / stepsOfTrial;
      const report: FinalReport = {
        state,
        reason: '',
        objective: this.objective({ ...trainer, step: 2 * trainer.step }, faults),
        step: trainer.step,
        tokens,
        bestTokens: tokens,
        modelPrefix: 'model',
        tokensPerSecond: 0,
      };
      trainer.reported = true;
      this.checkpoints.set(trial, trainer.step);
      this.inFlight.push({ trial, attempt, measurements: [], folds, report });
      return;
    }
    if (ended > trainer.heard) {
      this.inFlight.push({ trial, attempt, measurements: [], folds });
      return;
    }
    trainer.step++;
    const { step } = trainer;
    const objective = this.objective(trainer, faults);
    const m = {
      step,
      tokens: (100 * step) / stepsOfTrial,
      examples: 10 * step,
      elapsedSeconds: step,
      ...(this.hasFolds(trial) ? { fold: ended } : {}),
    };
    this.inFlight.push({
      trial,
      attempt,
      folds,
      measurements: [{ ...m, ...(objective === undefined ? {} : { objective }) }],
    });
    if (this.chance(0.5)) this.checkpoints.set(trial, step);
  }

  private die(job: Job): void {
    const [exitCode, cause] = this.pick<[number | undefined, string?]>([
      ...([[1], [42], [44], [75], [137]] as [number][]),
      [undefined, 'NodeLost'],
      [undefined, 'ErrImagePull'],
    ])!;
    this.exit(job, exitCode, cause);
  }

  /** The service hears a message; the trainer may hear the answer. */
  private deliver(message: Message, replyLost: boolean): void {
    const { experiment } = this;
    const trial = experiment.trials[message.trial];
    const attempt = trial.attempts[message.attempt - 1];
    const { attempts: _, ...own } = trial;
    const { state, checkpointAsks } = experiment;
    const owner: Owner = { state, checkpointAsks, trial: own, attempt };
    const over = attempt.outcome !== null && attempt.outcome !== 'cancelled';
    try {
      checkReport(message.measurements, message.folds);
      const directive = message.report ? this.finish(owner, message) : this.heartbeat(owner, message);
      const job = this.jobs.get(jobName('run', message.trial, message.attempt));
      if (job && !replyLost) {
        if (directive === 'stop') job.trainer.told = true;
        job.trainer.heard = Math.max(job.trainer.heard, message.folds.length);
      }
      this.assert(!over || message.report !== undefined, 'a zombie was heard');
    } catch (error) {
      if (!(error instanceof Aborted || error instanceof FailedPrecondition)) throw error;
      this.refused++;
      this.assert(this.experiment === experiment, 'a refusal changes nothing');
    }
  }

  private heartbeat(owner: Owner, message: Message): string {
    assertOwner(owner);
    if (unwanted(owner) !== undefined) return 'stop';
    const heard = this.measure(owner, message);
    const replied = answer(heard, '', this.clock(), leaseMs);
    this.keep({ ...heard, attempt: replied.attempt });
    return replied.answer.directive;
  }

  private finish(owner: Owner, message: Message): string {
    const { outcome } = owner.attempt;
    if (outcome === 'lost') assertOwner(owner);
    if (outcome === null && unwanted(owner) === undefined)
      this.keep(finished(this.measure(owner, message), message.report!, this.clock()));
    return 'continue';
  }

  private measure(owner: Owner, { measurements, folds }: Message): Owner {
    const prefix = `${owner.trial.number}/${owner.attempt.number}/`;
    const known = [...this.stored.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => Number(key.slice(prefix.length)));
    const { owner: before, fresh } = measure(owner, measurements, new Set(known));
    const heard = withFolds(before, folds);
    for (const m of fresh) {
      this.assert(!this.stored.has(`${prefix}${m.step}`), 'a step counts once');
      this.assert(m.step > Math.max(-1, ...known), 'steps go up');
      this.stored.set(`${prefix}${m.step}`, m);
    }
    if (
      heard === before &&
      !fresh.some(({ objective, fold }) => objective !== undefined && fold === undefined)
    )
      return heard;
    const curves = this.curves();
    return judged(
      heard,
      { ...curves.find(({ number }) => number === owner.trial.number)!, folds: foldScores(heard.trial) },
      curves,
      this.experiment.plan,
      this.clock(),
    );
  }

  private keep({ trial, attempt }: Owner): void {
    const { trials } = this.experiment;
    const { attempts } = trials[trial.number];
    assertAttemptMayBecome('run', attempts[attempt.number - 1], attempt);
    const changed: Trial = { ...trial, attempts: attempts.with(attempt.number - 1, attempt) };
    this.experiment = { ...this.experiment, trials: trials.with(trial.number, changed) };
  }

  // People.

  private command(): void {
    const { experiment } = this;
    const { algorithm, limits } = experiment.plan;
    const { maxTrials, parallelTrials } = limits;
    const wanted = {
      ...(algorithm.name === 'pbt' ? {} : { maxTrials: maxTrials + 1 }),
      parallelTrials: parallelTrials + 1,
    } as typeof limits;
    const values = { learningRate: 1e-3 };
    const wishes: [number, () => Experiment][] = [
      [4, () => paused(experiment)],
      [5, () => resumed(experiment)],
      [0.4, () => cancelled(experiment, this.clock())],
      [2, () => raised(experiment, wanted)],
      [2, () => enqueued(experiment, values, this.clock())],
    ];
    let at = this.rng.uniform() * wishes.reduce((sum, [weight]) => sum + weight, 0);
    const wish = wishes.find(([weight]) => {
      at -= weight;
      return at < 0;
    })![1];
    try {
      const after = wish();
      assertMayBecome(experiment, after);
      this.experiment = after;
    } catch (error) {
      if (!(error instanceof FailedPrecondition)) throw error;
    }
  }

  private evaluate(): void {
    const { model } = this.experiment;
    if (model?.state === 'trained')
      this.experiment = { ...this.experiment, model: { ...model, evaluation: { failure: '' } } };
  }

  // What happens.

  event(): void {
    const happenings: Record<string, [number, () => void]> = {
      reconcile: [18, () => this.reconcile()],
      effect: [20, () => this.effects.splice(this.rng.int(this.effects.length || 1), 1)[0]?.()],
      train: [
        30,
        () => {
          const job = this.pick(this.running());
          if (job) this.train(job, true);
        },
      ],
      die: [
        3,
        () => {
          const job = this.pick(this.running());
          if (job) this.die(job);
        },
      ],
      deliver: [
        24,
        () => {
          const i = this.rng.int(this.inFlight.length || 1);
          const message = this.inFlight[i];
          if (!message) return;
          // Some come twice.
          if (!this.chance(0.2)) this.inFlight.splice(i, 1);
          this.deliver(message, this.chance(0.1));
        },
      ],
      drop: [3, () => this.lost.push(...this.inFlight.splice(this.rng.int(this.inFlight.length || 1), 1))],
      replay: [4, () => this.inFlight.push(...this.lost.splice(this.rng.int(this.lost.length || 1), 1))],
      restart: [3, () => this.restart()],
      time: [10, () => (this.now += this.chance(0.1) ? 60_000 : 3_000 * this.rng.uniform())],
      command: [2, () => this.command()],
      evaluate: [1, () => this.evaluate()],
    };
    let at = this.rng.uniform() * Object.values(happenings).reduce((sum, [weight]) => sum + weight, 0);
    for (const [name, [weight, happen]] of Object.entries(happenings)) {
      at -= weight;
      if (at >= 0) continue;
      this.trace.push(name);
      happen();
      break;
    }
    this.check();
  }

  /** Nothing goes wrong any more. */
  settle(): void {
    this.skew = 0;
    for (let round = 0; round < 400; round++) {
      if (this.experiment.state === 'paused')
        this.experiment = {
          ...this.experiment,
          state: this.experiment.startedAt === null ? 'waiting' : 'running',
        };
      this.reconcile();
      for (const effect of this.effects.splice(0)) effect();
      for (const job of this.running()) this.train(job, false);
      for (const message of this.inFlight.splice(0)) this.deliver(message, false);
      this.evaluate();
      this.now += 5_000;
      this.check();
      const { state, trials } = this.experiment;
      const left = trials.some((trial) => isOpen(trial) || trial.keepsCheckpoint);
      if (hasEnded(state) && this.jobs.size === 0 && !left) return;
    }
  }

  private assert(holds: boolean, what: string): void {
    if (!holds)
      throw new Error(
        `${what}; world ${this.seed}, ${this.trace.length} events: ${this.trace.slice(-12).join(' ')}`,
      );
  }

  private check(): void {
    const { state, trials, plan } = this.experiment;
    const { limits } = plan;
    const attemptsOf = (of: (attempt: Attempt) => boolean) => (trial: Trial) =>
      trial.attempts.filter(of).length;
    const search = trials.filter(({ kind }) => kind === 'search');
    this.assert(search.length <= limits.maxTrials, 'more than maxTrials');
    this.assert(
      search.filter((trial) => trial.state === 'running').length <= limits.parallelTrials,
      'more than parallelTrials',
    );
    if (limits.maxTokens > 0)
      this.assert(
        search.reduce((sum, { tokens }) => sum + tokens, 0) <= limits.maxTokens,
        'more than maxTokens',
      );
    for (const trial of trials) {
      const { folds } = trial;
      expect(folds).toEqual(folds.map((_, fold) => foldOf(trial.number, fold)));
      if (this.hasFolds(trial.number)) {
        const objective = folds.length === 0 ? null : mean(Object.values(foldScores(trial)));
        this.assert(trial.objective === objective, 'an objective that is not the mean of the folds');
        this.assert(
          trial.state !== 'succeeded' || folds.length === plan.training.folds,
          'a whole trial without all folds',
        );
      } else this.assert(folds.length === 0, 'folds that nobody asked for');
      const open = attemptsOf(({ outcome }) => outcome === null)(trial);
      this.assert(
        open <= 1 && (open === 0 || trial.state === 'running'),
        'two owners, or one of a trial that is over',
      );
      const charged = attemptsOf(({ outcome }) => outcome === 'failed' || outcome === 'lost')(trial);
      this.assert(charged <= limits.maxAttempts, 'more than maxAttempts');
      const before = this.terminal.get(trial.number);
      const record = { ...trial, keepsCheckpoint: false };
      if (before) expect(record, `trial ${trial.number} changed after its end`).toEqual(before);
      else if (!isOpen(trial)) this.terminal.set(trial.number, record);
    }
    const attempts = trials.reduce((sum, trial) => sum + trial.attempts.length, 0);
    if (this.endedWith) expect({ state, attempts, trials: trials.length }).toEqual(this.endedWith);
    else if (hasEnded(state)) this.endedWith = { state, attempts, trials: trials.length };
  }
}

it('whatever happens in whatever order, each trial ends once, limits hold and nothing outlives the experiment', () => {
  const ends: Record<string, number> = {};
  let [refused, lineages] = [0, 0];
  for (let seed = 0; seed < worlds; seed++) {
    const world = new World(seed);
    for (let i = 0; i < eventsEach; i++) world.event();
    world.settle();
    const { state, trials } = world.experiment;
    expect(hasEnded(state), `world ${seed} ended`).toBe(true);
    expect([...world.jobs.keys()], `jobs left in world ${seed}`).toEqual([]);
    for (const trial of trials) {
      expect(isOpen(trial), `trial ${trial.number} of world ${seed}`).toBe(false);
      expect(trial.keepsCheckpoint, `checkpoint of trial ${trial.number} of world ${seed}`).toBe(false);
      expect(trial.attempts.every(({ outcome }) => outcome !== null)).toBe(true);
      ends[trial.state] = (ends[trial.state] ?? 0) + 1;
      if (trial.folds.length > 0) ends['of folds'] = (ends['of folds'] ?? 0) + 1;
    }
    ends[`experiment ${state}`] = (ends[`experiment ${state}`] ?? 0) + 1;
    refused += world.refused;
    lineages += world.lineages;
  }
  // The worlds are not all alike, or this would show little.
  for (const end of ['succeeded', 'stopped', 'failed', 'infeasible', 'cancelled', 'of folds'])
    expect(ends[end], JSON.stringify(ends)).toBeGreaterThan(5);
  for (const end of ['experiment succeeded', 'experiment failed', 'experiment cancelled'])
    expect(ends[end], JSON.stringify(ends)).toBeGreaterThan(0);
  expect(refused).toBeGreaterThan(100);
  expect(lineages).toBeGreaterThan(20);
});
