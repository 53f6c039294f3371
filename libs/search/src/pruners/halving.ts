/**
 * Asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning",
 * arXiv 1810.05934) and Hyperband (Li et al. 2018, JMLR 18). Rungs are at minExamples · reductionFactor^k examples;
 * a trial's value of a rung is its first at or beyond it. Values of several objectives are ranked by how many
 * others dominate them.
 */
import { Rng } from '@emotune/base';
import { z } from 'zod';
import { dominates } from '../fronts.js';
import {
  comparison,
  firstFrom,
  goOn,
  measuredPoints,
  peersOf,
  short,
  stalled,
  type TrialCurve,
  type Verdict,
} from './curves.js';
import type { Pruner } from './pruner.js';

const rungs = {
  ...comparison,
  /** Examples up to the first rung, above 0. */
  minExamples: z.number().gt(0),
  /** One of so many trials passes a rung. */
  reductionFactor: z.number().min(2).default(4),
};

const ashaSettings = z.strictObject({
  ...rungs,
  /** `stop` ends what does not pass a rung when it comes there; `promote` pauses it until it is among the best. */
  variant: z.enum(['stop', 'promote']).default('stop'),
});

type AshaSettings = z.output<typeof ashaSettings>;
type RungSettings = Pick<AshaSettings, 'minExamples' | 'reductionFactor'>;

function atRung(trial: TrialCurve, rung: number, { minExamples, reductionFactor }: RungSettings) {
  return firstFrom(trial, minExamples * reductionFactor ** rung);
}

/** The highest rung reached; −1: none. */
function rungOf(examples: number, { minExamples, reductionFactor }: RungSettings): number {
  let rung = -1;
  while (examples >= minExamples * reductionFactor ** (rung + 1)) rung++;
  return rung;
}

function better(trials: readonly (readonly number[])[], than: readonly number[]): number {
  return trials.filter((values) => dominates(values, than)).length;
}

/** Whether a trial passes the rungs from `first` on that its new points reach. */
function judgeRungs(
  trial: TrialCurve,
  others: readonly TrialCurve[],
  settings: AshaSettings,
  first: number,
): Verdict {
  const points = measuredPoints(trial);
  const last = points.at(-1);
  if (!last) return goOn('nothing measured yet');
  const known = trial.judgedAt ?? points.at(-2)?.examples ?? 0;
  if (last.examples < settings.warmUp) return goOn(`warm-up until ${settings.warmUp} examples`);
  let from = Math.max(first, rungOf(known, settings) + 1);
  while (settings.minExamples * settings.reductionFactor ** from < settings.warmUp) from++;
  const to = rungOf(last.examples, settings);
  if (from > to) return goOn('between two rungs');
  if (settings.patience > 0 && !stalled(points, settings.patience)) return goOn('it still improves');
  const peers = peersOf(trial, others, settings.strata);
  for (let rung = from; rung <= to; rung++) {
    const { values, examples } = atRung(trial, rung, settings) as NonNullable<ReturnType<typeof atRung>>;
    if (values.includes(Infinity))
      return { decision: 'stop', reason: `no finite objective at rung ${rung}, ${examples} examples` };
    const rivals = peers.map((peer) => atRung(peer, rung, settings)?.values).filter((v) => v !== undefined);
    const count = rivals.length + 1;
    const whole = Math.floor(count / settings.reductionFactor);
    const places = settings.variant === 'stop' ? Math.max(whole, 1) : whole;
    const rank = better(rivals, values);
    if (rank >= places)
      return {
        decision: settings.variant === 'stop' ? 'stop' : 'pause',
        reason: `${short(values)} at rung ${rung}, ${examples} examples, is beaten by ${rank} of ${rivals.length}; ${places} of ${count} pass`,
      };
  }
  return goOn(`passed rung ${to}`);
}

export const asha: Pruner<AshaSettings> = {
  settings: ashaSettings,
  judge: (trial, others, settings) => judgeRungs(trial, others, settings, 0),
};

/**
 * The paused trial that is to go on, of the highest rung that has one among its best ⌊n/reductionFactor⌋; undefined:
 * none. Trials that went beyond a rung keep their places there.
 */
export function promoted(trials: readonly TrialCurve[], settings: AshaSettings): number | undefined {
  let found: { number: number; rung: number; rank: number } | undefined;
  for (const trial of trials) {
    const last = trial.state === 'paused' ? measuredPoints(trial).at(-1) : undefined;
    const rung = last ? rungOf(last.examples, settings) : -1;
    const values = rung < 0 ? undefined : atRung(trial, rung, settings)?.values;
    if (!values || values.includes(Infinity)) continue;
    const rivals = peersOf(trial, trials, settings.strata)
      .map((peer) => atRung(peer, rung, settings)?.values)
      .filter((v) => v !== undefined);
    const rank = better(rivals, values);
    if (rank >= Math.floor((rivals.length + 1) / settings.reductionFactor)) continue;
    const ahead =
      !found ||
      rung > found.rung ||
      (rung === found.rung && (rank < found.rank || (rank === found.rank && trial.number < found.number)));
    if (ahead) found = { number: trial.number, rung, rank };
  }
  return found?.number;
}

const hyperbandSettings = z
  .strictObject({
    ...rungs,
    reductionFactor: z.number().min(2).default(3),
    /** Examples of a whole trial, above 0. */
    maxExamples: z.number().gt(0),
  })
  .refine(({ minExamples, maxExamples }) => minExamples <= maxExamples, {
    message: 'expected at most maxExamples',
    path: ['minExamples'],
  });

type HyperbandSettings = z.output<typeof hyperbandSettings>;

/** The bracket of a trial, from 0: bracket b leaves out its first b rungs. Trials of one bracket are compared. */
export function hyperbandBracket(
  number: number,
  { minExamples, maxExamples, reductionFactor }: HyperbandSettings,
): number {
  // The tolerance lets 1..27 by 3 have 4 brackets although log₃ 27 is 2.999….
  const brackets = Math.floor(Math.log(maxExamples / minExamples) / Math.log(reductionFactor) + 1e-9) + 1;
  const weights = Array.from({ length: brackets }, (_, b) =>
    Math.ceil((brackets * reductionFactor ** (brackets - 1 - b)) / (brackets - b) - 1e-9),
  );
  let ticket = Rng.of('hyperband', number).int(weights.reduce((sum, weight) => sum + weight, 0));
  return weights.findIndex((weight) => {
    ticket -= weight;
    return ticket < 0;
  });
}

export const hyperband: Pruner<HyperbandSettings> = {
  settings: hyperbandSettings,
  judge(trial, others, settings) {
    const bracket = hyperbandBracket(trial.number, settings);
    const rivals = others.filter(({ number }) => hyperbandBracket(number, settings) === bracket);
    const { decision, reason } = judgeRungs(trial, rivals, { ...settings, variant: 'stop' }, bracket);
    return { decision, reason: `bracket ${bracket}: ${reason}` };
  },
};
