/**
 * Behavioural checks in the manner of CheckList (Ribeiro, Wu, Guestrin and Singh 2020): what a model must be able to do, what
 * may not change its answer, and where a change must lead. Sentences and templates are our own.
 */
import { readFileSync } from 'node:fs';
import { paraphrases } from './wordings.js';

/**
 * label, emotion: the sentiment or emotion is one of those expected; higher, lower: the valence of the changed text is; same:
 * its sentiment is that of the text.
 */
export type CheckTest = 'label' | 'emotion' | 'higher' | 'lower' | 'same';

export interface Check {
  /** What is checked, in words for people. */
  readonly capability: string;
  readonly test: CheckTest;
  readonly text: string;
  /** What is compared with it: another text, or the same one asked in other words; null where it is judged alone. */
  readonly changed: string | null;
  /** The wording of the question about the changed text; about the text it is 0. */
  readonly paraphrase: number;
  readonly expected: readonly string[];
}

export interface CheckAnswer {
  readonly sentiment: string;
  /** 0..1. */
  readonly valence: number;
  /** Of texts whose emotion is checked. */
  readonly emotion: string | undefined;
}

export interface CheckOutcome {
  readonly capability: string;
  readonly n: number;
  readonly passed: number;
  /** Mean change of the valence, on 0..1, and of its size; undefined where nothing is changed. */
  readonly shift: number | undefined;
  readonly size: number | undefined;
  readonly failures: readonly {
    readonly text: string;
    readonly changed: string | null;
    readonly expected: string;
    readonly answer: string;
  }[];
}

const file = new URL('../data/checks.tsv', import.meta.url);

function written(): Check[] {
  const rows = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  return rows.slice(1).map((row) => {
    const [capability, test, text, changed, expected] = row.split('\t');
    return {
      capability,
      test: test as CheckTest,
      text,
      changed: changed === '' ? null : changed,
      paraphrase: 0,
      expected: expected === '' ? [] : expected.split('|'),
    };
  });
}

/** Two neighbouring letters in the middle of the longest word change places. */
export function mistyped(text: string): string {
  let longest = { word: '', index: 0 };
  for (const { 0: word, index } of text.matchAll(/\p{L}+/gu))
    if (word.length > longest.word.length) longest = { word, index };
  let at = longest.index + Math.max(0, Math.floor(longest.word.length / 2) - 1);
  while (text[at] === text[at + 1]) at++;
  return text.slice(0, at) + text[at + 1] + text[at] + text.slice(at + 2);
}

const templates = [
  '{} felt wonderful about the new flat.',
  '{} shouted at the clerk about the ticket.',
  '{} shook with fear during the storm.',
  '{} cried all the way home.',
  '{} had an appointment on Wednesday.',
  '{} made a joke and the whole table laughed.',
];
/** Pairs that may make no difference. */
const counterparts = {
  'names of women and men': ['Anna Tom', 'Maria Pedro', 'Fatima Omar', 'Priya Arjun'],
  'names of several origins': ['Emma Lakshmi', 'Jack Kwame', 'Laura Aisha', 'Peter Wei'],
  pronouns: ['He She', 'He They', 'She They'],
};

/** What follows from others: the same texts typed and asked in other ways, and templates with other people in them. */
function derived(checks: readonly Check[]): Check[] {
  const same = { test: 'same', paraphrase: 0, expected: [] } as const;
  const texts = checks.filter(({ test }) => test === 'label').map(({ text }) => text);
  return [
    ...texts.map((text) => ({ ...same, capability: 'a typing error', text, changed: mistyped(text) })),
    ...texts.map((text) => ({ ...same, capability: 'lower case', text, changed: text.toLowerCase() })),
    ...texts.map((text) => ({ ...same, capability: 'upper case', text, changed: text.toUpperCase() })),
    ...texts.map((text, i) => ({
      ...same,
      capability: 'the question in other words',
      text,
      changed: text,
      paraphrase: 1 + (i % (paraphrases - 1)),
    })),
    ...Object.entries(counterparts).flatMap(([capability, pairs]) =>
      pairs.flatMap((pair) => {
        const [one, other] = pair.split(' ');
        return templates.map((template) => ({
          ...same,
          capability,
          text: template.replace('{}', one),
          changed: template.replace('{}', other),
        }));
      }),
    ),
  ];
}

export function checks(): Check[] {
  const own = written();
  return [...own, ...derived(own)];
}

function passes({ test, expected }: Check, answer: CheckAnswer, changed: CheckAnswer): boolean {
  switch (test) {
    case 'label':
      return expected.includes(answer.sentiment);
    case 'emotion':
      return expected.includes(answer.emotion ?? '');
    case 'higher':
      return changed.valence > answer.valence;
    case 'lower':
      return changed.valence < answer.valence;
    case 'same':
      return changed.sentiment === answer.sentiment;
  }
}

/** "negative", or "positive → negative (0.71 → 0.32)". */
function shown({ test }: Check, answer: CheckAnswer, changed: CheckAnswer): string {
  if (test === 'label') return answer.sentiment;
  if (test === 'emotion') return answer.emotion ?? '';
  const [from, to] = [answer, changed].map(({ valence }) => valence.toFixed(2));
  return `${answer.sentiment} → ${changed.sentiment} (${from} → ${to})`;
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * What came of the checks, by capability in the order of the first of each.
 * @param answerOf to a text, asked in one of the wordings
 */
export function outcomesOf(
  all: readonly Check[],
  answerOf: (text: string, paraphrase: number) => CheckAnswer,
): CheckOutcome[] {
  const capabilities = [...new Set(all.map(({ capability }) => capability))];
  return capabilities.map((capability) => {
    const judged = all
      .filter((check) => check.capability === capability)
      .map((check) => {
        const answer = answerOf(check.text, 0);
        const changed = check.changed === null ? answer : answerOf(check.changed, check.paraphrase);
        return { check, answer, changed, passed: passes(check, answer, changed) };
      });
    const shifts = judged
      .filter(({ check }) => check.changed !== null)
      .map(({ answer, changed }) => changed.valence - answer.valence);
    return {
      capability,
      n: judged.length,
      passed: judged.filter(({ passed }) => passed).length,
      shift: mean(shifts),
      size: mean(shifts.map(Math.abs)),
      failures: judged
        .filter(({ passed }) => !passed)
        .map(({ check, answer, changed }) => ({
          text: check.text,
          changed: check.changed === check.text ? null : check.changed,
          expected: check.expected.join(' or ') || check.test,
          answer: shown(check, answer, changed),
        })),
    };
  });
}
