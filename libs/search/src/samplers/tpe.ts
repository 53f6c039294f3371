/**
 * Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate: of candidates drawn from the density l of
 * the good trials, the one with the largest l(x)/g(x), g being the density of all others. As Optuna 5 does it, but for
 *
 * - a floor under the bandwidth where categories are sampled together with numbers: without it kernels shrink to
 *   points and a good numeric region is never tried with another category;
 * - infeasible trials: they belong to g whatever their number, and are never good; where there are some, of several
 *   proposals only such are taken that are likely enough to work (`feasibility.ts`);
 * - conditional spaces: parameters that exist under the same condition are sampled together, parents first, and
 *   each such group ranks the trials that have it among themselves;
 * - numeric spaces: every fourth trial samples each parameter by itself, which puts good coordinates of different
 *   trials together;
 * - of the trials that are suggested while nothing runs half or so keep to one of the four best but for one or two values. Where all
 *   values move at once, what the others do hides what a step of one does, so that of many parameters some ended a step
 *   off their best. They have no floor under the bandwidth, for they keep to a good trial's categories as it is. Not so where trials
 *   fail: along a wall several values have to move at once.
 *
 * Trials that violate constraints are good only after all others, by how much they violate them; of several objectives
 * the good ones are the first fronts.
 *
 * Running trials belong to g ("constant liar"), so that parallel trials keep apart; in a good region that has narrowed down they
 * drive each other out of it. So while any run every second trial with one objective (of many that run at a time about ten) is
 * where a Gaussian process promises most over what they may come to (`acquisition.ts`), uphill from the best
 * trials and from draws from l; and such trials are not of g while they run.
 */
import { canonicalJson, own, Rng } from '@emotune/base';
import { z } from 'zod';
import { mostPromising } from '../acquisition.js';
import { learnedCost } from '../cost.js';
import { cautionAfter, learnedFeasibility } from '../feasibility.js';
import { bestMeasured } from '../fronts.js';
import { compareMeasured, lessonOf, objectivesOf, type TrialRecord } from '../history.js';
import { type Encoding, encodingOf, ParzenEstimator } from '../parzen.js';
import type { Sampler, SuggestContext } from '../sampler.js';
import {
  type Assignment,
  allows,
  assign,
  onlyValue,
  type Parameter,
  type ParameterValue,
  type SearchSpace,
} from '../space.js';
import { random } from './random.js';

const settings = z.strictObject({
  /** Random trials first: until so many are measured or infeasible. */
  startUpTrials: z.number().int().min(1).default(10),
  /** Draws from l per suggestion; without it 128 where all are numbers, else 32. */
  candidates: z.number().int().min(1).max(10_000).optional(),
  /** Share of the measured trials that is good. */
  goodShare: z.number().gt(0).max(1).default(0.15),
  maxGood: z.number().int().min(1).default(25),
  priorWeight: z.number().gt(0).max(1e6).default(1),
  /**
   * Factor of the floor under the bandwidth; without it 0.1 where categories and numbers are sampled together, but not in
   * refinements, else 0.
   */
  bandwidthFloor: z.number().min(0).max(1).optional(),
  /** Share of trials that sample every parameter by itself; without it 0.25 where all are numbers, else 0. */
  independentShare: z.number().min(0).max(1).optional(),
  /**
   * Share of trials, suggested while nothing runs, that differ from one of the best in one or two values alone; without it 0.4
   * where all are numbers, else 0.6.
   */
  refinedShare: z.number().min(0).max(1).optional(),
  /** Least probability to work, as learned from infeasible trials; 0 leaves it unlearned. */
  minFeasibility: z.number().min(0).max(1).default(0.5),
  /** 0: whatever it costs, 1: improvement per cost. */
  costPower: z.number().min(0).max(1).default(0),
});

type TpeSettings = z.output<typeof settings>;

/** Parameters that are active together: same condition, or none. Parents' groups come first. */
function groupsOf(space: SearchSpace): Parameter[][] {
  const groups = Map.groupBy(space.parameters, ({ condition }) =>
    condition
      ? canonicalJson([condition.parameter, condition.values.map((v) => JSON.stringify(v)).sort()])
      : '',
  );
  return [...groups.values()];
}

/** The `count` best measured trials. */
function best(measured: readonly TrialRecord[], count: number): Set<TrialRecord> {
  const leaders: TrialRecord[] = [];
  for (const record of measured) {
    if (leaders.length === count && compareMeasured(record, leaders[count - 1]) >= 0) continue;
    let i = leaders.length;
    while (i > 0 && compareMeasured(record, leaders[i - 1]) < 0) i--;
    leaders.splice(i, 0, record);
    if (leaders.length > count) leaders.pop();
  }
  return new Set(leaders);
}

/** Observations of a group of parameters: those records that have them all, with values that the space allows. */
class Observations {
  readonly records: TrialRecord[] = [];
  /** [D][n] */
  readonly columns: readonly Float64Array[];

  constructor(encodings: readonly Encoding[], history: readonly TrialRecord[]) {
    const columns = encodings.map(() => new Float64Array(history.length));
    for (const record of history) {
      const { parameters } = record;
      const row = this.records.length;
      let d = 0;
      for (; d < encodings.length; d++) {
        const { parameter, encode } = encodings[d];
        // Not a number where there is none, too.
        const x = encode(own(parameters, parameter.name));
        if (Number.isNaN(x)) break;
        columns[d][row] = x;
      }
      if (d === encodings.length) this.records.push(record);
    }
    this.columns = columns.map((column) => column.subarray(0, this.records.length));
  }

  /** Columns of the records that `good` holds, and of all others. */
  split(good: ReadonlySet<TrialRecord>): { below: Float64Array[]; above: Float64Array[] } {
    const below: number[] = [];
    const above: number[] = [];
    for (let row = 0; row < this.records.length; row++)
      (good.has(this.records[row]) ? below : above).push(row);
    const take = (rows: readonly number[]) =>
      this.columns.map((column) => {
        const taken = new Float64Array(rows.length);
        for (let i = 0; i < rows.length; i++) taken[i] = column[rows[i]];
        return taken;
      });
    return { below: take(below), above: take(above) };
  }
}

/** Good trials of several objectives come by front and have no limit in number, so that the front is kept whole. */
function goodOf(measured: readonly TrialRecord[], { goodShare, maxGood }: TpeSettings): Set<TrialRecord> {
  const count = Math.ceil(goodShare * measured.length);
  const several = measured.some((record) => objectivesOf(record).length > 1);
  return several ? new Set(bestMeasured(measured, count)) : best(measured, Math.min(count, maxGood));
}

interface Draw<Values> {
  readonly values: Values;
  /** log l − log g */
  readonly score: number;
}

/** Densities of the good trials and of all others over a group of parameters that all have a choice [D]. */
class Group {
  private readonly l: ParzenEstimator;
  private readonly g: ParzenEstimator;
  private readonly candidates: number;

  constructor(
    readonly parameters: readonly Parameter[],
    history: readonly TrialRecord[],
    settings: TpeSettings,
  ) {
    const encodings = parameters.map(encodingOf);
    const observations = new Observations(encodings, history);
    const measured = observations.records.filter((record) => lessonOf(record) === 'measured');
    const { below, above } = observations.split(goodOf(measured, settings));
    const categories = parameters.filter(({ kind }) => kind === 'categorical').length;
    const mixed = categories > 0 && categories < parameters.length;
    const kernels = {
      priorWeight: settings.priorWeight,
      bandwidthFloor: settings.bandwidthFloor ?? (mixed ? 0.1 : 0),
    };
    this.candidates = settings.candidates ?? (categories > 0 ? 32 : 128);
    this.l = new ParzenEstimator(encodings, below, kernels);
    this.g = new ParzenEstimator(encodings, above, kernels);
  }

  /** Values [D] from l. */
  sample(rng: Rng): ParameterValue[] {
    return this.l.sample(rng);
  }

  /** The values [D] of the candidate from l with the largest log l − log g, and that. */
  draw(rng: Rng, candidates = this.candidates): Draw<ParameterValue[]> {
    let values: ParameterValue[] = [];
    let score = -Infinity;
    for (let i = 0; i < candidates; i++) {
      const candidate = this.sample(rng);
      const ratio = this.l.logDensity(candidate) - this.g.logDensity(candidate);
      if (i === 0 || ratio > score) [values, score] = [candidate, ratio];
    }
    return { values, score };
  }
}

/** Draws values for whole trials. */
class Proposals {
  private readonly groupOf = new Map<Parameter, Parameter[]>();
  private readonly groups = new Map<Parameter, Group>();

  constructor(
    private readonly space: SearchSpace,
    private readonly lessons: readonly TrialRecord[],
    private readonly context: SuggestContext,
    private readonly settings: TpeSettings,
  ) {
    const chance = Rng.of(context.seed, 'tpe', context.trialNumber).uniform();
    for (const group of groupsOf(space)) {
      const numeric = group.every(({ kind }) => kind !== 'categorical');
      const alone = chance < (settings.independentShare ?? (numeric ? 0.25 : 0));
      for (const parameter of group) this.groupOf.set(parameter, alone ? [parameter] : group);
    }
  }

  private group(parameter: Parameter): Group {
    let group = this.groups.get(parameter);
    if (!group) {
      const free = (this.groupOf.get(parameter) as Parameter[]).filter((p) => onlyValue(p) === undefined);
      group = new Group(free, this.lessons, this.settings);
      for (const member of free) this.groups.set(member, group);
    }
    return group;
  }

  /** The proposal number `attempt`, of values [D] for each group. */
  private propose(attempt: number, valuesFor: (group: Group, rng: Rng) => ParameterValue[]): Assignment {
    const { seed, trialNumber } = this.context;
    const drawn = new Map<Parameter, ParameterValue>();
    return assign(this.space, (parameter) => {
      const only = onlyValue(parameter);
      if (only !== undefined) return only;
      if (!drawn.has(parameter)) {
        const group = this.group(parameter);
        const values = valuesFor(group, Rng.of(seed, 'tpe', trialNumber, parameter.name, attempt));
        group.parameters.forEach((member, d) => {
          drawn.set(member, values[d]);
        });
      }
      return drawn.get(parameter) as ParameterValue;
    });
  }

  /** The proposal number `attempt` from l alone. */
  sample(attempt: number): Assignment {
    return this.propose(attempt, (group, rng) => group.sample(rng));
  }

  /** The proposal number `attempt`, with the sum of its groups' log l − log g; of so many candidates in each group. */
  draw(attempt: number, candidates?: number): Draw<Assignment> {
    let total = 0;
    const values = this.propose(attempt, (group, rng) => {
      const { values, score } = group.draw(rng, candidates);
      total += score;
      return values;
    });
    return { values, score: total };
  }
}

/** Proposals of one candidate each that feasibility and cost choose from. */
const attempts = 96;

/** Measured trials that the Gaussian process of parallel trials is made from. */
const maxPoints = 200;
/** Suggestions that are asked of the process where so many trials run at a time, about; one takes some 70 ms. */
const askedOfProcess = 10;

/** Which trials by their numbers are asked of the process while others run; none before so many are measured. */
function turnsOfProcess(lessons: readonly TrialRecord[], startUpTrials: number): (number: number) => boolean {
  const running = lessons.filter(({ state }) => state === 'running').length;
  if (running === 0) return () => false;
  const measured = lessons.filter((record) => lessonOf(record) === 'measured');
  if (measured.length < startUpTrials || measured.some((record) => objectivesOf(record).length > 1))
    return () => false;
  const every = Math.max(2, Math.ceil(running / askedOfProcess));
  return (number) => number % every === 1;
}

/** Trials that are refined, the best ones. */
const refined = 4;

/**
 * What makes of a proposal a refinement of one of the best trials: its values but for one or two, which are the proposal's.
 * Undefined where this trial is none, before twice the start-up trials are measured, while others run and where there are several
 * objectives.
 */
function refinement(
  space: SearchSpace,
  lessons: readonly TrialRecord[],
  { seed, trialNumber }: SuggestContext,
  { refinedShare, startUpTrials }: TpeSettings,
): ((proposed: Assignment) => Assignment) | undefined {
  const rng = Rng.of(seed, 'tpe', trialNumber, 'refined');
  const share = refinedShare ?? (space.parameters.some(({ kind }) => kind === 'categorical') ? 0.6 : 0.4);
  if (rng.uniform() >= share || lessons.some(({ state }) => state === 'running')) return undefined;
  const measured = lessons.filter(
    (record) => lessonOf(record) === 'measured' && allows(space, record.parameters),
  );
  if (measured.length < 2 * startUpTrials || measured.some((record) => objectivesOf(record).length > 1))
    return undefined;
  const leaders = [...best(measured, refined)];
  const { parameters: base } = leaders[rng.int(leaders.length)];
  return (proposed) => {
    const differing = Object.keys(proposed).filter(
      (name) => Object.hasOwn(base, name) && base[name] !== proposed[name],
    );
    const taken = new Set(rng.shuffle(differing).slice(0, 1 + rng.int(2)));
    // Whose the parent's value is, the child's is: there it is active.
    return assign(space, ({ name }) =>
      Object.hasOwn(base, name) && !taken.has(name) ? base[name] : proposed[name],
    );
  };
}

function suggest(
  space: SearchSpace,
  history: readonly TrialRecord[],
  context: SuggestContext,
  settings: TpeSettings,
): Assignment {
  const lessons = history.filter((record) => lessonOf(record) !== 'nothing');
  const finished = lessons.filter((record) => record.state !== 'running').length;
  if (finished < settings.startUpTrials) return random.suggest(space, history, context, {});

  const ofProcess = turnsOfProcess(lessons, settings.startUpTrials);
  const taught = lessons.filter(({ state, number }) => state !== 'running' || !ofProcess(number));
  const proposals = new Proposals(space, taught, context, settings);
  const promising =
    ofProcess(context.trialNumber) &&
    mostPromising(space, lessons, context, { ...settings, maxPoints }, (draw) => proposals.sample(draw));
  if (promising) return promising;
  const learned = settings.minFeasibility > 0 ? learnedFeasibility(space, lessons) : undefined;
  const prior = context.feasibility;
  const cost = settings.costPower > 0 ? learnedCost(space, lessons) : undefined;
  if (!learned && !prior && !cost) {
    const refine = refinement(space, lessons, context, settings);
    if (!refine) return proposals.draw(0).values;
    const sharp = { ...settings, bandwidthFloor: settings.bandwidthFloor ?? 0 };
    return refine(new Proposals(space, taught, context, sharp).draw(0).values);
  }

  const { goodShare, costPower } = settings;
  const least = cautionAfter(lessons, settings.minFeasibility);
  let best: { readonly values: Assignment; readonly chance: number; readonly gain: number } | undefined;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const { values, score } = proposals.draw(attempt, 1);
    const chance = (learned?.(values) ?? 1) * (prior?.(values) ?? 1);
    // log of the expected improvement up to a constant (Bergstra et al. 2011, section 4.1), weighted.
    const gain =
      Math.log(chance) -
      Math.log(goodShare + (1 - goodShare) * Math.exp(-score)) -
      (cost ? costPower * cost.logOf(values) : 0);
    const likelier = Math.min(chance, least) - Math.min(best?.chance ?? -1, least);
    if (!best || likelier > 0 || (likelier === 0 && gain > best.gain)) best = { values, chance, gain };
  }
  return (best as { values: Assignment }).values;
}

export const tpe: Sampler<TpeSettings> = { settings, suggest };
