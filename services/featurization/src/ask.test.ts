import { candidatesOf, type Example, explain, labelGold } from '@emotune/affect';
import { describe, expect, it } from 'vitest';
import { ask } from './ask.js';
import type { FeaturePlan } from './spec.js';
import { examplesOf } from './testing.js';

const plan: FeaturePlan = {
  name: 'set',
  dataset: 'demo',
  baseModels: ['opt'],
  cues: true,
  cueDropout: 0,
  induced: false,
  lexicons: [],
  varyScales: false,
  untaughtScales: [],
  labelBalance: 0,
  augmentations: [],
  maxTokens: 160,
  seed: 1,
  limits: { train: 0, validation: 0, test: 0 },
};
const rows = examplesOf('train', 90);
const cues = ({ text }: Example) => explain(text).cueText;

describe('ask', () => {
  it('words train rows by the seed and others in the first wording', () => {
    const wordings = (split: 'train' | 'test', seed: number) =>
      rows.map((row) => ask(row, split, { ...plan, seed }, cues)[0].question.paraphrase);
    expect(new Set(wordings('train', 1)).size).toBe(12);
    expect(wordings('train', 1)).toEqual(wordings('train', 1));
    expect(wordings('train', 1)).not.toEqual(wordings('train', 2));
    expect(new Set(wordings('test', 1))).toEqual(new Set([0]));
  });

  it('leaves cues out when told to', () => {
    const loving = { ...rows[0], text: 'we love this' };
    expect(ask(loving, 'test', plan, cues)[0].prompt).toContain('Cues: love');
    expect(ask(loving, 'test', { ...plan, cues: false }, cues)[0].prompt).not.toContain('Cues');
  });

  it('bares a share of the train questions of their cues, by the seed, and none of the others', () => {
    const cued = (split: 'train' | 'validation' | 'test', changes: Partial<FeaturePlan>) =>
      rows.map((row) =>
        ask(row, split, { ...plan, ...changes }, cues).map(({ question }) => question.cues !== ''),
      );
    const share = (lists: readonly boolean[][]) =>
      lists.flat().filter((has) => !has).length / lists.flat().length;
    const dropped = cued('train', { cueDropout: 0.4, varyScales: true });
    // 270 questions: four standard deviations.
    expect(Math.abs(share(dropped) - 0.4)).toBeLessThan(0.12);
    expect(dropped).toEqual(cued('train', { cueDropout: 0.4, varyScales: true }));
    expect(dropped).not.toEqual(cued('train', { cueDropout: 0.4, varyScales: true, seed: 2 }));
    // One text is asked with and without.
    expect(dropped.some((of) => of.includes(true) && of.includes(false))).toBe(true);
    expect(share(cued('train', { cueDropout: 1 }))).toBe(1);
    expect(share(cued('train', { cueDropout: 0 }))).toBe(0);
    for (const split of ['validation', 'test'] as const)
      expect(share(cued(split, { cueDropout: 1 }))).toBe(0);
  });

  it('asks train rows in two other ways, which say what they are, and no others', () => {
    const varied = { ...plan, varyScales: true };
    for (const row of rows) {
      const [own, ...others] = ask(row, 'train', varied, cues);
      expect(own).toEqual(ask(row, 'train', plan, cues)[0]);
      expect(own.derived).toBeNull();
      expect(others).toHaveLength(2);
      expect(new Set([own, ...others].map(({ id }) => id)).size).toBe(3);
      for (const other of others) {
        expect(other.derived?.from).toBe(row.id);
        expect(other.question.cues).toBe(own.question.cues);
        expect(candidatesOf(other.question).map(({ answer }) => answer)).toContain(other.answer);
      }
      expect(ask(row, 'validation', varied, cues)).toHaveLength(1);
    }
    const kinds = new Set(
      rows.flatMap((row) => ask(row, 'train', varied, cues).map(({ derived }) => derived?.by)),
    );
    for (const kind of ['scale', 'inverted', 'words', 'order', 'subset', 'synonyms', 'coarse'])
      expect(kinds).toContain(kind);
  });

  it('asks train and validation rows on no scale that is not to be taught, and test rows on their own', () => {
    const untaughtScales = [
      { low: -4, high: 4 },
      { low: 0, high: 1 },
    ];
    const numbers = rows.filter(({ scale }) => scale !== null);
    const native = { low: 4, high: -4 };
    const untaught = { ...plan, varyScales: true, untaughtScales };
    const asked = (split: 'train' | 'validation' | 'test') =>
      numbers.flatMap((row) => ask({ ...row, scale: native }, split, untaught, cues));
    const trained = asked('train').filter(({ question }) => question.labelSet.length === 0);
    const ends = (of: ReturnType<typeof ask>) =>
      new Set(of.map(({ question }) => [question.scale!.low, question.scale!.high].sort().join()));
    expect(trained.length).toBeGreaterThan(numbers.length);
    expect(ends(trained).size).toBeGreaterThan(5);
    const taught = ends([...trained, ...asked('validation')]);
    expect(['-4,4', '0,1'].filter((scale) => taught.has(scale))).toEqual([]);
    expect(ends(asked('test'))).toEqual(new Set(['-4,4']));
    // What is meant stays, whatever the scale.
    const [{ gold }] = numbers;
    expect(ask({ ...numbers[0], scale: native }, 'validation', untaught, cues)[0].gold).toBe(gold);
    expect(ask(numbers[0], 'train', { ...plan, untaughtScales: [] }, cues)[0].question.scale).toEqual(
      numbers[0].scale,
    );
  });

  it('asks a row again in other words, and about its edited text', () => {
    const edited = [{ method: 'aeda', text: 'we , love this' }];
    const [own, again, other] = ask(rows[1], 'train', plan, cues, { copies: 2, edited });
    expect(own).toEqual(ask(rows[1], 'train', plan, cues)[0]);
    expect([again, other].map(({ derived }) => derived?.by)).toEqual(['again', 'aeda']);
    expect([again, other].map(({ answer }) => answer)).toEqual([own.answer, own.answer]);
    expect(other.prompt).toContain('Text: we , love this');
    expect(other.example.text).toBe('we , love this');
    const wordings = rows.map((row) =>
      ask(row, 'train', plan, cues, { copies: 2 }).map(({ prompt }) => prompt),
    );
    expect(wordings.filter(([first, second]) => first !== second).length).toBeGreaterThan(60);
    const varied = ask(rows[1], 'train', { ...plan, varyScales: true }, cues, { copies: 2, edited });
    expect(varied).toHaveLength(7);
    expect(new Set(varied.map(({ id }) => id)).size).toBe(7);
  });

  it('names a row whose gold does not fit its question', () => {
    const bad = { ...rows[1], gold: labelGold(['hope']) };
    expect(() => ask(bad, 'train', plan, cues)).toThrow(`row ${bad.id}: labels: expected`);
  });
});
