import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explain, negates, type Task } from '@emotune/affect';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Augmentation, Augmenter } from './augment.js';
import { type MethodName, methodNames, methodOf } from './methods.js';
import { wordsOf } from './sentence.js';
import { wordNetFolder } from './wordnet.js';

const edits = methodNames.filter((name) => methodOf(name).edit);
const plan = (method: MethodName, more: Partial<Augmentation> = {}): Augmentation => ({
  method,
  share: 1,
  strength: methodOf(method).strength,
  language: '',
  ...more,
});
const row = (text: string, more: { task?: Task; language?: string; id?: string } = {}) => ({
  id: 'a/1',
  task: 'sentiment-classification' as Task,
  language: 'en',
  text,
  ...more,
});

const augmenters = new Map<string, Augmenter>();
async function augmenterOf(
  method: MethodName,
  seed = 1,
  more: Partial<Augmentation> = {},
): Promise<Augmenter> {
  return Augmenter.open([plan(method, more)], seed, { wordNet: wordNetFolder() });
}
beforeAll(async () => {
  for (const method of edits) augmenters.set(method, await augmenterOf(method));
});
const edited = async (method: MethodName, text: string, more: Parameters<typeof row>[1] = {}) =>
  (await augmenters.get(method)!.variants(row(text, more)))[0]?.text;

/** What the label may hang on, in the order of the text. */
const feelingWords = (text: string) =>
  wordsOf(text)
    .filter(({ text: word, free }) => !free && /^\p{L}/u.test(word))
    .map(({ text: word }) => word);
const emoticons = (text: string) => text.match(/[:;=8][-o*']?[)\](/\\dDpP|]|<3/g) ?? [];

const vocabulary =
  `the ferry to island left harbour at noon and we walked along shore while children played there not never very good bad
  awful happy sad but although GREAT soooo :) :( <3 5 @user https://example.org isn't hardly really love hate coffee table
  window. road, house; (garden) "letter" people because friend doctor evening`.split(/\s+/);
const anyText = fc
  .array(fc.constantFrom(...vocabulary), { minLength: 1, maxLength: 25 })
  .map((words) => words.join(' '));

describe('every edit', () => {
  it.each(edits)(
    '%s keeps all words that feelings hang on, negations, emoticons, and their order',
    async (method) => {
      await fc.assert(
        fc.asyncProperty(
          anyText,
          fc.constantFrom<Task[]>('sentiment-regression', 'emotion-classification'),
          async (text, task) => {
            const other = await edited(method, text, { task });
            if (other === undefined) return;
            expect(other).not.toBe(text);
            expect(feelingWords(other)).toEqual(feelingWords(text));
            expect(emoticons(other)).toEqual(emoticons(text));
            const negations = (of: string) => wordsOf(of).filter((word) => negates(word.text)).length;
            expect(negations(other)).toBe(negations(text));
            // Emphasis by marks is part of an intensity.
            if (task === 'sentiment-regression') {
              expect(other.match(/[!?]/g)).toEqual(text.match(/[!?]/g));
              expect(Math.abs(explain(other).vader - explain(text).vader)).toBeLessThan(0.02);
            }
          },
        ),
        { numRuns: 60 },
      );
    },
  );

  it.each(edits)('%s is the same for the same seed and row, and by no other', async (method) => {
    const text =
      'We walked along the shore to the harbour while the #BigFerry ☺ 👍🏽 left, and a sofa, a car and an automobile stood in the rain.';
    const variants = async (seed: number, id: string) =>
      (await augmenterOf(method, seed)).variants(row(text, { id }));
    const first = await variants(1, 'a');
    expect(first).toHaveLength(1);
    expect(await variants(1, 'a')).toEqual(first);
    const others = await Promise.all([2, 3, 4, 5, 6, 7].map((seed) => variants(seed, 'a')));
    expect(others.some(([other]) => other?.text !== first[0].text)).toBe(true);
  });
});

describe('edits', () => {
  const calm =
    'we walked along the shore to the harbour and the children had a letter for people in the house';
  const list = (text: string) => text.split(' ');

  it('by AEDA put in punctuation and nothing else, none that strengthens where the label is an intensity', async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const task = i % 2 ? 'sentiment-regression' : 'emotion-classification';
      const other = (await edited('aeda', calm, { id: String(i), task }))!;
      expect(list(other).filter((word) => !/^[.;?:!,]$/.test(word))).toEqual(list(calm));
      const marks = list(other).filter((word) => /^[.;?:!,]$/.test(word));
      expect(marks.length).toBeGreaterThan(0);
      expect(marks.length).toBeLessThanOrEqual(Math.floor(0.3 * list(calm).length));
      for (const mark of marks) {
        if (task === 'sentiment-regression') expect('?!').not.toContain(mark);
        seen.add(mark);
      }
    }
    expect(seen.size).toBe(6);
  });

  it('swap words, leave some out, put synonyms in or in place of others', async () => {
    const swapped = (await edited('random-swap', calm))!;
    expect(list(swapped).sort()).toEqual(list(calm).sort());
    const shorter = list((await edited('random-deletion', calm))!);
    expect(shorter.length).toBeLessThan(list(calm).length);
    expect(shorter.length).toBeGreaterThanOrEqual(list(calm).length / 2);
    const replaced = list((await edited('synonym-replacement', calm))!);
    const changed = replaced.filter((word) => !list(calm).includes(word));
    expect(changed.length).toBeGreaterThan(0);
    const longer = list((await edited('random-insertion', calm))!);
    expect(longer.length).toBeGreaterThan(list(calm).length);
  });

  it('never come between a negation and what it is about', async () => {
    const text = 'this is not a tasty harbour dish and we did not ever see the people of the house again';
    for (const method of ['aeda', 'random-insertion', 'random-deletion', 'random-swap'] as const)
      for (let i = 0; i < 20; i++) {
        const other = await edited(method, text, { id: String(i) });
        if (other !== undefined) expect(other).toContain('not a tasty harbour');
      }
  });

  it('write emoji and hashtags otherwise', async () => {
    expect(['👍🏻', '👍🏼', '👍🏾', '👍🏿', '👍']).toContain(await edited('emoji', '👍🏽'));
    expect(await edited('emoji', 'I ❤ tea')).toBe('I ❤\ufe0f tea');
    expect(await edited('emoji', 'no emoji, 😀 has one form, 👨‍👩‍👧 is left')).toBeUndefined();
    expect(['#nothappyatall', 'not Happy At All', '#not_happy_at_all']).toContain(
      await edited('hashtag', '#notHappyAtAll'),
    );
    expect(await edited('hashtag', 'issue #4 and #lower')).toBeUndefined();
  });

  it('leave texts of other languages alone, but for emoji and hashtags', async () => {
    for (const method of edits) {
      const other = await edited(method, 'Der Hafen war am Abend still #GuterTag 👍', { language: 'de' });
      expect(other !== undefined).toBe(method === 'emoji' || method === 'hashtag');
    }
  });

  it('are made of as many rows as the share says', async () => {
    const augmenter = await augmenterOf('aeda', 3, { share: 0.3 });
    const made = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => augmenter.variants(row(calm, { id: String(i) }))),
    );
    const count = made.flat().length;
    expect(count).toBeGreaterThan(250);
    expect(count).toBeLessThan(350);
  });
});

const tweets = join(process.env['EMOTUNE_CORPORA'] ?? '', 'vader', 'tweets_GroundTruth.txt');
if (!existsSync(tweets))
  process.stderr.write('SKIPPED augmentation of real rows: set EMOTUNE_CORPORA to the folder of corpora\n');

it.skipIf(!existsSync(tweets))(
  'most real tweets have variants, and VADER finds in them what it did',
  async () => {
    const texts = readFileSync(tweets, 'utf8')
      .split('\n')
      .slice(0, 400)
      .map((line) => line.split('\t')[2] ?? '')
      .filter((text) => text !== '');
    const least: Partial<Record<MethodName, number>> = {
      aeda: 0.5,
      'synonym-replacement': 0.4,
      'random-insertion': 0.3,
      'random-swap': 0.4,
      'random-deletion': 0.5,
      spelling: 0.5,
      keyboard: 0.5,
    };
    for (const method of edits) {
      let made = 0;
      for (const [i, text] of texts.entries()) {
        const other = await edited(method, text, { id: String(i), task: 'sentiment-regression' });
        if (other === undefined) continue;
        made++;
        if (method !== 'hashtag')
          expect(Math.abs(explain(other).vader - explain(text).vader), text).toBeLessThan(0.006);
      }
      expect(made / texts.length, method).toBeGreaterThanOrEqual(least[method] ?? 0);
    }
  },
);
