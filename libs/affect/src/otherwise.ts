/**
 * One row asked otherwise than its source does: on other scales and labels that its gold answers as well. An answer stays valid
 * by construction, and what it means on the row's own scale or labels is known.
 */
import type { Rng } from '@emotune/base';
import { coarserSets, namesOf } from './label-names.js';
import { type AskOptions, type Question, questionOf } from './questions.js';
import type { Example, Meaning, Scale } from './tasks.js';

/** What differs from the row's own question; the instruction alone where it is `wording`. */
export type OtherKind =
  | 'scale'
  | 'inverted'
  | 'words'
  | 'order'
  | 'subset'
  | 'synonyms'
  | 'coarse'
  | 'wording';

export interface Otherwise {
  readonly kind: OtherKind;
  readonly question: Question;
  /** The row's gold in the words of the question. */
  readonly gold: Meaning;
  /** What the question calls a label → labels of the row's own set; several for a coarser label. */
  readonly meant: ReadonlyMap<string, readonly string[]>;
}

/** The line of cues, and in which wording it is asked. */
export type Worded = Pick<AskOptions, 'cues' | 'paraphrase'>;

const scaleOf = ([low, high]: readonly [number, number]): Scale => ({ low, high });

/** Scales that questionnaires, corpora and products use; training asks on these, in both directions. */
const taughtScales: readonly Scale[] = (
  [
    [0, 1],
    [-1, 1],
    [0, 5],
    [1, 5],
    [1, 7],
    [1, 9],
    [0, 10],
    [0, 100],
    [-3, 3],
    [-4, 4],
    [-5, 5],
    [-100, 100],
  ] as const
).map(scaleOf);

const words = (text: string) => text.split(', ');

/** Scales that train rows may be asked on, the first one first, where these are never to be taught, in neither direction. */
export function scalesBut(untaught: readonly Scale[]): readonly Scale[] {
  return taughtScales.filter((scale) => !isAmong(scale, untaught));
}

/** Whether a scale, or the inverse of it, is one of these. */
export function isAmong(scale: Scale, scales: readonly Scale[]): boolean {
  return scales.some((other) => sameScale(scale, other) || sameScale(inverted(scale), other));
}

/** Scales in words, from least to most; training asks on these. */
const taughtWords: Readonly<
  Record<'sentiment-regression' | 'emotion-regression', readonly (readonly string[])[]>
> = {
  'sentiment-regression': [
    words('negative, neutral, positive'),
    words('very negative, negative, neutral, positive, very positive'),
    words(
      'very negative, moderately negative, slightly negative, neutral, slightly positive, moderately positive, very positive',
    ),
    words('terrible, bad, okay, good, excellent'),
    words('very unpleasant, unpleasant, neither, pleasant, very pleasant'),
    words('strongly negative, weakly negative, weakly positive, strongly positive'),
  ],
  'emotion-regression': [
    words('low, medium, high'),
    words('none, low, moderate, high'),
    words('very low, low, medium, high, very high'),
    words('absent, faint, mild, strong, intense'),
    words('none, a little, some, much, very much'),
  ],
};

export function sameScale(a: Scale, b: Scale | null): boolean {
  return a.low === b?.low && a.high === b?.high;
}

export const inverted = ({ low, high }: Scale): Scale => ({ low: high, high: low });

export function onScale(example: Example, kind: OtherKind, scale: Scale, worded: Worded): Otherwise {
  const question = questionOf(example, { ...worded, scale });
  return { kind, question, gold: example.gold, meant: new Map() };
}

export function inWords(example: Example, labelSet: readonly string[], worded: Worded): Otherwise {
  const question = questionOf(example, { ...worded, labelSet });
  return { kind: 'words', question, gold: example.gold, meant: new Map() };
}

/** @param named By label that is asked about, what it is called. Labels of one name are one. */
export function withLabels(
  example: Example,
  kind: OtherKind,
  named: ReadonlyMap<string, string>,
  worded: Worded,
): Otherwise {
  const meant = new Map<string, string[]>();
  for (const [label, name] of named) meant.set(name, [...(meant.get(name) ?? []), label]);
  const labels = [...new Set(example.gold.labels.map((label) => named.get(label)!))].sort();
  return {
    kind,
    question: questionOf(example, { ...worded, labelSet: [...meant.keys()] }),
    gold: { value: null, labels },
    meant,
  };
}

/** Whether the name of each label is its own. */
export function areApart(named: ReadonlyMap<string, string>): boolean {
  return new Set(named.values()).size === named.size;
}

const isSentiment = ({ task }: Example) => task.startsWith('sentiment');

/** All of the gold's labels and some of the others, not all. */
function subset({ gold }: Example, others: readonly string[], rng: Rng): string[] {
  return [...gold.labels, ...rng.shuffle(others).slice(0, 1 + rng.int(others.length - 1))];
}

/** Each label by another name as a coin falls, one at least. */
function renamed(labels: readonly string[], sentiment: boolean, rng: Rng): Map<string, string> {
  const known = labels.filter((label) => namesOf(label, sentiment));
  const surely = known.length > 0 ? known[rng.int(known.length)] : undefined;
  return new Map(
    labels.map((label) => {
      const taught = namesOf(label, sentiment)?.taught;
      const other = taught && (label === surely || rng.uniform() < 0.5);
      return [label, other ? taught[rng.int(taught.length)] : label];
    }),
  );
}

const same = (labels: readonly string[]) => new Map(labels.map((label) => [label, label]));

function labelsOtherwise(example: Example, rng: Rng, worded: () => Worded): (() => Otherwise)[] {
  const { labelSet, gold, multiLabel } = example;
  const sentiment = isSentiment(example);
  const shuffled = (named: ReadonlyMap<string, string>) => new Map(rng.shuffle([...named]));
  const ways = [() => withLabels(example, 'order', shuffled(same(labelSet)), worded())];
  const others = labelSet.filter((label) => !gold.labels.includes(label));
  if (others.length > 1)
    ways.push(() => withLabels(example, 'subset', shuffled(same(subset(example, others, rng))), worded()));
  const synonyms = shuffled(renamed(labelSet, sentiment, rng));
  if (areApart(synonyms) && labelSet.some((label) => synonyms.get(label) !== label))
    ways.push(() => withLabels(example, 'synonyms', synonyms, worded()));
  for (const coarse of coarserSets(labelSet, sentiment)) {
    if (!gold.labels.every((label) => coarse.has(label))) continue;
    if (!multiLabel && new Set(gold.labels.map((label) => coarse.get(label))).size > 1) continue;
    const named = new Map(
      labelSet.filter((label) => coarse.has(label)).map((label) => [label, coarse.get(label)!]),
    );
    ways.push(() => withLabels(example, 'coarse', shuffled(named), worded()));
  }
  return ways;
}

function numbersOtherwise(
  example: Example,
  rng: Rng,
  worded: () => Worded,
  scales: readonly Scale[],
): (() => Otherwise)[] {
  const others = rng.shuffle(scales.filter((scale) => !sameScale(scale, example.scale)));
  const down = inverted(scales[rng.int(scales.length)]);
  const sets = taughtWords[isSentiment(example) ? 'sentiment-regression' : 'emotion-regression'];
  const ways = [
    ...others.slice(0, 2).map((scale) => () => onScale(example, 'scale', scale, worded())),
    () => onScale(example, 'inverted', down, worded()),
    () => inWords(example, sets[rng.int(sets.length)], worded()),
  ];
  const names = example.emotion === null ? undefined : namesOf(example.emotion, false)?.taught;
  if (names)
    ways.push(() => {
      const question = { ...questionOf(example, worded()), emotion: names[rng.int(names.length)] };
      return { kind: 'synonyms', question, gold: example.gold, meant: new Map() };
    });
  return ways;
}

/**
 * A row asked in `count` other ways at most, which differ: on other scales, inverted ones, in words; with other orders, subsets
 * and names of labels, with coarser ones. The same stream of random numbers gives the same ways.
 * @param worded The wording of each is drawn as it is asked for.
 * @param scales One at least, of which other scales are drawn.
 */
export function otherwise(
  example: Example,
  count: number,
  rng: Rng,
  worded: () => Worded,
  scales: readonly Scale[] = taughtScales,
): Otherwise[] {
  const ways =
    example.gold.value === null
      ? labelsOtherwise(example, rng, worded)
      : numbersOtherwise(example, rng, worded, scales);
  return rng
    .shuffle(ways)
    .slice(0, count)
    .map((way) => way());
}
