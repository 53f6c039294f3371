import { Rng } from '@emotune/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { heldOutQuestions, heldOutScales, heldOutWords } from './held-out.js';
import { coarserSets, namesOf, neutralNames } from './label-names.js';
import { labelSets } from './labels.js';
import { type Otherwise, otherwise } from './otherwise.js';
import { candidatesOf, questionOf, renderAnswer, renderPrompt } from './questions.js';
import { type Example, labelGold, numberGold, type Scale, type Task } from './tasks.js';
import { heldOutParaphrases, paraphrases } from './wordings.js';

const goEmotions =
  'admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief remorse sadness surprise neutral'.split(
    ' ',
  );
const sentiment5 = ['very negative', 'negative', 'neutral', 'positive', 'very positive'];

function example(task: Task, more: Partial<Example>): Example {
  const common = { id: 'a/1', source: 'a', language: 'en', text: 'The ferry was late', emotion: null };
  return { ...common, task, labelSet: [], multiLabel: false, scale: null, gold: numberGold(0.5), ...more };
}

const numbers = fc
  .record({
    task: fc.constantFrom('sentiment-regression' as const, 'emotion-regression' as const),
    value: fc.double({ min: 0, max: 1, noNaN: true }),
    scale: fc.constantFrom<Scale[]>({ low: 0, high: 1 }, { low: -4, high: 4 }, { low: 5, high: 1 }),
    emotion: fc.constantFrom('joy', 'fear', 'dominance'),
  })
  .map(({ task, value, scale, emotion }) =>
    example(task, {
      scale,
      gold: numberGold(value),
      emotion: task === 'emotion-regression' ? emotion : null,
    }),
  );
const kindsOfLabels: readonly (readonly [Task, readonly string[], boolean])[] = [
  ['sentiment-classification', labelSets.sentiment2, false],
  ['sentiment-classification', labelSets.sentiment3, false],
  ['sentiment-classification', sentiment5, false],
  ['emotion-classification', labelSets.plutchik, true],
  ['emotion-classification', labelSets.ekman, false],
  ['emotion-classification', goEmotions, true],
  ['emotion-classification', ['zest', 'ennui', 'Fernweh'], true],
];
const labelled = fc
  .constantFrom(...kindsOfLabels)
  .chain(([task, labelSet, multiLabel]) =>
    fc
      .subarray([...labelSet], { minLength: 1, maxLength: multiLabel ? 3 : 1 })
      .map((labels) => example(task, { labelSet, multiLabel, gold: labelGold([...labels].sort()) })),
  );
const seed = fc.integer({ min: 0, max: 1_000_000 });
const ways = (row: Example, seed: number): Otherwise[] => {
  const rng = Rng.of(seed);
  return otherwise(row, 10, rng, () => ({ cues: '', paraphrase: rng.int(paraphrases) }));
};

const answers = ({ question }: Otherwise) => candidatesOf(question).map(({ answer }) => answer);

describe('a row asked otherwise', () => {
  it('has an answer that is allowed and means its gold, to half a step of the scale', () => {
    fc.assert(
      fc.property(numbers, seed, (row, seed) => {
        const asked = [...ways(row, seed), ...heldOutQuestions(row, '')];
        expect(asked.length).toBeGreaterThan(4);
        for (const { question, gold } of asked) {
          const answer = renderAnswer(question, gold);
          const candidates = candidatesOf(question);
          const at = candidates.findIndex((candidate) => candidate.answer === answer);
          expect(at).toBeGreaterThanOrEqual(0);
          const half = 0.5 / (candidates.length - 1);
          expect(Math.abs(candidates[at].value! - row.gold.value!)).toBeLessThanOrEqual(half + 1e-9);
          expect([candidates[0].value, candidates.at(-1)!.value]).toEqual([0, 1]);
        }
      }),
    );
  });

  it('answers with labels that are allowed, and each label of its gold is meant by one of them', () => {
    fc.assert(
      fc.property(labelled, seed, (row, seed) => {
        const asked = [...ways(row, seed), ...heldOutQuestions(row, '')];
        expect(asked.length).toBeGreaterThan(0);
        for (const { question, gold, meant } of asked) {
          expect(new Set(question.labelSet).size).toBe(question.labelSet.length);
          expect(question.labelSet.length).toBeGreaterThan(1);
          expect([...meant.keys()].sort()).toEqual([...question.labelSet].sort());
          renderAnswer(question, gold);
          const means = gold.labels.flatMap((label) => meant.get(label)!);
          for (const label of row.gold.labels) expect(means).toContain(label);
          for (const label of [...meant.values()].flat()) expect(row.labelSet).toContain(label);
          // Labels that are not the gold's are meant by no label of the answer but a coarser one.
          for (const [name, labels] of meant)
            if (labels.length === 1)
              expect(gold.labels.includes(name)).toBe(row.gold.labels.includes(labels[0]));
        }
      }),
    );
  });

  it('is the same for the same seed, and never as evaluation keeps for itself', () => {
    const kept = new Set([
      ...heldOutScales.flatMap(({ low, high }) => [`${low}..${high}`, `${high}..${low}`]),
      ...Object.values(heldOutWords).map(String),
    ]);
    const names = new Set(
      [...labelSets.plutchik, ...goEmotions].map((label) => namesOf(label, false)?.heldOut),
    );
    fc.assert(
      fc.property(fc.oneof(numbers, labelled), seed, (row, seed) => {
        expect(ways(row, seed)).toEqual(ways(row, seed));
        for (const { kind, question } of ways(row, seed)) {
          const { scale, labelSet, paraphrase } = question;
          expect(heldOutParaphrases).not.toContain(paraphrase);
          if (kind !== 'words' && scale) expect(kept.has(`${scale.low}..${scale.high}`)).toBe(false);
          expect(kept.has(String(labelSet))).toBe(false);
          for (const label of labelSet) expect(names.has(label)).toBe(false);
        }
      }),
    );
  });

  it('shows its direction, its words and its labels in the prompt', () => {
    const row = example('sentiment-regression', { scale: { low: -4, high: 4 }, gold: numberGold(0.9) });
    const asked = Array.from({ length: 60 }, (_, seed) => ways(row, seed)).flat();
    const down = asked.find(({ kind, question }) => kind === 'inverted' && question.paraphrase === 0)!;
    expect(renderPrompt(down.question)).toMatch(/from (\S+) \(most negative\) to (\S+) \(most positive\)/);
    expect(down.question.scale!.low).toBeGreaterThan(down.question.scale!.high);
    const grades = asked.filter(({ kind }) => kind === 'words');
    expect(grades.length).toBeGreaterThan(10);
    for (const grade of grades)
      for (const word of answers(grade)) expect(renderPrompt(grade.question)).toContain(word);
  });
});

describe('names of labels', () => {
  it('are of one label each, and no label of a known set', () => {
    for (const sentiment of [false, true]) {
      const labels = sentiment ? [...sentiment5] : [...new Set([...goEmotions, ...labelSets.plutchik])];
      const all = labels.flatMap((label) => {
        const of = namesOf(label, sentiment);
        return of ? [...of.taught, of.heldOut] : [];
      });
      expect(new Set(all).size).toBe(all.length);
      for (const name of all) expect(labels).not.toContain(name);
      for (const name of all) expect(name).not.toMatch(/[|,]/);
    }
  });

  it('of what is no emotion stand alone in an answer', () => {
    const row = example('emotion-classification', {
      labelSet: labelSets.ekman,
      multiLabel: true,
      gold: labelGold(['neutral']),
    });
    const renamed = heldOutQuestions(row, '').find(({ kind }) => kind === 'synonyms')!;
    const held = answers(renamed).filter((answer) =>
      answer.includes(renderAnswer(renamed.question, renamed.gold)),
    );
    expect(held).toEqual(['unemotional']);
    expect(neutralNames.has('unemotional')).toBe(true);
  });

  it('of coarser sets are fewer, and leave out what could be either', () => {
    const [ekman, valence] = coarserSets(goEmotions, false);
    expect(new Set(ekman.values())).toEqual(new Set(labelSets.ekman));
    expect(ekman.get('remorse')).toBe('sadness');
    expect(valence.has('surprise')).toBe(false);
    expect(coarserSets(labelSets.ekman, false)).toHaveLength(1);
    expect(coarserSets(sentiment5, true)[0].get('very negative')).toBe('negative');
    expect(coarserSets(labelSets.sentiment3, true)).toEqual([]);
    const ambiguous = example('emotion-classification', {
      labelSet: labelSets.plutchik,
      multiLabel: true,
      gold: labelGold(['joy', 'surprise']),
    });
    const kinds = Array.from({ length: 30 }, (_, seed) => ways(ambiguous, seed)).flat();
    expect(kinds.some(({ kind }) => kind === 'coarse')).toBe(false);
  });
});

it('a question keeps its first wording', () => {
  const row = example('emotion-regression', { emotion: 'joy', scale: { low: 0, high: 1 } });
  expect(renderPrompt(questionOf(row, { cues: '', paraphrase: 0 }))).toBe(
    'Human: \nTask: Rate the joy in the text from 0 (none) to 1 (most). Text: The ferry was late Intensity of joy:\n\nAssistant: \n',
  );
});
