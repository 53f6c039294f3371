/** What raters can answer, as it is kept. */
import { canonicalJson, InvalidArgument, show, Violations } from '@emotune/base';
import { evaluation } from '@emotune/proto';
import type { Item } from './items.js';
import type { StudyQuestion } from './question.js';

const { Preference } = evaluation;

/** Of the sample's model and the other one, whichever the rater saw first. */
type Choice = 'first' | 'second' | 'both' | 'neither';

export type Answer =
  | { readonly kind: 'value'; readonly value: number }
  | { readonly kind: 'labels'; readonly labels: readonly string[] }
  | { readonly kind: 'choice'; readonly choice: Choice };

const choices: Readonly<Record<string, Choice>> = {
  [Preference.PREFERENCE_FIRST]: 'first',
  [Preference.PREFERENCE_SECOND]: 'second',
  [Preference.PREFERENCE_BOTH]: 'both',
  [Preference.PREFERENCE_NEITHER]: 'neither',
};

/** The same seen from the other side. */
function turned(choice: Choice): Choice {
  return choice === 'first' ? 'second' : choice === 'second' ? 'first' : choice;
}

/** Guards quotients of decimal fractions against the last bit. */
const slack = 1e-9;

/**
 * @param swapped whether the rater saw the second answer first
 * @throws InvalidArgument with every violation.
 */
export function answerOf(
  given: evaluation.StudyAnswer | undefined,
  question: StudyQuestion,
  swapped: boolean,
): Answer {
  if (!given) throw InvalidArgument.at('answer', 'expected an answer, got nothing');
  const violations = new Violations();
  const { value, labels, preference } = given;
  const choice = choices[preference];
  const wanted = question.kind === 'comparison' ? 'preference' : question.scale === null ? 'labels' : 'value';
  const has = { value: value !== undefined, labels: labels.length > 0, preference: choice !== undefined };
  for (const field of ['value', 'labels', 'preference'] as const)
    if (field !== wanted)
      violations.expect(!has[field], `answer.${field}`, `expected "${wanted}" alone, got a value`);
  if (!has[wanted]) violations.add(`answer.${wanted}`, `expected ${expectation(question)}, got nothing`);
  violations.throwIfAny();
  if (question.kind === 'comparison') return { kind: 'choice', choice: swapped ? turned(choice) : choice };
  if (question.scale !== null) {
    const near = question.values.find((one) => Math.abs(one - value!) <= slack * Math.max(1, Math.abs(one)));
    if (near === undefined)
      throw InvalidArgument.at('answer.value', `expected ${expectation(question)}, got ${value}`);
    return { kind: 'value', value: near };
  }
  labels.forEach((label, i) => {
    violations.expect(
      question.labels.includes(label),
      `answer.labels[${i}]`,
      `expected ${expectation(question)}, got ${show(label)}`,
    );
  });
  const sorted = [...new Set(labels)].sort();
  violations.expect(
    question.multiLabel || sorted.length === 1,
    'answer.labels',
    `expected one label, got ${show(labels)}`,
  );
  violations.throwIfAny();
  return { kind: 'labels', labels: sorted };
}

function expectation(question: StudyQuestion): string {
  if (question.kind === 'comparison') return 'first, second, both or neither';
  return `one of ${(question.scale === null ? question.labels : question.values).join(', ')}`;
}

/** As a message. @param swapped as seen by a rater to whom the second answer was shown first */
export function answerMessage(answer: Answer, swapped: boolean): evaluation.StudyAnswer {
  const none = { labels: [], preference: Preference.PREFERENCE_UNSPECIFIED };
  switch (answer.kind) {
    case 'value':
      return { ...none, value: answer.value };
    case 'labels':
      return { ...none, labels: [...answer.labels] };
    case 'choice': {
      const choice = swapped ? turned(answer.choice) : answer.choice;
      const [preference] = Object.entries(choices).find(([, word]) => word === choice)!;
      return { ...none, preference: preference as evaluation.Preference };
    }
  }
}

export function sameAnswer(a: Answer, b: Answer): boolean {
  return canonicalJson(a) === canonicalJson(b);
}

/** Whether an attention check is passed. */
export function passes({ right }: Pick<Item, 'right'>, answer: Answer): boolean {
  if (right === null) return false;
  switch (right.kind) {
    case 'range':
      return answer.kind === 'value' && answer.value >= right.range.low && answer.value <= right.range.high;
    case 'labels':
      return answer.kind === 'labels' && [...right.labels].sort().join('\0') === answer.labels.join('\0');
    case 'first':
      return answer.kind === 'choice' && answer.choice === 'first';
  }
}
