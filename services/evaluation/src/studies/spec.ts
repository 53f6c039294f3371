/** What a study spec asks for, checked whole: every violation is named before anything is drawn. */
import {
  isRegression,
  labelViolations,
  languageViolations,
  type Scale,
  type Split,
  scaleViolations,
  splits,
  type Task,
  tasks,
} from '@emotune/affect';
import { fieldPath, InvalidArgument, show, Violations } from '@emotune/base';
import type { evaluation } from '@emotune/proto';
import { namePattern, taskOf } from '@emotune/service/words';

type SamplePlan =
  | { readonly kind: 'evaluation'; readonly evaluation: string }
  | { readonly kind: 'dataset'; readonly dataset: string; readonly split: Split };

export interface RatingPlan {
  readonly kind: 'rating';
  readonly task: Task;
  /** Null: that of the rows. */
  readonly scale: Scale | null;
  /** 0: the usual one. */
  readonly step: number;
  /** Empty: those of the rows. */
  readonly labels: readonly string[];
  readonly multiLabel: boolean;
  readonly question: string;
}

interface ComparisonPlan {
  readonly kind: 'comparison';
  /** An evaluation. */
  readonly against: string;
  readonly question: string;
}

/** An attention check of the user's own. */
export interface CheckPlan {
  readonly text: string;
  readonly emotion: string;
  /** Regression: the least and the most that is right. */
  readonly right: Scale | null;
  readonly labels: readonly string[];
  readonly better: string;
  readonly worse: string;
}

export interface StudyPlan {
  readonly name: string;
  readonly title: string;
  readonly instructions: string;
  readonly consent: string;
  readonly licence: string;
  readonly language: string;
  readonly sample: SamplePlan;
  readonly items: number;
  readonly mode: RatingPlan | ComparisonPlan;
  readonly raters: readonly string[];
  readonly anybody: boolean;
  readonly mostRaters: number;
  /** Raters of an item; 0: all. */
  readonly judgements: number;
  readonly builtInChecks: number;
  readonly checks: readonly CheckPlan[];
  /** Share of the checks that a rater has to pass. */
  readonly pass: number;
  readonly revisable: boolean;
  readonly seed: number;
}

const usualItems = 50;
const mostItems = 1000;
const usualRaters = 100;
const mostRaters = 1000;
const usualChecks = 2;
const mostBuiltIn = 4;
const mostOwnChecks = 50;
const usualPass = 0.75;
const longest = { word: 200, title: 200, text: 10_000 };

class Checker extends Violations {
  /** A text that people read. */
  text(value: string, most: number, at: readonly PropertyKey[]): string {
    this.expect(value.length <= most, at, `expected at most ${most} characters, got ${value.length}`);
    return value.trim();
  }

  someText(value: string, most: number, at: readonly PropertyKey[], what: string): string {
    this.expect(value.trim() !== '', at, `expected ${what}, got ${show(value || undefined)}`);
    return this.text(value, most, at);
  }

  whole(value: number, low: number, high: number, at: readonly PropertyKey[], what: string): number {
    this.expect(value >= low && value <= high, at, `expected ${low} to ${high} ${what}, got ${value}`);
    return value;
  }
}

function sampleOf(
  sample: evaluation.StudySample | undefined,
  mode: RatingPlan | ComparisonPlan | undefined,
  check: Checker,
): SamplePlan {
  const at = ['spec', 'sample'];
  const { evaluation = '', dataset = '', split = '' } = sample ?? {};
  if (evaluation === '' && dataset === '')
    check.add(at, 'expected "evaluation" or "dataset", got none of them');
  if (evaluation !== '') {
    check.expect(split === '', [...at, 'split'], `expected nothing beside "evaluation", got ${show(split)}`);
    return { kind: 'evaluation', evaluation };
  }
  check.expect(
    mode?.kind !== 'comparison' || dataset === '',
    [...at, 'dataset'],
    'expected "evaluation" where answers of models are compared, got "dataset"',
  );
  const asked = (split === '' ? 'test' : split) as Split;
  check.expect(
    splits.includes(asked),
    [...at, 'split'],
    `expected one of ${splits.join(', ')}, got ${show(split)}`,
  );
  return { kind: 'dataset', dataset, split: asked };
}

function ratingOf(rating: evaluation.RatingMode, check: Checker): RatingPlan {
  const at = ['spec', 'rating'];
  const task = taskOf(rating.task);
  check.expect(task !== undefined, [...at, 'task'], `expected one of ${tasks.join(', ')}, got nothing`);
  const regression = task !== undefined && isRegression(task);
  const { scale = null, step, labels, multiLabel } = rating;
  check.expect(step >= 0, [...at, 'step'], `expected 0 or more, got ${step}`);
  if (scale !== null) {
    const wrong = scaleViolations(scale, fieldPath([...at, 'scale']));
    check.addAll(wrong);
    if (wrong.length === 0 && step > 0) check.addAll(stepViolations(scale, step, fieldPath([...at, 'step'])));
  }
  if (labels.length > 0) check.addAll(labelViolations(labels, fieldPath([...at, 'labels'])));
  const none = (given: boolean, field: string) =>
    check.expect(!given, [...at, field], `expected nothing where ${task} is rated, got a value`);
  if (task !== undefined) {
    if (regression) {
      none(labels.length > 0, 'labels');
      none(multiLabel, 'multiLabel');
    } else {
      none(scale !== null, 'scale');
      none(step > 0, 'step');
    }
  }
  const question = check.text(rating.question, longest.title, [...at, 'question']);
  return {
    ...{ kind: 'rating', task: task ?? 'sentiment-regression', scale, step, labels, multiLabel, question },
  };
}

function comparisonOf(comparison: evaluation.ComparisonMode, check: Checker): ComparisonPlan {
  const at = ['spec', 'comparison'];
  const against = check.someText(
    comparison.against,
    longest.word,
    [...at, 'against'],
    'the id of an evaluation',
  );
  const question = check.text(comparison.question, longest.title, [...at, 'question']);
  return { kind: 'comparison', against, question };
}

const mostValues = 101;
/** Guards quotients of decimal fractions against the last bit. */
const slack = 1e-9;

/** What is wrong with a step of a scale. */
export function stepViolations({ low, high }: Scale, step: number, field: string) {
  const violations = new Violations();
  const steps = Math.abs(high - low) / step;
  violations.expect(
    Math.abs(steps - Math.round(steps)) <= slack * steps && steps < mostValues - 1 + slack && steps >= 1,
    field,
    `expected a step that divides ${low}..${high} into 1 to ${mostValues - 1} parts, got ${step}`,
  );
  return violations.list;
}

function ratersOf(spec: evaluation.StudySpec, check: Checker): string[] {
  const at = ['spec', 'raters'];
  const { raters, anybody } = spec;
  check.expect(
    raters.length > 0 || anybody,
    at,
    'expected raters by name, or "anybody: true", got neither: nobody could judge',
  );
  check.whole(raters.length, 0, mostRaters, at, 'raters');
  const names = raters.slice(0, mostRaters).map((name) => name.trim());
  names.forEach((name, i) => {
    check.someText(name, longest.word, [...at, i], 'the name of a rater');
    // Nameless raters are called so.
    check.expect(
      !/^rater-\d+$/.test(name),
      [...at, i],
      `expected another name than ${show(name)}, which raters without one are given`,
    );
    const first = names.indexOf(name);
    check.expect(
      first === i,
      [...at, i],
      `expected each rater once, got ${show(name)} as in raters[${first}]`,
    );
  });
  return names;
}

function checkOf(
  own: evaluation.AttentionCheck,
  mode: RatingPlan | ComparisonPlan | undefined,
  at: readonly PropertyKey[],
  check: Checker,
): CheckPlan {
  const text = check.someText(own.text, longest.text, [...at, 'text'], 'a text');
  const { right = null, labels, emotion } = own;
  const [better, worse] = [own.better.trim(), own.worse.trim()];
  const plan = { text, emotion, right, labels, better, worse };
  const asked = mode?.kind === 'rating' ? mode : undefined;
  const regression = asked !== undefined && isRegression(asked.task);
  const wanted = {
    right: regression,
    labels: asked !== undefined && !regression,
    better: mode?.kind === 'comparison',
    worse: mode?.kind === 'comparison',
    emotion: asked?.task === 'emotion-regression',
  };
  const given = {
    right: right !== null,
    labels: labels.length > 0,
    better: better !== '',
    worse: worse !== '',
    emotion: emotion !== '',
  };
  if (mode)
    for (const field of ['right', 'labels', 'better', 'worse', 'emotion'] as const)
      check.expect(
        wanted[field] === given[field],
        [...at, field],
        wanted[field]
          ? 'expected what tells a right answer from a wrong one, got nothing'
          : 'expected nothing in a study of this kind, got a value',
      );
  check.expect(
    better === '' || better !== worse,
    [...at, 'worse'],
    `expected another answer than ${show(better)}`,
  );
  if (right !== null)
    check.expect(
      right.low <= right.high,
      [...at, 'right'],
      `expected the least and then the most, got ${right.low}..${right.high}`,
    );
  if (asked && asked.labels.length > 0)
    labels.forEach((label, i) => {
      check.expect(
        asked.labels.includes(label),
        [...at, 'labels', i],
        `expected one of ${asked.labels.join(', ')}, got ${show(label)}`,
      );
    });
  return plan;
}

/** @throws InvalidArgument with every violation. */
export function planOf(spec: evaluation.StudySpec | undefined): StudyPlan {
  if (!spec) throw InvalidArgument.at('spec', 'expected a study spec, got nothing');
  const check = new Checker();
  check.expect(
    namePattern.test(spec.name),
    ['spec', 'name'],
    `expected 1 to 40 lower-case letters, digits and dashes, got ${show(spec.name)}`,
  );
  const text = (field: 'title' | 'instructions', most: number) =>
    check.text(spec[field], most, ['spec', field]);
  const title = text('title', longest.title) || spec.name;
  const instructions = text('instructions', longest.text);
  const consent = check.someText(
    spec.consent,
    longest.text,
    ['spec', 'consent'],
    'what raters agree to before they begin',
  );
  const licence = check.someText(
    spec.licence,
    longest.word,
    ['spec', 'licence'],
    'the licence of the judgements, such as CC-BY-4.0',
  );
  check.addAll(languageViolations(spec.language, 'spec.language'));
  const language = spec.language || 'en';
  if (!(spec.rating || spec.comparison))
    check.add('spec', 'expected "rating" or "comparison", got none of them');
  const mode = spec.rating
    ? ratingOf(spec.rating, check)
    : spec.comparison && comparisonOf(spec.comparison, check);
  const sample = sampleOf(spec.sample, mode, check);
  const items = check.whole(spec.sample?.items ?? 0, 0, mostItems, ['spec', 'sample', 'items'], 'items');
  const raters = ratersOf(spec, check);
  const others = check.whole(spec.mostRaters, 0, mostRaters, ['spec', 'mostRaters'], 'raters');
  check.expect(
    spec.judgements >= 0,
    ['spec', 'judgements'],
    `expected 0 or more raters of an item, got ${spec.judgements}`,
  );
  const possible = raters.length + (spec.anybody ? others || usualRaters : 0);
  if (possible > 0)
    check.expect(
      spec.judgements <= possible,
      ['spec', 'judgements'],
      `expected at most as many as there can be raters (${possible}), got ${spec.judgements}`,
    );
  const { builtIn, own = [], pass } = spec.attention ?? {};
  const english = new Intl.Locale(safely(language)).language === 'en';
  const builtInChecks = check.whole(
    builtIn ?? (english ? usualChecks : 0),
    0,
    mostBuiltIn,
    ['spec', 'attention', 'builtIn'],
    'checks',
  );
  check.whole(own.length, 0, mostOwnChecks, ['spec', 'attention', 'own'], 'checks');
  const checks = own
    .slice(0, mostOwnChecks)
    .map((one, i) => checkOf(one, mode, ['spec', 'attention', 'own', i], check));
  const passed = pass ?? usualPass;
  check.expect(
    passed >= 0 && passed <= 1,
    ['spec', 'attention', 'pass'],
    `expected a share of 0 to 1, got ${passed}`,
  );
  check.throwIfAny();
  return {
    ...{ name: spec.name, title, instructions, consent, licence, language, sample, raters, checks },
    items: items || usualItems,
    mode: mode!,
    anybody: spec.anybody,
    mostRaters: others || usualRaters,
    judgements: spec.judgements,
    builtInChecks,
    pass: passed,
    revisable: spec.revisable,
    seed: spec.seed,
  };
}

/** A wrong tag is told of elsewhere. */
function safely(language: string): string {
  try {
    return Intl.getCanonicalLocales(language)[0];
  } catch {
    return 'und';
  }
}
