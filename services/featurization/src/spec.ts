/** What a feature set spec asks for, checked whole: every violation is named before anything is built. */
import type { Split } from '@emotune/affect';
import { InvalidArgument, show, Violations } from '@emotune/base';
import type { featurization } from '@emotune/proto';
import { namePattern } from '@emotune/service/words';

export interface FeaturePlan {
  readonly name: string;
  readonly dataset: string;
  readonly baseModels: readonly string[];
  /** Put lexicon cues into the prompts. */
  readonly cues: boolean;
  /** Share of train questions that go without them all the same, 0..1. */
  readonly cueDropout: number;
  /** Induce a lexicon from the train rows and put what it says into the prompts, too. */
  readonly induced: boolean;
  /** Names of lexicons beside VADER and AFINN. */
  readonly lexicons: readonly string[];
  /** Ask train rows on further scales and label orders, too. */
  readonly varyScales: boolean;
  /** Longest row, prompt and answer. */
  readonly maxTokens: number;
  readonly seed: number;
  /** Rows of each task; 0 keeps all. */
  readonly limits: Readonly<Record<Split, number>>;
}

const usualTokens = 160;
const usualDropout = 0.3;
const fewestTokens = 32;
const mostTokens = 4096;
const mostModels = 50;
const mostLexicons = 20;
/** Part of all prompts with cues. */
const always: readonly string[] = ['vader', 'afinn'];

/** @throws InvalidArgument with every violation. */
export function planOf(spec: featurization.FeatureSetSpec | undefined): FeaturePlan {
  if (!spec) throw InvalidArgument.at('spec', 'expected a feature set spec, got nothing');
  const violations = new Violations();
  const expect = (holds: boolean, path: readonly PropertyKey[], description: string) => {
    if (!holds) violations.add(['spec', ...path], description);
  };
  for (const field of ['name', 'dataset'] as const) {
    expect(
      namePattern.test(spec[field]),
      [field],
      `expected 1 to 40 lower-case letters, digits and dashes, got ${show(spec[field])}`,
    );
  }
  const { baseModels } = spec;
  expect(
    baseModels.length >= 1 && baseModels.length <= mostModels,
    ['baseModels'],
    `expected 1 to ${mostModels} base models, got ${baseModels.length}`,
  );
  baseModels.forEach((model, i) => {
    expect(model !== '', ['baseModels', i], 'expected the name of a base model, got ""');
    expect(
      baseModels.indexOf(model) === i,
      ['baseModels', i],
      `expected each base model once, got ${show(model)} again`,
    );
  });
  const { lexicons } = spec;
  expect(
    lexicons.length <= mostLexicons,
    ['lexicons'],
    `expected at most ${mostLexicons} lexicons, got ${lexicons.length}`,
  );
  lexicons.forEach((lexicon, i) => {
    expect(
      namePattern.test(lexicon) && !always.includes(lexicon) && lexicons.indexOf(lexicon) === i,
      ['lexicons', i],
      `expected the name of a lexicon, each once and beside ${always.join(' and ')}, got ${show(lexicon)}`,
    );
  });
  const { maxTokens, seed, cueDropout = usualDropout } = spec;
  expect(
    maxTokens === 0 || (maxTokens >= fewestTokens && maxTokens <= mostTokens),
    ['maxTokens'],
    `expected 0 or ${fewestTokens} to ${mostTokens}, got ${maxTokens}`,
  );
  expect(
    cueDropout >= 0 && cueDropout <= 1,
    ['cueDropout'],
    `expected a share from 0 to 1, got ${cueDropout}`,
  );
  expect(Number.isSafeInteger(seed), ['seed'], `expected a whole number below 2^53, got ${seed}`);
  for (const field of ['limitTrain', 'limitValidation', 'limitTest'] as const)
    expect(spec[field] >= 0, [field], `expected 0 or more rows, got ${spec[field]}`);
  violations.throwIfAny();
  return {
    name: spec.name,
    dataset: spec.dataset,
    baseModels,
    cues: !spec.withoutCues,
    cueDropout,
    lexicons: spec.withoutCues ? [] : lexicons,
    induced: !spec.withoutCues && !spec.withoutInducedLexicon,
    varyScales: spec.varyScales,
    maxTokens: maxTokens || usualTokens,
    seed,
    limits: { train: spec.limitTrain, validation: spec.limitValidation, test: spec.limitTest },
  };
}
