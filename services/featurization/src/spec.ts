/** What a feature set spec asks for, checked whole: every violation is named before anything is built. */
import { type Scale, type Split, scalesBut, scaleViolations } from '@emotune/affect';
import { InvalidArgument, nearest, show, Violations } from '@emotune/base';
import type { featurization } from '@emotune/proto';
import { namePattern } from '@emotune/service/words';
import type { Augmentation } from './augmentation/augment.js';
import { type MethodName, methodNames, methodOf } from './augmentation/methods.js';

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
  /** Scales that no train or validation row is asked on, in neither direction. */
  readonly untaughtScales: readonly Scale[];
  /** 0: labels of train rows as often as they occur; 1: alike. */
  readonly labelBalance: number;
  /** Further train rows with edited texts. */
  readonly augmentations: readonly Augmentation[];
  /** Longest row, prompt and answer. */
  readonly maxTokens: number;
  readonly seed: number;
  /** Rows of each task; 0 keeps all. */
  readonly limits: Readonly<Record<Split, number>>;
}

const usualTokens = 160;
const usualDropout = 0.3;
/** As often as they occur: thresholds find rare labels, and more rows of them have not been shown to help (docs/benchmarks.md, ablations). */
const usualBalance = 0;
const fewestTokens = 32;
const mostTokens = 4096;
const mostModels = 50;
const mostLexicons = 20;
/** Part of all prompts with cues. */
const always: readonly string[] = ['vader', 'afinn'];

const usualShare = 0.5;
const usualLanguage = 'de';
const languagePattern = /^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$/;

function augmentationOf({ method, share, strength, language }: featurization.Augmentation): Augmentation {
  const name = method as MethodName;
  return {
    method: name,
    share: share || usualShare,
    strength: strength || methodOf(name).strength,
    language: name === 'back-translation' ? language || usualLanguage : '',
  };
}

function augmentationViolations(given: readonly featurization.Augmentation[]): Violations {
  const violations = new Violations();
  given.forEach(({ method, share, strength, language }, i) => {
    const expect = (holds: boolean, field: string, description: string) => {
      if (!holds) violations.add(['spec', 'augmentations', i, field], description);
    };
    const near = nearest(method, methodNames);
    expect(
      methodNames.includes(method as MethodName),
      'method',
      `expected ${methodNames.join(', ')}, got ${show(method)}${near ? `; did you mean "${near}"?` : ''}`,
    );
    for (const [field, value] of Object.entries({ share, strength }))
      expect(value >= 0 && value <= 1, field, `expected a number on 0..1, got ${value}`);
    expect(
      language === '' || (method === 'back-translation' && languagePattern.test(language)),
      'language',
      method === 'back-translation'
        ? `expected the code of a language such as de, got ${show(language)}`
        : `expected nothing, which is for back-translation alone, got ${show(language)}`,
    );
    const first = given.findIndex((other) => other.method === method && other.language === language);
    expect(first === i, 'method', `expected each once, got ${show(method)} again`);
  });
  return violations;
}

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
  const { maxTokens, seed, cueDropout = usualDropout, labelBalance = usualBalance } = spec;
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
  expect(
    labelBalance >= 0 && labelBalance <= 1,
    ['labelBalance'],
    `expected a number on 0..1, got ${labelBalance}`,
  );
  const untaughtScales = (spec.untaughtScales ?? []).map(({ low, high }): Scale => ({ low, high }));
  untaughtScales.forEach((scale, i) => {
    violations.addAll(scaleViolations(scale, `spec.untaughtScales[${i}]`));
  });
  expect(
    scalesBut(untaughtScales).length > 0,
    ['untaughtScales'],
    'expected some of the scales that train rows are asked on to be left, got all of them',
  );
  violations.addAll(augmentationViolations(spec.augmentations ?? []).list);
  violations.throwIfAny();
  return {
    name: spec.name,
    dataset: spec.dataset,
    baseModels,
    cues: !spec.withoutCues,
    cueDropout,
    lexicons: spec.withoutCues ? [] : lexicons,
    induced: !spec.withoutCues && spec.inducedLexicon,
    varyScales: spec.varyScales,
    untaughtScales,
    labelBalance,
    augmentations: (spec.augmentations ?? []).map(augmentationOf),
    maxTokens: maxTokens || usualTokens,
    seed,
    limits: { train: spec.limitTrain, validation: spec.limitValidation, test: spec.limitTest },
  };
}
