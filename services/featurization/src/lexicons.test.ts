import { type Example, labelGold, type SourceExample, splits } from '@emotune/affect';
import { Rng } from '@emotune/base';
import { expect, it } from 'vitest';
import { givenLexicons, inducedLexicons } from './lexicons.js';

const labelSet = ['fear', 'joy'];
const kept = { licence: 'Apache-2.0', source: 'own rows' };
const filler = ['lamp', 'river', 'ticket', 'window', 'paper', 'garden', 'table', 'evening', 'bridge', 'coat'];

function row(i: number, changes: Partial<SourceExample> = {}): Example {
  const rng = Rng.of('rows', i);
  const joy = i % 2 === 0;
  return {
    id: `own/${i}`,
    source: 'own',
    originalId: String(i),
    licence: 'Apache-2.0',
    language: 'en',
    task: 'emotion-classification',
    text: `${filler[rng.int(10)]} ${filler[rng.int(10)]} ${joy ? 'lantern' : 'cellar'} ${i}`,
    emotion: null,
    gold: labelGold([joy ? 'joy' : 'fear']),
    labelSet,
    multiLabel: true,
    scale: null,
    split: 'train',
    ...changes,
  };
}

function rowsOf(rows: readonly Example[]): () => AsyncGenerator<Example> {
  return async function* () {
    yield* rows;
  };
}

it('cues tell what train rows say of words', async () => {
  const lexicons = await inducedLexicons(rowsOf(Array.from({ length: 200 }, (_, i) => row(i))), [], kept);
  for (const split of splits) {
    expect(lexicons.cuesOf(row(900, { text: 'the lantern' }), split)).toMatch(/; joy \+0\.\d/);
    expect(lexicons.cuesOf(row(901, { text: 'the cellar' }), split)).toMatch(/; fear \+0\.\d/);
  }
  expect(givenLexicons([]).cuesOf(row(900, { text: 'the lantern' }), 'test')).toBe('none; neutral +0.0');
  expect(lexicons.kept.map(({ name, source }) => [name, source])).toEqual([['induced-en', 'own rows']]);
});

it('a train row is never told by its own answer', async () => {
  const rows = Array.from({ length: 200 }, (_, i) => row(i));
  const before = await inducedLexicons(rowsOf(rows), [], kept);
  for (const i of [3, 50, 101, 198]) {
    const other = row(i, { gold: labelGold([i % 2 === 0 ? 'fear' : 'joy']) });
    const after = await inducedLexicons(rowsOf(rows.with(i, other)), [], kept);
    expect(after.cuesOf(rows[i], 'train')).toBe(before.cuesOf(rows[i], 'train'));
    // Nor does its text once edited.
    const edited = { ...rows[i], text: `${rows[i].text} , indeed` };
    expect(after.cuesOf(edited, 'train', rows[i])).toBe(before.cuesOf(edited, 'train', rows[i]));
  }
  // It would be: of a word that only it has a say on.
  const word = (label: string) =>
    Array.from({ length: 6 }, (_, i) => row(300 + i, { text: 'comet', gold: labelGold([label]) }));
  const own = (label: string) => inducedLexicons(rowsOf([...rows, ...word(label)]), [], kept);
  const [joy, fear] = [await own('joy'), await own('fear')];
  const [asked] = word('joy');
  expect(joy.cuesOf(asked, 'train')).toBe(fear.cuesOf(asked, 'train'));
  expect(joy.cuesOf(asked, 'test')).not.toBe(fear.cuesOf(asked, 'test'));
});
