/** The parameters that a search can tune, and which values training accepts for each. */
import { show, type Violation } from '@emotune/base';
import type { Parameter, ParameterValue } from '@emotune/search';

interface Tunable {
  /** What the values must be, for people. */
  readonly expects: string;
  accepts(value: ParameterValue): boolean;
  /** A checkpoint made with one value does not fit another, or would mean something else with it. */
  readonly shared?: true;
}

const number = (expects: string, holds: (value: number) => boolean): Tunable => ({
  expects,
  accepts: (value) => typeof value === 'number' && holds(value),
});

const shared = (tunable: Tunable): Tunable => ({ ...tunable, shared: true });

const oneOf = (...names: string[]): Tunable => ({
  expects: `${names.slice(0, -1).join(', ')} or ${names[names.length - 1]}`,
  accepts: (value) => names.some((name) => name === value),
});
const flag: Tunable = { expects: 'true or false', accepts: (v) => typeof v === 'boolean' };
const rate = number('numbers from 0 to less than 1', (v) => v >= 0 && v < 1);
const positive = number('numbers above 0', (v) => v > 0);
const notNegative = number('numbers of at least 0', (v) => v >= 0);
const wholeTo = (most: number) =>
  number(`whole numbers from 1 to ${most}`, (v) => Number.isInteger(v) && v >= 1 && v <= most);

/** By the words of the trainer's settings; a dot leads to a setting within another one. */
export const tunables: Readonly<Record<string, Tunable>> = {
  learningRate: positive,
  weightDecay: notNegative,
  warmupRatio: number('numbers from 0 to 1', (v) => v >= 0 && v <= 1),
  batchTokens: number('whole numbers of at least 16', (v) => Number.isInteger(v) && v >= 16),
  replay: number('numbers from 0 to 1', (v) => v >= 0 && v <= 1),
  loraRank: shared(wholeTo(1024)),
  loraAlpha: shared(positive),
  method: shared(oneOf('full', 'lora')),
  optimizer: shared(oneOf('adamw', 'adafactor', 'lion')),
  beta1: rate,
  beta2: rate,
  clipNorm: positive,
  ema: shared(number('numbers above 0 and below 1', (v) => v > 0 && v < 1)),
  schedule: oneOf('constant', 'inverse_sqrt', 'linear', 'cosine', 'warmup_stable_decay'),
  finalRatio: number('numbers from 0 to 1', (v) => v >= 0 && v <= 1),
  gradientAccumulation: number('whole numbers of at least 1', (v) => Number.isInteger(v) && v >= 1),
  curriculum: shared(oneOf('staged', 'mixed')),
  mixingTemperature: number('numbers of at least 1', (v) => v >= 1),
  competence: oneOf('none', 'length', 'spread'),
  'full.trainableLayers': shared(number('whole numbers of at least 1', (v) => Number.isInteger(v) && v >= 1)),
  'lora.dora': shared(flag),
  'lora.rankStabilised': shared(flag),
  'lora.loraPlusRatio': positive,
  'loss.labelSmoothing': rate,
  'loss.numberTokens.distance': oneOf('squared', 'wasserstein'),
  'loss.numberTokens.weight': positive,
  'loss.regression.name': oneOf('answer', 'raft', 'ordinal'),
  'loss.regression.weight': positive,
  'loss.regression.answerWeight': notNegative,
  'loss.regression.deviation': positive,
  'regularisation.mixout.rate': rate,
  'regularisation.mixout.over': oneOf('element', 'inputFeature'),
  'regularisation.dropout.embedding': rate,
  'regularisation.dropout.hidden': rate,
  'regularisation.dropout.lora': rate,
  'regularisation.perturbation.name': oneOf(
    'none',
    'neftune',
    'mixup',
    'fgm',
    'pgd',
    'freelb',
    'smart',
    'r3f',
    'rdrop',
  ),
  // Which of these a method has: docs/training.md.
  'regularisation.perturbation.alpha': positive,
  'regularisation.perturbation.epsilon': positive,
  'regularisation.perturbation.stepSize': positive,
  'regularisation.perturbation.steps': wholeTo(16),
  'regularisation.perturbation.initialMagnitude': notNegative,
  'regularisation.perturbation.maxNorm': notNegative,
  'regularisation.perturbation.weight': positive,
  'regularisation.perturbation.noise': {
    expects: 'numbers above 0 (smart), or uniform or normal (r3f)',
    accepts: (v) => (typeof v === 'number' ? v > 0 : v === 'uniform' || v === 'normal'),
  },
  'regularisation.perturbation.proximal': notNegative,
  architecture: shared({ expects: 'names of architectures', accepts: (v) => typeof v === 'string' }),
};

/** What training could not accept of a parameter's range or categories; `path` is the parameter's. */
export function unacceptable(parameter: Parameter, path: string): Violation[] {
  const tunable = tunables[parameter.name];
  if (!tunable) return [];
  const wrong = (field: string, value: ParameterValue) =>
    tunable.accepts(value)
      ? []
      : [{ field: `${path}.${field}`, description: `expected ${tunable.expects}, got ${show(value)}` }];
  if (parameter.kind === 'categorical')
    return parameter.values.flatMap((value, i) => wrong(`categorical.values[${i}]`, value));
  const { kind, min, max } = parameter;
  const ends = [...wrong(`${kind}.min`, min), ...wrong(`${kind}.max`, max)];
  // A continuous range holds fractions whatever its ends.
  if (
    ends.length === 0 &&
    kind === 'double' &&
    min < max &&
    !tunable.accepts(min + (max - min) * 0.6180339887)
  )
    return [{ field: `${path}.double`, description: `expected ${tunable.expects}: declare it as integer` }];
  return ends;
}
