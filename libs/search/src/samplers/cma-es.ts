/**
 * Covariance matrix adaptation (Hansen 2016, "The CMA evolution strategy: a tutorial", arXiv 1604.00772, figure 6 and
 * table 1, with positive weights) over the numeric parameters that are always active; all others are sampled by TPE.
 *
 * The distribution follows from the history: measured and infeasible trials, in order of number, are generations of λ,
 * the infeasible ones ranked last. Whoever suggested a trial, it counts; steps of more than √D + 2D/(D + 2) deviations
 * are shortened to that (Hansen 2011, "Injecting external solutions into CMA-ES"). Parameters with steps keep a margin:
 * they leave the mean's grid value with a probability of at least 1/(λD), so that they never freeze (Hamano et al.
 * 2022, "CMA-ES with margin"; here by widening the samples and not by moving the mean).
 *
 * Coordinates are shares of each parameter's line, on [0, 1].
 */
import { own, Rng } from '@emotune/base';
import { z } from 'zod';
import { Axis } from '../axis.js';
import { compareMeasured, isTold, lessonOf, type TrialRecord } from '../history.js';
import { quantileOfLog } from '../normal.js';
import type { Sampler } from '../sampler.js';
import { type NumericParameter, onlyValue, type SearchSpace } from '../space.js';
import { symmetricEigen } from '../symmetric-eigen.js';
import { tpe } from './tpe.js';

const settings = z.strictObject({
  /** λ, trials of a generation; without it 4 + ⌊3 ln D⌋. */
  population: z.number().int().min(4).max(1000).optional(),
  /** First standard deviation, as a share of each range. */
  sigma: z.number().gt(0).max(1).default(0.2),
});

type CmaSettings = z.output<typeof settings>;

/** State of the search distribution N(mean, σ²C) in D dimensions. */
class CmaEs {
  readonly mean: Float64Array;
  sigma: number;
  /** [D·D] */
  private readonly c: Float64Array;
  private readonly pc: Float64Array;
  private readonly ps: Float64Array;
  private generation = 0;
  private eigen: { values: Float64Array; vectors: Float64Array };
  private readonly weights: Float64Array;
  private readonly muEff: number;

  constructor(
    readonly dimensions: number,
    readonly lambda: number,
    sigma: number,
  ) {
    const D = dimensions;
    this.mean = new Float64Array(D).fill(0.5);
    this.sigma = sigma;
    this.c = new Float64Array(D * D);
    for (let d = 0; d < D; d++) this.c[d * D + d] = 1;
    this.pc = new Float64Array(D);
    this.ps = new Float64Array(D);
    this.eigen = symmetricEigen(this.c, D);
    const raw = Float64Array.from(
      { length: lambda >> 1 },
      (_, i) => Math.log((lambda + 1) / 2) - Math.log(i + 1),
    );
    const total = raw.reduce((sum, w) => sum + w, 0);
    this.weights = raw.map((w) => w / total);
    this.muEff = 1 / this.weights.reduce((sum, w) => sum + w * w, 0);
  }

  /** C^(1/2) z, or C^(−1/2) z. */
  private root(z: Float64Array, power: 0.5 | -0.5): Float64Array {
    const { values, vectors } = this.eigen;
    const D = this.dimensions;
    const result = new Float64Array(D);
    for (let k = 0; k < D; k++) {
      let along = 0;
      for (let d = 0; d < D; d++) along += vectors[d * D + k] * z[d];
      along *= values[k] ** power;
      for (let d = 0; d < D; d++) result[d] += along * vectors[d * D + k];
    }
    return result;
  }

  /** Standard deviation of coordinate `d`. */
  deviation(d: number): number {
    return this.sigma * Math.sqrt(this.c[d * (this.dimensions + 1)]);
  }

  /** A step from the mean [D]. */
  step(rng: Rng): Float64Array {
    const z = Float64Array.from({ length: this.dimensions }, () => rng.normal());
    return this.root(z, 0.5).map((y) => this.sigma * y);
  }

  /** Learns from a generation of points [λ][D], best first. */
  tell(points: readonly Float64Array[]): void {
    const { dimensions: D, weights, muEff, c, pc, ps, mean } = this;
    const longest = Math.sqrt(D) + (2 * D) / (D + 2);
    const cSigma = (muEff + 2) / (D + muEff + 5);
    const dSigma = 1 + 2 * Math.max(0, Math.sqrt((muEff - 1) / (D + 1)) - 1) + cSigma;
    const cc = (4 + muEff / D) / (D + 4 + (2 * muEff) / D);
    const c1 = 2 / ((D + 1.3) ** 2 + muEff);
    const cMu = Math.min(1 - c1, (2 * (muEff - 2 + 1 / muEff)) / ((D + 2) ** 2 + muEff));
    const chi = Math.sqrt(D) * (1 - 1 / (4 * D) + 1 / (21 * D * D));

    const steps = Array.from(weights, (_, i) => {
      const y = points[i].map((x, d) => (x - mean[d]) / this.sigma);
      const length = Math.hypot(...this.root(y, -0.5));
      return length > longest ? y.map((v) => (v * longest) / length) : y;
    });
    const y = new Float64Array(D);
    steps.forEach((step, i) => {
      for (let d = 0; d < D; d++) y[d] += weights[i] * step[d];
    });
    for (let d = 0; d < D; d++) mean[d] = Math.min(1, Math.max(0, mean[d] + this.sigma * y[d]));

    const white = this.root(y, -0.5);
    for (let d = 0; d < D; d++)
      ps[d] = (1 - cSigma) * ps[d] + Math.sqrt(cSigma * (2 - cSigma) * muEff) * white[d];
    const psLength = Math.hypot(...ps);
    this.generation++;
    const settled = Math.sqrt(1 - (1 - cSigma) ** (2 * this.generation));
    const h = psLength / settled < (1.4 + 2 / (D + 1)) * chi ? 1 : 0;
    for (let d = 0; d < D; d++) pc[d] = (1 - cc) * pc[d] + h * Math.sqrt(cc * (2 - cc) * muEff) * y[d];
    const kept = 1 - c1 - cMu + (1 - h) * c1 * cc * (2 - cc);
    for (let i = 0; i < D; i++)
      for (let j = 0; j < D; j++) {
        let rankMu = 0;
        for (let k = 0; k < steps.length; k++) rankMu += weights[k] * steps[k][i] * steps[k][j];
        c[i * D + j] = kept * c[i * D + j] + c1 * pc[i] * pc[j] + cMu * rankMu;
      }
    this.sigma = Math.min(1, Math.max(1e-8, this.sigma * Math.exp((cSigma / dSigma) * (psLength / chi - 1))));
    this.eigen = symmetricEigen(c, D);
  }
}

/** The numeric parameters that every trial has and that have a choice. */
function axesOf(space: SearchSpace): Axis[] {
  return space.parameters
    .filter(
      (p): p is NumericParameter => p.kind !== 'categorical' && !p.condition && onlyValue(p) === undefined,
    )
    .map((parameter) => new Axis(parameter));
}

/** Shares of the lines [D]; undefined where the record lacks a value or has one out of range. */
function pointOf(axes: readonly Axis[], record: TrialRecord): Float64Array | undefined {
  const point = Float64Array.from(axes, (axis) => {
    const value = own(record.parameters, axis.parameter.name);
    return typeof value === 'number' ? (axis.place(value) - axis.low) / axis.width : Number.NaN;
  });
  return point.every((x) => x >= 0 && x <= 1) ? point : undefined;
}

/** How much wider than N(mean, σ²C) a grid parameter is sampled: 1 where it leaves the mean's value often enough. */
function margin(cma: CmaEs, axis: Axis, d: number): number {
  if (!axis.discrete) return 1;
  const at = axis.low + axis.width * cma.mean[d];
  const edges = axis.stretch(axis.valueAt(at)).filter((edge) => edge > axis.low && edge < axis.high);
  const nearest = Math.min(...edges.map((edge) => Math.abs(edge - at))) / axis.width;
  const deviations = -quantileOfLog(-Math.log(cma.lambda * cma.dimensions));
  return Math.max(1, nearest / (deviations * cma.deviation(d)));
}

/** The search distribution after all that a history has. */
function distributionAfter(
  axes: readonly Axis[],
  history: readonly TrialRecord[],
  settings: CmaSettings,
): CmaEs {
  const lambda = settings.population ?? 4 + Math.floor(3 * Math.log(axes.length));
  const cma = new CmaEs(axes.length, lambda, settings.sigma);
  let generation: { point: Float64Array; record: TrialRecord }[] = [];
  for (const record of history) {
    const point = isTold(record) ? pointOf(axes, record) : undefined;
    if (!point) continue;
    generation.push({ point, record });
    if (generation.length < lambda) continue;
    const bad = (r: TrialRecord) => Number(lessonOf(r) !== 'measured');
    generation.sort(({ record: a }, { record: b }) =>
      bad(a) || bad(b) ? bad(a) - bad(b) || a.number - b.number : compareMeasured(a, b),
    );
    cma.tell(generation.map((member) => member.point));
    generation = [];
  }
  return cma;
}

export const cmaEs: Sampler<CmaSettings> = {
  settings,
  suggest: (space, history, context, settings) => {
    const axes = axesOf(space);
    const rest =
      axes.length === space.parameters.length
        ? {}
        : tpe.suggest(space, history, context, tpe.settings.parse({}));
    if (axes.length === 0) return rest;
    const cma = distributionAfter(axes, history, settings);
    const step = cma.step(Rng.of(context.seed, 'cma-es', context.trialNumber));
    const values = new Map(
      axes.map((axis, d) => {
        const x = Math.min(1, Math.max(0, cma.mean[d] + margin(cma, axis, d) * step[d]));
        return [axis.parameter.name, axis.valueAt(axis.low + axis.width * x)];
      }),
    );
    return Object.fromEntries(
      space.parameters.flatMap(({ name }) => {
        const value = values.get(name) ?? own(rest, name);
        return value === undefined ? [] : [[name, value]];
      }),
    );
  },
};
