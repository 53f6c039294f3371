/** What trials take and cost: throughput from elsewhere first, then from the experiment's own trials. */
import { lineageOf, untried } from '@emotune/search';
import { architectureOf } from './architecture.js';
import { attemptMs, hoursOf, recordsOf } from './records.js';
import { type Plan, searchTokens } from './spec.js';
import { type Experiment, isOpen, searchTrials, type Trial } from './state.js';

export interface Rate {
  /** The speed of one trial, with everything that it does beside training. */
  readonly tokensPerSecond: number;
  readonly basis: 'assumed' | 'scaled' | 'measured';
  /** Finished trials that it comes from. */
  readonly trials: number;
}

/** Finished trials of one base model, wherever they ran. */
export interface Throughput {
  /** name@version */
  readonly model: string;
  readonly parameters: number;
  readonly trials: number;
  readonly tokens: number;
  readonly seconds: number;
}

/** Training takes 6 floating-point operations a parameter and token (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). */
const flopsPerParameter = 6;
/** Operations a second of a trial on a machine that nothing is known of; docs/benchmarks.md: 90 to 110 on two cores. */
const assumedFlops = 1e11;

/** What to expect of a base model before a trial of this experiment has shown it. */
export function rateOf(
  base: { readonly model: string; readonly parameters: number },
  known: readonly Throughput[],
): Rate {
  const same = known.find(({ model }) => model === base.model);
  if (same && same.seconds > 0)
    return { tokensPerSecond: same.tokens / same.seconds, basis: 'measured', trials: same.trials };
  const flops = flopsPerParameter * Math.max(1, base.parameters);
  const seconds = known.reduce((sum, other) => sum + other.seconds, 0);
  if (seconds > 0) {
    const done = known.reduce((sum, { tokens, parameters }) => sum + tokens * parameters, 0);
    const trials = known.reduce((sum, other) => sum + other.trials, 0);
    return {
      tokensPerSecond: (flopsPerParameter * done) / seconds / flops,
      basis: 'scaled',
      trials,
    };
  }
  return { tokensPerSecond: assumedFlops / flops, basis: 'assumed', trials: 0 };
}

/** How many trials of the experiment an expectation from elsewhere counts for. */
const weights: Readonly<Record<Rate['basis'], number>> = { measured: 1, scaled: 0.5, assumed: 0.1 };

/** GPU-hours of the search so far. */
export function gpuHoursSpent(experiment: Experiment, now: number): number {
  const hours = searchTrials(experiment.trials).reduce((sum, trial) => sum + hoursOf(trial, now), 0);
  return hours * experiment.plan.cost.gpusPerTrial;
}

/** The rate of trials of earlier experiments that told their cost, which `warmStart` takes over where the same values cost as much. */
function taughtRate({ plan, history }: Experiment, architecture: string): Rate | undefined {
  const hours = history
    .filter(({ parameters }) => architectureOf(plan.spec, parameters) === architecture)
    .flatMap(({ cost }) => cost ?? []);
  if (hours.length === 0) return undefined;
  const each = hours.reduce((sum, some) => sum + some, 0) / hours.length;
  const tokensPerSecond = searchTokens(plan.training) / (3600 * each);
  return { tokensPerSecond, basis: 'measured', trials: hours.length };
}

/** Throughput by architecture, refined by the trials that finished here. */
export function ratesNow(experiment: Experiment): Map<string, Rate> {
  const { plan, rates } = experiment;
  const finished = searchTrials(experiment.trials).filter(
    ({ state, tokens }) => tokens > 0 && (state === 'succeeded' || state === 'stopped'),
  );
  return new Map(
    plan.spec.baseModels.map(({ architecture }) => {
      const prior =
        taughtRate(experiment, architecture) ??
        rates.get(architecture) ??
        rateOf({ model: '', parameters: 1 }, []);
      const own = finished.filter(({ parameters }) => architectureOf(plan.spec, parameters) === architecture);
      const seconds = own.reduce(
        (sum, { attempts }) => sum + attempts.reduce((ms, a) => ms + attemptMs(a, a.begunAt ?? 0), 0) / 1000,
        0,
      );
      if (seconds === 0) return [architecture, prior];
      const tokens = own.reduce((sum, trial) => sum + trial.tokens, 0);
      const weight = weights[prior.basis] * searchTokens(plan.training);
      return [
        architecture,
        {
          tokensPerSecond: (weight + tokens) / (weight / prior.tokensPerSecond + seconds),
          basis: 'measured',
          trials: own.length + (prior.basis === 'measured' ? prior.trials : 0),
        },
      ];
    }),
  );
}

/** Hours that a trial of unknown architecture is expected to take, times its GPUs: the mean over the architectures. */
function gpuHoursOfNext(rates: ReadonlyMap<string, Rate>, tokens: number, { cost }: Plan): number {
  const all = [...rates.values()];
  const seconds = all.reduce((sum, { tokensPerSecond }) => sum + tokens / tokensPerSecond, 0) / all.length;
  return (seconds / 3600) * cost.gpusPerTrial;
}

/** What a trial that runs or waits is still expected to take. */
function gpuHoursLeft(trial: Trial, rates: ReadonlyMap<string, Rate>, { spec, cost }: Plan): number {
  const rate = rates.get(architectureOf(spec, trial.parameters));
  const left = Math.max(0, trial.totalTokens - trial.tokens);
  return rate ? (left / rate.tokensPerSecond / 3600) * cost.gpusPerTrial : 0;
}

/** GPU-hours that the search may take, by both limits; Infinity where there is none. */
function allowance({ limits, cost }: Plan): { hours: number; limit: string } {
  const byHours = limits.maxGpuHours || Infinity;
  const byCost = limits.maxCost > 0 ? limits.maxCost / cost.pricePerGpuHour : Infinity;
  return byCost < byHours
    ? { hours: byCost, limit: `limits.maxCost (${limits.maxCost})` }
    : { hours: byHours, limit: `limits.maxGpuHours (${limits.maxGpuHours})` };
}

/**
 * Whether GPU-hours or money are used up, or would be by another trial on top of those that run.
 * @param next The trial that is to start; undefined: one that is not suggested yet.
 */
export function budgetOf(
  experiment: Experiment,
  now: number,
  next?: Trial,
): { readonly usedUp?: string; readonly tight?: string } {
  const { plan } = experiment;
  const { hours, limit } = allowance(plan);
  if (hours === Infinity) return {};
  const spent = gpuHoursSpent(experiment, now);
  if (spent >= hours) return { usedUp: `${limit} are used up` };
  const rates = ratesNow(experiment);
  const running = searchTrials(experiment.trials)
    .filter(({ state }) => state === 'running')
    .reduce((sum, trial) => sum + gpuHoursLeft(trial, rates, plan), 0);
  const wanted = next
    ? gpuHoursLeft(next, rates, plan)
    : gpuHoursOfNext(rates, searchTokens(plan.training), plan);
  return spent + running + wanted > hours ? { tight: `${limit} leave no room for another trial` } : {};
}

export interface Estimate {
  readonly trials: number;
  readonly tokens: number;
  readonly gpuHours: number;
  readonly seconds: number;
  readonly finalGpuHours: number;
  readonly basis: Rate['basis'];
  readonly measuredTrials: number;
  readonly limitedBy: string;
  readonly rates: ReadonlyMap<string, Rate>;
}

/** What the experiment is expected to take from now on. Early stops and repeated attempts are not foreseen. */
export function estimate(experiment: Experiment, now: number): Estimate {
  const { plan, startedAt } = experiment;
  const { limits, training } = plan;
  const rates = ratesNow(experiment);
  const trials = searchTrials(experiment.trials);
  const open = trials.filter(isOpen);
  const tokensEach = searchTokens(training);
  const each = gpuHoursOfNext(rates, tokensEach, plan);
  const openHours = open.reduce((sum, trial) => sum + gpuHoursLeft(trial, rates, plan), 0);
  const openTokens = open.reduce((sum, t) => sum + Math.max(0, t.totalTokens - t.tokens), 0);
  const secondsEach = (each / plan.cost.gpusPerTrial) * 3600;
  const { hours, limit } = allowance(plan);
  const usedTokens = trials.reduce((sum, { tokens }) => sum + tokens, 0);
  const seconds = (count: number) =>
    (openHours / plan.cost.gpusPerTrial / Math.min(limits.parallelTrials, Math.max(1, open.length))) * 3600 +
    Math.ceil(count / limits.parallelTrials) * secondsEach;
  const waves =
    limits.maxDurationSeconds > 0
      ? Math.floor((limits.maxDurationSeconds - (startedAt ? (now - startedAt) / 1000 : 0)) / secondsEach) + 1
      : Infinity;
  const rooms: [string, number][] = [
    ['limits.maxTrials', limits.maxTrials - trials.length],
    ['parameters', untried(plan.algorithm, plan.space, recordsOf(trials)).left],
    [
      'limits.maxTokens',
      limits.maxTokens > 0 ? Math.floor((limits.maxTokens - usedTokens - openTokens) / tokensEach) : Infinity,
    ],
    [
      limit.replace(/ .*/, ''),
      hours === Infinity
        ? Infinity
        : Math.floor((hours - gpuHoursSpent(experiment, now) - openHours) / each + 1e-9),
    ],
    ['limits.maxDurationSeconds', waves * limits.parallelTrials],
  ];
  const [limitedBy, room] = rooms.reduce((least, other) => (other[1] < least[1] ? other : least));
  const fresh = experiment.state === 'finalizing' || experiment.endedAt !== null ? 0 : Math.max(0, room);
  const best = [...rates.values()];
  const order = ['measured', 'scaled', 'assumed'] as const;
  const worst = order[Math.max(...best.map(({ basis }) => order.indexOf(basis)))];
  return {
    trials: open.length + fresh,
    tokens: openTokens + fresh * tokensEach,
    gpuHours: openHours + fresh * each,
    seconds: open.length + fresh === 0 ? 0 : seconds(fresh),
    // With lineages the best trial's weights are the model.
    finalGpuHours: lineageOf(plan.algorithm)
      ? 0
      : gpuHoursOfNext(rates, training.trialTokens * training.finalScale, plan),
    basis: worst,
    measuredTrials: best.reduce((sum, rate) => sum + (rate.basis === 'measured' ? rate.trials : 0), 0),
    limitedBy,
    rates,
  };
}
